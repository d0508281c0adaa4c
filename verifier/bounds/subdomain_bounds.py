"""Hidden bounds recomputed inside a subdomain: what a split says of one neuron, carried to the neurons after it.

The bounds of the whole box hold in every subdomain, and most searches keep them. In a deep network a few splits in
early layers make many later neurons stable, and everything below the subdomain inherits that. The rows are those of
the root, z and -z for every neuron still unstable, with slopes and split multipliers of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from verifier.bounds.alpha_crown import Subdomains, Target, check, default_choice, optimise
from verifier.bounds.folded_graph import FoldedGraph
from verifier.bounds.split_bounds import RootBox
from verifier.enclosure import Array, Bounds, Indices, Mask

ROWS = 1024  # bounded at once


def tighten_subdomains(
    root: RootBox, graph: FoldedGraph, pre: Sequence[Bounds], lower: Array, upper: Array, sign: Array, *, steps: int,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Array, Array, Array, Mask]:  # fmt: skip
    """Tighten the bounds of the neurons that are unstable over the box, inside subdomains of it.

    Args:
        root: The box.
        graph: The network folded over it.
        pre: Bounds on z over the whole box, (neurons,) a layer.
        lower: Bounds that hold in each subdomain, (subdomains, unstable).
        upper: Likewise.
        sign: Which neurons are known to be >= 0 (+1) or <= 0 (-1) there, with bounds that say so.
        steps: Adam steps.
        stop: Asked at every step whether time is up; what has been proved by then is kept.

    Returns:
        lower, upper and sign, no looser, and which subdomains are shown to be empty.
    """
    lower, upper, sign = lower.copy(), upper.copy(), sign.copy()
    empty = np.zeros(len(lower), dtype=bool)
    for k in range(1, len(graph.nodes)):
        part = graph.slices[k]
        box, neuron = np.nonzero((sign[:, part] == 0) & ~empty[:, None])
        for first in range(0, len(box), ROWS // 2):
            if stop():
                return lower, upper, sign, empty
            b, n = box[first : first + ROWS // 2], neuron[first : first + ROWS // 2]
            found = _bound(root, graph, pre, k, np.tile(b, 2), np.tile(n, 2), lower, upper, sign, steps, stop)
            at = n + part.start
            lower[b, at] = np.maximum(lower[b, at], found[: len(b)])
            upper[b, at] = np.minimum(upper[b, at], -found[len(b) :])
        empty |= (lower > upper).any(axis=1)
        upper = np.maximum(lower, upper)  # of empty ones, so that they stay bounds
        sign = np.where((sign == 0) & (upper <= 0), -1, sign)
        sign = np.where((sign == 0) & (lower >= 0), 1, sign)
    return lower, upper, sign.astype(np.int8), empty


def _bound(
    root: RootBox, graph: FoldedGraph, pre: Sequence[Bounds], k: int, box: Indices, neuron: Indices,
    lower: Array, upper: Array, sign: Array, steps: int, stop: Callable[[], bool],
) -> Array:  # fmt: skip
    """Lower-bound z of the rows' neurons of layer k in their subdomains; -z in the second half of the rows."""
    side = np.where(np.arange(len(box)) < len(box) // 2, 1.0, -1.0)
    before = graph.prefix(k)
    count = before.unstable_count
    low, high, signs = lower[box][:, :count], upper[box][:, :count], sign[box][:, :count]
    rows = root.neuron_rows(graph.unstable[k][neuron], side, k)
    target = Target(*before.start(rows.weight, rows.offset))
    domains = Subdomains.of(low, high, signs, graph.dtype)
    _, choice = optimise(before, target, domains, default_choice(domains, len(box), count), steps=steps, stop=stop)
    return check(root, before, rows, low, high, signs, choice).lower
