"""ReLU splitting: bound a part of the box, look for a counterexample in it, split it at an unstable neuron, and so on.

For networks with many inputs, where splitting the box itself settles too little. In the order of a run:
- bound the clauses over the box, with optimised slopes on the hidden bounds that are known: on a network of ten
  thousand neurons that costs a hundredth of the next step;
- bound every hidden layer over the box, with optimised slopes; where the search then costs more than better bounds
  would, refine each of them by a small search of its own, and begin again (optimised_root.py, split_refinement.py);
- bound the clauses of subdomains, which are the box together with the signs of some neurons, from optimised slopes and
  split multipliers (alpha-beta-CROWN), warm-started from the parent, batched, in float32;
- where that settles nothing, tighten the hidden bounds at the points that violate the clause (subdomain_bounds.py);
- then split at the neuron that promises most, and go on with the worst subdomain.
What closes a subdomain is recomputed in float64. Where every neuron is fixed the rest is a linear program, asked of
`leaf`. Sound; complete but for leaves whose margin is below rounding.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch

from verifier.answer.budget import Budget
from verifier.answer.outcome import Outcome
from verifier.answer.reason import BELOW_ROUNDING, Reason, Why
from verifier.answer.verdict import Counterexample, Question
from verifier.enclosure import Array, Bounds
from verifier.search.events import By, Event, Fate, Observer, Proof, Split
from verifier.search.open_parts import InHand, OpenParts
from verifier.search.protocol import Replayer
from verifier.search.relu.alpha_crown import Choice
from verifier.search.relu.clause_rows import ClauseRows
from verifier.search.relu.optimised_root import optimised_root, refinable
from verifier.search.relu.subdomain_bounds import Contradiction
from verifier.search.relu.subdomains import Open, RootWork, Signs, Warm, at_once, pack, take, whole_box

EFFORTS = tuple(1e10 * 8.0**i for i in range(4))  # multiplications a layer to refine the root with, each time
FIRST_LOOKS = 3  # batches split for the points they show, before the root is refined at all
GAIN = 0.1  # relative gain of a margin for which its subdomain is tightened once more
MAX_ROUNDS = 4  # tightenings of a subdomain before it is split
CHEAP = 2e10  # multiplications of a tightening that is always made; a dearer one waits until the rest has cost as much
BOUNDS_BYTES = 512 * 2**20  # memory for tightened bounds; beyond it no more are computed
WARM_BYTES = 512 * 2**20  # memory for slopes and multipliers handed down; beyond it children start from CROWN's
MAX_OPEN = 400_000  # open subdomains kept best-first; beyond it the search goes depth-first, which opens few
FIXED = Why(Reason.BELOW_ROUNDING, "every neuron of a subdomain is fixed and its multipliers leave the margin open")
NOT_LINEAR = Why(Reason.NOT_SUPPORTED, "ReLU splitting needs margins that are linear in the logits")

Leaf = Callable[[tuple[int, ...], Sequence[Array], float], Outcome]


class ReluSplit:
    """A search that can be continued: run() goes on until the question is settled or a limit is reached.

    Args:
        question: What is asked; its margins must be linear in the logits.
        known: Bounds on the hidden layers that hold in the whole box, (neurons,) each.
        leaf: Given a clause's margins by index, the sign of every hidden neuron, (neurons,) a layer, and seconds: an
            Outcome, verified where no point with these signs violates the clause. None: leaves stay open.
        observe: Told of every subdomain what became of it (events.py).

    Source:
        Wang et al. Beta-CROWN: Efficient Bound Propagation with Per-neuron Split Constraints for Neural Network
        Robustness Verification. NeurIPS 2021. Departs from it by the float64 check of every bound that counts, by
        folding the neurons that are stable over the whole box, and by the clause as a constraint on hidden bounds.
    """

    def __init__(
        self, question: Question, *, known: tuple[Bounds, ...] | None = None, leaf: Leaf | None = None,
        observe: Observer | None = None,
    ) -> None:  # fmt: skip
        """Begin with the whole box."""
        self.question, self._known, self._leaf = question, known or None, leaf
        self._replayer = Replayer(question)
        self._parts: OpenParts[Open] = OpenParts(observe)  # stuck are subdomains with nothing left to split
        self._work = self._tighten_work = 0.0  # multiplications since the root was bounded last
        self._impossible = False  # a clause holds nowhere
        self._at: RootWork | None = None
        self._glanced = not self._known  # whether the clauses were bounded on what is known
        self._looks = 0  # batches whose points were replayed
        self._level = 0  # refinements of the root so far
        self._supported = question.margins.linear
        if self._supported:
            open_clauses = [
                i
                for i, clause in enumerate(question.margins.clauses)
                if not any(question.margins.margins[m].offset == np.inf for m in clause)
            ]
            self._clauses = ClauseRows(question.margins, open_clauses)
            if self._clauses.impossible:  # violated everywhere, so the box's centre will do
                self._replayer.confirms(0.5 * (question.box.lower + question.box.upper))
                self._impossible = True
                return
            for position, _ in enumerate(open_clauses):  # the neurons' signs follow with the root bounds
                self._parts.push(self._make(position, np.zeros(0, dtype=np.int8), None, None, -np.inf))

    @property
    def counterexample(self) -> Counterexample | None:
        """The first one that was replayed."""
        return self._replayer.counterexample

    @property
    def near(self) -> bool:
        """Whether a candidate was met whose margin is below rounding."""
        return self._replayer.near

    @property
    def open_boxes(self) -> OpenParts[Open]:
        """Subdomains not settled yet."""
        return self._parts

    @property
    def verified(self) -> bool:
        """Whether every part is settled and none is violated."""
        settled = self._supported and not self._impossible and self._parts.settled
        return settled and self.counterexample is None

    @property
    def margin(self) -> float:
        """The best lower bound on the worst margin that the parts prove."""
        return self._parts.margin if self._supported and not self._impossible else -np.inf

    @property
    def reason(self) -> Why | None:
        """Why the search ended without an answer, where no limit was reached."""
        if not self._supported:
            return NOT_LINEAR
        if self._parts or not (self._parts.stuck or self._impossible):
            return None
        return BELOW_ROUNDING if self.near else FIXED

    def run(self, budget: Budget, max_boxes: float = np.inf) -> None:
        """Go on until settled, until the budget is exhausted, or for at most max_boxes subdomains."""
        used = 0
        while self._parts and self.counterexample is None and not budget.exhausted() and used < max_boxes:
            if not self._glanced:
                used += self._glance(budget, max_boxes)
                continue
            if (self._at is None or self._work > self._next_effort(self._at)) and not self._refine(budget):
                break
            assert self._at is not None
            size = int(min(at_once(self._at), len(self._parts), budget.subdomains_left, max_boxes - used))
            with self._parts.in_hand(size) as step:
                step.finished = self._step(self._at, step, budget)
            used += size
            budget.count(size, lambda: f"{len(self._parts):,} open, margin >= {self.margin:.3g}")

    def _glance(self, budget: Budget, max_boxes: float) -> int:
        """Bound the clauses over the box on the hidden bounds that are known; returns how many that settles."""
        box = Bounds(self.question.box.lower, self.question.box.upper)
        root = optimised_root(self.question.network, box, self._known, steps=0)
        todo = sorted(self._parts)[: int(min(len(self._parts), budget.subdomains_left, max_boxes))]
        clauses = ClauseRows(self.question.margins, self._clauses.clauses)  # which keeps the root's graph, as `at` does
        at = RootWork(self.question.network, root, clauses)
        proved, proofs = whole_box(at, todo, budget.time_is_up, keep=self._parts.observe is not None)
        which = np.array([one.clause for one in todo], dtype=np.intp)
        settled = {one.number for one, done in zip(todo, clauses.settled(which, proved), strict=True) if done}
        for one, value in zip(todo, proved.tolist(), strict=True):
            one.margin = value
        self._parts.replace([one for one in self._parts if one.number not in settled])
        if self._parts.observe is not None:
            for one, proof in zip(todo, proofs, strict=False):  # there are fewer proofs where time ran out
                if one.number in settled:
                    one.sign = np.zeros(at.graph.unstable_count, dtype=np.int8)
                    self._parts.observe(self._event(at, one, Fate.VERIFIED, proof=proof))
        self._glanced = True
        budget.count(len(settled), lambda: f"{len(self._parts):,} open, margin >= {self.margin:.3g}")
        return len(settled)

    def _next_effort(self, at: RootWork) -> float:
        """The work that the next refinement of the root costs at most, all layers together; inf where none helps."""
        layers = len(at.root.pre) - 1
        if self._level >= len(EFFORTS) or not refinable(at.graph, EFFORTS[self._level]):
            return np.inf
        return EFFORTS[self._level] * layers

    def _refine(self, budget: Budget) -> bool:
        """Bound the hidden layers over the whole box, the better the more often it is asked; begin again with that.

        False where time ran out first; then nothing has changed.

        A refinement comes when the search has cost as much, so that at most half of all work is lost where a question
        is hard, and little is spent where it is easy.
        """
        network, at = self.question.network, self._at
        box = Bounds(self.question.box.lower, self.question.box.upper)
        known, effort = (self._known, 0.0) if at is None else (at.root.pre, EFFORTS[self._level])
        root = optimised_root(network, box, known, effort=effort, stop=budget.time_is_up)
        if budget.seconds_left <= 0:
            return False
        found = RootWork(network, root, self._clauses)
        margins: dict[int, float] = {}
        for one in [*self._parts, *self._parts.stuck]:
            margins[one.clause] = min(one.margin, margins.get(one.clause, np.inf))
        none = np.zeros(found.graph.unstable_count, dtype=np.int8)
        fresh = [self._make(clause, none, None, None, margin) for clause, margin in sorted(margins.items())]
        self._level += at is not None
        self._parts.replace(fresh)
        self._at, self._work, self._tighten_work = found, 0.0, 0.0
        return True

    def _step(self, at: RootWork, step: InHand[Open], budget: Budget) -> bool:
        """Bound a batch of subdomains and settle or split each; False where time ran out first."""
        observed = self._parts.observe is not None
        stop, todo, choice = budget.time_is_up, list(step.parts), at.inherited(step.parts)
        for rounds in itertools.count():
            proved, choice, slope, work = at.bound(todo, choice, stop)
            self._work += work
            if stop():
                return False
            settled = self._clauses.settled(np.array([one.clause for one in todo]), proved)
            gained = [value > one.margin + GAIN * abs(value) for value, one in zip(proved, todo, strict=True)]
            for one, value in zip(todo, proved.tolist(), strict=True):
                one.margin = value
            left = np.flatnonzero(~settled).tolist()
            if observed:
                for i in np.flatnonzero(settled).tolist():
                    proof = at.proof(todo[i], take(choice, torch.tensor([i])))
                    step.events.append(self._event(at, todo[i], Fate.VERIFIED, proof=proof))
            if not left:
                return True
            if self._look(slope[left]):
                return False
            due = [i for i in left if rounds < MAX_ROUNDS and (gained[i] if rounds else self._due(at, todo[i]))]
            ready = [i for i in left if i not in set(due)]
            if not self._split(at, [todo[i] for i in ready], take(choice, torch.tensor(ready, dtype=torch.long)),
                               step, budget):  # fmt: skip
                return False
            todo, choice = [todo[i] for i in due], take(choice, torch.tensor(due, dtype=torch.long))
            work = at.tightening(todo)
            if self._work + work > self._next_effort(at):  # better bounds for all subdomains come first
                if self._looks <= FIRST_LOOKS:
                    return self._split(at, todo, choice, step, budget)
                self._work += work
                step.children.extend(todo)
                return True
            why: dict[int, Contradiction] | None = {} if observed else None
            empty = at.tighten(todo, choice, stop, why)
            for i, found in (why or {}).items():
                step.events.append(self._event(at, todo[i], Fate.VERIFIED, proof=at.contradiction(todo[i], found)))
            self._work, self._tighten_work = self._work + work, self._tighten_work + work
            kept = np.flatnonzero(~empty).tolist()
            if not kept:
                return True
            todo, choice = [todo[i] for i in kept], take(choice, torch.tensor(kept))
        return True

    def _due(self, at: RootWork, one: Open) -> bool:
        """Whether a subdomain's hidden bounds are to be tightened now."""
        work = at.tightening([one])
        if one.tightened >= one.depth or work == 0 or self._open_bytes(at) > BOUNDS_BYTES:
            return False
        return work <= CHEAP or self._tighten_work + work <= self._work - self._tighten_work

    def _open_bytes(self, at: RootWork) -> int:
        return int(len(self._parts) * at.graph.unstable_count * 8)  # two children share two arrays of float64

    def _split(self, at: RootWork, some: Sequence[Open], choice: Choice, step: InHand[Open], budget: Budget) -> bool:
        """Split subdomains at a neuron each, and settle those that have none left; False where that ends the search."""
        if not some:
            return True
        for i, (one, neuron) in enumerate(zip(some, at.choose(some, choice).tolist(), strict=True)):
            if neuron < 0:
                if not self._settle_leaf(at, one, step, budget):
                    return False
                continue
            crowded = len(self._parts) * at.graph.unstable_count * 2 * 3 // 2 > WARM_BYTES
            warm = None if crowded else pack(choice, i)
            for half in (1, -1):
                sign = one.sign.copy()
                sign[neuron] = half
                child = self._make(one.clause, sign, warm, one, one.margin)
                child.bounds, child.tightened = one.bounds, one.tightened
                step.children.append(child)
            if self._parts.observe is not None:
                above, below = (child.number for child in step.children[-2:])
                split = Split(at.place(neuron), 0.0, below, above)
                step.events.append(self._event(at, one, Fate.SPLIT, split=split))
        return True

    def _settle_leaf(self, at: RootWork, one: Open, step: InHand[Open], budget: Budget) -> bool:
        """Ask the linear program about a subdomain in which every neuron is fixed; False where that ends the search."""
        if self._leaf is not None:
            clause = self.question.margins.clauses[self._clauses.clauses[one.clause]]
            found = self._leaf(clause, at.signs(one), budget.seconds_left)
            if found.verified:
                proof = Proof(By.PROGRAM, multipliers=found.multipliers)
                step.events.append(self._event(at, one, Fate.VERIFIED, proof=proof))
                return True
            if found.candidate is not None and self._replayer.confirms(found.candidate):
                return False
            if budget.seconds_left <= 0:
                return False
        step.stuck.append(one)
        step.events.append(self._event(at, one, Fate.OPEN))
        return True

    def _event(
        self, at: RootWork, one: Open, fate: Fate, *, split: Split | None = None, proof: Proof | None = None
    ) -> Event:
        box, clause = self.question.box, self._clauses.clauses[one.clause]
        return Event(
            one.number, one.parent, fate, box.lower, box.upper, clause, tuple(at.signs(one)), split=split, proof=proof
        )

    def _look(self, slope: Array) -> bool:
        """Replay the points at which the linear bounds are smallest; whether one is a counterexample."""
        question, margins = self.question, self.question.margins
        self._looks += 1
        points = np.unique(np.where(slope > 0, question.box.lower, question.box.upper), axis=0)
        rows = question.network.logits(points) @ margins.rows.T
        values = margins.clause_margins(margins.lower(rows)).min(axis=1)
        for k in np.argsort(values, kind="stable")[:4]:
            if values[k] > 0:
                break
            if self._replayer.confirms(points[k]):
                return True
        return False

    def _make(self, clause: int, sign: Signs, warm: Warm | None, parent: Open | None, margin: float) -> Open:
        depth = 0 if parent is None else parent.depth + 1
        priority = -1e300 - depth if len(self._parts) > MAX_OPEN else margin
        above = None if parent is None else parent.number
        return Open(priority, self._parts.number(), above, depth, margin, clause, sign, warm)
