"""A torch module built from steps: how a network that crossed a pipe as plain data becomes a network again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from verifier.errors import UnsupportedLayerError
from verifier.frontends.lowering.steps import INPUT, Step


def rebuild(steps: tuple[Step, ...]) -> nn.Module:
    """Build a module of torch's own layers that computes what the steps say, in eval mode.

    Args:
        steps: What trace() gave, perhaps sent through a pipe.

    Returns:
        An nn.Sequential of nn.Linear, nn.ReLU, ... with the arrays' dtype, or a Graph of them where values are
        used twice; gradients are off.

    Raises:
        UnsupportedLayerError: A step is of no known kind, or takes what no step before it gives.
    """
    dtypes = [array.dtype for step in steps for array in step.arrays.values() if array.dtype.kind == "f"]
    dtype = torch.from_numpy(np.zeros(1, dtypes[0] if dtypes else np.float32)).dtype
    parts = []
    steps = tuple(replace(step, shape=step.shape or (1,)) for step in steps)
    for i, step in enumerate(steps):
        sources = step.sources or (i - 1,)
        rows = [steps[one].shape[0] if 0 <= one < i else 1 for one in sources]  # of one input, which a batch repeats
        parts.append(_rebuild(step, dtype, rows))
    module = Graph(steps, parts) if any(step.sources for step in steps) else nn.Sequential(*parts)
    return module.eval().requires_grad_(False)


@dataclass(frozen=True)
class _Given:
    """What a step is rebuilt from: its weights as tensors of one dtype, and the rows that its sources have."""

    step: Step
    tensors: dict[str, torch.Tensor]
    dtype: torch.dtype
    rows: list[int]


REBUILT: dict[str, Callable[[_Given], nn.Module]] = {}


def _rebuilds(*kinds: str) -> Callable[[Callable[[_Given], nn.Module]], Callable[[_Given], nn.Module]]:
    """Enter what rebuilds steps of these kinds into the table."""

    def enter(function: Callable[[_Given], nn.Module]) -> Callable[[_Given], nn.Module]:
        REBUILT.update(dict.fromkeys(kinds, function))
        return function

    return enter


def _rebuild(step: Step, dtype: torch.dtype, rows: list[int]) -> nn.Module:
    if step.kind not in REBUILT:
        raise UnsupportedLayerError(f"{step.where}: {step.kind} cannot be rebuilt")
    tensors = {name: torch.from_numpy(np.array(array)).to(dtype) for name, array in step.arrays.items()}
    return REBUILT[step.kind](_Given(step, tensors, dtype, rows))


@_rebuilds("Linear")
def _linear(given: _Given) -> nn.Module:
    out_features, in_features = given.tensors["weight"].shape
    layer = nn.Linear(in_features, out_features, bias="bias" in given.tensors, dtype=given.dtype)
    return _load(layer, given.tensors)


@_rebuilds("Conv2d")
def _conv2d(given: _Given) -> nn.Module:
    out_channels, per_group, height, width = given.tensors["weight"].shape
    options, groups = given.step.options, given.step.options["groups"]
    return _load(
        nn.Conv2d(
            per_group * groups, out_channels, (height, width), stride=options["stride"], padding=options["padding"],
            dilation=options["dilation"], groups=groups, bias="bias" in given.tensors, dtype=given.dtype,
        ),
        given.tensors,
    )  # fmt: skip


@_rebuilds("AvgPool2d")
def _avg_pool2d(given: _Given) -> nn.Module:
    options = given.step.options
    return nn.AvgPool2d(
        tuple(options["kernel"]), tuple(options["stride"]), tuple(options["padding"]), options["ceil_mode"],
        options["count_include_pad"], options["divisor"],
    )  # fmt: skip


@_rebuilds("MaxPool2d")
def _max_pool2d(given: _Given) -> nn.Module:
    options = given.step.options
    kernel, stride, padding, dilation = (tuple(options[k]) for k in ("kernel", "stride", "padding", "dilation"))
    return nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=options["ceil_mode"])


@_rebuilds("LeakyReLU")
def _leaky_relu(given: _Given) -> nn.Module:
    return nn.LeakyReLU(given.step.options["slope"])


@_rebuilds("Abs")
def _absolute(given: _Given) -> nn.Module:
    return Abs()


@_rebuilds("Clip")
def _clip(given: _Given) -> nn.Module:
    arrays = given.step.arrays
    if all(not array.ndim for array in arrays.values()):  # numbers, which half precision would round as tensors
        return Clip({name: float(array) for name, array in arrays.items()})
    return Clip(given.tensors)


@_rebuilds("Sum")
def _sum(given: _Given) -> nn.Module:
    step = given.step
    if len(step.sources) != 2:
        raise UnsupportedLayerError(f"{step.where}: a sum of {len(step.sources)} values cannot be rebuilt")
    return Sum(tuple(step.options["signs"]))


@_rebuilds("Select", "Join")
def _join(given: _Given) -> nn.Module:
    step = given.step
    index = step.options["index"] if step.kind == "Join" else [step.options["index"]]
    return Join([[int(place) for place in one] for one in index], step.shape, given.rows)


@_rebuilds("BatchNorm")
def _batch_norm(given: _Given) -> nn.Module:
    kind = nn.BatchNorm2d if len(given.step.shape) == 4 else nn.BatchNorm1d
    tensors = given.tensors
    affine, features = "weight" in tensors, tensors["running_mean"].numel()
    return _load(kind(features, eps=given.step.options["eps"], affine=affine, dtype=given.dtype), tensors)


@_rebuilds("Softmax", "LogSoftmax")
def _softmax(given: _Given) -> nn.Module:
    return nn.Softmax(dim=-1) if given.step.kind == "Softmax" else nn.LogSoftmax(dim=-1)


@_rebuilds("ReLU", "Identity", "Sigmoid", "Dropout")
def _plain(given: _Given) -> nn.Module:
    layers: dict[str, type[nn.Module]] = {
        "ReLU": nn.ReLU, "Identity": nn.Identity, "Sigmoid": nn.Sigmoid, "Dropout": nn.Dropout,
    }  # fmt: skip
    return layers[given.step.kind]()


@_rebuilds("Flatten", "Reshape")
def _reshape(given: _Given) -> nn.Module:
    flat = given.step.kind == "Flatten" and len(given.step.shape) == 2 and given.rows == [1]
    return nn.Flatten() if flat else Reshape(given.step.shape, given.rows[0])


@_rebuilds("Permute")
def _permute(given: _Given) -> nn.Module:
    return Permute(tuple(given.step.options["order"]))


@_rebuilds("Scale")
def _scale(given: _Given) -> nn.Module:
    return Scale(given.tensors)


def _load(layer: nn.Module, tensors: dict[str, torch.Tensor]) -> nn.Module:
    with torch.no_grad():
        for name, tensor in tensors.items():
            getattr(layer, name).copy_(tensor)
    return layer


class Graph(nn.Module):
    """Parts that take what any part before them gave."""

    def __init__(self, steps: tuple[Step, ...], parts: list[nn.Module]) -> None:
        """Take the steps and a part for each."""
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.sources = [step.sources or (i - 1,) for i, step in enumerate(steps)]
        for i, (step, sources) in enumerate(zip(steps, self.sources, strict=True)):
            if not all(INPUT <= source < i for source in sources):
                raise UnsupportedLayerError(f"{step.where}: takes the output of a step that is not before it")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the last part's output."""
        values = {INPUT: x}
        for i, (part, sources) in enumerate(zip(self.parts, self.sources, strict=True)):
            values[i] = part(*(values[source] for source in sources))
        return values[len(self.parts) - 1]


class Sum(nn.Module):
    """Add two values of one shape, each with a sign."""

    def __init__(self, signs: tuple[int, int]) -> None:
        """Take two signs, +1 or -1."""
        super().__init__()
        self.signs = signs

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Add."""
        return self.signs[0] * first + self.signs[1] * second


class Abs(nn.Module):
    """Take absolute values."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute |x|."""
        return torch.abs(x)


class Clip(nn.Module):
    """Keep values between constant limits."""

    def __init__(self, limits: Mapping[str, Any]) -> None:
        """Take min, max or both: two numbers or two tensors."""
        super().__init__()
        self.limits = limits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Clip x."""
        return torch.clamp(x, **self.limits)


class Join(nn.Module):
    """Put values of several tensors together, 0 where none is meant."""

    def __init__(self, index: list[list[int]], shape: tuple[int, ...], rows: list[int]) -> None:
        """Take, for each tensor, which of its values stands at each place (-1 for none), and its rows for one input."""
        super().__init__()
        self.index = [torch.tensor(one, dtype=torch.int64) for one in index]
        self.shape, self.rows = shape, rows

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        """Pick from tensors of shape (batch * rows, ...)."""
        batch = parts[0].shape[0] // self.rows[0]
        result = parts[0].new_zeros((batch, self.index[0].numel()))
        for part, index in zip(parts, self.index, strict=True):
            result = torch.where(index >= 0, part.reshape(batch, -1)[:, index.clamp(min=0)], result)
        return result.reshape(batch * self.shape[0], *self.shape[1:])


class Reshape(nn.Module):
    """Give each input of a batch another shape."""

    def __init__(self, shape: tuple[int, ...], rows: int) -> None:
        """Take the shape for one input, and how many rows it has before."""
        super().__init__()
        self.shape, self.rows = shape, rows

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reshape x of shape (batch * rows, ...)."""
        return x.reshape(x.shape[0] // self.rows * self.shape[0], *self.shape[1:])


class Permute(nn.Module):
    """Reorder the axes."""

    def __init__(self, order: tuple[int, ...]) -> None:
        """Take the order of all axes, the batch's among them."""
        super().__init__()
        self.order = order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Permute x."""
        return x.permute(self.order)


class Scale(nn.Module):
    """x * scale + shift, or x / divisor, with constants."""

    def __init__(self, constants: dict[str, torch.Tensor]) -> None:
        """Take scale, shift, divisor; each optional."""
        super().__init__()
        self.constants = constants

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale x."""
        x = x * self.constants["scale"] if "scale" in self.constants else x
        x = x + self.constants["shift"] if "shift" in self.constants else x
        return x / self.constants["divisor"] if "divisor" in self.constants else x
