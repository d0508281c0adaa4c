"""Margins of a spec as functions of the logits: the head is taken away here, once, for every method.

A margin is what an inequality says, c.y + d. Where the head allows it, a margin becomes linear in the logits
(a threshold on a Sigmoid output is a threshold on the logit, a comparison of Softmax outputs is one of logits).
What an inequality says of the input, a . x, is a logit like the others: it is carried through the network (carried.py).
Where it does not, it becomes an increasing function of linear rows: each limit on a Softmax output is
1 / (1 + sum exp(-row)) over differences of logits. Either way a lower bound on every row gives one on every margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np

from verifier.enclosure import ELEMENTARY_RTOL, Array, Mask, gamma
from verifier.errors import SpecError
from verifier.network import Head
from verifier.question.spec import Clause, Inequality, OutputSpec

ALWAYS = math.inf  # the margin of an inequality that no logit can violate


@dataclass(frozen=True)
class Term:
    """weight * g(rows): one head output within a margin, written so that it increases with every row.

    g = 1 / (1 + sum exp(side * row)), or its logarithm; side is -1 where weight > 0 and +1 where weight < 0.
    """

    weight: float
    rows: tuple[int, ...]
    log: bool

    def value(self, row_values: Array) -> Array:
        """Evaluate at row values of shape (..., rows); rounding is the caller's to add."""
        side = -1.0 if self.weight > 0 else 1.0
        exponents = side * row_values[..., list(self.rows)]
        log_sum = np.logaddexp.reduce(np.concatenate([np.zeros((*exponents.shape[:-1], 1)), exponents], -1), axis=-1)
        return np.asarray(self.weight * (-log_sum if self.log else np.exp(-log_sum)))


@dataclass(frozen=True)
class Margin:
    """One inequality of the spec: offset + (row `row`, where it is linear) + the terms; strict or not.

    The true offset lies within offset_error of offset; `row` is None for a margin without a linear part. A margin with
    terms is not linear in the logits, with a row or without.
    """

    strict: bool
    offset: float
    offset_error: float = 0.0
    row: int | None = None
    terms: tuple[Term, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the margin is a linear function of the logits with exact coefficients."""
        return not self.terms and self.offset_error == 0.0


@dataclass(frozen=True, eq=False)
class Margins:
    """The spec on the logits: rows to be bounded, margins made of them, clauses made of margins.

    Args:
        rows: Linear functions of the logits, shape (rows, logits); where there are functions of the input, they are the
            last logits.
        margins: What the spec's inequalities become.
        clauses: Every clause must hold; a clause holds where one of its margins (by index) does.
        functions: Linear functions of the input that the spec speaks of, shape (functions, inputs); None for none.
    """

    rows: Array
    margins: tuple[Margin, ...]
    clauses: tuple[tuple[int, ...], ...]
    functions: Array | None = None

    @property
    def strict(self) -> Mask:
        """Strictness of each margin."""
        return np.array([margin.strict for margin in self.margins], dtype=bool)

    @property
    def linear(self) -> bool:
        """Whether every margin is linear in the logits."""
        return all(not margin.terms for margin in self.margins)

    def lower(self, row_lower: Array) -> Array:
        """Turn lower bounds on the rows, shape (..., rows), into lower bounds on the margins, shape (..., margins)."""
        return self._evaluate(row_lower, -1.0)

    def upper(self, row_upper: Array) -> Array:
        """Turn upper bounds on the rows, shape (..., rows), into upper bounds on the margins, shape (..., margins)."""
        return self._evaluate(row_upper, 1.0)

    def _evaluate(self, rows: Array, outward: float) -> Array:
        result = np.empty((*rows.shape[:-1], len(self.margins)))
        for index, margin in enumerate(self.margins):
            value = np.full(rows.shape[:-1], margin.offset)
            if not math.isfinite(margin.offset):
                result[..., index] = margin.offset
                continue
            error = np.full(rows.shape[:-1], margin.offset_error)
            if margin.row is not None:
                value = rows[..., margin.row] + margin.offset
                # one rounding of the sum; an exact zero stays one
                error = error + np.abs(value) * 2.0**-52
            for term in margin.terms:
                part = term.value(rows)
                value = value + part
                # logaddexp over n terms, then exp: relative for the value, absolute for its logarithm
                error = error + (np.abs(part) + abs(term.weight)) * (len(term.rows) + 2) * ELEMENTARY_RTOL
                error = error + np.abs(value) * gamma(1)
            result[..., index] = np.where(error > 0, np.nextafter(value + outward * error, outward * np.inf), value)
        return result

    def settled(self, margin_lower: Array) -> Mask:
        """Whether each clause holds by these lower bounds, shape (..., clauses)."""
        holds = np.where(self.strict, margin_lower > 0, margin_lower >= 0)
        columns = [holds[..., list(clause)].any(axis=-1) for clause in self.clauses]
        return np.stack(columns, axis=-1) if columns else np.ones((*margin_lower.shape[:-1], 0), dtype=bool)

    def clause_margins(self, margin_values: Array) -> Array:
        """Return the best margin of each clause, shape (..., clauses): negative where the clause is violated."""
        columns = [margin_values[..., list(clause)].max(axis=-1) for clause in self.clauses]
        return np.stack(columns, axis=-1) if columns else np.full((*margin_values.shape[:-1], 0), np.inf)

    def violated(self, margin_upper: Array) -> bool:
        """Whether some clause is surely violated by these upper bounds, shape (margins,)."""
        fails = np.where(self.strict, margin_upper <= 0, margin_upper < 0)
        return any(fails[list(clause)].all() for clause in self.clauses)

    def violated_exactly(self, logits: list[Fraction]) -> bool | None:
        """Whether some clause is violated at these exact logits; None where a margin is not rational."""
        fails: list[bool | None] = []
        for margin in self.margins:
            if margin.offset == ALWAYS or margin.offset == -ALWAYS:
                fails.append(margin.offset < 0)
            elif not margin.exact or margin.row is None:
                fails.append(None)
            else:
                row = self.rows[margin.row]
                value = Fraction(margin.offset) + sum(
                    (Fraction(float(c)) * z for c, z in zip(row, logits, strict=True) if c), Fraction(0)
                )
                fails.append(value <= 0 if margin.strict else value < 0)
        states = [[fails[i] for i in clause] for clause in self.clauses]
        if any(all(state is True for state in clause) for clause in states):
            return True
        return False if all(any(state is False for state in clause) for clause in states) else None


def compile_margins(spec: OutputSpec, outputs: int, head: Head, inputs: int | None = None) -> Margins:
    """Write a spec on the outputs as margins on the logits.

    Args:
        spec: What must hold.
        outputs: Number of outputs.
        head: What is applied to the logits.
        inputs: Number of inputs, where the spec may speak of them.

    Raises:
        SpecError: The spec does not fit the number of outputs or inputs.
    """
    said = spec.clauses(outputs)
    functions = _functions(said, inputs)
    builder = _Builder(outputs, head, functions)
    clauses = tuple(tuple(builder.margin(inequality) for inequality in clause) for clause in said)
    rows = np.array(builder.rows, dtype=np.float64).reshape(len(builder.rows), outputs + len(functions))
    return Margins(rows, tuple(builder.margins), clauses, np.array(list(functions)) if functions else None)


def _functions(clauses: tuple[Clause, ...], inputs: int | None) -> dict[tuple[float, ...], int]:
    """Number the functions of the input that a spec speaks of; one and its negative are one function."""
    found: dict[tuple[float, ...], int] = {}
    for inequality in (one for clause in clauses for one in clause if one.inputs):
        if inputs is not None and len(inequality.inputs) != inputs:
            raise SpecError(
                f"y_specs: linear(x=...) has {len(inequality.inputs)} coefficients, but the network has {inputs} inputs"
            )
        found.setdefault(_directed(inequality.inputs)[0], len(found))
    return found


def _directed(function: tuple[float, ...]) -> tuple[tuple[float, ...], float]:
    """A function or its negative, whichever begins with a positive coefficient, and the sign between them."""
    sign = 1.0 if next((value for value in function if value), 1.0) > 0 else -1.0
    return tuple(sign * value + 0.0 for value in function), sign


class _Builder:
    def __init__(self, outputs: int, head: Head, functions: dict[tuple[float, ...], int]) -> None:
        self.outputs, self.head, self.functions = outputs, head, functions
        self.rows: list[tuple[float, ...]] = []
        self.margins: list[Margin] = []
        self._row_index: dict[tuple[float, ...], int] = {}
        self._margin_index: dict[Inequality, int] = {}

    def margin(self, inequality: Inequality) -> int:
        """Add one inequality; the same one twice is one margin."""
        if inequality not in self._margin_index:
            self._margin_index[inequality] = len(self.margins)
            self.margins.append(self._compile(inequality))
        return self._margin_index[inequality]

    def _row(self, coefficients: tuple[float, ...], inputs: tuple[float, ...] = ()) -> int:
        """Add coefficients . logits + inputs . x; the same one twice is one row."""
        carried = [0.0] * len(self.functions)
        if inputs:
            function, sign = _directed(inputs)
            carried[self.functions[function]] = sign
        row = (*coefficients, *carried)
        if row not in self._row_index:
            self._row_index[row] = len(self.rows)
            self.rows.append(row)
        return self._row_index[row]

    def _unit(self, index: int, value: float, minus: int | None = None) -> int:
        row = [0.0] * self.outputs
        row[index] = value
        if minus is not None:
            row[minus] = -value
        return self._row(tuple(row))

    def _compile(self, inequality: Inequality) -> Margin:
        c, d, strict, a = inequality.coefficients, inequality.offset, inequality.strict, inequality.inputs
        used = [i for i, value in enumerate(c) if value]
        if not used and not a:  # says nothing of outputs and inputs: it holds everywhere or nowhere
            return Margin(strict, ALWAYS if inequality.holds(d) else -ALWAYS)
        if self.head is Head.IDENTITY:
            return Margin(strict, d, row=self._row(c, a))
        if self.head is Head.LOG_SOFTMAX and sum((Fraction(value) for value in c), Fraction(0)) == 0:
            return Margin(strict, d, row=self._row(c, a))  # the log-sum-exp cancels
        if a:
            row = self._row((0.0,) * self.outputs, a)
            return Margin(strict, d, row=row, terms=tuple(self._term(i, c[i]) for i in used))
        if d == 0 and len(used) == 2 and c[used[0]] == -c[used[1]]:
            return Margin(strict, 0.0, row=self._unit(used[0], c[used[0]], minus=used[1]))  # heads increase
        if len(used) == 1 and self.head is not Head.LOG_SOFTMAX:
            return self._limit(used[0], c[used[0]], d, strict)
        return Margin(strict, d, terms=tuple(self._term(i, c[i]) for i in used))

    def _limit(self, index: int, weight: float, offset: float, strict: bool) -> Margin:
        """Turn weight * p + offset >= 0, p a probability in (0, 1), into a limit on a logit where that is possible."""
        threshold = -Fraction(offset) / Fraction(weight)
        if self.head is Head.SOFTMAX and self.outputs == 1:  # the only output is always 1
            return Margin(strict, ALWAYS if Inequality((), 0.0, strict).holds(weight + offset) else -ALWAYS)
        if threshold <= 0 or threshold >= 1:
            always = (weight > 0) == (threshold <= 0)
            return Margin(strict, ALWAYS if always else -ALWAYS)
        if self.head is Head.SOFTMAX and self.outputs > 2:
            return Margin(strict, offset, terms=(self._term(index, weight),))
        sign = 1.0 if weight > 0 else -1.0
        logit, error = _logit(threshold)
        other = 1 - index if self.head is Head.SOFTMAX else None
        return Margin(strict, -sign * logit, error, row=self._unit(index, sign, minus=other))

    def _term(self, index: int, weight: float) -> Term:
        sign = 1.0 if weight > 0 else -1.0
        if self.head is Head.SIGMOID:
            rows: tuple[int, ...] = (self._unit(index, sign),)
        else:
            rows = tuple(self._unit(index, sign, minus=j) for j in range(self.outputs) if j != index)
        return Term(weight, rows, log=self.head is Head.LOG_SOFTMAX)


def _logit(p: Fraction) -> tuple[float, float]:
    """log(p / (1 - p)) and a bound on its error; exactly 0 for one half."""
    if p == Fraction(1, 2):
        return 0.0, 0.0
    with localcontext() as context:
        context.prec = 60
        ratio = p / (1 - p)
        value = float((Decimal(ratio.numerator) / Decimal(ratio.denominator)).ln())
    return value, abs(value) * 2.0**-51 + 1e-18
