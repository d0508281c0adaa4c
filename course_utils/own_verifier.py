"""What lab 3 puts around the verifier that a student writes: answers in any form, stand-ins, questions, a stopwatch."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.data import circle_network, load_file, network_from_arrays
from verifier import output_bounds

Layers = list[tuple[Tensor, Tensor]]  # weight (out, in) and bias (out,) of each Linear layer, ReLU between them
Part = tuple[Tensor, Tensor]  # a box: lower and upper ends, (inputs,) each
BoundOfPart = Callable[[Part], float]
AttackOnPart = Callable[[Part], tuple[Tensor, float]]

AGREEMENT = 1e-4  # how closely a student's bounds must agree with the library's to be gone on with
RANDOM_POINTS = 200


def numbers(value: Any) -> Tensor:
    """A student's numbers in whatever form: a tensor, an array, a number, a list or tuple of any of these.

    Returns:
        A float64 tensor without gradients.

    Raises:
        AssertionError: It is none of these; the message says what it is, for a check cell to show.
    """
    try:
        return torch.from_numpy(_array(value))
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"found {_described(value)} where numbers were expected") from None


def pairs(value: Any, count: int) -> list[tuple[Tensor, Tensor]]:
    """A student's list of (lower, upper) pairs, each side as a float64 tensor of one dimension.

    Raises:
        AssertionError: It is not a list of `count` pairs; the message says what it is, for a check cell to show.
    """
    if not isinstance(value, list | tuple) or len(value) != count:
        raise AssertionError(f"found {_described(value)}; expected {count} (lower, upper) pairs")
    for place, pair in enumerate(value):
        if not hasattr(pair, "__len__") or len(pair) != 2:
            raise AssertionError(f"entry {place} is {_described(pair)}; expected a (lower, upper) pair")
    return [(numbers(lower).reshape(-1), numbers(upper).reshape(-1)) for lower, upper in value]


def layers_of(net: nn.Module) -> Layers:
    """The (weight, bias) pairs of a network of Linear layers with ReLU between them, as float64 tensors.

    Raises:
        ValueError: The network is something else.
    """
    parts = list(net) if isinstance(net, nn.Sequential) else []
    kinds = [nn.Linear if place % 2 == 0 else nn.ReLU for place in range(len(parts))]
    if len(parts) % 2 == 0 or not all(isinstance(part, kind) for part, kind in zip(parts, kinds, strict=True)):
        raise ValueError("net: expected an nn.Sequential of Linear layers with a ReLU between each two")
    linear = [part for part in parts if isinstance(part, nn.Linear)]
    return [(part.weight.detach().double(), part.bias.detach().double()) for part in linear]


@dataclass(frozen=True)
class SplitDigit:
    """A digit, and a network with one hidden layer that reads it.

    Attributes:
        image: Grey values from 0 (black) to 1 (white), float64, shape (784,).
        label: The digit that it shows.
        net: Takes (num, 784), gives ten scores; 784-40-10, float64.
    """

    image: Tensor
    label: int
    net: nn.Sequential

    def against(self, rival: int) -> Layers:
        """The layers of a network with one output: the score of the label minus that of its rival."""
        (weight, bias), (last, offset) = layers_of(self.net)
        row, by = last[self.label] - last[rival], offset[self.label] - offset[rival]
        return [(weight, bias), (row.reshape(1, -1), by.reshape(1))]

    def box(self, radius: float) -> Part:
        """The images within a radius in grey value, cut to the valid range."""
        return (self.image - radius).clamp(0, 1), (self.image + radius).clamp(0, 1)


def split_digit() -> SplitDigit:
    """The digit and the network of lab 3."""
    arrays = load_file("split_digit.npz")
    image = torch.from_numpy(arrays.pop("image").reshape(784) / 255)
    label = int(arrays.pop("label"))
    return SplitDigit(image, label, network_from_arrays(arrays).double().requires_grad_(False))


def library_pairs(net: nn.Module, lower: Tensor, upper: Tensor, method: str) -> list[tuple[Tensor, Tensor]]:
    """The library's bounds behind every Linear layer of a network: data to go on with after a skipped exercise."""
    box = torch.stack([lower, upper], dim=1)
    found = []
    for place, part in enumerate(net.children()):
        if isinstance(part, nn.Linear):
            bounds = output_bounds(nn.Sequential(*list(net.children())[: place + 1]), box, method=method)
            found.append((torch.from_numpy(bounds.lower), torch.from_numpy(bounds.upper)))
    return found


def from_layers(function: Callable[..., Any]) -> Callable[[nn.Module], BoundOfPart]:
    """Make a student's bounds on all layers into a bounding function of a search, after a try on lab 1's network.

    Raises:
        ValueError: On that network its bounds are looser or tighter than intervals and CROWN can be.
    """

    def make(net: nn.Module) -> BoundOfPart:
        layers = layers_of(net)
        return lambda part: float(numbers(function(layers, *part)[-1][0]).reshape(-1)[0])

    net, part = circle_network(), (torch.full((2,), 0.4).double(), torch.full((2,), 0.6).double())
    bound = make(net)(part)
    known = [float(library_pairs(net, *part, method)[-1][0]) for method in ("ibp", "crown")]
    if min(abs(bound - one) for one in known) > AGREEMENT:
        raise ValueError(f"its lower bound on lab 1's network is {bound:.4f}, neither the intervals' nor CROWN's")
    return make


def from_library(method: str) -> Callable[[nn.Module], BoundOfPart]:
    """A bounding function of a search from the library, for a search to go on with after a skipped exercise."""

    def make(net: nn.Module) -> BoundOfPart:
        return lambda part: float(output_bounds(net, torch.stack(list(part), dim=1), method=method).lower[0])

    return make


def attack_from(function: Callable[..., Any]) -> Callable[[nn.Module], AttackOnPart]:
    """Make a student's attack into one of a search, after a try on lab 1's network.

    Raises:
        ValueError: It leaves the box there.
    """

    def make(net: nn.Module) -> AttackOnPart:
        def attack(part: Part) -> tuple[Tensor, float]:
            point = numbers(function(net, *part)).reshape(-1)
            with torch.no_grad():
                return point, float(net(point.reshape(1, -1)).reshape(-1)[0])

        return attack

    part = (torch.tensor([0.7, 0.7]).double(), torch.tensor([0.9, 0.9]).double())
    point, _ = make(circle_network().double())(part)
    if point.shape != (2,) or not bool(((point >= part[0]) & (point <= part[1])).all()):
        raise ValueError("its point lies outside the box")
    return make


def random_attack(net: nn.Module) -> AttackOnPart:
    """The best of some random points: what a search can go on with after a skipped exercise."""

    def attack(part: Part) -> tuple[Tensor, float]:
        lower, upper = part
        draws = torch.rand(RANDOM_POINTS, len(lower), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        points = lower + (upper - lower) * draws
        with torch.no_grad():
            values = net(points).reshape(-1)
        best = int(values.argmin())
        return points[best], float(values[best])

    return attack


class Bowl:
    """A function that is no network: y = offset + the sum over i of steep[i] * (x[i] - middle[i])^2.

    Args:
        bowl: "steep" and "middle", a number for each input, and "offset", one number.
    """

    def __init__(self, bowl: dict[str, Any]) -> None:
        """Read the three."""
        self._steep, self._middle = numbers(bowl["steep"]), numbers(bowl["middle"])
        self._offset = float(bowl["offset"])

    def value(self, point: Any) -> float:
        """y at a point."""
        return self._offset + float((self._steep * (numbers(point) - self._middle) ** 2).sum())

    def bound(self, part: Part) -> float:
        """A lower bound on a box: y at its middle, less the steepest slope times the way to its sides."""
        lower, upper = numbers(part[0]), numbers(part[1])
        farthest = torch.maximum((lower - self._middle).abs(), (upper - self._middle).abs())
        slope = 2 * self._steep.abs() * farthest
        return self.value((lower + upper) / 2) - float((slope * (upper - lower) / 2).sum())

    def attack(self, part: Part) -> tuple[Tensor, float]:
        """The middle of a box, and y there."""
        point = (numbers(part[0]) + numbers(part[1])) / 2
        return point, self.value(point)


class Stopwatch:
    """CPU seconds by what they were spent on.

    Attributes:
        seconds: The seconds of each name.
        calls: How often each was called.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time counted under a name."""

        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] += time.process_time() - started
                self.calls[name] += 1

        return call


def _array(value: Any) -> np.ndarray[Any, Any]:
    if value is None:
        raise TypeError("None is not a number")  # numpy would make it NaN
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    elif isinstance(value, list | tuple):
        value = [_array(part) for part in value]
    return np.array(value, dtype=np.float64)


def _described(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, Tensor | np.ndarray):
        return f"{'a tensor' if isinstance(value, Tensor) else 'an array'} of shape {tuple(value.shape)}"
    return "None" if value is None else f"a value of type {type(value).__name__}"
