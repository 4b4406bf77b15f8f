"""Data as blocks of rows: all kinds of data that can be used, and the errors for those that cannot."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from gaussmix import GaussianMixture, Mixture
from gaussmix._core.estep import TILE, Rows
from gaussmix.blocks import FEWEST_TILES, FEWEST_TILES_OF_MANY, LARGEST, MOST_ROWS, Blocks, block_bounds
from gaussmix.observations import as_table, as_weights, check_finite
from gaussmix.structures import structure_named


@pytest.mark.parametrize("n_rows", [1, 95, 96, 97, 575, 576, 577, 32735, 32736, 32737, 100_000, 1_000_003, 20_000_019])
@pytest.mark.parametrize("shape", [(1, 1), (2, 8), (2, 64), (32, 32), (39, 256), (512, 8), (1000, 1000)])
def test_bounds_cover_all_rows_once(n_rows, shape):
    bounds = block_bounds(n_rows, *shape)
    starts, stops = np.array(bounds).T
    assert starts[0] == 0 and stops[-1] == n_rows
    np.testing.assert_array_equal(starts[1:], stops[:-1])
    lengths = stops - starts
    assert (lengths > 0).all() and (lengths[:-1] % TILE == 0).all()
    short = lengths[lengths < lengths[0]]
    assert (np.diff(lengths) <= 0).all() and len(set(short[:-1])) <= 1 and short.sum() <= n_rows / 4 + lengths[0]
    assert len(bounds) < 8 or 4 * short[0] <= max(lengths[0], 4 * 24 * TILE)
    assert lengths.max() <= MOST_ROWS and (len(bounds) == 1 or lengths[0] >= FEWEST_TILES * TILE / 2)
    assert lengths.max() * shape[1] <= max(2**20 + TILE * shape[1], FEWEST_TILES_OF_MANY * TILE * shape[1])


@pytest.mark.parametrize("start", ["kmeans", "k-means++", "random_from_data"])  # "random" draws for each block
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_many_blocks_are_one(start, covariance_type, monkeypatch):
    """The same fit whether the rows come in one block or in eleven."""
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(2000, 3)) + 6 * rng.integers(0, 3, size=(2000, 1)), rng.integers(0, 3, size=2000)
    models = []
    for n_blocks in (1, 11):
        assert len(Blocks(X, 3).bounds) == n_blocks
        models.append(GaussianMixture(3, covariance_type=covariance_type, init_params=start, random_state=0, tol=1e-6,
                                      max_iter=1000).fit(X, sample_weight=weights))
        monkeypatch.setattr("gaussmix.blocks.MOST_ROWS", TILE)
        monkeypatch.setattr("gaussmix.blocks.FEWEST_TILES", 1)
    one, many = models
    for name in ("weights_", "means_", "covariances_", "history_"):
        np.testing.assert_allclose(getattr(many, name), getattr(one, name), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(many.predict(X), one.predict(X))
    assert many.icl(X, weights) == pytest.approx(one.icl(X, weights), rel=1e-12)


def reference_data():
    return np.random.default_rng(0).normal(size=(300, 3)) * [1, 2, 3] + [5, 0, -5]


def fit(X, **options):
    return GaussianMixture(2, random_state=0, max_iter=20, **options).fit(X)


def same_bits(one, other):
    for name in ("weights_", "means_", "covariances_", "history_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def strided(X):
    wide = np.full((2 * len(X), 2 * X.shape[1] + 1), np.nan)
    wide[::2, 1::2] = X
    return wide[::2, 1::2]


def rows_apart(X):
    wide = np.full((3 * len(X), X.shape[1] + 2), np.nan)
    wide[::3, 1:-1] = X
    return wide[::3, 1:-1]


def unaligned(X):
    raw = np.zeros(X.nbytes + 1, np.uint8)[1:]
    array = raw.view(X.dtype).reshape(X.shape)
    array[...] = X
    assert not array.flags.aligned
    return array


def buffered(X):
    """The same numbers one byte after an aligned place, as `np.frombuffer(..., offset=1)` may give them."""
    return np.frombuffer(b"\0" + np.ascontiguousarray(X).tobytes(), dtype=X.dtype, offset=1).reshape(X.shape)


def sparse_buffered(X):
    """Every other number of such an array."""
    array = np.zeros(2 * X.nbytes + 1, np.uint8)[1:].view(X.dtype).reshape(*X.shape, 2)[..., 0]
    array[...] = X
    return array


def read_only(X):
    copy = X.copy()
    copy.flags.writeable = False
    return copy


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "every other row and column": strided,
    "rows apart": rows_apart,
    "backwards rows": lambda X: X[::-1].copy()[::-1],
    "backwards columns": lambda X: X[:, ::-1].copy()[:, ::-1],
    "big-endian": lambda X: X.astype(">f8"),
    "unaligned": unaligned,
    "buffered": buffered,
    "every other number of a buffer": sparse_buffered,
    "read-only": read_only,
    "a list": lambda X: X.tolist(),
    "objects": lambda X: X.astype(object),
    "transposed copy": lambda X: X.T.copy().T,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_changes_no_bit(layout):
    X = reference_data()
    laid_out = LAYOUTS[layout](X)
    model = fit(X)
    same_bits(fit(laid_out), model)
    for name in ("predict", "predict_proba", "score_samples"):
        np.testing.assert_array_equal(getattr(model, name)(laid_out), getattr(model, name)(X))
    np.testing.assert_array_equal(np.asarray(laid_out, dtype=float), X)


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize("dtype", ["f8", "f4", ">f8", "i4"])
def test_memory_maps(tmp_path, mode, dtype):
    X = (10 * reference_data()).astype(dtype)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode=mode)
    same_bits(fit(mapped), fit(X))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), X)


def test_a_large_readable_array_is_not_copied():
    X = np.zeros((1000, 2))
    blocks = Blocks(X[::2], 1)
    assert blocks.block(0) is blocks.block(0)
    assert as_table(X)[0] is X or np.shares_memory(as_table(X)[0], X)


@pytest.mark.filterwarnings("ignore::gaussmix.ConvergenceWarning")
@pytest.mark.parametrize("how", ["mapped", "mapped, Fortran order", "mapped integers", "a slice", "every other column", "pandas", "polars"])
def test_neither_a_fit_nor_a_prediction_copies_the_whole(how, tmp_path):
    X = np.repeat(np.random.default_rng(0).normal(size=(2000, 8)), 300, axis=0)  # 38 MB, of which a block is one
    X += np.repeat([[0.0], [50.0]], 300_000, axis=0)
    if how.startswith("mapped"):
        np.save(tmp_path / "x.npy", X.astype("i4") if "integers" in how else np.asfortranarray(X) if "Fortran" in how else X)
        data = np.load(tmp_path / "x.npy", mmap_mode="r")
    elif how in ("pandas", "polars"):
        data = pytest.importorskip(how).DataFrame(X)
    else:
        wide = np.zeros((2 * len(X), 16))
        data = wide[::2, :8] if how == "a slice" else wide[:len(X), ::2]
        data[...] = X
    tracemalloc.start()
    try:
        model = GaussianMixture(2, random_state=0, max_iter=2, n_threads=2).fit(data)
        fitting = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        labels = model.predict(data)
        predicting = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert max(fitting, predicting) < X.nbytes / 2  # labels, and a block for each thread
    np.testing.assert_array_equal(np.bincount(labels), [300_000, 300_000])


@pytest.mark.filterwarnings("ignore::gaussmix.ConvergenceWarning")  # coarse numbers make poor mixtures
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int16, np.int64, np.uint64, np.float16])
def test_other_numbers_become_float64(dtype):
    X = np.abs(10 * reference_data()).astype(dtype) if dtype is not bool else reference_data() > 0
    model = fit(X)
    assert model.means_.dtype == np.float64
    same_bits(model, fit(X.astype(np.float64)))


def test_float32_stays_float32():
    X = reference_data().astype(np.float32)
    model = fit(X)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(model, name).dtype == np.float32
    assert model.score_samples(X).dtype == model.predict_proba(X).dtype == np.float32
    assert Blocks(X, 2).size == 4


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_float32_whose_squares_are_not_float32(unit):
    X = (reference_data() * unit).astype(np.float32)
    assert Blocks(X, 2).size == 8
    with np.errstate(over="ignore", under="ignore"):
        model = fit(X, reg_covar=0)
    single = reference_data().astype(np.float32)
    np.testing.assert_allclose(model.mixture_.means / unit, fit(single, reg_covar=0).mixture_.means, rtol=1e-3)


def test_float32_with_a_constant_column_stays_float32():
    X = reference_data().astype(np.float32)
    X[:, 1] = 7.25
    assert Blocks(X, 2).size == 4


@pytest.mark.parametrize("place", [0, 299_999])
@pytest.mark.parametrize("value, size", [(2.0**39, 4), (2.0**41, 8), (-2.0**39, 4), (-2.0**41, 8)])
def test_float32_is_worked_on_as_float64_where_a_number_is_large(value, size, place):
    X = np.ones((300_000, 2), np.float32)
    X[:, 1] = np.arange(300_000) % 7
    X[place, 1] = value
    assert len(Blocks(X, 2)) > 1 and Blocks(X, 2).size == size


@pytest.mark.parametrize("exponent, size", [(-39, 4), (-41, 8)])
def test_float32_is_worked_on_as_float64_where_a_feature_varies_little(exponent, size):
    X = np.zeros((300, 2), np.float32)
    X[1, 0], X[:, 1] = 2.0**exponent, np.arange(300)
    assert Blocks(X, 2).size == size


@pytest.mark.parametrize("where, size", [("means", 2.0**44), ("means", 2.0**46), ("factors", 2.0**44), ("factors", 2.0**46)])
def test_float32_is_worked_on_as_float64_under_parameters_that_are_too_large(where, size):
    diagonal = structure_named("diag")
    parameters = diagonal.parameters(1, 2)
    parameters.weights[...], parameters.covariances[...] = 1, 1
    if where == "means":
        parameters.means[0, 1] = -size
    else:
        parameters.covariances[0, 1] = size**-2
    assert diagonal.factorize(parameters) == -1
    blocks = Blocks(reference_data().astype(np.float32)[:, :2], 1)
    assert blocks.size == 4
    blocks.widen_for(parameters.densities)
    assert (blocks.size, blocks.block(0) is not None) == (4 if size < 2.0**45 else 8, True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_rows_have_no_densities(dtype):
    m = Mixture([0.5, 0.5], np.zeros((2, 3)), [np.eye(3)] * 2)
    X = np.empty((0, 3), dtype)
    assert m.logpdf(X).shape == (0,) and m.responsibilities(X).shape == (0, 2) and m.classify(X).shape == (0,)
    assert m.log_likelihood(X) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_are_of_the_type_of_indices(dtype):
    m = Mixture([0.5, 0.5], [[0.0], [9.0]], [[[1.0]]] * 2)
    labels = m.classify(np.array([[0.0], [9.0]], dtype))
    assert labels.dtype == np.intp and labels.tolist() == [0, 1]


# Tables.


def tables(X, names):
    pandas, polars, pyarrow = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    return {"pandas": pandas.DataFrame(X, columns=names), "polars": polars.DataFrame(X, schema=names),
            "pyarrow": pyarrow.table(dict(zip(names, X.T)))}


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_tables(library, dtype):
    X, names = (10 * reference_data()).astype(dtype), ["length", "width", "ρ"]
    table = tables(X, names)[library]
    model = fit(table)
    same_bits(model, fit(X))
    assert list(model.feature_names_in_) == names and model.means_.dtype == (np.float32 if dtype == np.float32 else np.float64)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):  # as scikit-learn's
        labels = model.predict(X)
    np.testing.assert_array_equal(model.predict(table), labels)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_tables_of_mixed_numbers(library):
    table = {"a": [1, 2, 3, 4], "b": [0.5, 1.5, 2.5, -1.0], "c": [True, False, True, True]}
    module = pytest.importorskip(library)
    made = module.table(table) if library == "pyarrow" else module.DataFrame(table)
    array, columns = as_table(made)
    np.testing.assert_array_equal(array.astype(float), np.column_stack(list(table.values())).astype(float))
    assert columns == ["a", "b", "c"]


def test_a_pyarrow_record_batch_with_booleans():
    pyarrow = pytest.importorskip("pyarrow")
    array, columns = as_table(pyarrow.record_batch({"a": [1.0, 2.0], "b": [True, False]}))
    np.testing.assert_array_equal(array.astype(float), [[1, 1], [2, 0]])
    assert columns == ["a", "b"]


def test_a_table_with_a_column_called_column_names():
    pandas = pytest.importorskip("pandas")
    array, columns = as_table(pandas.DataFrame({"column_names": [1.0, 2.0], "columns": [3.0, 4.0]}))
    np.testing.assert_array_equal(array, [[1, 3], [2, 4]])
    assert columns == ["column_names", "columns"]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("column", [["x", "y"], [1.0, None], [True, None], [None, None]], ids=["words", "missing", "missing truth", "none"])
def test_tables_that_cannot_be_used(library, column):
    module = pytest.importorskip(library)
    table = {"a": [1.0, 2.0], "b": column}
    made = module.table(table) if library == "pyarrow" else module.DataFrame(table)
    with pytest.raises(ValueError, match="number|text|NaN"):
        GaussianMixture(1).fit(made)


def test_numbers_are_no_names_and_do_not_mix_with_names():
    pandas = pytest.importorskip("pandas")
    assert as_table(pandas.DataFrame(np.zeros((2, 2)), columns=pandas.Index([1, 2.5], dtype=object)))[1] is None  # as scikit-learn's
    assert as_table(pandas.DataFrame(np.zeros((2, 2))))[1] is None
    assert as_table(np.zeros((2, 2)))[1] is None
    with pytest.raises(TypeError, match="string names"):  # as scikit-learn's
        as_table(pandas.DataFrame(np.zeros((2, 2)), columns=["a", 1]))


# What cannot be used.

BAD_DATA = [
    ([1.0, 2.0], ValueError, "Expected 2D array.*reshape"),
    (5.0, ValueError, "Expected 2D array"),
    (None, ValueError, "Expected 2D array|number"),
    (np.zeros((2, 2, 2)), ValueError, "Expected 2D array"),
    ([["a", "b"]], ValueError, "text|numbers"),
    ([[1, "b"]], ValueError, "text|numbers"),
    ([[1.0], [1.0, 2.0]], ValueError, None),
    ([[1j]], ValueError, "[Cc]omplex"),
    (np.array([[1j]], dtype=object), TypeError, "[Cc]omplex"),
    (np.array([["2020-01-01"]], dtype="M8[D]"), TypeError, "real numbers"),
    (np.ma.masked_array([[1.0, 2.0]], [[True, False]]), TypeError, "masked"),
    (sparse.csr_matrix(np.eye(3)), TypeError, "sparse.*toarray"),
    (sparse.coo_array(np.eye(3)), TypeError, "sparse.*toarray"),
    ([[1.0, np.nan]], ValueError, "NaN at row 0, column 1"),
    (np.r_[np.zeros((100_000, 2)), [[0, np.inf]]], ValueError, "infinity at row 100000, column 1"),
    (np.asfortranarray(np.r_[np.zeros((500, 2)), [[-np.inf, 0]]]), ValueError, "infinity at row 500, column 0"),
    (np.array([[0.0, np.nan]], np.float32), ValueError, "NaN at row 0, column 1"),
    (np.array([[0.0, np.nan]], np.float16), ValueError, "NaN at row 0, column 1"),
    (np.array([[0.0, 1.0], [np.nan, 1.0]], ">f8"), ValueError, "NaN at row 1, column 0"),
    ([[1e300], [0.0]], ValueError, "too large.*row 0, column 0"),
    ([[1e160], [0.0]], ValueError, "too large.*row 0, column 0"),
    ([[0.0], [1e150]], ValueError, "too large.*row 1, column 0"),
    (np.asfortranarray([[0.0, 1.0], [0.0, 1e150]]), ValueError, "too large.*row 1, column 1"),
    (np.array([[1e200], [0.0]], np.longdouble), ValueError, "too large.*row 0, column 0"),
    (np.array([[np.longdouble("1e2000")], [0.0]]), ValueError, "row 0, column 0"),
    (np.zeros((0, 2)), ValueError, "0 sample.*minimum of 2"),
    (np.zeros((2, 0)), ValueError, "0 feature"),
]


@pytest.mark.parametrize("X, error, message", BAD_DATA, ids=range(len(BAD_DATA)))
def test_what_cannot_be_used(X, error, message):
    with pytest.raises(error, match=message) as caught:
        GaussianMixture(1).fit(X)
    assert "\n" not in str(caught.value)


def test_whether_a_value_is_too_large_does_not_depend_on_the_layout():
    for value in (0.5 * LARGEST, 2 * LARGEST, 1e150, 1e153):
        outcomes = set()
        for order in ("C", "F"):
            X = np.array([[0.0, 1.0], [2.0, value]], order=order)
            try:
                check_finite(X, largest=LARGEST)
            except ValueError:
                outcomes.add("refused")
            else:
                outcomes.add("taken")
        assert outcomes == ({"taken"} if value <= LARGEST else {"refused"})


def test_finite_data_whose_sums_overflow_are_finite():
    for order in ("C", "F"):
        check_finite(np.full((10, 2), 1.7e308, order=order))
        check_finite(np.array([[1e308, -1e308]] * 10, order=order))


BAD_WEIGHTS = [
    ([1.0, 2.0], "shape"), (np.ones((3, 1)), "shape"), ([1, -1, 1], r"sample_weight\[1\].*negative"),
    ([1, np.nan, 1], r"sample_weight\[1\].*finite"), ([1, 1, np.inf], r"sample_weight\[2\].*finite"), ([0, 0, 0], "zero for every row"),
    (["a", "b", "c"], r"'a' at index \(0,\)"), ([1j, 1j, 1j], "real numbers, not complex128"), ([1, [2, 3], 4], "lists of different lengths"),
    ([1, 10**400, 2], r"10000.* at index \(1,\)"), (10**400, "real numbers"), ([1, None, 1], r"sample_weight\[1\] is nan"),
    (np.array([1, np.longdouble("1e4000"), 1]), r"sample_weight\[1\] is inf"), (np.ones(3, "M8[s]"), "not datetime64"),
    (np.ones(3, "m8[s]"), "not timedelta64"), (np.zeros(3, [("a", "f8")]), "real numbers, not"),
]


@pytest.mark.parametrize("weights, message", BAD_WEIGHTS, ids=range(len(BAD_WEIGHTS)))
def test_bad_weights(weights, message):
    for method in ("fit", "fit_predict"):
        with pytest.raises(ValueError, match=message):
            getattr(GaussianMixture(1), method)([[1.0], [2.0], [4.0]], sample_weight=weights)


@pytest.mark.parametrize("weights", [2, 2.0, np.float32(2), True])
def test_one_weight_for_all(weights):
    np.testing.assert_array_equal(as_weights(weights, 3), np.full(3, float(weights)))


def test_good_weights():
    assert as_weights(None, 3) is None
    for weights in ([0, 1, 2], np.array([0, 1, 2], np.uint8), (False, True, True), np.array([0, 1, 2.5], np.float32)[::1],
                    np.arange(6.0)[::2]):
        found = as_weights(weights, 3)
        assert found.dtype == np.float64 and found.flags.c_contiguous
        np.testing.assert_array_equal(found, np.asarray(weights, float))
    pandas = pytest.importorskip("pandas")
    np.testing.assert_array_equal(as_weights(pandas.Series([1, 2], index=[5, 3]), 2), [1, 2])


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "g", ">f8"])
def test_weights_may_lie_anywhere(dtype):
    X, weights = reference_data(), (np.arange(300) % 4).astype(dtype)
    plain = GaussianMixture(2, random_state=0, max_iter=20).fit(X, sample_weight=weights)
    for layout in (unaligned, lambda a: np.stack([a, -a], axis=1)[:, 0], lambda a: a[::-1].copy()[::-1], list):
        same_bits(GaussianMixture(2, random_state=0, max_iter=20).fit(X, sample_weight=layout(weights)), plain)


@pytest.mark.parametrize("start", [np.arange(300, dtype=np.int32) % 2, np.arange(300) % 2, np.eye(2)[np.arange(300) % 2],
                                   np.eye(2)[np.arange(300) % 2][:, ::-1]])
def test_labels_and_responsibilities_may_lie_anywhere(start):
    same_bits(fit(reference_data(), init_params=unaligned(start)), fit(reference_data(), init_params=np.array(start)))


def test_numbers_beyond_float64_are_named_in_predictions_too():
    model, rows = fit(reference_data()), reference_data().astype(np.longdouble)
    rows[7, 1] = np.longdouble("1e2000")
    for method in ("predict", "predict_proba", "score_samples", "score"):
        with pytest.raises(ValueError, match="too large .* at row 7, column 1"):
            getattr(model, method)(rows)
def test_rows_refuse_what_loops_cannot_read():
    with pytest.raises(ValueError, match="side by side"):
        Rows(np.zeros((4, 4))[:, ::2])
    for bad in (np.zeros(3), np.zeros((2, 2), np.int64), np.zeros((2, 2), ">f8"), np.zeros((2, 2), np.int32)):
        with pytest.raises((ValueError, TypeError)):
            Rows(bad)


@pytest.mark.parametrize("shape", [(272, 2, 2), (2000, 4, 3), (5000, 16, 8), (6000, 200, 5), (100, 1, 1)])
def test_a_compiled_loop_listens_to_ctrl_c_after_some_ten_milliseconds_of_work(shape):
    """After 2e8 operations and 1000 passes at most, or after a single pass. A pass counts 2 D (D + 1) + 100 operations a row, K times."""
    n_rows, n_features, n_components = shape
    at_once = Blocks(np.zeros((n_rows, n_features)), n_components).at_once
    operations = n_rows * n_components * (2 * n_features * (n_features + 1) + 100)
    assert at_once == 1 or at_once <= 1000 and at_once * operations <= 2e8
    assert at_once >= min(1000, 2e8 / (operations + n_features * operations / n_rows)) - 1
