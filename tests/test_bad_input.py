"""Bad input gets one sentence that names the row, column or parameter, and leaves the estimator as it was."""

import copy
import pickle
import re
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from gaussmix import GaussianMixture, Mixture

X = np.random.default_rng(0).normal(size=(20, 2))


def with_value(value, row=3, column=1, dtype=np.float64):
    changed = X.astype(dtype)
    changed[row, column] = value
    return changed


def weights_with(value, row=7):
    weights = np.ones(len(X))
    weights[row] = value
    return weights


def masked():
    return np.ma.masked_less(X, 0)


def sparse():
    from scipy.sparse import csr_array

    return csr_array(X)


DATA = [  # what, the data, the error, what its sentence says
    ("NaN", with_value(np.nan), ValueError, "NaN at row 3, column 1"),
    ("NaN in float32", with_value(np.nan, dtype=np.float32), ValueError, "NaN at row 3, column 1"),
    ("NaN, Fortran order", np.asfortranarray(with_value(np.nan)), ValueError, "NaN at row 3, column 1"),
    ("infinity", with_value(np.inf), ValueError, "infinity at row 3, column 1"),
    ("minus infinity", with_value(-np.inf), ValueError, "infinity at row 3, column 1"),
    ("None among numbers", [[1.0, 2.0], [3.0, None]], ValueError, "NaN at row 1, column 1"),
    ("huge", with_value(1e300), ValueError, "too large (1e+300) at row 3, column 1"),
    ("all huge", X * 1e300, ValueError, "at row 0, column 0"),
    ("text", [["1", "2"], ["3", "four"]], ValueError, "'four' at row 1, column 1"),
    ("text among numbers", np.array([[1.0, 2.0], [3.0, "four"]], dtype=object), ValueError, "'four' at row 1, column 1"),
    ("an object", [[1.0, 2.0], [{}, 4.0]], TypeError, "{} at row 1, column 0"),
    ("a whole number beyond double", [[1.0, 2.0], [10**400, 4.0]], ValueError, "... (401 characters) at row 1, column 0"),
    ("one of thousands of digits", [[1.0, 2.0], [3.0, -10**5000]], ValueError, "a whole number of thousands of digits at row 1, column 1"),
    ("complex", X + 0j, ValueError, "Complex data not supported"),
    ("dates", np.full((4, 2), np.datetime64("2020-01-01")), TypeError, "real numbers, not datetime64"),
    ("one-dimensional", X[:, 0], ValueError, "X.reshape(-1, 1)"),
    ("three-dimensional", X[None], ValueError, "Expected 2D array"),
    ("a number", 3.0, ValueError, "Expected 2D array"),
    ("nothing", None, ValueError, "Expected 2D array"),
    ("the name of no file", "data.csv", FileNotFoundError, "No such file or directory: 'data.csv'"),
    ("rows of different lengths", [[1.0, 2.0], [3.0]], ValueError, "row 1 has 1 values"),
    ("lists among numbers", [[1.0, 2.0], [[3.0, 4.0], 5.0]], ValueError, "its entries are lists"),
    ("no rows", np.empty((0, 2)), ValueError, "0 sample(s)"),
    ("one row", X[:1], ValueError, "1 sample(s)"),
    ("no columns", np.empty((5, 0)), ValueError, "0 feature(s)"),
    ("masked", masked(), TypeError, "masked array"),
    ("sparse", sparse(), TypeError, "X.toarray()"),
]

PARAMETERS = [  # the parameters, what the sentence says
    ({"n_components": 0}, "n_components must be a whole number of at least 1"),
    ({"n_components": -2}, "n_components"), ({"n_components": 2.0}, "n_components"), ({"n_components": "2"}, "n_components"),
    ({"n_components": True}, "n_components"), ({"n_components": None}, "n_components"),
    ({"n_components": 21}, "n_components = 21, n_samples = 20"),
    ({"covariance_type": "round"}, "covariance_type"), ({"covariance_type": None}, "covariance_type"),
    ({"tol": -1e-3}, "tol must be"), ({"tol": np.nan}, "tol must be"), ({"tol": "small"}, "tol must be"),
    ({"reg_covar": -1}, "reg_covar must be"), ({"reg_covar": np.inf}, "reg_covar"), ({"reg_covar": "small"}, "auto"),
    ({"max_iter": -1}, "max_iter"), ({"max_iter": 1.5}, "max_iter"), ({"max_iter": np.timedelta64(3, "s")}, "max_iter must be a whole number"),
    ({"tol": np.timedelta64(1, "s")}, "tol must be a finite number"), ({"n_init": 0}, "n_init"),
    ({"init_params": "best"}, "init_params must be one of 'kmeans'"), ({"init_params": None}, "init_params"),
    ({"init_params": np.zeros(3, int)}, "shape (20,)"), ({"init_params": np.full(20, 2)}, "from 0 to 1"),
    ({"init_params": np.full((20, 2), 0.4)}, "row 0 sum to 0.8"), ({"init_params": np.full((20, 2), np.nan)}, "row 0"),
    ({"init_params": np.zeros(20, int)}, "component 1 of the start has no rows"),
    ({"init_params": np.arange(20) % 2 - 1}, "labels must be from 0 to 1, not from -1 to 0"),
    ({"init_params": np.where(np.arange(20)[:, None] == 3, 0.4, 0.5) * np.ones((20, 2))}, "those of row 3 sum to 0.8"),
    ({"weights_init": [0.5, 0.500001]}, "weights_init must sum to one, but they sum to 1.000001"),
    ({"weights_init": np.array([0.5, 0.50001], np.float32)}, "weights_init must sum to one"),
    ({"weights_init": [0.5, 0.6]}, "weights_init must sum to one"), ({"weights_init": [-0.5, 1.5]}, "weights_init[0] is -0.5"),
    ({"weights_init": [1.0]}, "weights_init' should have the shape of (2,), but got (1,)"),
    ({"weights_init": [np.nan, 1.0]}, "weights_init[0] is not"), ({"weights_init": "ab"}, "weights_init"),
    ({"means_init": np.zeros((2, 3))}, "means_init' should have the shape of (2, 2), but got (2, 3)"),
    ({"means_init": [[0, 0], [0, np.inf]]}, "means_init[1, 1]"), ({"means_init": np.zeros((2, 2)) * 1j}, "means_init"),
    ({"precisions_init": np.eye(2)}, "precisions_init' should have the shape of (2, 2, 2)"),
    ({"precisions_init": [np.eye(2), -np.eye(2)]}, "precisions_init[1] must be symmetric and positive definite"),
    ({"precisions_init": [np.eye(2), [[1, 2], [0, 1]]]}, "precisions_init[1] must be symmetric"),
    ({"precisions_init": [np.eye(2), np.ones((2, 2))]}, "precisions_init[1]"),
    ({"precisions_init": -np.eye(2), "covariance_type": "tied"}, "precisions_init must be symmetric and positive definite"),
    ({"precisions_init": [[1, 1], [1, 0]], "covariance_type": "diag"}, "precisions_init[1]"),
    ({"precisions_init": [1, -1], "covariance_type": "spherical"}, "precisions_init[1]"),
    ({"precisions_init": [np.eye(2), np.diag([1, 1e-320])]}, "precisions_init[1] is too close to singular, or too large or small"),
    ({"precisions_init": np.diag([1e-320, 1]), "covariance_type": "tied"}, "precisions_init is too close to singular"),
    ({"precisions_init": [[1, 1], [1e-320, 1]], "covariance_type": "diag"}, "precisions_init[1] is too close to singular"),
    ({"precisions_init": "two"}, "precisions_init must be an array of real numbers, of shape (2, 2, 2), not 'two'"),
    ({"weights_init": 0.5}, "weights_init must be an array of real numbers, of shape (2,)"),
    ({"init_params": 3}, "init_params as an array must hold whole-number labels, shape (20,)"),
    ({"init_params": [0, [1]]}, "init_params as an array must hold whole-number labels, shape (20,)"),
    ({"init_params": np.full((20, 2), np.longdouble("1e2000"))}, "must be finite and not negative, but row 0"),
    ({"weights_init": [0.5, [0.5]]}, "weights_init must be an array of real numbers, of shape (2,)"),
    ({"weights_init": [0, 10**400]}, "weights_init must be an array of real numbers, of shape (2,)"),
    ({"means_init": [[0, 10**400], [1, 1]]}, "means_init must be an array of real numbers, of shape (2, 2)"),
    ({"means_init": np.full((2, 2), np.longdouble("1e2000"))}, "means_init[0, 0] is not"),
    ({"means_init": np.zeros((2, 2), "M8[s]")}, "means_init must be an array of real numbers"),
    ({"tol": 10**400}, "tol must be a finite number of at least 0, not 1000"), ({"reg_covar": 10**400}, "reg_covar must be"),
    ({"n_components": 10**400}, "Expected n_samples >= n_components"),
    ({"weights_init": [10**400, 1]}, "weights_init must be an array of real numbers"),
    ({"means_init": [[10**400, 1], [0, 0]]}, "means_init must be an array of real numbers"),
    ({"precisions_init": [10**400, 1], "covariance_type": "spherical"}, "precisions_init must be an array of real numbers"),
    ({"precisions_init": [[[1e308, -1e308], [1e308, 1e308]]] * 2}, "precisions_init[0] must be symmetric"),
    ({"init_params": [[0.5], [0.5, 0.5]]}, "init_params as an array must hold"), ({"init_params": [10**400] * 20}, "init_params as an array"),
    ({"init_params": np.full((20, 2), 1e308)}, "row 0 sum to inf"),
    ({"tol": np.inf}, "tol must be a finite number"), ({"random_state": [1, 2]}, "random_state"),
    ({"random_state": "now"}, "random_state"), ({"random_state": -1}, "random_state"),
    ({"warm_start": 1}, "warm_start"), ({"verbose": -1}, "verbose"), ({"verbose_interval": 0}, "verbose_interval"),
    ({"n_threads": 0}, "n_threads"), ({"n_threads": "two"}, "n_threads"),
    ({"progress": "yes"}, "progress"), ({"callback": 3}, "callback"),
]

WEIGHTS = [
    (np.ones(19), "shape (20,)"), (np.ones((20, 2)), "shape (20,)"), (weights_with(-1), "sample_weight[7] is -1"),
    (weights_with(np.nan), "sample_weight[7] is nan"), (weights_with(np.inf), "sample_weight[7] is inf"),
    (np.zeros(20), "zero for every row"), (["a"] * 20, "sample_weight"), (np.ones(20) * 1j, "sample_weight"),
    ([10**400] * 20, "sample_weight must be real numbers"), ([[1.0], [1.0, 2.0]], "sample_weight must be an array of real numbers"),
    (np.ones(20, "m8[s]"), "sample_weight must be real numbers"), ("balanced", "sample_weight must be real numbers"),
    (np.eye(20)[3], "n_samples = 1 with a positive sample_weight"),
]


def fitted():
    return GaussianMixture(2, random_state=0).fit(X)


def state(gm):
    return copy.deepcopy({name: value for name, value in vars(gm).items() if name.endswith("_") or name in ("_fitted", "_n_rows")})


def assert_same_state(gm, before):
    after = state(gm)
    assert after.keys() == before.keys()
    for name in before:
        if isinstance(before[name], np.ndarray):
            assert_array_equal(after[name], before[name])
        else:
            assert after[name] == before[name], name
    assert pickle.dumps(gm.mixture_.means) == pickle.dumps(fitted().mixture_.means)


def assert_refused(gm, kind, sentence, data, **fit):
    """An error of that kind, of one line, that holds `sentence`; and nothing has changed."""
    before = state(gm)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(kind, match=re.escape(sentence)) as caught:
            gm.fit(data, **fit)
    assert "\n" not in str(caught.value)
    assert_same_state(gm, before)


@pytest.mark.parametrize("what, data, kind, sentence", DATA, ids=[row[0] for row in DATA])
def test_data(what, data, kind, sentence):
    assert_refused(fitted(), kind, sentence, data)


@pytest.mark.parametrize("parameters, sentence", PARAMETERS, ids=lambda value: re.sub(r"\s+", " ", str(value))[:40])
def test_parameters(parameters, sentence):
    gm = fitted()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gm.set_params(**parameters)
    assert_refused(gm, ValueError, sentence, X)


@pytest.mark.parametrize("sample_weight, sentence", WEIGHTS, ids=[row[1] for row in WEIGHTS])
def test_sample_weight(sample_weight, sentence):
    assert_refused(fitted(), ValueError, sentence, X, sample_weight=sample_weight)


def test_masked_sample_weight():
    for weights in (np.ma.masked_array(np.ones(20)), np.ma.masked_less(X[:, 0] ** 2, 0.1)):
        assert_refused(fitted(), TypeError, "sample_weight is a masked array", X, sample_weight=weights)


@pytest.mark.parametrize("sample_weight, sentence", WEIGHTS[:-1], ids=[row[1] for row in WEIGHTS[:-1]])
@pytest.mark.parametrize("method", ["score", "bic", "aic", "icl"])
def test_sample_weight_of_the_criteria(method, sample_weight, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        getattr(fitted(), method)(X, sample_weight=sample_weight)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples", "score", "bic", "aic", "icl"])
@pytest.mark.parametrize("data, kind, sentence", [
    (np.ones((4, 3)), ValueError, "X has 3 features, but GaussianMixture is expecting 2 features as input"),
    (with_value(np.nan), ValueError, "NaN at row 3, column 1"), (X[0], ValueError, "Expected 2D array"),
    (X[:0], ValueError, "0 sample(s)"), (masked(), TypeError, "masked"), (sparse(), TypeError, "toarray"),
    (with_value(np.inf), ValueError, "infinity at row 3, column 1"), (with_value(-np.inf), ValueError, "infinity at row 3, column 1"),
])
def test_data_of_a_fitted_model(method, data, kind, sentence):
    with pytest.raises(kind, match=re.escape(sentence)):
        getattr(fitted(), method)(data)


def test_a_table_names_its_column():
    pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    columns = {"size": [1.0, 2.0, 3.0], "colour": ["red", "green", "blue"]}
    for table in (pd.DataFrame(columns), pl.DataFrame(columns), pa.table(columns)):
        assert_refused(fitted(), ValueError, "column 'colour'", table)
    for holes, nullable in (([1, None, 3], "Int64"), ([True, None, False], "boolean")):
        holes = {"size": [1.0, 2.0, 3.0], "count": holes}
        for table in (pd.DataFrame(holes), pd.DataFrame(holes).astype({"count": nullable}), pl.DataFrame(holes), pa.table(holes)):
            assert_refused(fitted(), ValueError, "NaN at row 1, column 1", table)
    assert_refused(fitted(), ValueError, "column 'size' is complex", pd.DataFrame({"size": [1j, 2.0, 3.0]}))


@pytest.mark.parametrize("scale", [1e-300, 5e-324, 1e-310, 1e-160])
def test_tiny_values_are_told_that_reg_covar_is_all_that_is_left(scale):
    with pytest.warns(UserWarning, match="reg_covar=1e-06 is more than a thousandth of the variance of feature"):
        gm = GaussianMixture(2, random_state=0).fit(np.ceil(10 * X) * scale)
    assert np.isfinite(gm.means_).all()
    np.testing.assert_allclose(gm.covariances_, np.array([np.eye(2)] * 2) * 1e-6, atol=1e-300)


def test_values_whose_squares_underflow_are_refused_without_reg_covar():
    assert_refused(fitted().set_params(reg_covar=0), ValueError, "scale the input data", X * 1e-300)
    assert_refused(fitted().set_params(reg_covar="auto"), ValueError, "scale the input data", X * 1e-300)


@pytest.mark.parametrize("exponent", [-400, 400])
def test_small_and_large_units_are_fitted_where_their_squares_are_numbers(exponent):
    """A power of two changes no bit but the exponents."""
    plain = GaussianMixture(2, random_state=0, reg_covar=0, tol=1e-5).fit(X)
    scaled = GaussianMixture(2, random_state=0, reg_covar=0, tol=1e-5).fit(X * 2.0**exponent)
    np.testing.assert_allclose(scaled.means_, plain.means_ * 2.0**exponent, rtol=1e-9)
    np.testing.assert_allclose(scaled.covariances_, plain.covariances_ * 4.0**exponent, rtol=1e-9)


@pytest.mark.parametrize("unit, beyond", [
    (1e30, {"covariances_", "precisions_"}), (1e-30, {"covariances_", "precisions_"}), (1.0, set()),
    (1e-22, {"covariances_", "precisions_"}),  # which float32 would hold, but with a few digits
])
def test_what_float32_cannot_hold_stays_float64(unit, beyond):
    rows = (X * unit).astype(np.float32)
    gm = GaussianMixture(2, random_state=0, reg_covar=0).fit(rows)
    same = GaussianMixture(2, random_state=0, reg_covar=0).fit(rows.astype(np.float64))
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(gm, name).dtype == (np.float64 if name in beyond else np.float32), name
        np.testing.assert_allclose(getattr(gm, name), getattr(same, name), rtol=1e-4)
    assert_array_equal(gm.predict(rows), same.predict(rows))


def test_a_whole_number_beyond_double_in_a_table_names_its_row_and_column():
    pd = pytest.importorskip("pandas")  # polars and pyarrow have no such numbers
    assert_refused(fitted(), ValueError, "at row 1, column 'count'", pd.DataFrame({"size": [1.0, 2.0, 3.0], "count": [1, 10**400, 3]}))


@pytest.mark.parametrize("count, sentence", [
    (np.inf, "n_samples must be a finite number of rows"), (np.float32("inf"), "n_samples must be a finite"), (np.nan, "at least one sample"),
    (10**400, "(401 characters) rows of 2 numbers"), (1e30, "rows of 2 numbers: draw fewer"),
    (2**62, "no array can have 4611686018427387904 rows"),
])
def test_how_many_to_sample(count, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        fitted().sample(count)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arguments, sentence", [
    (([1], [[10**400]], [[[1]]]), "means must be real numbers"), (([1e308, 1e308], np.zeros((2, 1)), np.ones((2, 1, 1))), "they sum to inf"),
    (([1], [[0, 0]], [[[1.7e308, 1.7e308], [-1.7e308, 1.7e308]]]), "covariances[0] is not symmetric"),
])
def test_a_mixture_of_numbers_at_the_end_of_the_range(arguments, sentence):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=re.escape(sentence)):
            Mixture(*arguments)


def test_any_whole_number_of_iterations_serves(capsys):
    """Also one that no double holds, and that a bar cannot show."""
    fits = [GaussianMixture(2, random_state=0, max_iter=10**400, **shown).fit(X) for shown in ({}, {"verbose": 2}, {"progress": True})]
    assert len({fit.n_iter_ for fit in fits}) == 1 and fits[0].converged_


def test_a_lazy_table_is_told_to_collect():
    pl = pytest.importorskip("polars")
    with pytest.raises(TypeError, match=r"X.collect\(\)"):
        fitted().mixture_.logpdf(pl.DataFrame({"a": X[:, 0], "b": X[:, 1]}).lazy())


def test_a_path_is_told_to_read_the_file():
    with pytest.raises(TypeError, match="X is a path, where rows in memory are needed: read the file first"):
        fitted().mixture_.logpdf("rows.csv")


def test_set_params_refuses_a_wrong_name_and_sets_nothing():
    gm = GaussianMixture(2)
    with pytest.raises(ValueError, match="Invalid parameter 'n_clusters'"):
        gm.set_params(n_components=5, n_clusters=3)
    assert gm.n_components == 2


def test_errors_can_be_caught_as_scikit_learns_without_it():
    """scikit-learn's classes of these names derive from the same built-in ones."""
    from gaussmix.exceptions import InvalidParameterError, NotFittedError
    assert issubclass(InvalidParameterError, ValueError) and issubclass(InvalidParameterError, TypeError)
    assert issubclass(NotFittedError, ValueError) and issubclass(NotFittedError, AttributeError)


@pytest.mark.parametrize("column, kind", [
    (lambda pl: pl.Series("b", [[1.0, 2.0]] * 4, dtype=pl.Array(pl.Float64, 2)), "Array"), (lambda pl: pl.Series("b", [[1.0]] * 4), "List"),
    (lambda pl: pl.Series("b", [{"x": 1}] * 4), "Struct"), (lambda pl: pl.Series("b", [1, 2, 3, 4]).cast(pl.Date), "Date"),
    (lambda pl: pl.Series("b", [1, 2, 3, 4]).cast(pl.Duration), "Duration")])
def test_columns_of_polars_that_hold_no_numbers(column, kind):
    pl = pytest.importorskip("polars")
    table = pl.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]}).with_columns(column(pl))
    with pytest.raises(TypeError, match=f"X must hold numbers only, but column 'b' holds {kind}.*: leave it out or code it as numbers"):
        GaussianMixture(2).fit(table)


@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_a_column_of_lists(library):
    columns = {"a": [1.0, 2.0, 3.0], "b": [[1.0, 2.0], [3.0], [4.0, 5.0]]}
    module = pytest.importorskip(library)
    table = module.DataFrame(columns) if library == "pandas" else module.table(columns)
    with pytest.raises(TypeError, match="X must hold numbers only, but column 'b' holds several values a row: make a column of each"):
        GaussianMixture(2).fit(table)
