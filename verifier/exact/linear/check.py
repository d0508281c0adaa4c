"""Linear programming as a method: HiGHS proposes, and what it says is made good."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.outcome import Outcome
from verifier.answer.reason import Reason, Why
from verifier.answer.verdict import Question
from verifier.enclosure import UNDERFLOW, Array, Bounds, gamma
from verifier.exact.linear.encode_margin import encode_clause
from verifier.search.protocol import Replayer
from verifier.solvers.highs_solver import ChangingProgram, Program, solve

LP_NOT_LINEAR = Why(Reason.NOT_SUPPORTED, "LP does not support limits on Softmax outputs")
RELAXATION_OPEN = Why(Reason.BOUNDS_OPEN, "the linear relaxation does not settle it; method='auto' goes on")


def open_clauses(question: Question) -> list[tuple[int, ...]]:
    """Clauses that do not hold whatever the logits are."""
    margins = question.margins
    return [clause for clause in margins.clauses if all(margins.margins[i].offset != np.inf for i in clause)]


def lp_check(question: Question, pre: Sequence[Bounds], logits: Bounds, budget: Budget) -> Outcome:
    """Bound every clause by a linear program over the triangle relaxation; sound, not complete.

    HiGHS's multipliers are only a proposal: the bound that counts is computed from them here, for which any
    multipliers will do, and rounded down.

    Args:
        question: Its margins must be linear in the logits.
        pre: Bounds on each hidden layer over the box, (neurons,) each.
        logits: Bounds on the logits over the box, (outputs,).
        budget: Seconds left.

    Source:
        Neumaier, Shcherbina. Safe bounds in linear and mixed-integer linear programming. Math. Program. 2004.
    """
    if not question.margins.linear:
        return Outcome.left_open(LP_NOT_LINEAR)
    margins = question.margins
    lows, verified, replayer = [], True, Replayer(question)
    for clause in open_clauses(question):
        if budget.seconds_left <= 0:  # writing a program down takes seconds where a network is large
            lows, verified = [-np.inf], False
            break
        program = encode_clause(question, clause, pre, logits, switches=False)
        answer = solve(program, timeout_s=budget.seconds_left)
        low = safe_lower_bound(program, answer.duals) if answer.duals is not None else -np.inf
        lows.append(low)
        strict = any(margins.margins[number].strict for number in clause)
        if not (low > 0 or (low >= 0 and not strict)):
            verified = False
            if answer.point is not None and replayer.counterexample is None:
                replayer.confirms(answer.point[program.columns["x"]])
    margin = min(lows, default=np.inf)
    if verified:
        return Outcome.proved(margin=margin)
    if replayer.counterexample is not None:
        return Outcome.refuted(replayer.counterexample, margin=margin)
    return Outcome.left_open(budget.exhausted() or RELAXATION_OPEN, margin=margin, near=replayer.near)


def proves_infeasible(program: Program, ray: Array | None) -> bool:
    """Whether multipliers show that a program's rows and columns contradict each other (Farkas), rounding included.

    With no cost the program's minimum is 0 where it has a point at all, so a bound above 0 shows that it has none.
    """
    if ray is None:
        return False
    return safe_lower_bound(dataclasses.replace(program, cost=np.zeros(len(program.cost))), ray) > 0


def safe_lower_bound(program: Program, duals: Array) -> float:
    """Bound a linear program's minimum from below by any multipliers of its rows, rounded down.

    Args:
        program: The program; every column has finite bounds.
        duals: Proposed multipliers, (rows,).
    """
    return dual_bound(program, duals).least(program.lower, program.upper)


@dataclass(frozen=True, eq=False)
class DualBound:
    """A linear function of the columns below a program's cost: cost . v >= offset + reduced . v where v meets the rows.

    Args:
        offset: What the rows' limits say.
        reduced: Shape (columns,).
        error: How far each of `reduced` may be off by rounding, (columns,).
        size: The magnitudes that each of `reduced` is a sum of, (columns,).
        offset_size: The magnitudes that the offset is a sum of.
        rows: How many it is a sum of.
    """

    offset: float
    reduced: Array
    error: Array
    size: Array
    offset_size: float
    rows: int

    def least(self, lower: Array, upper: Array) -> float:
        """Its least value where the columns lie between finite bounds, (columns,) each; rounded down."""
        ends = np.minimum(self.reduced * lower, self.reduced * upper)
        reach = np.maximum(np.abs(lower), np.abs(upper))
        magnitude = self.offset_size + float((self.size * reach).sum())
        rounding = float((self.error * reach).sum()) + gamma(self.rows + len(lower)) * magnitude
        return self.offset + float(ends.sum()) - 1.001 * rounding - UNDERFLOW


def dual_bound(program: Program | ChangingProgram, duals: Array, cost: Array | None = None) -> DualBound:
    """The linear function that any multipliers of a program's rows put below its cost.

    With multipliers y, cost.v = y.(A v) + (cost - A'y).v; the first is at least what the rows' limits say for the sign
    of each y. A multiplier whose side has no limit is set to zero.

    Args:
        program: The program; its columns' bounds play no part.
        duals: Proposed multipliers, (rows,).
        cost: In place of the program's own, (columns,).

    Source:
        Neumaier, Shcherbina. Safe bounds in linear and mixed-integer linear programming. Math. Program. 2004.
    """
    cost = program.cost if cost is None else cost
    y = np.where(np.isfinite(duals), duals, 0.0)
    side = np.where(y > 0, program.row_lower, program.row_upper)
    y = np.where(np.isfinite(side), y, 0.0)
    side = np.where(y != 0, side, 0.0)
    row, column, value = program.entries
    columns, product = len(cost), y[row] * value
    reduced = cost - np.bincount(column, product, columns)
    size: Array = np.abs(cost) + np.bincount(column, np.abs(product), columns)
    terms = 1 + int(np.bincount(column[y[row] != 0], minlength=columns).max(initial=0))  # at most, of any column's sum
    offset, offset_size = float((y * side).sum()), float(np.abs(y * side).sum())
    return DualBound(offset, reduced, gamma(terms) * size, size, offset_size, len(y))
