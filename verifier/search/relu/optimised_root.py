"""Bounds on every hidden layer over one box, by backward passes with optimised slopes: where ReLU splitting begins.

Layer by layer: intervals first, then for every neuron they leave unstable two rows, z and -z, each with slopes of its
own for all unstable neurons before it, and if asked a small search of its own (split_refinement.py). Found in float32,
recomputed in float64 before the next layer relies on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from verifier.bounds.interval import relu_interval
from verifier.enclosure import Array, Bounds, Indices
from verifier.network import Network, propagate_interval
from verifier.search.relu.alpha_crown import Choice, Subdomains, Target, default_choice, optimise
from verifier.search.relu.folded_graph import FoldedGraph
from verifier.search.relu.split_bounds import RootBox, Rows, chunks
from verifier.search.relu.split_refinement import refine_rows, split_cost

STEPS = 30  # Adam steps a layer
MULTIPLICATIONS = 4e9  # of one backward pass of a chunk of rows: a step takes below half a second
ENTRIES = 8e6  # slopes held for a chunk of rows, for memory
MAX_SPLITS = 500  # for one bound
REFINED_ENTRIES = 32e6  # likewise, of all subdomains that refine a chunk of rows


@dataclass(frozen=True, eq=False)
class Root:
    """What is known of the hidden layers over a box.

    Args:
        box: The box with its rounding terms, every hidden layer passed.
        pre: Bounds on z of each hidden layer, (neurons,) each.
        work: Multiplications spent on splitting, for limits that do not depend on the machine.
    """

    box: RootBox
    pre: tuple[Bounds, ...]
    work: float


def optimised_root(
    network: Network, box: Bounds, known: Sequence[Bounds] | None = None, *, steps: int = STEPS, effort: float = 0.0,
    stop: Callable[[], bool] = lambda: False,
) -> Root:  # fmt: skip
    """Bound z of every hidden layer over the box.

    Args:
        network: What is bounded; sound for every Network.
        box: Shape (inputs,) a side.
        known: Bounds on each hidden layer, (neurons,) each, that hold already; the result is no looser.
        steps: Adam steps a layer; 0 for nothing but intervals and what is known.
        effort: Multiplications granted to each layer for splitting its neurons' bounds; 0 for none.
        stop: Asked at every step whether time is up; the layers left keep intervals and what is known.

    Source:
        Xu et al. Fast and Complete. ICLR 2021. Departs from it by the rounding term and by folding stable neurons.
        Refining hidden bounds by a complete search goes back to Tjeng, Xiao, Tedrake (ICLR 2019), who ask a MILP
        solver.
    """
    root = RootBox(network, box)
    pre: list[Bounds] = []
    h, work = box, 0.0
    for index, layer in enumerate(network.layers[:-1]):
        z = propagate_interval(layer, h)
        if known is not None:
            z = z.intersect(known[index])
        if index and steps and not stop():
            one = _Layer(root, pre, steps, stop)
            z = one.tighten(z, 0)
            splits = _splits(one.graph, int(((z.lower < 0) & (z.upper > 0)).sum()), effort)
            if splits:
                z = one.tighten(z, splits)
            work += one.work
        pre.append(z)
        root.pass_layer(z)
        h = relu_interval(z)
    return Root(root, tuple(pre), work)


def refinable(graph: FoldedGraph, effort: float) -> bool:
    """Whether the effort pays for splitting the bounds of some layer of a folded network."""
    return any(_splits(graph.prefix(k), graph.unstable[k].size, effort) for k in range(1, len(graph.nodes)))


def _splits(graph: FoldedGraph, unstable: int, effort: float) -> int:
    """How many splits for each bound of a layer's unstable neurons the effort pays for."""
    if not unstable or not graph.unstable_count:
        return 0
    return int(min(effort / (2 * unstable * split_cost(graph)), MAX_SPLITS))


class _Layer:
    """The next layer over the layers bounded so far."""

    def __init__(self, root: RootBox, pre: list[Bounds], steps: int, stop: Callable[[], bool]) -> None:
        self.root, self.pre, self.steps, self.stop, self.work = root, pre, steps, stop, 0.0
        self.graph = FoldedGraph(root.network, root.box, pre)
        self.lower, self.upper = (self.graph.gather([getattr(one, side) for one in pre]).reshape(-1)
                                  for side in ("lower", "upper"))  # fmt: skip

    def tighten(self, z: Bounds, splits: int) -> Bounds:
        """Tighten bounds on z by optimised backward bounds for its unstable neurons."""
        unstable = np.flatnonzero((z.lower < 0) & (z.upper > 0))
        lower, upper = z.lower.copy(), z.upper.copy()
        count = max(1, self.graph.unstable_count)
        per_chunk = min(MULTIPLICATIONS / self.graph.cost, ENTRIES / count, ENTRIES / self.pre[-1].lower.size, 4096.0)
        if splits:
            per_chunk = min(per_chunk, REFINED_ENTRIES / count / (splits + 1))
        per_chunk = int(max(4, per_chunk) / 2)
        for first in range(0, unstable.size, per_chunk):
            if self.stop():
                break
            neurons = unstable[first : first + per_chunk]
            found = self._bound(neurons, splits)
            lower[neurons] = np.maximum(lower[neurons], found[: neurons.size])
            upper[neurons] = np.minimum(upper[neurons], -found[neurons.size :])
        return Bounds(lower, upper)

    def _bound(self, neurons: Indices, splits: int) -> Array:
        """Lower-bound z and -z of neurons."""
        graph, root = self.graph, self.root
        signs = np.repeat([1.0, -1.0], neurons.size)
        rows = root.neuron_rows(np.concatenate([neurons, neurons]), signs, len(self.pre))
        target = Target(*graph.start(rows.weight, rows.offset))
        none = np.zeros((1, self.lower.size))
        domains = Subdomains.of(self.lower[None], self.upper[None], none, graph.dtype)
        choice = default_choice(domains, len(signs), graph.unstable_count)
        value, choice = optimise(graph, target, domains, choice, steps=self.steps, stop=self.stop)
        if self.stop():  # the check takes as long as some steps
            return np.full(len(signs), -np.inf)
        if splits and graph.unstable_count:
            pair = np.roll(np.arange(len(signs)), neurons.size)
            found, work = refine_rows(
                root, graph, rows, pair, self.lower, self.upper, choice, value.numpy().astype(np.float64),
                splits=splits, stop=self.stop,
            )  # fmt: skip
            self.work += work
            return found
        return self._check(rows, choice)

    def _check(self, rows: Rows, choice: Choice) -> Array:
        zero = [np.zeros(one.lower.size) for one in self.pre]
        wide = [Bounds(one.lower[None], one.upper[None]) for one in self.pre]
        none = [one[None] for one in zero]
        found = []
        for some in chunks(self.root.network, len(rows.offset)):
            slopes = self.graph.scatter(choice.slope[some].numpy().astype(np.float64), zero)
            found.append(self.root.lower_bounds(rows.part(some), wide, slopes, none).lower)
        return np.concatenate(found)
