"""Adapter for CP-SAT of OR-tools: whole numbers, linear constraints, clauses, and an objective."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from verifier.errors import missing
from verifier.solvers.status import Status

INTERRUPTED_BEFORE = 0.95  # of the time limit: a search without an answer that ended sooner was stopped by the user


class CpSatIntegers:
    """A model of CP-SAT, as `solvers/integers.py` says.

    Raises:
        MissingDependencyError: OR-tools is not installed.
    """

    def __init__(self) -> None:
        """Open an empty model."""
        try:
            from ortools.sat.python import cp_model
        except ImportError as error:
            raise missing("CP-SAT (the package ortools) is not installed", "synthesis") from error
        self._cp = cp_model
        self._model = cp_model.CpModel()
        self._solver = cp_model.CpSolver()
        self._read = self._solver.value  # while the search tells of a solution, that solution's
        self._bits: dict[int, tuple[Any, int, int]] = {}  # of a two-valued term: its bit, and what it is at 0 and at 1
        self._kept: list[Any] = []  # terms whose id() is a key above stay alive

    def _two_valued(self, bit: Any, low: int, high: int) -> Any:
        term = bit if (low, high) == (0, 1) else low + (high - low) * bit
        self._bits[id(term)] = (bit, low, high)
        self._kept.append(term)
        return term

    def one_of(self, values: Sequence[int]) -> Any:
        """Add a variable that has one of these values; of two values it is a bit in disguise."""
        chosen = sorted(set(values))
        if len(chosen) == 2:
            return self._two_valued(self._model.new_bool_var(""), *chosen)
        return self._model.new_int_var_from_domain(self._cp.Domain.from_values(chosen), "")

    def whole(self, lower: int, upper: int) -> Any:
        """Add a variable between two numbers."""
        return self._model.new_int_var(lower, upper, "")

    def total(self, parts: Sequence[Any]) -> Any:
        """Write a sum of terms and numbers."""
        return self._cp.LinearExpr.sum(list(parts))

    def product(self, hole: Any, term: Any, lower: int, upper: int) -> Any:
        """Write hole * term; of two terms with the values -1 and 1 it is one bit and four clauses."""
        if (first := self._bits.get(id(hole))) and (second := self._bits.get(id(term))):
            same, (a, _, _), (b, _, _) = self._model.new_bool_var(""), first, second
            if first[1:] == second[1:] == (-1, 1):
                for clause in ((~a, ~b, same), (a, b, same), (a, ~b, ~same), (~a, b, ~same)):
                    self._model.add_bool_or(clause)
                return self._two_valued(same, -1, 1)
        result = self._model.new_int_var(lower, upper, "")
        self._model.add_multiplication_equality(result, [hole, term])
        return result

    def positive_part(self, term: Any, lower: int, upper: int) -> Any:
        """Write max(term, 0)."""
        result = self._model.new_int_var(max(lower, 0), max(upper, 0), "")
        self._model.add_max_equality(result, [term, 0])
        return result

    def reaches(self, term: Any, limit: int) -> Any:
        """Write the bit that is 1 exactly where term >= limit."""
        bit = self._model.new_bool_var("")
        self._model.add(term >= limit).only_enforce_if(bit)
        self._model.add(term <= limit - 1).only_enforce_if(~bit)
        return bit

    def as_sign(self, bit: Any) -> Any:
        """Write 1 where a bit is 1, and -1 where it is 0, so that product() knows it."""
        return self._two_valued(bit, -1, 1)

    def all_one(self, bits: Sequence[Any]) -> Any:
        """Write the bit that is 1 exactly where all of these are."""
        every = self._model.new_bool_var("")
        for bit in bits:
            self._model.add(bit >= every)
        self._model.add(self.total(bits) <= len(bits) - 1 + every)
        return every

    def at_least(self, term: Any, limit: Any) -> None:
        """Require term >= limit."""
        if isinstance(term, int) and isinstance(limit, int):
            if term < limit:
                self._model.add_bool_or([])  # a clause without literals never holds
            return
        self._model.add(term >= limit)

    def hint(self, term: Any, value: int) -> None:
        """Suggest a value for a variable."""
        bit, low, _ = self._bits.get(id(term), (term, 0, 1))
        self._model.add_hint(bit, value if bit is term else int(value != low))

    def best(
        self,
        objective: Any,
        upper: int,
        *,
        timeout_s: float,
        tell: Callable[[int, int], None],
        work: float | None = None,
        workers: int = 1,
        seed: int = 0,
    ) -> tuple[Status, int | None, int]:
        """Maximise a term; the arguments as in `solvers/integers.py`, `work` in CP-SAT's deterministic time."""
        if timeout_s <= 0:
            return Status.TIME_LIMIT, None, upper
        constant = isinstance(objective, int)
        if not constant:
            self._model.maximize(objective)
        parameters = self._solver.parameters
        parameters.num_workers, parameters.random_seed = workers, seed
        if math.isfinite(timeout_s):
            parameters.max_time_in_seconds = timeout_s
        if work is not None:
            parameters.max_deterministic_time = work
        started = time.perf_counter()
        status = self._solver.solve(self._model, self._told(tell, upper))
        found = status in (self._cp.OPTIMAL, self._cp.FEASIBLE)
        value = None
        if found:
            value = objective if constant else round(self._solver.objective_value)
        if status == self._cp.OPTIMAL and value is not None:
            return Status.OPTIMAL, value, value
        if status == self._cp.INFEASIBLE:
            return Status.INFEASIBLE, None, upper
        if status not in (self._cp.FEASIBLE, self._cp.UNKNOWN):
            return Status.OTHER, value, upper
        bound = upper
        if (
            value is not None and not constant
        ):  # without a solution CP-SAT's bound is 0, which is nothing that it proved
            bound = min(upper, math.floor(self._solver.best_objective_bound + 1e-6))
        if time.perf_counter() - started >= INTERRUPTED_BEFORE * timeout_s:
            return Status.TIME_LIMIT, value, bound
        worked = self._solver.response_proto.deterministic_time
        reached = work is not None and worked >= INTERRUPTED_BEFORE * work
        return Status.NODE_LIMIT if reached else Status.INTERRUPTED, value, bound

    def _told(self, tell: Callable[[int, int], None], upper: int) -> Any:
        model = self

        class Teller(self._cp.CpSolverSolutionCallback):  # type: ignore[misc,name-defined]
            def on_solution_callback(self) -> None:
                model._read = self.value
                try:
                    tell(round(self.objective_value), min(upper, math.floor(self.best_objective_bound + 1e-6)))
                finally:
                    model._read = model._solver.value

        return Teller()

    def value_of(self, term: Any) -> int:
        """Read a term in the best answer so far."""
        return term if isinstance(term, int) else int(self._read(term))


def satisfiable(clauses: Sequence[Sequence[int]]) -> bool:
    """Whether a formula in conjunctive form has a model; a literal is a variable's number from 1 on, or minus it.

    Raises:
        MissingDependencyError: OR-tools is not installed.
    """
    model = CpSatIntegers()
    places = {abs(literal) for literal in itertools.chain(*clauses)}
    bits = {place: model.one_of((0, 1)) for place in sorted(places)}
    for clause in clauses:
        parts = [bits[abs(literal)] if literal > 0 else 1 - bits[abs(literal)] for literal in clause]
        model.at_least(model.total(parts), 1)
    return model.best(0, 0, timeout_s=math.inf, tell=lambda value, bound: None)[0] is Status.OPTIMAL
