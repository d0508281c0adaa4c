"""One sub-problem: bound it, split it where that pays, else search its configurations clause by clause."""

from __future__ import annotations

import dataclasses

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.milp_work import MilpWork
from verifier.answer.reason import Reason, Why
from verifier.answer.verdict import Question
from verifier.enclosure import Array
from verifier.errors import BoundsError
from verifier.exact.linear.encode_balas import balas_columns
from verifier.exact.milp.branch import Branching
from verifier.exact.milp.configuration import Configured, Rules, bound_configuration, find_rules
from verifier.exact.milp.found import Confirms, Found, SubProblem
from verifier.exact.milp.highs import highs_search
from verifier.exact.milp.options import MilpOptions
from verifier.exact.milp.split_inputs import choose_halves, splits_boxes

BALAS_COLUMNS = 200_000  # beyond which the extended formulation is not written: a program would take gigabytes


def settle(question: Question, part: SubProblem, options: MilpOptions, budget: Budget, confirms: Confirms) -> Found:
    """Settle a part of the box, or say into which parts to split it.

    Args:
        question: The whole question; its margins must be linear in the logits.
        part: Which part of its box.
        options: The ingredients.
        budget: Seconds and nodes left.
        confirms: Told of candidates; True ends the search.
    """
    work = MilpWork(subproblems=1)
    here = dataclasses.replace(question, box=part.box)
    found = _settle(here, part, options, budget, confirms, work)
    return dataclasses.replace(found, work=work)


def _settle(
    here: Question, part: SubProblem, options: MilpOptions, budget: Budget, confirms: Confirms, work: MilpWork
) -> Found:
    root = bound_configuration(here, part.pre, options.bounds)
    if root is None:  # the parent's bounds and its own contradict each other, which rounding forbids in a box
        raise BoundsError("bounds over a box contradict each other")
    settled = here.margins.settled(root.margins)
    clauses = [clause for clause, holds in zip(here.margins.clauses, settled, strict=True) if not holds]
    if not clauses:
        budget.count(1)
        return Found(closed=True)
    for x in _promising(here, root):
        if confirms(x):
            return Found(candidate=x)
    if splits_boxes(here, options):
        halves = choose_halves(here, part, root.pre, options)
        if halves is not None:
            work.input_splits += 1
            budget.count(1)
            return Found(halves=halves)
    balas = options.formulation == "balas"
    if balas and _balas_columns(here, root) > BALAS_COLUMNS:
        return Found(why=Why(Reason.MEMORY, "the extended formulation takes too many columns; use 'big-M'"))
    rules = Rules()
    if options.cuts != "none" and options.dependencies:
        rules = find_rules(here, root.pre, options)
        for one in rules.dependencies:
            work.intra_layer += one.kind == "intra-layer"
            work.consecutive += one.kind == "consecutive"
    if options.search == "highs":
        work.cuts += len(rules.dependencies)
        return highs_search(here, clauses, root, budget, work, confirms, cuts=rules.dependencies, balas=balas)
    for clause in clauses:
        found = Branching(here, clause, root, rules, options, work, confirms).run(budget)
        if not found.closed:
            return found
    return Found(closed=True)


def _promising(here: Question, root: Configured) -> list[Array]:
    """The centre, and where the linear bound of each row is least, if the network violates the spec there."""
    points = [0.5 * (here.box.lower + here.box.upper)[None]]
    if root.corner is not None:
        points.append(root.corner)
    x = np.concatenate(points)
    margins = here.margins
    values = margins.clause_margins(margins.lower(here.network.logits(x) @ margins.rows.T)).min(axis=1)
    return [x[k] for k in np.argsort(values, kind="stable")[:4] if values[k] <= 0]


def _balas_columns(here: Question, root: Configured) -> int:
    layers = zip(here.network.layers, root.pre, strict=False)
    return sum(balas_columns(layer, int(((z.lower < 0) & (z.upper > 0)).sum())) for layer, z in layers)
