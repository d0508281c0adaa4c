"""HiGHS's own branch and bound on a part of the box: one mixed-integer program for each clause."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.milp_work import MilpWork
from verifier.answer.reason import Reason, Why, time_is_up
from verifier.answer.verdict import Question
from verifier.exact.linear.dependencies import Dependency
from verifier.exact.linear.encode_margin import encode_clause, tolerance_gain
from verifier.exact.milp.configuration import Configured
from verifier.exact.milp.found import Confirms, Found
from verifier.solvers.highs_solver import FEASIBILITY_ATOL, solve
from verifier.solvers.status import Status

# "Infeasible" counts only with room for ten times the solver's tolerance on every row, as the margins see it.
MILP_ROOM = 10 * FEASIBILITY_ATOL
WITHIN_TOLERANCE = Why(Reason.SOLVER_TOLERANCE, "margin within the tolerance of the MILP solver")


def highs_search(
    question: Question, clauses: Sequence[tuple[int, ...]], root: Configured, budget: Budget, work: MilpWork,
    confirms: Confirms, *, cuts: Sequence[Dependency] = (), balas: bool = False,
) -> Found:  # fmt: skip
    """Decide clauses by mixed-integer programs: complete, but only up to HiGHS's own tolerances.

    Asked is whether the clause's best margin can be at most MILP_ROOM, times what the weights make of a tolerance;
    "infeasible", said with and without presolve, is the only status that verifies.

    Args:
        question: Its margins must be linear in the logits.
        clauses: Those that the bounds leave open, margins by index.
        root: Bounds over the question's box: the big-M.
        budget: Seconds and, as branch-and-bound nodes, subdomains left.
        work: Counted up.
        confirms: Told of the solver's point.
        cuts: Dependencies that become rows on the binaries.
        balas: As for encode_network().
    """
    for clause in clauses:
        if budget.seconds_left <= 0:
            return Found(why=budget.exhausted())
        room = MILP_ROOM * tolerance_gain(question, clause)
        program = encode_clause(
            question, clause, root.pre, root.logits, switches=True, room=room, cuts=cuts, balas=balas
        )
        nodes = None if budget.max_subdomains is None else int(budget.subdomains_left)
        answer = solve(program, timeout_s=budget.seconds_left, max_nodes=nodes)
        work.linear_programs += 1
        work.nodes += answer.nodes
        if answer.status is Status.INFEASIBLE:  # nothing can be re-computed of that, so it has to be said twice
            answer = solve(program, timeout_s=budget.seconds_left, max_nodes=nodes, presolve=False)
            work.nodes += answer.nodes
        if answer.status is Status.INFEASIBLE:
            continue
        candidate = None if answer.point is None else answer.point[program.columns["x"]]
        if candidate is not None and np.isfinite(candidate).all() and confirms(candidate):
            return Found(candidate=candidate)
        if answer.status is Status.OPTIMAL:
            return Found(why=WITHIN_TOLERANCE)
        return Found(why=budget.exhausted() or why_open(answer.status, budget))
    return Found(closed=True, guarantee="solver tolerance")


def why_open(status: Status, budget: Budget) -> Why:
    """What a status without an answer means; by its own clock the solver may be ahead of ours."""
    if status is Status.TIME_LIMIT:
        return time_is_up(budget.timeout_s)
    return Why(status.reason, f"MILP solver ended with status {status.value!r}")
