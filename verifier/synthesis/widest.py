"""One unit with very many weights: the widest gap between two classes by a linear program, rounded, with a bound."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from verifier.enclosure import Array
from verifier.errors import SketchError
from verifier.solvers.highs_solver import Program, solve
from verifier.solvers.status import Status
from verifier.synthesis.network import WholeNetwork
from verifier.synthesis.sketch import Examples, Sketch, Whole, between, check_fit

MULTIPLIER_SCALE = 2**40  # multipliers are rounded to whole numbers of this unit before they prove anything


@dataclass(frozen=True)
class Unit:
    """One unit for two classes.

    Attributes:
        network: A 64-1 network, say; class 1 where w x + b >= 0, its b in the middle of the gap.
        gap: The smallest w x of class 1 minus the largest of class 0, counted by running the network; positive where
            all examples are right.
        gap_bound: No weights of the domain have a larger one; proved by whole-number arithmetic.
        weights_bound: Any weights of the domain with a gap of at least `gap` have at least so many that are not zero;
            0 where this was not asked (see fewest_weights).
    """

    network: WholeNetwork
    gap: int
    gap_bound: int
    weights_bound: int = 0


def widest_unit(examples: Examples, largest: int = 1, *, timeout_s: float = 60.0) -> Unit:
    """Find weights from -largest to largest with a wide gap between the classes, and bound the widest.

    The linear program lets weights be real. At its optimum all weights but about one for each example lie at an end of
    the domain, so rounding the others loses little. Its multipliers prove the bound: see gap_bound().

    Args:
        examples: Inputs of any whole numbers; labels 0 and 1, both of them there.
        largest: Of the weights, at least 1.
        timeout_s: Wall time in seconds.

    Raises:
        SketchError: There are other labels, one class is missing, or the program could not be solved in time.
        MissingDependencyError: HiGHS is not installed.

    Source:
        Margin first, then the number of weights: the order of Bernardelli, Gualandi, Milanesi, Lau, Yorke-Smith.
        Multiobjective Linear Ensembles for Robust and Sparse Training of Few-Bit Neural Networks. INFORMS J. Computing
        2025. They solve mixed-integer programs; the linear program that separates two sets of points takes their place.
    """
    weights, multipliers = solve_gap(examples, largest, timeout_s)
    alike = (examples.inputs == examples.inputs[0]).all(axis=0)  # such inputs tell nothing, and the program any weight
    network = unit_of(examples, np.where(alike, 0, np.rint(weights)).astype(np.int64), largest)
    return Unit(network, gap_of(network.weights[0][0], examples), gap_bound(examples, multipliers, largest))


def fewest_weights(examples: Examples, unit: Unit, share: float = 0.9, *, timeout_s: float = 60.0) -> Unit:
    """Give up a part of a unit's gap for few weights that are not zero: the second objective.

    The linear program minimises the sum of |w| with a gap of at least `share` of the unit's; its weights are rounded.

    Args:
        examples: As for widest_unit().
        unit: What it found, all examples right.
        share: Of the gap that must stay; rounding may lose a little more, and Unit.gap counts what is left.
        timeout_s: Wall time in seconds.

    Raises:
        SketchError: The unit has no gap, or the program could not be solved in time.
    """
    if unit.gap < 1:
        raise SketchError("unit: it gets some examples wrong, so there is no gap between the classes")
    largest = max(abs(value) for value in unit.network.sketch.weights)
    wanted = Fraction(share).limit_denominator(1000) * unit.gap
    x, first = _scaled(examples), examples.labels == 1
    inputs = x.shape[1]
    # columns: the positive and the negative part of each weight, and the place c of the gap's middle
    sides = np.where(first, 1.0, -1.0)[:, None]
    rows = np.hstack([sides * x, -sides * x, -sides])
    reach = float(largest * inputs)
    half = float(wanted) / (2 * _size(examples))
    answer = solve(
        Program(
            np.append(np.ones(2 * inputs), 0.0), np.append(np.zeros(2 * inputs), -reach),
            np.append(np.full(2 * inputs, float(largest)), reach), _rows(rows), np.full(len(x), half),
            np.full(len(x), np.inf), np.zeros(2 * inputs + 1, bool),
        ),
        timeout_s=timeout_s,
    )  # fmt: skip
    if answer.status is not Status.OPTIMAL or answer.point is None or answer.duals is None:
        raise SketchError(f"examples: the linear program ended with {answer.status.value!r}; give it more time")
    weights = np.rint(answer.point[:inputs] - answer.point[inputs : 2 * inputs]).astype(np.int64)
    network = unit_of(examples, weights, largest)
    gap = gap_of(weights, examples)
    return Unit(network, gap, unit.gap_bound, _least_weights(examples, np.abs(answer.duals), gap, largest))


def solve_gap(examples: Examples, largest: int = 1, timeout_s: float = 60.0) -> tuple[Array, Whole]:
    """Solve the linear program for the widest gap of real weights from -largest to largest.

    Returns:
        Real weights, (inputs,), and whole-number multipliers for gap_bound(), (examples,).

    Raises:
        SketchError: As widest_unit().
    """
    check_fit(Sketch((examples.inputs.shape[1], 1), between(-1, 1)), examples)
    first = examples.labels == 1
    if first.all() or not first.any():
        raise SketchError("labels: a gap lies between two classes, and one of them has no example")
    x = _scaled(examples)
    sides = np.where(first, 1.0, -1.0)[:, None]
    limits = np.full(x.shape[1], float(largest))
    reach = float(limits.sum()) + 1.0
    # columns: the weights, the middle c of the gap, half the gap m; side (w x - c) >= m for every example
    rows = np.hstack([sides * x, -sides, -np.ones((len(x), 1))])
    inputs = x.shape[1]
    answer = solve(
        Program(
            np.append(np.zeros(inputs + 1), -1.0), np.concatenate([-limits, [-reach, -reach]]),
            np.concatenate([limits, [reach, reach]]), _rows(rows), np.zeros(len(x)), np.full(len(x), np.inf),
            np.zeros(inputs + 2, bool),
        ),
        timeout_s=timeout_s,
    )  # fmt: skip
    if answer.status is not Status.OPTIMAL or answer.point is None or answer.duals is None:
        raise SketchError(f"examples: the linear program ended with {answer.status.value!r}; give it more time")
    return answer.point[:inputs], _balanced(np.abs(answer.duals), first)


def gap_bound(examples: Examples, multipliers: Whole, largest: int) -> int:
    """Bound the gap of any whole-number unit from multipliers, with whole numbers only.

    The gap is at most the mean of w x over class 1 minus its mean over class 0, whatever non-negative multipliers weigh
    the examples of each class. That difference is w r, at most largest * sum of |r|.

    Args:
        examples: Labels 0 and 1.
        multipliers: One for each example, none negative, of one sum for each class.
        largest: Of |w|.

    Returns:
        The bound, rounded down. Where it is below 1, no such weights get all examples right.

    Raises:
        SketchError: The multipliers are not such ones.
    """
    first = examples.labels == 1
    total = int(multipliers[first].sum())
    if (multipliers < 0).any() or total < 1 or total != int(multipliers[~first].sum()):
        raise SketchError("multipliers: expected whole numbers of at least 0 with one positive sum for each class")
    return largest * sum(abs(int(value)) for value in _slope(examples, multipliers)) // total


def _slope(examples: Examples, multipliers: Whole) -> Any:
    """The weighted sum of class 1 minus that of class 0, (inputs,): exact, as Python's whole numbers."""
    signed = np.where(examples.labels == 1, multipliers, -multipliers)
    return signed.astype(object) @ examples.inputs.astype(object)


def unit_of(examples: Examples, weights: Whole, largest: int) -> WholeNetwork:
    """The unit with these weights and its bias in the middle of the gap."""
    low, high = _ends(weights, examples)
    reach = int(np.abs(examples.inputs).max()) * largest * len(weights) + 1
    sketch = Sketch((len(weights), 1), between(-largest, largest), between(-reach, reach))
    return WholeNetwork(sketch, (weights[None],), (np.array([-((low + high + 1) // 2)]),))


def gap_of(weights: Whole, examples: Examples) -> int:
    """The smallest w x of class 1 minus the largest of class 0."""
    low, high = _ends(weights, examples)
    return low - high


def _ends(weights: Whole, examples: Examples) -> tuple[int, int]:
    z = examples.inputs @ weights
    return int(z[examples.labels == 1].min()), int(z[examples.labels == 0].max())


def _size(examples: Examples) -> float:
    return float(max(1, np.abs(examples.inputs).max()))


def _scaled(examples: Examples) -> Array:
    found: Array = examples.inputs / _size(examples)
    return found


def _rows(matrix: Array) -> tuple[tuple[Any, Array], ...]:
    return tuple((np.flatnonzero(row).astype(np.int32), row[np.flatnonzero(row)]) for row in matrix)


def _balanced(multipliers: Array, first: Any) -> Whole:
    """Whole-number multipliers with one sum for each class; the largest of a class takes up what rounding lost."""
    found = np.zeros(len(multipliers), np.int64)
    for side in (first, ~first):
        places = np.flatnonzero(side)
        held = multipliers[places]
        held = np.ones(len(held)) if held.sum() <= 0 else held
        parts = np.rint(held / held.sum() * MULTIPLIER_SCALE).astype(np.int64)
        parts[parts.argmax()] += MULTIPLIER_SCALE - parts.sum()
        found[places] = parts
    return found


def _least_weights(examples: Examples, duals: Array, wanted: int, largest: int) -> int:
    """How many weights are not zero at least, where the gap is `wanted` or more; 0 where nothing is proved.

    For any t >= 0: sum |w| >= sum |w| + t (wanted - gap(w)), and that is
    at least t wanted + sum of min(0, (1 - t |r|) largest) over the inputs.
    """
    multipliers = _balanced(duals, examples.labels == 1)
    scale = Fraction(float(duals.sum()) / (2 * _size(examples))).limit_denominator(10**9)
    slope = _slope(examples, multipliers)
    loss = sum((max(Fraction(0), scale * abs(int(one)) / MULTIPLIER_SCALE - 1) for one in slope), Fraction(0))
    least = scale * wanted - largest * loss
    return max(0, -int(-least // largest))
