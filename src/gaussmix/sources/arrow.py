"""Sources that pyarrow reads: Parquet and CSV files, folders of them, datasets, record batches; and polars' lazy tables."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaussmix.delimited import Dialect, Layout, check_cells, layout_of, refuse_words_of, text_bytes
from gaussmix.sources.arrays import file_state
from gaussmix.sources.source import RowBlock, Source, SourceError
from gaussmix.tables import Choice, DataFileError, chosen_columns, every_column, refuse_words

__all__ = ["Columns", "Scanned", "csv_files", "lazy_table", "parquet_files", "record_batches"]

# How many rows pyarrow decodes at once, and how many such batches it keeps ready. More would need more memory for no more speed.
BATCH_ROWS = 2**16
READY = 2
BUFFER = 2**18
CSV_BYTES = 2**22
PARQUET = (".parquet", ".parq", ".pq")


class Columns:
    """
    Which columns of a table are features, and which are something else.

    Parameters
    ----------
    choose : Choice, optional
        Chooses the features; by default all columns that are not named below.
    sample_weight, labels : str, optional
        The columns with the weights and with the labels that EM begins with.
    responsibilities : list of str, optional
        The K columns with the responsibilities that EM begins with.
    """

    def __init__(self, choose: Choice | None = None, sample_weight: str | None = None, labels: str | None = None,
                 responsibilities: list[str] | None = None) -> None:
        self.choose, self.sample_weight, self.labels, self.responsibilities = choose, sample_weight, labels, responsibilities

    def features(self, path: str, names: list[str] | None, width: int) -> list[int]:
        """Return the positions of the features among all columns of a file."""
        others = [name for name in (self.sample_weight, self.labels, *(self.responsibilities or ())) if name is not None]
        for name in others:
            if names is None or name not in names:
                raise DataFileError(f"{path}: has no column {name!r}")
        if self.choose is not None:
            return chosen_columns(path, names, width, self.choose)
        positions = chosen_columns(path, names, width, every_column)
        return [position for position in positions if names is None or names[position] not in others]


class Scanned(Source):
    """
    Record batches of pyarrow.

    Parameters
    ----------
    name : str
    batches : callable
        Returns an iterator over record batches. They have the columns of `fields`.
    fields : list of str
        The features, as the batches call them.
    columns : list of str or None
        The features' names for users.
    roles : Columns
        The columns that are something else, as the batches call them.
    n_rows : int or None
    state : callable, optional
        Returns what changes with the files.
    positions : list of int
        Where the features stand among all columns.
    """

    gives_new_memory = True

    def __init__(self, name: str, batches: Callable[[], Iterator[Any]], fields: list[str], columns: list[str] | None, roles: Columns,
                 n_rows: int | None = None, state: Callable[[], object] = lambda: None, positions: list[int] | None = None) -> None:
        self.positions = list(range(len(fields))) if positions is None else positions
        self.name, self.batches, self.fields, self.columns, self.roles, self.n_rows = name, batches, fields, columns, roles, n_rows
        self._state, self.n_features = state, len(fields)

    def blocks(self) -> Iterator[RowBlock]:
        roles, before, number = self.roles, 0, 0
        batches = self.batches()
        while True:
            try:
                batch = next(batches, None)
            except (MemoryError, SourceError):
                raise
            except Exception as error:  # a damaged file can raise nearly anything
                what = str(error).strip().splitlines()[0]
                raise SourceError(self.name, f"could not be read after row {before:,}: {what}", number) from None
            if batch is None:
                return
            if batch.num_rows:
                yield RowBlock(_beside([batch.column(field) for field in self.fields]), _vector(batch, roles.sample_weight),
                               _vector(batch, roles.labels),
                               None if roles.responsibilities is None else _beside([batch.column(one) for one in roles.responsibilities]))
                before, number = before + batch.num_rows, number + 1

    def state(self) -> object:
        return self._state()


def _beside(arrays: list[Any]) -> NDArray[Any]:
    """Columns side by side, in rows that are next to each other."""
    single = all(str(array.type) == "float" for array in arrays)
    rows: NDArray[Any] = np.empty((len(arrays[0]) if arrays else 0, len(arrays)), np.float32 if single else np.float64)
    for position, array in enumerate(arrays):
        rows[:, position] = _numbers(array)
    return rows


def _numbers(array: Any) -> NDArray[Any]:
    """A column as numbers; what is missing becomes NaN."""
    if str(array.type).startswith("decimal"):
        array = array.cast("float64")
    elif array.null_count and not str(array.type).startswith(("float", "double", "halffloat")):
        array = array.cast("float64", safe=False)
    numbers: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return numbers


def _vector(batch: Any, name: str | None) -> NDArray[Any] | None:
    return None if name is None else _numbers(batch.column(name))


def _dataset_module(name: str) -> Any:
    try:
        from pyarrow import dataset
    except ImportError:
        raise DataFileError(f"{name}: reading this kind of data needs pyarrow: pip install 'gaussmix[cli]'") from None
    return dataset


def dataset_rows(dataset: Any, name: str, columns: Columns, condition: Any = None) -> Scanned:
    """
    The rows of a pyarrow dataset.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
    name : str
    columns : Columns
    condition : pyarrow.compute.Expression, optional
        Which rows to take.
    """
    names = list(dataset.schema.names)
    chosen = columns.features(name, names, len(names))
    refuse_words(name, [(position, dataset.schema.field(position)) for position in chosen])
    fields = [names[position] for position in chosen]
    wanted = [*fields, *(one for one in (columns.sample_weight, columns.labels, *(columns.responsibilities or ())) if one is not None)]

    wanted = list(dict.fromkeys(wanted))
    fragments = _parquet_fragments(dataset)
    for fragment in fragments:
        refuse_words(fragment.path, [(position, fragment.physical_schema.field(names[position])) for position in chosen
                                     if names[position] in fragment.physical_schema.names])
        lacking = [one for one in wanted if one not in fragment.physical_schema.names]
        if lacking and str(fragment.partition_expression) == "true":
            raise SourceError(fragment.path, f"has no column {lacking[0]!r}, which another file of the source has")
    by_file = bool(fragments) and condition is None and all(_is_plain(fragment, wanted) for fragment in fragments)

    def batches() -> Iterator[Any]:
        if by_file:
            for fragment in fragments:
                yield from _file_batches(fragment, wanted)
            return
        yield from dataset.scanner(columns=wanted, filter=condition, batch_size=BATCH_ROWS, batch_readahead=READY, fragment_readahead=1,
                                   use_threads=True).to_batches()

    def state() -> object:
        files = getattr(dataset, "files", [])
        return [(one.size, one.mtime_ns) for one in dataset.filesystem.get_file_info(files)] if files else None

    return Scanned(name, batches, fields, fields, columns, dataset.count_rows() if by_file else None, state, chosen)


def _parquet_fragments(dataset: Any) -> list[Any]:
    """The Parquet files of a dataset; none where it is of another kind, or gives only some of its rows."""
    if getattr(dataset, "format", None) is None or dataset.format.default_extname != "parquet":
        return []
    try:
        return list(dataset.get_fragments())
    except ValueError:  # a dataset with a filter of its own
        return []


def _is_plain(fragment: Any, wanted: list[str]) -> bool:
    """Whether a file has all columns itself, and none comes from the name of its folder."""
    return str(fragment.partition_expression) == "true" and set(wanted) <= set(fragment.physical_schema.names)


def _file_batches(fragment: Any, wanted: list[str]) -> Iterator[Any]:
    """The batches of one Parquet file, which are decoded page by page. A scanner would hold several whole row groups."""
    from pyarrow import parquet

    with fragment.filesystem.open_input_file(fragment.path) as opened:
        file = parquet.ParquetFile(opened, pre_buffer=False, buffer_size=BUFFER)
        yield from file.iter_batches(BATCH_ROWS, columns=wanted, use_threads=True)


def parquet_files(paths: list[str], columns: Columns, condition: Any = None) -> Scanned:
    """The rows of Parquet files, or of those in one folder."""
    name = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    dataset = _dataset_module(name)
    from pyarrow.fs import LocalFileSystem

    try:
        files = [file for path in paths for file in ([path] if os.path.isfile(path) else _parquet_files_in(path))]
        if not files:
            raise SourceError(name, "has no Parquet files")
        opened = dataset.dataset(files, format="parquet", filesystem=LocalFileSystem())
        return dataset_rows(opened, name, columns, condition)
    except (MemoryError, DataFileError, SourceError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise SourceError(name, f"is not a Parquet file, or is damaged: {str(error).strip().splitlines()[0]}") from None


def _parquet_files_in(folder: str) -> list[str]:
    """The Parquet files of a folder and of those in it, in the order of their names; hidden ones are not for readers."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        found += [os.path.join(place, name) for name in sorted(files) if name.endswith(PARQUET) and not name.startswith((".", "_"))]
    return found


def csv_files(paths: list[str], columns: Columns, condition: Any = None, dialect: Dialect = Dialect()) -> Scanned:
    """The rows of CSV files with the same layout, which is that of the first."""
    name = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    _dataset_module(name)
    import pyarrow
    from pyarrow import csv

    layout = layout_of(paths[0], dialect)
    for path in paths[1:]:
        other = layout_of(path, dialect)
        if (other.names, other.width, other.delimiter) != (layout.names, layout.width, layout.delimiter):
            raise DataFileError(f"{path}: has other columns than {paths[0]}: all files of a source must have the same, in the same order")
    chosen = columns.features(name, layout.names, layout.width)
    refuse_words_of(paths[0], layout, chosen)
    fields = [f"{position}" for position in range(layout.width)] if condition is None else _names_for_filter(name, layout.names)
    by_name = dict(zip(layout.names or fields, fields))
    weights, labels = (None if one is None else by_name[one] for one in (columns.sample_weight, columns.labels))
    roles = Columns(None, weights, labels, None if columns.responsibilities is None else [by_name[one] for one in columns.responsibilities])
    wanted = list(dict.fromkeys([*(fields[position] for position in chosen),
                                 *(one for one in (weights, labels, *(roles.responsibilities or ())) if one is not None)]))
    options: dict[str, Any] = dict(
        read_options=csv.ReadOptions(column_names=fields, skip_rows=layout.skipped, block_size=CSV_BYTES),
        parse_options=csv.ParseOptions(delimiter=layout.delimiter),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(wanted, "float64"), include_columns=wanted if condition is None else [],
                                           null_values=[""], decimal_point=layout.decimal))

    def batches() -> Iterator[Any]:
        for path in paths:
            try:
                with text_bytes(path) as file:
                    for batch in csv.open_csv(file, **options):
                        yield from [batch] if condition is None else pyarrow.Table.from_batches([batch]).filter(condition).to_batches()
            except pyarrow.ArrowInvalid:
                _tell_where(path, layout, chosen)
                raise
            except DataFileError as error:
                raise SourceError(path, str(error).removeprefix(f"{path}: ")) from None

    names = None if layout.names is None else [layout.names[position] for position in chosen]
    return Scanned(name, batches, [fields[position] for position in chosen], names, roles, None, lambda: file_state(paths), chosen)


def _tell_where(path: str, layout: Layout, chosen: list[int]) -> None:
    """Raise SourceError naming the line and the column of the first cell that is no number, if there is one."""
    try:
        check_cells(path, layout, chosen)
    except DataFileError as error:
        raise SourceError(path, str(error).removeprefix(f"{path}: ")) from None


def _names_for_filter(name: str, names: list[str] | None) -> list[str]:
    """The names of all columns, by which a filter calls them."""
    if names is None:
        raise DataFileError(f"{name}: has no header, so that filter cannot name its columns: choose rows of it by a Source of your own")
    twice = next((one for one in names if names.count(one) > 1), None)
    if twice is not None:
        raise DataFileError(f"{name}: two columns have the name {twice!r}, so that filter cannot tell them apart: rename one")
    return names


def record_batches(reader: Any, columns: Columns) -> Scanned:
    """The rows of a RecordBatchReader, which gives them only once: they are kept in a temporary file, which is deleted at the end."""
    import pyarrow

    dataset = _dataset_module("RecordBatchReader")
    handle, path = tempfile.mkstemp(suffix=".arrow", prefix="gaussmix-")
    os.close(handle)
    try:
        with pyarrow.OSFile(path, "wb") as file, pyarrow.ipc.new_file(file, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
        source = dataset_rows(dataset.dataset(path, format="ipc"), "RecordBatchReader", columns)
    except BaseException:
        os.unlink(path)
        raise
    weakref.finalize(source, os.unlink, path)
    return source


def lazy_table(frame: Any, columns: Columns) -> Scanned:
    """The rows of a polars LazyFrame, whose query is carried out anew in each pass."""
    schema = frame.collect_schema()
    names = list(schema.names())
    chosen = columns.features("LazyFrame", names, len(names))
    fields = [names[position] for position in chosen]
    wanted = [*fields, *(one for one in (columns.sample_weight, columns.labels, *(columns.responsibilities or ())) if one is not None)]
    words = [field for field in fields if not (schema[field].is_numeric() or str(schema[field]) == "Boolean")]
    if words:
        raise DataFileError(f"LazyFrame: column {words[0]!r} does not hold numbers, but {schema[words[0]]}: leave it out or code it as numbers")
    query = frame.select(list(dict.fromkeys(wanted)))

    def batches() -> Iterator[Any]:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # collect_batches calls itself unstable
            frames = query.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True)
        for one in frames:
            yield from one.to_arrow().to_batches(max_chunksize=BATCH_ROWS)

    return Scanned("LazyFrame", batches, fields, fields, columns)
