"""Adapter for Z3: linear real arithmetic in exact rationals, and whole numbers from small domains."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from verifier.errors import missing
from verifier.solvers.status import Status

CANCELLED = ("canceled", "interrupted", "interrupted from keyboard")  # Z3's words for a cancelled check
MAX_WORK = 2**32 - 1  # Z3 keeps its limit in 32 bits; 0 means none


class Answer(enum.Enum):
    """What a satisfiability question got for an answer."""

    SATISFIABLE = "satisfiable"
    UNSATISFIABLE = "unsatisfiable"
    UNKNOWN = "unknown"


# Z3 has no other status for these than its words
STATUSES = {
    **dict.fromkeys(("timeout", *CANCELLED), Status.TIME_LIMIT),
    "max. resource limit exceeded": Status.NODE_LIMIT,
}


class RationalSolver:
    """A Z3 solver over the reals in a context of its own; expressions are Z3's.

    Args:
        logic: Z3's name of the logic, which chooses its engine: "QF_LRA" for linear arithmetic, "QF_NRA" where times()
            is used; None lets Z3 choose.

    Raises:
        MissingDependencyError: Z3 is not installed.
    """

    def __init__(self, logic: str | None = "QF_LRA") -> None:
        """Open a solver."""
        try:
            import z3
        except ImportError as error:
            raise missing("Z3 (the package z3-solver) is not installed", "exact") from error
        self._z3 = z3
        self._context = z3.Context()
        self._solver = z3.Solver(ctx=self._context) if logic is None else z3.SolverFor(logic, ctx=self._context)
        self.status = Status.OTHER  # of the last question that got no answer, and in Z3's words
        self.words = ""

    def constant(self, value: float | Fraction) -> Any:
        """Write a number exactly."""
        exact = Fraction(value)
        return self._z3.Q(exact.numerator, exact.denominator, self._context)

    def variable(self, name: str, lower: float | Fraction, upper: float | Fraction) -> Any:
        """Add a real variable between two numbers."""
        variable = self._z3.Real(name, self._context)
        self._solver.add(variable >= self.constant(lower), variable <= self.constant(upper))
        return variable

    def unlimited(self, name: str) -> Any:
        """Add a real variable without limits."""
        return self._z3.Real(name, self._context)

    def linear(self, coefficients: Sequence[float | Fraction], terms: Sequence[Any], offset: float | Fraction) -> Any:
        """Write sum of coefficients times terms plus offset, exactly; terms with coefficient 0 are left out."""
        parts = [self.constant(c) * term for c, term in zip(coefficients, terms, strict=True) if c]
        return self._z3.Sum([*parts, self.constant(offset)]) if parts else self.constant(offset)

    def times(self, first: Any, second: Any) -> Any:
        """Write a product of two expressions, which no linear logic can decide."""
        return first * second

    def name(self, expression: Any, name: str) -> Any:
        """Give an expression a variable of its own, so that it is written once."""
        variable = self._z3.Real(name, self._context)
        self._solver.add(variable == expression)
        return variable

    def relu(self, z: Any) -> Any:
        """Write relu(z)."""
        return self._z3.If(z >= 0, z, self.constant(0))

    def below(self, expression: Any, limit: float | Fraction, strictly: bool) -> Any:
        """Write expression < limit, or <=."""
        return expression < self.constant(limit) if strictly else expression <= self.constant(limit)

    def truth(self, value: bool) -> Any:
        """Write true or false."""
        return self._z3.BoolVal(value, self._context)

    def all_hold(self, conditions: Sequence[Any]) -> Any:
        """Write a conjunction."""
        return self._z3.And([self.truth(True), *conditions])

    def any_holds(self, conditions: Sequence[Any]) -> Any:
        """Write a disjunction."""
        return self._z3.Or([self.truth(False), *conditions])

    def opposite(self, condition: Any) -> Any:
        """Write a negation."""
        return self._z3.Not(condition)

    def require(self, condition: Any) -> None:
        """Add a condition."""
        self._solver.add(condition)

    def check(self, timeout_s: float, work: int | None = None, assuming: Sequence[Any] = ()) -> Answer:
        """Ask whether all conditions can hold together.

        Args:
            timeout_s: Wall time in seconds; kept by Z3's own limit and, where that is late, by an interrupt.
            work: A limit in Z3's own unit of work, which does not depend on the machine's load; None for none.
            assuming: Further conditions for this question only.

        Raises:
            KeyboardInterrupt: The user pressed Ctrl-C.

        Returns:
            An answer; every status that is not sat or unsat is UNKNOWN, with `status` and `words` set.
        """
        if timeout_s <= 0:
            self.status, self.words = Status.TIME_LIMIT, "no time left"
            return Answer.UNKNOWN
        self._solver.push()
        for condition in assuming:
            self._solver.add(condition)
        self._solver.set("timeout", int(min(timeout_s * 1000 + 1, 2**31 - 1)))
        self._solver.set("rlimit", min(work or 0, MAX_WORK))
        started, worked = time.perf_counter(), self._worked()
        timer = threading.Timer(min(timeout_s + 0.2, threading.TIMEOUT_MAX), self._context.interrupt)
        timer.daemon = True
        timer.start()
        try:
            status = self._solver.check()
        finally:
            timer.cancel()
        if status == self._z3.sat:
            self._model = self._solver.model()
            answer = Answer.SATISFIABLE
        elif status == self._z3.unsat:
            answer = Answer.UNSATISFIABLE
        else:
            answer, self.words = Answer.UNKNOWN, str(self._solver.reason_unknown())
            self.status = STATUSES.get(self.words, Status.OTHER)
            if work and self._worked() - worked >= min(work, MAX_WORK):
                self.status, self.words = (
                    Status.NODE_LIMIT,
                    "its limit of work is reached",
                )  # which Z3 calls cancelled, too
            elif self.words in CANCELLED and time.perf_counter() - started < 0.95 * timeout_s:
                raise KeyboardInterrupt  # Z3 takes Ctrl-C for itself while it works
        self._solver.pop()
        return answer

    def _worked(self) -> int:
        """Z3's own units of work so far."""
        statistics = self._solver.statistics()
        return int(statistics.get_key_value("rlimit count")) if "rlimit count" in statistics.keys() else 0  # noqa: SIM118

    def value(self, variable: Any) -> Fraction:
        """Read a variable's value in the last satisfiable answer."""
        found = self._model.eval(variable, model_completion=True)
        return Fraction(int(found.numerator_as_long()), int(found.denominator_as_long()))


class Z3Integers(RationalSolver):
    """Whole numbers from small domains, as `solvers/integers.py` says; improved by asking again until "unsat".

    Raises:
        MissingDependencyError: Z3 is not installed.
    """

    def __init__(self) -> None:
        """Open a solver that chooses its own engine."""
        super().__init__(None)
        self._names = 0
        self._domains: dict[int, tuple[int, ...]] = {}

    def _new(self) -> Any:
        self._names += 1
        return self._z3.Int(f"v{self._names}", self._context)

    def one_of(self, values: Sequence[int]) -> Any:
        """Add a variable that has one of these values."""
        variable = self._new()
        self._solver.add(self._z3.Or([variable == int(value) for value in values]))
        self._domains[variable.get_id()] = tuple(int(value) for value in values)
        return variable

    def whole(self, lower: int, upper: int) -> Any:
        """Add a variable between two numbers."""
        variable = self._new()
        self._solver.add(variable >= lower, variable <= upper)
        return variable

    def total(self, parts: Sequence[Any]) -> Any:
        """Write a sum of terms and numbers."""
        return self._z3.Sum([self._z3.IntVal(0, self._context), *parts])

    def product(self, hole: Any, term: Any, lower: int, upper: int) -> Any:
        """Write hole * term as a case for each value of the hole, so that nothing is nonlinear."""
        zero = self._z3.IntVal(0, self._context)
        values = self._domains[hole.get_id()]
        return self._z3.Sum([self._z3.If(hole == value, value * term, zero) for value in values if value] + [zero])

    def positive_part(self, term: Any, lower: int, upper: int) -> Any:
        """Write max(term, 0)."""
        return self._z3.If(term >= 0, term, self._z3.IntVal(0, self._context))

    def reaches(self, term: Any, limit: int) -> Any:
        """Write 1 where term >= limit, and 0 elsewhere."""
        return self._z3.If(term >= limit, self._z3.IntVal(1, self._context), self._z3.IntVal(0, self._context))

    def as_sign(self, bit: Any) -> Any:
        """Write 1 where a bit is 1, and -1 where it is 0."""
        return 2 * bit - 1

    def all_one(self, bits: Sequence[Any]) -> Any:
        """Write 1 where all bits are 1, and 0 elsewhere."""
        one, zero = self._z3.IntVal(1, self._context), self._z3.IntVal(0, self._context)
        return self._z3.If(self._z3.And([bit == 1 for bit in bits]), one, zero)

    def at_least(self, term: Any, limit: Any) -> None:
        """Require term >= limit."""
        self._solver.add(term >= limit)

    def hint(self, term: Any, value: int) -> None:
        """Take no notice: Z3 has no warm start."""

    def best(
        self, objective: Any, upper: int, *, timeout_s: float, tell: Callable[[int, int], None], **_: Any
    ) -> tuple[Status, int | None, int]:
        """Maximise by asking for more until it is impossible; the arguments as in `solvers/integers.py`."""
        ends, value = time.perf_counter() + timeout_s, None
        wanted: list[Any] = []
        while True:
            try:
                answer = self.check(ends - time.perf_counter(), assuming=wanted)
            except KeyboardInterrupt:
                return Status.INTERRUPTED, value, upper
            if answer is Answer.UNSATISFIABLE:
                return (Status.INFEASIBLE, None, upper) if value is None else (Status.OPTIMAL, value, value)
            if answer is Answer.UNKNOWN:
                return self.status, value, upper
            value = int(self.value_of(objective))
            tell(value, upper)
            if value >= upper:
                return Status.OPTIMAL, value, value
            wanted = [objective >= value + 1]

    def value_of(self, term: Any) -> int:
        """Read a term in the best answer so far."""
        if isinstance(term, int):
            return term
        return int(self._model.eval(term, model_completion=True).as_long())
