"""Inequality: what a spec is made of once it is written for a number of outputs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Inequality:
    """coefficients . y + inputs . x + offset >= 0, or > 0 where strict; its left side is the margin.

    `inputs` is empty where the inequality says nothing of the inputs.
    """

    coefficients: tuple[float, ...]
    offset: float
    strict: bool
    inputs: tuple[float, ...] = ()

    def holds(self, margin: float) -> bool:
        """Whether a margin of this value satisfies it."""
        return margin > 0 if self.strict else margin >= 0


Clause = tuple[Inequality, ...]  # holds where at least one of its inequalities does
