"""Box: which inputs are meant, as two vectors."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verifier.enclosure import Array
from verifier.errors import SpecError
from verifier.question.numbers import as_finite, as_numbers, as_pairs, shown


@dataclass(frozen=True, eq=False)
class Box:
    """The inputs meant: lower <= x <= upper, closed on every side.

    Args:
        lower: Lower bounds, shape (inputs,).
        upper: Upper bounds, shape (inputs,).

    Raises:
        SpecError: The shapes differ, a bound is NaN or infinite, or lower exceeds upper somewhere.

    Example:
        >>> Box([0.0, 0.0], [1.0, 2.0]).width
        array([1., 2.])
    """

    lower: Array
    upper: Array

    def __post_init__(self) -> None:
        """Read the two vectors and refuse what is no box."""
        lower, upper = (
            np.atleast_1d(as_numbers(side, f"Box {name}"))
            for side, name in ((self.lower, "lower"), (self.upper, "upper"))
        )
        if lower.size != upper.size:
            raise SpecError(f"Box: lower has {lower.size} numbers, upper {upper.size}; they must be equal")
        if lower.shape != upper.shape and lower.squeeze().shape != upper.squeeze().shape:
            raise SpecError(f"Box: lower has shape {lower.shape}, upper {upper.shape}; they must be equal")
        if not lower.size:
            raise SpecError("Box: empty; expected one lower and one upper bound per input")
        lower, upper = lower.reshape(-1), upper.reshape(-1)
        _check_sides(lower, upper, "Box")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @staticmethod
    def from_pairs(x_specs: Any, inputs: int | None = None) -> Box:
        """Read x_specs: a Box, or one (lower, upper) pair an input in flattened order.

        Args:
            x_specs: Box, or list, array or tensor of shape (inputs, 2); a leading batch of 1 is accepted.
            inputs: Number of inputs expected, or None.

        Raises:
            SpecError: Names the place, what was found and the cure.

        Example:
            >>> Box.from_pairs([(0, 1), (0.25, 0.5)]).upper
            array([1. , 0.5])
        """
        if isinstance(x_specs, Box):
            if inputs is not None and x_specs.lower.size != inputs:
                found = f"{x_specs.lower.size} input{'' if x_specs.lower.size == 1 else 's'}"
                raise SpecError(
                    f"x_specs: bounds for {found}, but the network has {inputs} inputs; give one pair an input"
                )
            return x_specs
        array = as_pairs(x_specs, "x_specs", inputs, "input")
        _check_sides(array[:, 0], array[:, 1], "x_specs")
        return Box(array[:, 0], array[:, 1])

    @staticmethod
    def around(x: Any, radius: float, clip: tuple[float, float] | None = None, *, name: str = "x") -> Box:
        """The box of every input that differs from x by at most radius in each number.

        Args:
            x: One input of any shape; it is flattened.
            radius: Half-width, in the unit of the inputs; > 0.
            clip: (lowest, highest) valid value of an input, to which the box is cut; None for no cut.
            name: What to call x in messages.

        Raises:
            SpecError: The radius is not > 0, clip is not a range, or x lies outside it.

        Example:
            >>> Box.around([0.5, 1.0], 0.25, clip=(0, 1)).upper
            array([0.75, 1.  ])
        """
        size = as_finite(radius, "radius")
        if size <= 0:
            raise SpecError(f"radius: found {size:g}, expected a number > 0 in the unit of the inputs")
        point = np.atleast_1d(as_numbers(x, name)).reshape(-1)
        lower, upper = point - size, point + size
        if clip is not None:
            low, high = _range(clip)
            outside = np.flatnonzero((point < low) | (point > high))
            if outside.size and max(low - point.min(), point.max() - high) > 1e-4 * (high - low):
                i = int(outside[0])
                raise SpecError(
                    f"clip: the {name} has {point[i]:g} at input {i}, outside ({low:g}, {high:g}); is clip in the unit "
                    "of the inputs, after normalisation?"
                )
            # an input whose extremes were rounded a little beyond the range stays in its own box
            lower = np.maximum(lower, np.minimum(low, point))
            upper = np.minimum(upper, np.maximum(high, point))
        return Box(lower, upper)

    @property
    def width(self) -> Array:
        """upper - lower, shape (inputs,)."""
        return self.upper - self.lower

    def hull(self, rounding: Callable[[Array], Array]) -> Box:
        """Return the smallest box around this one and its rounding to another dtype.

        Raises:
            SpecError: A bound is beyond what that dtype can hold.
        """
        low, high = rounding(self.lower), rounding(self.upper)
        for i in np.flatnonzero(~(np.isfinite(low) & np.isfinite(high))):
            raise SpecError(
                f"x_specs[{i}]: ({self.lower[i]:g}, {self.upper[i]:g}) reaches beyond the largest number of the "
                "network's dtype; use smaller bounds, or net.double()"
            )
        return Box(np.minimum(self.lower, low), np.maximum(self.upper, high))

    def inward(self, rounding: Callable[[Array], Array]) -> Box:
        """Return the values of another dtype that lie inside: each side's first and last one.

        A side that holds no such value, as one of zero width seldom does, keeps its bounds rounded to nearest.
        """
        low, high = rounded_up(self.lower, rounding), -rounded_up(-self.upper, lambda x: -rounding(-x))
        empty = low > high
        return Box(np.where(empty, rounding(self.lower), low), np.where(empty, rounding(self.upper), high))

    def contains(self, x: Array) -> bool:
        """Whether the point x, shape (inputs,), lies in the closed box; compared exactly."""
        return bool(np.all(self.lower <= x) and np.all(x <= self.upper))


def rounded_up(x: Array, rounding: Callable[[Array], Array]) -> Array:
    """The smallest values of the dtype that `rounding` rounds to which are not below x.

    Where the nearest value lies below, at a distance of at most half a gap, steps of twice that distance, then four
    times, ... reach the middle of the gap and round up, but not past the next value.
    """
    nearest = rounding(x)
    step = x - nearest
    while (nearest < x).any():
        step = 2.0 * step
        nearest = np.where(nearest < x, rounding(x + step), nearest)
    return nearest


def _check_sides(lower: Array, upper: Array, name: str) -> None:
    if np.isfinite(lower).all() and np.isfinite(upper).all() and (lower <= upper).all():
        return
    for i, (low, high) in enumerate(zip(lower, upper, strict=True)):
        if math.isnan(low) or math.isnan(high):
            raise SpecError(f"{name}[{i}]: a bound is NaN or None; every input needs two finite bounds")
        if math.isinf(low) or math.isinf(high):
            raise SpecError(f"{name}[{i}]: ({low:g}, {high:g}) is not finite; give every input finite bounds")
        if low > high:
            raise SpecError(f"{name}[{i}]: lower exceeds upper ({low:g} > {high:g}); were the two swapped?")


def _range(clip: Any) -> tuple[float, float]:
    if not (isinstance(clip, Sequence) and len(clip) == 2 and all(isinstance(one, numbers.Real) for one in clip)):
        raise SpecError(f"clip: expected (lowest, highest) valid value of an input, found {shown(clip)}")
    try:
        low, high = float(clip[0]), float(clip[1])
    except OverflowError:
        raise SpecError(f"clip: {shown(clip)} is beyond the largest float64; infinities mean no limit") from None
    if not low < high:
        raise SpecError(f"clip: ({low:g}, {high:g}) is no range; the lowest valid value comes first")
    return low, high
