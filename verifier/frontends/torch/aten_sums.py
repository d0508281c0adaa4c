"""Sums and products: with constants, of two values, over axes, by matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from verifier.frontends.torch.aten_table import (
    Read,
    check_cast,
    flat,
    reads,
    reshaped,
)
from verifier.frontends.torch.call import Call
from verifier.frontends.torch.memory import Elements
from verifier.frontends.torch.numbers import array, as_computed

MAX_WEIGHTS = 2**26  # entries of a matrix that is written out here


def _binary(call: Call, left: Any, right: Any, sign: int) -> int:
    """left + sign * right."""
    shape, dtype = tuple(call.result.shape), call.result.dtype
    if call.is_data(left) and call.is_data(right):
        for one in (left, right):
            check_cast(call, one.dtype, dtype)
        first, second = call.take(left, shape), call.take(right, shape)
        return call.emit("Sum", (first, second), options={"signs": (1, sign)})
    data, constant = (left, right) if call.is_data(left) else (right, left)
    check_cast(call, data.dtype, dtype)
    position = call.take(data, shape)
    number = as_computed(call.values(constant) if isinstance(constant, torch.Tensor) else constant, dtype)
    arrays = {"shift": number if data is right or sign > 0 else -number}
    if data is right and sign < 0:
        arrays["scale"] = np.array(-1.0, dtype=number.dtype)
    return call.emit("Scale", position, arrays=arrays)


@reads("add", "sub", "rsub")
def _add(call: Call) -> Read:
    left, right = (call["other"], call["self"]) if call.name == "rsub" else (call["self"], call["other"])
    sign = 1 if call.name == "add" else -1
    alpha = float(call.get("alpha", 1))
    if abs(alpha) != 1.0:
        scaled = as_computed(alpha, call.result.dtype)
        if not call.is_data(right):
            number = as_computed(call.values(right) if isinstance(right, torch.Tensor) else right, call.result.dtype)
            product = _exact_product(call, number.astype(np.float64), float(scaled))
            position = call.take(left, tuple(call.result.shape))
            return call.emit("Scale", position, arrays={"shift": sign * product})
        position = call.emit("Scale", call.take(right), right.shape, arrays={"scale": scaled})
        return _combine(call, left, position, sign)
    return _binary(call, left, right, sign if alpha > 0 else -sign)


def _exact_product(call: Call, numbers: np.ndarray[Any, Any], factor: float) -> np.ndarray[Any, Any]:
    product = numbers * factor
    short = float(np.float32(factor)) == factor and (numbers.astype(np.float32) == numbers).all()
    if not short and abs(math.frexp(factor)[0]) != 0.5:
        raise call.refuse("multiplies two constants, which rounds; multiply them in __init__")
    return product


def _combine(call: Call, left: Any, right: int, sign: int) -> int:
    """left, an argument, + sign * right, a step."""
    shape = tuple(call.result.shape)
    if call.shape(right) != shape:
        right = call.take_elements(Elements.of_step(right, call.shape(right)).spread(shape))
    if call.is_data(left):
        return call.emit("Sum", (call.take(left, shape), right), options={"signs": (1, sign)})
    number = as_computed(call.values(left) if isinstance(left, torch.Tensor) else left, call.result.dtype)
    arrays = {"shift": number} | ({} if sign > 0 else {"scale": np.array(-1.0, dtype=number.dtype)})
    return call.emit("Scale", right, arrays=arrays)


@reads("mul", "div", "true_divide")
def _multiply(call: Call) -> Read:
    left, right = call["self"], call["other"]
    if call.is_data(left) and call.is_data(right):
        raise call.refuse("combines the data with itself; only constants can be multiplied or divided by")
    divides = call.name != "mul"
    if divides and call.get("rounding_mode") is not None:
        raise call.refuse("rounds its result to whole numbers")
    if divides and call.is_data(right):
        raise call.refuse("divides by the data, which is not linear")
    data, constant = (left, right) if call.is_data(left) else (right, left)
    check_cast(call, data.dtype, call.result.dtype)
    position = call.take(data, tuple(call.result.shape))
    number = as_computed(call.values(constant) if isinstance(constant, torch.Tensor) else constant, call.result.dtype)
    return call.emit("Scale", position, arrays={"divisor" if divides else "scale": number})


@reads("neg", "negative")
def _negate(call: Call) -> Read:
    return call.emit("Scale", call.take(call["self"]), arrays={"scale": np.array(-1.0, dtype=np.float32)})


@reads("addmm", "mm", "bmm", "baddbmm", "mv", "dot", "addmv", "linear", "addbmm")
def _matrix_product(call: Call) -> Read:
    left, right, bias = _factors(call)
    if call.is_data(left) and call.is_data(right):
        raise call.refuse("combines the data with itself; only constants can be multiplied or divided by")
    beta, alpha = float(call.get("beta", 1)), float(call.get("alpha", 1))
    if (beta, alpha) != (1.0, 1.0) and call.name.startswith("add"):
        raise call.refuse("beta and alpha other than 1 are not supported")
    if call.name == "addbmm":
        raise call.refuse("adds up matrix products; write them one by one")
    if not call.is_data(left) and not call.is_data(right):  # only the bias depends on the input
        raise call.refuse("adds the data to a product of constants, which rounds; compute the product in __init__")
    folds = bias is not None and not call.is_data(bias) and bias.ndim == 1 and call.is_data(left)
    position = _product(call, left, right, bias if folds else None)
    if bias is not None and not folds:
        return _combine(call, bias, position, 1)
    return position


def _factors(call: Call) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    name = call.name
    if name == "addmm":
        return call["mat1"], call["mat2"], call["self"]
    if name == "baddbmm":
        return call["batch1"], call["batch2"], call["self"]
    if name == "addbmm":
        return call["batch1"], call["batch2"], None
    if name == "addmv":
        return call["mat"], call["vec"], call["self"]
    if name == "linear":
        return call["input"], call["weight"].t(), call["bias"]
    other = {"mm": "mat2", "bmm": "mat2", "mv": "vec", "dot": "tensor"}[name]
    return call["self"], call[other], None


def _product(call: Call, left: torch.Tensor, right: torch.Tensor, bias: torch.Tensor | None) -> int:
    """left @ right, one of which is constant: a Linear over the last axis of the other."""
    shape = tuple(call.result.shape)
    if call.is_data(left):
        weight = array(call.values(right))
        weight = weight[..., None] if right.ndim == 1 else weight
        source = call.take(left)
    else:  # (A x)^T = x^T A^T
        weight = np.swapaxes(array(call.values(left)), -1, -2) if left.ndim > 1 else array(call.values(left))[:, None]
        elements, values = call.elements(right), call.values(right)
        if right.ndim > 1:
            order = (*range(right.ndim - 2), right.ndim - 1, right.ndim - 2)
            elements, values = elements.moved(order), values.transpose(-1, -2)
        source = call.take_elements(elements, values)
    if weight.ndim == 3 and (weight.shape[0] == 1 or (weight == weight[:1]).all()):
        weight = weight[0]
    arrays = {"weight": np.ascontiguousarray(np.swapaxes(weight, -1, -2))}
    if bias is not None:
        arrays["bias"] = array(call.values(bias))
    given = call.shape(source)
    out = (*given[:-1], weight.shape[-1])
    one = weight.ndim == 2
    position = call.emit("Linear", source, out, arrays=arrays) if one else _blocks(call, source, weight)
    if call.is_data(left) or right.ndim == 1:
        return reshaped(call, position, shape)
    turned = Elements.of_step(position, out).moved((*range(len(out) - 2), len(out) - 1, len(out) - 2))
    return call.take_elements(turned.reshaped(shape))


def _blocks(call: Call, source: int, weight: np.ndarray[Any, Any]) -> int:
    """A matrix for each row of the first axis, as one matrix."""
    batch, rows = call.shape(source)[0], call.shape(source)[1]
    inner, outer = weight.shape[1:]
    size = batch * rows
    if size * inner * size * outer > MAX_WEIGHTS:
        raise call.refuse("multiplies by too many matrices at once; use one matrix for all")
    full = np.zeros((size, outer, size, inner), dtype=weight.dtype)
    for place in range(size):
        full[place, :, place, :] = weight[place // rows].T
    flat = call.emit("Reshape", source, (1, size * inner))
    return call.emit("Linear", flat, (1, size * outer), arrays={"weight": full.reshape(size * outer, size * inner)})


@reads("sum", "mean")
def _reduce(call: Call) -> Read:
    data = call["self"]
    check_cast(call, data.dtype, call.result.dtype)
    axes = call.get("dim")
    axes = tuple(range(data.ndim)) if axes is None or axes == [] else tuple(axis % data.ndim for axis in flat(axes))
    if not data.ndim:
        return call.elements(data)
    kept = tuple(axis for axis in range(data.ndim) if axis not in axes)
    elements = call.elements(data).moved((*kept, *axes))
    count = math.prod(data.shape[axis] for axis in axes)
    rest = tuple(data.shape[axis] for axis in kept)
    shaped = elements.reshaped((*rest, count) if rest else (1, count))
    source = call.take_elements(shaped, call.values(data).permute(*kept, *axes).reshape(shaped.shape))
    position = call.emit("Linear", source, (*shaped.shape[:-1], 1), arrays={"weight": np.ones((1, count), np.float32)})
    if call.name == "mean":
        position = call.emit("Scale", position, call.shape(position), arrays={"divisor": np.array(float(count))})
    return reshaped(call, position, tuple(call.result.shape))
