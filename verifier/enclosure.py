"""What is known of a value in floating point: two floats around it, and the rounding term that keeps them around it.

numpy rounds to nearest, so a computed dot product of n terms differs from the real one by at most
gamma(n) * |a|.|b|, with gamma(n) = n u / (1 - n u) and u = 2**-53, whatever the order of the sum
(Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1). Every bound here is widened by such a
term, computed from magnitudes that were summed on the way and doubled for the rounding of the term itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifier.errors import BoundsError, EmptyBoundsError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

UNIT_ROUNDOFF = 2.0**-53
# No value or coefficient may exceed this (checked once a question), so that no sum or product overflows.
MAX_MAGNITUDE = 1e150
# What underflows may have lost, seen at an output: 2**-1074 an operation, times MAX_MAGNITUDE, for 1e20 operations.
UNDERFLOW = 1e-150
# Relative error granted to exp, log and log1p; numpy's are within 4 units in the last place.
ELEMENTARY_RTOL = 1e-14


@dataclass(frozen=True, eq=False)
class Bounds:
    """lower <= value <= upper, elementwise.

    Args:
        lower: Array of any shape, float64. Lists, whole numbers and float32 arrays are read as float64.
        upper: Array of the same shape.

    Raises:
        BoundsError: One of them holds no numbers, the shapes differ, or a bound is NaN; EmptyBoundsError where a lower
            bound exceeds its upper bound.
    """

    lower: Array
    upper: Array

    def __post_init__(self) -> None:
        """Refuse bounds that are none."""
        for name in ("lower", "upper"):
            side = getattr(self, name)
            if type(side) is not np.ndarray or side.dtype != np.float64:
                object.__setattr__(self, name, _read(side, name))
        if self.lower.shape != self.upper.shape:
            raise BoundsError(f"lower has shape {self.lower.shape}, upper {self.upper.shape}; they must be equal")
        if not (self.lower <= self.upper).all():  # false for NaN as well
            where = tuple(int(i) for i in np.argwhere(~(self.lower <= self.upper))[0])
            kind = BoundsError if np.isnan(self.lower).any() or np.isnan(self.upper).any() else EmptyBoundsError
            raise kind(
                f"lower[{where}] = {self.lower[where]:g} does not lie below upper[{where}] = {self.upper[where]:g}; "
                "were the two swapped, or is one NaN?"
            )

    @property
    def magnitude(self) -> Array:
        """max(|lower|, |upper|), elementwise."""
        return np.maximum(np.abs(self.lower), np.abs(self.upper))

    def intersect(self, other: Bounds) -> Bounds:
        """Return what both say; both must hold of the same value."""
        return Bounds(np.maximum(self.lower, other.lower), np.minimum(self.upper, other.upper))


def _read(side: Any, name: str) -> Array:
    """A caller's bounds as float64; what float64 cannot hold is rounded outward."""
    try:
        given = np.asarray(side.detach().cpu() if hasattr(side, "detach") else side)
    except (ValueError, TypeError, RuntimeError):
        raise BoundsError(f"{name}: expected an array of numbers, found {type(side).__name__}") from None
    if given.dtype.kind not in "iuf":
        raise BoundsError(f"{name}: expected real numbers, found {type(side).__name__} of {given.dtype}")
    with np.errstate(over="ignore"):
        read = given.astype(np.float64)
    inexact = given.dtype.kind != "f" or given.dtype.itemsize > 8
    if inexact and (read != given.astype(np.longdouble)).any():
        return down(read) if name == "lower" else up(read)
    return read


def gamma(terms: int) -> float:
    """Bound the relative error of a computed dot product of `terms` terms, doubled for second-order effects."""
    return 2.0 * (terms + 8) * UNIT_ROUNDOFF


def down(value: Array) -> Array:
    """Step to the next float below, elementwise."""
    return np.nextafter(value, -np.inf)


def up(value: Array) -> Array:
    """Step to the next float above, elementwise."""
    return np.nextafter(value, np.inf)
