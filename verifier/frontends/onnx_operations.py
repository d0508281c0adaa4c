"""What each ONNX operator means: a table of functions from a node to the steps it is read as.

A function gets a Node whose inputs are constants (arrays) or the data (a Data, which knows only its shape), and gives
the steps that stand for it. Shapes are those of the file, its batch axis included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from verifier.errors import UnsupportedLayerError
from verifier.frontends.steps import Step

Constant = np.ndarray[Any, Any]
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True)
class Data:
    """A value that depends on the network's input."""

    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Node:
    """One node of the graph, with its inputs as far as they are known.

    Args:
        op: The operator.
        where: Position, operator and name, for messages.
        inputs: A constant, the data, or None where an optional input is left out.
        attributes: Plain data and arrays.
        opset: Version of ONNX's own operators that the file uses.
    """

    op: str
    where: str
    inputs: tuple[Constant | Data | None, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 13

    def input(self, index: int) -> Constant | Data | None:
        """Input `index`, or None where there is none."""
        return self.inputs[index] if index < len(self.inputs) else None

    def constant(self, index: int, name: str) -> Constant | None:
        """Input `index` where it must be a constant or left out."""
        value = self.input(index)
        if isinstance(value, Data):
            raise self.refusal(f"its {name} is computed from the network's input; only constants are supported")
        return value

    def weights(self, index: int, name: str) -> Constant:
        """Input `index` as stored floating-point weights."""
        value = self.constant(index, name)
        if value is None:
            raise self.refusal(f"it has no {name}")
        if value.dtype not in FLOATS:
            raise self.refusal(f"its {name} is of {value.dtype}; only float32 and float64 are supported")
        return value

    @property
    def data(self) -> Data:
        """The one input that is data."""
        return next(value for value in self.inputs if isinstance(value, Data))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data."""
        return self.data.shape

    def integers(self, name: str, index: int, default: Sequence[int] | None = None) -> tuple[int, ...] | None:
        """Whole numbers that newer files give as input `index` and older ones as an attribute."""
        value = self.constant(index, name)
        if value is None:
            value = self.attributes.get(name, default)
        return None if value is None else tuple(int(number) for number in np.asarray(value).reshape(-1))

    def refusal(self, reason: str) -> UnsupportedLayerError:
        """Name the node in an error."""
        return UnsupportedLayerError(f"{self.where}: {reason}")

    def step(self, kind: str, shape: Sequence[int], arrays: dict[str, Constant] | None = None, **options: Any) -> Step:
        """Make a step of this node."""
        return Step(kind, self.where, arrays or {}, options, tuple(int(size) for size in shape))


def _only_data(node: Node) -> None:
    if sum(isinstance(value, Data) for value in node.inputs) > 1:
        raise node.refusal("joins two values that both depend on the input; only their sum and difference are affine")


# Affine operators


def _matmul(node: Node) -> list[Step]:
    _only_data(node)
    shape = node.shape
    if isinstance(node.input(0), Data):
        weight = node.weights(1, "second factor")
        if weight.ndim > 2:
            raise node.refusal(f"its second factor has {weight.ndim} axes; only matrices are supported")
        if weight.ndim == 1:
            return [node.step("Linear", shape[:-1], {"weight": weight[None]})]
        return [node.step("Linear", (*shape[:-1], weight.shape[1]), {"weight": weight.T})]
    weight = node.weights(0, "first factor")
    if weight.ndim > 2 or len(shape) > 2:
        raise node.refusal("a product from the left is only supported for matrices")
    columns = shape[1] if len(shape) == 2 else 1
    matrix = np.kron(np.atleast_2d(weight), np.eye(columns, dtype=weight.dtype))
    return [node.step("Linear", (*weight.shape[:-1], *shape[1:]), {"weight": matrix})]


def _gemm(node: Node) -> list[Step]:
    _only_data(node)
    if isinstance(node.input(2), Data):
        raise node.refusal("adds a value from further back; only a chain of layers is supported")
    steps: list[Step] = []
    data_first = isinstance(node.input(0), Data)
    shape = node.shape
    if node.attributes.get("transA" if data_first else "transB", 0):
        steps.append(node.step("Permute", shape[::-1], order=(1, 0)))
        shape = shape[::-1]
    factor = node.weights(1 if data_first else 0, "constant factor")
    if node.attributes.get("transB" if data_first else "transA", 0):
        factor = factor.T
    inputs = (Data(shape), factor) if data_first else (factor, Data(shape))
    steps += _matmul(Node("MatMul", node.where, inputs))
    shape = steps[-1].shape
    alpha, beta = float(node.attributes.get("alpha", 1.0)), float(node.attributes.get("beta", 1.0))
    if alpha != 1.0:
        steps.append(node.step("Scale", shape, {"scale": np.array(alpha)}))
    if node.constant(2, "bias") is not None:
        bias = node.weights(2, "bias")
        if beta != 1.0 and bias.dtype != np.float32:
            raise node.refusal("beta other than 1 is only supported for float32")
        shift = bias if beta == 1.0 else bias.astype(np.float64) * beta  # exact: two values of 24 bits
        steps.append(node.step("Scale", shape, {"shift": shift}))
    return steps


def _joined(node: Node) -> list[Step]:
    """Add or subtract two values, as a residual connection does."""
    shapes = {value.shape for value in node.inputs if isinstance(value, Data)}
    if len(shapes) > 1:
        raise node.refusal(f"joins values of shapes {' and '.join(map(str, sorted(shapes)))}; only equal ones")
    return [node.step("Sum", node.shape, signs=(1, 1 if node.op == "Add" else -1))]


def _elementwise(node: Node) -> list[Step]:
    if node.op in ("Add", "Sub") and all(isinstance(value, Data) for value in node.inputs):
        return _joined(node)
    _only_data(node)
    data_first = isinstance(node.input(0), Data)
    constant = node.weights(1 if data_first else 0, "constant")
    arrays: dict[str, Constant]
    if node.op == "Add":
        arrays = {"shift": constant}
    elif node.op == "Sub":
        arrays = {"shift": -constant} if data_first else {"scale": np.array(-1.0), "shift": constant}
    elif node.op == "Mul":
        arrays = {"scale": constant}
    elif data_first:
        arrays = {"divisor": constant}
    else:
        raise node.refusal("divides a constant by a value of the network, which is not affine")
    steps, shape = _broadcast(node, constant.shape)
    return [*steps, node.step("Scale", shape, arrays)]


def _broadcast(node: Node, other: tuple[int, ...]) -> tuple[list[Step], tuple[int, ...]]:
    """Bring the data to the shape that it and a constant have together."""
    try:
        shape = np.broadcast_shapes(node.shape, other)
    except ValueError as error:
        raise node.refusal(f"shapes {node.shape} and {other} do not fit together") from error
    if shape == node.shape:
        return [], shape
    if np.prod(shape) == np.prod(node.shape):
        return [node.step("Reshape", shape)], shape
    index = np.broadcast_to(np.arange(int(np.prod(node.shape))).reshape(node.shape), shape)
    return [node.step("Select", shape, index=index)], shape


def _negate(node: Node) -> list[Step]:
    return [node.step("Scale", node.shape, {"scale": np.array(-1.0)})]


def _batch_norm(node: Node) -> list[Step]:
    if node.attributes.get("training_mode", 0):
        raise node.refusal("training_mode=1 normalises with the batch itself; export the network in eval mode")
    if not node.attributes.get("spatial", 1):
        raise node.refusal("spatial=0 is not supported")
    names = ("weight", "bias", "running_mean", "running_var")
    arrays = {name: node.weights(i + 1, name) for i, name in enumerate(names)}
    return [node.step("BatchNorm", node.shape, arrays, eps=float(node.attributes.get("epsilon", 1e-5)))]


# Windows: convolution and pooling


@dataclass(frozen=True)
class _Windows:
    """Kernel, strides and padding of a node, for two spatial axes."""

    kernel: tuple[int, int]
    options: dict[str, Any]
    out: tuple[int, int]


def _windows(node: Node, image: tuple[int, int], kernel: tuple[int, int]) -> _Windows:
    flat = len(node.shape) == 3  # one spatial axis; a second one of size 1 stands before it

    def pair(name: str, default: int) -> tuple[int, int]:
        values = node.attributes.get(name) or [default] * (1 if flat else 2)
        return (1 if name != "pads" else 0, int(values[0])) if flat else (int(values[0]), int(values[1]))

    stride, dilation = pair("strides", 1), pair("dilations", 1)
    reach = [dilation[i] * (kernel[i] - 1) + 1 for i in range(2)]
    auto = node.attributes.get("auto_pad", "NOTSET")
    pads = node.attributes.get("pads") or [0] * (2 if flat else 4)
    begin, end = ([0, pads[0]], [0, pads[1]]) if flat else (list(pads[:2]), list(pads[2:]))
    ceil = bool(node.attributes.get("ceil_mode", 0))
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = [max(0, (-(-image[i] // stride[i]) - 1) * stride[i] + reach[i] - image[i]) for i in range(2)]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        begin, end = (small, large) if auto == "SAME_UPPER" else (large, small)
    elif auto == "VALID":
        begin, end = [0, 0], [0, 0]
    elif auto != "NOTSET":
        raise node.refusal(f"auto_pad={auto} is not known")
    out = []
    for i in range(2):
        span = image[i] + begin[i] + end[i] - reach[i]
        count = (-(-span // stride[i]) if ceil else span // stride[i]) + 1
        if ceil and (count - 1) * stride[i] >= image[i] + begin[i]:
            count -= 1  # a window that would begin in the padding after the image is left out
        out.append(count)
    if min(out) < 1:
        raise node.refusal(f"its kernel {kernel} is larger than the image {image}")
    options = {"stride": stride, "dilation": dilation, "padding": tuple(begin), "padding_end": tuple(end)}
    return _Windows(kernel, options, (out[0], out[1]))


def _image(node: Node) -> tuple[list[Step], tuple[int, int], int]:
    """Bring one image into the form (1, channels, height, width)."""
    shape = node.shape
    if len(shape) not in (3, 4):
        raise node.refusal(f"input of shape {shape}; only one or two spatial axes are supported")
    if shape[0] != 1:
        raise node.refusal(f"a batch of {shape[0]} images; one is verified at a time")
    if len(shape) == 3:
        return [node.step("Reshape", (1, shape[1], 1, shape[2]))], (1, shape[2]), shape[1]
    return [], (shape[2], shape[3]), shape[1]


def _back(node: Node, step: Step) -> list[Step]:
    """Leave out the second spatial axis again where the file has one."""
    if len(node.shape) == 3:
        return [step, node.step("Reshape", (*step.shape[:2], step.shape[3]))]
    return [step]


def _conv(node: Node) -> list[Step]:
    _only_data(node)
    steps, image, channels = _image(node)
    weight = node.weights(1, "kernel")
    if weight.ndim == 3:
        weight = weight[:, :, None, :]
    groups = int(node.attributes.get("group", 1))
    if weight.ndim != 4 or weight.shape[1] * groups != channels:
        raise node.refusal(f"kernel {weight.shape} in {groups} groups does not fit {channels} channels")
    windows = _windows(node, image, (weight.shape[2], weight.shape[3]))
    arrays = {"weight": weight}
    if node.constant(2, "bias") is not None:
        arrays["bias"] = node.weights(2, "bias")
    options = {**windows.options, "groups": groups}
    return [*steps, *_back(node, node.step("Conv2d", (1, weight.shape[0], *windows.out), arrays, **options))]


def _pool(node: Node) -> list[Step]:
    steps, image, channels = _image(node)
    shape = node.attributes["kernel_shape"]
    windows = _windows(node, image, (1, int(shape[0])) if len(shape) == 1 else (int(shape[0]), int(shape[1])))
    options = {"kernel": windows.kernel, **windows.options}
    if node.op == "AveragePool":
        if node.attributes.get("ceil_mode", 0) and windows != _windows(_without_ceil(node), image, windows.kernel):
            raise node.refusal("ceil_mode=1 with windows that overhang is not supported")
        options["count_include_pad"] = bool(node.attributes.get("count_include_pad", 0))
    elif node.attributes.get("storage_order", 0):
        raise node.refusal("storage_order=1 is not supported")
    kind = "AvgPool2d" if node.op == "AveragePool" else "MaxPool2d"
    return [*steps, *_back(node, node.step(kind, (1, channels, *windows.out), **options))]


def _without_ceil(node: Node) -> Node:
    return Node(node.op, node.where, node.inputs, {**node.attributes, "ceil_mode": 0}, node.opset)


def _global_average(node: Node) -> list[Step]:
    steps, image, channels = _image(node)
    options: dict[str, Any] = {"kernel": image, "stride": (1, 1), "padding": (0, 0)}
    return [*steps, *_back(node, node.step("AvgPool2d", (1, channels, 1, 1), **options))]


# Operators that only move values


def _same(node: Node) -> list[Step]:
    return [node.step("Identity", node.shape)]


def _cast(node: Node) -> list[Step]:
    if node.attributes.get("to") not in (1, 11):  # FLOAT and DOUBLE
        raise node.refusal("casts the network's values to another type than float32 or float64")
    return _same(node)


def _dropout(node: Node) -> list[Step]:
    training = node.constant(2, "training_mode")
    if training is not None and training.any():
        raise node.refusal("training_mode is true, so that it drops at random; export the network in eval mode")
    return _same(node)


def _flatten(node: Node) -> list[Step]:
    axis = int(node.attributes.get("axis", 1))
    axis = axis + len(node.shape) if axis < 0 else axis
    return [node.step("Flatten", (int(np.prod(node.shape[:axis])), int(np.prod(node.shape[axis:]))))]


def _reshape(node: Node) -> list[Step]:
    wanted = list(node.integers("shape", 1) or ())
    if not node.attributes.get("allowzero", 0):
        wanted = [node.shape[i] if size == 0 and i < len(node.shape) else size for i, size in enumerate(wanted)]
    try:
        shape = np.empty(node.shape, dtype=bool).reshape(wanted).shape
    except ValueError as error:
        raise node.refusal(f"cannot give {node.shape} the shape {tuple(wanted)}") from error
    return [node.step("Reshape", shape)]


def _transpose(node: Node) -> list[Step]:
    axes = len(node.shape)
    order = tuple(node.attributes.get("perm") or range(axes)[::-1])
    moved = [i for i in order if node.shape[i] > 1]
    if moved == sorted(moved):  # only axes of size 1 change their places
        return [node.step("Reshape", [node.shape[i] for i in order])]
    return [node.step("Permute", [node.shape[i] for i in order], order=order)]


def _squeeze(node: Node) -> list[Step]:
    axes = node.integers("axes", 1)
    chosen = [i for i, size in enumerate(node.shape) if size == 1] if axes is None else axes
    return [node.step("Reshape", np.squeeze(np.empty(node.shape, dtype=bool), tuple(chosen)).shape)]


def _unsqueeze(node: Node) -> list[Step]:
    axes = node.integers("axes", 1) or ()
    return [node.step("Reshape", np.expand_dims(np.empty(node.shape, dtype=bool), axes).shape)]


def _pad(node: Node) -> list[Step]:
    mode = node.attributes.get("mode", "constant")
    value = node.constant(2, "value")
    filling = float(value.reshape(-1)[0]) if value is not None and value.size else float(
        node.attributes.get("value", 0.0)
    )  # fmt: skip
    pads = node.integers("pads", 1)
    if mode != "constant" or filling != 0.0 or node.constant(3, "axes") is not None or pads is None:
        raise node.refusal("only padding with zeros on all axes is supported")
    axes = len(node.shape)
    if min(pads, default=0) < 0 or len(pads) != 2 * axes:
        raise node.refusal(f"pads {pads} do not fit {axes} axes")
    if not any(pads):
        return _same(node)
    index = np.arange(int(np.prod(node.shape))).reshape(node.shape)
    index = np.pad(index, list(zip(pads[:axes], pads[axes:], strict=True)), constant_values=-1)
    return [node.step("Select", index.shape, index=index)]


# Activations


def _relu(node: Node) -> list[Step]:
    return [node.step("ReLU", node.shape)]


def _leaky_relu(node: Node) -> list[Step]:
    return [node.step("LeakyReLU", node.shape, slope=float(node.attributes.get("alpha", 0.01)))]


def _sigmoid(node: Node) -> list[Step]:
    return [node.step("Sigmoid", node.shape)]


def _softmax(node: Node) -> list[Step]:
    axes = len(node.shape)
    axis = int(node.attributes.get("axis", -1 if node.opset >= 13 else 1))
    axis = axis + axes if axis < 0 else axis
    over = node.shape[axis] if node.opset >= 13 else int(np.prod(node.shape[axis:]))
    if over != int(np.prod(node.shape)):
        raise node.refusal(f"runs over {over} of the {int(np.prod(node.shape))} outputs; it must run over all of them")
    return [node.step(node.op, node.shape)]


OPERATORS: dict[str, Callable[[Node], list[Step]]] = {
    "MatMul": _matmul, "Gemm": _gemm, "Add": _elementwise, "Sub": _elementwise, "Mul": _elementwise,
    "Div": _elementwise, "Neg": _negate, "BatchNormalization": _batch_norm,
    "Conv": _conv, "AveragePool": _pool, "MaxPool": _pool, "GlobalAveragePool": _global_average,
    "Identity": _same, "Cast": _cast, "Dropout": _dropout, "Flatten": _flatten, "Reshape": _reshape,
    "Transpose": _transpose, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Pad": _pad,
    "Relu": _relu, "LeakyRelu": _leaky_relu, "Sigmoid": _sigmoid, "Softmax": _softmax, "LogSoftmax": _softmax,
}  # fmt: skip
