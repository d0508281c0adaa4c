"""What each ONNX operator means: a table of functions from a node to the steps it is read as.

A function gets a Node whose inputs are constants (arrays) or the data (a Data, which knows only its shape), and gives
the steps that stand for it. Shapes are those of the file, its batch axis included.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from verifier.frontends.lowering.steps import Step
from verifier.frontends.onnx.node import Constant, Data, Node, only_data
from verifier.frontends.onnx.windows import convolution, global_average, pooling

# Affine operators


def _matmul(node: Node) -> list[Step]:
    only_data(node)
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


def _refuse_old_rules(node: Node) -> None:
    """Refuse what meant something else before version 7 of the operators, which onnxruntime does not run either."""
    if node.opset < 7 and (node.attributes.get("broadcast", 0) or node.op in ("BatchNormalization", "Dropout")):
        raise node.refusal(f"it is written by the rules of opset {node.opset}; convert the file to opset 7 or later")


def _gemm(node: Node) -> list[Step]:
    only_data(node)
    _refuse_old_rules(node)
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
    _refuse_old_rules(node)
    if node.op in ("Add", "Sub") and all(isinstance(value, Data) for value in node.inputs):
        return _joined(node)
    only_data(node)
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
    _refuse_old_rules(node)
    if node.attributes.get("training_mode", 0):
        raise node.refusal("training_mode=1 normalises with the batch itself; export the network in eval mode")
    if not node.attributes.get("spatial", 1):
        raise node.refusal("spatial=0 is not supported")
    names = ("weight", "bias", "running_mean", "running_var")
    arrays = {name: node.weights(i + 1, name) for i, name in enumerate(names)}
    return [node.step("BatchNorm", node.shape, arrays, eps=float(node.attributes.get("epsilon", 1e-5)))]


# Operators that only move values


def _same(node: Node) -> list[Step]:
    return [node.step("Identity", node.shape)]


def _concat(node: Node) -> list[Step]:
    """Put values behind each other; constants among them are added where the others leave zeros."""
    axis = node.attributes.get("axis")
    if axis is None:
        raise node.refusal("it has no axis")
    values = [
        np.zeros(value.shape) if isinstance(value, Data) else node.weights(place, f"input {place}")
        for place, value in enumerate(node.inputs)
    ]
    try:
        shift = np.concatenate(values, axis=int(axis))
    except ValueError as error:
        shapes = " and ".join(str(value.shape) for value in values)
        raise node.refusal(f"shapes {shapes} do not fit together along axis {axis}") from error
    index = []
    for place, value in enumerate(node.inputs):
        if isinstance(value, Data):
            positions = [np.full(one.shape, -1, dtype=np.int64) for one in values]
            positions[place] = np.arange(values[place].size, dtype=np.int64).reshape(value.shape)
            index.append(np.concatenate(positions, axis=int(axis)).reshape(-1).tolist())
    steps = [node.step("Join", shift.shape, index=index)]
    if len(index) < len(values):
        dtype = np.result_type(*(value for value in node.inputs if isinstance(value, np.ndarray)))
        steps.append(node.step("Scale", shift.shape, {"shift": shift.astype(dtype)}))
    return steps


def _cast(node: Node) -> list[Step]:
    if node.attributes.get("to") not in (1, 11):  # FLOAT and DOUBLE
        raise node.refusal("casts the network's values to another type than float32 or float64")
    return _same(node)


def _dropout(node: Node) -> list[Step]:
    _refuse_old_rules(node)
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


def _absolute(node: Node) -> list[Step]:
    return [node.step("Abs", node.shape)]


def _clip(node: Node) -> list[Step]:
    only_data(node)
    limits = {}
    for index, name, ends in ((1, "min", -np.inf), (2, "max", np.inf)):
        given = node.constant(index, name)
        if given is None and name in node.attributes:  # before version 11 of the operators
            given = np.array(node.attributes[name], dtype=np.float32)
        if given is None or (given == ends).all():
            continue
        if given.size != 1 or not np.isfinite(given).all():
            raise node.refusal(f"its {name} must be one finite number")
        limits[name] = given.reshape(())
    if len(limits) == 2 and limits["min"] > limits["max"]:
        raise node.refusal("its min exceeds its max")
    return [node.step("Clip", node.shape, limits)] if limits else _same(node)


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
    "Conv": convolution, "AveragePool": pooling, "MaxPool": pooling, "GlobalAveragePool": global_average,
    "Identity": _same, "Cast": _cast, "Dropout": _dropout, "Flatten": _flatten, "Reshape": _reshape,
    "Transpose": _transpose, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Pad": _pad,
    "Concat": _concat,
    "Relu": _relu, "Abs": _absolute, "Clip": _clip, "LeakyRelu": _leaky_relu,
    "Sigmoid": _sigmoid, "Softmax": _softmax, "LogSoftmax": _softmax,
}  # fmt: skip
