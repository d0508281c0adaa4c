"""The hardest small 3-CNF formulas, 4.26 clauses for each variable: as networks for verify(), and for SAT solvers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

from course_utils.synthesis import random_cnf, sat_answer
from verifier import greater_than, verify

RATIO = 4.26  # clauses for each variable, where half of the random formulas are satisfiable
SEEDS = 10
SIZES = (4, 6, 8, 10, 12, 14, 16, 18, 20)
TIMEOUT_S = 20.0


def run_formulas() -> list[dict[str, Any]]:
    """A line for each number of variables: CPU seconds of verify() and of CP-SAT, and whether they agree."""
    rows = []
    for size in SIZES:
        ours, theirs, agree, open_ones, satisfiable = [], [], 0, 0, 0
        for seed in range(SEEDS):
            clauses = random_cnf(size, round(RATIO * size), seed)
            net = formula_net(clauses, size)
            began = time.process_time()
            verdict = verify(net, [[0, 1]] * size, greater_than(0.0), timeout_s=TIMEOUT_S, progress=False).verdict.value
            ours.append(time.process_time() - began)
            began = time.process_time()
            answer = sat_answer(clauses)
            theirs.append(time.process_time() - began)
            satisfiable += answer
            if verdict == "unknown":
                open_ones += 1
            elif verdict == ("falsified" if answer else "verified"):
                agree += 1
            else:
                raise RuntimeError(f"{size} variables, seed {seed}: the network is {verdict}, satisfiable is {answer}")
        rows.append({
            "what": f"{size} variables, {round(RATIO * size)} clauses, {satisfiable} satisfiable", "of": SEEDS,
            "agree": agree, "open": open_ones, "verify_median": round(statistics.median(ours), 3),
            "verify_slowest": round(max(ours), 3), "sat_median": round(statistics.median(theirs), 3),
            "sat_slowest": round(max(theirs), 3),
        })  # fmt: skip
    return rows


def formula_net(clauses: Sequence[Sequence[int]], variables: int) -> torch.nn.Sequential:
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
