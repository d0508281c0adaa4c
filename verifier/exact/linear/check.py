"""Linear and mixed-integer programming as methods: HiGHS proposes, and what it says is made good where it can be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.outcome import Outcome
from verifier.answer.reason import Reason, Why, time_is_up
from verifier.answer.verdict import Question
from verifier.enclosure import UNDERFLOW, Array, Bounds, gamma
from verifier.exact.linear.encode_margin import encode_clause, tolerance_gain
from verifier.search.protocol import Replayer
from verifier.solvers.highs_solver import FEASIBILITY_ATOL, Program, solve
from verifier.solvers.status import Status

# "Infeasible" counts only with room for ten times the solver's tolerance on every row, as the margins see it.
MILP_ROOM = 10 * FEASIBILITY_ATOL


LP_NOT_LINEAR = Why(Reason.NOT_SUPPORTED, "LP does not support limits on Softmax outputs")
MILP_NOT_LINEAR = Why(Reason.NOT_SUPPORTED, "MILP does not support limits on Softmax outputs")
RELAXATION_OPEN = Why(Reason.BOUNDS_OPEN, "the linear relaxation does not settle it; method='auto' goes on")
WITHIN_TOLERANCE = Why(Reason.SOLVER_TOLERANCE, "margin within the tolerance of the MILP solver")


def _open_clauses(question: Question) -> list[tuple[int, ...]]:
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
    for clause in _open_clauses(question):
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


def safe_lower_bound(program: Program, duals: Array) -> float:
    """Bound a linear program's minimum from below by any multipliers of its rows, rounded down.

    With multipliers y, cost.v = y.(A v) + (cost - A'y).v; the first is at least what the rows' limits say for the sign
    of each y, the second what the columns' bounds say. A multiplier whose side has no limit is set to zero.

    Args:
        program: The program; every column has finite bounds.
        duals: Proposed multipliers, (rows,).
    """
    y = np.where(np.isfinite(duals), duals, 0.0)
    side = np.where(y > 0, program.row_lower, program.row_upper)
    y = np.where(np.isfinite(side), y, 0.0)
    side = np.where(y != 0, side, 0.0)
    reduced, size = program.cost.copy(), np.abs(program.cost)
    terms = np.ones(len(reduced))
    for multiplier, (index, value) in zip(y, program.rows, strict=True):
        if multiplier:
            reduced[index] -= multiplier * value
            size[index] += np.abs(multiplier * value)
            terms[index] += 1
    error = np.array([gamma(int(count)) for count in terms]) * size
    reach = np.maximum(np.abs(program.lower), np.abs(program.upper))
    ends = np.minimum(reduced * program.lower, reduced * program.upper)
    total = float((y * side).sum() + ends.sum())
    magnitude = float(np.abs(y * side).sum() + (size * reach).sum())
    rounding = float((error * reach).sum()) + gamma(len(y) + len(reduced)) * magnitude
    return total - 1.001 * rounding - UNDERFLOW


def milp_check(question: Question, pre: Sequence[Bounds], logits: Bounds, budget: Budget) -> Outcome:
    """Decide every clause by a mixed-integer program: complete, but only up to HiGHS's own tolerances.

    Asked is whether the clause's best margin can be at most MILP_ROOM, times what the weights make of a tolerance;
    "infeasible", said with and without presolve, is the only status that verifies.

    Args:
        question: Its margins must be linear in the logits.
        pre: Bounds on each hidden layer over the box, (neurons,) each: the big-M.
        logits: Bounds on the logits over the box, (outputs,).
        budget: Seconds and, as branch-and-bound nodes, subdomains left.
    """
    if not question.margins.linear:
        return Outcome.left_open(MILP_NOT_LINEAR)
    replayer = Replayer(question)
    for clause in _open_clauses(question):
        if budget.seconds_left <= 0:
            return Outcome.left_open(budget.exhausted())
        room = MILP_ROOM * tolerance_gain(question, clause)
        program = encode_clause(question, clause, pre, logits, switches=True, room=room)
        nodes = None if budget.max_subdomains is None else int(budget.subdomains_left)
        answer = solve(program, timeout_s=budget.seconds_left, max_nodes=nodes)
        if answer.status is Status.INFEASIBLE:  # nothing can be re-computed of that, so it has to be said twice
            answer = solve(program, timeout_s=budget.seconds_left, max_nodes=nodes, presolve=False)
        if answer.status is Status.INFEASIBLE:
            continue
        if answer.point is not None:
            replayer.confirms(answer.point[program.columns["x"]])
            if replayer.counterexample is not None:
                return Outcome.refuted(replayer.counterexample)
        if answer.status is Status.OPTIMAL:
            return Outcome.left_open(WITHIN_TOLERANCE, near=replayer.near)
        return Outcome.left_open(budget.exhausted() or _why(answer.status, budget), near=replayer.near)
    return Outcome.proved("solver tolerance")


def _why(status: Status, budget: Budget) -> Why:
    """What a status without an answer means; by its own clock the solver may be ahead of ours."""
    if status is Status.TIME_LIMIT:
        return time_is_up(budget.timeout_s)
    return Why(status.reason, f"MILP solver ended with status {status.value!r}")
