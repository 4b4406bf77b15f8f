"""Mixtures as ONNX graphs, with which other runtimes compute the labels and responsibilities of new rows.

This module needs `onnx`, which the extra "onnx" installs. The graph computes in the order of an E step. First come the residuals
x − μ_k, which keep their digits wherever the data lie, then L_k⁻¹ (x − μ_k), then the differences between the log-densities of the
components.
"""

from __future__ import annotations  # kept as written, so that help() does not print the unions behind ArrayLike

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gaussmix._core.densities import Densities
from gaussmix._version import __version__
from gaussmix.estimator import GaussianMixture
from gaussmix.mixture import Mixture
from gaussmix.modelfile import Model

if TYPE_CHECKING:
    import onnx

__all__ = ["register", "to_onnx"]

OLDEST = 13  # the first version of ONNX's operators in which ReduceSum and Unsqueeze take axes as inputs
AXES_ARE_INPUTS = 18  # the first version in which ReduceMax and ReduceMin take axes as inputs
LARGEST = 2.0**400  # whitened residuals up to this are squared and summed without scaling
OUTPUTS = ("label", "probabilities", "log_density")


def to_onnx(model: GaussianMixture | Mixture | Model, dtype: DTypeLike = np.float64, *, log_density: bool = False,
            opset: int = 17) -> onnx.ModelProto:
    """
    Convert a mixture to an ONNX model, which `onnx.save` writes and other runtimes, such as onnxruntime, evaluate.

    The input of the model is called "X". It has the shape (N, D), for any N, and must be finite. The outputs are "label", int64 of
    shape (N,), as from `predict`, and "probabilities", of shape (N, K), as from `predict_proba`. The graph computes in double
    precision whatever the type of its input. It needs memory for N × K × D numbers at a time, so large tables should be evaluated
    in batches.

    Parameters
    ----------
    model : GaussianMixture, Mixture or Model
        A GaussianMixture must be fitted. Feature names, where there are any, are written to the metadata of the ONNX model, as a
        JSON list under "columns".
    dtype : {numpy.float64, numpy.float32}
        The type of the input, and of all outputs except the labels.
    log_density : bool
        Whether the model has a third output "log_density": ln p(x), of shape (N,), as from `score_samples`.
    opset : int
        The version of ONNX's operators, at least 13. Older runtimes need an older version.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ImportError
        Where `onnx` is not installed.
    ValueError
        Where the model is not fitted, or `dtype` or `opset` has another value than these.

    Examples
    --------
    >>> from gaussmix import Mixture
    >>> from gaussmix.onnx_export import to_onnx
    >>> graph = to_onnx(Mixture([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]]))
    >>> [output.name for output in graph.graph.output]
    ['label', 'probabilities']
    """
    import onnx

    mixture, columns = _mixture_of(model)
    real = np.dtype(dtype)
    if real not in (np.float32, np.float64):
        raise ValueError(f"dtype must be numpy.float32 or numpy.float64, not {dtype!r}")
    element = onnx.helper.np_dtype_to_tensor_dtype(real)
    shapes: dict[str, list[str | int | None]] = {"label": ["N"], "probabilities": ["N", mixture.n_components], "log_density": ["N"]}
    names = OUTPUTS if log_density else OUTPUTS[:2]
    graph = _Graph(opset)
    graph.evaluate(mixture.densities, "X", names, element)
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes, "gaussian_mixture",
            [onnx.helper.make_tensor_value_info("X", element, ["N", mixture.n_features])],
            [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64 if name == "label" else element, shapes[name])
             for name in names], graph.constants),
        opset_imports=[onnx.helper.make_opsetid("", opset)], producer_name="gaussmix", producer_version=__version__)
    proto.ir_version = onnx.helper.find_min_ir_version_for(proto.opset_import)
    if columns is not None:
        onnx.helper.set_model_props(proto, {"columns": json.dumps(columns, ensure_ascii=False)})
    onnx.checker.check_model(proto, full_check=True)
    return proto


def register(kind: type[GaussianMixture] | None = None) -> None:
    """
    Register a converter, so that skl2onnx converts `GaussianMixture`, alone or as the last step of a scikit-learn `Pipeline`.

    The outputs have the names that skl2onnx uses for scikit-learn's own class: "label", "probabilities" and, with the option
    `score_samples=True`, "score_samples". Their shapes are those of `to_onnx`.

    Parameters
    ----------
    kind : type, optional
        A subclass of `GaussianMixture` that predicts in the same way. It is registered in place of the class itself, as skl2onnx
        looks up exact classes.

    Raises
    ------
    ImportError
        Where skl2onnx is not installed.
    TypeError
        Where `kind` is no subclass of GaussianMixture.

    Examples
    --------
    >>> import numpy as np
    >>> import skl2onnx
    >>> from gaussmix import GaussianMixture
    >>> from gaussmix.onnx_export import register
    >>> register()
    >>> X = np.random.default_rng(0).normal(size=(60, 2)) + np.repeat([[0.0], [9.0]], 30, axis=0)
    >>> model = skl2onnx.to_onnx(GaussianMixture(2, random_state=0).fit(X), X)
    >>> [output.name for output in model.graph.output]
    ['label', 'probabilities']
    """
    import skl2onnx

    kind = GaussianMixture if kind is None else kind
    if not (isinstance(kind, type) and issubclass(kind, GaussianMixture)):
        raise TypeError(f"kind must be GaussianMixture or a subclass of it, not {kind!r}")
    skl2onnx.update_registered_converter(kind, f"Gaussmix{kind.__name__}", _set_shapes, _convert, parser=_declare_outputs,
                                         options={"score_samples": [True, False]})


def _mixture_of(model: object) -> tuple[Mixture, list[str] | None]:
    """Return the mixture of a model, and the names of its features, or None where they have none."""
    mixture = model if isinstance(model, Mixture) else getattr(model, "mixture", None) or getattr(model, "mixture_", None)
    if not isinstance(mixture, Mixture):
        if isinstance(model, GaussianMixture):
            model._require_fit()
        raise ValueError(f"only a Mixture, a Model or a fitted GaussianMixture can become an ONNX model, not {model!r}")
    columns = getattr(model, "columns", None)
    names = getattr(model, "feature_names_in_", None) if columns is None else columns
    return mixture, None if names is None else [str(name) for name in names]


class _Graph:
    """
    The nodes and constants of a graph, in the order in which they are made.

    Parameters
    ----------
    opset : int
        The version of ONNX's operators.
    prefix : str
        Every name begins with it, so that no name occurs elsewhere in an enclosing graph.
    """

    def __init__(self, opset: int, prefix: str = "") -> None:
        if opset < OLDEST:
            raise ValueError(f"opset must be at least {OLDEST}, not {opset}: older operators cannot compute this")
        self.opset, self.prefix = opset, prefix
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def name(self) -> str:
        return f"{self.prefix}{len(self.nodes) + len(self.constants)}"

    def constant(self, values: Any, dtype: type[np.generic] = np.float64) -> str:
        from onnx import numpy_helper

        name = self.name() + "_constant"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        name = f"{self.name()}_{operator}"
        self.nodes.append(helper.make_node(operator, inputs, [output or name], name, **attributes))
        return output or name

    def reduce(self, operator: str, x: str, axis: int, keepdims: bool) -> str:
        """Add a sum, maximum or minimum along an axis."""
        if operator == "ReduceSum" or self.opset >= AXES_ARE_INPUTS:
            return self.node(operator, x, self.constant([axis], np.int64), keepdims=int(keepdims))
        return self.node(operator, x, axes=[axis], keepdims=int(keepdims))

    def evaluate(self, densities: Densities, X: str, outputs: tuple[str, ...], element: int) -> None:
        """
        Add the nodes from rows to labels, responsibilities (5) and, where there is a third output, log-densities (1).

        Let y_k = L_k⁻¹ (x − μ_k), t a number for each row, q_k = |y_k / t|², and q the smallest q_k. Then ln π_k N(x | μ_k, Σ_k)
        is c_k − ½ t² (q_k − q) − ½ t² q, and all components share the last term. t only has to be so large that the squares of
        the nearest component do not overflow. It is one for all rows except those extremely far out.
        """
        from onnx import TensorProto

        far, c = _of_weight_zero(densities.log_constants)
        x = self.node("Cast", self.node("Unsqueeze", X, self.constant([0], np.int64)), to=TensorProto.DOUBLE)  # (1, N, D)
        away = self.node("Sub", x, self.constant(densities.means[:, None, :]))  # (K, N, D)
        if densities.factors.ndim == 2:  # 1/σ
            y = self.node("Mul", away, self.constant(densities.factors[:, None, :]))
        else:
            y = self.node("MatMul", away, self.constant(densities.factors.transpose(0, 2, 1)))
        extent = self.node("Add", self.reduce("ReduceMax", self.node("Abs", y), 2, keepdims=True), self.constant(far[:, None, None]))
        t = self.node("Mul", self.reduce("ReduceMin", extent, 0, keepdims=True), self.constant(1 / LARGEST))
        t = self.node("Max", t, self.constant(1))  # (1, N, 1)
        scaled = self.node("Div", y, t)
        q = self.node("Add", self.reduce("ReduceSum", self.node("Mul", scaled, scaled), 2, keepdims=False), self.constant(far[:, None]))
        t = self.node("Squeeze", t, self.constant([2], np.int64))  # (1, N)
        least = self.reduce("ReduceMin", q, 0, keepdims=True)
        joint = self.node("Sub", self.constant(c[:, None]), self._half_square_times(t, self.node("Sub", q, least)))  # (K, N)
        self.node("ArgMax", joint, axis=0, keepdims=0, output=outputs[0])  # the first of several
        top = self.reduce("ReduceMax", joint, 0, keepdims=True)
        shares = self.node("Exp", self.node("Sub", joint, top))
        total = self.reduce("ReduceSum", shares, 0, keepdims=True)
        gamma = self.node("Transpose", self.node("Div", shares, total), perm=[1, 0])
        self.node("Cast", gamma, to=element, output=outputs[1])
        if len(outputs) > 2:
            log_p = self.node("Sub", self.node("Add", top, self.node("Log", total)), self._half_square_times(t, least))
            self.node("Cast", self.node("Squeeze", log_p, self.constant([0], np.int64)), to=element, output=outputs[2])

    def _half_square_times(self, t: str, q: str) -> str:
        """Add ½ t² q, in an order in which the result is infinite only where it is out of range, and zero where q is zero."""
        return self.node("Mul", self.constant(0.5), self.node("Mul", t, self.node("Mul", t, q)))


def _of_weight_zero(log_constants: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return numbers that put components without weight infinitely far away, and the constants, with 0 in place of −∞."""
    empty = log_constants == -np.inf
    return np.where(empty, np.inf, 0.0), np.where(empty, 0.0, log_constants)


# Functions that skl2onnx calls.


def _declare_outputs(scope: Any, model: GaussianMixture, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """Tell skl2onnx which outputs there are."""
    from skl2onnx.common.data_types import Int64TensorType, guess_tensor_type

    operator = scope.declare_local_operator(f"Gaussmix{type(model).__name__}", model)
    operator.inputs = inputs
    named = {"label": Int64TensorType(), "probabilities": guess_tensor_type(inputs[0].type)}
    if scope.get_options(model, {"score_samples": False})["score_samples"]:
        named["score_samples"] = guess_tensor_type(inputs[0].type)
    for name, kind in named.items():
        operator.outputs.append(scope.declare_local_variable(name, kind))
    outputs: list[Any] = operator.outputs
    return outputs


def _set_shapes(operator: Any) -> None:
    """Tell skl2onnx which shapes the outputs have."""
    if len(operator.inputs) != 1:
        raise ValueError(f"{type(operator.raw_operator).__name__} reads one table of all features, not {len(operator.inputs)} inputs: give "
                         "the ONNX model one input, or put a ColumnTransformer before it in the pipeline")
    rows, model = operator.inputs[0].get_first_dimension(), operator.raw_operator
    for output, shape in zip(operator.outputs, ([rows], [rows, model.mixture_.n_components], [rows])):
        output.type.shape = shape


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes to skl2onnx's graph."""
    from skl2onnx.common.data_types import guess_proto_type

    graph = _Graph(container.target_opset_any_domain(""), scope.get_unique_variable_name("mixture") + "_")
    outputs = tuple(output.full_name for output in operator.outputs)
    graph.evaluate(operator.raw_operator.mixture_.densities, operator.inputs[0].full_name, outputs,
                   guess_proto_type(operator.outputs[1].type))
    for constant in graph.constants:
        container.add_initializer(constant.name, constant.data_type, None, constant)
    for node in graph.nodes:
        attributes = {attribute.name: _value_of(attribute) for attribute in node.attribute}
        container.add_node(node.op_type, list(node.input), list(node.output), op_version=graph.opset, name=node.name,
                           **attributes)


def _value_of(attribute: onnx.AttributeProto) -> Any:
    from onnx import helper

    return helper.get_attribute_value(attribute)
