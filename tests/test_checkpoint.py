"""A fit that ends in any way goes on from its checkpoint, to the same bits."""

import copy
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from gaussmix import GaussianMixture
from gaussmix.checkpoint import _digest
from gaussmix.sources import Source

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3_000, 2)) + RNG.choice([0.0, 3.0, 7.0], size=(3_000, 1))


class Stop(Exception):
    pass


class Ending(Source):
    """Ends the fit, as a crash would, in a given pass."""

    name, n_features = "ending", 2

    def __init__(self, last_pass=None):
        self.last_pass, self.n_passes = last_pass, 0

    def blocks(self):
        self.n_passes += 1
        if self.n_passes == self.last_pass:
            raise Stop
        yield X[:2_000]
        yield X[2_000:]


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


PARAMETERS = {
    "em": dict(max_iter=12, tol=0),
    "starts": dict(n_init=3, max_iter=5, tol=0, init_params="random_from_data"),
    "distance": dict(max_iter=60, tol=0.5, stopping="distance"),
    "accelerated": dict(max_iter=25, tol=1e-12, algorithm="accelerated", init_params="k-means++"),
    "accelerated distance": dict(max_iter=60, tol=0.01, algorithm="accelerated", stopping="distance"),
    "search": dict(n_init="auto", max_iter=30, start_sample=500),
    "tied": dict(covariance_type="tied", max_iter=9, tol=0), "diag": dict(covariance_type="diag", max_iter=9, tol=0)}


def same(one, other):
    assert one.mixture_ == other.mixture_
    assert one.history_ == other.history_
    assert (one.n_iter_, one.converged_, one.lower_bound_) == (other.n_iter_, other.converged_, other.lower_bound_)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_fit_that_breaks_off_goes_on_to_the_same_bits(name, tmp_path):
    parameters = dict(n_components=4, random_state=7, **PARAMETERS[name])
    whole = GaussianMixture(**parameters).fit(Ending())
    path = tmp_path / "state"
    n_passes, goes_on = 0, True
    for last in range(3, 100):
        source = Ending(min(3 + last % 4, last))
        try:
            fitted = GaussianMixture(**parameters).fit(source, checkpoint=path, checkpoint_every=1)
            goes_on = False
        except Exception as error:
            assert "Stop" in str(error)
        n_passes += source.n_passes
        if not goes_on:
            break
    assert not goes_on
    assert last > 4  # it broke off more than once
    same(fitted, whole)
    if name == "search":
        assert fitted.search_.optima == whole.search_.optima
    again = Ending()
    same(GaussianMixture(**parameters).fit(again, checkpoint=path), whole)
    assert again.n_passes <= 2  # the rows are counted, and variances taken, but EM makes no pass
    assert os.listdir(tmp_path) == ["state"]


def test_written_iterations_are_not_computed_again(tmp_path):
    parameters = dict(n_components=3, random_state=0, max_iter=10, tol=0, reg_covar=0)
    with pytest.raises(Exception, match="Stop"):
        GaussianMixture(**parameters).fit(Ending(8), checkpoint=tmp_path / "state", checkpoint_every=1)
    source = Ending()
    fitted = GaussianMixture(**parameters).fit(source, checkpoint=tmp_path / "state")
    assert source.n_passes == 1 + 10 - 6  # the first pass counts the rows; six iterations had been made
    assert fitted.n_iter_ == len(fitted.history_) == 10


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(3), np.random.default_rng(3)], ids=["None", "RandomState", "Generator"])
def test_the_random_numbers_go_on(random_state, tmp_path):
    """The second start comes from the generator as the first start left it."""
    parameters = dict(n_components=4, n_init=2, max_iter=4, tol=0, init_params="random_from_data")

    def fit(stops_at):
        seen = []

        def callback(iteration, log_likelihood, mixture):
            seen.append(log_likelihood)
            if len(seen) == stops_at:
                raise Stop
        model = GaussianMixture(**parameters, random_state=copy.deepcopy(random_state), callback=callback)
        try:
            model.fit(X, checkpoint=tmp_path / "state", checkpoint_every=1)
        except Stop:
            pass
        return seen

    first = fit(3)
    second = fit(None)
    assert len(first[:2] + second) == 2 * 4
    if random_state is not None:
        os.unlink(tmp_path / "state")
        assert fit(None) == first[:2] + second


def test_in_memory_too(tmp_path):
    parameters = dict(n_components=3, random_state=0, max_iter=8, tol=0)

    def stop(iteration, log_likelihood, mixture):
        if iteration == 5:
            raise Stop

    with pytest.raises(Stop):
        GaussianMixture(**parameters, callback=stop).fit(X, checkpoint=tmp_path / "state", checkpoint_every=2)
    same(GaussianMixture(**parameters).fit(X, checkpoint=tmp_path / "state"), GaussianMixture(**parameters).fit(X))


def test_a_checkpoint_of_another_fit_is_refused(tmp_path):
    path = tmp_path / "state"
    GaussianMixture(2, random_state=0).fit(X, checkpoint=path)
    GaussianMixture(2, random_state=0, verbose=0, n_threads=1).fit(X, checkpoint=path)  # these change no result
    for model, rows, what in (
            (GaussianMixture(3, random_state=0), X, "n_components was 2, not 3"),
            (GaussianMixture(2, random_state=1), X, "random_state was 0, not 1"),
            (GaussianMixture(2, random_state=0, means_init=[[0, 0], [1, 1]]), X, "means_init was None, not"),
            (GaussianMixture(2, random_state=0), X[:-1], "the rows of the data differ"),
            (GaussianMixture(2, random_state=0), X + 1, "the checksum of the data differ")):
        before = path.read_bytes()
        with pytest.raises(ValueError, match=f"state: is the checkpoint of another fit, as {what}.*: give another name") as caught:
            model.fit(rows, checkpoint=path)
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == before


def test_a_checkpoint_of_another_version_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("gaussmix.checkpoint.__version__", "0.0")
        GaussianMixture(2, random_state=0).fit(X, checkpoint=tmp_path / "state")
    with pytest.raises(ValueError, match="the version of gaussmix was 0.0, not"):
        GaussianMixture(2, random_state=0).fit(X, checkpoint=tmp_path / "state")


def rewritten(path, change):
    """Change the header or the arrays of a checkpoint, and write it with a digest that fits."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "digest"}
    header = json.loads(arrays.pop("header").tobytes())
    change(header, arrays)
    text = json.dumps(header).encode()
    digest = np.frombuffer(_digest(text, arrays), np.uint8)
    with open(path, "wb") as file:
        np.savez(file, header=np.frombuffer(text, np.uint8), digest=digest, **arrays)


@pytest.mark.parametrize("change", [
    lambda header, arrays: header.update(n_arrays=99), lambda header, arrays: header.pop("n_arrays"),
    lambda header, arrays: header.update(n_arrays=0), lambda header, arrays: header.update(identity=[1]),
    lambda header, arrays: header["rng"].update(state={"array": [1], "dtype": "O"}), lambda header, arrays: header.update(rng=3),
    lambda header, arrays: arrays.update(loop0=np.full(4, np.inf)), lambda header, arrays: arrays.update(loop0=np.full(4, np.nan)),
    lambda header, arrays: arrays.update(loop0=np.zeros(())), lambda header, arrays: arrays.update(loop3=np.zeros((9, 9))),
    lambda header, arrays: header.update(start="x"), lambda header, arrays: header.update(start=-5),
    lambda header, arrays: header.update(start=100)])
def test_an_edited_checkpoint_is_refused(change, tmp_path):
    def stop(iteration, log_likelihood, mixture):
        if iteration == 3:
            raise Stop

    parameters = dict(n_components=2, random_state=0, tol=0, max_iter=5)
    with pytest.raises(Stop):
        GaussianMixture(**parameters, callback=stop).fit(X, checkpoint=tmp_path / "state", checkpoint_every=1)
    rewritten(tmp_path / "state", change)
    with pytest.raises(ValueError, match="is not a checkpoint of gaussmix, or is damaged"):
        GaussianMixture(**parameters).fit(X, checkpoint=tmp_path / "state")


def test_starts_that_all_failed_fail_again(tmp_path):
    line = np.column_stack([np.arange(50.0), np.zeros(50)])
    for _ in range(2):
        with pytest.raises(ValueError, match="is singular"):
            GaussianMixture(2, random_state=0, reg_covar=0, n_init=2).fit(line, checkpoint=tmp_path / "state")


def test_a_fit_that_a_callback_stopped_goes_on(tmp_path):
    parameters = dict(n_components=3, random_state=0, tol=0, max_iter=12)
    stopped = GaussianMixture(**parameters, callback=lambda iteration, *_: iteration >= 3).fit(X, checkpoint=tmp_path / "state",
                                                                                               checkpoint_every=1)
    assert stopped.n_iter_ == 3
    same(GaussianMixture(**parameters).fit(X, checkpoint=tmp_path / "state"), GaussianMixture(**parameters).fit(X))


def test_a_generator_is_told_in_few_words(tmp_path):
    GaussianMixture(2, random_state=np.random.RandomState(0)).fit(X, checkpoint=tmp_path / "state")
    with pytest.raises(ValueError, match="random_state was 'a RandomState in state") as caught:
        GaussianMixture(2, random_state=np.random.RandomState(1)).fit(X, checkpoint=tmp_path / "state")
    assert len(str(caught.value)) < 400


def test_weights_are_part_of_the_data(tmp_path):
    GaussianMixture(2, random_state=0).fit(X, sample_weight=np.ones(len(X)), checkpoint=tmp_path / "state")
    with pytest.raises(ValueError, match="the checksum of the data differ"):
        GaussianMixture(2, random_state=0).fit(X, sample_weight=np.full(len(X), 2.0), checkpoint=tmp_path / "state")


@pytest.mark.parametrize("damage", [
    lambda content: b"", lambda content: b"text", lambda content: content[:len(content) // 2], lambda content: content[1:],
    lambda content: content.replace(b"best0", b"bestX"), lambda content: content[:200] + b"\0" * 400 + content[600:]])
def test_a_damaged_checkpoint_is_refused(damage, tmp_path):
    path = tmp_path / "state"
    GaussianMixture(2, random_state=0).fit(X, checkpoint=path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="state: is not a checkpoint of gaussmix, or is damaged: .*; give another name") as caught:
        GaussianMixture(2, random_state=0).fit(X, checkpoint=path)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_a_checkpoint(tmp_path):
    model = GaussianMixture(2, random_state=0)
    with pytest.raises(FileNotFoundError, match="its folder does not exist"):
        model.fit(X, checkpoint=tmp_path / "none" / "state")
    with pytest.raises(IsADirectoryError):
        model.fit(X, checkpoint=tmp_path)
    with pytest.raises(TypeError, match="checkpoint must be the path of a file, not 5"):
        model.fit(X, checkpoint=5)
    for every in (0, -1, "1", "soon", None, True, 1.5):
        with pytest.raises(ValueError, match="checkpoint_every must be a number of iterations, or a time such as '10 min'"):
            model.fit(X, checkpoint=tmp_path / "state", checkpoint_every=every)
    assert not hasattr(model, "means_")


def test_a_time_between_states(tmp_path):
    written = []

    def note(iteration, log_likelihood, mixture):
        path = tmp_path / "state"
        written.append(path.stat().st_mtime_ns if path.exists() else None)
        time.sleep(0.02)

    begun = time.monotonic()
    GaussianMixture(2, random_state=0, max_iter=15, tol=0, callback=note).fit(X, checkpoint=tmp_path / "state", checkpoint_every="100 ms")
    assert written[0] is None
    assert 2 <= len(set(written)) <= 2 + (time.monotonic() - begun) / 0.1


PROGRAM = """
    import sys, time, warnings
    import numpy as np
    from gaussmix import GaussianMixture
    from gaussmix.sources import Source

    class Slow(Source):
        name, n_features = "slow", 2
        def blocks(self):
            X = np.load(sys.argv[1])
            for part in np.array_split(X, 4):
                time.sleep(0.002)
                yield part

    warnings.simplefilter("ignore")
    print("begun", flush=True)
    gm = GaussianMixture(4, random_state=0, n_init=2, max_iter=30, tol=0, algorithm="accelerated", init_params="random_from_data")
    gm.fit(Slow(), checkpoint=sys.argv[2], checkpoint_every=1)
    np.savez(sys.argv[3], weights=gm.weights_, means=gm.means_, covariances=gm.covariances_, history=gm.history_, n_iter=gm.n_iter_)
"""


def test_kill_at_twenty_random_moments(tmp_path):
    np.save(tmp_path / "rows.npy", X)
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))

    def process(state, result):
        return subprocess.Popen([sys.executable, program, tmp_path / "rows.npy", tmp_path / state, tmp_path / result], stdout=subprocess.PIPE)

    with process("whole", "whole.npz") as one:
        assert one.wait() == 0
    moments = random.Random(5)
    kills = 0
    while kills < 20:
        with process("state", "killed.npz") as one:
            one.stdout.readline()
            try:
                one.wait(moments.uniform(0, 0.35))
                (tmp_path / "state").unlink()  # it was done before all kills: begin anew
                (tmp_path / "killed.npz").unlink()
            except subprocess.TimeoutExpired:
                one.send_signal(signal.SIGKILL)
                kills += 1
    with process("state", "killed.npz") as one:
        assert one.wait() == 0
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "killed.npz") as killed:
        for name in whole.files:
            np.testing.assert_array_equal(whole[name], killed[name])



def test_a_fit_without_a_seed_goes_on_from_its_sample(tmp_path):
    """Whatever comes after the state that was written is the same in each process that goes on from it."""
    parameters = dict(n_components=4, tol=0, max_iter=6, n_init=3, start_sample=300, init_params="random_from_data")

    def stop(iteration, log_likelihood, mixture):
        if iteration == 3:
            raise Stop

    with pytest.raises(Stop):
        GaussianMixture(**parameters, callback=stop).fit(Ending(), checkpoint=tmp_path / "one", checkpoint_every=1)
    (tmp_path / "two").write_bytes((tmp_path / "one").read_bytes())
    same(*(GaussianMixture(**parameters).fit(Ending(), checkpoint=tmp_path / name) for name in ("one", "two")))


def test_a_fit_that_was_widened_goes_on_to_the_same_bits(tmp_path):
    """float32 rows, under a start that float32 cannot hold, are worked on in float64 from then on."""
    rng = np.random.default_rng(1)
    rows = (np.concatenate([rng.normal(size=(500, 1)), rng.normal(size=(500, 1)) + 3]) * 2e-12).astype(np.float32)
    parameters = dict(n_components=2, reg_covar=0, tol=0, max_iter=20, covariance_type="spherical", n_threads=1, weights_init=[0.5, 0.5],
                      means_init=[[0.0], [6e-12]], precisions_init=[1e27, 1e28])
    whole = GaussianMixture(**parameters).fit(rows)
    for stop in (2, 5, 10):
        path = tmp_path / f"{stop}.npz"
        GaussianMixture(**parameters, callback=lambda number, *_: number == stop).fit(rows, checkpoint=path, checkpoint_every=1)
        same(GaussianMixture(**parameters).fit(rows, checkpoint=path), whole)


@pytest.mark.parametrize("random_state", [lambda seed: np.random.SeedSequence(seed), lambda seed: np.random.PCG64(seed)])
def test_another_source_of_random_numbers_is_another_fit(random_state, tmp_path):
    def fitted(seed):
        return GaussianMixture(4, random_state=random_state(seed), init_params="random_from_data", max_iter=3, tol=0).fit(
            X, checkpoint=tmp_path / "state.npz")

    same(fitted(3), fitted(3))
    with pytest.raises(ValueError, match="is the checkpoint of another fit, as random_state was"):
        fitted(4)


def test_arrays_of_objects_are_told_apart_by_their_numbers(tmp_path):
    path, parameters = tmp_path / "state.npz", dict(max_iter=3, tol=0)
    means = [[Decimal("0"), Fraction(1, 2)], [Decimal("7"), Fraction(13, 2)]]
    first = GaussianMixture(2, means_init=means, **parameters).fit(X, checkpoint=path)
    same(GaussianMixture(2, means_init=np.array(means, dtype=object), **parameters).fit(X, checkpoint=path), first)
    means[0][1] = Fraction(1, 3)
    with pytest.raises(ValueError, match="is the checkpoint of another fit, as means_init was"):
        GaussianMixture(2, means_init=means, **parameters).fit(X, checkpoint=path)


def test_a_longer_float_as_a_parameter(tmp_path):
    same(*(GaussianMixture(2, random_state=0, tol=np.longdouble(1e-3)).fit(X, checkpoint=tmp_path / "state.npz") for _ in range(2)))


@pytest.mark.parametrize("content", [b"import this\n", b"", b"PAR1" * 100, b"PK\x03\x04" * 50])
def test_another_kind_of_file_is_no_checkpoint(content, tmp_path):
    path = tmp_path / "state.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"state.npz: is not a checkpoint of gaussmix, or is damaged: it is no archive of arrays; give another"):
        GaussianMixture(2).fit(X, checkpoint=path)
    assert path.read_bytes() == content


def test_a_folder_that_is_gone_is_told_of(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match="cannot be written: its folder") as caught:
        GaussianMixture(2, random_state=0, tol=0, max_iter=5, callback=lambda number, *_: number == 2 and shutil.rmtree(folder)).fit(
            X, checkpoint=folder / "state.npz", checkpoint_every=1)
    assert caught.value.filename == str(folder / "state.npz")
