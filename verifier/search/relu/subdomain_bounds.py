"""Hidden bounds recomputed inside a subdomain, where only the points that violate the clause matter.

The bounds of the whole box hold in every subdomain. What a split says of one neuron can be carried to the others, and
more can be used: a search asks whether a point of the subdomain violates the clause, margin <= 0, so hidden bounds need
only hold at such points. For every weight w >= 0, z >= z + w margin there: the row that is bounded is z + w margin (or
-z + w margin), and w is optimised like slopes and split multipliers. With w = 0 it is the bound without the clause.
A subdomain in which a lower bound exceeds its upper bound holds no such point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from verifier.enclosure import Array, Indices, Mask
from verifier.search.relu.alpha_crown import Choice, Subdomains, Target, check, default_choice, optimise
from verifier.search.relu.folded_graph import FoldedGraph
from verifier.search.relu.split_bounds import RootBox, Rows

ROWS = 1024  # bounded at once


@dataclass(frozen=True, eq=False)
class Unsafe:
    """The clause that each subdomain is asked about; a row a subdomain.

    Args:
        target: Its margins.
        choice: Slopes, multipliers and mixture that give a good bound on its margin.
        span: How far its margin ranges, about, (subdomains,): only where weights begin.
        checked: Given subdomains and a choice, the clause's rows in float64, times the choice's weights.
    """

    target: Target
    choice: Choice
    span: Tensor
    checked: Callable[[Indices, Choice], Rows]


@dataclass(frozen=True, eq=False)
class Contradiction:
    """A neuron whose lower bound exceeds its upper bound at the unsafe points of a subdomain, and what bounded it.

    Args:
        neuron: Its position among the unstable neurons.
        choice: Slopes, multipliers, mixtures and weights for z and for -z, two rows.
        lower: The bounds that these relied on, (unstable,).
        upper: Likewise.
        sign: The signs that they relied on, (unstable,).
    """

    neuron: int
    choice: Choice
    lower: Array
    upper: Array
    sign: Array


def tighten_subdomains(
    root: RootBox, graph: FoldedGraph, unsafe: Unsafe, lower: Array, upper: Array, sign: Array, *, steps: int,
    stop: Callable[[], bool] = lambda: False, why: dict[int, Contradiction] | None = None,
) -> tuple[Array, Array, Array, Mask]:  # fmt: skip
    """Tighten the bounds of the neurons that are unstable over the box, at the points of subdomains that are unsafe.

    Args:
        root: The box, every layer passed.
        graph: The network folded over it.
        unsafe: The clause of each subdomain.
        lower: Bounds that hold at each subdomain's unsafe points, (subdomains, unstable).
        upper: Likewise.
        sign: Which neurons are known to be >= 0 (+1) or <= 0 (-1) there, with bounds that say so.
        steps: Adam steps.
        stop: Asked at every step whether time is up; what has been proved by then is kept, and nothing more.
        why: Where it is to be written down what shows a subdomain to hold no unsafe point.

    Returns:
        lower, upper and sign, no looser, and which subdomains are shown to hold no unsafe point.

    Source:
        Kotha, Brix, Kolter, Dvijotham, Zhang. Provably Bounding Neural Network Preimages. NeurIPS 2023 (output
        constraints in hidden bounds). Departs from it by using them inside a search, per subdomain and clause.
    """
    lower, upper, sign = lower.copy(), upper.copy(), sign.copy()
    empty = np.zeros(len(lower), dtype=bool)
    for part in graph.slices:
        box, neuron = np.nonzero((sign[:, part] == 0) & ~empty[:, None])
        neuron = neuron + part.start
        for first in range(0, len(box), ROWS // 2):
            if stop():
                return lower, upper, sign, empty
            b, n = box[first : first + ROWS // 2], neuron[first : first + ROWS // 2]
            b, n = b[~empty[b]], n[~empty[b]]
            found, choice = _bound(
                root, graph, unsafe, part, np.tile(b, 2), np.tile(n, 2), lower, upper, sign, steps, stop
            )
            if why is not None:
                before = lower.copy(), upper.copy()
            lower[b, n] = np.maximum(lower[b, n], found[: len(b)])
            upper[b, n] = np.minimum(upper[b, n], -found[len(b) :])
            empty |= (lower > upper).any(axis=1)
            if why is not None:
                for i in np.flatnonzero(lower[b, n] > upper[b, n]).tolist():
                    both = torch.tensor([i, i + len(b)])
                    mixture = None if choice.mixture is None else choice.mixture[both]
                    weight = None if choice.weight is None else choice.weight[both]
                    one = Choice(choice.slope[both], choice.multiplier[both], mixture, weight)
                    low, high = (side[b[i]] for side in before)
                    why.setdefault(int(b[i]), Contradiction(int(n[i]), one, low, high, sign[b[i]].copy()))
            upper = np.maximum(lower, upper)  # of empty ones, so that they stay bounds
        sign = np.where((sign == 0) & (upper <= 0), -1, sign)
        sign = np.where((sign == 0) & (lower >= 0), 1, sign)
    return lower, upper, sign.astype(np.int8), empty


def _bound(
    root: RootBox, graph: FoldedGraph, unsafe: Unsafe, layer: slice, box: Indices, neuron: Indices,
    lower: Array, upper: Array, sign: Array, steps: int, stop: Callable[[], bool],
) -> tuple[Array, Choice]:  # fmt: skip
    """Lower-bound z of neurons of one layer at their subdomains' unsafe points; -z in the second half of the rows."""
    side = np.where(np.arange(len(box)) < len(box) // 2, 1.0, -1.0)
    added = np.zeros((len(box), graph.unstable_count))
    added[np.arange(len(box)), neuron] = side
    low, high, signs = lower[box], upper[box], sign[box]
    domains = Subdomains.of(low, high, signs, graph.dtype)
    rows = torch.from_numpy(box)
    target = unsafe.target.take(rows)
    target = Target(target.sources, target.constant, target.valid, torch.from_numpy(added).to(graph.dtype))
    choice = default_choice(domains, len(box), graph.unstable_count)
    choice.slope[:, layer.start :] = unsafe.choice.slope[rows, layer.start :]
    choice.mixture = None if unsafe.choice.mixture is None else unsafe.choice.mixture[rows]
    at = torch.from_numpy(neuron)[:, None]
    choice.weight = (domains.upper - domains.lower).gather(1, at)[:, 0] / unsafe.span[rows]
    _, choice = optimise(graph, target, domains, choice, steps=steps, stop=stop)
    if stop():  # the check takes as long as some steps
        return np.full(len(box), -np.inf), choice
    return check(root, graph, unsafe.checked(box, choice), low, high, signs, choice, added).lower, choice
