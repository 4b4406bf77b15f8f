"""The command line: its output, the files that it writes, and its errors for bad input."""

import gzip
import io
import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture as SklearnMixture
from threadpoolctl import threadpool_limits

import gaussmix
from gaussmix import cli
from gaussmix.search import Optimum, Search
from terminal import needs_posix, on_a_terminal

FAITHFUL_FILE = Path(__file__).parent / "data" / "faithful_with_header.csv"
FAITHFUL = np.loadtxt(FAITHFUL_FILE, delimiter=",", skiprows=1)
STRUCTURES = ("full", "tied", "diag", "spherical")


def run(*arguments, **kwargs):
    """The command in a process of its own."""
    if not {"stdout", "stderr"} & set(kwargs):
        kwargs["capture_output"] = True
    return subprocess.run([sys.executable, "-m", "gaussmix", *map(str, arguments)], text=True, timeout=120, **kwargs)


@pytest.fixture
def command(capsys):
    """The command in this process: from arguments to status, standard output and standard error."""
    def call(*arguments):
        try:
            status = cli.main(list(map(str, arguments)))
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()
    return call


@pytest.fixture
def model(tmp_path, command):
    path = tmp_path / "model.json"
    assert command("fit", FAITHFUL_FILE, "--components", 2, "--output", path)[0] == 0
    return path


def table_rows(text):
    """Lines of the table of candidates: components, structure, log-likelihood, parameters, BIC, mark."""
    return [line.split() for line in text.splitlines() if re.match(r" +\d+  (full|tied|diag|spherical) ", line)]


# What fit finds

def test_fit_chooses_what_scikit_learn_and_bic_choose(command):
    # diag and spherical are left out: with more components both libraries find, from some starts, a component on equal
    # waiting times whose variance is reg_covar, and which start finds it is chance.
    status, out, err = command("fit", FAITHFUL_FILE, "--components", "1:4", "--covariance", "full,EEE", "--n-init", 3,
                               "--tol", "1e-6", "--max-iter", 2000)
    assert (status, err) == (0, "")
    bic = {}
    with threadpool_limits(1):
        for name in ("full", "tied"):
            for k in range(1, 5):
                their = SklearnMixture(k, covariance_type=name, n_init=3, tol=1e-6, max_iter=2000, random_state=0)
                bic[k, name] = their.fit(FAITHFUL).bic(FAITHFUL)
    best = min(bic, key=bic.get)
    rows = table_rows(out)
    assert len(rows) == 8
    marked = [row for row in rows if row[-1] == "*"]
    assert [(int(row[0]), row[1]) for row in marked] == [best]
    assert float(marked[0][4]) == pytest.approx(bic[best], abs=0.02)
    assert f"{best[0]} components, {best[1]} covariances" in out


def test_one_component_is_the_mean_and_covariance(command):
    lines = command("fit", FAITHFUL_FILE, "--components", 1, "--reg-covar", 0)[1].splitlines()

    def follows(title, skipped, expected):
        """The numbers under a title are these, to the digits that are shown."""
        start = lines.index(title) + 2
        for line, numbers in zip(lines[start:], expected):
            for cell, number in zip(line.split()[skipped:], numbers, strict=True):
                assert cell == f"{number:.{len(cell.partition('.')[2])}f}" and len(cell) >= 4

    follows("Weights and means", 2, [FAITHFUL.mean(axis=0)])
    follows("Covariance of component 0", 1, np.cov(FAITHFUL.T, bias=True))


@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_the_model_is_the_estimators_and_gives_the_same_bits(tmp_path, command, covariance_type):
    path, out = tmp_path / "m.json", tmp_path / "out.csv"
    assert command("fit", FAITHFUL_FILE, "--components", 3, "--covariance", covariance_type, "--seed", 4, "--threads", 1,
                   "--output", path)[0] == 0
    gm = gaussmix.GaussianMixture(3, covariance_type=covariance_type, n_init="auto", random_state=4).fit(FAITHFUL)
    assert gaussmix.load(path).mixture == gm.mixture_
    assert gaussmix.load(path).columns == ["eruptions", "waiting"]
    assert command("predict", path, FAITHFUL_FILE, "--output", out) == (0, "", "")
    assert out.read_text().startswith("label,responsibility_0,responsibility_1,responsibility_2\n")
    written = np.loadtxt(out, delimiter=",", skiprows=1)
    np.testing.assert_array_equal(written[:, 0], gm.predict(FAITHFUL))
    np.testing.assert_array_equal(written[:, 1:], gm.predict_proba(FAITHFUL))


def test_lines_fit_in_eighty_columns(tmp_path, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    rng = np.random.default_rng(0)
    np.save(tmp_path / "wide.npy", rng.normal(size=(200, 20)) * 10.0 ** rng.integers(-6, 9, 20))
    for name in STRUCTURES:
        out = command("fit", tmp_path / "wide.npy", "--components", 2, "--covariance", name)[1]
        assert max(map(len, out.splitlines()[1:])) <= 80
        assert all(f"column {k}" in out for k in range(1, 21))


@pytest.mark.parametrize("optimum, said", [
    (Optimum(-1.0, True, rounds=1000, starts=2), "found in 1,000 of 1,000 rounds; another round finds a better optimum with chance 25.0 %"),
    (Optimum(-1.0, True, rounds=0, starts=0, splices=3),
     "found by splicing the optima of 1,000 rounds; another round finds a better optimum with chance 25.0 %")], ids=["rounds", "splices"])
def test_what_a_search_says_of_its_optimum_fits_in_eighty_columns(optimum, said, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    fitted = gaussmix.GaussianMixture(2)
    fitted.search_ = Search([optimum], 1000, 9000, 90000, 0.25, "chance", 1.0)
    lines = cli._search_lines(fitted)
    assert " ".join(lines) == said
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("numbers, shown", [
    ([2.036521, 4.289779], ["2.037", "4.290"]), ([54.4799, 79.9695], ["54.48", "79.97"]), ([0.0, 0.0], ["0", "0"]),
    ([1.0, -1e-17], ["1.000", "0.000"]), ([1.0, -0.0], ["1.000", "0.000"]), ([123456.7, 0.5], ["123456.700", "0.500"]),
    ([1e-9, 2e-9], ["1.000e-09", "2.000e-09"]), ([3e8, 1.0], ["3.000e+08", "1.000e+00"]),
    ([999.96, 12.0], ["1000.0", "12.0"]), ([-1234567.4], ["-1234567"]), ([9999999.0], ["9999999"]), ([1e7], ["1.000e+07"]),
    ([1.25e-5], ["1.250e-05"]), ([0.000125, 0.5], ["0.000125", "0.500000"]), ([1.5e-5, 0.5], ["0.0000150", "0.5000000"]),
    ([1.5e-6, 0.5], ["1.500e-06", "5.000e-01"]), ([2e-4], ["0.0002000"]),
])
def test_numbers_of_a_column_are_aligned(numbers, shown):
    assert cli._aligned(np.array(numbers)) == shown


@pytest.mark.parametrize("columns, headings", [
    (28, [["a", "long name", "b"]]), (27, [["a", "long name"], ["b"]]), (21, [["a", "long name"], ["b"]]),
    (20, [["a"], ["long name"], ["b"]]), (1, [["a"], ["long name"], ["b"]])])
def test_a_table_is_as_wide_as_the_terminal(monkeypatch, columns, headings):
    monkeypatch.setenv("COLUMNS", str(columns))
    values = {"a": [1.0, 2.0], "long name": [3.0, 4.0], "b": [5.0, 6.0]}
    lines = cli._grid("row", ["0", "1"], list(values), list(values.values()))
    blocks = "\n".join(lines).split("\n\n")
    assert [block.splitlines()[0].replace("long name", "long_name").split()[1:] for block in blocks] == [
        [name.replace(" ", "_") for name in block] for block in headings]
    for block, names in zip(blocks, headings, strict=True):
        heading, *rows = block.splitlines()
        assert [line.split()[1:] for line in rows] == [[f"{values[name][row]:.3f}" for name in names] for row in (0, 1)]
        assert {len(line) for line in rows} == {len(heading)} and (len(names) == 1 or len(heading) <= columns)


@pytest.mark.parametrize("n_columns, name, title", [
    (1, "full", "Variances"), (2, "full", "Covariance of component 0"), (12, "full", "Covariance of component 1"),
    (13, "full", "Variances (the covariances are in the model file)"), (13, "diag", "Variances"), (3, "spherical", "Variances"),
    (1, "tied", "Variances"), (12, "tied", "Covariance of every component"),
    (13, "tied", "Variances (the covariances are in the model file)")])
def test_what_is_shown_of_covariances(tmp_path, command, n_columns, name, title):
    X = np.random.default_rng(1).normal(size=(200, n_columns)) + np.repeat([0, 9], 100)[:, None]
    names = [f"x{number}" for number in range(n_columns)]
    np.savetxt(tmp_path / "x.csv", X, delimiter=",", header=",".join(names), comments="")
    out = command("fit", tmp_path / "x.csv", "--components", 2, "--covariance", name, "--output", tmp_path / "m")[1]
    lines = out.splitlines()
    titles = [line for line in lines if line.startswith(("Cov", "Var"))]
    assert title in titles and len(titles) == (2 if title.startswith("Covariance of component") else 1)
    row = lines[lines.index(title) + 2].split()  # of the first component, or of the first column
    component = int(title[-1]) if title[-1].isdigit() else 0
    assert row[0] == ("x0" if title.startswith("Covariance") else "0")
    assert float(row[1]) == pytest.approx(gaussmix.load(tmp_path / "m").mixture.covariances[component, 0, 0], rel=1e-3)


def test_the_report_counts(tmp_path, command):
    data = tmp_path / "x.csv"
    data.write_text("1\n2\n")
    out = command("fit", data, "--components", 1)[1]
    assert out.startswith(f"{data}: 2 rows, 1 column\n") and "\n1 component, full covariances; EM " in out
    data.write_text("1,2\n2,5\n3,5\n4,7\n")
    assert command("fit", data, "--components", 1)[1].startswith(f"{data}: 4 rows, 2 columns\n")
    for iterations, text in ((1, "1 iteration"), (2, "2 iterations")):
        out = command("fit", FAITHFUL_FILE, "--components", 2, "--tol", 0, "--max-iter", iterations)[1]
        assert f"2 components, full covariances; EM stopped after {text}\n" in out
    assert "EM converged in " in command("fit", FAITHFUL_FILE, "--components", 2)[1]


@pytest.mark.parametrize("count, marked", [("1", False), ("1,2", True), ("1:3", True)])
def test_the_chosen_of_several_is_marked(command, count, marked):
    out = command("fit", FAITHFUL_FILE, "--components", count)[1]
    assert ("* chosen: the lowest BIC" in out) == marked and [row[-1] == "*" for row in table_rows(out)].count(True) == marked


@pytest.mark.parametrize("name, shown", [("x" * 20, "x" * 20), ("x" * 21, "x" * 17 + "..."), ("größe", "größe"),
                                         ("a\tb", "a?b"), ("a\x1b[31m", "a?[31m")])
def test_names_are_shown_printable_and_short(name, shown):
    assert cli._shown(name) == shown


# What fit is asked for

@pytest.mark.parametrize("text, counts", [("3", [3]), ("1,2,5", [1, 2, 5]), ("2:4", [2, 3, 4]), ("5,1:2,4", [5, 1, 2, 4]),
                                          ("4:4", [4])])
def test_numbers_of_components(command, text, counts):
    out = command("fit", FAITHFUL_FILE, "--components", text, "--max-iter", 1000)[1]
    assert [int(row[0]) for row in table_rows(out)] == counts


def test_components_are_one_to_nine_by_default(command):
    assert [int(row[0]) for row in table_rows(command("fit", FAITHFUL_FILE)[1])] == list(range(1, 10))


@pytest.mark.parametrize("option, value", [("auto", "auto"), ("0.25", 0.25), ("0", 0)])
def test_reg_covar(tmp_path, command, option, value):
    data, path = tmp_path / "x.csv", tmp_path / "m.json"
    data.write_text("a,b\n" + "".join(f"{a},{b * 1e4}\n" for a, b in FAITHFUL))
    assert command("fit", data, "--components", 2, "--reg-covar", option, "--n-init", 1, "--output", path)[0] == 0
    X = FAITHFUL * [1, 1e4]
    for other in ("auto", 0.25, 0, 1e-6):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            same = gaussmix.load(path).mixture == gaussmix.GaussianMixture(2, reg_covar=other, random_state=0).fit(X).mixture_
        assert same == (other == value)


@pytest.mark.parametrize("options, expected", [
    ([], {}), (["--tol", "0"], {"tol": 0.0}), (["--tol", "1e-9"], {"tol": 1e-9}), (["--max-iter", "3"], {"max_iter": 3}),
    (["--n-init", "4"], {"n_init": 4}), (["--n-init", "auto", "--search-budget", "2 s"], {"search_budget": "2 s"}),
    (["--search-budget", "30"], {"search_budget": 30}), (["--seed", "0"], {}), (["--seed", "7"], {"random_state": 7}),
    (["--reg-covar", "0"], {"reg_covar": 0.0}), (["--reg-covar", "auto"], {"reg_covar": "auto"}),
    (["--threads", "3"], {"n_threads": 3})])
def test_options_reach_the_fit(command, monkeypatch, options, expected):
    given = []

    def record(X, counts, names, *, progress, **options):
        given.append((list(counts), names, options))
        raise ValueError("enough")

    monkeypatch.setattr(cli, "select", record)
    monkeypatch.setenv("GAUSSMIX_NUM_THREADS", "2")
    assert one_line(command("fit", FAITHFUL_FILE, *options)) == f"gaussmix: {FAITHFUL_FILE}: enough\n"
    defaults = {"n_init": "auto", "search_budget": None, "random_state": 0, "n_threads": 2, "tol": 1e-3, "reg_covar": 1e-6, "max_iter": 100}
    assert given == [(list(range(1, 10)), ["full"], defaults | expected)]


def test_threads_reach_the_prediction(command, monkeypatch, model):
    given = []
    for name in ("classify", "responsibilities"):
        method = getattr(gaussmix.Mixture, name)

        def recorded(*arguments, n_threads, method=method):
            given.append(n_threads)
            return method(*arguments, n_threads=n_threads)

        monkeypatch.setattr(gaussmix.Mixture, name, recorded)
    assert command("predict", model, FAITHFUL_FILE, "--threads", 3)[0] == 0
    assert given == [3, 3]


# What it reads

@pytest.fixture(scope="module")
def formats(tmp_path_factory):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("formats")
    np.save(folder / "a.npy", FAITHFUL)
    np.savetxt(folder / "bare.csv", FAITHFUL, delimiter=",", fmt="%.17g")
    table = pa.table({"waiting": FAITHFUL[:, 1], "species": ["x"] * 272, "eruptions": FAITHFUL[:, 0]})
    pq.write_table(table, folder / "a.parquet")
    body = FAITHFUL_FILE.read_text().splitlines()
    (folder / "cr.csv").write_bytes(b"\r".join(line.encode() for line in body) + b"\r")
    (folder / "odd.csv").write_bytes(b"\xef\xbb\xbf\r\n" + "\r\n\r\n".join(
        ['"eruptions" , waiting', *('"' + line.replace(",", '" , ') for line in body[1:])]).encode())
    (folder / "text.txt").write_text("\n".join(f"{'name' if i == 0 else 'word'},{line}" for i, line in enumerate(body)))
    return folder


@pytest.mark.parametrize("name, options", [
    ("a.npy", []), ("bare.csv", []), ("a.parquet", ["--columns", "eruptions,waiting"]), ("odd.csv", []), ("cr.csv", []),
    ("text.txt", ["--columns", "eruptions,waiting"])])
def test_every_format_gives_the_same_model(tmp_path, command, formats, model, name, options):
    status, _, err = command("fit", formats / name, *options, "--components", 2, "--output", tmp_path / "other.json")
    assert (status, err) == (0, "")
    assert gaussmix.load(tmp_path / "other.json").mixture == gaussmix.load(model).mixture
    named = options or name in ("odd.csv", "cr.csv")
    assert gaussmix.load(tmp_path / "other.json").columns == (["eruptions", "waiting"] if named else None)


# Large files, which stay in files

LARGE_FORMATS = [("a.npy", []), ("bare.csv", []), ("a.parquet", ["--columns", "eruptions,waiting"]), ("a.npy", ["--columns", "2,1"]),
                 ("bare.csv", ["--columns", "2,1"]), ("text.txt", ["--columns", "eruptions,waiting"])]


@pytest.mark.parametrize("name, options", LARGE_FORMATS)
def test_a_large_file_gives_the_same_report_model_and_labels(tmp_path, command, formats, monkeypatch, name, options):
    fit = "fit", formats / name, *options, "--components", "1:3", "--output", tmp_path / "model.json"
    predict = "predict", tmp_path / "model.json", formats / name, *options
    status, report, err = command(*fit)
    small = (status, report, err), (tmp_path / "model.json").read_bytes(), command(*predict)
    assert (status, err) == (0, "")
    opened = []
    original = cli.open_file
    monkeypatch.setattr(cli, "open_file", lambda *arguments: opened.append(arguments) or original(*arguments))
    monkeypatch.setattr(cli, "LARGE", 0)
    large = command(*fit), (tmp_path / "model.json").read_bytes(), command(*predict)
    assert len(opened) == 2
    digits = [re.sub(r"-?\d+\.\d+", "", text) for text in (small[0][1], large[0][1])]
    assert digits[0] == digits[1] and large[0][0] == 0
    assert large[1:] == small[1:]


def test_a_folder_of_parquet_files(tmp_path, command, model):
    parquet, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    (tmp_path / "rows").mkdir()
    for part, rows in enumerate(np.array_split(FAITHFUL, 3)):
        parquet.write_table(pa.table({"eruptions": rows[:, 0], "waiting": rows[:, 1]}), tmp_path / "rows" / f"{part}.parquet")
    status, out, err = command("fit", tmp_path / "rows", "--components", 2, "--output", tmp_path / "other.json", "--format", "json")
    assert (status, err, json.loads(out)["n_rows"]) == (0, "", 272)
    assert gaussmix.load(tmp_path / "other.json").mixture == gaussmix.load(model).mixture


def test_a_large_file_is_drawn(tmp_path, command, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(cli, "LARGE", 0)
    assert command("fit", FAITHFUL_FILE, "--components", 2, "--plot", tmp_path / "p.png")[0] == 0
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_output_does_not_replace_what_is_read_in_a_folder(tmp_path, command, model):
    parquet, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    folder = tmp_path / "rows"
    folder.mkdir()
    parquet.write_table(pa.table({"eruptions": FAITHFUL[:, 0], "waiting": FAITHFUL[:, 1]}), folder / "1.parquet")
    before = (folder / "1.parquet").read_bytes()
    for name in ("1.parquet", "2.parquet"):
        for arguments in (("predict", model, folder), ("fit", folder, "--components", 2)):
            status, out, err = command(*arguments, "--output", folder / name)
            assert (status, out) == (2, "")
            assert err == f"gaussmix: {folder / name}: cannot be written, as its folder is read: put the output elsewhere\n"
    assert os.listdir(folder) == ["1.parquet"] and (folder / "1.parquet").read_bytes() == before


@pytest.mark.parametrize("arguments", [("--header", "no"), ("--delimiter", ";"), ("--decimal-comma",)])
def test_the_layout_of_csv_is_not_said_of_other_large_files(tmp_path, command, monkeypatch, arguments):
    monkeypatch.setattr(cli, "LARGE", 0)
    np.save(tmp_path / "rows.npy", np.zeros((9, 2)))
    status, out, err = command("fit", tmp_path / "rows.npy", "--components", 2, *arguments)
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert "rows.npy: is not CSV: leave out --delimiter, --decimal-comma and --header, which are for CSV only" in err


@pytest.mark.parametrize("content, what", [
    ("1,2\n3,nan\n4,5\n", "rows.csv: block 0, row 1: column 1 holds NaN; all values must be finite"),
    ("a,b\n1,x\n", "rows.csv: column 2, 'b', holds words, as 'x' in line 2; leave it out with --columns 1"),
    ("1,2\n3\n", "rows.csv: line 2 has 1 field, but line 1 has 2"),
    ("1,2\n", "rows.csv: more components (2) than rows (1)")])
def test_a_bad_large_file(tmp_path, command, monkeypatch, content, what):
    monkeypatch.setattr(cli, "LARGE", 0)
    (tmp_path / "rows.csv").write_text(content)
    status, out, err = command("fit", tmp_path / "rows.csv", "--components", 2, "--output", tmp_path / "model.json")
    assert (status, out) == (2, "")
    assert err.startswith("gaussmix: ") and what in err and err.count("\n") == 1
    assert os.listdir(tmp_path) == ["rows.csv"]


@needs_posix
def test_the_progress_of_a_large_file_counts_rows_and_passes(tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(300_000, 4)))
    command = ["fit", str(tmp_path / "rows.npy"), "--components", "2:3", "--n-init", "1"]
    program = f"from gaussmix import cli; cli.LARGE = 0; cli.main({command})"
    shown, _ = on_a_terminal(["-c", program], 24, 100)
    assert re.search(r"fit 2 of 2, pass 4: +\d+%.*/300k \[", shown)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble, np.int32, np.uint8, np.bool_])
def test_every_type_of_number_is_read_without_a_word(tmp_path, command, dtype):
    X = (FAITHFUL > FAITHFUL.mean(axis=0)) if dtype is np.bool_ else FAITHFUL
    np.save(tmp_path / "x.npy", X.astype(dtype))
    status, out, err = command("fit", tmp_path / "x.npy", "--components", 1, "--output", tmp_path / "m.json")
    assert (status, err) == (0, "") and "272 rows, 2 columns" in out
    np.testing.assert_allclose(gaussmix.load(tmp_path / "m.json").mixture.means[0],
                               X.astype(dtype).astype(np.float64).mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("name", ["a.npy", "bare.csv", "a.parquet", "odd.csv", "text.txt"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
def test_predict_reads_and_writes_every_format(tmp_path, command, formats, model, name, suffix):
    out = tmp_path / f"out{suffix}"
    assert command("predict", model, formats / name, "--output", out) == (0, "", "")
    mixture = gaussmix.load(model).mixture
    expected = np.column_stack([mixture.classify(FAITHFUL), mixture.responsibilities(FAITHFUL)])
    np.testing.assert_array_equal(contents(out)[0], expected)
    if suffix != ".npy":
        assert contents(out)[1] == ["label", "responsibility_0", "responsibility_1"]


def contents(path):
    """Numbers and names of a file, read without gaussmix."""
    import pandas as pd

    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False), None
    table = pd.read_csv(path, dtype=str).astype(float) if path.suffix == ".csv" else pd.read_parquet(path)
    return table.to_numpy(), list(table.columns)


def test_predict_without_output_writes_csv_to_standard_output(command, model):
    status, out, err = command("predict", model, FAITHFUL_FILE)
    lines = out.splitlines()
    assert (status, err, len(lines)) == (0, "", 273)
    first = gaussmix.load(model).mixture.responsibilities(FAITHFUL[:1])[0]
    assert [float(cell) for cell in lines[1].split(",")][1:] == list(first)


def test_sample(tmp_path, command, model):
    mixture = gaussmix.load(model).mixture
    rows = mixture.rvs(50, random_state=3)
    for suffix in (".csv", ".parquet", ".npy"):
        out = tmp_path / f"rows{suffix}"
        assert command("sample", model, "-n", 50, "--seed", 3, "--output", out) == (0, "", "")
        got, names = contents(out)
        np.testing.assert_array_equal(got, rows)
        assert suffix == ".npy" or names == ["eruptions", "waiting"]
    status, out, _ = command("sample", model, "-n", 50, "--seed", 3)
    assert status == 0 and out == (tmp_path / "rows.csv").read_text()
    assert command("sample", model, "-n", 5)[1] != command("sample", model, "-n", 5)[1]


def test_rows_of_a_nameless_model_have_no_header_and_can_be_fitted(tmp_path, command, formats):
    assert command("fit", formats / "a.npy", "--components", 2, "--output", tmp_path / "m.json")[0] == 0
    assert command("sample", tmp_path / "m.json", "-n", 1000, "--seed", 0, "--output", tmp_path / "rows.csv")[0] == 0
    assert np.loadtxt(tmp_path / "rows.csv", delimiter=",").shape == (1000, 2)
    assert "1,000 rows, 2 columns" in command("fit", tmp_path / "rows.csv", "--components", 2)[1]


def text_table(delimiter=",", decimal=".", names=None, word=None):
    """The faithful data as text, behind a column of words perhaps."""
    header = [[*(["kind"] if word else []), *names]] if names else []
    body = [[*([word] if word else []), *(repr(float(number)).replace(".", decimal) for number in row)] for row in FAITHFUL]
    return "\n".join(delimiter.join(row) for row in header + body) + "\n"


NAMES = ["eruptions", "waiting"]


@pytest.mark.parametrize("layout, options", [
    ({"delimiter": ";"}, []), ({"delimiter": "\t"}, []), ({"delimiter": ";", "decimal": ","}, ["--decimal-comma"]),
    ({"delimiter": "\t", "decimal": ","}, ["--decimal-comma"]), ({"delimiter": "|"}, ["--delimiter", "|"]),
    ({"delimiter": "\t"}, ["--delimiter", "tab"]), ({"delimiter": "\t"}, ["--delimiter", r"\t"]),
    ({"delimiter": " "}, ["--delimiter", "space"]), ({"delimiter": ";"}, ["--delimiter", ";", "--header", "yes"]),
    ({"word": "k"}, ["--columns", "eruptions, waiting"]), ({"word": "k"}, ["--columns", "2:3"]),
    ({"names": None}, ["--header", "no"]), ({"names": None, "word": "k"}, ["--columns", "2,3"]),
])
def test_fit_and_predict_read_every_layout(tmp_path, command, model, layout, options):
    data, other = tmp_path / "x.csv", tmp_path / "other.json"
    data.write_text(text_table(**{"names": NAMES} | layout), encoding="utf-8")
    assert command("fit", data, *options, "--components", 2, "--output", other)[::2] == (0, "")
    assert gaussmix.load(other).mixture == gaussmix.load(model).mixture
    assert command("predict", model, data, *options) == command("predict", model, FAITHFUL_FILE)


def test_columns_of_a_file_without_names_are_called_by_their_numbers(tmp_path, command):
    np.save(tmp_path / "x.npy", np.column_stack([FAITHFUL[:, 0], np.full(272, np.nan), FAITHFUL[:, 1]]))
    status, out, err = command("fit", tmp_path / "x.npy", "--columns", "3,1", "--components", 1, "--output", tmp_path / "m.json")
    assert (status, err) == (0, "") and out.count("column 3") == 3 and out.count("column 1") == 3 and "column 2" not in out
    np.testing.assert_allclose(gaussmix.load(tmp_path / "m.json").mixture.means, [FAITHFUL[:, ::-1].mean(axis=0)])
    expected = command("predict", tmp_path / "m.json", tmp_path / "x.npy", "--columns", "3,1")
    np.save(tmp_path / "y.npy", FAITHFUL[:, ::-1])
    assert command("predict", tmp_path / "m.json", tmp_path / "y.npy") == expected


def test_predict_takes_the_columns_that_it_is_told(tmp_path, command, model):
    data = tmp_path / "x.csv"
    data.write_text("waiting,minutes,eruptions\n" + "".join(f"{b},{a},0\n" for a, b in FAITHFUL))
    assert command("predict", model, data, "--columns", "minutes,1") == command("predict", model, FAITHFUL_FILE)


def test_the_advice_about_a_column_of_words_can_be_followed(tmp_path, command, model):
    data = tmp_path / "x.csv"
    for names, said in ((NAMES, "column 1, 'kind', holds words, as 'k' in line 2"),
                        (None, "column 1 holds words, as 'k' in line 1")):
        data.write_text(text_table(names=names, word="k"))
        assert one_line(command("fit", data)) == f"gaussmix: {data}: {said}; leave it out with --columns 2:3\n"
        assert "272 rows, 2 columns" in command("fit", data, "--components", 2, "--columns", "2:3")[1]
        assert command("predict", model, data, "--columns", "2:3") == command("predict", model, FAITHFUL_FILE)
    assert one_line(command("predict", model, data)) == f"gaussmix: {data}: {said}; leave it out with --columns 2:3\n"


def test_a_column_that_the_model_needs_cannot_be_left_out(tmp_path, command, model):
    data = tmp_path / "x.csv"
    data.write_text("eruptions,waiting\n3,long\n4,short\n")
    assert one_line(command("predict", model, data)) == (
        f"gaussmix: {data}: column 2, 'waiting', holds words, as 'long' in line 2\n")


@pytest.mark.parametrize("numbers, text", [([1], "1"), ([1, 2, 3], "1:3"), ([1, 2, 4, 6, 7], "1:2,4,6:7"), ([4, 2, 3], "4,2:3")])
def test_numbers_of_columns_in_short(numbers, text):
    assert cli._ranges(numbers) == text


class Standard:
    """A standard input that holds these bytes."""

    def __init__(self, content):
        self.buffer = io.BytesIO(content)


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input(tmp_path, command, model, monkeypatch, packed):
    content = FAITHFUL_FILE.read_bytes()
    content = gzip.compress(content) if packed else content
    monkeypatch.setattr("sys.stdin", Standard(content))
    status, out, err = command("fit", "-", "--components", 2, "--output", tmp_path / "m.json")
    assert (status, err) == (0, "") and out.startswith("standard input: 272 rows, 2 columns\n")
    assert gaussmix.load(tmp_path / "m.json").mixture == gaussmix.load(model).mixture
    monkeypatch.setattr("sys.stdin", Standard(content))
    assert command("predict", model, "-") == command("predict", model, FAITHFUL_FILE)


@pytest.mark.parametrize("content, said", [
    (b"", "is empty"), (b"a,b\n1,2\n1,x\n", "line 3, column 'b': 'x' is not a number"),
    (b"\x93NUMPY", "line 1 is not UTF-8 text"), (b"\x1f\x8b", "is compressed by gzip and damaged"),
    (b"1,2\n", "more components (2) than rows (1)"), (None, "is closed")])
def test_a_bad_standard_input(command, monkeypatch, content, said):
    monkeypatch.setattr("sys.stdin", None if content is None else Standard(content))
    line = one_line(command("fit", "-", "--components", 2))
    assert line.startswith("gaussmix: standard input: ") and said in line


def test_standard_input_of_a_process(tmp_path, command, model):
    (tmp_path / "-").write_text("not this one")
    with open(FAITHFUL_FILE) as file:
        result = run("predict", model, "-", stdin=file, cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == command("predict", model, FAITHFUL_FILE)


def test_compressed_csv(tmp_path, command, model):
    packed = tmp_path / "x.csv.gz"
    packed.write_bytes(gzip.compress(FAITHFUL_FILE.read_bytes()))
    assert "272 rows, 2 columns" in command("fit", packed, "--components", 2)[1]
    assert command("predict", model, packed) == command("predict", model, FAITHFUL_FILE)
    assert command("predict", model, packed, "--output", tmp_path / "out.csv.gz") == (0, "", "")
    assert gzip.decompress((tmp_path / "out.csv.gz").read_bytes()).decode() == command("predict", model, FAITHFUL_FILE)[1]


# What it writes

def test_a_line_is_standard_output(tmp_path, command, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir())
    assert command("predict", model, FAITHFUL_FILE, "--output", "-") == command("predict", model, FAITHFUL_FILE)
    assert command("sample", model, "-n", 3, "--seed", 1, "--output", "-") == command("sample", model, "-n", 3, "--seed", 1)
    assert "--output: must be a file" in one_line(command("fit", FAITHFUL_FILE, "--output", "-"))
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("name", ["m.pkl", "m.PICKLE", "m.joblib", "m.npz", "m.csv", "m.json.gz", "m.h5"])
def test_a_model_under_the_name_of_another_format_deserves_a_word(tmp_path, command, name):
    status, out, err = command("fit", FAITHFUL_FILE, "--components", 1, "--output", tmp_path / name)
    assert status == 0 and out.endswith(f"Model written to {tmp_path / name}\n")
    assert err == f"gaussmix: note: {tmp_path / name} holds JSON, whatever its name says; gaussmix reads it under any name\n"
    assert command("predict", tmp_path / name, FAITHFUL_FILE)[::2] == (0, "")


@pytest.mark.parametrize("name", ["m.json", "m.JSON", "m", "model-1.2", "m.gmm", "pkl"])
def test_a_model_under_any_other_name_does_not(tmp_path, command, name):
    assert command("fit", FAITHFUL_FILE, "--components", 1, "--output", tmp_path / name)[::2] == (0, "")


# What it says of bad input

def bad_files():
    header = "a,b\n"
    yield "empty", "x.csv", b"", "is empty"
    yield "blank", "x.csv", b"\n\n\n", "is empty"
    yield "header only", "x.csv", b"a,b\n", "holds no rows below its header"
    yield "word", "x.csv", header + "1,2\n3,four\n", "line 3, column 'b': 'four' is not a number"
    yield "word without header", "x.csv", "1,2\n3,four\n", "line 2, column 2: 'four' is not a number"
    yield "python's number", "x.csv", header + "1,2\n1_0,4\n", "line 3, column 'a': '1_0' is not a number"
    yield "words", "x.csv", "a,b\n1,x\n3,y\n", "column 2, 'b', holds words, as 'x' in line 2; leave it out with --columns 1\n"
    yield "decimal commas", "x.csv", "a;b\n1,5;2\n", "line 2, column 'a': '1,5' is not a number; where its comma stands before"
    yield "blanks", "x.csv", "a b\n1 2\n", "line 2, column 'a b': '1 2' is not a number; where several fields stand in one, say"
    yield "names or data", "x.csv", "x,1\ny,2\n", "line 1 may hold names or data: say which with --header yes or --header no"
    yield "empty cell", "x.csv", header + "1,2\n,4\n", "line 3, column 'a': the value is missing"
    yield "empty cell in the first line", "x.csv", "1,\n3,4\n", "line 1, column 2: the value is missing"
    yield "NA", "x.csv", header + "1,NA\n", "line 2, column 'b': the value is missing (NA)"
    for word in ("n/a", "#N/A", "-nan", "null", "None"):
        yield word, "x.csv", header + f"1,{word}\n", f"line 2, column 'b': the value is missing ({word})"
    yield "NaN", "x.csv", header + "1,2\n1,nan\n", "line 3, column 'b': the value is missing (nan)"
    yield "infinite", "x.csv", header + "1,2\n1,-inf\n", "line 3, column 'b': the value is infinite (-inf)"
    yield "beyond float64", "x.csv", header + "1,1e999\n", "line 2, column 'b': the value is infinite"
    yield "too large", "x.csv", header + "1,1e200\n", "line 2, column 'b': the value 1e+200 is too large"
    yield "short row", "x.csv", header + "1,2\n3\n", "line 3 has 1 field, but line 1 has 2"
    yield "long row", "x.csv", header + "1,2\n3,4,5\n", "line 3 has 3 fields, but line 1 has 2"
    yield "after blank lines", "x.csv", "\na,b\n\n1,2\n\n\n3,x\n", "line 7, column 'b': 'x' is not a number"
    yield "after a name of two lines", "x.csv", '"a\nb",c\n1,2\n3,x\n', "line 4, column 'c': 'x' is not a number"
    yield "Windows line ends", "x.csv", "a,b\r\n1,2\r\n3,x\r\n", "line 3, column 'b': 'x' is not a number"
    yield "unclosed quote", "x.csv", header + '1,2\n3,"4\n5,6\n', "line 3, column 'b'"
    yield "nameless column", "x.csv", ",a\n0,1\n", "line 1: column 1 has no name"
    yield "a name twice", "x.csv", "a,a\n0,1\n", "line 1: two columns have the name 'a'"
    yield "not UTF-8", "x.csv", b"a,b\n1,2\n3,\xe9\n", "line 3 is not UTF-8 text"
    yield "UTF-16", "x.csv", "a,b\n1,2\n".encode("utf-16"), "line 1 is not UTF-8 text"
    yield "nothing but zeros", "x.csv", bytes(5000), "holds no rows below its header"
    yield "a zero", "x.csv", b"a,b\n1,2\n3\0,4\n", "line 3, column 'a': '3\\x00' is not a number"
    yield "only a byte order mark", "x.csv", b"\xef\xbb\xbf", "is empty"
    yield "a cell without end", "x.csv", header + "9" * 200_000 + ",2\n1,2\n", "line 2: field larger than field limit"
    yield "a name without end", "x.csv", "a" * 200_000 + ",b\n1,2\n", "line 1: field larger than field limit"
    yield "a long name", "x.csv", "a" * 50 + ",b\nx,2\n", f"column 1, '{'a' * 37}...', holds words, as 'x' in line 2"
    yield "a long word", "x.csv", header + "1,2\n" + "x" * 50 + ",2\n", f"line 3, column 'a': '{'x' * 37}...' is not a number"
    yield "a damaged gzip file", "x.csv.gz", b"\x1f\x8b\x08\x00", "is compressed by gzip and damaged"
    yield "npy: CSV", "x.npy", "a,b\n1,2\n", "is not a .npy file of numbers, or is damaged: the magic string is not correct"
    yield "npy: an unfinished header", "x.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8',\n", "is not a .npy file of numbers"
    yield "Parquet: CSV", "x.parquet", "a,b\n1,2\n", "is not a Parquet file, or is damaged"
    yield "fewer rows than components", "x.csv", header + "1,2\n3,4\n", "more components (3) than rows (2)"
    yield "singular", "x.csv", header + "1,2\n" * 9, "component"
    yield "npy: empty", "x.npy", b"", "is empty"
    yield "npy: truncated", "x.npy", b"\x93NUMPY\x01\x00v\x00{'descr'", "is not a .npy file of numbers, or is damaged"
    yield "npy: pickle", "x.npy", np.array([{}, 1], dtype=object), "is not a .npy file of numbers"
    yield "npy: words", "x.npy", np.array([["a"]]), "must hold real numbers, not <U1"
    yield "npy: cube", "x.npy", np.zeros((2, 2, 2)), "shape (rows, columns), not (2, 2, 2)"
    yield "npy: no rows", "x.npy", np.zeros((0, 2)), "shape (rows, columns), not (0, 2)"
    yield "npy: NaN", "x.npy", np.array([[1.0, 2], [np.nan, 3]]), "row 2, column 1: the value is missing (NaN)"
    yield "npy: infinite", "x.npy", np.array([[1.0, 2], [3, np.inf]]), "row 2, column 2: the value is infinite"
    yield "npy: infinite float32", "x.npy", np.array([[1, 2], [3, np.inf]], np.float32), "row 2, column 2: the value is infinite"
    yield "npy: NaN float16", "x.npy", np.array([[1, 2], [np.nan, 3]], np.float16), "row 2, column 1: the value is missing (NaN)"
    yield "npy: too large", "x.npy", np.array([[1, 2], [3, 1e146]], np.longdouble), "row 2, column 2: the value 1e+146 is"
    yield "Parquet: damaged", "x.parquet", b"PAR1 and no more", "is not a Parquet file, or is damaged"
    yield "Parquet: words", "x.parquet", {"a": [1.0], "b": ["x"]}, ("column 2, 'b', does not hold numbers, but string; "
                                                                                   "leave it out with --columns 1\n")
    yield "Parquet: null", "x.parquet", {"a": [1.0, 2.0], "b": [1, None]}, "row 2, column 'b': the value is missing"
    yield "Parquet: NaN", "x.parquet", {"a": [1.0, float("nan")]}, "row 2, column 'a': the value is missing (NaN)"
    yield "Parquet: no rows", "x.parquet", {"a": np.zeros(0)}, "holds no rows"


def write(path, content):
    if isinstance(content, np.ndarray):
        np.save(path, content)
    elif isinstance(content, dict):
        import pyarrow as pa
        import pyarrow.parquet as pq
        pq.write_table(pa.table(content), path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


BAD_FILES = list(bad_files())


def one_line(result):
    """What a failed command said, after checking that it is one line and no traceback."""
    status, out, err = result
    assert status == 2 and out == "" and err.startswith("gaussmix")
    assert err.count("\n") == 1 and err.endswith("\n") and "Traceback" not in err
    return err


@pytest.mark.parametrize("name, content, said", [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES])
def test_a_bad_file(tmp_path, command, name, content, said):
    write(tmp_path / name, content)
    line = one_line(command("fit", tmp_path / name, "--components", 3, "--reg-covar", 0, "--output", tmp_path / "m.json"))
    assert line.startswith(f"gaussmix: {tmp_path / name}: ") and said in line
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["nowhere.csv", "nowhere.npy", "nowhere.parquet"])
def test_no_such_file(tmp_path, command, model, name):
    path = tmp_path / name
    assert one_line(command("fit", path)) == f"gaussmix: {path}: No such file or directory\n"
    assert one_line(command("predict", model, path)) == f"gaussmix: {path}: No such file or directory\n"
    assert one_line(command("sample", path, "-n", 1)) == f"gaussmix: {path}: No such file or directory\n"


def test_folders_and_pipes_are_no_data(tmp_path, command):
    assert "is a folder" in one_line(command("fit", tmp_path))
    assert "is a pipe or device" in one_line(command("fit", os.devnull))


@pytest.mark.parametrize("arguments, said", [
    (["fit", "f.csv", "--components", "9:1"],
     "--components: must be a number as in 3, numbers as in 1,2,5, or a range from low to high as in 1:9, not '9:1'"),
    (["fit", "f.csv", "--components", "1,2,"], "--components"),
    (["fit", "f.csv", "--components", "1:999999999"], "at most 10,000"),
    (["fit", "f.csv", "--components", "1:10001"], "at most 10,000"),
    (["fit", "f.csv", "--components", "1:10000"], "f.csv: No such file"),
    (["fit", "f.csv", "--components", "1:3,2"], "--components: must be different numbers, not '1:3,2'"),
    (["fit", "f.csv", "--components", "0"], "--components"), (["fit", "f.csv", "--components", "two"], "--components"),
    (["fit", "f.csv", "--components", "1:"], "--components"), (["fit", "f.csv", "--components", "-3"], "--components"),
    (["fit", "f.csv", "--covariance", "round"], "--covariance: must be one of 'full' ('VVV')"),
    (["fit", "f.csv", "--covariance", "full,"], "--covariance"), (["fit", "f.csv", "--n-init", "0"], "--n-init"),
    (["fit", "f.csv", "--search-budget", "soon"], "--search-budget"),

    (["fit", "f.csv", "--seed", "-1"], "--seed"), (["fit", "f.csv", "--seed", "1.5"], "--seed"),
    (["fit", "f.csv", "--threads", "0"], "--threads"), (["fit", "f.csv", "--tol", "nan"], "--tol"),
    (["fit", "f.csv", "--tol", "small"], "--tol"), (["fit", "f.csv", "--max-iter", "0"], "--max-iter"),
    (["fit", "f.csv", "--reg-covar", "-1"], "--reg-covar"), (["fit", "f.csv", "--columns", "a,,b"], "--columns"),
    (["fit", "f.csv", "--reg-covar", "automatic"], "--reg-covar: must be auto or a number of at least 0, not 'automatic'"),
    (["fit", "f.csv", "--reg-covar", "inf"], "--reg-covar"),
    (["fit", "f.csv", "--tol", "auto"], "--tol: must be a number of at least 0"),
    (["fit", "f.csv", "--columns", "a,a"], "--columns"), (["predict", "m.json", "f.csv", "--columns", " "], "--columns"),
    (["fit", "f.csv", "--columns", "a, "], "--columns"), (["fit", "f.csv", "--columns", ""], "--columns"),
    *((["fit", "f.csv", "--delimiter", text], "--delimiter: must be tab, space or one character") for text in
      ("", ";;", "comma", "5", "e", "+", "-", ".", '"', "\n", "\0", "\u00a6")),
    (["predict", "m.json", "f.csv", "--header", "maybe"], "--header: invalid choice: 'maybe'"),
    (["fit", "f.csv", "--threads", "9999999999"], "--threads: must be a whole number of at least 1 with at most 9 digits"),
    (["sample", "m.json", "-n", "9" * 19], "-n: must be a whole number of at least 1 with at most 18 digits"),
    (["sample", "m.json", "-n", "9" * 18], "m.json: No such file"),
    (["fit", ""], "gaussmix: '': No such file or directory"),
    (["sample", "", "-n", "3"], "gaussmix: '': No such file or directory"),
    (["fit", "f.csv", "--output", ""], "gaussmix: '': cannot be written"),
    (["fit"], "FILE"), (["fit", "f.csv", "--colour"], "--colour"), (["dance"], "dance"), ([], "COMMAND"),
    (["sample", "m.json"], "-n"), (["sample", "m.json", "-n", "0"], "-n"), (["sample", "m.json", "-n", "many"], "-n"),
    (["predict", "m.json"], "FILE"),
])
def test_a_bad_option(command, arguments, said):
    assert said in one_line(command(*arguments))


def test_bad_columns(tmp_path, command, model, formats):
    assert "has no column 'z'; its columns are 'eruptions', 'waiting'" in one_line(
        command("fit", FAITHFUL_FILE, "--columns", "eruptions,z"))
    assert "bare.csv: has no column 'a'; its columns are without names, numbered from 1 to 2" in one_line(
        command("fit", formats / "bare.csv", "--columns", "a"))
    assert "has no column '3'; its columns are 'eruptions', 'waiting'" in one_line(
        command("fit", FAITHFUL_FILE, "--columns", "3"))
    assert "column 2 is chosen twice" in one_line(command("fit", FAITHFUL_FILE, "--columns", "waiting,2"))
    assert "faithful_with_header.csv: gives, by --columns, 1 column, but the model in" in one_line(
        command("predict", model, FAITHFUL_FILE, "--columns", "1"))
    (tmp_path / "other.csv").write_text("waiting,x\n1,2\n")
    assert "other.csv: has no column 'eruptions'" in one_line(command("predict", model, tmp_path / "other.csv"))
    (tmp_path / "three.csv").write_text("1,2,3\n")
    assert "three.csv: has 3 columns, but the model in" in one_line(command("predict", model, tmp_path / "three.csv"))


def test_a_bad_row_for_predict_leaves_no_output(tmp_path, command, model):
    (tmp_path / "new.csv").write_text("waiting,eruptions\n1,2\n1,\n")
    before = sorted(tmp_path.iterdir())
    line = one_line(command("predict", model, tmp_path / "new.csv", "--output", tmp_path / "out.csv"))
    assert "new.csv: line 3, column 'eruptions': the value is missing" in line
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_model(tmp_path, command, model):
    model.write_text(model.read_text()[:150])
    for arguments in (["predict", model, FAITHFUL_FILE], ["sample", model, "-n", 3]):
        assert re.match(rf"gaussmix: {re.escape(str(model))}: .*line \d+, column \d+", one_line(command(*arguments)))
    assert "is not a whole JSON file: line 1, column 1" in one_line(command("sample", FAITHFUL_FILE, "-n", 3))
    np.save(tmp_path / "m.npy", FAITHFUL)
    assert "m.npy: is not a model file: it is not text" in one_line(command("sample", tmp_path / "m.npy", "-n", 3))


@pytest.mark.parametrize("output, said", [
    ("missing/out.csv", "its folder does not exist"), (".", "it is a folder"),
    ("out.xlsx", "must end in .csv, .csv.gz, .parquet or .npy"),
    ("out.npy.gz", "must end in .csv, .csv.gz, .parquet or .npy")])
def test_a_bad_output(tmp_path, command, model, output, said):
    path = tmp_path / output
    before = sorted(tmp_path.iterdir())
    commands = [["predict", model, FAITHFUL_FILE], ["sample", model, "-n", 3], ["fit", FAITHFUL_FILE]]
    for arguments in commands[:2 if "must end" in said else 3]:  # a model may have any name
        line = one_line(command(*arguments, "--output", path))
        assert line.startswith(f"gaussmix: {path}: ") and said in line
    assert sorted(tmp_path.iterdir()) == before


def test_an_output_that_may_not_be_written(tmp_path, command, model, monkeypatch):
    monkeypatch.setattr("gaussmix.outputs.os.access", lambda *_: False)
    line = one_line(command("sample", model, "-n", 3, "--output", tmp_path / "out.csv"))
    assert line == f"gaussmix: {tmp_path / 'out.csv'}: cannot be written: permission denied\n"


@needs_posix
def test_what_is_no_ordinary_file_is_not_replaced(command, tmp_path):
    pipe, link = tmp_path / "pipe.csv", tmp_path / "link.csv"  # not a device of the system's, which a mistake would destroy
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        assert "not an ordinary file" in one_line(command("fit", FAITHFUL_FILE, "--output", path))
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
@pytest.mark.parametrize("arguments, read", [
    (["fit", "x.csv", "--components", "2"], "x.csv"), (["predict", "m.csv", "x.csv"], "x.csv"),
    (["predict", "m.csv", "x.csv"], "m.csv"), (["sample", "m.csv", "-n", "3"], "m.csv"),
    (["predict", "m.csv", "-"], "x.csv"), (["predict", "m.csv", "-"], "m.csv"),
    (["fit", "-", "--components", "2"], "x.csv")])
def test_an_input_is_not_overwritten(command, tmp_path, model, monkeypatch, arguments, read, link):
    monkeypatch.chdir(tmp_path)
    Path("x.csv").write_bytes(FAITHFUL_FILE.read_bytes())
    model.rename("m.csv")
    output = read if link is None else "out.csv"
    if link is not None:
        link(read, output)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with open("x.csv") as file:
        monkeypatch.setattr("sys.stdin", file)
        assert one_line(command(*arguments, "--output", output)) == (
            f"gaussmix: {output}: cannot be written, as it is also read: give the output another name\n")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_another_file_is_overwritten(command, tmp_path, model):
    out = tmp_path / "out.csv"
    out.write_text("before")
    assert command("predict", model, FAITHFUL_FILE, "--output", out) == (0, "", "")
    assert out.read_text() == command("predict", model, FAITHFUL_FILE)[1]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".npy"])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, command, model, monkeypatch, suffix):
    out = tmp_path / f"out{suffix}"
    out.write_text("before")
    before = sorted(tmp_path.iterdir())

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gaussmix.outputs.os.replace", full)
    assert one_line(command("sample", model, "-n", 9, "--output", out)) == (
        f"gaussmix: {out}: cannot be written: No space left on device\n")
    assert sorted(tmp_path.iterdir()) == before and out.read_text() == "before"


# Pictures

BEGINNINGS = {"png": b"\x89PNG\r\n", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("ending", ["png", "svg", "pdf", "PNG"])
def test_a_picture_is_written(tmp_path, command, ending):
    path = tmp_path / f"faithful.{ending}"
    status, out, err = command("fit", FAITHFUL_FILE, "--components", 2, "--plot", path)
    assert (status, err) == (0, "") and out.endswith(f"\n\nPicture written to {path}\n")
    assert path.read_bytes().startswith(BEGINNINGS[ending.lower()]) and os.listdir(tmp_path) == [path.name]
    if ending == "svg":
        assert all(f"<!-- {word} -->" in path.read_text() for word in ("eruptions", "waiting"))


@pytest.mark.parametrize("columns, words", [("1", ["column 1", "density", "2,000 rows"]), ("1:3", ["column 1", "column 3"]),
                                            ("2,3", ["column 2", "column 3"])])
def test_the_picture_suits_the_columns(tmp_path, command, columns, words):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(2000, 8)) + np.repeat([0, 9], 1000)[:, None])
    assert command("fit", tmp_path / "x.npy", "--columns", columns, "--components", 2, "--plot", tmp_path / "x.svg")[0] == 0
    text = (tmp_path / "x.svg").read_text()
    assert all(f"<!-- {word} -->" in text for word in words)


def test_a_picture_of_the_chosen_model_and_the_model(tmp_path, command):
    picture, model = tmp_path / "x.png", tmp_path / "m.json"
    status, out, err = command("fit", FAITHFUL_FILE, "--components", "1:3", "--plot", picture, "--output", model)
    assert (status, err) == (0, "") and picture.exists() and gaussmix.load(model).mixture.n_components == 2
    assert out.endswith(f"\n\nModel written to {model}\n\nPicture written to {picture}\n")


@pytest.mark.parametrize("options, said", [
    (["--plot", "x.jpg"], "argument --plot: must end in .png, .svg or .pdf, not 'x.jpg'"),
    (["--plot", "-"], "argument --plot: must end in .png, .svg or .pdf, not '-'"),
    (["--plot", "nowhere/x.png"], "nowhere/x.png: cannot be written: its folder does not exist"),
    (["--plot", "x.png", "--output", "./x.png"], "x.png: cannot hold both the model and the picture: give each a file of its own")])
def test_a_bad_picture_is_told_before_the_fit(tmp_path, command, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "select", None)  # to call it would be another error
    assert said in one_line(command("fit", FAITHFUL_FILE, *options)) and os.listdir() == []


def test_a_picture_does_not_overwrite_the_data(tmp_path, command):
    data = tmp_path / "x.png"  # CSV, whatever its name says
    data.write_bytes(FAITHFUL_FILE.read_bytes())
    assert "cannot be written, as it is also read" in one_line(command("fit", data, "--plot", data))
    assert data.read_bytes() == FAITHFUL_FILE.read_bytes()


def test_a_picture_that_fails_leaves_what_was_there(tmp_path, command, monkeypatch):
    path = tmp_path / "x.png"
    path.write_text("before")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gaussmix.outputs.os.replace", full)
    assert one_line(command("fit", FAITHFUL_FILE, "--components", 2, "--plot", path)) == (
        f"gaussmix: {path}: cannot be written: No space left on device\n")
    assert os.listdir(tmp_path) == ["x.png"] and path.read_text() == "before"


def test_without_matplotlib_a_picture_says_what_to_install(tmp_path):
    code = "import sys; sys.modules['matplotlib'] = None\nfrom gaussmix.cli import main; sys.exit(main(sys.argv[1:]))"
    result = subprocess.run([sys.executable, "-c", code, "fit", FAITHFUL_FILE, "--plot", "x.png"], capture_output=True, text=True,
                            cwd=tmp_path, timeout=120)
    assert (result.returncode, result.stdout) == (2, "") and os.listdir(tmp_path) == []
    assert result.stderr == "gaussmix: x.png: drawing needs matplotlib: pip install 'gaussmix[plot]'\n"


def test_warnings_are_one_plain_line(command):
    status, out, err = command("fit", FAITHFUL_FILE, "--components", 3, "--max-iter", 2)
    assert status == 0 and err.count("\n") == 1
    assert err.startswith("gaussmix: warning: ") and "did not converge" in err and "2 iterations" in err and "not converged" in out


def test_candidates_that_cannot_be_fitted_are_shown(tmp_path, command):
    np.savetxt(tmp_path / "few.csv", FAITHFUL[:4], delimiter=",")
    status, out, err = command("fit", tmp_path / "few.csv", "--components", "1:5", "--reg-covar", 0)
    assert (status, err) == (0, "") and "more components (5) than rows (4)" in out


# As a process

@needs_posix
@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_of_the_documentation_run(tmp_path, number):
    root = Path(__file__).parent.parent
    blocks = re.findall(r"^```sh\n(.*?)^```$", (root / "docs" / "command-line.md").read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 2
    (tmp_path / "examples").symlink_to(root / "examples")
    program = f'gaussmix() {{ "{sys.executable}" -m gaussmix "$@"; }}\n'
    result = subprocess.run(["sh", "-euc", program + blocks[number]], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "labels.csv").read_text().count("\n") == 273


def test_python_m_and_the_version():
    result = run("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"gaussmix {gaussmix.__version__}\n", "")


def test_a_process_says_one_line_and_ends_with_two(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3,four\n")
    result = run("fit", "x.csv", "--output", "m.json", cwd=tmp_path)
    assert result.stderr == "gaussmix: x.csv: line 3, column 'b': 'four' is not a number\n"
    assert (result.returncode, result.stdout) == (2, "") and os.listdir(tmp_path) == ["x.csv"]


WITHOUT = ("import sys; sys.modules['pyarrow'] = sys.modules['tqdm'] = None\n"
           "from gaussmix.cli import main; sys.exit(main(sys.argv[1:]))")


def test_without_pyarrow_npy_works_and_others_say_what_to_install(tmp_path, formats):
    def without(*arguments):
        return subprocess.run([sys.executable, "-c", WITHOUT, *map(str, arguments)], capture_output=True, text=True,
                              timeout=120)

    model = tmp_path / "m.json"
    assert without("fit", formats / "a.npy", "--components", 2, "--output", model).returncode == 0
    result = without("predict", model, formats / "a.npy")
    assert (result.returncode, result.stderr, result.stdout.count("\n")) == (0, "", 273)
    for path in (FAITHFUL_FILE, formats / "a.parquet"):
        result = without("fit", path)
        assert result.returncode == 2 and result.stderr.startswith(f"gaussmix: {path}: ") and result.stderr.count("\n") == 1
        assert "pip install 'gaussmix[cli]'" in result.stderr
    result = without("sample", model, "-n", 3, "--output", tmp_path / "rows.parquet")
    assert result.returncode == 2 and "pip install 'gaussmix[cli]'" in result.stderr


def test_names_that_the_terminal_cannot_show_are_no_error(tmp_path):
    (tmp_path / "x.csv").write_text("länge,b\n1,2\n3,4\n5,7\n", encoding="utf-8")
    result = run("fit", "x.csv", "--components", 1, cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (result.returncode, result.stderr) == (0, "") and "l?nge" in result.stdout


def test_rows_are_utf_8_wherever_they_go(tmp_path):
    (tmp_path / "x.csv").write_text("länge,b\n1,2\n3,4\n5,7\n", encoding="utf-8")
    assert run("fit", "x.csv", "--components", 1, "--output", "m", cwd=tmp_path).returncode == 0
    result = run("sample", "m", "-n", 2, cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
                 encoding="utf-8")
    assert (result.returncode, result.stderr) == (0, "") and result.stdout.startswith("länge,b\n")


@pytest.mark.parametrize("arguments", [["fit", FAITHFUL_FILE, "--output", "m"], ["predict", "model.json", FAITHFUL_FILE],
                                       ["sample", "model.json", "-n", "3"]])
def test_a_closed_standard_output(tmp_path, command, model, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdout", None)
    assert one_line(command(*arguments)) == "gaussmix: standard output: is closed\n"
    assert os.listdir() == ["model.json"]
    if arguments[0] != "fit":
        assert command(*arguments, "--output", "out.csv") == (0, "", "")
        assert sorted(os.listdir()) == ["model.json", "out.csv"]


def test_a_closed_standard_error(tmp_path, command, model, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    expected = command("predict", model, FAITHFUL_FILE)
    assert expected[0] == 0 and expected[1].count("\n") == 273
    for arguments in (["fit", tmp_path / "nowhere"], ["fit"], ["fit", tmp_path, "--components", "many"]):
        assert command(*arguments) == (2, "", "")  # and nothing that would be taken for data
    assert command("fit", FAITHFUL_FILE, "--max-iter", 1, "--components", 3)[::2] == (0, "")


def test_importing_is_light():
    code = ("import sys, gaussmix, gaussmix.cli\n"
            "print({'pyarrow', 'tqdm', 'pandas', 'sklearn', 'matplotlib', 'scipy.stats'} & set(sys.modules))")
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


@needs_posix
def test_a_reader_that_goes_away_is_no_error(model):
    with subprocess.Popen([sys.executable, "-m", "gaussmix", "sample", model, "-n", "300000"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"eruptions,waiting\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output(model):
    with open("/dev/full", "w") as full:
        result = subprocess.run([sys.executable, "-m", "gaussmix", "sample", model, "-n", "3"], stdout=full,
                                stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (2, "gaussmix: standard output: No space left on device\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disks_behind_help_and_errors(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        for arguments in (["--version"], ["fit", "--help"]):
            result = run(*arguments, stdout=full, stderr=subprocess.PIPE, env=environment)
            assert (result.returncode, result.stderr) == (2, "gaussmix: standard output: No space left on device\n")
        for variables in (environment, environment | {"PYTHONUNBUFFERED": "1"}):
            assert run("fit", tmp_path / "nowhere", stderr=full, stdout=subprocess.PIPE, env=variables).returncode == 2


# Ctrl-C as from a terminal, also where the tests run in the background of a shell, which has processes ignore it.
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from gaussmix.cli import main
print("ready", flush=True)
sys.exit(main(sys.argv[1:]))
"""


def interrupted(*arguments, after=1.0, **kwargs):
    """Status, output and errors of the command after Ctrl-C."""
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTIBLE, *map(str, arguments)], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, **kwargs)
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err


@needs_posix
def test_ctrl_c(tmp_path):
    np.save(tmp_path / "large.npy", np.random.default_rng(0).normal(size=(200_000, 4)))
    options = "--components", "8", "--tol", "0", "--max-iter", "1000000", "--output", "m"
    assert interrupted("fit", "large.npy", *options, cwd=tmp_path) == (130, "", "gaussmix: interrupted\n")
    assert os.listdir(tmp_path) == ["large.npy"]


@needs_posix
def test_ctrl_c_while_standard_input_is_awaited():
    assert interrupted("fit", "-", stdin=subprocess.PIPE) == (130, "", "gaussmix: interrupted\n")


@needs_posix
@pytest.mark.parametrize("rows, columns, wide", [(24, 72, 72), (0, 0, 80)])
def test_a_progress_bar_on_a_terminal_only(rows, columns, wide):
    fit = ["fit", FAITHFUL_FILE, "--max-iter", "3"]
    piped = run(*fit)
    assert [line[:17] for line in piped.stderr.splitlines()] == ["gaussmix: warning"]
    shown, out = on_a_terminal(["-m", "gaussmix", *fit], rows, columns)
    first = shown.removeprefix("\r").partition("\r")[0]
    assert first.startswith("Fitting:   0%|") and "| 0/9 [" in first and wide - 2 <= len(first) < wide
    assert re.split(r"\r +\r", shown)[-1].replace("\r\n", "\n") == piped.stderr  # the bar has gone
    assert out == piped.stdout


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_symmetric_covariances_show_the_same_digits(structure, tmp_path, capsys):
    """Also where variances differ by ten powers of ten, and where a covariance is zero up to rounding."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4)) * [1e-3, 1.0, 30.0, 1e4]
    X[:, 1] += X[:, 2] / 7
    np.savetxt(tmp_path / "wide.csv", X, delimiter=",", header="a,b,c,d", comments="")
    for columns in ("a,b,c,d", "b,c"):
        assert cli.main(["fit", str(tmp_path / "wide.csv"), "--components", "1", "--covariance", structure, "--columns", columns]) == 0
        lines = capsys.readouterr().out.split("Covariance of ")[1].splitlines()
        cells = [line.split()[1:] for line in lines[2:2 + len(columns.split(","))]]
        assert cells == [list(column) for column in zip(*cells)]
        covariance = np.cov(X[:, ["abcd".index(name) for name in columns.split(",")]].T, bias=True)
        np.testing.assert_allclose(np.array(cells, dtype=float), covariance, rtol=6e-3, atol=1e-6)


def test_a_report_for_programs(tmp_path, capsys):
    out = tmp_path / "model.json"
    options = ["--components", "1,2,400", "--covariance", "full,diag", "--format", "json", "--output", str(out)]
    assert cli.main(["fit", str(FAITHFUL_FILE), *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n_rows"] == 272 and report["columns"] == ["eruptions", "waiting"] and report["model"] == str(out)
    assert [(c["n_components"], c["covariance_type"]) for c in report["candidates"]] == [
        (k, name) for name in ("full", "diag") for k in (1, 2, 400)]
    assert report["candidates"][2]["bic"] is None and "400" in report["candidates"][2]["failure"]
    chosen, mixture = report["chosen"], gaussmix.load(out).mixture
    assert chosen["bic"] == min(c["bic"] for c in report["candidates"] if c["bic"] is not None)
    assert gaussmix.Mixture(chosen["weights"], chosen["means"], chosen["covariances"]) == mixture
    assert chosen["n_iter"] >= 1 and chosen["converged"] is True


def test_files_without_names_have_numbers_in_the_report(tmp_path, capsys):
    np.savetxt(tmp_path / "plain.csv", np.random.default_rng(0).normal(size=(50, 3)), delimiter=",")
    assert cli.main(["fit", str(tmp_path / "plain.csv"), "--components", "1", "--columns", "1,3", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["columns"] == [1, 3] and report["model"] is None and np.shape(report["chosen"]["covariances"]) == (1, 2, 2)


@pytest.mark.parametrize("command", ["", "fit", "predict", "sample"])
def test_help_ends_with_examples_that_are_understood(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([*command.split(), "--help"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    examples = text[text.index("examples:"):].replace("\\\n", " ")
    found = [line for line in examples.splitlines() if "gaussmix " in line]
    assert found
    for line in found:
        arguments = shlex.split(line.split("gaussmix ")[1].split("|")[0].split("   ")[0])
        cli._parser().parse_args(arguments)
