"""Z3 as a complete method: is there an input in the box that violates the spec, in exact rational arithmetic?"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.outcome import Outcome
from verifier.answer.reason import BELOW_ROUNDING, Reason, Why
from verifier.answer.verdict import Counterexample, Question
from verifier.attack import attack
from verifier.enclosure import Bounds
from verifier.exact.z3.encode_margin import Encoding, encode_violation
from verifier.search.protocol import Replayer
from verifier.solvers.z3_solver import Answer, RationalSolver

# When a model's violation is lost in rounding, a larger one is sought, relative to the largest value.
WIDER_VIOLATIONS = (Fraction(1, 100), Fraction(1, 10_000), Fraction(1, 1_000_000))

NOT_LINEAR = Why(Reason.NOT_SUPPORTED, "Z3 does not support limits on Softmax outputs")
WRITING_TOOK_LONG = Why(Reason.TIME_LIMIT, "Z3 gave up: time ran out while the question was written down")


def z3_check(question: Question, pre: Sequence[Bounds], budget: Budget, *, work: int | None = None) -> Outcome:
    """Decide the question with Z3.

    Args:
        question: Any network; margins that are linear in the logits (a limit on a Softmax output of more than two
            classes is not).
        pre: Bounds on each hidden layer over the box, (neurons,) each; they make neurons stable, and must be sound.
        budget: Seconds left for all questions to Z3.
        work: Limit in Z3's own unit of work, for repeatable runs.

    Returns:
        The outcome; sound and, given time, complete up to counterexamples whose margin is below rounding.
    """
    if not question.margins.linear:
        return Outcome.left_open(NOT_LINEAR)
    solver = RationalSolver()
    encoding = encode_violation(solver, question, pre, stop=budget.time_is_up)
    if encoding is None:
        return Outcome.left_open(WRITING_TOOK_LONG)
    violation = encoding.violation(solver)
    answer = solver.check(budget.seconds_left, work, [violation])
    if answer is Answer.UNSATISFIABLE:
        return Outcome.proved("exact")
    if answer is Answer.UNKNOWN:
        return Outcome.left_open(Why(solver.status.reason, f"Z3 gave up: {solver.words}"))
    found = _replay(question, encoding, solver)
    if found is not None:
        return Outcome.refuted(found)
    scale = Fraction(float(1.0 + max((float(b.magnitude.max()) for b in pre if b.lower.size), default=0.0)))
    for share in WIDER_VIOLATIONS:
        wider = encoding.violation(solver, by=share * scale)
        if solver.check(budget.seconds_left, work, [wider]) is Answer.SATISFIABLE:
            found = _replay(question, encoding, solver)
            if found is not None:
                return Outcome.refuted(found)
    return Outcome.left_open(BELOW_ROUNDING, near=True)


def _replay(question: Question, encoding: Encoding, solver: RationalSolver) -> Counterexample | None:
    """Turn Z3's model into a counterexample: the point itself, or one that gradient steps find near it."""
    point = np.array([float(solver.value(variable)) for variable in encoding.inputs])
    replayer = Replayer(question)
    for candidate in (point, *attack(question, starts=point[None], walks=0, steps=20)[:4]):
        if replayer.confirms(candidate):
            break
    return replayer.counterexample
