"""What a search tells an observer: for every part that it is done with, how the part was split or what closed it.

The parts are a tree. One that a search begins with has no parent; one that was split has two children, which cover what
is left of it. So the parts that were closed, together with those still open, cover everything that was asked. Where a
search begins a clause again with better bounds, a new part without a parent stands for that clause, and what was said
of the clause before is void.

Pictures of a search are drawn from these events; a proof that somebody else can check is written in the same terms.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from verifier.bounds.layers import Plane
from verifier.enclosure import Array, Bounds
from verifier.question.spec import OutputSpec


class Fate(enum.Enum):
    """What became of a part; all but SPLIT are leaves of the tree."""

    VERIFIED = "verified"
    FALSIFIED = "falsified"
    SPLIT = "split"
    OPEN = "open"  # given up: too small to split, or met in the same step as a counterexample


class By(enum.Enum):
    """What closed a part."""

    BOUNDS = "linear bounds: a mixture of each clause's margins is positive in all of it"
    CUT = "linear bounds: a clause fails only where its planes are <= 0, which leaves nothing, or a part of the box"
    CONTRADICTION = "a neuron's lower bound exceeds its upper bound wherever the clause fails"
    PROGRAM = "a linear program's multipliers: no point has these signs and violates the clause"
    SEARCH = "a search of its own"


@dataclass(frozen=True, eq=False)
class Lines:
    """What a backward pass needs to give a linear bound again: on a mixture of margins, plus or minus one neuron's z.

    Args:
        slopes: Slope of the line below each unstable ReLU, (neurons,) a hidden layer.
        multipliers: m with m z >= 0 in the part, taken off the neuron's coefficient, (neurons,) a hidden layer.
        mixture: Weight of each margin of the clause, (margins of the clause,).
        neuron: Layer and index of a neuron whose z is added, or None.
        side: +1.0 or -1.0, what that z is multiplied by.
    """

    slopes: tuple[Array, ...]
    multipliers: tuple[Array, ...]
    mixture: Array
    neuron: tuple[int, int] | None = None
    side: float = 1.0


@dataclass(frozen=True, eq=False)
class Proof:
    """Why a part is closed. The bounds on hidden neurons are stated here, not proved.

    Args:
        by: Which of the fields below count.
        pre: Bounds on z of each hidden layer, (neurons,), at every point of the part (of ReLU splitting: that violates
            the clause).
        lines: BOUNDS: one for each clause in input splitting, one for the part's clause in ReLU splitting.
            CONTRADICTION: two, for z and -z of one neuron. Without slopes where the bounding method does not tell them.
        plane: Linear functions below every margin in the part, slope (margins, inputs) and offset (margins,), or None.
        margin: Lower bounds on every margin, (margins,), rounding included; None where only lines tell.
        multipliers: PROGRAM: of the rows of the leaf's linear program, in the order of exact/linear/leaf.py.
        spec: SEARCH: what was asked in the part's place.
        events: SEARCH: what that search told.
    """

    by: By
    pre: tuple[Bounds, ...] = ()
    lines: tuple[Lines, ...] = ()
    plane: Plane | None = None
    margin: Array | None = None
    multipliers: Array | None = None
    spec: OutputSpec | None = None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Split:
    """How a part was split in two: where a value is at most `at`, and where it is at least that.

    Args:
        index: (input,) of the box, (layer, neuron) of the network, or (row,) of the margins' rows.
        at: The value; 0 for a neuron.
        below: Number of the child below.
        above: Number of the child above.
    """

    index: tuple[int, ...]
    at: float
    below: int
    above: int


@dataclass(frozen=True, eq=False)
class Event:
    """One part of a search and what became of it.

    Args:
        part: Its number in this search.
        parent: The number of the part that it was split from; None for one that the search began with.
        fate: What became of it.
        lower: Its box's lower side, (inputs,).
        upper: Likewise.
        clause: The clause that it is about, by index among the question's margins' clauses; None for all of them.
        signs: ReLU splitting: +1 where z >= 0 and -1 where z <= 0 in it, by splits or by what follows from them, else
            0; (neurons,) a hidden layer.
        rows: HeadSplit: bounds on the margins' rows that make the part, (rows,).
        left: Input splitting: the box that the children cover, where the proof closes the rest; None otherwise.
        split: Where it was split.
        proof: Where it was closed, in whole or in part.
    """

    part: int
    parent: int | None
    fate: Fate
    lower: Array
    upper: Array
    clause: int | None = None
    signs: tuple[Array, ...] = ()
    rows: Bounds | None = None
    left: Bounds | None = None
    split: Split | None = None
    proof: Proof | None = None


Observer = Callable[[Event], None]
