"""Frontend for VNN-LIB 1.0 properties: a file becomes boxes of inputs, each with the outputs that are unsafe there.

A VNN-LIB file describes a counterexample: inputs and outputs that meet every assertion. Its assertions are brought
into disjunctive normal form; bounds of single inputs become boxes, everything else is a linear inequality of outputs,
and of inputs where it relates them to outputs or to each other.
"""

from __future__ import annotations

import contextlib
import gc
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from verifier.enclosure import Array
from verifier.errors import SpecError
from verifier.frontends.vnnlib.bulk import Bulk
from verifier.frontends.vnnlib.parts import VARIABLE, Part, Terms, normal_form, split_forms
from verifier.frontends.vnnlib.syntax import Source, interpret
from verifier.question.spec import AllOf, AnyOf, Box, Linear, OutputSpec

_INPUT = re.compile(r"\(\s*declare-(?:const|fun)\s+X_(\d{1,18})\b")


class UnsafeRow(NamedTuple):
    """coefficients . y + inputs . x <= limit, or < limit where strict; `inputs` is empty where x plays no part."""

    coefficients: tuple[float, ...]
    limit: float
    strict: bool = False
    inputs: tuple[float, ...] = ()


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
                AnyOf(
                    tuple(Linear(row.coefficients, -row.limit, not row.strict, row.inputs) for row in disjunct)
                    or (never,)
                )
                for disjunct in self.unsafe
            )
        )


@dataclass(frozen=True, eq=False)
class Problem:
    """A property: safe where every case is.

    Args:
        inputs: Number of inputs that are declared.
        outputs: Number of outputs that are declared.
        cases: The boxes, each once; none where the assertions contradict each other, so that nothing is unsafe.
    """

    inputs: int
    outputs: int
    cases: tuple[Case, ...]


def vnnlib_text(path: Path) -> str:
    """Load the text of a .vnnlib file, or one compressed with gzip (.vnnlib.gz), without reading what it says.

    Raises:
        SpecError: The file cannot be read.
    """
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise SpecError(f"property: there is no file {str(path)!r}") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SpecError(f"property: {str(path)!r} cannot be read: {error}") from error


def declared_inputs(text: str) -> int | None:
    """How many inputs a property declares, at a glance, for a network whose file leaves its shape open."""
    return max((int(found[1]) + 1 for found in _INPUT.finditer(text)), default=None)


def read_vnnlib(path: Path) -> Problem:
    """Read a .vnnlib file, or one compressed with gzip (.vnnlib.gz).

    Raises:
        SpecError: The file cannot be read, or says something that is not linear in outputs and inputs.
    """
    return problem(vnnlib_text(path), path.name)


def problem(text: str, name: str = "property", stop: Callable[[], bool] | None = None) -> Problem:
    """Read the text of a property.

    Constants are added up exactly, and then read as the nearest float64.

    Args:
        text: The whole file.
        name: What to call it in messages.
        stop: Asked now and then whether reading should end.

    Raises:
        SpecError: As read_vnnlib().
        ReadingStopped: `stop` said so.

    Example:
        >>> text = "(declare-const X_0 Real) (declare-const Y_0 Real) (assert (>= X_0 0)) (assert (<= X_0 1))"
        >>> problem(text + "(assert (>= Y_0 3))").cases[0].unsafe
        ((UnsafeRow(coefficients=(-1.0,), limit=-3.0, strict=False, inputs=()),),)
    """
    with _nothing_collected():
        return _problem(Source(text, name, stop=stop), name)


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """Keep Python from looking for cycles, of which reading makes none, among objects by the hundred thousand.

    It took a third of the time to read 32,768 disjuncts.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _problem(source: Source, name: str) -> Problem:
    variables: dict[str, None] = {}
    bulk, forms = Bulk(source, variables), []
    while True:
        form = bulk.read()
        if form is None:
            command = source.command()
            if command is None:
                break
            where = source.where
            asserted = interpret(command, variables, where)
            if asserted is None:
                continue
            form = normal_form(asserted, where, source.look)
        forms.append(form)
    inputs, outputs = _sizes(variables, name)
    return _Cases(name, inputs, outputs, source.look).problem(*split_forms(forms, name))


def _sizes(variables: dict[str, None], name: str) -> tuple[int, int]:
    """How many inputs and outputs are declared, each of them from the first on."""
    sizes, declared = {"X": 0, "Y": 0}, {"X": 0, "Y": 0}
    for variable in variables:
        found = VARIABLE.fullmatch(variable)
        if found:
            sizes[found[1]] = max(sizes[found[1]], int(found[2]) + 1)
            declared[found[1]] += 1
    if not sizes["X"] or not sizes["Y"]:
        raise SpecError(f"{name}: declares no {'X_0' if not sizes['X'] else 'Y_0'}; inputs are X_i and outputs Y_i")
    for kind, size in sizes.items():
        if size > declared[kind]:
            raise SpecError(f"{name}: declares {kind}_{size - 1}, but not each of {kind}_0 to {kind}_{size - 2}")
    return sizes["X"], sizes["Y"]


class _Cases:
    """Collect the boxes of a normal form, and for each what is unsafe in it."""

    def __init__(self, name: str, inputs: int, outputs: int, look: Callable[[], None]) -> None:
        self.name, self.inputs, self.outputs, self.look = name, inputs, outputs, look
        self.unsafe: dict[bytes, list[Disjunct]] = {}
        self.boxes: dict[bytes, Box] = {}
        self._coefficients: dict[tuple[Terms, int], tuple[float, ...]] = {}

    def problem(self, common: Part, choices: Iterator[Part]) -> Problem:
        """Sort every conjunction, the common part with one choice each, into the case of its box."""
        if common.possible:
            infinite = np.full(self.inputs, np.inf)
            whole = _narrowed(-infinite, infinite, common)
            key, rows = None, self._rows(common)
            for choice in choices:
                self.look()
                if not choice.possible:
                    continue
                if choice.bounds:
                    found = self._case(*_narrowed(*whole, choice))
                else:
                    key = self._case(*whole) if key is None else key
                    found = key
                if found:
                    self.unsafe[found].append(rows + self._rows(choice))
        cases = tuple(Case(self.boxes[key], tuple(unsafe)) for key, unsafe in self.unsafe.items())
        return Problem(self.inputs, self.outputs, cases)

    def _case(self, lower: Array, upper: Array) -> bytes:
        """The key of a box; empty where the box is."""
        lower, upper = lower + 0.0, upper + 0.0  # -0.0 and 0.0 are one bound
        if (lower > upper).any():
            return b""
        for side, said in ((lower, "lower"), (upper, "upper")):
            if np.isinf(side).any():
                index = int(np.isinf(side).argmax())
                raise SpecError(f"{self.name}: X_{index} has no {said} bound; every input needs two")
        key = lower.tobytes() + upper.tobytes()
        if key not in self.boxes:
            self.boxes[key], self.unsafe[key] = Box(lower, upper), []
        return key

    def _rows(self, part: Part) -> Disjunct:
        return tuple(
            [
                UnsafeRow(
                    self._row(terms, self.outputs), limit, strict, self._row(inputs, self.inputs) if inputs else ()
                )
                for terms, limit, strict, inputs in part.rows
            ]
        )

    def _row(self, terms: Terms, count: int) -> tuple[float, ...]:
        """Coefficients of all outputs, or of all inputs; equal rows share one tuple."""
        found = self._coefficients.get((terms, count))
        if found is None:
            coefficients = [0.0] * count
            for index, value in terms:
                coefficients[index] = value
            found = self._coefficients[terms, count] = tuple(coefficients)
        return found


def _narrowed(lower: Array, upper: Array, part: Part) -> tuple[Array, Array]:
    """Bring the bounds of a part into a box."""
    lower, upper = lower.copy(), upper.copy()
    for inputs, above, limits in part.bounds:
        np.minimum.at(upper, inputs[above], limits[above])
        np.maximum.at(lower, inputs[~above], limits[~above])
    return lower, upper
