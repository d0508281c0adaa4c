"""OutputSpec says what must hold of the outputs.

An OutputSpec is a small tree that knows nothing of any network; asked for a number of outputs it becomes clauses:
every clause must hold, and a clause holds where at least one of its inequalities c.y + a.x + d >= 0 (> 0 where strict)
does. Most specs speak of outputs only; then a is empty.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verifier.errors import SpecError
from verifier.question.box import Box as Box
from verifier.question.inequality import Clause as Clause
from verifier.question.inequality import Inequality as Inequality
from verifier.question.numbers import as_finite, as_index, as_optional_index, as_pairs, as_row, shown

MAX_CLAUSES = 10_000  # any_of() of large specs multiplies out; beyond this a spec was meant differently


# Outputs, what must hold of them (counted among them), and whether it only compares them with each other.
Narrow = tuple[Sequence[int], "OutputSpec", bool]


def _chunks(values: Sequence[int], size: int) -> list[Sequence[int]]:
    return [values[first : first + size] for first in range(0, len(values), size)]


@dataclass(frozen=True)
class OutputSpec:
    """What must hold of the outputs; made by within(), argmax_is(), less_than(), greater_than(), linear() and & |."""

    def clauses(self, outputs: int) -> tuple[Clause, ...]:
        """Write the spec as clauses for a network of `outputs` outputs.

        Raises:
            SpecError: The spec does not fit that number of outputs.
        """
        raise SpecError("y_specs: OutputSpec itself says nothing; use within(), argmax_is(), less_than(), ...")

    def narrowed(self, outputs: int, at_once: int) -> list[Narrow] | None:
        """Take the spec apart into specs on few outputs each, which hold together where it holds.

        Args:
            outputs: Of the network.
            at_once: Inequalities in one part, at most.

        Returns:
            The parts, or None for a spec that is not such a conjunction.

        Raises:
            SpecError: The spec does not fit that number of outputs.
        """
        return None

    def __and__(self, other: OutputSpec) -> OutputSpec:
        """Both must hold."""
        return all_of(self, other)

    def __or__(self, other: OutputSpec) -> OutputSpec:
        """At least one must hold."""
        return any_of(self, other)


def _unit(outputs: int, index: int, value: float) -> tuple[float, ...]:
    row = [0.0] * outputs
    row[index] = value
    return tuple(row)


@dataclass(frozen=True)
class Within(OutputSpec):
    """Closed limits: limits[i][0] <= y_i <= limits[i][1]; infinities mean no limit."""

    limits: tuple[tuple[float, float], ...]

    def _check(self, outputs: int) -> None:
        if len(self.limits) != outputs:
            raise SpecError(
                f"y_specs: {len(self.limits)} pairs, but the network has {outputs} outputs; give one pair per output "
                "(None for no limit)"
            )

    def narrowed(self, outputs: int, at_once: int) -> list[Narrow]:
        """Outputs that have a limit."""
        self._check(outputs)
        limited = [i for i, (low, high) in enumerate(self.limits) if math.isfinite(low) or math.isfinite(high)]
        return [
            (some, Within(tuple(self.limits[i] for i in some)), False)
            for some in _chunks(limited, max(1, at_once // 2))
        ]

    def clauses(self, outputs: int) -> tuple[Clause, ...]:
        """One clause a finite limit."""
        self._check(outputs)
        found: list[Clause] = []
        for i, (low, high) in enumerate(self.limits):
            if math.isfinite(low):
                found.append((Inequality(_unit(outputs, i, 1.0), -low, False),))
            if math.isfinite(high):
                found.append((Inequality(_unit(outputs, i, -1.0), high, False),))
        return tuple(found)


@dataclass(frozen=True)
class ArgmaxIs(OutputSpec):
    """Output `label` is strictly the largest."""

    label: int

    def _check(self, outputs: int) -> None:
        if outputs == 1:
            raise SpecError(
                f"y_specs: argmax_is({self.label}), but the network has one output, which is always the largest; ask "
                "what it must be, e.g. less_than(0.5) or greater_than(0.5)"
            )
        if self.label >= outputs:
            raise SpecError(
                f"y_specs: argmax_is({self.label}), but the network has {outputs} outputs, numbered 0 to {outputs - 1}"
            )

    def narrowed(self, outputs: int, at_once: int) -> list[Narrow]:
        """The label and some rivals."""
        self._check(outputs)
        rivals = [i for i in range(outputs) if i != self.label]
        return [([self.label, *some], ArgmaxIs(0), True) for some in _chunks(rivals, at_once)]

    def clauses(self, outputs: int) -> tuple[Clause, ...]:
        """One clause per rival."""
        self._check(outputs)
        found: list[Clause] = []
        for rival in range(outputs):
            if rival != self.label:
                row = [0.0] * outputs
                row[self.label], row[rival] = 1.0, -1.0
                found.append((Inequality(tuple(row), 0.0, True),))
        return tuple(found)


@dataclass(frozen=True)
class Threshold(OutputSpec):
    """Every output (or the one named) lies strictly below, or strictly above, a value."""

    value: float
    above: bool
    output: int | None = None

    def _check(self, outputs: int) -> None:
        name = "greater_than" if self.above else "less_than"
        if self.output is not None and self.output >= outputs:
            raise SpecError(
                f"y_specs: {name}(output={self.output}), but the network has {outputs} outputs, "
                f"numbered 0 to {outputs - 1}"
            )

    def narrowed(self, outputs: int, at_once: int) -> list[Narrow]:
        """Some outputs, or the one named."""
        self._check(outputs)
        chosen = range(outputs) if self.output is None else [self.output]
        return [(some, Threshold(self.value, self.above), False) for some in _chunks(chosen, at_once)]

    def clauses(self, outputs: int) -> tuple[Clause, ...]:
        """One clause an output."""
        self._check(outputs)
        sign = 1.0 if self.above else -1.0
        chosen = range(outputs) if self.output is None else [self.output]
        return tuple((Inequality(_unit(outputs, i, sign), -sign * self.value, True),) for i in chosen)


@dataclass(frozen=True)
class Linear(OutputSpec):
    """coefficients . y + inputs . x + offset >= 0, or > 0 where strict; `inputs` is empty where x plays no part."""

    coefficients: tuple[float, ...]
    offset: float
    strict: bool
    inputs: tuple[float, ...] = ()

    def clauses(self, outputs: int) -> tuple[Clause, ...]:
        """One clause of one inequality."""
        if len(self.coefficients) != outputs:
            raise SpecError(
                f"y_specs: linear() has {len(self.coefficients)} coefficients, but the network has {outputs} outputs"
            )
        return ((Inequality(self.coefficients, self.offset, self.strict, self.inputs),),)


@dataclass(frozen=True)
class AllOf(OutputSpec):
    """Every part holds."""

    parts: tuple[OutputSpec, ...]

    def narrowed(self, outputs: int, at_once: int) -> list[Narrow] | None:
        """What each part is taken apart into."""
        found = [part.narrowed(outputs, at_once) for part in self.parts]
        if any(one is None for one in found):
            return None
        return [narrow for one in found if one is not None for narrow in one]

    def clauses(self, outputs: int) -> tuple[Clause, ...]:
        """The clauses of all parts."""
        return tuple(clause for part in self.parts for clause in part.clauses(outputs))


@dataclass(frozen=True)
class AnyOf(OutputSpec):
    """At least one part holds."""

    parts: tuple[OutputSpec, ...]

    def clauses(self, outputs: int) -> tuple[Clause, ...]:
        """One clause for every choice of one clause a part."""
        lists = [part.clauses(outputs) for part in self.parts]
        if math.prod(len(part) for part in lists) > MAX_CLAUSES:
            raise SpecError(f"y_specs: any_of() multiplies out to more than {MAX_CLAUSES} clauses; split the spec")
        return tuple(tuple(itertools.chain(*choice)) for choice in itertools.product(*lists))


def within(limits: Any) -> OutputSpec:
    """Closed limits, one [lower, upper] pair an output; None and infinities mean no limit.

    Raises:
        SpecError: A pair is swapped or NaN, or the shape is wrong.

    Example:
        >>> within([[None, 0.5]])
        Within(limits=((-inf, 0.5),))
    """
    array = as_pairs(limits, "y_specs", None, "output")
    pairs = []
    for i, (low, high) in enumerate(array):
        low, high = (-math.inf if math.isnan(low) else low), (math.inf if math.isnan(high) else high)
        if low > high:
            raise SpecError(f"y_specs[{i}]: lower exceeds upper ({low:g} > {high:g}); were the two swapped?")
        if low == math.inf or high == -math.inf:
            raise SpecError(f"y_specs[{i}]: ({low:g}, {high:g}) admits no value; None means no limit")
        pairs.append((float(low), float(high)))
    return Within(tuple(pairs))


def argmax_is(label: int) -> OutputSpec:
    """Output `label` (counted from 0) is strictly the largest; a tie is a violation.

    Raises:
        SpecError: label is no whole number >= 0.
    """
    return ArgmaxIs(as_index(label, "argmax_is(label)"))


def less_than(value: float, output: int | None = None) -> OutputSpec:
    """y < value, strictly, for every output or for the one named.

    Raises:
        SpecError: value is not a finite number, or output is no whole number >= 0.
    """
    return Threshold(as_finite(value, "less_than(value)"), False, as_optional_index(output, "less_than(output=)"))


def greater_than(value: float, output: int | None = None) -> OutputSpec:
    """y > value, strictly, for every output or for the one named.

    Raises:
        SpecError: value is not a finite number, or output is no whole number >= 0.
    """
    return Threshold(as_finite(value, "greater_than(value)"), True, as_optional_index(output, "greater_than(output=)"))


def linear(y: Any, offset: float = 0.0, strict: bool = False, *, x: Any = None) -> OutputSpec:
    """y . outputs + x . inputs + offset >= 0, or > 0 where strict.

    Args:
        y: One coefficient for each output.
        offset: The constant.
        strict: Whether a tie is a violation.
        x: One coefficient for each input, in flattened order, for a spec that compares outputs with the input; None
            where it speaks of outputs only.

    Raises:
        SpecError: A coefficient or the offset is not a finite number.

    Example:
        >>> linear([1, -1])  # output 0 is at least output 1
        Linear(coefficients=(1.0, -1.0), offset=0.0, strict=False, inputs=())
        >>> near = linear(y=[1], x=[-2], offset=0.1) & linear(y=[-1], x=[2], offset=0.1)  # |y - 2 x| <= 0.1
    """
    if not isinstance(strict, bool | np.bool_):
        raise SpecError(f"linear(strict=): expected True or False, found {shown(strict)}")
    offset, inputs = as_finite(offset, "linear(offset=)"), () if x is None else as_row(x, "linear(x)", "input")
    return Linear(as_row(y, "linear(y)", "output"), offset, bool(strict), inputs if any(inputs) else ())


def all_of(*specs: Any) -> OutputSpec:
    """Every spec must hold.

    Raises:
        SpecError: There is none, or one is no spec.
    """
    return AllOf(_parts(specs, "all_of"))


def any_of(*specs: Any) -> OutputSpec:
    """At least one spec must hold, at every input (not always the same one).

    Raises:
        SpecError: There is none, or one is no spec.
    """
    return AnyOf(_parts(specs, "any_of"))


def output_spec(y_specs: Any) -> OutputSpec:
    """Read y_specs: an OutputSpec, or one [lower, upper] pair an output."""
    return y_specs if isinstance(y_specs, OutputSpec) else within(y_specs)


def _parts(specs: tuple[Any, ...], name: str) -> tuple[OutputSpec, ...]:
    if not specs:
        raise SpecError(f"{name}(): no spec given; pass at least one")
    return tuple(output_spec(spec) for spec in specs)
