"""How each module and each call that torch.fx records is read as a step: two tables."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from verifier.errors import UnsupportedLayerError

SUPPORTED = (
    "Linear, Conv2d, AvgPool2d, MaxPool2d, BatchNorm1d/2d, Dropout, Flatten, Identity, ReLU, LeakyReLU, "
    "view/reshape/squeeze, adding or multiplying constants, adding two values of one shape, and a final Sigmoid, "
    "Softmax or LogSoftmax"
)


class Data:
    """Stands for the data in a call's arguments."""

    def __init__(self, example: torch.Tensor) -> None:
        self.example = example


Read = tuple[str, dict[str, np.ndarray[Any, Any]], dict[str, Any]]


def _array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """Copy a tensor to numpy, values unchanged; bfloat16, which numpy lacks, becomes float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy().copy()


def _arrays(**tensors: torch.Tensor | None) -> dict[str, np.ndarray[Any, Any]]:
    return {name: _array(tensor) for name, tensor in tensors.items() if tensor is not None}


def _pair(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def same_forward(known: type[nn.Module]) -> set[Any]:
    """Return the forwards of torch's own variants of a module, which compute the same."""
    return {sub.forward for sub in known.__subclasses__() if sub.__module__.startswith("torch.nn.")}


def _read_linear(part: Any, where: str, before: torch.Size) -> Read:
    return "Linear", _arrays(weight=part.weight, bias=part.bias), {}


def _read_conv2d(part: Any, where: str, before: torch.Size) -> Read:
    if part.padding_mode != "zeros":
        raise UnsupportedLayerError(f"{where}: padding_mode={part.padding_mode!r} is not supported; use 'zeros'")
    return _conv2d(where, part.weight, part.bias, part.stride, part.padding, part.dilation, part.groups)


def _conv2d(where: str, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Read:
    if isinstance(padding, str):
        reach = [d * (k - 1) for d, k in zip(_pair(dilation), weight.shape[2:], strict=True)]
        if padding == "same" and any(r % 2 for r in reach):
            raise UnsupportedLayerError(f"{where}: padding='same' with an even kernel is not supported; use an odd one")
        padding = (0, 0) if padding == "valid" else (reach[0] // 2, reach[1] // 2)
    options = {
        "stride": _pair(stride), "padding": _pair(padding), "dilation": _pair(dilation), "groups": int(groups),
    }  # fmt: skip
    return "Conv2d", _arrays(weight=weight, bias=bias), options


def _read_avg_pool(part: Any, where: str, before: torch.Size) -> Read:
    return _avg_pool(
        where, before, None, None, part.kernel_size, part.stride, part.padding, part.ceil_mode,
        part.count_include_pad, part.divisor_override,
    )  # fmt: skip


def _avg_pool(
    where: str, before: Any, example: Any, data: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Read:  # fmt: skip
    kernel = _pair(kernel_size)
    return "AvgPool2d", {}, {
        "kernel": kernel, "stride": kernel if stride is None or stride == [] else _pair(stride),
        "padding": _pair(padding), "count_include_pad": bool(count_include_pad), "divisor": divisor_override,
        "ceil_mode": bool(ceil_mode),
    }  # fmt: skip


def _read_max_pool(part: Any, where: str, before: torch.Size) -> Read:
    return _max_pool(
        where, before, None, None, part.kernel_size, part.stride, part.padding, part.dilation, part.ceil_mode,
        part.return_indices,
    )  # fmt: skip


def _max_pool(
    where: str, before: Any, example: Any, data: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
    dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Read:  # fmt: skip
    if return_indices:
        raise UnsupportedLayerError(f"{where}: return_indices=True is not supported; leave it out")
    kernel = _pair(kernel_size)
    return "MaxPool2d", {}, {
        "kernel": kernel, "stride": kernel if stride is None or stride == [] else _pair(stride),
        "padding": _pair(padding), "dilation": _pair(dilation), "ceil_mode": bool(ceil_mode),
    }  # fmt: skip


def _read_leaky_relu(part: Any, where: str, before: torch.Size) -> Read:
    return "LeakyReLU", {}, {"slope": float(part.negative_slope)}


def _leaky_relu(
    where: str, before: Any, example: Any, data: Any, negative_slope: float = 0.01, inplace: bool = False
) -> Read:
    return "LeakyReLU", {}, {"slope": float(negative_slope)}


def _read_batch_norm(part: Any, where: str, before: torch.Size) -> Read:
    if part.running_mean is None:
        raise UnsupportedLayerError(
            f"{where}: track_running_stats=False makes its result depend on the batch; train it with running statistics"
        )
    if len(before) < 2:
        raise UnsupportedLayerError(f"{where}: needs a batch dimension")
    arrays = _arrays(weight=part.weight, bias=part.bias, running_mean=part.running_mean, running_var=part.running_var)
    return "BatchNorm", arrays, {"eps": float(part.eps)}


def _plain(kind: str) -> Callable[..., Read]:
    def read(*_: Any, **__: Any) -> Read:
        return kind, {}, {}

    return read


def _softmax_module(kind: str) -> Callable[..., Read]:
    return lambda part, where, before: (kind, {}, {"dim": part.dim})


MODULES: dict[type[nn.Module], Callable[[Any, str, torch.Size], Read]] = {
    nn.Linear: _read_linear,
    nn.Conv2d: _read_conv2d,
    nn.AvgPool2d: _read_avg_pool,
    nn.MaxPool2d: _read_max_pool,
    nn.LeakyReLU: _read_leaky_relu,
    nn.BatchNorm1d: _read_batch_norm,
    nn.BatchNorm2d: _read_batch_norm,
    nn.ReLU: _plain("ReLU"),
    nn.Flatten: _plain("Flatten"),
    nn.Unflatten: _plain("Reshape"),
    nn.Identity: _plain("Identity"),
    nn.Dropout: _plain("Dropout"),
    nn.Dropout1d: _plain("Dropout"),
    nn.Dropout2d: _plain("Dropout"),
    nn.Sigmoid: _plain("Sigmoid"),
    nn.Softmax: _softmax_module("Softmax"),
    nn.LogSoftmax: _softmax_module("LogSoftmax"),
}


def _call_dropout(
    where: str, before: Any, example: Any, data: Any, p: float = 0.5, training: bool = True, *_: Any, **__: Any
) -> Read:
    if training and p > 0:
        raise UnsupportedLayerError(
            f"{where}: dropout is active even in eval mode; write F.dropout(x, training=self.training) or nn.Dropout"
        )
    return "Dropout", {}, {}


def _call_softmax(kind: str) -> Callable[..., Read]:
    def read(where: str, before: Any, example: Any, data: Any, dim: int | None = None, *_: Any, **__: Any) -> Read:
        return kind, {}, {"dim": dim}

    return read


def _call_linear(where: str, before: Any, example: Any, data: Any, weight: Any, bias: Any = None) -> Read:
    if not (isinstance(data, Data) and isinstance(weight, torch.Tensor)):
        raise UnsupportedLayerError(f"{where}: the weights of a linear layer must not depend on the input")
    return "Linear", _arrays(weight=weight, bias=bias), {}


def _call_matmul(where: str, before: Any, example: Any, left: Any, right: Any) -> Read:
    if not (isinstance(left, Data) and isinstance(right, torch.Tensor) and right.ndim == 2):
        raise UnsupportedLayerError(f"{where}: only x @ W with a constant matrix W is supported")
    return "Linear", _arrays(weight=right.T), {}


def _call_conv2d(
    where: str, before: Any, example: Any, data: Any, weight: Any, bias: Any = None, stride: Any = 1,
    padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Read:  # fmt: skip
    if not isinstance(weight, torch.Tensor):
        raise UnsupportedLayerError(f"{where}: the weights of a convolution must not depend on the input")
    return _conv2d(where, weight, bias, stride, padding, dilation, groups)


def _call_clamp(where: str, before: Any, example: Any, data: Any, min: Any = None, max: Any = None) -> Read:
    if max is not None or min is None or isinstance(min, torch.Tensor) or min != 0:
        raise UnsupportedLayerError(f"{where}: only clamp(min=0), which is ReLU, is supported")
    return "ReLU", {}, {}


def _call_permute(where: str, before: Any, example: Any, data: Any, *order: Any) -> Read:
    axes = [int(a) % len(before) for a in (order[0] if len(order) == 1 and not isinstance(order[0], int) else order)]
    return "Permute", {}, {"order": axes}


def _call_transpose(where: str, before: Any, example: Any, data: Any, dim0: int, dim1: int) -> Read:
    axes = list(range(len(before)))
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return "Permute", {}, {"order": axes}


def _call_cast(where: str, before: Any, example: Any, data: Any, *_: Any, **__: Any) -> Read:
    if example.dtype != data.example.dtype:
        raise UnsupportedLayerError(
            f"{where}: changes {data.example.dtype} to {example.dtype}; use one dtype throughout"
        )
    return "Identity", {}, {}


def _constant(value: Any, example: torch.Tensor) -> np.ndarray[Any, Any]:
    """Read a constant as the data's dtype sees it, as the operation itself does."""
    return _array(torch.as_tensor(value, dtype=example.dtype))


def _call_arithmetic(operation: str) -> Callable[..., Read]:
    def read(where: str, before: Any, example: Any, left: Any, right: Any, *rest: Any, **named: Any) -> Read:
        if rest or named:
            raise UnsupportedLayerError(f"{where}: options of {operation} are not supported; write it with + - * /")
        data, constant, swapped = (left, right, False) if isinstance(left, Data) else (right, left, True)
        if isinstance(constant, Data):
            return _sum(where, operation, left, right)
        if example.shape != data.example.shape:
            raise UnsupportedLayerError(f"{where}: the constant spreads the data to another shape")
        number = _constant(constant, example)
        if operation == "add":
            return "Scale", {"shift": number}, {}
        if operation == "mul":
            return "Scale", {"scale": number}, {}
        if operation == "sub" and not swapped:
            return "Scale", {"shift": -number}, {}
        if operation == "sub":
            return "Scale", {"shift": number, "scale": np.array(-1.0, dtype=number.dtype)}, {}
        if swapped:
            raise UnsupportedLayerError(f"{where}: divides by the data, which is not linear")
        return "Scale", {"divisor": number}, {}

    return read


def _sum(where: str, operation: str, left: Data, right: Data) -> Read:
    """Add or subtract two values, as a residual connection does."""
    if operation not in ("add", "sub"):
        raise UnsupportedLayerError(
            f"{where}: combines the data with itself; only constants can be multiplied or divided by"
        )
    if left.example.shape != right.example.shape:
        raise UnsupportedLayerError(
            f"{where}: adds values of shapes {tuple(left.example.shape)} and {tuple(right.example.shape)}; only values "
            "of one shape can be added"
        )
    return "Sum", {}, {"signs": (1, 1 if operation == "add" else -1)}


def _call_negate(where: str, before: Any, example: Any, data: Any) -> Read:
    return "Scale", {"scale": np.array(-1.0)}, {}


CALLS: dict[Any, Callable[..., Read]] = {
    **dict.fromkeys((functional.relu, torch.relu, torch.relu_, functional.relu_, "relu", "relu_"), _plain("ReLU")),
    **dict.fromkeys((torch.clamp, "clamp", "clamp_", "clamp_min"), _call_clamp),
    **dict.fromkeys((torch.flatten, "flatten"), _plain("Flatten")),
    **dict.fromkeys(
        (
            torch.reshape,
            "reshape",
            "view",
            torch.squeeze,
            "squeeze",
            torch.unsqueeze,
            "unsqueeze",
            "view_as",
            "reshape_as",
        ),
        _plain("Reshape"),
    ),
    **dict.fromkeys(("contiguous", "clone", "detach", "requires_grad_"), _plain("Identity")),
    **dict.fromkeys(("float", "double", "half", "to", "type_as"), _call_cast),
    **dict.fromkeys((torch.permute, "permute"), _call_permute),
    **dict.fromkeys((torch.transpose, "transpose"), _call_transpose),
    **dict.fromkeys((torch.sigmoid, functional.sigmoid, "sigmoid"), _plain("Sigmoid")),
    **dict.fromkeys((torch.softmax, functional.softmax, "softmax"), _call_softmax("Softmax")),
    **dict.fromkeys((torch.log_softmax, functional.log_softmax, "log_softmax"), _call_softmax("LogSoftmax")),
    functional.dropout: _call_dropout,
    functional.linear: _call_linear,
    functional.conv2d: _call_conv2d,
    functional.avg_pool2d: _avg_pool,
    **dict.fromkeys((functional.max_pool2d, torch.max_pool2d), _max_pool),
    **dict.fromkeys((functional.leaky_relu, functional.leaky_relu_), _leaky_relu),
    **dict.fromkeys((operator.matmul, torch.matmul, "matmul", torch.mm, "mm"), _call_matmul),
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), _call_arithmetic("add")),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, "sub", "sub_"), _call_arithmetic("sub")),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul, "mul", "mul_"), _call_arithmetic("mul")),
    **dict.fromkeys((operator.truediv, operator.itruediv, torch.div, "div", "div_"), _call_arithmetic("div")),
    **dict.fromkeys((operator.neg, torch.neg, "neg"), _call_negate),
}
