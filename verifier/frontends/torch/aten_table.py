"""The table of operations that torch executes, by their names in torch, and what its entries share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from verifier.frontends.torch.call import Call
from verifier.frontends.torch.memory import Elements

SUPPORTED = (
    "Linear, Conv1d, Conv2d, AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d, BatchNorm1d/2d, Dropout, Flatten, Identity, "
    "ReLU, ReLU6, LeakyReLU, PReLU, view/reshape/squeeze, slices, cat, sum and mean, abs, clamp, maximum and "
    "minimum, adding or multiplying constants, adding two values, and a final Sigmoid, Softmax or LogSoftmax"
)
CASTS = {"to", "half", "bfloat16", "float", "double", "type", "type_as", "copy_", "__setitem__"}

Read = int | Elements | list[Elements]
OPERATIONS: dict[str, Callable[[Call], Read]] = {}


def reads(*names: str) -> Callable[[Callable[[Call], Read]], Callable[[Call], Read]]:
    """Enter a function into the table under these names."""

    def enter(function: Callable[[Call], Read]) -> Callable[[Call], Read]:
        OPERATIONS.update(dict.fromkeys(names, function))
        return function

    return enter


def check_cast(call: Call, before: torch.dtype, after: torch.dtype) -> None:
    """Refuse a conversion that rounds the data: torch.finfo's eps says which dtype holds more digits."""
    if before is after:
        return
    if not before.is_floating_point or torch.finfo(after).eps > torch.finfo(before).eps * 1.0:
        if before is torch.float32 and call.reading.dtype is after:
            return  # back to the module's own dtype, as an operation in it rounds
        asked = call.reading.names.word in CASTS  # autocast is off here, but what it converts nobody asked for
        cause = "" if asked else ", as torch.autocast does"
        raise call.refuse(f"changes {before} to {after}{cause}, which rounds; use one dtype throughout")
    if torch.finfo(after).max < torch.finfo(before).max:
        raise call.refuse(f"changes {before} to {after}, which holds smaller numbers only; use one dtype throughout")


def flat(value: Any) -> list[Any]:
    """The values of a list, or the one value."""
    return list(value) if isinstance(value, list | tuple) else [value]


def reshaped(call: Call, position: int, shape: tuple[int, ...]) -> int:
    """A step's output under another shape."""
    return position if call.shape(position) == tuple(shape) else call.emit("Reshape", position, shape)


def word(call: Call) -> str:
    """What the user calls the operation."""
    return call.where.partition("(")[2].rpartition(")")[0].split(": ")[-1].split(", line")[0]


def scaled(call: Call, position: int, factor: float) -> int:
    """factor * a step's output."""
    return call.emit("Scale", position, call.shape(position), arrays={"scale": np.array(factor, dtype=np.float64)})


def shifted(call: Call, position: int, shift: Any) -> int:
    """A step's output + shift."""
    return call.emit("Scale", position, call.shape(position), arrays={"shift": np.asarray(shift)})


def relu_of(call: Call, position: int) -> int:
    """ReLU of a step's output."""
    return call.emit("ReLU", position, call.shape(position))


def sum_of(call: Call, first: int, second: int, sign: int = 1) -> int:
    """One step's output + sign * another's."""
    return call.emit("Sum", (first, second), call.shape(first), options={"signs": (1, sign)})
