"""Rows in partitions on a cluster: the same bits however many workers there are, and whichever of them die."""

import os
import signal
import warnings

import numpy as np
import pandas as pd
import pytest

from gaussmix import GaussianMixture, select
from gaussmix.data import OnCluster
from gaussmix.engines.cluster import FAN, ClusterEngine, ClusterRows, add_parts, as_part, sampled_parts, surveyed_parts
from gaussmix.functional import e_step
from gaussmix.sources import SourceError

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
distributed = pytest.importorskip("distributed")
import dask  # noqa: E402  # after what may skip this file

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Dask change from version to version

RNG = np.random.default_rng(0)
N = 20_000
X = RNG.normal(size=(N, 3)) + RNG.choice([0.0, 4.0, 9.0], size=(N, 1))
W = RNG.random(N)
CHUNKS = (1_709, 2)  # twelve partitions, of which the columns are in two chunks
START = dict(weights_init=[0.2, 0.3, 0.5], means_init=[[0.0] * 3, [4.0] * 3, [9.0] * 3], precisions_init=[np.eye(3)] * 3)


def model(**parameters):
    return GaussianMixture(3, random_state=0, max_iter=5, tol=0, **parameters)


def array(rows=X):
    return da.from_array(rows, chunks=CHUNKS)


@pytest.fixture(scope="module")
def cluster():
    with dask.config.set({"distributed.worker.daemon": False}), distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=None) as one:
        yield one


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as one:
        yield one


@pytest.fixture(scope="module")
def one_machine():
    with dask.config.set(scheduler="synchronous"):
        return model().fit(array())


class InThisProcess:
    """Partitions in a list, added by a tree of its own."""

    name, columns = "list", None

    def __init__(self, parts):
        self.parts, self.n_features = parts, parts[0][0].shape[1]

    def each(self, function, *shared):
        return [function(number, *part, *shared) for number, part in enumerate(self.parts)]

    def added(self, function, *shared):
        level = self.each(function, *shared)
        while len(level) > 1:
            level = [add_parts(level[start:start + FAN]) for start in range(0, len(level), FAN)]
        return level[0]


def listed(sizes, weights=None):
    ends = np.cumsum(sizes)
    return InThisProcess([as_part(X[stop - size:stop], None if weights is None else weights[stop - size:stop])
                          for size, stop in zip(sizes, ends)])


@pytest.mark.parametrize("sizes", [[N], [1, N - 1], [1_000] * 20, [250] * 80, [0, 5_000, 0, 0, 15_000, 0]])
@pytest.mark.parametrize("weights", [None, W, 1e-150 * W], ids=["no weights", "weights", "tiny weights"])
def test_a_pass_over_partitions_is_a_pass_over_the_rows(sizes, weights):
    mixture = model(**START).fit(X[:1_000]).mixture_
    expected = e_step(X, mixture, sample_weight=weights)
    data = OnCluster(listed(sizes, weights), 500, 0)
    rows = data.observations(3)
    from gaussmix.streams import e_step as by_engine

    found = by_engine(rows, mixture.structure, mixture._parameters, ClusterEngine())
    found *= rows.scale
    np.testing.assert_allclose(found.weight, expected.weight, rtol=1e-12)
    np.testing.assert_allclose(found.first, expected.first, rtol=1e-9, atol=1e-9 * expected.weight.max())
    np.testing.assert_allclose(np.tril(found.second), np.tril(expected.second), rtol=1e-10, atol=1e-11 * expected.weight.max())
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-12)
    assert found.total_weight == pytest.approx(N if weights is None else weights.sum(), rel=1e-12)


def test_a_fit_to_partitions_is_a_fit_to_the_rows(one_machine):
    np.testing.assert_allclose(one_machine.means_, model().fit(X).means_, rtol=1e-10)
    np.testing.assert_allclose(one_machine.history_, model().fit(X).history_, rtol=1e-12)


def test_the_same_bits_on_a_cluster(client, one_machine):
    fitted = model().fit(array())
    assert fitted.mixture_ == one_machine.mixture_
    assert fitted.history_ == one_machine.history_


def test_the_same_bits_with_other_workers(one_machine):
    with distributed.LocalCluster(n_workers=3, threads_per_worker=2, processes=False, dashboard_address=":0") as other, \
            distributed.Client(other):
        assert model().fit(array()).mixture_ == one_machine.mixture_
    with dask.config.set(scheduler="threads"):
        assert model().fit(array()).mixture_ == one_machine.mixture_


@pytest.mark.skipif(os.name != "posix", reason="kills a process by a signal")
def test_a_worker_that_dies_in_the_middle(one_machine):
    killed = []

    with distributed.LocalCluster(n_workers=3, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster, \
            distributed.Client(cluster) as client:

        def kill(iteration, log_likelihood, mixture):
            if iteration in (2, 4):
                pids = list(client.run(os.getpid).values())
                os.kill(pids[0], signal.SIGKILL)
                killed.append(pids[0])

        fitted = model(callback=kill).fit(array())
        assert len(set(killed)) == 2
    assert fitted.mixture_ == one_machine.mixture_
    assert fitted.history_ == one_machine.history_


@pytest.mark.parametrize("parameters", [
    dict(covariance_type="tied"), dict(covariance_type="diag", reg_covar="auto"), dict(algorithm="accelerated"), dict(n_init="auto"), START,
    dict(start_sample=300)], ids=str)
def test_what_else_a_fit_can_do(client, parameters):
    with dask.config.set(scheduler="synchronous"):
        expected = model(**parameters).fit(array())
    assert model(**parameters).fit(array()).mixture_ == expected.mixture_
    if "start_sample" not in parameters:
        np.testing.assert_allclose(expected.means_, model(**parameters).fit(X).means_, rtol=1e-6)


def test_weights(client):
    expected = model(**START).fit(X, sample_weight=W)
    for weights in (W, da.from_array(W, chunks=CHUNKS[0])):
        fitted = model(**START).fit(array(), sample_weight=weights)
        np.testing.assert_allclose(fitted.means_, expected.means_, rtol=1e-10)
        assert fitted.score(array(), sample_weight=weights) == pytest.approx(expected.score(X, sample_weight=W), rel=1e-10)
    table = pd.DataFrame(X, columns=list("abc")).assign(w=W)
    frame = dd.from_pandas(table, npartitions=5)
    for weights in (W, frame["w"]):
        fitted = model(**START).fit(frame[["a", "b", "c"]], sample_weight=weights)
        np.testing.assert_allclose(fitted.means_, expected.means_, rtol=1e-10)
        assert fitted.score(frame[["a", "b", "c"]], sample_weight=weights) == pytest.approx(expected.score(X, sample_weight=W), rel=1e-10)


@pytest.mark.parametrize("weights, what", [
    (W[:-1], "must be of shape"), (-W, r"sample_weight\[0\] is -.*; weights must not be negative"), (0 * W, "zero for every row"),
    (da.from_array(W, chunks=N), "as many partitions as X, 12, not 1")])
def test_wrong_weights(weights, what):
    with pytest.raises(ValueError, match=what):
        model().fit(array(), sample_weight=weights)


@pytest.mark.parametrize("weights, what", [
    (np.zeros(N), "zero for every row"), (-np.ones(N), "must not be negative"), (np.full(N, np.nan), "must be finite"),
    (np.ones(5), "must be of shape"), (da.ones(1), "as many partitions as X")])
def test_wrong_weights_of_a_question(weights, what, one_machine):
    with pytest.raises(ValueError, match=what):
        one_machine.score(array(), sample_weight=weights)


def test_weights_of_a_question_about_chunks_of_unknown_sizes(one_machine):
    rows = array()[array()[:, 0] > 2]
    some = X[:, 0] > 2
    assert one_machine.score(rows, sample_weight=W[some]) == pytest.approx(one_machine.score(X[some], sample_weight=W[some]), rel=1e-10)


def test_a_data_frame_and_its_names(client):
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abc")), npartitions=7)
    fitted = model(**START).fit(frame)
    assert list(fitted.feature_names_in_) == ["a", "b", "c"]
    table = frame.compute()
    for name in ("predict", "predict_proba", "score_samples"):
        lazy, expected = getattr(fitted, name)(frame), getattr(fitted, name)(table)
        assert dask.is_dask_collection(lazy)
        np.testing.assert_array_equal(np.asarray(lazy.compute()), expected)
    assert list(fitted.predict_proba(frame).columns) == ["responsibility_0", "responsibility_1", "responsibility_2"]
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(frame.rename(columns={"a": "z"}))


def test_answers_for_an_array_are_lazy(client, one_machine):
    rows = array()
    for name in ("predict", "predict_proba", "score_samples"):
        lazy, expected = getattr(one_machine, name)(rows), getattr(one_machine, name)(X)
        assert isinstance(lazy, da.Array) and lazy.dtype == expected.dtype and lazy.shape == expected.shape
        np.testing.assert_array_equal(lazy.compute(), expected)
    for name in ("score", "bic", "aic", "icl"):
        assert getattr(one_machine, name)(rows) == pytest.approx(getattr(one_machine, name)(X), rel=1e-10)
    with pytest.raises(TypeError, match="are lazy, and come without out"):
        one_machine.predict(rows, out=np.empty(N, int))
    with pytest.raises(ValueError, match="X has 2 features"):
        one_machine.predict(rows[:, :2])


def test_float32(client):
    rows = da.from_array(X.astype(np.float32), chunks=CHUNKS)
    fitted = model(**START).fit(rows)
    assert fitted.means_.dtype == np.float32
    assert fitted.predict_proba(rows).dtype == np.float32
    np.testing.assert_allclose(fitted.means_, model(**START).fit(X.astype(np.float32)).means_, rtol=1e-5)


def test_select(client):
    expected = select(X, [2, 3, 4], n_init=1, random_state=0)
    found = select(array(), [2, 3, 4], n_init=1, random_state=0)
    assert found.chosen.n_components == expected.chosen.n_components
    for one, other in zip(found.candidates, expected.candidates):
        assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-10)


def test_unknown_sizes_of_chunks(client):
    rows = array()[array()[:, 0] > 2]
    assert np.isnan(rows.shape[0])
    fitted = model(**START).fit(rows)
    np.testing.assert_allclose(fitted.means_, model(**START).fit(X[X[:, 0] > 2]).means_, rtol=1e-10)
    np.testing.assert_array_equal(fitted.predict(rows).compute(), fitted.predict(X[X[:, 0] > 2]))
    assert fitted.score(rows) == pytest.approx(fitted.score(X[X[:, 0] > 2]), rel=1e-10)


def test_a_bad_row_is_told_of(client):
    bad = X.copy()
    bad[5_000, 1] = np.nan
    with pytest.raises(SourceError, match=r"dask Array: block 2, row 5,000: column 1 holds NaN") as caught:
        model().fit(array(bad))
    assert (caught.value.block, caught.value.row) == (2, 5_000)


def test_a_partition_that_cannot_be_computed_ends_the_fit_with_the_last_iteration():
    calls = []

    def sometimes(block):
        calls.append(1)
        if len(calls) > 30:
            raise OSError("the disk is gone")
        return block

    rows = da.from_array(X, chunks=(N // 4, -1)).map_blocks(sometimes, dtype=float, meta=np.empty((0, 3)))
    told = "could not be computed: OSError: the disk is gone"
    with dask.config.set(scheduler="synchronous"), pytest.raises(SourceError, match=told) as caught:
        GaussianMixture(3, **START, max_iter=50, tol=0).fit(rows)
    assert caught.value.n_iter >= 1
    assert caught.value.mixture is not None


def test_what_a_cluster_does_not_do():
    with pytest.raises(ValueError, match="on a cluster give weights_init, means_init"):
        model(init_params=np.arange(N) % 3).fit(array())
    with pytest.raises(ValueError, match="on a cluster give weights_init, means_init"):
        model(init_params=np.eye(3)[np.arange(N) % 3]).fit(array())
    with pytest.raises(TypeError, match="call fit, then predict"):
        model().fit_predict(array())
    with pytest.raises(ValueError, match="Expected 2D array"):
        model().fit(array()[:, 0])
    with pytest.raises(ValueError, match="n_components = 3, n_samples = 2"):
        model().fit(array()[:2])


def test_a_checkpoint_on_a_cluster(client, tmp_path, one_machine):
    class Stop(Exception):
        pass

    def stop(iteration, log_likelihood, mixture):
        if iteration == 4:
            raise Stop

    with pytest.raises(Stop):
        model(callback=stop).fit(array(), checkpoint=tmp_path / "state", checkpoint_every=1)
    iterations = []
    fitted = model(callback=lambda *now: iterations.append(now[0])).fit(array(), checkpoint=tmp_path / "state")
    assert fitted.mixture_ == one_machine.mixture_
    assert fitted.history_ == one_machine.history_
    assert iterations == [4, 5]
    with pytest.raises(ValueError, match="the checksum of the data differ"):
        model().fit(array(X + 1), checkpoint=tmp_path / "state")


@pytest.mark.parametrize("n_parts", [1, 2, 7, 8, 9, 64, 65, 200])
def test_the_tree_adds_every_partition_once(n_parts):
    class Counting:
        def __init__(self, members):
            self.members = members

        def copy(self):
            return Counting(list(self.members))

        def accumulate(self, other):
            self.members += other.members

    parts = InThisProcess([(X[:1], None)] * n_parts)
    assert parts.added(lambda number, rows, weights: Counting([number])).members == list(range(n_parts))


@pytest.mark.parametrize("weights", [None, (np.arange(N) % 3 == 1).astype(float)], ids=["no weights", "weights"])
def test_the_sample_is_drawn_evenly_and_without_replacement(weights):
    rows = np.arange(float(N))[:, None]
    sizes = [7_000, 0, 1, 12_999]
    ends = np.cumsum(sizes)
    parts = InThisProcess([(rows[stop - size:stop], None if weights is None else weights[stop - size:stop]) for size, stop in zip(sizes, ends)])
    survey = surveyed_parts(parts)
    drawn = [sampled_parts(parts, survey, 400, seed)[0][:, 0] for seed in range(50)]
    for one in drawn:
        assert len(one) == 400 and (np.diff(one) > 0).all()
        if weights is not None:
            assert (one % 3 == 1).all()
    counts = np.histogram(np.concatenate(drawn), 10, (0, N))[0]
    assert ((counts - 2_000) ** 2 / 2_000).sum() < 28  # χ² with 9 degrees of freedom, 1 in 1,000
    everything, _ = sampled_parts(parts, survey, N, 0)
    np.testing.assert_array_equal(everything, rows)  # those without weight too, as in memory
    most, _ = sampled_parts(parts, survey, N - 1, 0)
    assert weights is None or np.array_equal(most, rows[weights > 0])


def test_rows_of_a_cluster_are_not_here():
    data = OnCluster(listed([N]), 10, 0)
    rows = data.observations(3)
    assert isinstance(rows, ClusterRows)
    with pytest.raises(TypeError, match="only a ClusterEngine"):
        rows.block(0)
    with pytest.raises(IndexError, match="row 7 of list is not in memory"):
        rows.row(7)
    np.testing.assert_array_equal(rows.row(0), X[0])
    with pytest.raises(TypeError, match="must be in partitions, not Blocks"):
        ClusterEngine().passes(data.at_hand(3), None)


def test_warnings_are_those_of_a_fit():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model().fit(array())
    assert any("did not converge" in str(one.message) for one in caught)


@pytest.mark.parametrize("weight", [1e305, 5e-324, 1.0])
def test_criteria_under_weights_of_any_size(weight):
    fitted, weights = model().fit(X), np.full(len(X), weight)
    with dask.config.set(scheduler="synchronous"):
        for given in (weights, da.from_array(weights, chunks=CHUNKS[:1])):
            for name in ("score", "bic"):
                expected = getattr(fitted, name)(X, sample_weight=weights)
                assert getattr(fitted, name)(array(), sample_weight=given) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weights, error, what", [
    (np.ma.masked_array(np.ones(N), np.arange(N) == 3), TypeError, "sample_weight is a masked array"),
    (np.ones(N) * (1 + 1j), ValueError, "[Cc]omplex"),
    (da.ones(N, chunks=CHUNKS[:1]) * 1j, ValueError, "sample_weight must be one number a row, not complex128 in 1 dimensions"),
    (da.ones((N, 1), chunks=(CHUNKS[0], 1)), ValueError, "sample_weight must be one number a row, not float64 in 2 dimensions")])
def test_weights_that_are_none_are_refused(weights, error, what):
    fitted = model().fit(X)
    with dask.config.set(scheduler="synchronous"):
        for call in (model().fit, fitted.score):
            with pytest.raises(error, match=what):
                call(array(), sample_weight=weights)


def test_what_is_no_table_of_dask_is_told_of():
    fitted = model().fit(X)
    with pytest.raises(ValueError, match="Expected 2D array for X, got 1D dask Array instead"):
        fitted.predict(array()[:, 0])
    with pytest.raises(TypeError, match="must be an array or a DataFrame of Dask, not a Bag"):
        model().fit(pytest.importorskip("dask.bag").from_sequence([1, 2]))
    with pytest.raises(TypeError, match=r"X is a DataFrame of Dask, where rows in memory are needed: pass X.compute\(\)"):
        fitted.adapt(dd.from_dask_array(array()))


def test_rows_that_are_not_there_have_no_score():
    with dask.config.set(scheduler="synchronous"), pytest.raises(ValueError, match="X has no rows"):
        model().fit(X).score(array()[:0])


def test_rows_without_weight_are_in_a_start_as_in_memory():
    weights = np.where(np.arange(N) < N // 6, 0.0, 1.0)
    with dask.config.set(scheduler="synchronous"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one, other = (GaussianMixture(3, random_state=0, init_params="random", tol=1e-9, max_iter=500).fit(rows, sample_weight=weights)
                      for rows in (X, array()))
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, rel=1e-12)
