"""A network over one box with its stable neurons folded away, in float32, for a search that bounds it many times.

Over a box an inactive neuron is 0 and an active one is its own pre-activation. So the z of a layer is a linear function
of x and of the *unstable* neurons of all layers before. Where few neurons are unstable these functions are far smaller
than the layers: with 50 unstable neurons of 512 a backward pass costs a sixth. Where most are unstable, folding a layer
would only fill matrices that were empty; then its active neurons are kept. Which layers to fold is counted.

Nothing computed here is believed: split_bounds.py recomputes every bound that counts on the network itself.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from verifier.enclosure import Array, Bounds, Indices
from verifier.matrix import Matrix, dense, entries
from verifier.network import Network

REUSE = 2_000  # backward passes that a folded matrix is expected to serve, to weigh the cost of folding
LARGE = 1e9  # float32 holds the product of four such numbers
MAX_CHOICES = 6  # layers up to which every choice of folding is tried


@dataclass(frozen=True, eq=False)
class _Function:
    """Functions sum_j block_j . source_j + constant; source 0 is x, source k the kept neurons after layer k."""

    blocks: dict[int, Array]
    constant: Array

    def take(self, rows: Indices) -> _Function:
        return _Function({j: block[rows] for j, block in self.blocks.items()}, self.constant[rows])


@dataclass(frozen=True, eq=False)
class Node:
    """The kept neurons of a hidden layer, the unstable ones first: z = sum_j blocks[j] . source_j + constant."""

    blocks: dict[int, Tensor]
    constant: Tensor
    unstable: Indices
    kept: int


class FoldedGraph:
    """The layers before layer len(pre), folded.

    Args:
        network: What is bounded.
        box: The input box, (inputs,) a side.
        pre: Bounds on z of the first hidden layers, (neurons,) each.
    """

    def __init__(self, network: Network, box: Bounds, pre: Sequence[Bounds]) -> None:
        """Fold."""
        self.network, self.pre = network, tuple(pre)
        # float32 is twice as fast; values that it cannot hold, or their products, are left to float64
        largest = [box.magnitude.max(initial=0.0)] + [one.magnitude.max(initial=0.0) for one in pre]
        largest += [entries(layer.magnitude).max(initial=0.0) for layer in network.layers]
        small = min([size for size in largest if size > 0], default=1.0)
        self.dtype = torch.float32 if max(largest) < LARGE and small > 1 / LARGE else torch.float64
        self.lower, self.upper = self._tensor(box.lower), self._tensor(box.upper)
        self.unstable = [np.flatnonzero((one.lower < 0) & (one.upper > 0)) for one in pre]
        active = [np.flatnonzero((one.lower >= 0) & (one.upper > 0)) for one in pre]
        fold = _choose(network, [one.size for one in self.unstable], [one.size for one in active])
        self.nodes: list[Node] = []
        # each hidden layer's outputs as functions: its kept neurons are sources, its folded ones functions of sources
        self._kept: list[Indices] = []
        self._folded: list[tuple[Indices, _Function]] = []
        for k, layer in enumerate(network.layers[: len(pre)]):
            kept = self.unstable[k] if fold[k] else np.concatenate([self.unstable[k], active[k]])
            folded = active[k] if fold[k] else active[k][:0]
            node = self._through(layer.weight[kept], layer.bias[kept])
            folded_function = self._through(layer.weight[folded], layer.bias[folded])
            blocks = {j: self._tensor(block) for j, block in node.blocks.items()}
            self.nodes.append(Node(blocks, self._tensor(node.constant), self.unstable[k], kept.size))
            self._kept.append(kept)
            self._folded.append((folded, folded_function))
        sizes = [one.size for one in self.unstable]
        self.slices = [slice(sum(sizes[:k]), sum(sizes[: k + 1])) for k in range(len(sizes))]
        self.unstable_count: int = sum(sizes)

    def prefix(self, layers: int) -> FoldedGraph:
        """Return the same graph up to so many hidden layers, for rows on the inputs of the layer after them."""
        part = copy.copy(self)
        part.pre, part.unstable, part.nodes = self.pre[:layers], self.unstable[:layers], self.nodes[:layers]
        part.slices, part._kept, part._folded = self.slices[:layers], self._kept[:layers], self._folded[:layers]
        part.unstable_count = part.slices[-1].stop if layers else 0
        return part

    def start(self, weight: Array, offset: Array) -> tuple[dict[int, Tensor], Tensor]:
        """Write rows on the inputs of layer len(pre) as functions of x and the kept neurons."""
        function = self._through(weight, offset)
        return {j: self._tensor(block) for j, block in function.blocks.items()}, self._tensor(function.constant)

    def gather(self, layers: Sequence[Array]) -> Array:
        """Take the unstable neurons' entries from arrays (..., neurons) a layer: (..., unstable neurons of all)."""
        parts = [one[..., index] for one, index in zip(layers, self.unstable, strict=True)]
        return np.concatenate(parts, axis=-1) if parts else np.zeros((1, 0))

    def scatter(self, values: Array, fill: Sequence[Array]) -> list[Array]:
        """Put values (rows, unstable neurons of all) into copies of the arrays `fill`, (neurons,) each."""
        found = []
        for one, index, part in zip(fill, self.unstable, self.slices, strict=True):
            full = np.repeat(one[None], len(values), axis=0)
            full[:, index] = values[:, part]
            found.append(full)
        return found

    @property
    def cost(self) -> int:
        """Multiplications of one row's backward pass."""
        return sum(block.numel() for node in self.nodes for block in node.blocks.values()) + self.lower.numel()

    def _tensor(self, values: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.dtype)

    def _through(self, weight: Matrix, offset: Array) -> _Function:
        """Write functions of the hidden values after the last layer known so far as functions of the sources."""
        k = len(self._kept)
        if k == 0:
            return _Function({0: dense(weight)}, offset)
        kept, (folded, function) = self._kept[-1], self._folded[-1]
        blocks = {k: dense(weight[:, kept])} if kept.size else {}
        if folded.size:
            part = weight[:, folded]
            for j, block in function.blocks.items():
                blocks[j] = np.asarray(part @ block)
            offset = offset + part @ function.constant
        return _Function(blocks, offset)


def _choose(network: Network, unstable: list[int], active: list[int]) -> tuple[bool, ...]:
    """Choose the layers whose active neurons are folded: the choice whose backward pass costs least."""
    count = len(unstable)
    if count > MAX_CHOICES:  # too many to try: fold where few neurons are unstable
        return tuple(4 * u < network.layers[k].bias.size for k, u in enumerate(unstable))
    choices = itertools.product((False, True), repeat=count)
    return min(choices, key=lambda fold: _cost(network, unstable, active, fold))


def _cost(network: Network, unstable: list[int], active: list[int], fold: tuple[bool, ...]) -> float:
    widths = [network.inputs] + [u if f else u + a for u, a, f in zip(unstable, active, fold, strict=True)]
    sources = {0}
    total, folding = 0.0, 0.0
    for k, u in enumerate(unstable):
        width = sum(widths[j] for j in sources)
        total += widths[k + 1] * width
        after = {k + 1} | sources if fold[k] else {k + 1}
        if fold[k]:
            folding += network.layers[k + 1].bias.size * active[k] * width
        sources = after if u or not fold[k] else sources
    return total + folding / REUSE
