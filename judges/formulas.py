"""3-CNF formulas as ReLU networks: what verify() says of the network against what a SAT solver says of the formula."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from verifier import greater_than, verify

Formula = Sequence[Sequence[int]]


def judge_formulas(
    variables: int, formulas: Sequence[Formula], satisfiable: Callable[[Formula], bool], timeout_s: float = 20.0
) -> dict[str, Any]:
    """Ask both about formulas of one size.

    Args:
        variables: Of each formula.
        formulas: Of one number of clauses; a literal is a variable's number from 1 on, or minus it.
        satisfiable: The SAT solver.
        timeout_s: For each network.

    Returns:
        How many are satisfiable, how often both agree, how many networks stay open, and CPU seconds of both.

    Raises:
        RuntimeError: A verdict contradicts the SAT solver.
    """
    ours, theirs, agree, left_open, held = [], [], 0, 0, 0
    for place, clauses in enumerate(formulas):
        net = formula_net(clauses, variables)
        began = time.process_time()
        found = verify(net, [[0, 1]] * variables, greater_than(0.0), timeout_s=timeout_s, progress=False)
        verdict = found.verdict.value
        ours.append(time.process_time() - began)
        began = time.process_time()
        answer = satisfiable(clauses)
        theirs.append(time.process_time() - began)
        held += answer
        if verdict == "unknown":
            left_open += 1
        elif verdict == ("falsified" if answer else "verified"):
            agree += 1
        else:
            raise RuntimeError(
                f"formula {place} of {variables} variables: the network is {verdict}, satisfiable is {answer}"
            )
    count = len(formulas[0])
    return {
        "what": f"{variables} variables, {count} clauses, {held} satisfiable", "of": len(formulas),
        "variables": variables, "clauses": count, "satisfiable": held, "agree": agree, "open": left_open,
        "verify_median": round(statistics.median(ours), 3), "verify_slowest": round(max(ours), 3),
        "sat_median": round(statistics.median(theirs), 3), "sat_slowest": round(max(theirs), 3),
    }  # fmt: skip


def formula_net(clauses: Formula, variables: int) -> torch.nn.Sequential:
    """A ReLU network on [0, 1]^n whose output is 0 exactly at the assignments that satisfy the formula.

    It adds up relu(1 - the sum of a clause's literals) over the clauses, and min(x, 1 - x) over the variables.
    """
    count = len(clauses)
    first = torch.nn.Linear(variables, count + 2 * variables)
    last = torch.nn.Linear(count + 2 * variables, 1)
    with torch.no_grad():
        for parameter in (first.weight, first.bias, last.bias):
            parameter.zero_()
        last.weight.fill_(1.0)
        for place, clause in enumerate(clauses):
            first.bias[place] = 1.0 - sum(literal < 0 for literal in clause)
            for literal in clause:
                first.weight[place, abs(literal) - 1] = -1.0 if literal > 0 else 1.0
        for place in range(variables):
            first.weight[count + place, place] = 1.0
            first.weight[count + variables + place, place] = 2.0
        first.bias[count + variables :] = -1.0
        last.weight[0, count + variables :] = -1.0
    return torch.nn.Sequential(first, torch.nn.ReLU(), last)
