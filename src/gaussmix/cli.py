"""The command line: gaussmix fit, predict, sample."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import json
import math
import os
import re
import shutil
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from gaussmix._version import __version__
from gaussmix.answers import drawn_parts, parts_of
from gaussmix.blocks import LARGEST
from gaussmix.datafiles import check_table_output, read_table, table_writer, write_csv
from gaussmix.delimited import Dialect
from gaussmix.engines import resolve_threads
from gaussmix.estimator import GaussianMixture
from gaussmix.modelfile import Model, load, save
from gaussmix.outputs import check_not_read, check_output
from gaussmix.progress import Watched, bar_size
from gaussmix.random_state import as_generator
from gaussmix.search.budget import Budget
from gaussmix.selection import Candidate, Selection, select
from gaussmix.sources import SourceError
from gaussmix.sources.arrow import PARQUET
from gaussmix.sources.opening import open_file
from gaussmix.sources.survey import surveyed
from gaussmix.structures import registered, structure_named
from gaussmix.tables import (
    STANDARD_STREAM, Choice, ColumnOfWords, DataFileError, by_name, by_name_or_number, every_column)

__all__ = ["main"]

ERROR, INTERRUPTED, BROKEN_PIPE = 2, 130, 141
MOST_MATRIX_COLUMNS = 12  # wider covariances are shown by their diagonals only
LONGEST_NAME = 20
LONGEST_NUMBER = 10  # characters of a number in a covariance
MOST_CANDIDATES = 10_000
LARGE = 2**26  # bytes of a file whose rows are read block by block in every pass
DRAWN = 20_000  # rows of such a file to draw
PICTURES = ".png", ".svg", ".pdf"
FOREIGN = {".pkl", ".pickle", ".joblib", ".npy", ".npz", ".csv", ".gz", ".parquet", ".h5", ".hdf5", ".mat", ".rds", ".onnx",
           ".pt", ".yaml", ".yml", ".toml", ".xml"}  # files with these suffixes are not expected to hold JSON
THREADS = "how many threads; the result is the same (default: all CPUs)"


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command `gaussmix`.

    Parameters
    ----------
    argv : list of str, optional
        Its arguments, those of the process by default.

    Returns
    -------
    int
        Exit status: 0 after success, 2 after bad input (with a line on standard error), 130 after Ctrl-C, 141 where the reader of
        standard output has closed it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = lambda message, *_, **__: _tell(f"warning: {message}")
            options = _parser().parse_args(argv)
            options.run(options)
            _flush_standard_output()
        return 0
    except KeyboardInterrupt:
        _tell("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _leave(sys.stdout)
        return BROKEN_PIPE
    except OSError as error:
        if error.filename is None:
            _leave(sys.stdout)
        name = "standard output" if error.filename is None else os.fsdecode(error.filename) or "''"
        _tell(f"{name}: {error.strerror or error}")
    except MemoryError as error:
        _tell(f"not enough memory: {error}".rstrip(": "))
    except (ValueError, OverflowError) as error:
        _tell(error)
    return ERROR


def _tell(message: object, program: str = "gaussmix") -> None:
    """Write one line to standard error, if there is one."""
    if sys.stderr is not None:
        try:
            print(f"{program}:", " ".join(str(message).splitlines()), file=sys.stderr)
        except OSError:
            _leave(sys.stderr)


def _standard_output() -> IO[str]:
    """Return standard output for text that programs read: in UTF-8, as in files."""
    _check_standard_output()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8")
    return sys.stdout


def _check_standard_output() -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "is closed")


def _flush_standard_output() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _leave(stream: IO[str] | None) -> None:
    """Discard what a stream still has to flush at exit, as an error there would change the exit status."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]  # None has no fileno


# Options

EXAMPLES = """\
examples:
  gaussmix fit data.csv                                one to nine components
  gaussmix fit data.csv --components 3 --output model.json
  gaussmix predict model.json data.csv --output labels.csv
  gaussmix sample model.json -n 1000 --output new.csv

exit status:
  0 done, 2 bad input or an output that cannot be written, 130 after Ctrl-C,
  141 where the reader of standard output has gone
"""
FIT_EXAMPLES = """\
examples:
  Let BIC choose among one to six components and two structures, and keep the
  chosen model:
    gaussmix fit data.csv --components 1:6 --covariance full,diag \\
        --output model.json

  Two columns only, the best of ten starts:
    gaussmix fit data.csv --columns height,mass --components 3 --n-init 10

  See what was found:
    gaussmix fit data.csv --components 3 --plot picture.png

  Semicolons and decimal commas, from another program:
    zcat data.csv.gz | gaussmix fit - --delimiter ';' --decimal-comma

  For a program that reads the result:
    gaussmix fit data.csv --components 3 --format json
"""
PREDICT_EXAMPLES = """\
examples:
  Labels and responsibilities of the rows that the model was fitted to:
    gaussmix predict model.json data.csv --output labels.csv

  How many rows each component has:
    gaussmix predict model.json data.csv | cut -d , -f 1 | sort | uniq -c
"""
SAMPLE_EXAMPLES = """\
examples:
  A thousand rows, the same ones each time:
    gaussmix sample model.json -n 1000 --seed 0 --output new.parquet
"""


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        _tell(f"{message} (see {self.prog} --help)", self.prog)
        sys.exit(ERROR)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        _flush_standard_output()
        super().exit(status, message)


def _parser() -> _Parser:
    parser = _Parser(prog="gaussmix", description="Fit Gaussian mixtures to tables of numbers.", epilog=EXAMPLES)
    parser.add_argument("--version", action="version", version=f"gaussmix {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    fit = commands.add_parser("fit", help="fit a mixture to the rows of a file", epilog=FIT_EXAMPLES,
                              description="Fit mixtures to the rows of a file, and choose one by BIC.")
    _add_data(fit)
    fit.add_argument("--components", type=_components, default=range(1, 10), metavar="K",
                     help="how many: 3; or several, as in 1:9 or 1,2,5, of which BIC chooses (default: 1:9)")
    fit.add_argument("--covariance", type=_structures, default=["full"], metavar="NAMES",
                     help=f"{', '.join(f'{s.name} ({s.alias})' for s in registered())}; or several, as in full,diag, "
                          "of which BIC chooses (default: full)")
    fit.add_argument("--n-init", type=_number_of_starts, default="auto", metavar="N",
                     help="starts, of which the best is kept; or auto, to search until another start is unlikely to find better "
                          "(default: auto)")
    fit.add_argument("--search-budget", type=_budget, default=None, metavar="B",
                     help="the most that the search for each candidate may cost: a number of starts, or a time such as '10 s'")
    fit.add_argument("--seed", type=_whole(0), default=0, metavar="S", help="of the random start (default: 0)")
    fit.add_argument("--tol", type=_not_negative, default=1e-3, metavar="T",
                     help="stop when the mean log-likelihood changes by less (default: 0.001)")
    fit.add_argument("--max-iter", type=_whole(1), default=100, metavar="N", help="iterations at most (default: 100)")
    fit.add_argument("--reg-covar", type=_regularization, default=1e-6, metavar="R",
                     help="added to every variance: a number, or auto, a millionth of each column's own variance "
                          "(default: 1e-06)")
    fit.add_argument("--threads", type=_whole(1, digits=9), metavar="N", help=THREADS)
    fit.add_argument("--output", type=_model_file, metavar="MODEL", help="write the chosen model to this file (JSON)")
    fit.add_argument("--plot", type=_picture, metavar="PICTURE",
                     help="draw the chosen model and the rows, in the way that suits the number of columns: a .png, .svg or .pdf "
                          "file (needs matplotlib)")
    fit.add_argument("--format", choices=("text", "json"), default="text",
                     help="how the report is printed: for a person, or as JSON for a program (default: text)")
    fit.set_defaults(run=_fit)

    predict = commands.add_parser("predict", help="labels and responsibilities of the rows of a file", epilog=PREDICT_EXAMPLES,
                                  description="Write the label and the responsibilities of every row of a file. Its\n"
                                              "columns are matched with the model's by name, where both have names, or\n"
                                              "chosen by --columns.")
    predict.add_argument("model", metavar="MODEL", help="written by gaussmix fit --output")
    _add_data(predict)
    predict.add_argument("--threads", type=_whole(1, digits=9), metavar="N", help=THREADS)
    predict.set_defaults(run=_predict)

    sample = commands.add_parser("sample", help="draw rows from a model", epilog=SAMPLE_EXAMPLES,
                                 description="Draw rows from a model.")
    sample.add_argument("model", metavar="MODEL", help="written by gaussmix fit --output")
    sample.add_argument("-n", type=_whole(1), required=True, metavar="N", help="how many rows")
    sample.add_argument("--seed", type=_whole(0), metavar="S", help="the same seed draws the same rows (default: none)")
    sample.set_defaults(run=_sample)

    for command in (predict, sample):
        command.add_argument("--output", metavar="OUT",
                             help=".csv, .csv.gz, .parquet or .npy (default: -, CSV on standard output)")
    return parser


def _add_data(command: argparse.ArgumentParser) -> None:
    """Add the options for the file that a command reads, and for how to read it."""
    command.add_argument("file", metavar="FILE",
                         help="CSV (with a header or without, compressed by gzip or not), Parquet or .npy; - is CSV on standard "
                              "input")
    command.add_argument("--columns", type=_columns, metavar="COLUMNS",
                         help="only these, in this order: names, numbers counted from 1, or ranges of numbers, as in x,y or "
                              "2:5,7; where a column's name is a number, the name wins")
    command.add_argument("--delimiter", type=_delimiter, metavar="D",
                         help="what stands between the fields of CSV: one character, tab or space (default: comma, semicolon or "
                              "tab, whichever makes numbers of the fields)")
    command.add_argument("--decimal-comma", action="store_const", const=",", default=".", dest="decimal",
                         help="the numbers in CSV have a decimal comma, as in 3,14")
    command.add_argument("--header", choices=("yes", "no"),
                         help="whether the first line of CSV holds names (default: yes where it holds words, one of them above a "
                              "number, or nothing but words)")


def _components(text: str) -> list[int]:
    counts: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,9})(?::([0-9]{1,9}))?", part)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= low <= high:
            raise argparse.ArgumentTypeError(
                f"must be a number as in 3, numbers as in 1,2,5, or a range from low to high as in 1:9, not {text!r}")
        counts += range(low, min(high, low + MOST_CANDIDATES) + 1)
    if len(counts) > MOST_CANDIDATES:
        raise argparse.ArgumentTypeError(f"must be at most {MOST_CANDIDATES:,} numbers, not {text!r}")
    if len(set(counts)) < len(counts):
        raise argparse.ArgumentTypeError(f"must be different numbers, not {text!r}")
    return counts


def _structures(text: str) -> list[str]:
    try:
        return [structure_named(name).name for name in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("covariance_type ")) from None


def _columns(text: str) -> list[str]:
    wanted = text.split(",")
    if len(set(wanted)) < len(wanted) or not all(map(str.strip, wanted)):
        raise argparse.ArgumentTypeError(f"must be different names or numbers with commas between, not {text!r}")
    return wanted


def _delimiter(text: str) -> str:
    delimiter = {"tab": "\t", r"\t": "\t", "space": " "}.get(text, text)
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter.isalnum() or delimiter in '"+-.\r\n\0':
        raise argparse.ArgumentTypeError(f"must be tab, space or one character that no number holds, as in ';', not {text!r}")
    return delimiter


def _whole(least: int, digits: int = 18) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not re.fullmatch(f"[0-9]{{1,{digits}}}", text) or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {least} with at most {digits} digits, not {text!r}")
        return int(text)
    return convert


def _number_of_starts(text: str) -> int | str:
    return text if text == "auto" else _whole(1)(text)


def _budget(text: str) -> int | str:
    value = int(text) if re.fullmatch("[0-9]{1,18}", text) else text
    try:
        Budget.of(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("search_budget ")) from None
    return value


def _not_negative(text: str, wanted: str = "a number of at least 0") -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be {wanted}, not {text!r}")
    return value


def _regularization(text: str) -> float | str:
    return text if text == "auto" else _not_negative(text, "auto or a number of at least 0")


def _model_file(text: str) -> str:
    if text == STANDARD_STREAM:
        raise argparse.ArgumentTypeError("must be a file, as the report goes to standard output")
    return text


def _picture(text: str) -> str:
    if os.path.splitext(text)[1].lower() not in PICTURES:
        raise argparse.ArgumentTypeError(f"must end in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}, not {text!r}")
    return text


def _check_not_input(output: str, *inputs: str) -> None:
    """Raise where an output is also one of the input files."""
    check_not_read(output, [path for path in inputs if path != STANDARD_STREAM], PARQUET)
    if STANDARD_STREAM in inputs and os.path.exists(output) and _is_standard_input(output):
        raise DataFileError(f"{output}: cannot be written, as it is also read: give the output another name")


def _is_standard_input(path: str) -> bool:
    with contextlib.suppress(AttributeError, OSError, ValueError):  # there is no standard input, or the operating system does not know it
        return os.path.samestat(os.stat(path), os.fstat(sys.stdin.fileno()))
    return False


# Commands

def _fit(options: argparse.Namespace) -> None:
    _check_standard_output()
    for output in (options.output, options.plot):
        if output is not None:
            check_output(output)
            _check_not_input(output, options.file)
    draw = None if options.plot is None else _drawing_to(options.plot, options.output)
    threads = resolve_threads(options.threads)
    counts, names = options.components, options.covariance
    with _caught_warnings() as caught, _bars(len(counts) * len(names)) as bars:
        table = _read(options, every_column, bars.rows, largest=LARGEST)
        try:
            selection = select(
                table.X, counts, names, n_init=options.n_init, search_budget=options.search_budget, random_state=options.seed,
                n_threads=threads, tol=options.tol, reg_covar=options.reg_covar, max_iter=options.max_iter, progress=bars.candidate(table))
        except (DataFileError, SourceError):
            raise
        except ValueError as error:
            raise DataFileError(f"{_called(options.file)}: {error}") from None
    for warning in caught:
        _tell(f"warning: {warning.message}")
    model = Model(selection.best.mixture_, selection.chosen.covariance_type, table.columns)
    if options.output is not None:
        save(options.output, model)
        if os.path.splitext(options.output)[1].lower() in FOREIGN:
            _tell(f"note: {options.output} holds JSON, whatever its name says; gaussmix reads it under any name")
    if draw is not None:
        draw(options.plot, model.mixture, table.some(), _names(table))
    if options.format == "json":
        report = json.dumps(_as_json(_called(options.file), table, selection, options), indent=2, allow_nan=False)
    else:
        report = _report(_called(options.file), table, selection, model)
        for what, path in (("Model", options.output), ("Picture", options.plot)):
            report += "" if path is None else f"\n\n{what} written to {path}"
    encoding = sys.stdout.encoding or "utf-8"
    print(report.encode(encoding, "replace").decode(encoding))


def _drawing_to(path: str, model: str | None) -> Callable[..., None]:
    """Return the function that draws a picture. This is done before the fit, so that nothing is fitted in vain."""
    if model is not None and os.path.realpath(path) == os.path.realpath(model):
        raise DataFileError(f"{path}: cannot hold both the model and the picture: give each a file of its own")
    try:
        from gaussmix.plotting import write
    except ImportError:
        raise DataFileError(f"{path}: drawing needs matplotlib: pip install 'gaussmix[plot]'") from None
    return write


def _predict(options: argparse.Namespace) -> None:
    _check_table_output(options.output, options.model, options.file)
    threads = resolve_threads(options.threads)
    model = load(options.model)
    mixture = model.mixture
    columns = ["label", *(f"responsibility_{k}" for k in range(mixture.n_components))]
    with _bars(1) as bars:
        table = _read(options, every_column if model.columns is None else by_name(model.columns), bars.rows, mixture.n_features)
        if table.shape[1] != mixture.n_features:
            chosen = "has" if options.columns is None else "gives, by --columns,"
            raise DataFileError(f"{_called(options.file)}: {chosen} {_counted(table.shape[1], 'column')}, but the model in "
                                f"{options.model} has {mixture.n_features}")
        with _writer(options.output, columns) as write:
            for rows in table.parts():
                write([mixture.classify(rows, n_threads=threads), mixture.responsibilities(rows, n_threads=threads)])


def _sample(options: argparse.Namespace) -> None:
    _check_table_output(options.output, options.model)
    model = load(options.model)
    with _writer(options.output, model.columns) as write:
        for rows in drawn_parts(model.mixture, options.n, as_generator(options.seed)):
            write([rows])


@dataclasses.dataclass(frozen=True)
class _Rows:
    """The rows of a command, in memory or in a large file, with the names and numbers of their columns."""

    X: NDArray[Any] | Watched
    columns: list[str] | None
    numbers: list[int]

    @property
    def shape(self) -> tuple[int, int]:
        if isinstance(self.X, Watched):
            return self.X.n_rows or 0, self.X.n_features
        return self.X.shape[0], self.X.shape[1]

    def parts(self) -> Iterator[NDArray[Any]]:
        """Yield all rows, in parts."""
        if isinstance(self.X, Watched):
            yield from (part.rows for _, part in parts_of(self.X))
        else:
            yield self.X

    def some(self) -> NDArray[Any]:
        """Return rows to draw: all, or a sample of those in a file."""
        return surveyed(self.X, None, DRAWN, 0).sample if isinstance(self.X, Watched) else self.X


def _read(options: argparse.Namespace, choose: Choice, bar: Callable[[], Any], needed: int = 1,
          largest: float = sys.float_info.max) -> _Rows:
    """
    Read or open the file of a command: the columns of --columns, or those of `choose`. There must be at least `needed` columns.

    The rows of a large file, and of a folder, stay there. `bar` makes the progress bar of its rows.
    """
    dialect = Dialect(options.delimiter, options.decimal, None if options.header is None else options.header == "yes")
    if options.columns is not None:
        choose = by_name_or_number(options.columns)
    try:
        if _stays_in_files(options.file):
            source = open_file(options.file, choose, dialect)
            return _Rows(Watched(source, bar()), source.columns, [position + 1 for position in source.positions])
        table = read_table(options.file, choose, largest, dialect)
        return _Rows(table.values, table.columns, table.numbers)
    except ColumnOfWords as error:
        advice = f"; leave it out with --columns {_ranges(error.others)}" if len(error.others) >= needed else ""
        raise DataFileError(f"{error}{advice}") from None


def _stays_in_files(path: str) -> bool:
    """Whether rows are read block by block in every pass, and not once into memory."""
    if path == STANDARD_STREAM or not os.path.exists(path):
        return False
    if os.path.isdir(path):
        return any(name.endswith(".parquet") for name in os.listdir(path))
    return os.path.isfile(path) and os.path.getsize(path) >= LARGE


def _ranges(numbers: Iterable[int]) -> str:
    """Write numbers in the form that --columns takes, as in 1:3,5."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{low}" if low == high else f"{low}:{high}" for low, high in ranges)


def _called(path: str) -> str:
    return "standard input" if path == STANDARD_STREAM else path


def _check_table_output(output: str | None, *inputs: str) -> None:
    if output is None or output == STANDARD_STREAM:
        _check_standard_output()
    else:
        check_table_output(output)
        _check_not_input(output, *inputs)


@contextlib.contextmanager
def _writer(output: str | None, columns: list[str] | None) -> Iterator[Callable[[Sequence[NDArray[Any]]], None]]:
    """Yield the function that writes rows, part by part, to a file or to standard output."""
    if output is not None and output != STANDARD_STREAM:
        with table_writer(output, columns) as write:
            yield write
        return
    names = columns

    def write_out(arrays: Sequence[NDArray[Any]]) -> None:
        nonlocal names
        write_csv(_standard_output(), names, arrays)
        names = None

    yield write_out


@contextlib.contextmanager
def _caught_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Hold warnings back until the progress bar is gone."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield caught


class _Bars:
    """The progress bars of a command: one for the candidates, and one for the rows of a pass over a large file."""

    def __init__(self, tqdm: Callable[..., Any] | None, total: int) -> None:
        self.tqdm, self.total, self.open = tqdm, total, list[Any]()

    def _bar(self, **options: Any) -> Any:
        if self.tqdm is None:
            return None
        bar = self.tqdm(leave=False, file=sys.stderr, **options, **bar_size(sys.stderr))
        self.open.append(bar)
        return bar

    def rows(self) -> Any:
        """Return the bar of the rows; None where nothing is shown."""
        return self._bar(total=0, unit="row", unit_scale=True)

    def candidate(self, table: _Rows) -> Callable[[Candidate], object] | None:
        """Return the function to call after each candidate; None where nothing is shown."""
        bar = self._bar(total=self.total, desc="Fitting", unit="fit")
        if bar is None:
            return None
        done = 0

        def fitted(candidate: Candidate) -> None:
            nonlocal done
            done += 1
            bar.update()
            if isinstance(table.X, Watched):
                table.X.begin(f"fit {done + 1} of {self.total}, ")

        if isinstance(table.X, Watched):
            table.X.begin(f"fit 1 of {self.total}, ")
        return fitted

    def close(self) -> None:
        for bar in reversed(self.open):
            bar.close()


@contextlib.contextmanager
def _bars(total: int) -> Iterator[_Bars]:
    """Yield the bars, which are shown on standard error if that is a terminal."""
    tqdm: Any = None
    if sys.stderr is not None and sys.stderr.isatty():
        with contextlib.suppress(ImportError):
            from tqdm import tqdm  # type: ignore[no-redef]
    with contextlib.closing(_Bars(tqdm, total)) as bars:
        yield bars


# Output for programs

def _as_json(path: str, table: _Rows, selection: Selection, options: argparse.Namespace) -> dict[str, Any]:
    """The candidates, and the chosen model."""
    best, mixture = selection.best, selection.best.mixture_
    return {
        "file": path,
        "n_rows": table.shape[0],
        "columns": table.columns or table.numbers,
        "criterion": selection.criterion,
        "candidates": [_candidate_as_json(candidate) for candidate in selection.candidates],
        "chosen": {
            **_candidate_as_json(selection.chosen),
            "n_iter": best.n_iter_,
            "search": _search_as_json(best),
            "weights": mixture.weights.tolist(),
            "means": mixture.means.tolist(),
            "covariances": mixture.covariances.tolist()},
        "model": options.output,
        "picture": options.plot}


def _search_as_json(best: GaussianMixture) -> dict[str, Any] | None:
    """What the search for the chosen model found; null where there was none."""
    search = getattr(best, "search_", None)
    return None if search is None else {**dataclasses.asdict(search), "optima": [dataclasses.asdict(one) for one in search.optima]}


def _candidate_as_json(candidate: Candidate) -> dict[str, Any]:
    """Return a candidate for JSON, with null in place of NaN."""
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in dataclasses.asdict(candidate).items()}


# Output for people

def _report(path: str, table: _Rows, selection: Selection, model: Model) -> str:
    """The candidates, and the chosen model."""
    n_rows, n_columns = table.shape
    names = [_shown(name) for name in _names(table)]
    best, chosen = selection.best, selection.chosen
    ended = f"converged in {best.n_iter_}" if best.converged_ else f"stopped after {best.n_iter_}"
    several = len(selection.candidates) > 1
    title = f"{_counted(chosen.n_components, 'component')}, {chosen.covariance_type} covariances"
    return "\n".join([
        f"{path}: {_counted(n_rows, 'row')}, {_counted(n_columns, 'column')}", "",
        str(selection), *(["* chosen: the lowest BIC"] if several else []), "",
        f"{title}; EM {ended} {'iteration' if best.n_iter_ == 1 else 'iterations'}", *_search_lines(best), "",
        *_model_lines(model, names)])


def _search_lines(best: GaussianMixture) -> list[str]:
    """What the search for the chosen model says of its optimum; nothing where there was none, or there is one optimum only."""
    search = getattr(best, "search_", None)
    if search is None or best.n_components == 1:
        return []
    best_one = search.optima[0]
    found = (f"found in {best_one.rounds:,} of {_counted(search.n_rounds, 'round')}" if best_one.rounds or not best_one.splices else
             f"found by splicing the optima of {_counted(search.n_rounds, 'round')}")
    return textwrap.wrap(f"{found}; another round finds a better optimum with chance {100 * search.chance_of_better:.1f} %",
                         shutil.get_terminal_size().columns)


def _names(table: _Rows) -> list[str]:
    """Return the names of the columns, or their numbers in the file where they have none."""
    return table.columns or [f"column {number}" for number in table.numbers]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _shown(name: str) -> str:
    """Return a column's name in a printable and short form."""
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    return name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME - 3] + "..."


def _model_lines(model: Model, names: list[str]) -> list[str]:
    mixture = model.mixture
    K, D = mixture.means.shape
    components = [str(k) for k in range(K)]
    lines = ["Weights and means", *_grid("component", components, ["weight", *names],
                                         [mixture.weights, *mixture.means.T])]
    covariances = mixture._parameters.covariances
    for title, rows, numbers in mixture.structure.tables(covariances, K, D):
        if rows == "features" and (D == 1 or D > MOST_MATRIX_COLUMNS):
            left = "" if D == 1 else " (the covariances are in the model file)"
            variances = mixture.structure.variances(covariances, K, D)
            return lines + ["", f"Variances{left}", *_grid("component", components, names, variances.T)]
        headings = names if numbers.shape[1] == D else ["variance"]
        lines += ["", title, *(_cell_grid("", names, names, _matrix_cells(numbers)) if rows == "features" else
                               _grid("component", components, headings, numbers.T))]
    return lines


def _grid(corner: str, rows: list[str], headings: list[str], columns: Iterable[NDArray[Any]]) -> list[str]:
    """Return the lines of a table of numbers."""
    return _cell_grid(corner, rows, headings, [_aligned(column) for column in columns])


def _cell_grid(corner: str, rows: list[str], headings: list[str], cells: list[list[str]]) -> list[str]:
    """Return the lines of a table of columns, with as many side by side as fit the width of the terminal."""
    left = max(map(len, [corner, *rows]))
    widths = [max(map(len, [heading, *column])) for heading, column in zip(headings, cells)]
    lines: list[str] = []
    start, room = 0, shutil.get_terminal_size().columns
    while start < len(widths):
        stop = start + 1
        while stop < len(widths) and left + sum(width + 2 for width in widths[start:stop + 1]) <= room:
            stop += 1
        some = range(start, stop)
        for label, row in zip([corner, *rows], [headings, *zip(*cells)]):
            label = f"{label:>{left}}" if corner else f"{label:<{left}}"
            lines.append("  ".join([label, *(f"{row[i]:>{widths[i]}}" for i in some)]))
        start = stop
        if start < len(widths):
            lines.append("")
    return lines


def _matrix_cells(matrix: NDArray[Any]) -> list[list[str]]:
    """
    Return the columns of a covariance as text. All numbers have equally many decimals or, if those are too many, four digits each.

    In both cases two symmetric entries look the same. Numbers that are rounding errors beside the variances are shown as zero.
    """
    with np.errstate(under="ignore"):
        scale = np.sqrt(np.diag(matrix))
        numbers = np.where(np.abs(matrix) <= 1e-12 * np.outer(scale, scale), 0.0, matrix)
    together = _aligned(numbers.reshape(-1))
    if max(map(len, together)) > LONGEST_NUMBER:
        together = [f"{number:.4g}" for number in numbers.reshape(-1)]
    return np.reshape(together, numbers.shape).T.tolist()  # type: ignore[no-any-return]


def _aligned(numbers: NDArray[Any]) -> list[str]:
    """Format a column with four digits in the largest number and at least three in the smallest, or with powers of ten."""
    sizes = np.abs(np.asarray(numbers, dtype=np.float64))
    largest = sizes.max()
    if largest == 0:
        return ["0"] * len(sizes)
    smallest = sizes[sizes > 1e-9 * largest].min()  # smaller numbers are rounding errors
    decimals = max(3 - math.floor(math.log10(largest)), 2 - math.floor(math.log10(smallest)), 0)
    if largest >= 1e7 or decimals > 7:
        return [f"{number:.3e}" for number in numbers]
    return [f"{number:z.{decimals}f}" for number in numbers]
