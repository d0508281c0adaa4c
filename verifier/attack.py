"""Search for candidates by projected gradient descent on the margins, from many starts at once.

What is found here is only a candidate; check_counterexample decides.
"""

from __future__ import annotations

import numpy as np

from verifier.enclosure import Array, Indices
from verifier.margins import Margins
from verifier.network import Network
from verifier.spec import Box
from verifier.verdict import Question


def attack(
    question: Question, *, starts: Array | None = None, restarts: int = 24, steps: int = 30, seed: int = 0
) -> Array:
    """Look for inputs that violate the spec.

    Every clause is a target of its own: its best margin is driven down by signed gradient steps whose size shrinks
    from a quarter of the box to a hundredth of that. Starts are the given points, the centre and random points.
    The network is run in float64; points on the way are rounded only by the replay.

    Args:
        question: What is asked.
        starts: Promising points, (points, inputs), or None.
        restarts: Random starts a clause.
        steps: Gradient steps a start.
        seed: For the random starts.

    Returns:
        The best point of every start, best first, then the first violating point on each start's way where there is
        one, which lie further apart; (points, inputs).

    Source:
        Madry et al. Towards Deep Learning Models Resistant to Adversarial Attacks. ICLR 2018 (PGD).
    """
    network, box, margins = question.subject.network, question.box, question.margins
    clauses = len(margins.clauses)
    if clauses == 0:
        return np.zeros((0, network.inputs))
    points = _starts(box, starts, restarts, seed)
    target = np.repeat(np.arange(clauses), len(points))
    x = np.tile(points, (clauses, 1))
    best, best_value = x.copy(), np.full(len(x), np.inf)
    first, violated = x.copy(), np.zeros(len(x), dtype=bool)
    for step in range(steps + 1):
        value, gradient = clause_gradient(network, margins, x, target)
        better = value < best_value
        best[better], best_value[better] = x[better], value[better]
        new = (value < 0) & ~violated
        first[new] = x[new]
        violated |= new
        if step == steps:
            break
        size = 0.25 * box.width * 0.01 ** (step / max(steps - 1, 1))
        x = np.clip(x - size * np.sign(gradient), box.lower, box.upper)
    order = np.argsort(best_value, kind="stable")
    return np.concatenate([best[order], first[order][violated[order]]])


def _starts(box: Box, starts: Array | None, restarts: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    points = [(0.5 * (box.lower + box.upper))[None], rng.uniform(box.lower, box.upper, (restarts, box.lower.size))]
    if starts is not None:
        points.insert(0, starts)
    return np.clip(np.concatenate(points), box.lower, box.upper)


def clause_gradient(network: Network, margins: Margins, x: Array, target: Indices) -> tuple[Array, Array]:
    """Evaluate, for each point, the margin of its target clause and that margin's gradient.

    Args:
        network: The network.
        margins: The spec on the logits.
        x: Points, (points, inputs).
        target: A clause for each point, (points,).

    Returns:
        Values (points,) and gradients (points, inputs).
    """
    pre = network.pre_activations(x)
    row_values = pre[-1] @ margins.rows.T
    values = margins.lower(row_values)
    chosen = np.zeros(len(x), dtype=np.intp)
    for index, clause in enumerate(margins.clauses):
        mask = target == index
        chosen[mask] = np.array(clause)[np.argmax(values[mask][:, list(clause)], axis=1)]
    picked = values[np.arange(len(x)), chosen]
    slope = np.zeros((len(x), network.outputs))
    for index, margin in enumerate(margins.margins):
        mask = chosen == index
        if margin.row is not None:
            slope[mask] += margins.rows[margin.row]
        for term in margin.terms:
            # every term increases with its rows, each in proportion to its share of the exponential sum
            side = -1.0 if term.weight > 0 else 1.0
            exponents = side * row_values[mask][:, list(term.rows)]
            share = np.exp(exponents - np.logaddexp.reduce(exponents, axis=1, keepdims=True))
            slope[mask] += share @ margins.rows[list(term.rows)]
    for layer, z in zip(network.layers[:0:-1], pre[-2::-1], strict=True):
        slope = (slope @ layer.weight) * (z > 0)
    return picked, slope @ network.layers[0].weight
