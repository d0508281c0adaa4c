"""ReLU splitting: bound a part of the box, look for a counterexample in it, split it at an unstable neuron, and so on.

For networks with many inputs, where splitting the box itself settles too little. A subdomain is the box together with
the signs of some neurons; its bound comes from optimised slopes and split multipliers (alpha-beta-CROWN), warm-started
from its parent, batched, in float32. What closes a subdomain is the same bound recomputed in float64.
Sound. Complete but for subdomains in which every neuron is fixed and whose margin the multipliers do not settle.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from verifier.bounds.alpha_crown import Choice, Subdomains, Target, check, default_choice, optimise
from verifier.bounds.folded_graph import FoldedGraph
from verifier.bounds.optimised_root import optimised_root
from verifier.bounds.split_bounds import RootBox
from verifier.bounds.subdomain_bounds import Unsafe, tighten_subdomains
from verifier.budget import Budget
from verifier.enclosure import Array, Bounds, Indices, Mask
from verifier.search.clause_rows import ClauseRows
from verifier.bounds.relu_branching import LOOK_AHEAD, choose_neurons
from verifier.verdict import BELOW_ROUNDING, Counterexample, Question, check_counterexample

MAX_BATCH = 64  # subdomains bounded at once: more would settle more a second, and choose worse which to settle
MULTIPLICATIONS = 2e9  # of one backward pass of a batch: a step takes a fraction of a second
STEPS = 20  # Adam steps a subdomain
ROOT_STEPS = 50  # Adam steps of the clauses over the whole box
LEAF_STEPS = 100  # Adam steps where every neuron is fixed and only the multipliers are left
import os
GAIN = float(os.environ.get("GAIN", 0.1))
MAX_ROUNDS = int(os.environ.get("ROUNDS", 4))
TIGHTEN_DEPTH = int(os.environ.get("TD", 3))  # splits after which a subdomain's hidden bounds are recomputed
TIGHTEN_STEPS = int(os.environ.get('TS', 10))  # Adam steps of that
TIGHTEN_BATCH = 8  # subdomains at once
TIGHTEN_SHARE = 1.0  # of the work spent on bounding subdomains
TIGHTEN_FIRST = 2e9  # multiplications granted before
BOUNDS_BYTES = 512 * 2**20  # memory for tightened bounds; beyond it no more are computed
WARM_BYTES = 512 * 2**20  # memory for slopes and multipliers handed down; beyond it children start from CROWN's
MAX_OPEN = 400_000  # open subdomains kept best-first; beyond it the search goes depth-first, which opens few
FIXED = "every neuron of a subdomain is fixed and its multipliers leave the margin open"
NOT_LINEAR = "ReLU splitting needs margins that are linear in the logits"


@dataclass(order=True)
class _Open:
    """An open subdomain, not bounded yet, the one with the smallest bound first."""

    priority: float
    number: int
    clause: int = field(compare=False)  # its position among the clauses left
    sign: Array = field(compare=False)  # int8, (unstable,)
    warm: tuple[Array, Array, Array | None] | None = field(compare=False)  # slope, multiplier, mixture; float16
    depth: int = field(compare=False)
    margin: float = field(compare=False)
    bounds: tuple[Array, Array] | None = field(compare=False, default=None)  # tighter than the box's, (unstable,) each
    tightened: int = field(compare=False, default=0)  # the depth at which they were computed


class ReluSplit:
    """A search that can be continued: run() goes on until the question is settled or a limit is reached.

    Args:
        question: What is asked; its margins must be linear in the logits.
        known: Bounds on the hidden layers that hold in the whole box, (neurons,) each.

    Source:
        Wang et al. Beta-CROWN: Efficient Bound Propagation with Per-neuron Split Constraints for Neural Network
        Robustness Verification. NeurIPS 2021. Departs from it by the float64 check of every bound that counts, and by
        folding the neurons that are stable over the whole box.
    """

    def __init__(self, question: Question, *, known: tuple[Bounds, ...] | None = None) -> None:
        """Begin with the whole box."""
        self.question, self._known = question, known or None
        self.counterexample: Counterexample | None = None
        self.near = False  # a candidate was met whose margin is below rounding
        self.stuck: list[float] = []  # margins of subdomains with nothing left to split
        self._work = self._tighten_work = 0.0  # multiplications spent on bounding and on tightening subdomains
        self._whole = True  # False while subdomains are in hand: an interrupt could lose some
        self._numbers = itertools.count()
        self._open: list[_Open] = []
        self._root: tuple[RootBox, tuple[Bounds, ...]] | None = None
        self._supported = question.margins.linear
        if self._supported:
            open_clauses = [
                i
                for i, clause in enumerate(question.margins.clauses)
                if not any(question.margins.margins[m].offset == np.inf for m in clause)
            ]
            self._clauses = ClauseRows(question.margins, open_clauses)
            if self._clauses.impossible:  # violated everywhere, so the box's centre will do
                centre = 0.5 * (question.box.lower + question.box.upper)
                found = check_counterexample(question, centre)
                self.counterexample = found if isinstance(found, Counterexample) else None
                self.stuck.append(-np.inf)
                return
            for position, _ in enumerate(open_clauses):  # the neurons' signs follow with the root bounds
                self._push(position, np.zeros(0, dtype=np.int8), None, 0, -np.inf)

    @property
    def open_boxes(self) -> list[_Open]:
        """Subdomains not settled yet."""
        return self._open

    @property
    def verified(self) -> bool:
        """Whether every part is settled and none is violated."""
        settled = not self._open and not self.stuck and self._whole
        return self._supported and self.counterexample is None and settled

    @property
    def margin(self) -> float:
        """The best lower bound on the worst margin that the parts prove."""
        if not self._supported:
            return -np.inf
        return min([one.margin for one in self._open] + self.stuck, default=np.inf)

    @property
    def reason(self) -> str:
        """Why the search ended without an answer, where no limit was reached."""
        if not self._supported:
            return NOT_LINEAR
        if not self.stuck or self._open:
            return ""
        return BELOW_ROUNDING if self.near else FIXED

    def run(self, budget: Budget, max_boxes: float = np.inf) -> None:
        """Go on until settled, until the budget is exhausted, or for at most max_boxes subdomains."""
        used = 0
        if self._open and self.counterexample is None and not budget.exhausted():
            self._begin(budget)
        while self._open and self.counterexample is None and not budget.exhausted() and used < max_boxes:
            size = int(min(self._batch, len(self._open), budget.subdomains_left, max_boxes - used))
            self._whole = False
            batch = [heapq.heappop(self._open) for _ in range(size)]
            before = len(self.stuck)
            children: list[_Open] = []
            finished = False
            try:
                finished = self._step(batch, children, budget)
            finally:
                if not finished:  # nothing of them is lost
                    children = batch
                    del self.stuck[before:]
                for one in children:
                    heapq.heappush(self._open, one)
                self._whole = True
            used += size
            budget.count(size, lambda: f"{len(self._open):,} open, margin >= {self.margin:.3g}")

    def _begin(self, budget: Budget) -> None:
        """Bound the hidden layers over the whole box, once."""
        if self._root is not None:
            return
        box = Bounds(self.question.box.lower, self.question.box.upper)
        network = self.question.subject.network
        root, pre = optimised_root(network, box, self._known, stop=lambda: budget.seconds_left <= 0)
        self._graph = FoldedGraph(network, box, pre)
        self._lower, self._upper = (self._graph.gather([getattr(z, side) for z in pre]) for side in ("lower", "upper"))
        self._lower, self._upper = self._lower.reshape(1, -1), self._upper.reshape(1, -1)
        for one in self._open:
            one.sign = np.zeros(self._graph.unstable_count, dtype=np.int8)
        self._batch = int(max(1, min(MAX_BATCH, MULTIPLICATIONS / max(1, self._graph.cost))))
        which = np.arange(len(self._clauses.clauses))
        target = self._clauses.target(self._graph, which)
        lower, upper = np.repeat(self._lower, which.size, 0), np.repeat(self._upper, which.size, 0)
        domains = Subdomains.of(lower, upper, np.zeros_like(lower), self._graph.dtype)
        choice = default_choice(domains, which.size, self._graph.unstable_count)
        if self._clauses.most > 1:
            choice.mixture = choice.slope.new_zeros(which.size, self._clauses.most)
        low = optimise(self._graph, target, domains, choice, steps=10)[0]
        high = -optimise(self._graph, Target({j: -o for j, o in target.sources.items()}, -target.constant, target.valid), domains, choice, steps=10)[0]
        self._span = (high - low).clamp(min=1e-6)
        self._root = root, pre

    def _step(self, batch: Sequence[_Open], children: list[_Open], budget: Budget) -> bool:
        """Bound a batch of subdomains and settle or split each; False where time ran out first."""

        def stop() -> bool:
            return budget.seconds_left <= 0

        todo = list(batch)
        rounds = 0
        warm = self._warm(todo)
        while todo:
            which, proved, choice, slope = self._bound(todo, warm, stop)
            if stop():
                return False
            settled = self._clauses.settled(which, proved)
            gained = np.array([p > one.margin + GAIN * abs(p) for p, one in zip(proved, todo, strict=True)])
            for one, value in zip(todo, proved.tolist(), strict=True):
                one.margin = value
            left = np.flatnonzero(~settled)
            if left.size == 0:
                return True
            if self._look(slope[left], which[left]):
                return False
            todo, warm, which = [todo[i] for i in left], _take(choice, torch.from_numpy(left)), which[left]
            due = [i for i, one in enumerate(todo) if (rounds == 0 and self._due(one)) or (rounds and gained[left[i]])]
            ready = [i for i in range(len(todo)) if i not in set(due)] if rounds < MAX_ROUNDS else list(range(len(todo)))
            if ready:
                self._branch([todo[i] for i in ready], _take(warm, torch.tensor(ready)), children)
            if rounds >= MAX_ROUNDS or not due:
                return True
            todo, warm = [todo[i] for i in due], _take(warm, torch.tensor(due))
            empty = self._tighten(todo, warm, stop)
            kept = [i for i in range(len(todo)) if not empty[i]]
            todo, warm = [todo[i] for i in kept], _take(warm, torch.tensor(kept, dtype=torch.long))
            rounds += 1
        return True

    def _due(self, one: _Open) -> bool:
        return one.depth - one.tightened >= TIGHTEN_DEPTH or one.bounds is None

    def _bound(self, todo: Sequence[_Open], warm: Choice, stop: Callable[[], bool]) -> tuple[Indices, Array, Choice, Array]:
        """Bound the clauses of subdomains; what is returned as proved holds."""
        graph = self._graph
        which = np.array([one.clause for one in todo], dtype=np.intp)
        lower, upper, sign = self._stack(todo)
        domains = Subdomains.of(lower, upper, sign, graph.dtype)
        target = self._clauses.target(graph, which)

        def enough(value: torch.Tensor) -> bool:
            return bool((value > 1e-4).all())

        steps = STEPS if any(one.depth for one in todo) else ROOT_STEPS
        value, choice = optimise(graph, target, domains, warm, steps=steps, enough=enough, stop=stop)
        self._work += len(todo) * steps * graph.cost
        fixed = (sign != 0).all(axis=1)
        if (fixed & (value.numpy() <= 0)).any() and not stop():
            value, choice = optimise(graph, target, domains, choice, steps=LEAF_STEPS, enough=enough, stop=stop)
        proved, slope = self._prove(which, sign, lower, upper, choice)
        return which, np.maximum(proved, [one.margin for one in todo]), choice, slope

    def _branch(self, todo: Sequence[_Open], choice: Choice, children: list[_Open]) -> None:
        """Split each subdomain at a neuron."""
        graph = self._graph
        which = np.array([one.clause for one in todo], dtype=np.intp)
        lower, upper, sign = self._stack(todo)
        domains = Subdomains.of(lower, upper, sign, graph.dtype)
        value = torch.tensor([one.margin for one in todo], dtype=graph.dtype)
        neurons = choose_neurons(graph, self._clauses.target(graph, which), domains, choice, value, LOOK_AHEAD).numpy()
        for i, one in enumerate(todo):
            if neurons[i] < 0:
                self.stuck.append(one.margin)
                continue
            warm = self._pack(choice, i)
            for half in (1, -1):
                child = one.sign.copy()
                child[neurons[i]] = half
                made = self._make(one.clause, child, warm, one.depth + 1, one.margin)
                made.bounds, made.tightened = one.bounds, one.tightened
                children.append(made)

    def _stack(self, batch: Sequence[_Open]) -> tuple[Array, Array, Array]:
        """Collect the subdomains' bounds and signs, (subdomains, unstable) each."""
        sign = np.array([one.sign for one in batch])
        lower = np.array([self._lower[0] if one.bounds is None else one.bounds[0] for one in batch])
        upper = np.array([self._upper[0] if one.bounds is None else one.bounds[1] for one in batch])
        return (
            np.where(sign > 0, np.maximum(lower, 0.0), lower),
            np.where(sign < 0, np.minimum(upper, 0.0), upper),
            sign,
        )

    def _tighten(self, todo: Sequence[_Open], choice: Choice, stop: Callable[[], bool]) -> Mask:
        """Tighten the hidden bounds of subdomains; which hold no unsafe point."""
        assert self._root is not None
        clauses, graph = self._clauses, self._graph
        empty = np.zeros(len(todo), dtype=bool)
        for first in range(0, len(todo), TIGHTEN_BATCH):
            some = list(range(first, min(first + TIGHTEN_BATCH, len(todo))))
            chosen = [todo[i] for i in some]
            which = np.array([one.clause for one in chosen], dtype=np.intp)
            lower, upper, sign = self._stack(chosen)
            unsafe = Unsafe(
                clauses.target(graph, which), _take(choice, torch.tensor(some)), self._span[torch.from_numpy(which)],
                lambda rows, given, which=which: clauses.checked(self._root[0], which[rows], given)[0],
            )  # fmt: skip
            lower, upper, sign, nothing = tighten_subdomains(
                self._root[0], graph, unsafe, lower, upper, sign, steps=TIGHTEN_STEPS, stop=stop,
            )  # fmt: skip
            empty[some] = nothing
            for i, one in enumerate(chosen):
                one.sign, one.bounds, one.tightened = sign[i], (lower[i], upper[i]), one.depth
        return empty

    def _open_bytes(self) -> int:
        return int(len(self._open) * self._graph.unstable_count * 8)  # two children share two arrays of float64

    def _prove(self, which: Indices, sign: Array, lower: Array, upper: Array, choice: Choice) -> tuple[Array, Array]:
        """Recompute the bounds of the rows in float64; what is returned holds, rounding included."""
        assert self._root is not None
        rows, counts = self._clauses.checked(self._root[0], which, choice)
        found = check(self._root[0], self._graph, rows, lower, upper, sign, choice)
        return self._clauses.margin(np.where(counts, found.lower, -np.inf)), found.slope

    def _look(self, slope: Array, which: Indices) -> bool:
        """Replay the points at which the linear bounds are smallest; whether one is a counterexample."""
        question, margins = self.question, self.question.margins
        points = np.unique(np.where(slope > 0, question.box.lower, question.box.upper), axis=0)
        rows = question.subject.network.logits(points) @ margins.rows.T
        values = margins.clause_margins(margins.lower(rows)).min(axis=1)
        for k in np.argsort(values, kind="stable")[:4]:
            if values[k] > 0:
                break
            found = check_counterexample(question, points[k])
            if isinstance(found, Counterexample):
                self.counterexample = found
                return True
            self.near |= found.near
        return False

    def _warm(self, batch: Sequence[_Open]) -> Choice:
        """Collect what the subdomains inherited; one that inherited nothing starts from CROWN's slopes."""
        lower, upper, sign = self._stack(batch)
        domains = Subdomains.of(lower, upper, sign, self._graph.dtype)
        choice = default_choice(domains, len(batch), self._graph.unstable_count)
        if self._clauses.most > 1:
            choice.mixture = choice.slope.new_zeros(len(batch), self._clauses.most)
        for i, one in enumerate(batch):
            if one.warm is None:
                continue
            slope, multiplier, mixture = one.warm
            choice.slope[i] = torch.from_numpy(slope)
            choice.multiplier[i] = torch.from_numpy(multiplier)
            if choice.mixture is not None and mixture is not None:
                choice.mixture[i] = torch.from_numpy(mixture)
        return choice

    def _pack(self, choice: Choice, row: int) -> tuple[Array, Array, Array | None] | None:
        """Pack one row's choice for its children, who share it, while there is room."""
        if len(self._open) * self._graph.unstable_count * 2 * 3 // 2 > WARM_BYTES:
            return None
        mixture = None if choice.mixture is None else choice.mixture[row].numpy().copy()
        return choice.slope[row].numpy().astype(np.float16), choice.multiplier[row].numpy().copy(), mixture

    def _make(
        self, clause: int, sign: Array, warm: tuple[Array, Array, Array | None] | None, depth: int, margin: float
    ) -> _Open:
        priority = -1e300 - depth if len(self._open) > MAX_OPEN else margin
        return _Open(priority, next(self._numbers), clause, sign, warm, depth, margin)

    def _push(
        self, clause: int, sign: Array, warm: tuple[Array, Array, Array | None] | None, depth: int, margin: float
    ) -> None:
        heapq.heappush(self._open, self._make(clause, sign, warm, depth, margin))


def _take(choice: Choice, rows: torch.Tensor) -> Choice:
    mixture = None if choice.mixture is None else choice.mixture[rows]
    return Choice(choice.slope[rows], choice.multiplier[rows], mixture)
