"""What assertions say of a network: parts of their disjunctive normal form, each a conjunction of bounds and rows.

Constants are added up as exact rationals, and then read as the nearest float64.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from verifier.enclosure import Array
from verifier.errors import SpecError
from verifier.frontends.vnnlib.syntax import Term

MAX_DISJUNCTS = 100_000  # nested disjunctions multiply out; beyond this a file was meant for another tool
SMALLEST, LARGEST = Fraction(1, 10**300), Fraction(10**300)  # of the constants that are not 0

VARIABLE = re.compile(r"([XY])_(\d{1,18})")
_COMPARISONS = ("<=", "<", ">=", ">", "=")

Bounds = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], Array]  # inputs, whether from above, limits: (bounds,) each


Terms = tuple[tuple[int, float], ...]  # outputs, or inputs, and their coefficients, each once


class Row(NamedTuple):
    """The sum of coefficient times output, and of coefficient times input, is <= limit, or < limit where strict.

    Each output and each input is named once; most rows name no input.
    """

    terms: Terms
    limit: float
    strict: bool
    inputs: Terms = ()


@dataclass(slots=True)
class Part:
    """Bounds of inputs, and rows of outputs and inputs, that must hold together.

    Args:
        bounds: Inputs, sides and limits, in any order and number.
        rows: What must hold of the outputs, or relates them to inputs or inputs to each other.
        possible: False where a comparison of constants fails, so that nothing meets the part.
    """

    bounds: list[Bounds] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    possible: bool = True

    @staticmethod
    def joined(parts: Iterable[Part]) -> Part:
        """All that several parts say."""
        whole = Part()
        for part in parts:
            whole.bounds += part.bounds
            whole.rows += part.rows
            whole.possible &= part.possible
        return whole


Form = list[Part]  # one of them must hold


def split_forms(forms: Sequence[Form], where: str) -> tuple[Part, Iterator[Part]]:
    """Join forms that must all hold: what every conjunction has, and what each has besides.

    Raises:
        SpecError: Their disjunctions multiply out to too many.
    """
    count = math.prod(len(form) for form in forms)
    if count > MAX_DISJUNCTS:
        raise SpecError(
            f"{where}: its disjunctions multiply out to {count:,} parts; at most {MAX_DISJUNCTS:,} are read"
        )
    common = Part.joined(form[0] for form in forms if len(form) == 1)
    choices = itertools.product(*(form for form in forms if len(form) != 1))
    return common, (choice[0] if len(choice) == 1 else Part.joined(choice) for choice in choices)


def normal_form(term: Term, where: str, look: Callable[[], None]) -> Form:
    """Bring an assertion into disjunctive normal form.

    Args:
        term: As syntax.py reads it.
        where: File and line, for messages.
        look: Called now and then; raises where reading should end.

    Raises:
        SpecError: It is not made of comparisons that are linear in outputs and inputs.
    """
    if not isinstance(term, list):
        raise SpecError(f"{where}: expected a comparison, found {term}")
    operator, *arguments = term
    if operator == "and":
        common, choices = split_forms([normal_form(part, where, look) for part in arguments], where)
        return [Part.joined((common, choice)) for choice in choices]
    if operator == "or":
        look()
        return [part for argument in arguments for part in normal_form(argument, where, look)]
    if operator not in _COMPARISONS:
        raise SpecError(f"{where}: {operator!r} is not supported; use and, or, {', '.join(_COMPARISONS)}")
    if len(arguments) != 2:
        raise SpecError(f"{where}: {operator} compares two terms, found {len(arguments)}")
    look()
    left, right = (_linear(part, where) for part in arguments)
    found = []
    if operator in ("<=", "<", "="):
        found.append(_part(left, right, operator == "<", where))
    if operator in (">=", ">", "="):
        found.append(_part(right, left, operator == ">", where))
    return [Part.joined(found)]


_Sum = dict[str, Fraction]  # coefficients by variable; the constant under ""


def _linear(term: Term, where: str) -> _Sum:
    if isinstance(term, Fraction):
        return {"": term}
    if isinstance(term, str):
        return {term: Fraction(1)}
    if not isinstance(term, list):
        raise SpecError(f"{where}: {term} is no number")
    operator, *arguments = term
    if operator == "*" and len(arguments) == 2 and isinstance(arguments[0], Fraction) and isinstance(arguments[1], str):
        return {arguments[1]: arguments[0]}  # what most terms are
    parts = [_linear(part, where) for part in arguments]
    if operator == "+":
        return _added(parts)
    if operator == "-":
        first, rest = (parts[0], parts[1:]) if len(parts) > 1 else ({}, parts)
        return _added([first, *(_times(part, Fraction(-1)) for part in rest)])
    constants = [part.get("", Fraction(0)) for part in parts if set(part) <= {""}]
    others = [part for part in parts if not set(part) <= {""}]
    if operator == "*" and len(others) <= 1:
        return _times(others[0] if others else {"": Fraction(1)}, math.prod(constants, start=Fraction(1)))
    if operator == "/" and len(parts) == 2 and set(parts[1]) <= {""} and parts[1].get(""):
        return _times(parts[0], 1 / parts[1][""])
    raise SpecError(f"{where}: {operator!r} here is not linear or not supported; use +, - and * by a constant")


def _added(parts: Iterable[_Sum]) -> _Sum:
    total: _Sum = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total[name] + value if name in total else value
    return total


def _times(part: _Sum, factor: Fraction) -> _Sum:
    return {name: value * factor for name, value in part.items()}


def _part(small: _Sum, large: _Sum, strict: bool, where: str) -> Part:
    """Read small <= large, or small < large where strict."""
    difference = dict(small)
    for name, value in large.items():
        difference[name] = difference[name] - value if name in difference else -value
    constant = difference.pop("", Fraction(0))
    terms = [(*_variable(name, where), value) for name, value in difference.items() if value]
    if not terms:
        return Part(possible=constant < 0 or (constant == 0 and not strict))
    outputs, inputs = (
        tuple((index, _float64(value, where)) for kind, index, value in terms if kind == wanted) for wanted in "YX"
    )
    part = Part()
    if not outputs and len(terms) == 1:
        ((_, index, value),) = terms
        limit = _float64(-constant / value, where)
        part.bounds.append((np.array([index]), np.array([value > 0]), np.array([limit])))
        if not strict:
            return part
        return Part(
            part.bounds, [Row((), limit if value > 0 else -limit, True, ((index, 1.0 if value > 0 else -1.0),))]
        )
    return Part(rows=[Row(outputs, _float64(-constant, where), strict, inputs)])


def _variable(name: str, where: str) -> tuple[str, int]:
    found = VARIABLE.fullmatch(name)
    if not found:
        raise SpecError(f"{where}: {name} is neither an input X_i nor an output Y_i")
    return found[1], int(found[2])


def _float64(value: Fraction, where: str) -> float:
    """The nearest float64; refused where that would be infinite, or lose more than its last digit."""
    with contextlib.suppress(OverflowError):
        nearest = float(value)
        if not value or 1e-299 < abs(nearest) < 1e299:
            return nearest
    if not SMALLEST <= abs(value) <= LARGEST:
        raise SpecError(
            f"{where}: a constant is {'above 1e300' if abs(value) > 1 else 'below 1e-300'} in magnitude, which float64 "
            "cannot hold; multiply both sides by a constant"
        )
    return float(value)
