"""Rows that are not in memory: every source gives the bits of the array, and every failure says where."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from gaussmix import GaussianMixture, select
from gaussmix.blocks import Blocks, block_bounds
from gaussmix.sources import RowBlock, Source, SourceError, is_source, open_source
from gaussmix.sources.ahead import ahead
from gaussmix.sources.rows import SourceRows, recut
from gaussmix.sources.survey import surveyed

NAMES = list("abcd")


def rows_of(n=30_000, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 4)) + rng.choice([0.0, 5.0, 9.0], size=(n, 1))


X = rows_of()
TABLE = pa.table(dict(zip(NAMES, X.T)))


class Pieces(Source):
    """Rows in memory, in blocks of given sizes; `wrong` changes a block."""

    name = "pieces"

    def __init__(self, rows, size=777, wrong=lambda number, block: block, **parts):
        self.rows, self.size, self.wrong, self.parts = rows, size, wrong, parts
        self.n_features = rows.shape[1]
        self.n_passes = 0

    def blocks(self):
        self.n_passes += 1
        for number, start in enumerate(range(0, len(self.rows), self.size)):
            stop = start + self.size
            block = self.rows[start:stop]
            if self.parts:
                block = RowBlock(block, **{name: part[start:stop] for name, part in self.parts.items()})
            yield self.wrong(number, block)


class Loader:
    """What other libraries' loaders look like: it can be iterated anew, and has a length."""

    def __iter__(self):
        return (X[start:start + 1000] for start in range(0, len(X), 1000))

    def __len__(self):
        return len(X) // 1000


def npy(folder):
    np.save(folder / "rows.npy", X)
    return folder / "rows.npy"


def npy_list(folder):
    np.save(folder / "one.npy", X[:11_111])
    np.save(folder / "two.npy", X[11_111:])
    return [str(folder / "one.npy"), str(folder / "two.npy")]


def by_columns(folder):
    np.save(folder / "rows.npy", np.asfortranarray(X))
    return str(folder / "rows.npy")


def memory_map(folder):
    return np.load(npy(folder), mmap_mode="r")


def parquet(folder):
    pq.write_table(TABLE, folder / "rows.parquet", row_group_size=7_001)
    return folder / "rows.parquet"


def parquet_folder(folder):
    (folder / "rows").mkdir()
    pq.write_table(TABLE.slice(0, 12_345), folder / "rows" / "1.parquet")
    pq.write_table(TABLE.slice(12_345), folder / "rows" / "2.parquet")
    return str(folder / "rows")


def csv(folder):
    pyarrow.csv.write_csv(TABLE, folder / "rows.csv")
    return folder / "rows.csv"


def packed_csv(folder):
    with pa.CompressedOutputStream(str(folder / "rows.csv.gz"), "gzip") as file:
        pyarrow.csv.write_csv(TABLE, file)
    return folder / "rows.csv.gz"


def dataset(folder):
    return pyarrow.dataset.dataset(parquet(folder))


def lazy_frame(folder):
    polars = pytest.importorskip("polars")
    if not hasattr(polars.LazyFrame, "collect_batches"):
        pytest.skip("this polars cannot give batches of a query")
    return polars.scan_parquet(parquet(folder))


def reader(folder):
    return TABLE.to_reader(max_chunksize=999)


def hdf5(folder):
    h5py = pytest.importorskip("h5py")
    file = h5py.File(folder / "rows.h5", "w")
    return file.create_dataset("rows", data=X, chunks=(1000, 4))


def zarr(folder):
    array = pytest.importorskip("zarr").create_array(store=folder / "rows.zarr", shape=X.shape, dtype="f8", chunks=(1000, 4))
    array[:] = X
    return array


def loader(folder):
    return Loader()


def arrow_table(folder):
    return TABLE


def own_source(folder):
    return Pieces(X)


SOURCES = [npy, npy_list, by_columns, memory_map, parquet, parquet_folder, csv, packed_csv, dataset, lazy_frame, reader, hdf5, zarr, loader,
           arrow_table, own_source]
each_source = pytest.mark.parametrize("made", SOURCES, ids=lambda made: made.__name__)


def model(**parameters):
    return GaussianMixture(3, random_state=0, max_iter=4, tol=0, **parameters)


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def in_memory():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model().fit(X)


@each_source
@pytest.mark.parametrize("n_threads", [1, 2])
def test_every_source_gives_the_bits_of_the_array(made, n_threads, tmp_path, in_memory, quiet):
    source = made(tmp_path)
    fitted = model(n_threads=n_threads).fit(source)
    assert fitted.mixture_ == in_memory.mixture_
    assert fitted.history_ == in_memory.history_


@pytest.mark.parametrize("made", [one for one in SOURCES if one is not reader], ids=lambda made: made.__name__)
def test_what_a_mixture_answers_is_the_same(made, tmp_path, quiet):
    source = made(tmp_path)
    fitted = model().fit(source)
    rows = X if not hasattr(fitted, "feature_names_in_") else pd.DataFrame(X, columns=NAMES)
    for name in ("predict", "predict_proba", "score_samples"):
        given, expected = getattr(fitted, name)(source), getattr(fitted, name)(rows)
        assert given.dtype == expected.dtype
        np.testing.assert_array_equal(given, expected)
    for name in ("score", "bic", "aic", "icl"):
        assert getattr(fitted, name)(source) == pytest.approx(getattr(fitted, name)(rows), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, ">f8"])
def test_other_number_types(dtype, tmp_path, quiet):
    rows = (10 * X).astype(dtype)
    np.save(tmp_path / "rows.npy", rows)
    fitted, expected = model().fit(str(tmp_path / "rows.npy")), model().fit(rows)
    assert fitted.mixture_ == expected.mixture_
    assert fitted.means_.dtype == expected.means_.dtype


def test_float32_columns_of_a_parquet_file_stay_float32(tmp_path, quiet):
    single = X.astype(np.float32)
    pq.write_table(pa.table(dict(zip(NAMES, single.T))), tmp_path / "rows.parquet")
    fitted = model().fit(tmp_path / "rows.parquet")
    assert fitted.mixture_ == model().fit(single).mixture_
    assert fitted.means_.dtype == np.float32


def test_weights_as_an_array_and_as_a_column(tmp_path, quiet):
    weights = np.random.default_rng(1).integers(0, 4, len(X)) / 8
    expected = model().fit(X[weights > 0], sample_weight=weights[weights > 0])
    pq.write_table(TABLE.append_column("w", pa.array(weights)), tmp_path / "rows.parquet")
    of_column = open_source(tmp_path / "rows.parquet", sample_weight="w")
    assert of_column.columns == NAMES
    for fitted in (model().fit(of_column), model().fit(Pieces(X), sample_weight=weights),
                   model().fit(Pieces(X, sample_weight=weights))):
        np.testing.assert_allclose(fitted.means_, expected.means_, rtol=1e-10)
        np.testing.assert_allclose(fitted.covariances_, expected.covariances_, rtol=1e-9, atol=1e-12)
        assert fitted.score(of_column) == pytest.approx(expected.score(X, sample_weight=weights), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_weights_of_any_scale(scale, quiet):
    weights = np.random.default_rng(1).random(len(X))
    expected = model().fit(X, sample_weight=weights)
    fitted = model().fit(Pieces(X, sample_weight=scale * weights))
    np.testing.assert_allclose(fitted.means_, expected.means_, rtol=1e-10)


def test_labels_and_responsibilities_of_the_source(tmp_path, quiet):
    labels = np.random.default_rng(2).integers(0, 3, len(X))
    shares = np.random.default_rng(3).dirichlet(np.ones(3), len(X))
    table = TABLE.append_column("label", pa.array(labels))
    for k in range(3):
        table = table.append_column(f"r{k}", pa.array(shares[:, k]))
    pq.write_table(table, tmp_path / "rows.parquet")
    pyarrow.csv.write_csv(table, tmp_path / "rows.csv")
    for path in ("rows.parquet", "rows.csv"):
        own = open_source(tmp_path / path, labels="label", responsibilities=["r0", "r1", "r2"])
        assert own.columns == NAMES
        assert model(init_params="labels").fit(own).mixture_ == model(init_params=labels).fit(X).mixture_
        assert model(init_params="responsibilities").fit(own).mixture_ == model(init_params=shares).fit(X).mixture_
    assert model(init_params=labels).fit(Pieces(X)).mixture_ == model(init_params=labels).fit(X).mixture_
    assert model(init_params=shares).fit(Pieces(X)).mixture_ == model(init_params=shares).fit(X).mixture_


@pytest.mark.parametrize("parts, what", [
    ({}, r"pieces: block 0, row 0: has no labels"),
    ({"labels": np.arange(len(X)) % 4}, r"pieces: block 0, row 3: the label is 3; labels must be whole numbers from 0 to 2"),
    ({"labels": np.full(len(X), 0.5)}, r"pieces: block 0, row 0: the label is 0.5")])
def test_wrong_labels_are_told_of(parts, what):
    with pytest.raises(SourceError, match=what):
        model(init_params="labels").fit(Pieces(X, **parts))


@pytest.mark.parametrize("shares, what", [
    (np.full((len(X), 2), 0.5), "has 2 responsibilities a row, not 3"),
    (np.full((len(X), 3), 0.5), r"block 0, row 0: the responsibilities of the row are negative or do not sum to one")])
def test_wrong_responsibilities_are_told_of(shares, what):
    with pytest.raises(SourceError, match=what):
        model(init_params="responsibilities").fit(Pieces(X, responsibilities=shares))


def test_own_starts_are_for_sources():
    with pytest.raises(ValueError, match="init_params='labels' is for a source that has labels of its own"):
        model(init_params="labels").fit(X)


def test_columns_and_rows_can_be_chosen(tmp_path, quiet):
    path = parquet(tmp_path)
    chosen = open_source(path, columns=["c", "a"], filter=pyarrow.compute.field("b") > 4)
    rows = X[X[:, 1] > 4][:, [2, 0]]
    fitted = model().fit(chosen)
    assert list(fitted.feature_names_in_) == ["c", "a"]
    expected = model().fit(rows)
    assert fitted.mixture_ == expected.mixture_
    np.testing.assert_array_equal(fitted.predict(path), fitted.predict(pd.DataFrame(X, columns=NAMES)[["c", "a"]]))


def test_rows_of_csv_can_be_chosen_by_any_column(tmp_path, quiet):
    path = str(tmp_path / "rows.csv.gz")
    frame = pd.DataFrame(X, columns=NAMES)
    frame.insert(1, "kind", np.where(np.arange(len(X)) % 3 == 0, "third", "other"))
    frame.to_csv(path, index=False)
    field = pyarrow.compute.field
    chosen = open_source(path, columns=["c", "a"], filter=(field("kind") == "third") & (field("b") > 4))
    rows = X[(np.arange(len(X)) % 3 == 0) & (X[:, 1] > 4)][:, [2, 0]]
    np.testing.assert_array_equal(np.concatenate([block.rows for block in chosen.blocks()]), rows)
    assert model().fit(chosen).mixture_ == model().fit(rows).mixture_


@pytest.mark.parametrize("text, what", [("1,2\n3,4\n", "has no header, so that filter cannot name its columns"),
                                        ("a,a,b\n3,4,5\n", "two columns have the name .a.")])
def test_a_filter_needs_names(tmp_path, text, what):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=what):
        open_source(path, columns=["b"], filter=pyarrow.compute.field("a") > 2)


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_a_filter_is_an_expression(tmp_path, name):
    path = tmp_path / name
    path.write_text("a,b\n3,4\n")
    with pytest.raises(TypeError, match=r"filter must be an expression of pyarrow, such as pyarrow.compute.field\('mass'\) > 3, not 'a > 0'"):
        open_source(path, filter="a > 0")


def test_a_filter_of_a_column_that_is_not_there_is_told_of(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n3,4\n")
    with pytest.raises(SourceError, match=r"rows.csv.*could not be read.*z"):
        model().fit(open_source(path, filter=pyarrow.compute.field("z") > 2))


def test_a_start_of_many_rows_is_made_from_a_sample(quiet):
    sampled = GaussianMixture(3, random_state=0, start_sample=2_000, tol=1e-9, max_iter=500).fit(Pieces(X, 501))
    other = GaussianMixture(3, random_state=0, start_sample=2_000, tol=1e-9, max_iter=500).fit(Pieces(X, 7_000))
    whole = GaussianMixture(3, random_state=0, tol=1e-9, max_iter=500).fit(X)
    assert sampled.mixture_ == other.mixture_  # however the rows are cut
    assert sampled.score(X) == pytest.approx(whole.score(X), abs=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_sample_is_drawn_evenly(weighted):
    rows = np.arange(10_000.0)[:, None]
    weights = (np.arange(10_000) % 2).astype(float) if weighted else None
    drawn = np.concatenate([surveyed(Pieces(rows, 333), weights, 500, seed).sample[:, 0] for seed in range(40)])
    assert len(drawn) == 40 * 500
    if weighted:
        assert (drawn % 2 == 1).all()
    counts = np.histogram(drawn, 10, (0, 10_000))[0]
    assert ((counts - 2_000) ** 2 / 2_000).sum() < 28  # χ² with 9 degrees of freedom, 1 in 1,000


def test_the_sample_is_without_replacement_and_in_order():
    sample = surveyed(Pieces(np.arange(5_000.0)[:, None], 77), None, 600, 3).sample[:, 0]
    assert len(sample) == 600
    assert (np.diff(sample) > 0).all()


def test_a_search_goes_on_with_all_rows(quiet):
    found = GaussianMixture(3, n_init="auto", random_state=0, start_sample=1_000).fit(Pieces(X))
    whole = GaussianMixture(3, n_init="auto", random_state=0).fit(X)
    assert found.score(X) == pytest.approx(whole.score(X), abs=1e-5)
    assert found.search_.n_starts > 1
    at_hand = GaussianMixture(3, n_init="auto", random_state=0).fit(Pieces(X))
    assert at_hand.mixture_ == whole.mixture_


def test_select_from_a_source(tmp_path, quiet):
    expected = select(X, [2, 3], ("full", "diag"), n_init=1, random_state=0)
    found = select(parquet(tmp_path), [2, 3], ("full", "diag"), n_init=1, random_state=0)
    for one, other in zip(found.candidates, expected.candidates):
        assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-12)
        assert (one.n_components, one.covariance_type, one.n_parameters) == (other.n_components, other.covariance_type, other.n_parameters)
    assert found.best.mixture_ == expected.best.mixture_


def test_reg_covar_auto_and_constant_features(quiet):
    rows = np.column_stack([X, np.full(len(X), 3.0)])
    assert model(reg_covar="auto").fit(Pieces(rows)).mixture_ == model(reg_covar="auto").fit(rows).mixture_


def test_float32_densities_that_need_a_wider_type(quiet):
    rows = (X * 1e-9).astype(np.float32)
    assert model(reg_covar=0).fit(Pieces(rows)).mixture_ == model(reg_covar=0).fit(rows).mixture_


def test_fit_predict(quiet):
    np.testing.assert_array_equal(model().fit_predict(Pieces(X)), model().fit_predict(X))


# Where answers go.

@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".csv"])
def test_answers_are_written_to_files(suffix, tmp_path, in_memory, quiet):
    source = npy(tmp_path)
    for name, width in (("predict", 1), ("predict_proba", 3), ("score_samples", 1)):
        out, expected = tmp_path / f"out{suffix}", getattr(in_memory, name)(X)
        assert getattr(in_memory, name)(source, out=out) is out
        if suffix == ".npy":
            np.testing.assert_array_equal(np.load(out), expected)
        else:
            table = pq.read_table(out).to_pandas() if suffix == ".parquet" else pd.read_csv(out, float_precision="round_trip")
            np.testing.assert_array_equal(table.to_numpy().reshape(expected.shape), expected)
            assert len(table.columns) == width


def test_answers_are_written_to_arrays_and_memory_maps(tmp_path, in_memory):
    source, expected = npy(tmp_path), in_memory.predict_proba(X)
    mapped = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", float, expected.shape)
    assert in_memory.predict_proba(source, out=mapped) is mapped
    mapped.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)
    array = np.empty(len(X), np.int8)
    in_memory.predict(X, out=array)
    np.testing.assert_array_equal(array, in_memory.predict(X))
    in_memory.predict(source, out=array)
    np.testing.assert_array_equal(array, in_memory.predict(X))


@pytest.mark.parametrize("shape", [(len(X) - 1,), (len(X) + 1,), (len(X), 2)])
def test_an_array_of_another_shape_is_refused(shape, tmp_path, in_memory):
    for given in (X, npy(tmp_path)):
        with pytest.raises(ValueError, match="out"):
            in_memory.predict(given, out=np.empty(shape, int))


def test_no_file_is_left_where_the_source_fails(tmp_path, in_memory):
    broken = Pieces(X, wrong=lambda number, block: block if number < 12 else block * np.nan)
    (tmp_path / "out.npy").write_bytes(b"earlier")
    with pytest.raises(SourceError, match="pieces: block 12, row 9,324: column 0 holds NaN"):
        in_memory.predict(broken, out=tmp_path / "out.npy")
    assert (tmp_path / "out.npy").read_bytes() == b"earlier"
    assert os.listdir(tmp_path) == ["out.npy"]


def test_sample_to_a_file(tmp_path, in_memory):
    out = tmp_path / "rows.parquet"
    assert in_memory.sample(200_000, out=out) is out
    rows = np.column_stack([column.to_numpy() for column in pq.read_table(out).columns])
    assert rows.shape == (200_000, 4)
    np.testing.assert_allclose(rows.mean(axis=0), in_memory.mixture_.mean, atol=0.05)
    np.testing.assert_allclose(np.cov(rows.T), in_memory.mixture_.cov, atol=0.2)


# What goes wrong.

def test_a_one_shot_iterator_is_refused():
    for once in (iter([X]), (block for block in [X]), map(np.asarray, [X])):
        with pytest.raises(TypeError, match="one-shot iterator.*partial_fit"):
            model().fit(once)


def test_what_is_a_source():
    assert is_source("file") and is_source(["a", "b"]) and is_source(Loader()) and is_source(Pieces(X))
    for table in ([[1.0]], X, pd.DataFrame(X), {"a": 1}, {1.0}, range(3), None, 1.0, [], np.ma.masked_array(X), [["a"]], pa.table({"a": [1]})):
        assert not is_source(table)


@pytest.mark.parametrize("wrong, what", [
    (lambda block: np.where(np.arange(4) == 2, np.nan, block), r"pieces: block 17, row 13,209: column 2 holds NaN"),
    (lambda block: block[:, :3], r"pieces: block 17, row 13,209: the block has 3 columns, but the source has 4"),
    (lambda block: block + 1j, r"pieces: block 17, row 13,209: Complex data not supported"),
    (lambda block: "text", r"pieces: block 17, row 13,209: .*TypeError"),
    (lambda block: 1 / 0, r"pieces: block 17, row 13,209: ZeroDivisionError: division by zero"),
    (lambda block: block * 1e300, r"pieces: block 17, row 13,209: column 0 holds .*too large")])
def test_a_bad_block_is_told_of(wrong, what):
    fitted = model()
    with pytest.raises(SourceError, match=what) as caught:
        fitted.fit(Pieces(X, wrong=lambda number, block: wrong(block) if number == 17 else block))
    assert (caught.value.source, caught.value.block, caught.value.row) == ("pieces", 17, 17 * 777)
    assert caught.value.mixture is None
    assert not hasattr(fitted, "means_")


class Later(Pieces):
    """Is as it should be in the first passes only."""

    def __init__(self, rows, wrong, from_pass):
        super().__init__(rows, wrong=lambda number, block: wrong(number, block) if self.n_passes >= from_pass else block)


@pytest.mark.parametrize("wrong, what", [
    (lambda number, block: np.full_like(block, np.nan) if number == 3 else block, r"pieces: block 3, row 3,000: gives other rows"),
    (lambda number, block: np.where(np.arange(len(block))[:, None] == 5, np.nan, block) if number == 3 else block,
     r"pieces: block 3, row 2,336: column 0 holds NaN"),
    (lambda number, block: block[:-1] if number == 3 else block, r"pieces: row 29,999: gives 29,999 rows in this pass, but gave 30,000"),
    (lambda number, block: np.concatenate([block, block]) if number == 3 else block, r"gives more rows in this pass than the 30,000"),
    (lambda number, block: block[::-1] if number == 3 else block, r"pieces: block 3, row 3,000: gives other rows than in the first pass"),
    (lambda number, block: 1 / 0 if number == 3 else block, r"pieces: block 3, row 2,331: ZeroDivisionError")])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_what_goes_wrong_in_a_later_pass_ends_the_fit_with_the_last_iteration(wrong, what, n_threads):
    start = dict(weights_init=[0.3, 0.4, 0.3], means_init=np.array([[0.0] * 4, [5.0] * 4, [9.0] * 4]), precisions_init=[np.eye(4)] * 3)
    broken = Later(X, wrong, from_pass=5)  # the first two count the rows and take variances, and two iterations go well
    with pytest.raises(SourceError, match=what) as caught:
        model(n_threads=n_threads, **start).fit(broken)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        two = GaussianMixture(3, random_state=0, max_iter=2, tol=0, **start).fit(X)
    assert caught.value.n_iter == 2
    assert caught.value.mixture == two.mixture_
    assert threading.active_count() == 1 or not [one for one in threading.enumerate() if one.name.startswith("gaussmix")]


@pytest.mark.parametrize("made, damage", [
    (npy, lambda path: os.truncate(path, os.path.getsize(path) - 1000)),
    (npy, lambda path: os.utime(path, (1, 1))),
    (parquet, lambda path: os.utime(path, (1, 1))),
    (csv, lambda path: path.write_text(path.read_text() + "1,2,3,4\n"))])
def test_a_file_that_changes_between_passes_ends_the_fit(made, damage, tmp_path):
    path = made(tmp_path)

    def change(iteration, log_likelihood, mixture):
        if iteration == 2:
            damage(path)

    with pytest.raises(SourceError, match=f"{path.name}: has changed since the first pass") as caught:
        model(callback=change).fit(path)
    assert caught.value.n_iter == 2
    assert caught.value.mixture is not None


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing.npy"):
        model().fit(tmp_path / "missing.npy")
    path = npy(tmp_path)
    os.truncate(path, os.path.getsize(path) - 1000)
    with pytest.raises(SourceError, match=r"rows.npy: block 0, row 29,968: the file ends here"):
        model().fit(path)
    (tmp_path / "text.npy").write_text("text")
    with pytest.raises(ValueError, match="text.npy: is not a .npy file"):
        model().fit(tmp_path / "text.npy")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(ValueError, match="text.parquet: is not a Parquet file"):
        model().fit(tmp_path / "text.parquet")
    (tmp_path / "words.csv").write_text("a,b\n1,2\n3,x\n")
    with pytest.raises(SourceError, match="words.csv: line 3, column 'b': 'x' is not a number"):
        model().fit(tmp_path / "words.csv")
    pq.write_table(pa.table({"a": [1.0, 2.0], "b": ["x", "y"]}), tmp_path / "words.parquet")
    with pytest.raises(ValueError, match="words.parquet: column 2, 'b', does not hold numbers, but string"):
        model().fit(tmp_path / "words.parquet")
    pq.write_table(pa.table({"a": [1.0, None, 2.0]}), tmp_path / "missing.parquet")
    with pytest.raises(SourceError, match="missing.parquet: block 0, row 1: column 0 holds NaN"):
        model().fit(tmp_path / "missing.parquet")
    with pytest.raises(ValueError, match="all files of a source must be of one kind"):
        open_source([tmp_path / "words.csv", tmp_path / "words.parquet"])
    np.save(tmp_path / "wide.npy", np.zeros((3, 5)))
    np.save(tmp_path / "narrow.npy", np.zeros((3, 4)))
    with pytest.raises(SourceError, match="narrow.npy: has 4 columns, but .*wide.npy has 5"):
        open_source([tmp_path / "wide.npy", tmp_path / "narrow.npy"])


@pytest.mark.parametrize("weights, what", [
    (np.ones(len(X) - 1), "one weight a row"), (np.ones(len(X) + 1), "one weight a row"), (np.zeros(len(X)), "zero for every row"),
    (np.full(len(X), np.nan), r"sample_weight\[0\] is nan"), (-np.ones(len(X)), "must not be negative")])
def test_wrong_weights_are_refused(weights, what):
    with pytest.raises(ValueError, match=what):
        model().fit(Pieces(X), sample_weight=weights)
    if np.shape(weights) == (len(X),):
        with pytest.raises(ValueError, match="sample_weight"):
            model().fit(Pieces(X, sample_weight=weights))


def test_too_few_rows(tmp_path):
    with pytest.raises(ValueError, match="pieces: has no rows"):
        model().fit(Pieces(X[:0]))
    with pytest.raises(ValueError, match="n_components = 3, n_samples = 2"):
        model().fit(Pieces(X[:2]))
    with pytest.raises(ValueError, match="one weight a row"):
        model().fit(Pieces(X), sample_weight=2.0)


# Blocks and reading ahead.

@pytest.mark.parametrize("n, sizes", [(1, [1]), (10, [3, 3, 4]), (10, [10]), (10, [1] * 10), (1000, [999, 1])])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_recut(n, sizes, step):
    rows = np.arange(2.0 * n).reshape(n, 2)
    ends = np.cumsum(sizes).tolist()
    bounds = list(zip([0, *ends[:-1]], ends))
    blocks = [RowBlock(rows[start:start + step], labels=np.arange(n)[start:start + step]) for start in range(0, n, step)]
    found = list(recut(iter(blocks), bounds, "x"))
    assert [len(block.rows) for block in found] == sizes
    np.testing.assert_array_equal(np.concatenate([block.rows for block in found]), rows)
    np.testing.assert_array_equal(np.concatenate([block.labels for block in found]), np.arange(n))


def test_blocks_are_those_of_an_array():
    source = Pieces(X, 1234)
    rows = SourceRows(source, surveyed(source, None, 10, 0), 3)
    blocks = Blocks(X, 3)
    for piece, (start, stop) in zip(rows.pieces(), block_bounds(len(X), 4, 3)):
        block = rows.block(piece)
        np.testing.assert_array_equal(block.rows.array, blocks.block(block.index).rows.array)
        assert (block.start, block.start + len(block.rows.array)) == (start, stop)


def test_reading_ahead_gives_all_items_and_the_error():
    assert list(ahead(iter(range(100)))) == list(range(100))
    assert list(ahead(iter([]))) == []

    def failing():
        yield 1
        raise OSError("broken")

    drawn = ahead(failing())
    assert next(drawn) == 1
    with pytest.raises(OSError, match="broken"):
        next(drawn)


def test_reading_ahead_ends_where_nobody_wants_more():
    closed = []

    def endless():
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    drawn = ahead(endless())
    next(drawn)
    drawn.close()
    del drawn
    gc.collect()
    assert closed == [True]
    assert not [thread for thread in threading.enumerate() if thread.name == "gaussmix_reader"]


def test_a_temporary_copy_of_a_reader_is_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    source = open_source(TABLE.to_reader())
    assert len(os.listdir(tmp_path)) == 1
    del source
    gc.collect()
    assert os.listdir(tmp_path) == []


# What a review found.

class Listed(Source):
    name, n_features = "listed", 4

    def __init__(self, *blocks):
        self.given = blocks

    def blocks(self):
        return iter(self.given)


def test_a_loader_may_use_its_memory_again(quiet):
    class Refilled:
        def __iter__(self):
            memory = np.empty((500, 4))
            for start in range(0, len(X), 500):
                memory[...] = X[start:start + 500]
                yield memory

    assert model().fit(Refilled()).mixture_ == model().fit(X).mixture_
    np.testing.assert_array_equal(model().fit(X).predict(Refilled()), model().fit(X).predict(X))


def test_rows_of_several_types(tmp_path, quiet):
    single = X.astype(np.float32)
    mixed = Listed(single[:20_000], X[20_000:], single[:10_000])
    fitted = model().fit(mixed)
    assert fitted.means_.dtype == np.float64
    of_single = model().fit(single)
    mixed = Listed(np.tile(single, (5, 1)), np.tile(X, (5, 1)))
    expected = of_single.predict_proba(mixed)
    of_single.predict_proba(mixed, out=tmp_path / "out.npy")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-6, atol=1e-30)
    of_single.predict_proba(mixed, out=tmp_path / "out.parquet")


@pytest.mark.parametrize("blocks, what", [
    ((X[:10], None, X[10:]), "block 1, row 10: "),
    ((RowBlock(X[:10], responsibilities=np.ones((12, 1))), RowBlock(X[10:], responsibilities=np.ones((len(X) - 12, 1)))),
     "block 0, row 0: the block has 10 rows, but responsibilities of 12"),
    ((RowBlock(X[:10], labels=np.zeros(10, int)), RowBlock(X[10:])), "block 1, row 10: some blocks have labels and others have not"),
    ((RowBlock(X[:10]), RowBlock(X[10:], np.ones(len(X) - 10))), "block 1, row 10: some blocks have sample_weight and others have not"),
    ((RowBlock(X, np.ones(3)),), r"block 0, row 0: sample_weight must be one number a row, shape \(30000,\)")])
def test_blocks_that_do_not_go_together(blocks, what, quiet):
    for act in (model().fit, model().fit(X[:100]).score):
        with pytest.raises(SourceError, match="listed: " + what):
            act(Listed(*blocks))


def test_tables_as_blocks_must_have_the_same_columns(quiet):
    table = pd.DataFrame(X, columns=NAMES)

    class Tables:
        def __init__(self, *tables):
            self.tables = tables

        def __iter__(self):
            return iter(self.tables)

    fitted = model().fit(Tables(table[:1_000], table[1_000:]))
    assert list(fitted.feature_names_in_) == NAMES
    with pytest.raises(SourceError, match=r"block 1, row 1,000: the block has the columns \['b', 'a', 'c', 'd'\]"):
        model().fit(Tables(table[:1_000], table[1_000:][["b", "a", "c", "d"]]))


def test_csv_files_must_have_the_same_columns(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,10\n2,20\n3,31\n")
    (tmp_path / "b.csv").write_text("y,x\n10,1\n20,2\n31,3\n")
    (tmp_path / "c.csv").write_text("10,1\n20,2\n31,3\n")
    for other in ("b.csv", "c.csv"):
        with pytest.raises(ValueError, match=f"{other}: has other columns than .*a.csv"):
            GaussianMixture().fit([tmp_path / "a.csv", tmp_path / other])


@pytest.mark.parametrize("weights, what", [(-np.ones(len(X)), "sample_weight is -1"), (np.full(len(X), np.nan), "sample_weight is nan"),
                                           (np.zeros(len(X)), "zero for every row")])
def test_weights_of_a_source_are_checked_in_questions_too(weights, what, in_memory):
    for name in ("score", "bic", "icl"):
        with pytest.raises(ValueError, match=what):
            getattr(in_memory, name)(Pieces(X, sample_weight=weights))


def test_both_weights_and_one_for_all(in_memory):
    with pytest.raises(ValueError, match="give sample_weight or the source's, not both"):
        in_memory.score(Pieces(X, sample_weight=np.ones(len(X))), sample_weight=np.ones(len(X)))
    assert in_memory.bic(Pieces(X), sample_weight=2.0) == pytest.approx(in_memory.bic(X, sample_weight=np.full(len(X), 2.0)), rel=1e-12)


def test_weights_in_single_precision_of_any_scale(quiet):
    single, weights = X.astype(np.float32), np.random.default_rng(1).random(len(X))
    expected = model().fit(single, sample_weight=weights)
    for scale in (1e-60, 1e60):
        np.testing.assert_allclose(model().fit(Pieces(single, sample_weight=scale * weights)).means_, expected.means_, rtol=1e-4)


def test_a_generator_of_random_numbers_is_used_as_for_rows_in_memory(quiet):
    fits = [GaussianMixture(3, random_state=np.random.default_rng(5), max_iter=3).fit(rows) for rows in (X, Pieces(X))]
    assert fits[0].mixture_ == fits[1].mixture_


def test_a_dataset_on_another_file_system(tmp_path, quiet):
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    path = parquet(tmp_path)
    source = pyarrow.dataset.dataset(path.name, filesystem=SubTreeFileSystem(str(tmp_path), LocalFileSystem()))
    assert model().fit(source).mixture_ == model().fit(X).mixture_

    def change(iteration, log_likelihood, mixture):
        os.utime(path, (1, 1))

    with pytest.raises(SourceError, match="has changed since the first pass"):
        model(callback=change).fit(source)


def test_a_reader_is_asked_several_questions_at_once(in_memory, quiet):
    assert in_memory.icl(TABLE.to_reader()) == pytest.approx(in_memory.icl(X), rel=1e-12)
    assert "ICL" in in_memory.summary(TABLE.to_reader())


def test_csv_is_compressed_or_not_whatever_its_name_says(tmp_path, quiet):
    packed = packed_csv(tmp_path).rename(tmp_path / "packed.csv")
    plain = csv(tmp_path).rename(tmp_path / "file:plain.csv.gz")
    for path in (packed, plain):
        assert model().fit(path).mixture_ == model().fit(X).mixture_


def test_a_parquet_file_of_an_unusual_name_and_a_folder_with_other_files(tmp_path, quiet):
    path = parquet(tmp_path).rename(tmp_path / "s3:rows.parquet")
    assert model().fit(path).mixture_ == model().fit(X).mixture_
    state = tmp_path / "fit.state"
    first = model().fit(tmp_path, checkpoint=state)
    assert model().fit(tmp_path, checkpoint=state).mixture_ == first.mixture_


def test_a_column_of_words_is_told_of_by_name(tmp_path):
    (tmp_path / "words.csv").write_text("a,word\n" + "1,x\n" * 100)
    with pytest.raises(ValueError, match="words.csv: column 2, 'word', holds words, as 'x' in line 2"):
        model().fit(tmp_path / "words.csv")


def test_an_error_while_answers_are_written_leaves_no_thread(quiet):
    """Also where the error, and with it its traceback, is kept."""
    long = np.tile(X, (10, 1))
    kept = []
    for out in (np.empty(5, int), np.empty(len(long) + 1, int)):
        try:
            model().fit(X).predict(Pieces(long, 70_000), out=out)
        except ValueError as error:
            kept.append(error)
    assert len(kept) == 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gaussmix")]


def test_fit_predict_that_fails_at_the_end_changes_nothing():
    failing = Later(X, lambda number, block: 1 / 0 if number == 3 else block, from_pass=7)
    fresh = model()
    with pytest.raises(SourceError):
        fresh.fit_predict(failing)
    assert not hasattr(fresh, "means_")


INTERRUPTED = """
    import signal, sys, time
    import numpy as np
    from gaussmix import GaussianMixture
    from gaussmix.sources import Source

    signal.signal(signal.SIGINT, signal.default_int_handler)

    class Slow(Source):
        name, n_features = "slow", 2
        def blocks(self):
            for seed in range(50):
                time.sleep(0.01)
                yield np.random.default_rng(seed).normal(size=(1000, 2))

    gm = GaussianMixture(2, max_iter=10**6, tol=0, n_threads=int(sys.argv[1]), random_state=0)
    print("begun", flush=True)
    try:
        gm.fit(Slow())
    except KeyboardInterrupt:
        print("interrupted", hasattr(gm, "means_"), flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c_ends_a_fit_and_its_reader(n_threads, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(INTERRUPTED))
    with subprocess.Popen([sys.executable, program, str(n_threads)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    assert (said, process.returncode) == ("interrupted False\n", 0)


@pytest.mark.parametrize("what", ["rows", "weights", "no weights"])
def test_other_rows_or_weights_in_a_later_pass_are_refused(what):
    class Changing(Source):
        n_features, passes = 4, 0

        def blocks(self):
            self.passes += 1
            rows, weights = X.copy(), np.ones(len(X))
            if self.passes > 2:
                rows[1:] += 50.0 * (what == "rows")
                weights += what == "weights"
            yield RowBlock(rows[:2_500], weights[:2_500] if self.passes <= 2 or what != "no weights" else None)
            yield RowBlock(rows[2_500:], weights[2_500:] if self.passes <= 2 or what != "no weights" else None)

    where = "row 0: gives weights in some passes only" if what == "no weights" else (
        f"row {1000 if what == 'rows' else 0:,}: gives other rows than in the first pass, or in another order, or with other weights")
    with pytest.raises(SourceError, match=f"the source: block 0, {where}"):
        model().fit(Changing())


@pytest.mark.parametrize("attributes, error, what", [
    (dict(columns=("a", "b", "c", "d")), TypeError, r"must set columns to a list of names or to None, not to \('a', 'b', 'c', 'd'\)"),
    (dict(columns="abcd"), TypeError, "must set columns to a list of names or to None, not to 'abcd'"),
    (dict(columns=["a"]), ValueError, "has n_features = 4, but columns of 1 names"),
    (dict(n_rows=2.5), TypeError, "must set n_rows to a whole number, or to None where it is not known, not to 2.5")])
def test_wrong_attributes_of_a_source_are_told_of(attributes, error, what):
    source = Pieces(X)
    vars(source).update(attributes)
    with pytest.raises(error, match=f"Pieces {what}"):
        model().fit(source)


def test_a_state_may_be_an_array(quiet):
    source = Pieces(X)
    source.state = lambda: np.arange(3)
    assert model().fit(source).mixture_ == model().fit(X).mixture_


def test_a_state_that_cannot_be_told_is_told_of():
    source, states = Pieces(X), iter([1, 1, 1])
    source.state = lambda: next(states)
    with pytest.raises(SourceError, match="pieces: could not tell whether it has changed: StopIteration"):
        model().fit(source)


def test_a_file_that_is_deleted_ends_the_fit_with_the_last_iteration(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, X)
    with pytest.raises(SourceError, match=r"rows.npy: could not tell whether it has changed: No such file") as caught:
        model(callback=lambda number, *_: number == 2 and os.remove(path)).fit(path)
    assert caught.value.n_iter == 2
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.mixture == caught.value.mixture and again.n_iter == 2


def test_rows_without_weight_are_in_a_start_as_in_memory(quiet):
    weights = np.where(np.arange(len(X)) < 500, 0.0, 1.0)
    fitted = [model(init_params="random").fit(rows, sample_weight=weights) for rows in (X, Pieces(X, 501))]
    assert fitted[0].mixture_ == fitted[1].mixture_
    drawn = surveyed(Pieces(X, 501), weights, len(X) - 1, 0).sample  # no room for all rows: those without weight are left out
    np.testing.assert_array_equal(drawn, X[500:])


def test_many_threads_are_not_more_than_blocks(quiet):
    assert model(n_threads=10_000).fit(Pieces(X)).mixture_ == model(n_threads=1).fit(X).mixture_
    assert threading.active_count() < 100


def test_answers_do_not_go_where_rows_are_read(tmp_path, quiet):
    rows = np.lib.format.open_memmap(tmp_path / "rows.npy", mode="w+", dtype=float, shape=X.shape)
    rows[:] = X
    fitted = model().fit(X)
    with pytest.raises(ValueError, match="out lies in the memory of X, which is read while it is written: give another array"):
        fitted.score_samples(rows, out=rows[::-1, 0])
    np.testing.assert_array_equal(rows, X)
    folder = tmp_path / "folder"
    folder.mkdir()
    pq.write_table(pyarrow.table(dict(zip(NAMES, X.T))), folder / "1.parquet")
    for source, out, what in ((folder, folder / "1.parquet", "its folder is read"), (folder, folder / "new.parquet", "its folder is read"),
                              (folder / "1.parquet", folder / "1.parquet", "it is also read"),
                              (tmp_path / "rows.npy", tmp_path / "rows.npy", "it is also read")):
        with pytest.raises(ValueError, match=f"{out}: cannot be written, as {what}"):
            fitted.predict(source, out=out)
    assert sorted(os.listdir(folder)) == ["1.parquet"]


@pytest.mark.parametrize("question, dtype, wanted", [("predict", np.int8, "an integer type that can hold 199"), ("predict", bool, "an integer"),
                                                     ("predict_proba", np.int64, "a floating-point type such as float64"),
                                                     ("score_samples", complex, "a floating-point type such as float64")])
@pytest.mark.parametrize("source", [False, True])
def test_answers_need_an_array_that_can_hold_them(question, dtype, wanted, source, quiet):
    rows = np.arange(400.0)[:, None]
    fitted = GaussianMixture(200, covariance_type="spherical", random_state=0, max_iter=1).fit(rows)
    out = np.zeros((400, 200) if question == "predict_proba" else 400, dtype)
    with pytest.raises(TypeError, match=f"out must have {wanted}.*, not {np.dtype(dtype)}"):
        getattr(fitted, question)(Pieces(rows) if source else rows, out=out)
    assert not out.any()
    if question == "predict":
        small = np.zeros(400, np.uint8)
        np.testing.assert_array_equal(fitted.predict(rows, out=small), fitted.predict(rows))


@pytest.mark.parametrize("files", [1, 2])
def test_a_wrong_cell_of_csv_is_told_by_its_line(files, tmp_path):
    paths = [tmp_path / f"{number}.csv" for number in range(files)]
    for path in paths:
        pd.DataFrame(X, columns=NAMES).to_csv(path, index=False)
    lines = paths[-1].read_text().splitlines()
    lines[5_000] = "1,2,word,4"
    paths[-1].write_text("\n".join(lines))
    with pytest.raises(SourceError, match=rf"^{paths[-1]}: line 5001, column 'c': 'word' is not a number"):
        model().fit(paths)


@pytest.mark.parametrize("damage", ["stream", "header", "end"])
def test_a_damaged_gzip_file_is_told_of(damage, tmp_path):
    path = tmp_path / "rows.csv.gz"
    pd.DataFrame(X, columns=NAMES).to_csv(path, index=False)
    content = bytearray(path.read_bytes())
    if damage == "stream":
        content[60_000:60_100] = bytes(100)
    elif damage == "header":
        content[2] = 77
    else:
        del content[-100_000:]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{path}: is compressed by gzip and damaged: "):
        model().fit(path)


def test_a_pipe_is_refused(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="pipe: is not an ordinary file, so that it cannot be read anew in every pass"):
        model().fit(path)


def test_files_of_a_folder_must_all_hold_numbers(tmp_path):
    for number, column in enumerate((X[:, 0], pd.to_datetime(X[:, 0], unit="s"))):
        pq.write_table(pa.table({"a": column, "b": X[:, 1]}), tmp_path / f"{number}.parquet")
    with pytest.raises(ValueError, match=r"1.parquet: column 1, 'a', does not hold numbers, but timestamp"):
        model().fit(tmp_path)


def test_a_dataset_with_a_filter_of_its_own(tmp_path, quiet):
    path = parquet(tmp_path)
    chosen = pyarrow.dataset.dataset(path).filter(pyarrow.compute.field("b") > 4)
    assert model().fit(chosen).mixture_ == model().fit(X[X[:, 1] > 4]).mixture_


def test_an_error_of_a_source_is_one_line():
    def wrong(number, block):
        raise RuntimeError("one\n  two")

    with pytest.raises(SourceError, match="^pieces: block 0, row 0: RuntimeError: one two$"):
        model().fit(Pieces(X, wrong=wrong))


def test_a_class_is_no_source():
    with pytest.raises(TypeError, match="X is the class Pieces, where rows are needed: pass an object of it"):
        model().fit(Pieces)


def test_ctrl_c_does_not_wait_for_a_read_that_hangs():
    code = """
        import os, signal, threading, time
        import numpy as np
        from gaussmix import GaussianMixture
        from gaussmix.sources import Source

        signal.signal(signal.SIGINT, signal.default_int_handler)

        class Slow(Source):
            n_features = 2
            def blocks(self):
                yield np.random.default_rng(0).normal(size=(1000, 2))
                threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
                time.sleep(60)
                yield np.zeros((1000, 2))

        begun = time.monotonic()
        try:
            GaussianMixture(2).fit(Slow())
        except KeyboardInterrupt:
            print(time.monotonic() - begun)
    """
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 20 and time.monotonic() - begun < 40


def test_a_loader_that_shuffles_is_refused():
    class Shuffling:
        rng = np.random.default_rng(0)

        def __iter__(self):
            order = self.rng.permutation(len(X))
            return (X[order[start:start + 777]] for start in range(0, len(X), 777))

    with pytest.raises(SourceError, match="Shuffling: block 0, row 0: gives other rows than in the first pass, or in another order"):
        model().fit(Shuffling())


def test_a_parquet_file_without_a_column_is_named(tmp_path):
    pq.write_table(TABLE, tmp_path / "1.parquet")
    pq.write_table(TABLE.select(["a", "b", "d"]), tmp_path / "2.parquet")
    with pytest.raises(SourceError, match="2.parquet: has no column 'c'"):
        model().fit(tmp_path)


def test_names_of_columns_must_be_names(tmp_path):
    for wrong in ([0, 1], "a"):
        with pytest.raises(TypeError, match="columns must be a list of names"):
            open_source(parquet(tmp_path), columns=wrong)


def test_a_source_where_rows_in_memory_are_needed(in_memory):
    for act in (in_memory.mixture_.logpdf, in_memory.adapt, in_memory.partial_fit):
        with pytest.raises(TypeError, match="X is a source, where rows in memory are needed"):
            act(Pieces(X))


def test_a_source_without_a_width_and_an_array_that_cannot_be_written(in_memory):
    class Unfinished(Source):
        def blocks(self):
            yield X

    with pytest.raises(TypeError, match="Unfinished must set n_features"):
        model().fit(Unfinished())
    fixed = np.empty(len(X), int)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        in_memory.predict(X, out=fixed)
