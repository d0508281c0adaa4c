"""SubProblem and Found: what is handed to whoever settles a part of the box, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from verifier.answer.milp_work import MilpWork
from verifier.answer.reason import Why
from verifier.enclosure import Array
from verifier.exact.milp.configuration import Pre
from verifier.question.box import Box

Confirms = Callable[[Array], bool]  # told of a candidate, (inputs,); True where the search is to end with it


@dataclass(frozen=True, eq=False)
class SubProblem:
    """A part of the box.

    Args:
        box: The part.
        depth: 1 for the whole box, one more with each split.
        pre: Bounds on the hidden layers that hold in it, (neurons,) each, or None.
        margin: A lower bound on its worst margin, by which parts are ordered.
    """

    box: Box
    depth: int = 1
    pre: Pre | None = None
    margin: float = float("-inf")


@dataclass(frozen=True, eq=False)
class Found:
    """What became of a part.

    Args:
        closed: Whether every clause holds in it.
        guarantee: Of closed: "rounded" or "solver tolerance".
        candidate: The point with which the search ended, (inputs,), or None.
        why: Why it is left open, or None.
        halves: What is to be settled in its place, where it was split.
        work: What it took.
    """

    closed: bool = False
    guarantee: str = "rounded"
    candidate: Array | None = None
    why: Why | None = None
    halves: tuple[SubProblem, ...] = ()
    work: MilpWork = field(default_factory=MilpWork)
