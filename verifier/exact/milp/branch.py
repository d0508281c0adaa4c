"""Our own branch and bound over partial configurations: a linear program at each node, dependencies found there.

A node fixes the states of some ReLUs. Bounds are recomputed under them; what dependencies imply is fixed as well; the
program's relaxation, with the switches anywhere in [0, 1] and the dependencies as cuts on them, bounds the clause's
best margin. What closes a node is never HiGHS's word but its multipliers, for which any will do, evaluated here and
rounded: above 0 the clause holds, and a ray with a value above 0 shows that nothing has these states (Farkas).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.milp_work import MilpWork
from verifier.answer.reason import Reason, Why
from verifier.answer.verdict import Question
from verifier.enclosure import Array, Bounds, Indices
from verifier.exact.linear.check import proves_infeasible, safe_lower_bound
from verifier.exact.linear.dependencies import Dependency
from verifier.exact.linear.encode_margin import encode_clause
from verifier.exact.linear.leaf import leaf_check
from verifier.exact.milp.configuration import (
    Configured,
    Pre,
    Rules,
    bound_configuration,
    find_rules,
    fix_state,
    unstable_neurons,
)
from verifier.exact.milp.found import Confirms, Found
from verifier.exact.milp.highs import why_open
from verifier.exact.milp.options import MilpOptions
from verifier.search.open_parts import InHand, OpenParts, Part
from verifier.solvers.highs_solver import Program, solve
from verifier.solvers.status import Answer, Status

LEAF_OPEN = Why(Reason.SOLVER_TOLERANCE, "margin within the tolerance of the linear programs")


@dataclass(eq=False)
class Node(Part):
    """A partial configuration.

    Args:
        pre: Bounds on each hidden layer, those of the fixed states included, (neurons,) each.
        fixed: The states fixed by splits and by what followed from them, (neurons,): +1, -1 or 0.
        rules: Dependencies that hold under it.
    """

    pre: Pre
    fixed: Indices
    rules: Rules


class Branching:
    """A search for a configuration in which one clause fails.

    Args:
        question: Its margins must be linear in the logits.
        clause: The margins of the clause, by index.
        root: What bounds say of the whole box.
        rules: Dependencies that hold in the whole box.
        options: The ingredients.
        work: Counted up.
        confirms: Told of candidates.
    """

    def __init__(
        self, question: Question, clause: tuple[int, ...], root: Configured, rules: Rules, options: MilpOptions,
        work: MilpWork, confirms: Confirms,
    ) -> None:  # fmt: skip
        """Begin with no state fixed."""
        self.question, self.clause, self.options = question, clause, options
        self.work, self.confirms = work, confirms
        self._root = root
        self._strict = any(question.margins.margins[number].strict for number in clause)
        self._parts: OpenParts[Node] = OpenParts()
        nothing = np.zeros(sum(one.lower.size for one in root.pre), dtype=np.intp)
        self._parts.push(Node(-np.inf, self._parts.number(), None, 0, -np.inf, root.pre, nothing, rules))
        self._stuck: Why | None = None
        self._candidate: Array | None = None

    def run(self, budget: Budget) -> Found:
        """Go on until nothing is open, a candidate ends it, or a limit is reached."""
        while self._parts:
            why = budget.exhausted()
            if why is not None:
                return Found(why=why)
            with self._parts.in_hand(1) as step:
                why = self._step(step, budget)
                step.finished = why is None
            budget.count(1, lambda: f"{len(self._parts):,} open")
            if self._candidate is not None:
                return Found(candidate=self._candidate)
            if why is not None:
                return Found(why=why)
        return Found(why=self._stuck) if self._stuck is not None else Found(closed=True)

    def _step(self, step: InHand[Node], budget: Budget) -> Why | None:
        """Bound one node, and close it or split it; why it could not be done, where time ran out in it."""
        (node,) = step.parts
        self.work.nodes += 1
        bounded = self._bounded(node)
        if bounded is None:
            return None
        node, found = bounded
        program = relaxed(
            encode_clause(
                self.question, self.clause, found.pre, found.logits, switches=True, cuts=self._cuts(node),
                balas=self.options.formulation == "balas",
            )
        )  # fmt: skip
        answer = solve(program, timeout_s=budget.seconds_left)
        self.work.linear_programs += 1
        if answer.status is Status.TIME_LIMIT:
            return why_open(answer.status, budget)
        low = self._proved(program, answer)
        if low > 0 or (low >= 0 and not self._strict):
            return None
        if answer.point is not None and self._ends_with(answer.point[program.columns["x"]]):
            return None
        if unstable_neurons(node.pre) == 0:
            self._settle_leaf(node, answer, budget)
            return None
        layer, neuron = self._choose(found, program, answer)
        start = sum(one.lower.size for one in node.pre[:layer])
        for active in (False, True):
            fixed = node.fixed.copy()
            fixed[start + neuron] = 1 if active else -1
            pre = fix_state(node.pre, layer, neuron, active)
            step.children.append(
                Node(low, self._parts.number(), node.number, node.depth + 1, low, pre, fixed, node.rules)
            )
        self.work.neuron_splits += 1
        return None

    def _bounded(self, node: Node) -> tuple[Node, Configured] | None:
        """Take what follows from a node's states; None where nothing has them, or where bounds alone settle it."""
        found: Configured | None = self._root
        if node.parent is not None:
            found = self._again(node)
            if found is None:
                return None
            if self.options.cuts == "during":
                count = len(node.rules.dependencies)
                kept = find_rules(self.question, node.pre, self.options, node.rules)
                node.rules = kept
                if len(kept.dependencies) > 0 and len(kept.dependencies) != count:
                    found = self._again(node)
        if found is None or self.question.margins.settled(found.margins)[self._number]:
            return None
        return node, found

    @property
    def _number(self) -> int:
        return self.question.margins.clauses.index(self.clause)

    def _again(self, node: Node) -> Configured | None:
        """Fix what rules imply and recompute the bounds."""
        implied = node.rules.apply(node.pre, node.fixed)
        if implied is None:
            return None
        self.work.implied += int((implied[1] != node.fixed).sum())
        node.pre, node.fixed = implied
        found = bound_configuration(self.question, node.pre, self.options.bounds)
        if found is None:
            return None
        node.pre = found.pre
        low, high = (getattr(self._root.logits, side) for side in ("lower", "upper"))
        low, high = np.maximum(low, found.logits.lower), np.minimum(high, found.logits.upper)
        return None if (low > high).any() else dataclasses.replace(found, logits=Bounds(low, high))

    def _proved(self, program: Program, answer: Answer) -> float:
        """The best lower bound on the clause's margin that the solver's multipliers prove; inf for no point at all."""
        if answer.status is Status.INFEASIBLE and proves_infeasible(program, answer.ray):
            return np.inf
        return -np.inf if answer.duals is None else safe_lower_bound(program, answer.duals)

    def _ends_with(self, point: Array) -> bool:
        """Whether a point of the program is a counterexample."""
        if not np.isfinite(point).all():
            return False
        margins, x = self.question.margins, np.clip(point, self.question.box.lower, self.question.box.upper)
        values = margins.lower(self.question.network.logits(x[None]) @ margins.rows.T)
        if float(margins.clause_margins(values)[0].min()) > 0 or not self.confirms(x):
            return False
        self._candidate = x
        return True

    def _settle_leaf(self, node: Node, answer: Answer, budget: Budget) -> None:
        """Every state is fixed, and the program did not settle it: ask how far its rows are from holding together."""
        signs = [np.where(one.lower >= 0, 1.0, -1.0) for one in node.pre]
        found = leaf_check(self.question, self.clause, signs, budget.seconds_left)
        self.work.linear_programs += 1
        if found.verified or (found.candidate is not None and self._ends_with(found.candidate)):
            return
        known = (Status.OPTIMAL, Status.INFEASIBLE)
        self._stuck = self._stuck or (LEAF_OPEN if answer.status in known else why_open(answer.status, budget))

    def _choose(self, found: Configured, program: Program, answer: Answer) -> tuple[int, int]:
        """The neuron to split: where the program's point is farthest from ReLU, as the clause's margins see it."""
        rows = [row for row in (self.question.margins.margins[m].row for m in self.clause) if row is not None]
        best, place = -1.0, (0, 0)
        for layer, bounds in enumerate(found.pre):
            unstable = (bounds.lower < 0) & (bounds.upper > 0)
            if not unstable.any():
                continue
            width = np.minimum(-bounds.lower, bounds.upper)
            score = np.where(unstable, width, -1.0)
            if found.weight:
                cost = found.weight[layer][rows].sum(axis=0)
                score = np.where(unstable, cost + 1e-9 * width, -1.0)
            if answer.point is not None:
                z, h = (answer.point[program.columns[f"{name}{layer}"]] for name in ("z", "h"))
                gap = np.clip((h - np.maximum(z, 0.0)) / np.where(unstable, width, 1.0), 0.0, 1.0)
                score = np.where(unstable, score * (1e-3 + gap), -1.0)
            neuron = int(score.argmax())
            if score[neuron] > best:
                best, place = float(score[neuron]), (layer, neuron)
        return place

    def _cuts(self, node: Node) -> tuple[Dependency, ...]:
        self.work.cuts += len(node.rules.dependencies)
        return node.rules.dependencies


def relaxed(program: Program) -> Program:
    """The linear relaxation of a mixed-integer program: its switches may lie anywhere between 0 and 1."""
    return dataclasses.replace(program, whole=np.zeros(len(program.cost), dtype=np.bool_))
