"""Z3 as a complete method: is there an input in the box that violates the spec, in exact rational arithmetic?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.verdict import BELOW_ROUNDING, Counterexample, Question, check_counterexample
from verifier.attack import attack
from verifier.enclosure import Bounds
from verifier.exact.z3.encoding import Encoding, encode_violation
from verifier.solvers.z3_solver import Answer, RationalSolver

# When a model's violation is lost in rounding, a larger one is sought, relative to the largest value.
WIDER_VIOLATIONS = (Fraction(1, 100), Fraction(1, 10_000), Fraction(1, 1_000_000))


@dataclass(frozen=True, eq=False)
class Z3Outcome:
    """What Z3 found: verified, or a counterexample, or neither for a reason."""

    verified: bool
    counterexample: Counterexample | None
    reason: str


def z3_check(
    question: Question, pre: Sequence[Bounds], budget: Budget, *, timeout_s: float, work: int | None = None
) -> Z3Outcome:
    """Decide the question with Z3.

    Args:
        question: Any network; margins that are linear in the logits (a limit on a Softmax output of more than two
            classes is not).
        pre: Bounds on each hidden layer over the box, (neurons,) each; they make neurons stable, and must be sound.
        budget: Counts the seconds.
        timeout_s: Time limit for all questions to Z3.
        work: Limit in Z3's own unit of work, for repeatable runs.

    Returns:
        The outcome; sound and, given time, complete up to counterexamples whose margin is below rounding.
    """
    if not question.margins.linear:
        return Z3Outcome(False, None, "Z3 does not support limits on Softmax outputs")
    deadline = budget.seconds + min(timeout_s, budget.seconds_left)
    solver = RationalSolver()
    encoding = encode_violation(solver, question, pre, stop=lambda: budget.seconds >= deadline)
    if encoding is None:
        return Z3Outcome(False, None, "Z3 gave up: time ran out while the question was written down")
    violation = encoding.violation(solver)
    answer = solver.check(deadline - budget.seconds, work, [violation])
    if answer is Answer.UNSATISFIABLE:
        return Z3Outcome(True, None, "")
    if answer is Answer.UNKNOWN:
        return Z3Outcome(False, None, f"Z3 gave up: {solver.reason}")
    found = _replay(question, encoding, solver)
    if found is not None:
        return Z3Outcome(False, found, "")
    scale = Fraction(float(1.0 + max((float(b.magnitude.max()) for b in pre if b.lower.size), default=0.0)))
    for share in WIDER_VIOLATIONS:
        wider = encoding.violation(solver, by=share * scale)
        if solver.check(deadline - budget.seconds, work, [wider]) is Answer.SATISFIABLE:
            found = _replay(question, encoding, solver)
            if found is not None:
                return Z3Outcome(False, found, "")
    return Z3Outcome(False, None, BELOW_ROUNDING)


def _replay(question: Question, encoding: Encoding, solver: RationalSolver) -> Counterexample | None:
    """Turn Z3's model into a counterexample: the point itself, or one that gradient steps find near it."""
    point = np.array([float(solver.value(variable)) for variable in encoding.inputs])
    for candidate in (point, *attack(question, starts=point[None], walks=0, steps=20)[:4]):
        found = check_counterexample(question, candidate)
        if isinstance(found, Counterexample):
            return found
    return None
