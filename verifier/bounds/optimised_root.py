"""Bounds on every hidden layer over one box, by backward passes with optimised slopes: where ReLU splitting begins.

Layer by layer: intervals first, then for every neuron they leave unstable two rows, z and -z, each with slopes of its
own for all unstable neurons before it. Found in float32, recomputed in float64 before the next layer relies on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from verifier.bounds.alpha_crown import Subdomains, Target, default_choice, optimise
from verifier.bounds.folded_graph import FoldedGraph
from verifier.bounds.interval import relu_interval
from verifier.bounds.split_bounds import RootBox
from verifier.enclosure import Array, Bounds, Indices
from verifier.network import Network, propagate_interval

STEPS = 30  # Adam steps a layer
MULTIPLICATIONS = 4e9  # of one backward pass of a chunk of rows: a step takes below half a second
ENTRIES = 8e6  # slopes held for a chunk of rows, for memory


def optimised_root(
    network: Network, box: Bounds, known: Sequence[Bounds] | None = None, *, steps: int = STEPS,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[RootBox, tuple[Bounds, ...]]:  # fmt: skip
    """Bound z of every hidden layer over the box.

    Args:
        network: What is bounded; sound for every Network.
        box: Shape (inputs,) a side.
        known: Bounds on each hidden layer, (neurons,) each, that hold already; the result is no looser.
        steps: Adam steps a layer.
        stop: Asked at every step whether time is up; the layers left keep intervals and what is known.

    Returns:
        The box with its rounding terms, for further bounds, and bounds on z, (neurons,) a layer.

    Source:
        Xu et al. Fast and Complete. ICLR 2021. Departs from it by the rounding term and by folding stable neurons.
    """
    root = RootBox(network, box)
    pre: list[Bounds] = []
    h = box
    for index, layer in enumerate(network.layers[:-1]):
        z = propagate_interval(layer, h)
        if known is not None:
            z = z.intersect(known[index])
        if index and not stop():
            z = _tighten(root, pre, z, steps, stop)
        pre.append(z)
        root.pass_layer(z)
        h = relu_interval(z)
    return root, tuple(pre)


def _tighten(root: RootBox, pre: list[Bounds], z: Bounds, steps: int, stop: Callable[[], bool]) -> Bounds:
    """Tighten bounds on the next layer by optimised backward bounds for its unstable neurons."""
    unstable = np.flatnonzero((z.lower < 0) & (z.upper > 0))
    if unstable.size == 0:
        return z
    graph = FoldedGraph(root.network, root.box, pre)
    lower, upper = z.lower.copy(), z.upper.copy()
    per_chunk = int(max(4, min(MULTIPLICATIONS / graph.cost, ENTRIES / max(1, graph.unstable_count), 4096)) / 2)
    for first in range(0, unstable.size, per_chunk):
        if stop():
            break
        neurons = unstable[first : first + per_chunk]
        found = _bound_neurons(root, graph, pre, neurons, steps, stop)
        lower[neurons] = np.maximum(lower[neurons], found[: neurons.size])
        upper[neurons] = np.minimum(upper[neurons], -found[neurons.size :])
    return Bounds(lower, upper)


def _bound_neurons(
    root: RootBox, graph: FoldedGraph, pre: list[Bounds], neurons: Indices, steps: int, stop: Callable[[], bool]
) -> Array:
    """Lower-bound z and -z of neurons of the next layer."""
    signs = np.repeat([1.0, -1.0], neurons.size)
    rows = root.neuron_rows(np.concatenate([neurons, neurons]), signs, len(pre))
    target = Target(*graph.start(rows.weight, rows.offset))
    shared = [graph.gather([getattr(one, side) for one in pre])[None] for side in ("lower", "upper")]
    domains = Subdomains.of(shared[0], shared[1], np.zeros_like(shared[0]), graph.dtype)
    choice = default_choice(domains, len(signs), graph.unstable_count)
    _, choice = optimise(graph, target, domains, choice, steps=steps, stop=stop)
    slopes = graph.scatter(choice.slope.numpy().astype(np.float64), [np.zeros(one.lower.size) for one in pre])
    none = [np.zeros((1, one.lower.size)) for one in pre]
    wide = [Bounds(one.lower[None], one.upper[None]) for one in pre]
    return root.lower_bounds(rows, wide, slopes, none).lower
