"""ReLU, what is made of it exactly (abs, clamp, maximum, PReLU), and the heads."""

from __future__ import annotations

import math

import numpy as np

from verifier.frontends.torch.aten_table import (
    Read,
    check_cast,
    flat,
    reads,
    relu_of,
    reshaped,
    scaled,
    shifted,
    sum_of,
)
from verifier.frontends.torch.call import Call
from verifier.frontends.torch.numbers import array, as_computed


@reads("relu")
def _relu(call: Call) -> Read:
    return call.emit("ReLU", call.take(call["self"]))


@reads("leaky_relu")
def _leaky(call: Call) -> Read:
    slope = float(as_computed(call["negative_slope"], call.result.dtype))
    return call.emit("LeakyReLU", call.take(call["self"]), options={"slope": slope})


@reads("_prelu_kernel")
def _prelu(call: Call) -> Read:
    if call.is_data(call["weight"]):
        raise call.refuse("its slope depends on the input")
    position = call.take(call["self"])
    negative = relu_of(call, scaled(call, position, -1.0))
    slope = array(call["weight"])
    turned = call.emit("Scale", negative, arrays={"scale": slope})
    return sum_of(call, relu_of(call, position), turned, -1)


@reads("abs", "absolute")
def _absolute(call: Call) -> Read:
    return call.emit("Abs", call.take(call["self"]))


@reads("clamp", "clamp_min", "clamp_max", "hardtanh")
def _clamp(call: Call) -> Read:
    low, high = call.get("min", call.get("min_val")), call.get("max", call.get("max_val"))
    if any(call.is_data(one) for one in (low, high)):
        raise call.refuse("clamps between values that depend on the input; write it with maximum and minimum")
    dtype, shape = call.result.dtype, tuple(call.result.shape)
    position = call.take(call["self"], shape)
    limits = [None if one is None else as_computed(one, dtype) for one in (low, high)]
    if limits[0] is not None and limits[1] is not None and (limits[0] > limits[1]).any():
        raise call.refuse("its lower limit exceeds its upper limit")
    arrays = {}
    for name, limit, sign in zip(("min", "max"), limits, (1.0, -1.0), strict=True):
        if limit is None or (np.isinf(limit) & (limit * sign < 0)).all():
            continue
        if not np.isfinite(limit).all():
            raise call.refuse("clamps to infinity")
        arrays[name] = limit
    if not arrays:
        return position
    if "max" not in arrays and not arrays["min"].any():
        return relu_of(call, position)
    return call.emit("Clip", position, arrays=arrays)


@reads("threshold")
def _threshold(call: Call) -> Read:
    if float(call["threshold"]) != 0.0 or float(call["value"]) != 0.0:
        raise call.refuse("jumps at its threshold; only threshold 0 with value 0, which is ReLU, is supported")
    return call.emit("ReLU", call.take(call["self"]))


@reads("maximum", "minimum", "fmax", "fmin")
def _maximum(call: Call) -> Read:
    """max(a, b) = a + relu(b - a), min(a, b) = a - relu(a - b)."""
    one, other, shape = call["self"], call["other"], tuple(call.result.shape)
    largest = call.name in ("maximum", "fmax", "max")
    data, constant = (one, other) if call.is_data(one) else (other, one)
    check_cast(call, data.dtype, call.result.dtype)
    first = call.take(data, shape)
    if call.is_data(constant):
        second = call.take(constant, shape)
        gap = sum_of(call, second, first, -1) if largest else sum_of(call, first, second, -1)
        return sum_of(call, first, relu_of(call, gap), 1 if largest else -1)
    limit = as_computed(call.values(constant), call.result.dtype)
    if largest:
        return shifted(call, relu_of(call, shifted(call, first, -limit)), limit)
    turned = relu_of(call, shifted(call, scaled(call, first, -1.0), limit))
    return shifted(call, scaled(call, turned, -1.0), limit)


@reads("amax", "amin", "max", "min")
def _largest(call: Call) -> Read:
    if call.name in ("max", "min") and "other" in call.arguments:
        return _maximum(call)
    data, lowest = call["self"], call.name in ("amin", "min")
    axes = call.get("dim")
    axes = tuple(range(data.ndim)) if axes is None or axes == [] else tuple(axis % data.ndim for axis in flat(axes))
    if not data.ndim:
        return call.elements(data)
    kept = tuple(axis for axis in range(data.ndim) if axis not in axes)
    count = math.prod(data.shape[axis] for axis in axes)
    elements = call.elements(data).moved((*kept, *axes)).reshaped((1, 1, data.numel() // count, count))
    position = call.take_elements(elements, call.values(data).permute(*kept, *axes).reshape(elements.shape))
    if lowest:
        position = scaled(call, position, -1.0)
    options = {"kernel": (1, count), "stride": (1, count), "padding": (0, 0), "dilation": (1, 1), "ceil_mode": False}
    position = call.emit("MaxPool2d", position, (*elements.shape[:3], 1), options=options)
    if lowest:
        position = scaled(call, position, -1.0)
    return reshaped(call, position, tuple(call.result.shape))


# heads


@reads("sigmoid")
def _sigmoid(call: Call) -> Read:
    return call.emit("Sigmoid", call.take(call["self"]))


@reads("_softmax", "_log_softmax", "softmax", "log_softmax")
def _softmax(call: Call) -> Read:
    data, dim = call["self"], call["dim"]
    check_cast(call, data.dtype, call.result.dtype)
    if data.ndim and data.shape[dim] != data.numel():
        given = "" if "dim" in call.reading.names.word else f"dim={dim - data.ndim if dim > 0 else dim}"
        raise call.refuse(
            f"{given or f'dim={dim}'} runs over {data.shape[dim]} of the {data.numel()} outputs; use dim=-1 so that "
            "it runs over all of them"
        )
    return _head(call, "LogSoftmax" if "log" in call.name else "Softmax")


def _head(call: Call, kind: str) -> int:
    """A head over all values, in a row."""
    data = call["self"]
    source = reshaped(call, call.take(data), (1, data.numel()))
    return reshaped(call, call.emit(kind, source, call.shape(source)), tuple(call.result.shape))
