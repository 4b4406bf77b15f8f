"""Data files: the layout of text, the choice of columns, and the files that are written."""

import csv
import decimal
import gzip
import itertools
import re
import warnings

import numpy as np
import pytest

from gaussmix.datafiles import read_table, table_writer
from gaussmix.tables import first_fault
from gaussmix.delimited import Dialect
from gaussmix.tables import ColumnOfWords, DataFileError, by_name, by_name_or_number

X = np.random.default_rng(5).normal(size=(300, 3)) * 10.0 ** np.arange(-9, 6, 5)
NAMES = ["a", "b", "c"]
COMMA = Dialect(decimal=",")
WHOLE_NUMBERS = np.arange(12.0).reshape(4, 3)


def write_table(path, columns, arrays):
    with table_writer(path, columns) as write:
        write(arrays)


def text_of(values, delimiter=",", names=None, decimal=".", quoted=False, words=()):
    """Numbers as text, exactly; `words` are columns of words as (position, name, words)."""
    rows = [[repr(float(value)).replace(".", decimal) for value in row] for row in values]
    header = None if names is None else list(names)
    for position, name, column in words:
        rows = [[*row[:position], word, *row[position:]] for row, word in zip(rows, itertools.cycle(column))]
        header = None if header is None else [*header[:position], name, *header[position:]]
    mark = '"' if quoted else ""
    return "".join(delimiter.join(f"{mark}{cell}{mark}" for cell in row) + "\n" for row in ([header] if header else []) + rows)


@pytest.fixture
def read(tmp_path):
    """From text or bytes to the table that is read from a file of it."""
    def call(content, *arguments, name="x.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(str(path), *arguments, **options)
    return call


def assert_is(table, values, columns):
    np.testing.assert_array_equal(table.values, values)
    assert table.columns == columns


# Delimiter, decimals, header

@pytest.mark.parametrize("names", [None, NAMES])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quoted", [False, True])
def test_the_delimiter_is_found(read, delimiter, names, quoted):
    assert_is(read(text_of(X, delimiter, names, quoted=quoted)), X, names)
    assert_is(read(text_of(WHOLE_NUMBERS, delimiter, names, quoted=quoted)), WHOLE_NUMBERS, names)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", "|", ":"])
def test_a_delimiter_that_is_told(read, delimiter):
    assert_is(read(text_of(X, delimiter, NAMES), dialect=Dialect(delimiter)), X, NAMES)
    assert_is(read(text_of(X, delimiter), dialect=Dialect(delimiter)), X, None)


def test_a_delimiter_that_is_told_wins(read):
    assert read("1;2,3\n4;5,6\n", dialect=Dialect(";", decimal=",")).values.tolist() == [[1, 2.3], [4, 5.6]]
    with pytest.raises(DataFileError, match="line 1, column 1: '1;2' is not a number; .* say --delimiter ';'"):
        read("1;2,3\n4;5,6\n", dialect=Dialect(",", header=False))


@pytest.mark.parametrize("names", [None, NAMES])
@pytest.mark.parametrize("delimiter, quoted", [(";", False), ("\t", False), (";", True), (",", True)])  # Google writes the last
def test_decimal_commas(read, delimiter, names, quoted):
    text = text_of(X, delimiter, names, ",", quoted)
    assert_is(read(text, dialect=COMMA), X, names)
    first = "line 1, column 1" if names is None else "line 2, column 'a'"
    with pytest.raises(DataFileError, match=rf"{first}: '.*' is not a number; .* decimals, say --decimal-comma$"):
        read(text)


def test_one_column_of_decimal_commas(read):
    assert_is(read(text_of(X[:, :1], names=["a"], decimal=","), dialect=COMMA), X[:, :1], ["a"])
    assert_is(read(text_of(X[:, :1], decimal=","), dialect=COMMA), X[:, :1], None)
    with pytest.raises(DataFileError, match="line 2 has 2 fields, but line 1 has 1; .* say --decimal-comma$"):
        read(text_of(X[:, :1], names=["a"], decimal=","))


@pytest.mark.parametrize("cell", ["1.5", "1.000,5", "1,000,5", "1,5e1,5", ",", "1e5,"])
def test_what_is_no_number_with_a_decimal_comma(read, cell):
    with pytest.raises(DataFileError, match=rf"line 3, column 'b': '{re.escape(cell)}' is not a number"):
        read(f"a;b\n1;2\n3;{cell}\n", dialect=COMMA)


@pytest.mark.parametrize("cell, number", [("1,5", 1.5), (",5", 0.5), ("2,", 2), ("-1,5E-3", -1.5e-3), ("7", 7), (" +1,0 ", 1)])
def test_what_is_a_number_with_a_decimal_comma(read, cell, number):
    assert read(f"a;b\n1;2\n3;{cell}\n", dialect=COMMA).values[1, 1] == number
    assert read(f'a;b\n1;2\n\n3;"{cell}"\n', dialect=COMMA).values[1, 1] == number


def test_a_decimal_point_where_commas_were_announced(read):
    with pytest.raises(DataFileError, match="'1.5' is not a number; leave --decimal-comma out"):
        read("a;b\n1.5;2.5\n", dialect=COMMA)


@pytest.mark.parametrize("text, name", [("a b\n1 2\n", "space"), ("1 2\n3 4\n", "space"), ("a|b\n1|2\n", "'|'"),
                                        ("sheet one\na;b\n1;2\n", None), ("sheet one\n1;2\n", "';'")])
def test_other_delimiters_are_hinted_at(read, text, name):
    with pytest.raises(DataFileError) as caught:
        read(text)
    assert str(caught.value).endswith("" if name is None else f"; where several fields stand in one, say --delimiter {name}")


@pytest.mark.parametrize("text, found", [
    ("x;y,z\n1,2\n", ["x;y", "z"]),  # a semicolon in a name
    ("name,z\nfoo; bar,2\nfoo; baz,3\n", ["name", "z"]),  # semicolons in words
    ("a;b\n1;2\n3\n", None), ("a,b\n1,2\n3\n", None), ("a\tb\n1\t2\n3\n", None),  # one row is short
    ("who;size\nAnna;1,75\nBert;1,80\n", ["who", "size"]), ("Anna;1,75\nBert;1,80\nAnna;1,79\n", None),
])
def test_a_delimiter_among_others(read, text, found):
    if found is None:
        with pytest.raises(DataFileError, match=r"line 3 has 1 field, but line 1 has 2|'1,75' is not a number"):
            read(text, by_name_or_number(["2"]))
    else:
        dialect = COMMA if "1,7" in text else Dialect()
        assert read(text, by_name_or_number(["2"]), dialect=dialect).columns == found[1:]


def test_only_the_first_rows_decide_but_all_are_read(read):
    text = "a;b\n" + "1;2\n" * 500 + "1;x\n"
    with pytest.raises(DataFileError, match="line 502, column 'b': 'x' is not a number$"):
        read(text)
    assert read(text[:-4] + "1;3\n").values.shape == (501, 2)


def test_many_columns_are_not_sampled_for_ever(read):
    values = np.arange(60_000.0).reshape(3, 20_000)
    assert_is(read("\n".join(";".join(map(str, row)) for row in values)), values, None)


@pytest.mark.parametrize("text, choose, header, n_rows", [
    ("a,b\n1,2\n", None, True, 1), ("1,2\n3,4\n", None, False, 2), ("a,2\n1,3\n", None, True, 1),
    ("kind,x\nk,1\nl,2\n", ["2"], True, 2),
    ("k,1\nl,2\nk,3\n", ["2"], False, 3),  # a word that comes again is no name
    ("5.1,k\n4.9,k\n4.7,l\n", ["1"], False, 3), ("nan,1\n2,3\n", None, False, None), ("1,\n2,3\n", None, False, None),
    ("NA,a\n2,3\n", None, True, 1), ("inf,k\n2,k\n", ["1"], False, None),
    ("date,x\n2020-01-01,1\n", ["2"], True, 1), ("1,5;2\n3;4\n", None, False, None),
])
def test_the_header_is_found(read, text, choose, header, n_rows):
    choice = [] if choose is None else [by_name_or_number(choose)]
    if n_rows is None:  # the first line is data, and cannot be read
        with pytest.raises(DataFileError, match=r": line 1, column [12]: "):
            read(text, *choice)
    else:
        table = read(text, *choice)
        assert len(table.values) == n_rows and (table.columns is not None) == header


@pytest.mark.parametrize("text", ["k,1\nl,2\n", "who,2019,2020\nx,1,2\ny,3,4\n", "1,k\n2,l\n3,m\n"])
def test_a_first_line_that_may_be_either_is_asked_about(read, text):
    number = by_name_or_number([str(1 + text.index("1") // 2 if "who" not in text else 2)])
    with pytest.raises(DataFileError, match="line 1 may hold names or data: say which with --header yes or --header no$"):
        read(text, number)
    lines = text.splitlines()
    with_header, without = (read(text, number, dialect=Dialect(header=header)) for header in (True, False))
    column = number(None, 3)[0]
    assert with_header.columns == [lines[0].split(",")[column]]
    assert with_header.values.tolist() == [[float(line.split(",")[column])] for line in lines[1:]]
    assert without.columns is None and without.values.tolist() == [[float(line.split(",")[column])] for line in lines]


def test_a_header_that_is_told_wins(read):
    assert_is(read("1,2\n3,4\n", dialect=Dialect(header=True)), [[3, 4]], ["1", "2"])
    with pytest.raises(DataFileError, match="line 1, column 1: 'a' is not a number"):
        read("a,b\n3,4\n", dialect=Dialect(header=False))


@pytest.mark.parametrize("name", ["x.npy", "x.parquet"])
@pytest.mark.parametrize("dialect", [Dialect(";"), COMMA, Dialect(header=True)])
def test_only_text_has_a_dialect(read, name, dialect):
    with pytest.raises(DataFileError, match="is not CSV"):
        read(b"", name=name, dialect=dialect)


# Compressed

def test_gzip_is_known_by_its_first_bytes(read):
    text = text_of(X, names=NAMES)
    packed = gzip.compress(text.encode())
    for name in ("x.csv.gz", "x.gz", "x.csv", "x.tsv.gz"):
        assert_is(read(packed, name=name), X, NAMES)
    assert_is(read(text, name="x.csv.gz"), X, NAMES)
    with pytest.raises(DataFileError, match=r"x.csv.gz: line 302, column 'b': 'x' is not a number"):
        read(gzip.compress((text + "1,x,3\n").encode()), name="x.csv.gz")
    with pytest.raises(DataFileError, match=r"x.csv.gz: line 2 is not UTF-8 text"):
        read(gzip.compress(b"a,b\n\xff,2\n"), name="x.csv.gz")
    with pytest.raises(DataFileError, match=r"x.csv.gz: is empty"):
        read(gzip.compress(b""), name="x.csv.gz")


def test_a_damaged_gzip_file_is_never_read_in_part(read):
    packed = gzip.compress(text_of(X, names=NAMES).encode())
    for length in range(2, len(packed), 97):
        with pytest.raises(DataFileError, match="is compressed by gzip and damaged: "):
            read(packed[:length], name="x.csv.gz")
    for place in (200, len(packed) // 2, len(packed) - 6):
        with pytest.raises(DataFileError):
            read(packed[:place] + bytes([packed[place] ^ 4]) + packed[place + 1:], name="x.csv.gz")


# Columns

def stored(tmp_path, kind, values, names):
    """The same table as a file of one kind; its path, and the names that it keeps."""
    path = tmp_path / f"x.{kind}"
    if kind == "npy":
        np.save(path, values)
        return str(path), None
    if kind == "parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table(dict(zip(names, values.T))), path)
        return str(path), names
    path.write_text(text_of(values, names=names))
    return str(path), names


@pytest.mark.parametrize("kind", ["csv", "npy", "parquet", "bare"])
@pytest.mark.parametrize("wanted, positions", [
    (["1"], [0]), (["3", "1"], [2, 0]), (["2:3"], [1, 2]), (["3", "1:2"], [2, 0, 1]), (["1:1"], [0]), ([" 2 ", " 3"], [1, 2]),
    (["1 : 3"], [0, 1, 2])])
def test_columns_by_number(tmp_path, kind, wanted, positions):
    path, names = stored(tmp_path, kind, X, None if kind == "bare" else NAMES)
    table = read_table(path, by_name_or_number(wanted))
    assert_is(table, X[:, positions], None if names is None else [names[position] for position in positions])
    assert table.numbers == [position + 1 for position in positions]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_name_wins_over_a_number(tmp_path, kind):
    path, _ = stored(tmp_path, kind, X, ["x", "1", "3"])
    assert_is(read_table(path, by_name_or_number(["1"])), X[:, [1]], ["1"])
    assert_is(read_table(path, by_name_or_number(["3", "1", "x"])), X[:, [2, 1, 0]], ["3", "1", "x"])
    assert_is(read_table(path, by_name_or_number(["x", "2:3"])), X, ["x", "1", "3"])
    with pytest.raises(DataFileError, match="column 2 is chosen twice"):
        read_table(path, by_name_or_number(["1", "2"]))  # the one named 1 is the second


@pytest.mark.parametrize("kind", ["csv", "parquet", "npy"])
@pytest.mark.parametrize("wanted", ["0", "4", "2:4", "3:2", "0:2", "1:", ":2", "z", "-1", "1.0", "1:2:3", "9" * 5000, "\u0661"])
def test_columns_that_are_not_there(tmp_path, kind, wanted):
    path, names = stored(tmp_path, kind, X, NAMES)
    there = "without names, numbered from 1 to 3" if names is None else "'a', 'b', 'c'"
    with pytest.raises(DataFileError) as caught:
        read_table(path, by_name_or_number(["1", wanted]))
    shown = repr(wanted if len(wanted) < 40 else wanted[:37] + "...")
    assert str(caught.value) == f"{path}: has no column {shown}; its columns are {there}"


def test_long_lists_of_names_are_shortened(tmp_path):
    path, _ = stored(tmp_path, "csv", np.ones((2, 15)), ["n" * 50, *(f"x{number}" for number in range(2, 16))])
    with pytest.raises(DataFileError) as caught:
        read_table(path, by_name(["y"]))
    assert str(caught.value).endswith(f"has no column 'y'; its columns are '{'n' * 37}...', "
                                      "'x2', 'x3', 'x4', 'x5', 'x6', 'x7', 'x8', 'x9', 'x10' and 5 more")


def test_names_of_a_model_are_never_numbers(tmp_path):
    path, _ = stored(tmp_path, "csv", X, NAMES)
    with pytest.raises(DataFileError, match="has no column '1'"):
        read_table(path, by_name(["1", "2"]))
    assert_is(read_table(path, by_name(["c", "a"])), X[:, [2, 0]], ["c", "a"])
    path, _ = stored(tmp_path, "npy", X, None)
    assert_is(read_table(path, by_name(["p", "q", "r"])), X, None)


def test_only_chosen_columns_need_a_name_of_their_own(read):
    text = ",a,b,a\n0,1,2,3\n1,4,5,6\n"
    assert_is(read(text, by_name_or_number(["b", "2"])), [[2, 1], [5, 4]], ["b", "a"])
    for wanted, said in ((["1"], "line 1: column 1 has no name"), (["2", "4"], "line 1: two columns have the name 'a'"),
                         (["a"], "two columns have the name 'a'")):
        with pytest.raises(DataFileError, match=said):
            read(text, by_name_or_number(wanted))
    with pytest.raises(DataFileError, match="line 1: column 1 has no name"):
        read(text)


@pytest.mark.parametrize("kind, label", [("csv", "line 3, column 'c'"), ("bare", "line 2, column 3"), ("npy", "row 2, column 3"),
                                         ("parquet", "row 2, column 'c'")])
def test_faults_are_in_the_files_own_columns(tmp_path, kind, label):
    values = X.copy()
    values[1, 2] = np.nan
    path, _ = stored(tmp_path, kind, values, None if kind == "bare" else NAMES)
    with pytest.raises(DataFileError, match=f"{label}: the value is missing"):
        read_table(path, by_name_or_number(["3", "1"]))
    np.testing.assert_array_equal(read_table(path, by_name_or_number(["2", "1"])).values, X[:, [1, 0]])


# Columns of words

@pytest.mark.parametrize("names", [None, NAMES])
@pytest.mark.parametrize("places, others", [([0], [2, 3, 4]), ([3], [1, 2, 3]), ([1, 4], [1, 3, 4]), ([0, 1, 2], [4, 5, 6])])
def test_a_column_of_words_is_named(read, names, places, others):
    words = [(place, f"w{place}", ["k", "k", "", "l"]) for place in places]
    text = text_of(X, names=names, words=words)
    name = "" if names is None else f", 'w{places[0]}',"
    with pytest.raises(ColumnOfWords) as caught:
        read(text)
    line = 1 if names is None else 2
    assert str(caught.value).endswith(f"column {places[0] + 1}{name} holds words, as 'k' in line {line}")
    assert caught.value.others == others
    assert_is(read(text, by_name_or_number(list(map(str, others)))), X, names)
    with pytest.raises(ColumnOfWords) as caught:  # and of those that were chosen
        read(text, by_name_or_number([str(others[1]), str(places[0] + 1), str(others[0])]))
    assert caught.value.others == [others[1], others[0]]


def test_one_word_is_not_a_column_of_words(read):
    for text, place in (("a,b\n1,x\n3,4\n", "line 2, column 'b'"), ("a,b\n1,2\n3,x\n", "line 3, column 'b'")):
        with pytest.raises(DataFileError, match=f"{place}: 'x' is not a number$") as caught:
            read(text)
        assert not isinstance(caught.value, ColumnOfWords)


def test_nothing_but_words(read):
    with pytest.raises(DataFileError, match="line 2, column 'a': 'x' is not a number$"):
        read("a,b\nx,y\nz,y\n")


def test_a_parquet_column_of_words(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = str(tmp_path / "x.parquet")
    pq.write_table(pa.table({"w": ["x"] * 300, "a": X[:, 0], "t": pa.array(range(300), pa.date32()), "b": X[:, 1]}), path)
    with pytest.raises(ColumnOfWords, match="column 1, 'w', does not hold numbers, but string$") as caught:
        read_table(path)
    assert caught.value.others == [2, 4]
    with pytest.raises(ColumnOfWords, match=r"column 3, 't', does not hold numbers, but date32\[day\]$"):
        read_table(path, by_name(["a", "t"]))
    with pytest.raises(ColumnOfWords, match=r"column 1, 'w', does not hold numbers, but string$"):
        read_table(path, by_name(["b", "w"]))  # in another order than the file's
    assert_is(read_table(path, by_name_or_number(["2", "4"])), X[:, :2], ["a", "b"])


# Parquet

def test_every_type_of_number_in_parquet(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = str(tmp_path / "x.parquet")
    numbers = [0, 1, 3]
    columns = {str(kind): pa.array(numbers).cast(kind) for kind in
               (pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64(), pa.float32(),
                pa.float64())}
    columns["halffloat"] = pa.array(np.array(numbers, np.float16))
    columns["bool"] = pa.array([False, True, True])
    columns["decimal"] = pa.array([decimal.Decimal(text) for text in ("0.25", "-1.50", "300.00")])
    columns["precise"] = pa.array([0.1, 1e300, np.pi])
    pq.write_table(pa.table(columns), path)
    expected = dict.fromkeys(columns, numbers) | {"bool": [0, 1, 1], "decimal": [0.25, -1.5, 300], "precise": [0.1, 1e300, np.pi]}
    assert_is(read_table(path), np.transpose(list(expected.values())), list(columns))
    for wanted, dtype in ((["float"], np.float32), (["double"], np.float64), (["float", "double"], np.float64),
                          (["float", "int8"], np.float64)):
        assert read_table(path, by_name(wanted)).values.dtype == dtype


# .npy

def test_npy_files_are_mapped_where_all_columns_are_wanted(tmp_path):
    path, _ = stored(tmp_path, "npy", X, None)
    for choice in ([], [by_name_or_number(["1:3"])]):
        mapped = read_table(path, *choice).values
        assert isinstance(mapped, np.memmap) and not mapped.flags.owndata


def test_one_dimension_is_one_column(tmp_path):
    path, _ = stored(tmp_path, "npy", X[:, 0], None)
    assert_is(read_table(path), X[:, :1], None)


HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (300, 3), }"


@pytest.mark.parametrize("header", [
    "{'descr': '<f8', (", "{'descr': '<f8', 'shape': (3002inf, 3)}", "[" * 300, "{1: 2, 'a': 3}", HEADER.replace("300", "-300"),
    HEADER.replace("300", str(2**62)), HEADER.replace("300", "3000"), HEADER.replace("(300, 3)", "300"),
    HEADER.replace("<f8", "<q9"),
    HEADER.replace("'<f8'", "[('a', '<f8')]"), HEADER.replace("<f8", "|O"), HEADER.replace("<f8", "<M8[s]"), "'", "\\", "0x"])
def test_a_damaged_npy_header(read, header):
    packed = header.encode().ljust(117) + b"\n"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(DataFileError, match=r"x.npy: (is not a .npy file of numbers, or is damaged: .|must hold )"):
            read(b"\x93NUMPY\x01\x00" + len(packed).to_bytes(2, "little") + packed + X.tobytes(), name="x.npy")
    assert caught == []


# Writing

@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".npy"])
@pytest.mark.parametrize("n_rows", [1, 9_999, 10_000, 10_001, 25_000])
def test_every_row_is_written(tmp_path, suffix, n_rows):
    path = tmp_path / f"out{suffix}"
    numbers = np.arange(n_rows)
    values = np.random.default_rng(0).normal(size=(n_rows, 2))
    write_table(str(path), ["n", "x", "y"], [numbers, values])
    if suffix.startswith(".csv"):
        with (gzip.open if suffix == ".csv.gz" else open)(path, "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert rows.pop(0) == ["n", "x", "y"]
        assert [int(row[0]) for row in rows] == list(range(n_rows))
        np.testing.assert_array_equal([[float(cell) for cell in row[1:]] for row in rows], values)
    elif suffix == ".npy":
        np.testing.assert_array_equal(np.load(path), np.column_stack([numbers, values]))
    else:
        columns = pytest.importorskip("pyarrow.parquet").read_table(path).to_pydict()
        assert columns == {"n": numbers.tolist(), "x": values[:, 0].tolist(), "y": values[:, 1].tolist()}
    assert_is(read_table(str(path)), np.column_stack([numbers, values]), None if suffix == ".npy" else ["n", "x", "y"])


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".npy"])
def test_the_same_table_is_the_same_file(tmp_path, suffix):
    for name in ("one", "two"):
        write_table(str(tmp_path / f"{name}{suffix}"), NAMES, [X])
    content = (tmp_path / f"one{suffix}").read_bytes()
    assert content == (tmp_path / f"two{suffix}").read_bytes()
    assert suffix != ".csv.gz" or content[3:8] == bytes(5)  # neither a name nor a time


def test_suffixes_in_capitals(tmp_path):
    for suffix in (".NPY", ".Parquet", ".CSV.gz"):
        write_table(str(tmp_path / f"x{suffix}"), NAMES, [X])
        assert_is(read_table(str(tmp_path / f"x{suffix}")), X, None if suffix == ".NPY" else NAMES)
    np.testing.assert_array_equal(np.load(tmp_path / "x.NPY"), X)


def test_columns_without_names(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    write_table(str(tmp_path / "x.parquet"), None, [X])
    assert pq.read_schema(tmp_path / "x.parquet").names == ["x1", "x2", "x3"]
    write_table(str(tmp_path / "x.csv"), None, [X])
    assert (tmp_path / "x.csv").read_text().count("\n") == 300
    assert_is(read_table(str(tmp_path / "x.csv")), X, None)


@pytest.mark.parametrize("fault", [np.nan, np.inf, 1e200])
def test_the_first_number_that_cannot_be_used_is_found_wherever_it_is(fault):
    values = np.zeros((300_000, 2))
    assert first_fault(values, 1e154) is None
    values[[280_000, 299_999], 1] = fault
    assert first_fault(values, 1e154) == (280_000, 1)
