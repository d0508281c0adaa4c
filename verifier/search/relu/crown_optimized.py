"""CROWN with optimised slopes as a bounding method by itself: what ReLU splitting begins with, and nothing split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from verifier.bounds.crown import crown_bounds
from verifier.bounds.layers import LayerBounds
from verifier.enclosure import Array, Bounds
from verifier.network import Network
from verifier.search.relu.alpha_crown import Subdomains, Target, check, default_choice, optimise
from verifier.search.relu.folded_graph import FoldedGraph
from verifier.search.relu.optimised_root import optimised_root

STEPS = 40  # Adam steps for the rows
ENTRIES = 8_000_000  # slopes held at once, for memory


def crown_optimized_bounds(
    network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None, *,
    stop: Callable[[], bool] = lambda: False,
) -> LayerBounds:  # fmt: skip
    """Bound every pre-activation and the rows by backward bounds whose slopes are found by gradient ascent.

    Hidden layers first, one after the other, then the rows on what they leave. Searched in float32; every bound is
    recomputed in float64 with the slopes that were found, and widened by the rounding term. No looser than CROWN.

    Args:
        network: What is bounded; sound for every Network.
        boxes: Input boxes, (batch, inputs), bounded one by one.
        rows: Linear functions of the logits, (rows, logits).
        known: Bounds on each hidden layer that hold already.
        stop: Asked at every step whether time is up; then what is left keeps CROWN's bounds.

    Source:
        Xu et al. Fast and Complete: Enabling Complete Neural Network Verification with Rapid and Massively Parallel
        Incomplete Verifiers. ICLR 2021.
    """
    crown = crown_bounds(network, boxes, rows, known, stop=stop)
    pre = [Bounds(one.lower.copy(), one.upper.copy()) for one in crown.pre]
    found = Bounds(crown.rows.lower.copy(), crown.rows.upper.copy())
    for i in range(len(boxes.lower)):
        if stop():
            break
        box = Bounds(boxes.lower[i], boxes.upper[i])
        root = optimised_root(network, box, [Bounds(one.lower[i], one.upper[i]) for one in crown.pre], stop=stop)
        for all_boxes, one in zip(pre, root.pre, strict=True):
            all_boxes.lower[i], all_boxes.upper[i] = one.lower, one.upper
        graph, last = FoldedGraph(network, box, root.pre), network.layers[-1]
        least, most = (
            graph.gather([getattr(one, side) for one in root.pre]).reshape(1, -1) for side in ("lower", "upper")
        )
        both = np.concatenate([rows, -rows])
        proved = np.full(len(both), -np.inf)
        at_once = max(1, ENTRIES // max(1, graph.unstable_count))
        for first in range(0, len(both), at_once):
            if stop():
                break
            some = both[first : first + at_once]
            none = np.zeros((len(some), graph.unstable_count))
            low, high = none + least, none + most
            domains = Subdomains.of(low, high, none, graph.dtype)
            target = Target(*graph.start(some @ last.weight, some @ last.bias))
            _, choice = optimise(
                graph, target, domains, default_choice(domains, len(some), graph.unstable_count), steps=STEPS, stop=stop
            )
            nothing = np.zeros(len(some))
            exact_rows = root.box.logit_rows(some, nothing, np.abs(some), nothing, 1)
            proved[first : first + at_once] = check(root.box, graph, exact_rows, low, high, none, choice).lower
        found.lower[i] = np.maximum(found.lower[i], proved[: len(rows)])
        found.upper[i] = np.maximum(np.minimum(found.upper[i], -proved[len(rows) :]), found.lower[i])
    return replace(crown, pre=tuple(pre), rows=found)
