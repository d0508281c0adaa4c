"""Ball: the inputs within a radius of one, in the largest, the summed or the Euclidean change of its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from verifier.enclosure import Array, down, gamma, up
from verifier.errors import OptionError
from verifier.question.box import Box

NORMS = {"inf": "inf", "1": "1", "2": "2", math.inf: "inf", 1: "1", 2: "2"}


@dataclass(frozen=True, eq=False)
class Ball:
    """Every input x with |x - centre| <= radius, cut to the valid range of inputs where `clip` names one.

    Args:
        centre: Shape (inputs,).
        radius: In the unit of the inputs.
        norm: "inf", the largest change of any input; "1", the sum of all changes; "2", their Euclidean length.
        clip: (lowest, highest) valid value, or None.
    """

    centre: Array
    radius: float
    norm: str = "inf"
    clip: tuple[float, float] | None = None

    def of_radius(self, radius: float) -> Ball:
        """The ball of another radius around the same input."""
        return replace(self, radius=radius)

    def box(self) -> Box:
        """The smallest box around the ball, as it is computed in float64."""
        return Box.around(self.centre, self.radius, self.clip, name="image")

    def enclosing_box(self) -> Box:
        """A box that surely contains the ball of real numbers."""
        return Box(*self.limits(self.radius))

    def limits(self, radius: float) -> tuple[Array, Array]:
        """The sides of a box that surely contains the ball of another radius, (inputs,) each.

        They are those of box(), each one step outward where `clip` did not cut it.
        """
        box = self.of_radius(radius).box()
        lower = np.where(box.lower == self.centre - radius, down(box.lower), box.lower)
        upper = np.where(box.upper == self.centre + radius, up(box.upper), box.upper)
        return lower, upper

    def distances(self, points: Array) -> Array:
        """|x - centre| of points (..., inputs), rounded up."""
        change = np.abs(points - self.centre)
        if self.norm == "inf":
            found = change.max(axis=-1, initial=0.0)
        elif self.norm == "1":
            found = change.sum(axis=-1) * (1.0 + gamma(change.shape[-1]))
        else:
            found = np.sqrt((change**2).sum(axis=-1)) * (1.0 + gamma(change.shape[-1] + 2))
        return np.asarray(np.where(found > 0, up(found), 0.0))

    def contains(self, x: Array) -> bool:
        """Whether the point x, (inputs,), lies in the ball; in the largest norm in the box as it is computed."""
        if self.norm == "inf" or not self.box().contains(x):
            return self.box().contains(x)
        change = [abs(Fraction(float(a)) - Fraction(float(b))) for a, b in zip(x, self.centre, strict=True)]
        radius = Fraction(self.radius)
        return sum(change) <= radius if self.norm == "1" else sum(one**2 for one in change) <= radius**2

    def shrunk(self, radius: float) -> float:
        """What is surely proved of a radius where it was proved of the computed box: less what computing it rounds."""
        return max(0.0, radius - 4 * float(np.finfo(np.float64).eps) * (float(np.abs(self.centre).max()) + radius))


def read_norm(norm: Any) -> str:
    """The norm's name.

    Raises:
        OptionError: It is none of the three.
    """
    found = None
    if isinstance(norm, str | int | float) and not isinstance(norm, bool):
        found = NORMS.get(norm)
    if found is None:
        raise OptionError(
            f"norm: found {norm!r}, expected 'inf' (the largest change of any input), 1 (the sum of all changes) or 2 "
            "(their Euclidean length)"
        )
    return found
