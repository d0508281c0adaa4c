"""ONNX operators on constants alone: those that move values or compute shapes, where nothing can round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from verifier.frontends.onnx.node import Constant, Data, Node

_NUMPY_OF_ONNX: dict[int, Any] = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 11: np.float64}


def _first(node: Node) -> Constant:
    value = node.constant(0, "input")
    if value is None:
        raise node.refusal("it has no input")
    return value


def _cast(node: Node) -> Constant:
    kind = _NUMPY_OF_ONNX.get(int(node.attributes["to"]))
    value = _first(node)
    if kind is None:
        raise node.refusal("casts a constant to a type that is not supported")
    moved: Constant = value.astype(kind)
    if value.dtype.kind == "f" and moved.dtype.kind == "f" and not np.array_equal(moved.astype(value.dtype), value):
        raise node.refusal("rounds a constant; store it in the type that it is used in")
    return moved


def _reshape(node: Node) -> Constant:
    value, wanted = _first(node), list(node.integers("shape", 1) or ())
    if not node.attributes.get("allowzero", 0):
        wanted = [value.shape[i] if size == 0 and i < value.ndim else size for i, size in enumerate(wanted)]
    return value.reshape(wanted)


def _flatten(node: Node) -> Constant:
    value, axis = _first(node), int(node.attributes.get("axis", 1))
    return value.reshape(int(np.prod(value.shape[:axis])), -1)


def _concat(node: Node) -> Constant:
    parts = [value for value in node.inputs if isinstance(value, np.ndarray)]
    return np.concatenate(parts, axis=int(node.attributes["axis"]))


def _gather(node: Node) -> Constant:
    index = node.constant(1, "index")
    if index is None:
        raise node.refusal("it has no index")
    return np.asarray(np.take(_first(node), index, axis=int(node.attributes.get("axis", 0))))


def _slice(node: Node) -> Constant:
    value = _first(node)
    starts, ends = node.integers("starts", 1) or (), node.integers("ends", 2) or ()
    axes = node.integers("axes", 3, range(len(starts))) or ()
    strides = node.integers("steps", 4, [1] * len(starts)) or ()
    cut = [slice(None)] * value.ndim
    for start, end, axis, stride in zip(starts, ends, axes, strides, strict=True):
        cut[axis] = slice(start, None if stride < 0 and end < -value.shape[axis] else end, stride)
    return value[tuple(cut)]


def _filled(node: Node) -> Constant:
    value = node.attributes.get("value")
    fill = np.zeros(1, dtype=np.float32) if value is None else np.asarray(value)
    return np.full(node.integers("shape", 0) or (), fill.reshape(-1)[0], dtype=fill.dtype)


def _whole(function: Callable[[Any, Any], Any]) -> Callable[[Node], Constant]:
    """Compute with shapes: whole numbers only, since floating point would round."""

    def fold(node: Node) -> Constant:
        first, second = _first(node), node.constant(1, "second input")
        if second is None or first.dtype.kind not in "iu" or second.dtype.kind not in "iu":
            raise node.refusal("computes with two constants; fold them before the network is exported")
        return np.asarray(function(first, second))

    return fold


def _axes(node: Node) -> tuple[int, ...] | None:
    return node.integers("axes", 1)


def _divide(first: Any, second: Any) -> Any:
    return np.trunc(first / second).astype(first.dtype)


FOLDED: dict[str, Callable[[Node], Constant]] = {
    "Identity": _first, "Dropout": _first, "Cast": _cast, "Reshape": _reshape, "Flatten": _flatten,
    "Transpose": lambda node: _first(node).transpose(node.attributes.get("perm")),
    "Squeeze": lambda node: np.squeeze(_first(node), _axes(node)),
    "Unsqueeze": lambda node: np.expand_dims(_first(node), _axes(node) or ()),
    "Neg": lambda node: -_first(node),
    "Concat": _concat, "Gather": _gather, "Slice": _slice, "ConstantOfShape": _filled,
    "Add": _whole(np.add), "Sub": _whole(np.subtract), "Mul": _whole(np.multiply), "Div": _whole(_divide),
}  # fmt: skip


def shape_of(node: Node) -> Constant:
    """Give the shape of the data, which a file with fixed sizes knows beforehand."""
    value = node.input(0)
    shape = value.shape if isinstance(value, Data | np.ndarray) else ()
    return np.array(shape[node.attributes.get("start", 0) : node.attributes.get("end")], dtype=np.int64)
