"""Frontend for VNN-LIB 1.0 properties: a file becomes boxes of inputs, each with the outputs that are unsafe there.

A VNN-LIB file describes a counterexample: inputs and outputs that meet every assertion. Its assertions are brought
into disjunctive normal form; the parts about inputs must be boxes, the parts about outputs are linear inequalities.
"""

from __future__ import annotations

import gzip
import itertools
import math
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from verifier.enclosure import Array
from verifier.errors import SpecError
from verifier.frontends.vnnlib.syntax import Term, parse
from verifier.question.spec import AllOf, AnyOf, Box, Linear, OutputSpec

MAX_DISJUNCTS = 100_000  # nested disjunctions multiply out; beyond this a file was meant for another tool

SMALLEST, LARGEST = Fraction(1, 10**300), Fraction(10**300)  # of the constants that are not 0

_VARIABLE = re.compile(r"([XY])_(\d{1,18})")
_COMPARISONS = ("<=", "<", ">=", ">", "=")


@dataclass(frozen=True)
class UnsafeRow:
    """coefficients . y <= limit, or < limit where strict."""

    coefficients: tuple[float, ...]
    limit: float
    strict: bool = False


Disjunct = tuple[UnsafeRow, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """A box and what is unsafe in it: outputs that meet every row of at least one disjunct.

    Args:
        box: The inputs.
        unsafe: The disjuncts; one without rows says that every output is unsafe.
    """

    box: Box
    unsafe: tuple[Disjunct, ...]

    def spec(self, outputs: int) -> OutputSpec:
        """Write what must hold instead: of every disjunct, some row fails. The negation of a closed row is strict."""
        never = Linear((0.0,) * outputs, -1.0, True)
        return AllOf(
            tuple(
                AnyOf(tuple(Linear(row.coefficients, -row.limit, not row.strict) for row in disjunct) or (never,))
                for disjunct in self.unsafe
            )
        )


@dataclass(frozen=True, eq=False)
class Problem:
    """A property: safe where every case is.

    Args:
        inputs: Number of inputs that are declared.
        outputs: Number of outputs that are declared.
        cases: The boxes, each once.
    """

    inputs: int
    outputs: int
    cases: tuple[Case, ...]


def read_vnnlib(path: Path) -> Problem:
    """Read a .vnnlib file, or one compressed with gzip (.vnnlib.gz).

    Raises:
        SpecError: The file cannot be read, or says something that is neither a box of inputs nor linear in the outputs.
    """
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    except FileNotFoundError as error:
        raise SpecError(f"property: there is no file {str(path)!r}") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SpecError(f"property: {str(path)!r} cannot be read: {error}") from error
    return problem(text, path.name)


def problem(text: str, name: str = "property") -> Problem:
    """Read the text of a property.

    Constants are added up exactly, and then read as the nearest float64.

    Raises:
        SpecError: As read_vnnlib().

    Example:
        >>> text = "(declare-const X_0 Real) (declare-const Y_0 Real) (assert (>= X_0 0)) (assert (<= X_0 1))"
        >>> problem(text + "(assert (>= Y_0 3))").cases[0].unsafe
        ((UnsafeRow(coefficients=(-1.0,), limit=-3.0, strict=False),),)
    """
    script = parse(text, name)
    sizes, declared = {"X": 0, "Y": 0}, {"X": 0, "Y": 0}
    for variable in script.variables:
        found = _VARIABLE.fullmatch(variable)
        if found:
            sizes[found[1]] = max(sizes[found[1]], int(found[2]) + 1)
            declared[found[1]] += 1
    if not sizes["X"] or not sizes["Y"]:
        raise SpecError(f"{name}: declares no {'X_0' if not sizes['X'] else 'Y_0'}; inputs are X_i and outputs Y_i")
    for kind, size in sizes.items():
        if size > declared[kind]:
            raise SpecError(f"{name}: declares {kind}_{size - 1}, but not each of {kind}_0 to {kind}_{size - 2}")
    forms = [_normal_form(term, f"{name}, line {line}") for line, term in script.assertions]
    return _Cases(name, sizes["X"], sizes["Y"]).problem(*_split(forms, name))


@dataclass(frozen=True)
class _Atom:
    """terms + constant <= 0, or < 0 where strict; the terms name each variable once."""

    terms: tuple[tuple[str, Fraction], ...]
    constant: Fraction
    strict: bool
    where: str


_Form = list[list[_Atom]]  # one list of atoms must hold wholly


def _normal_form(term: Term, where: str) -> _Form:
    if not isinstance(term, list):
        raise SpecError(f"{where}: expected a comparison, found {term}")
    operator, *arguments = term
    if operator == "and":
        return _all([_normal_form(part, where) for part in arguments], where)
    if operator == "or":
        return [part for argument in arguments for part in _normal_form(argument, where)]
    if operator not in _COMPARISONS:
        raise SpecError(f"{where}: {operator!r} is not supported; use and, or, {', '.join(_COMPARISONS)}")
    if len(arguments) != 2:
        raise SpecError(f"{where}: {operator} compares two terms, found {len(arguments)}")
    left, right = (_linear(part, where) for part in arguments)
    down, up = _atom(left, right, operator == "<", where), _atom(right, left, operator == ">", where)
    return [[down, up]] if operator == "=" else [[down if operator in ("<=", "<") else up]]


def _all(parts: list[_Form], where: str) -> _Form:
    """Join forms that must all hold: every choice of one conjunction each."""
    common, choices = _split(parts, where)
    return [common + choice for choice in choices]


def _split(parts: list[_Form], where: str) -> tuple[list[_Atom], _Form]:
    """Join forms that must all hold: the atoms that every conjunction has, and what each has besides."""
    count = math.prod(len(part) for part in parts)
    if count > MAX_DISJUNCTS:
        raise SpecError(
            f"{where}: its disjunctions multiply out to {count:,} parts; at most {MAX_DISJUNCTS:,} are read"
        )
    common = [atom for part in parts if len(part) == 1 for atom in part[0]]
    choices = itertools.product(*(part for part in parts if len(part) != 1))
    return common, [list(itertools.chain(*choice)) for choice in choices]


_Sum = dict[str, Fraction]  # coefficients by variable; the constant under ""


def _linear(term: Term, where: str) -> _Sum:
    if isinstance(term, Fraction):
        return {"": term}
    if isinstance(term, str):
        return {term: Fraction(1)}
    if not isinstance(term, list):
        raise SpecError(f"{where}: {term} is no number")
    operator, *arguments = term
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
            total[name] = total.get(name, Fraction(0)) + value
    return total


def _times(part: _Sum, factor: Fraction) -> _Sum:
    return {name: value * factor for name, value in part.items()}


def _atom(small: _Sum, large: _Sum, strict: bool, where: str) -> _Atom:
    difference = _added([small, _times(large, Fraction(-1))])
    constant = difference.pop("", Fraction(0))
    return _Atom(tuple((name, value) for name, value in difference.items() if value), constant, strict, where)


@dataclass
class _Region:
    """Bounds of the inputs and rows of the outputs that must hold together."""

    lower: Array
    upper: Array
    rows: list[UnsafeRow]


class _Cases:
    """Collect the boxes of a normal form, and for each what is unsafe in it."""

    def __init__(self, name: str, inputs: int, outputs: int) -> None:
        self.name, self.inputs, self.outputs = name, inputs, outputs
        self.unsafe: dict[bytes, list[Disjunct]] = {}
        self.boxes: dict[bytes, Box] = {}
        self.empty = ""

    def problem(self, common: list[_Atom], choices: _Form) -> Problem:
        """Sort every conjunction, the common atoms with one choice each, into the case of its box."""
        whole = _Region(np.full(self.inputs, -np.inf), np.full(self.inputs, np.inf), [])
        if self._narrow(whole, common):
            for choice in choices:
                region = _Region(whole.lower.copy(), whole.upper.copy(), list(whole.rows))
                if self._narrow(region, choice):
                    self._add(region)
        if not self.boxes:
            raise SpecError(f"{self.name}: no input meets its assertions{self.empty}; were two bounds swapped?")
        cases = tuple(Case(self.boxes[key], tuple(unsafe)) for key, unsafe in self.unsafe.items())
        return Problem(self.inputs, self.outputs, cases)

    def _narrow(self, region: _Region, atoms: list[_Atom]) -> bool:
        """Bring atoms into a region; false where one of them is never true."""
        for atom in atoms:
            kinds = {name[0] for name, _ in atom.terms if self._index(name, atom.where) >= 0}
            if not kinds:
                if atom.constant > 0 or (atom.strict and atom.constant == 0):
                    return False
            elif kinds == {"Y"}:
                region.rows.append(self._row(atom))
            elif kinds == {"X"} and len(atom.terms) == 1 and not atom.strict:
                self._bound(atom, region)
            else:
                problem = (
                    "relates inputs and outputs" if len(kinds) > 1
                    else "a strict bound of an input" if len(atom.terms) == 1 else "relates several inputs"
                )  # fmt: skip
                raise SpecError(f"{atom.where}: {problem}; only boxes of inputs are supported, with <= and >=")
        return True

    def _add(self, region: _Region) -> None:
        lower, upper = region.lower + 0.0, region.upper + 0.0  # -0.0 and 0.0 are one bound
        if (lower > upper).any():
            self.empty = f" (X_{int((lower > upper).argmax())} has a lower bound above its upper one)"
            return
        for side, said in ((lower, "lower"), (upper, "upper")):
            if np.isinf(side).any():
                index = int(np.isinf(side).argmax())
                raise SpecError(f"{self.name}: X_{index} has no {said} bound; every input needs two")
        key = lower.tobytes() + upper.tobytes()
        if key not in self.boxes:
            self.boxes[key], self.unsafe[key] = Box(lower, upper), []
        self.unsafe[key].append(tuple(region.rows))

    @staticmethod
    def _index(variable: str, where: str) -> int:
        if not _VARIABLE.fullmatch(variable):
            raise SpecError(f"{where}: {variable} is neither an input X_i nor an output Y_i")
        return int(variable[2:])

    def _row(self, atom: _Atom) -> UnsafeRow:
        coefficients = [0.0] * self.outputs
        for name, value in atom.terms:
            coefficients[self._index(name, atom.where)] = _float64(value, atom.where)
        return UnsafeRow(tuple(coefficients), _float64(-atom.constant, atom.where), atom.strict)

    def _bound(self, atom: _Atom, region: _Region) -> None:
        ((name, value),) = atom.terms
        index = self._index(name, atom.where)
        limit = _float64(-atom.constant / value, atom.where)
        if value > 0:
            region.upper[index] = min(region.upper[index], limit)
        else:
            region.lower[index] = max(region.lower[index], limit)


def _float64(value: Fraction, where: str) -> float:
    """The nearest float64; refused where that would be infinite, or lose more than its last digit."""
    if value and not SMALLEST <= abs(value) <= LARGEST:
        raise SpecError(
            f"{where}: a constant is {'above 1e300' if abs(value) > 1 else 'below 1e-300'} in magnitude, which float64 "
            "cannot hold; multiply both sides by a constant"
        )
    return float(value)
