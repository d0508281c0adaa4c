"""Partial configurations: some ReLUs have a fixed state, and what follows for the others.

A configuration says of every neuron whether it is active (z > 0) or inactive (z <= 0), so every point of the box has
exactly one. Fixing a state is giving the neuron bounds of one sign. What is recomputed from there holds at every point
of the box whose configuration agrees with the states fixed so far; where bounds contradict each other there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from verifier.answer.verdict import Question
from verifier.bounds.crown import crown_bounds
from verifier.bounds.interval import interval_bounds
from verifier.bounds.layers import LayerBounds
from verifier.bounds.symbolic import symbolic_bounds
from verifier.enclosure import Array, Bounds, Indices
from verifier.errors import EmptyBoundsError
from verifier.exact.linear.dependencies import Dependency, find_dependencies
from verifier.exact.milp.options import MilpOptions
from verifier.network import Network

Pre = tuple[Bounds, ...]  # on z of each hidden layer, (neurons,) each


@dataclass(frozen=True, eq=False)
class Configured:
    """What bounds say under a partial configuration.

    Args:
        pre: On z of each hidden layer, (neurons,) each.
        logits: On the logits, (logits,).
        margins: Lower bounds on the margins, (margins,).
        weight: What each neuron's relaxation costs each row, (rows, neurons) a layer; () where the method does not say.
        corner: The point of the box where each row's linear lower bound is least, (rows, inputs), or None.
    """

    pre: Pre
    logits: Bounds
    margins: Array
    weight: tuple[Array, ...] = ()
    corner: Array | None = None


def bound_boxes(network: Network, boxes: Bounds, rows: Array, known: Pre | None, method: str) -> LayerBounds:
    """Bound a batch of boxes, (batch, inputs), by one of the three methods, under states that hold in all of them.

    Raises:
        EmptyBoundsError: No point of some box agrees with `known`.
    """
    batch = len(boxes.lower)
    given = None
    if known is not None:
        shape = [(batch, one.lower.size) for one in known]
        given = tuple(
            Bounds(np.broadcast_to(one.lower, to).copy(), np.broadcast_to(one.upper, to).copy())
            for one, to in zip(known, shape, strict=True)
        )
    if method == "crown":
        return crown_bounds(network, boxes, rows, given, influence=False)
    return (interval_bounds if method == "ibp" else symbolic_bounds)(network, boxes, rows, given)


def bound_configuration(question: Question, known: Pre | None, method: str) -> Configured | None:
    """Bound everything over the question's box under fixed states; None where no point has them.

    Args:
        question: Its margins must be linear in the logits.
        known: Bounds that say the states, as they were before or tighter; None for none fixed.
        method: "ibp", "symbolic" or "crown".
    """
    network, margins, box = question.network, question.margins, question.box
    rows = np.concatenate([np.eye(network.outputs), margins.rows])
    try:
        found = bound_boxes(network, Bounds(box.lower[None], box.upper[None]), rows, known, method)
    except EmptyBoundsError:
        return None
    outputs, corner = network.outputs, None
    if found.plane is not None:
        corner = np.where(found.plane.slope[0, outputs:] > 0, box.lower, box.upper)
    return Configured(
        tuple(Bounds(one.lower[0], one.upper[0]) for one in found.pre),
        Bounds(found.rows.lower[0, :outputs], found.rows.upper[0, :outputs]),
        margins.lower(found.rows.lower[0, outputs:]),
        () if found.error_weight is None else tuple(one[0, outputs:] for one in found.error_weight),
        corner,
    )


def unstable_neurons(pre: Sequence[Bounds]) -> int:
    """How many neurons' states these bounds leave open."""
    return sum(int(((one.lower < 0) & (one.upper > 0)).sum()) for one in pre)


def fix_state(pre: Pre, layer: int, neuron: int, active: bool) -> Pre:
    """Fix one neuron's state, which its bounds leave open."""
    before = pre[layer]
    after = Bounds(before.lower.copy(), before.upper.copy())
    (after.lower if active else after.upper)[neuron] = 0.0
    return (*pre[:layer], after, *pre[layer + 1 :])


@dataclass(frozen=True, eq=False)
class Rules:
    """Dependencies that hold under a partial configuration, and the same as arrays.

    Each is there in both directions: if neuron `first` is in state `when` (+1 active, -1 inactive), `second` is in
    state `then`; neurons are numbered through all hidden layers.
    """

    dependencies: tuple[Dependency, ...] = ()
    first: Indices = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    when: Indices = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    second: Indices = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    then: Indices = field(default_factory=lambda: np.zeros(0, dtype=np.intp))

    @staticmethod
    def of(dependencies: tuple[Dependency, ...], sizes: Sequence[int]) -> Rules:
        """Write dependencies as arrays; `sizes` are the layers' numbers of neurons."""
        start = np.cumsum([0, *sizes])
        both = [one for dependency in dependencies for one in (dependency, dependency.contrapositive)]
        columns = np.array(
            [
                (start[d.first[0]] + d.first[1], 1 if d.when else -1, start[d.second[0]] + d.second[1],
                 1 if d.then else -1)
                for d in both
            ],
            dtype=np.intp,
        ).reshape(len(both), 4)  # fmt: skip
        return Rules(dependencies, *columns.T)

    def apply(self, pre: Pre, fixed: Indices) -> tuple[Pre, Indices] | None:
        """Fix every state that follows from those known; None where they contradict each other.

        Args:
            pre: Bounds under the states fixed so far. z > 0 says active and z <= 0 inactive; a lower bound of 0 alone
                says nothing, since a neuron at z = 0 is inactive.
            fixed: The states fixed so far, (neurons,): +1, -1, or 0 for none.

        Returns:
            Bounds and states with what followed.
        """
        lower, upper = (np.concatenate([getattr(one, side) for one in pre]) for side in ("lower", "upper"))
        state = np.where(fixed != 0, fixed, np.where(lower > 0, 1, np.where(upper <= 0, -1, 0)))
        before = state.copy()
        while True:
            applies = state[self.first] == self.when
            target, then = self.second[applies], self.then[applies]
            if (state[target] == -then).any():
                return None
            more = state[target] == 0
            if not more.any():
                break
            state[target[more]] = then[more]
            if (state[target[more]] != then[more]).any():  # two rules that say the opposite of one neuron
                return None
        new = (state != before) | (fixed != 0)
        if (state == before).all():
            return pre, fixed
        lower = np.where(new & (state > 0), np.maximum(lower, 0.0), lower)
        upper = np.where(new & (state < 0), np.minimum(upper, 0.0), upper)
        if (lower > upper).any():
            return None
        ends = np.cumsum([one.lower.size for one in pre])[:-1]
        sides = zip(np.split(lower, ends), np.split(upper, ends), strict=True)
        return tuple(Bounds(low, high) for low, high in sides), np.where(new, state, 0)


def find_rules(
    question: Question, pre: Pre, options: MilpOptions, known: Rules | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Rules:  # fmt: skip
    """Find the dependencies that hold under a partial configuration, besides those known of a larger part.

    Args:
        question: The network and the box.
        pre: Bounds that say the states fixed so far.
        options: Which kinds are looked for.
        known: Rules that hold already; those that can still say something are kept.
        stop: Asked now and then whether time is up.
    """
    box = Bounds(question.box.lower, question.box.upper)
    found = find_dependencies(question.network, box, pre, kinds=options.dependencies, stop=stop)
    kept: tuple[Dependency, ...] = ()
    if known is not None:
        kept = tuple(one for one in known.dependencies if _open(pre, one.first) and _open(pre, one.second))
    return Rules.of(tuple(dict.fromkeys((*kept, *found))), [one.lower.size for one in pre])


def _open(pre: Pre, neuron: tuple[int, int]) -> bool:
    bounds = pre[neuron[0]]
    return bool(bounds.lower[neuron[1]] < 0 < bounds.upper[neuron[1]])
