"""What a ReLU-splitting search does with subdomains: bound their clauses, tighten their hidden bounds, split them.

RootWork belongs to one set of bounds over the whole box. Its methods take any subdomains of it together, so that torch
works on batches, and touch no queue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from verifier.enclosure import Array, Bounds, Indices, Mask
from verifier.network import Network
from verifier.search.events import By, Lines, Proof
from verifier.search.open_parts import Part
from verifier.search.relu.alpha_crown import (
    Choice,
    Relaxed,
    Subdomains,
    Target,
    check,
    default_choice,
    lower_bound,
    optimise,
)  # fmt: skip
from verifier.search.relu.branching import LOOK_AHEAD, choose_neurons
from verifier.search.relu.clause_rows import ClauseRows
from verifier.search.relu.folded_graph import FoldedGraph
from verifier.search.relu.optimised_root import Root
from verifier.search.relu.split_bounds import Rows
from verifier.search.relu.subdomain_bounds import Contradiction, Unsafe, tighten_subdomains

MAX_BATCH = 64  # subdomains bounded at once: more would settle more a second, and choose worse which to settle
MULTIPLICATIONS = 2e9  # of one backward pass of a batch: a step takes a fraction of a second
STEPS = 20  # Adam steps a subdomain
ROOT_STEPS = 50  # Adam steps of the clauses over the whole box
LEAF_STEPS = 100  # Adam steps where every neuron is fixed and only the multipliers are left
TIGHTEN_STEPS = 10  # Adam steps of a hidden bound
TIGHTEN_BATCH = 8  # subdomains whose hidden bounds are recomputed at once

Signs = NDArray[np.int8]
Warm = tuple[Array, Array, Array | None]  # slope, multiplier, mixture; the first in float16


@dataclass(eq=False)
class Open(Part):
    """An open subdomain, the one with the smallest bound first."""

    clause: int  # its position among the clauses left
    sign: Signs  # (unstable,)
    warm: Warm | None
    bounds: tuple[Array, Array] | None = None  # tighter than the box's, (unstable,) each
    tightened: int = -1  # the depth at which they were computed


class RootWork:
    """The box with one set of hidden bounds, and work on subdomains of it.

    Args:
        network: What is bounded.
        root: What is known of the hidden layers.
        clauses: The clauses that subdomains may be about.
    """

    def __init__(self, network: Network, root: Root, clauses: ClauseRows) -> None:
        """Fold the network over these bounds."""
        self.root, self.clauses = root, clauses
        self.graph = FoldedGraph(network, root.box.box, root.pre)
        self.lower, self.upper = (self.graph.gather([getattr(z, side) for z in root.pre]).reshape(-1)
                                  for side in ("lower", "upper"))  # fmt: skip
        self._span = self._spans()

    def stack(self, some: Sequence[Open]) -> tuple[Array, Array, Array]:
        """Collect the subdomains' bounds and signs, (subdomains, unstable) each."""
        sign = np.array([one.sign for one in some])
        lower = np.array([self.lower if one.bounds is None else one.bounds[0] for one in some])
        upper = np.array([self.upper if one.bounds is None else one.bounds[1] for one in some])
        return (
            np.where(sign > 0, np.maximum(lower, 0.0), lower),
            np.where(sign < 0, np.minimum(upper, 0.0), upper),
            sign,
        )

    def inherited(self, some: Sequence[Open]) -> Choice:
        """Collect what the subdomains inherited; one that inherited nothing starts from CROWN's slopes."""
        lower, upper, sign = self.stack(some)
        domains = Subdomains.of(lower, upper, sign, self.graph.dtype)
        choice = default_choice(domains, len(some), self.graph.unstable_count)
        if self.clauses.most > 1:
            choice.mixture = choice.slope.new_zeros(len(some), self.clauses.most)
        for i, one in enumerate(some):
            if one.warm is None:
                continue
            slope, multiplier, mixture = one.warm
            choice.slope[i] = torch.from_numpy(slope)
            choice.multiplier[i] = torch.from_numpy(multiplier)
            if choice.mixture is not None and mixture is not None:
                choice.mixture[i] = torch.from_numpy(mixture)
        return choice

    def bound(
        self, some: Sequence[Open], choice: Choice, stop: Callable[[], bool]
    ) -> tuple[Array, Choice, Array, float]:
        """Bound the clauses of subdomains.

        Returns:
            Bounds on the margins that hold at every point of each subdomain that violates its clause, (subdomains,);
            slopes and multipliers; the linear functions' coefficients, (subdomains, inputs); multiplications spent.
        """
        graph, which = self.graph, _clauses(some)
        lower, upper, sign = self.stack(some)
        domains = Subdomains.of(lower, upper, sign, graph.dtype)
        target = self.clauses.target(graph, which)

        def enough(value: torch.Tensor) -> bool:
            return bool((value > 1e-4).all())

        steps = STEPS if any(one.depth for one in some) else ROOT_STEPS
        value, choice = optimise(graph, target, domains, choice, steps=steps, enough=enough, stop=stop)
        work = 2.0 * len(some) * steps * graph.cost
        fixed = (sign != 0).all(axis=1)
        if (fixed & (value.numpy() <= 0)).any() and not stop():
            _, choice = optimise(graph, target, domains, choice, steps=LEAF_STEPS, enough=enough, stop=stop)
        proved, slope = self.prove(which, sign, lower, upper, choice)
        return np.maximum(proved, [one.margin for one in some]), choice, slope, work  # the parent's bound holds, too

    def prove(self, which: Indices, sign: Array, lower: Array, upper: Array, choice: Choice) -> tuple[Array, Array]:
        """Recompute the bounds of the rows in float64; what is returned holds, rounding included."""
        rows, counts = self.clauses.checked(self.root.box, which, choice)
        found = check(self.root.box, self.graph, rows, lower, upper, sign, choice)
        return self.clauses.margin(np.where(counts, found.lower, -np.inf)), found.slope

    def tightening(self, some: Sequence[Open]) -> float:
        """Multiplications of tightening the hidden bounds of subdomains: two rows a neuron, there and back."""
        return 4.0 * TIGHTEN_STEPS * self.graph.cost * sum(int((one.sign == 0).sum()) for one in some)

    def tighten(
        self, some: Sequence[Open], choice: Choice, stop: Callable[[], bool],
        why: dict[int, Contradiction] | None = None,
    ) -> Mask:  # fmt: skip
        """Tighten the hidden bounds of subdomains in place; which hold no point that violates their clause.

        Args:
            some: The subdomains.
            choice: What bounds their clauses.
            stop: Asked now and then whether time is up.
            why: Where it is to be written down which neuron's bounds contradict each other, by position in `some`.
        """
        empty = np.zeros(len(some), dtype=bool)
        for first in range(0, len(some), TIGHTEN_BATCH):
            chosen = some[first : first + TIGHTEN_BATCH]
            rows = torch.arange(first, first + len(chosen))
            which = _clauses(chosen)
            lower, upper, sign = self.stack(chosen)

            def checked(index: Indices, given: Choice, which: Indices = which) -> Rows:
                return self.clauses.checked(self.root.box, which[index], given)[0]

            target, span = self.clauses.target(self.graph, which), self._span[torch.from_numpy(which)]
            unsafe = Unsafe(target, take(choice, rows), span, checked)
            noted: dict[int, Contradiction] | None = None if why is None else {}
            lower, upper, sign, nothing = tighten_subdomains(
                self.root.box, self.graph, unsafe, lower, upper, sign, steps=TIGHTEN_STEPS, stop=stop, why=noted
            )
            if why is not None and noted is not None:
                why.update({first + i: one for i, one in noted.items()})
            empty[first : first + len(chosen)] = nothing
            for i, one in enumerate(chosen):
                one.sign, one.bounds, one.tightened = sign[i], (lower[i], upper[i]), one.depth
        return empty

    def choose(self, some: Sequence[Open], choice: Choice) -> Indices:
        """Choose the neuron at which to split each subdomain, -1 where all are fixed, (subdomains,)."""
        lower, upper, sign = self.stack(some)
        domains = Subdomains.of(lower, upper, sign, self.graph.dtype)
        value = torch.tensor([one.margin for one in some], dtype=self.graph.dtype)
        target = self.clauses.target(self.graph, _clauses(some))
        return choose_neurons(self.graph, target, domains, choice, value, LOOK_AHEAD).numpy()

    def signs(self, one: Open) -> list[Array]:
        """Write the sign of every hidden neuron in a subdomain, 0 where it is open, (neurons,) a layer."""
        stable = [np.where(z.lower >= 0, 1.0, np.where(z.upper <= 0, -1.0, 0.0)) for z in self.root.pre]
        return [found[0] for found in self.graph.scatter(one.sign[None].astype(np.float64), stable)]

    def place(self, neuron: int) -> tuple[int, int]:
        """The layer and index of an unstable neuron."""
        layer = next(k for k, part in enumerate(self.graph.slices) if neuron < part.stop)
        return layer, int(self.graph.unstable[layer][neuron - self.graph.slices[layer].start])

    def proof(self, one: Open, choice: Choice) -> Proof:
        """Write down the bound of a subdomain's clause, from one row's choice."""
        lower, upper, sign = self.stack([one])
        return Proof(By.BOUNDS, self._pre(lower, upper), (self._lines(one.clause, sign, choice),))

    def contradiction(self, one: Open, found: Contradiction) -> Proof:
        """Write down the bounds of the neuron that shows a subdomain to hold no point that violates its clause."""
        place, lines = self.place(found.neuron), []
        for row, side in enumerate((1.0, -1.0)):
            choice = take(found.choice, torch.tensor([row]))
            lines.append(replace(self._lines(one.clause, found.sign[None], choice), neuron=place, side=side))
        return Proof(By.CONTRADICTION, self._pre(found.lower[None], found.upper[None]), tuple(lines))

    def _pre(self, lower: Array, upper: Array) -> tuple[Bounds, ...]:
        lowers = self.graph.scatter(lower, [z.lower for z in self.root.pre])
        uppers = self.graph.scatter(upper, [z.upper for z in self.root.pre])
        return tuple(Bounds(low[0], high[0]) for low, high in zip(lowers, uppers, strict=True))

    def _lines(self, clause: int, sign: Array, choice: Choice) -> Lines:
        zero = [np.zeros(z.lower.size) for z in self.root.pre]
        slopes = self.graph.scatter(choice.slope.numpy().astype(np.float64), zero)
        multipliers = self.graph.scatter((choice.multiplier.numpy() * sign).astype(np.float64), zero)
        mixture = self.clauses.mixture(np.array([clause]), choice)[0]
        return Lines(tuple(one[0] for one in slopes), tuple(one[0] for one in multipliers), mixture)

    def _spans(self) -> torch.Tensor:
        """How far each clause's margin ranges over the box, about, (clauses,)."""
        graph, count = self.graph, len(self.clauses.clauses)
        target = self.clauses.target(graph, np.arange(count))
        opposite = Target({j: -one for j, one in target.sources.items()}, -target.constant, target.valid)
        none = np.zeros((count, graph.unstable_count))
        domains = Subdomains.of(none + self.lower, none + self.upper, none, graph.dtype)
        choice = default_choice(domains, count, graph.unstable_count)
        if self.clauses.most > 1:
            choice.mixture = choice.slope.new_zeros(count, self.clauses.most)
        lines = Relaxed(domains)
        low, high = (lower_bound(graph, one, lines, choice)[0] for one in (target, opposite))
        return (-high - low).clamp(min=1e-6)


def take(choice: Choice, rows: torch.Tensor) -> Choice:
    """Keep some rows."""
    mixture = None if choice.mixture is None else choice.mixture[rows]
    return Choice(choice.slope[rows], choice.multiplier[rows], mixture)


def pack(choice: Choice, row: int) -> Warm:
    """Pack one row's choice for its children, who share it."""
    mixture = None if choice.mixture is None else choice.mixture[row].numpy().copy()
    return choice.slope[row].numpy().astype(np.float16), choice.multiplier[row].numpy().copy(), mixture


def _clauses(some: Sequence[Open]) -> Indices:
    return np.array([one.clause for one in some], dtype=np.intp)


def at_once(at: RootWork) -> int:
    """How many subdomains are bounded in one batch."""
    return int(min(MAX_BATCH, max(1, MULTIPLICATIONS / max(1, at.graph.cost))))


def whole_box(
    at: RootWork, some: Sequence[Open], stop: Callable[[], bool], keep: bool = False
) -> tuple[Array, list[Proof]]:
    """Bound clauses over the whole box.

    Args:
        at: The box.
        some: One subdomain for each clause; its signs are not looked at.
        stop: Asked now and then whether time is up.
        keep: Whether the proofs are wanted.

    Returns:
        Bounds on the margins, -inf where time ran out first, (clauses,), and for each what proves it.
    """
    none, found = np.zeros(at.graph.unstable_count, dtype=np.int8), np.full(len(some), -np.inf)
    proofs: list[Proof] = []
    for first in range(0, len(some), at_once(at)):
        if stop():
            break
        part = slice(first, first + at_once(at))
        roots = [Open(-np.inf, i, None, 0, -np.inf, one.clause, none, None) for i, one in enumerate(some[part])]
        found[part], choice, _, _ = at.bound(roots, at.inherited(roots), stop)
        if keep:
            proofs += [at.proof(one, take(choice, torch.tensor([i]))) for i, one in enumerate(roots)]
    return found, proofs
