"""What a long fit shows: lines, bars and how wide they are."""

import math
import re
import subprocess
import sys
import textwrap
import typing

import numpy as np
import pytest

from gaussmix import GaussianMixture
from gaussmix.progress import Progress, bar_size
from terminal import needs_posix, on_a_terminal

X = [[0.0], [1.0], [2.0], [5.0], [6.0], [7.5]]
FIT = """
import sys
import typing
from gaussmix import GaussianMixture
GaussianMixture(2, tol=1e-9, max_iter=500, n_init=2, random_state=0, progress=True).fit([[0.0], [1.0], [2.0], [5.0], [6.0]])
"""
WITHOUT_TQDM = "import sys; sys.modules['tqdm'] = sys.modules['tqdm.auto'] = None"


class Clock:
    """Time that passes only when told."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("gaussmix.progress.time", clock)
    return clock


@needs_posix
@pytest.mark.parametrize("rows, columns, wide", [(24, 80, 80), (0, 0, 80), (24, 0, 80), (0, 80, 80), (24, 40, 40)])
@pytest.mark.parametrize("before", ["", WITHOUT_TQDM])
def test_every_terminal_is_shown_a_line_that_fits(rows, columns, wide, before):
    shown, _ = on_a_terminal(["-c", before + FIT], rows, columns)
    lines = [line for line in re.split("[\r\n]+", shown) if line]
    assert max(map(len, lines)) < wide  # the last column may begin a new line
    for number in range(2):
        mine = [line for line in lines if line.startswith(f"EM, start {number}:")]
        assert len(mine) >= 2 and len(mine[-1]) > min(wide, 60) - 3
    assert shown.count("\n") == 2  # one line for each start stays


def test_what_is_no_terminal_has_no_size(tmp_path):
    with open(tmp_path / "x", "w") as file:
        assert bar_size(file) == {}
    assert bar_size(object()) == {} and bar_size(None) == {}


class Bar:
    """A bar that remembers what it is told."""

    made: typing.ClassVar[list["Bar"]] = []

    def __init__(self, **options):
        self.options, self.n, self.text, self.closed = options, 0, "", False
        self.made.append(self)

    def set_postfix_str(self, text, refresh):
        self.text = text

    def update(self, n):
        self.n += n

    def close(self):
        self.closed = True


def test_a_bar_for_each_start(monkeypatch):
    tqdm = pytest.importorskip("tqdm.auto")
    monkeypatch.setattr(tqdm, "tqdm", Bar)
    monkeypatch.setattr(Bar, "made", [])
    progress = Progress(bar=True, max_iter=50)
    for start, changes in enumerate(([2.0, 0.5], [1.0, 0.25, 0.125])):
        progress.begin(start)
        log_likelihood = -9.0
        for iteration, change in enumerate(changes, 1):
            log_likelihood += change
            progress.report(iteration, log_likelihood, None)
        bar = Bar.made[start]
        assert (bar.options["total"], bar.options["desc"], bar.n, bar.closed) == (50, f"EM, start {start}", len(changes), False)
        assert bar.text == f"log-likelihood {log_likelihood:.6g}, change {change:.2g}"
        progress.end(None) if start == 0 else progress.close()
        assert bar.closed
    assert len(Bar.made) == 2


def lines_of(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    return lambda: capsys.readouterr().err


def test_lines_are_written_over_ten_times_a_second(monkeypatch, capsys, clock):
    read = lines_of(monkeypatch, capsys)
    progress = Progress(bar=True, max_iter=50)
    progress.begin(0)
    progress.report(1, -10.0, None)
    assert read() == "\rEM, start 0: iteration 1 of 50, log-likelihood -10, change inf"
    clock.now += 0.09
    progress.report(2, -9.5, None)
    assert read() == ""
    clock.now += 0.02
    progress.report(3, -9.25, None)
    assert read() == "\rEM, start 0: iteration 3 of 50, log-likelihood -9.25, change 0.25"
    progress.report(4, -9.0, None)
    progress.end(None)  # the last is shown, and what a longer line left is blanked
    last = "EM, start 0: iteration 4 of 50, log-likelihood -9, change 0.25"
    assert read() == f"\r{last}   \n"
    progress.close()
    assert read() == ""
    progress.begin(1)
    progress.report(1, -8.0, None)
    progress.close()
    line = "\rEM, start 1: iteration 1 of 50, log-likelihood -8, change inf"
    assert read() == f"{line}{line}\n"


def test_the_first_change_of_a_warm_start_is_known(monkeypatch, capsys):
    read = lines_of(monkeypatch, capsys)
    progress = Progress(bar=True)
    progress.begin(0, -3.0)
    progress.report(1, -2.5, None)
    assert read().endswith("change 0.5")


class Fit:
    def __init__(self, converged, history):
        self.converged, self.history = converged, history


def test_verbose_lines(capsys, clock):
    progress = Progress(verbose=2, verbose_interval=2)
    progress.begin(0)
    for iteration, log_likelihood in enumerate((-5.0, -4.0, -3.5, -3.25), 1):
        clock.now += iteration
        progress.report(iteration, log_likelihood, None)
    clock.now += 0.5
    progress.end(Fit(True, [-5.0, -4.0, -3.5, -3.25]))
    assert capsys.readouterr().out.splitlines() == [
        "Initialization 0", "  Iteration 2\t time lapse 3.00000s\t ll change 1.00000",
        "  Iteration 4\t time lapse 7.00000s\t ll change 0.25000",
        "Initialization converged. time lapse 10.50000s\t lower bound -3.25000."]
    progress.begin(1)
    clock.now += 2.25
    progress.end(Fit(True, [-5.0]))
    assert capsys.readouterr().out.splitlines()[1] == "Initialization converged. time lapse 2.25000s\t lower bound -5.00000."
    progress = Progress(verbose=1, verbose_interval=1)
    progress.begin(3)
    progress.report(1, -5.0, None)
    progress.end(Fit(False, [-5.0]))
    progress.begin(4)
    progress.end(None)
    assert capsys.readouterr().out.splitlines() == ["Initialization 3", "  Iteration 1", "Initialization did not converge.",
                                                    "Initialization 4", "Initialization did not converge."]
    progress = Progress(verbose=2)
    progress.begin(0)
    progress.end(None)
    progress.begin(1)
    progress.end(Fit(True, []))
    ends = capsys.readouterr().out.splitlines()[1::2]
    assert len(ends) == 2 and all(end.endswith("lower bound -inf.") for end in ends)


def test_nothing_is_said_of_a_fit_without_iterations(capsys):
    progress = Progress(verbose=2, max_iter=0)
    progress.begin(0)
    progress.end(Fit(False, []))
    assert capsys.readouterr().out == "Initialization 0\n"


def test_nobody_listens_unasked():
    assert Progress().report is None
    assert all(Progress(**options).report is not None for options in ({"verbose": 1}, {"bar": True}, {"callback": print}))


@pytest.mark.parametrize("without", [False, True])
def test_without_standard_error_nothing_is_shown(monkeypatch, capsys, without):
    if without:
        lines_of(monkeypatch, capsys)
    monkeypatch.setattr("sys.stderr", None)
    GaussianMixture(2, random_state=0, progress=True).fit(X)
    assert capsys.readouterr() == ("", "")


class ToldBar:
    """In place of tqdm's: what it was told."""

    def __init__(self, **options):
        self.options, self.n, self.texts, self.open = options, 0, [], True
        ToldBar.shown.append(self)

    def set_postfix_str(self, text, refresh):
        self.texts.append(text)

    def update(self, count):
        assert self.open
        self.n += count

    def close(self):
        self.open = False


@pytest.fixture
def bars(monkeypatch):
    tqdm = pytest.importorskip("tqdm.auto")
    ToldBar.shown = []
    monkeypatch.setattr(tqdm, "tqdm", ToldBar)
    return ToldBar.shown


def test_each_start_has_a_bar_that_counts_its_iterations(bars):
    gm = GaussianMixture(2, random_state=0, n_init=3, tol=1e-6, progress=True).fit(X)
    assert len(bars) == 3 and not any(bar.open for bar in bars)
    assert all(bar.n == len(bar.texts) and bar.options["total"] == 100 for bar in bars)
    best = next(bar for bar in bars if bar.n == gm.n_iter_)
    before = -math.inf
    for text, log_likelihood in zip(best.texts, gm.history_):
        assert text == f"log-likelihood {log_likelihood:.6g}, change {log_likelihood - before:.2g}"
        before = log_likelihood


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_the_bar_is_closed_after_an_error(bars, error):
    def fail(*_):
        raise error

    with pytest.raises(error):
        GaussianMixture(2, random_state=0, progress=True, callback=fail).fit(X)
    assert len(bars) == 1 and not bars[0].open


def test_a_start_that_is_refused_ends_its_bar_too(bars):
    with pytest.raises(ValueError, match="singular"):
        GaussianMixture(2, random_state=0, progress=True, reg_covar=0, n_init=2).fit(np.zeros((10, 2)))
    assert [bar.n for bar in bars] == [0, 0] and not any(bar.open for bar in bars)


def test_a_closed_standard_error_is_no_error():
    code = """
        import sys
        import numpy as np
        from gaussmix import GaussianMixture
        sys.stderr.close()
        print(GaussianMixture(3, n_init="auto", search_budget=30, random_state=0, progress=True).fit(
            np.random.default_rng(0).normal(size=(300, 2))).search_.n_starts)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and int(done.stdout) == 30
