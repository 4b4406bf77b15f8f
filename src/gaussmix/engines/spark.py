"""Spark: the partitions of a DataFrame, whose rows reach Python as batches of Arrow."""

from __future__ import annotations

import pickle
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gaussmix.engines.cluster import FAN, Part, add_parts
from gaussmix.sources.source import SourceError
from gaussmix.statistics import Statistics

__all__ = ["SparkParts", "beside_rows", "is_spark", "mean_beside"]

_Result = TypeVar("_Result")

RESULTS = "part int, result binary"  # what each partition gives, and what the branches of the tree add
BLOCKS = "rows binary, weights binary"  # the rows as the loops read them: making them anew from columns would take most of a pass
BYTES = 2**26  # of one block


def is_spark(X: object) -> bool:
    """Whether X is a DataFrame of Spark."""
    return type(X).__module__.partition(".")[0] == "pyspark" and hasattr(X, "mapInArrow")


def _functions() -> Any:
    """Spark's functions of columns, whose types are incomplete."""
    from pyspark.sql import functions

    return functions


class _Columns:
    """
    The features of a DataFrame.

    Parameters
    ----------
    X : pyspark.sql.DataFrame
        Of numeric columns, or with one column of vectors.
    weight : str, optional
        The column with the weights.

    Attributes
    ----------
    names : list of str or None
        The numeric columns; None for vectors.
    vector : str or None
        The column of vectors.
    n_features : int
    single : bool
        Whether all features are float32.
    """

    def __init__(self, X: Any, weight: str | None) -> None:
        fields = [field for field in X.schema.fields if field.name != weight]
        if weight is not None and len(fields) == len(X.schema.fields):
            raise ValueError(f"the Spark DataFrame has no column {weight!r}, which sample_weight names")
        kinds = {field.name: field.dataType.typeName() for field in fields}
        vectors = [field.name for field in fields if type(field.dataType).__name__ == "VectorUDT"]
        self.weight, self.vector = weight, vectors[0] if vectors else None
        if self.vector is None:
            self.names: list[str] | None = [field.name for field in fields]
            words = [name for name, kind in kinds.items() if kind not in NUMERIC and not kind.startswith("decimal")]
            if words:
                raise ValueError(f"Spark DataFrame: column {words[0]!r} does not hold numbers, but {kinds[words[0]]}: leave it out")
            self.n_features = len(fields)
        else:
            if len(fields) > 1:
                raise ValueError(f"Spark DataFrame: features must be numeric columns or one column of vectors, but there are {list(kinds)}: "
                                 "select what to fit")
            vector = _functions().col(f"`{self.vector}`")
            first = X.select(vector).where(vector.isNotNull()).first()
            if first is None:
                raise ValueError("Spark DataFrame: has no rows")
            self.names, self.n_features = None, len(first[0])
        self.single = self.vector is None and all(kind == "float" for kind in kinds.values())

    def selected(self, X: Any) -> Any:
        """The features, and the weights, in columns of one type."""
        functions = _functions()
        real = "float" if self.single else "double"
        if self.vector is None:
            features = [functions.col(f"`{name}`").cast(real).alias(f"x{i}") for i, name in enumerate(self.names or ())]
        else:
            from pyspark.ml.functions import vector_to_array

            vector = functions.col(f"`{self.vector}`")
            features = [functions.when(vector.isNotNull(), vector_to_array(vector)).alias("x")]
        weights = [] if self.weight is None else [functions.col(f"`{self.weight}`").cast("double").alias("w")]
        return X.select(*features, *weights)

    def as_column(self) -> Any:
        """The features of a row as one array."""
        functions = _functions()
        if self.vector is None:
            return functions.array(*(functions.col(f"`{name}`").cast("double") for name in self.names or ()))
        from pyspark.ml.functions import vector_to_array

        return vector_to_array(functions.col(f"`{self.vector}`"))


NUMERIC = ("byte", "short", "integer", "long", "float", "double", "boolean", "tinyint", "smallint", "int", "bigint")


class SparkParts:
    """
    The partitions of a DataFrame of Spark.

    The rows are cached where they are. A partition that is lost is computed again by Spark, and must then have the same rows in the same
    order.

    Parameters
    ----------
    X : pyspark.sql.DataFrame
        Of numeric columns, or with one column of vectors.
    weight : str, optional
        The column with the weights.
    """

    name = "Spark DataFrame"

    def __init__(self, X: Any, weight: str | None = None) -> None:
        if weight is not None and not isinstance(weight, str):
            raise TypeError(f"sample_weight of a Spark DataFrame is the name of one of its columns, not {type(weight).__name__}")
        columns = _Columns(X, weight)
        self.columns, self.n_features = columns.names, columns.n_features
        self._weighted, self._single = weight is not None, columns.single
        self._rows = columns.selected(X).mapInArrow(_blocks_of(self.n_features, self._weighted, self._single), BLOCKS).persist()
        weakref.finalize(self, _let_go, self._rows).atexit = False
        self._n_parts = 0  # the last partition that has rows, plus one; known after the first pass

    def _results(self, function: Callable[..., Any], shared: tuple[Any, ...]) -> Any:
        """The results for all partitions, pickled, as a DataFrame; a partition without rows may give none."""
        weighted, single, n_features = self._weighted, self._single, self.n_features

        def on_partition(batches: Iterator[Any]) -> Iterator[Any]:
            import pyarrow
            from pyspark import TaskContext

            context = TaskContext.get()
            assert context is not None
            number = context.partitionId()
            part = _part_of(list(batches), n_features, weighted, single)
            result = pickle.dumps(function(number, *part, *shared))
            yield pyarrow.RecordBatch.from_arrays([pyarrow.array([number], "int32"), pyarrow.array([result], "binary")], ["part", "result"])

        return self._rows.mapInArrow(on_partition, RESULTS)

    def _collected(self, results: Any) -> dict[int, Any]:
        try:
            return {row.part: pickle.loads(row.result) for row in results.collect()}
        except MemoryError:
            raise
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            told = [line for line in lines if "Error: " in line or "Exception: " in line]
            raise SourceError(self.name, f"a partition could not be computed: {(told or lines or [type(error).__name__])[-1]}") from error

    def each(self, function: Callable[..., _Result], *shared: Any) -> list[_Result]:
        """See `Parts.each`."""
        found = self._collected(self._results(function, shared))
        if not self._n_parts:
            self._n_parts = max(found, default=-1) + 1
        nothing = _part_of([], self.n_features, self._weighted, self._single)
        return [found[number] if number in found else function(number, *nothing, *shared) for number in range(self._n_parts)]

    def added(self, function: Callable[..., Statistics], *shared: Any) -> Statistics:
        """See `Parts.added`. The branches are added where Spark likes; the last ones here."""
        tree, width = self._results(function, shared), self._n_parts
        while width > FAN:
            width = -(-width // FAN)
            tree = tree.repartition(width, _functions().expr(f"part div {FAN}")).mapInArrow(_add_branches, RESULTS)
        found = self._collected(tree)
        return add_parts([found[number] for number in sorted(found)])


def _let_go(rows: Any) -> None:
    """Free the cache of a DataFrame, whose session may have ended."""
    with suppress(Exception):
        rows.unpersist()


def _blocks_of(n_features: int, weighted: bool, single: bool) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """Return the function that turns the columns of a partition into blocks of rows. What is missing becomes NaN."""
    real = np.float32 if single else np.float64

    def blocks(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow

        gathered: list[Any] = []
        size = 0

        def block() -> Any:
            rows, weights = (np.concatenate(parts) for parts in zip(*gathered))
            binary = [pyarrow.array([part.tobytes()], "binary") for part in (rows, weights)]
            return pyarrow.RecordBatch.from_arrays(binary, ["rows", "weights"])

        for batch in batches:
            columns = list(batch.columns)
            weights = columns.pop().to_numpy(zero_copy_only=False) if weighted else np.empty(0)
            rows = np.empty((batch.num_rows, n_features), real)
            if batch.schema.names[0] == "x":
                rows[...] = _stacked(columns[0], n_features)
            else:
                for position, column in enumerate(columns):
                    rows[:, position] = column.to_numpy(zero_copy_only=False)
            gathered.append((rows, np.asarray(weights, np.float64)))
            size += rows.nbytes
            if size >= BYTES:
                yield block()
                gathered, size = [], 0
        if gathered:
            yield block()

    return blocks


def _part_of(batches: list[Any], n_features: int, weighted: bool, single: bool) -> Part:
    """The rows and weights of a partition, from its blocks. A single block is read where it is."""
    def joined(name: str, real: type[np.floating[Any]]) -> NDArray[Any]:
        blocks = [np.frombuffer(value.as_buffer(), real) for batch in batches for value in batch.column(batch.schema.names.index(name))]
        return blocks[0] if len(blocks) == 1 else np.concatenate([np.empty(0, real), *blocks])

    return joined("rows", np.float32 if single else np.float64).reshape(-1, n_features), joined("weights", np.float64) if weighted else None


def _stacked(vectors: Any, n_features: int) -> NDArray[np.float64]:
    """A column of arrays as rows; a row without an array, or with another number of values, becomes NaN."""
    lengths = vectors.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
    if (lengths == n_features).all():
        flat: NDArray[np.float64] = vectors.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(-1, n_features)
    rows = np.full((len(vectors), n_features), np.nan)
    for number, vector in enumerate(vectors.to_pylist()):
        if vector is not None and len(vector) == n_features:
            rows[number] = vector
    return rows


def _add_branches(batches: Iterator[Any]) -> Iterator[Any]:
    """Add the results of each group of `FAN` neighbours, in their order, and number the sums."""
    import pyarrow

    rows = [row for batch in batches for row in batch.to_pylist()]
    groups: dict[int, list[Any]] = {}
    for row in sorted(rows, key=lambda row: row["part"]):
        groups.setdefault(row["part"] // FAN, []).append(pickle.loads(row["result"]))
    if groups:
        sums = [pickle.dumps(add_parts(group)) for group in groups.values()]
        yield pyarrow.RecordBatch.from_arrays([pyarrow.array(list(groups), "int32"), pyarrow.array(sums, "binary")], ["part", "result"])


def beside_rows(X: Any, function: Callable[[NDArray[np.float64]], NDArray[Any]], name: str, wide: bool, whole: bool,
                like: list[str] | None, n_features: int) -> Any:
    """
    Answer a question for every row, when Spark is asked for the result.

    Parameters
    ----------
    X : pyspark.sql.DataFrame
    function : callable
        From rows to an array with one answer a row, or with K answers.
    name : str
        Of the column with the answers.
    wide : bool
        Whether there are K answers a row; the column then has arrays.
    whole : bool
        Whether answers are whole numbers.
    like : list of str or None
        The features of the model, where it knows their names: these columns of X are taken, and the others stay beside the answers.
    n_features : int

    Returns
    -------
    pyspark.sql.DataFrame
        X with one more column.

    Raises
    ------
    ValueError
        Where X has not the features, or has a column with the name of the answers.
    """
    import pandas

    functions = _functions()
    if name in X.columns:
        raise ValueError(f"Spark DataFrame: has a column {name!r}, where the answers would stand: rename it")
    missing = [] if like is None else [one for one in like if one not in X.columns]
    vectors = [field.name for field in X.schema.fields if type(field.dataType).__name__ == "VectorUDT"]
    if missing and not vectors:
        raise ValueError(f"Spark DataFrame: has no column {missing[0]!r}, which the model was fitted to")
    chosen = vectors if len(vectors) == 1 else like if not missing else None
    features = _Columns(X if chosen is None else X.select(*(f"`{one}`" for one in chosen)), None)
    if features.n_features != n_features:
        raise ValueError(f"X has {features.n_features} features, but the model was fitted to {n_features}")
    kind = "array<double>" if wide else "long" if whole else "double"

    def answered(vectors: Any) -> Any:
        answers = function(np.array(vectors.tolist(), dtype=np.float64).reshape(len(vectors), -1))
        return pandas.Series(list(answers) if wide else answers)

    answered.__annotations__ = {"vectors": pandas.Series, "return": pandas.Series}  # by which Spark knows what it calls
    return X.withColumn(name, functions.pandas_udf(answered, kind)(features.as_column()))


def mean_beside(X: Any, name: str, weight: Any) -> tuple[float, float]:
    """
    Compute the weighted mean of a column, and the sum of the weights.

    Parameters
    ----------
    X : pyspark.sql.DataFrame
    name : str
    weight : str or None
        The column with the weights.
    """
    functions = _functions()
    w = functions.lit(1.0) if weight is None else functions.col(f"`{weight}`").cast("double")
    total, weights = X.select((functions.col(f"`{name}`") * w).alias("v"), w.alias("w")).agg(functions.sum("v"), functions.sum("w")).first()
    if not weights:
        raise ValueError("Spark DataFrame: has no rows, or sample_weight is zero for every row")
    return float(total / weights), float(weights)
