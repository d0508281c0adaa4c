"""Convolutions, pooling and normalisation."""

from __future__ import annotations

from typing import Any

import torch

from verifier.frontends.torch.aten_table import (
    SUPPORTED,
    Read,
    flat,
    reads,
    reshaped,
    word,
)
from verifier.frontends.torch.call import Call
from verifier.frontends.torch.numbers import array


@reads("convolution", "_convolution", "mkldnn_convolution")
def _convolve(call: Call) -> Read:
    weight, bias, data = call["weight"], call["bias"], call["input"]
    if call.get("transposed"):
        raise call.refuse(f"{word(call)} is not supported; supported are {SUPPORTED}")
    if call.is_data(weight) or call.is_data(bias):
        raise call.refuse("the weights of a convolution must not depend on the input")
    axes = weight.ndim - 2
    if axes not in (1, 2):
        raise call.refuse(f"{word(call)} is not supported; supported are {SUPPORTED}")
    arrays = {"weight": array(call.values(weight))} | ({} if bias is None else {"bias": array(call.values(bias))})

    def pair(name: str, single: int) -> tuple[int, int]:
        values = [int(one) for one in flat(call[name])]
        values = values * axes if len(values) == 1 else values
        return (single, values[0]) if axes == 1 else (values[0], values[1])

    options = {
        "stride": pair("stride", 1), "padding": pair("padding", 0), "dilation": pair("dilation", 1),
        "groups": int(call["groups"]),
    }  # fmt: skip
    source = call.take(data)
    if axes == 2:
        return call.emit("Conv2d", source, arrays=arrays, options=options)
    arrays["weight"] = arrays["weight"][:, :, None]
    batch, channels, length = data.shape
    image = call.emit("Reshape", source, (batch, channels, 1, length))
    out = tuple(call.result.shape)
    position = call.emit("Conv2d", image, (out[0], out[1], 1, out[2]), arrays=arrays, options=options)
    return call.emit("Reshape", position, out)


def _pair(value: Any) -> tuple[int, int]:
    values = [int(one) for one in flat(value)]
    return (values[0], values[-1])


def _image(call: Call, data: torch.Tensor) -> int:
    """The step of an image with a batch axis, which pooling takes without as well."""
    position = call.take(data)
    return position if data.ndim == 4 else call.emit("Reshape", position, (1, *data.shape))


def _from_image(call: Call, kind: str, options: dict[str, Any]) -> int:
    data = call["self"]
    source = _image(call, data)
    shape = tuple(call.result.shape)
    position = call.emit(kind, source, shape if data.ndim == 4 else (1, *shape), options=options)
    return reshaped(call, position, shape)


@reads("avg_pool2d")
def _average_pool(call: Call) -> Read:
    kernel = _pair(call["kernel_size"])
    options = {
        "kernel": kernel, "stride": _pair(call["stride"]) if call["stride"] else kernel,
        "padding": _pair(call["padding"]), "count_include_pad": bool(call["count_include_pad"]),
        "divisor": call["divisor_override"], "ceil_mode": bool(call["ceil_mode"]),
    }  # fmt: skip
    return _from_image(call, "AvgPool2d", options)


@reads("max_pool2d_with_indices", "max_pool2d")
def _max_pool(call: Call) -> Read:
    kernel = _pair(call["kernel_size"])
    options = {
        "kernel": kernel, "stride": _pair(call["stride"]) if call["stride"] else kernel,
        "padding": _pair(call["padding"]), "dilation": _pair(call["dilation"]), "ceil_mode": bool(call["ceil_mode"]),
    }  # fmt: skip
    return _from_image(call, "MaxPool2d", options)


@reads("_adaptive_avg_pool2d")
def _adaptive_pool(call: Call) -> Read:
    height, width = call["self"].shape[-2:]
    rows, columns = call["output_size"]
    if height % rows or width % columns:
        raise call.refuse(f"averages {height} x {width} values into {rows} x {columns} windows that overlap")
    kernel = (height // rows, width // columns)
    return _from_image(
        call, "AvgPool2d",
        {"kernel": kernel, "stride": kernel, "padding": (0, 0), "count_include_pad": True, "divisor": None,
         "ceil_mode": False},
    )  # fmt: skip


@reads("adaptive_max_pool2d")
def _adaptive_max(call: Call) -> Read:
    height, width = call["self"].shape[-2:]
    rows, columns = call["output_size"]
    if height % rows or width % columns:
        raise call.refuse(f"takes the largest of windows that overlap ({height} x {width} into {rows} x {columns})")
    kernel = (height // rows, width // columns)
    return _from_image(
        call, "MaxPool2d",
        {"kernel": kernel, "stride": kernel, "padding": (0, 0), "dilation": (1, 1), "ceil_mode": False},
    )  # fmt: skip


@reads("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit")
def _batch_norm(call: Call) -> Read:
    if call.get("training") or call["running_mean"] is None:
        raise call.refuse(
            "track_running_stats=False makes its result depend on the batch; train it with running statistics"
        )
    data = call["input"]
    names = ("weight", "bias", "running_mean", "running_var")
    if any(call.is_data(call[name]) for name in names):
        raise call.refuse("normalises by values that depend on the input")
    arrays = {name: array(call.values(call[name])) for name in names if call[name] is not None}
    return call.emit("BatchNorm", call.take(data), arrays=arrays, options={"eps": float(call["eps"])})
