"""The common shapes of a VNN-LIB file read in bulk, by regular expressions over many comparisons at once.

Files of megabytes consist of a few shapes: declarations, bounds of one input by a plain number, comparisons of one
output with a number or with another output, weighted sums of outputs compared with a number, and disjunctions of
conjunctions of these. Whatever is written otherwise is left to syntax.py and parts.py, which read everything; here a
shape is either read as they would, or not at all.

A plain number has at most 50 digits on either side of its point and an exponent of two digits, so that it is 0 or lies
between 1e-150 and 1e150, and the nearest float64 of its text is that of its exact value.
"""

from __future__ import annotations

import re

import numpy as np

from verifier.frontends.vnnlib.parts import Bounds, Form, Part, Row, Terms
from verifier.frontends.vnnlib.syntax import Source

_Shape = tuple[Terms, float, bool]  # of a row: its terms, the factor of its number, whether it is strict
make = tuple.__new__  # a named tuple of a million rows, in half the time

RUN = 5_000  # comparisons between two looks at the clock

_INDEX = r"(?:0|[1-9][0-9]{0,8}+)"
_NUMBER = r"[-+]?(?:[0-9]{1,50}+(?:\.[0-9]{0,50}+)?|\.[0-9]{1,50}+)(?:[eE][-+]?[0-9]{1,2}+)?"
_BOUND = rf"\(\s*([<>])=\s+X_({_INDEX})\s+({_NUMBER})\s*\)\s*"
_ROW = rf"\(\s*(?:([<>]=?\s+Y_{_INDEX})\s+(?:(Y_{_INDEX})|({_NUMBER}))|([<>]=?)\s+({_NUMBER})\s+(Y_{_INDEX}))\s*\)\s*"
_TERM = rf"(?:\(\s*\*\s+({_NUMBER})\s+Y_({_INDEX})\s*\)|Y_({_INDEX})(?=[\s()]))\s*"
_ASSERTED = rf"\(\s*assert\s*{_BOUND}\)\s*"
_DECLARED = rf"\(\s*declare-(?:const\s+([XY])_({_INDEX})|fun\s+([XY])_({_INDEX})\s*\(\s*\))\s+Real\s*\)\s*"


def _run(pattern: str) -> re.Pattern[str]:
    """Many of a pattern, without its groups."""
    plain = re.sub(r"(?<!\\)\((?!\?)", "(?:", pattern)
    return re.compile(rf"(?:{plain}){{1,{RUN}}}+")


BOUND, BOUNDS = re.compile(_BOUND), _run(_BOUND)
ASSERTED, ASSERTED_RUN = re.compile(_ASSERTED), _run(_ASSERTED)
DECLARED, DECLARED_RUN = re.compile(_DECLARED), _run(_DECLARED)
ROW, ROWS = re.compile(_ROW), _run(_ROW)
TERM = re.compile(_TERM)
SUM = re.compile(rf"\(\s*([<>])(=?)\s+\(\s*\+\s+({_run(_TERM).pattern})\)\s*({_NUMBER})\s*\)\s*")
ALL_ROWS = re.compile(rf"\(\s*and\s*{ROWS.pattern}\)\s*")  # a conjunction of nothing else, the commonest disjunct
ASSERT = re.compile(r"\(\s*assert\s*(?=\()")
OR, AND, CLOSE = re.compile(r"\(\s*or\s*(?=\()"), re.compile(r"\(\s*and\s*(?=\()"), re.compile(r"\)\s*")
SPACE = re.compile(r"\s*")


class Bulk:
    """Read what it can from the position of a source on.

    Args:
        source: Its position is moved on past what was read.
        variables: Names that are declared; declarations are added.
    """

    def __init__(self, source: Source, variables: dict[str, None]) -> None:
        """Read nothing yet."""
        self.source, self.variables = source, variables
        self._known: dict[tuple[str, str, str, str], _Shape] = {}
        self._counted, self._inputs, self._outputs = 0, 0, 0

    def read(self) -> Form | None:
        """Read declarations, and then one assertion or a run of bounds; None where the next command is another."""
        source = self.source
        source.look()
        at = SPACE.match(source.text, source.position).end()  # type: ignore[union-attr]
        while (found := DECLARED_RUN.match(source.text, at)) is not None:
            for kind, index, other_kind, other in DECLARED.findall(source.text, at, found.end()):
                self.variables[f"{kind or other_kind}_{index or other}"] = None
            at = found.end()
        source.position = at
        self._count_variables()
        found = ASSERTED_RUN.match(source.text, at)
        if found is not None:
            bounds = self._bounds(ASSERTED, at, found.end())
            if bounds is None:
                return None
            source.position = found.end()
            return [Part(bounds=[bounds])]
        found = ASSERT.match(source.text, at)
        form, end = (None, at) if found is None else self._assertion(found.end())
        if form is not None:
            source.position = end
        return form

    def _count_variables(self) -> None:
        """How many inputs and outputs are declared from the first on without a gap."""
        if self._counted != len(self.variables):
            self._counted = len(self.variables)
            while f"X_{self._inputs}" in self.variables:
                self._inputs += 1
            while f"Y_{self._outputs}" in self.variables:
                self._outputs += 1

    def _assertion(self, at: int) -> tuple[Form | None, int]:
        """Read an assertion from its term on, up to where the next command begins."""
        text = self.source.text
        found = OR.match(text, at)
        if found is None:
            part, at = self._disjunct(at)
            form = None if part is None else [part]
        else:
            form, at = [], found.end()
            while not text.startswith(")", at):
                self.source.look()
                part, at = self._disjunct(at)
                if part is None:
                    return None, at
                form.append(part)
            close = CLOSE.match(text, at)
            at = close.end() if close is not None else at
        end = CLOSE.match(text, at)
        return (None, at) if end is None else (form, end.end())

    def _disjunct(self, at: int) -> tuple[Part | None, int]:
        """Read a conjunction, or one comparison."""
        text, part = self.source.text, Part()
        found = ALL_ROWS.match(text, at)
        if found is not None:
            return (part, found.end()) if self._rows(part, at, found.end()) else (None, at)
        found = AND.match(text, at)
        if found is None:
            return (part, end) if (end := self._comparisons(part, at, single=True)) else (None, at)
        at = found.end()
        while (close := CLOSE.match(text, at)) is None:
            end = self._comparisons(part, at)
            if not end:
                return None, at
            at = end
        return part, close.end()

    def _comparisons(self, part: Part, at: int, single: bool = False) -> int:
        """Add a run of bounds, or a row, to a part; give where it ends, or 0 where there is neither."""
        text = self.source.text
        found = (BOUND if single else BOUNDS).match(text, at)
        if found is not None:
            bounds = self._bounds(BOUND, at, found.end())
            if bounds is None:
                return 0
            part.bounds.append(bounds)
            return found.end()
        found = (ROW if single else ROWS).match(text, at)
        if found is None:
            return self._sum(part, at)
        return found.end() if self._rows(part, at, found.end()) else 0

    def _rows(self, part: Part, start: int, end: int) -> bool:
        """Add the rows of a stretch to a part; false where an output is not declared."""
        known, rows = self._known, part.rows
        for head, right, limit, sign, number, output in ROW.findall(self.source.text, start, end):
            shape = (head, right, sign, output)
            found = known.get(shape)
            if found is None:
                found = self._shape(head or f"{sign} {output}", right, bool(number))
                if found is None:
                    return False
                known[shape] = found
            terms, factor, strict = found
            if terms:
                rows.append(make(Row, (terms, factor * float(limit or number or 0.0) + 0.0, strict, ())))
            else:
                part.possible &= not strict  # y <= y always holds, y < y never
        return True

    def _bounds(self, pattern: re.Pattern[str], start: int, end: int) -> Bounds | None:
        """Read bounds as arrays; None where an input is not declared."""
        sides, inputs, limits = zip(*pattern.findall(self.source.text, start, end), strict=True)
        index = np.array(list(map(int, inputs)))
        if index.max() >= self._inputs:
            return None
        upper = np.frombuffer("".join(sides).encode(), dtype=np.uint8) == ord("<")
        return index, upper, np.array(list(map(float, limits)))

    def _shape(self, head: str, right: str, turned: bool) -> _Shape | None:
        """What rows share that differ in their number only; None where an output is not declared.

        Args:
            head: How it compares, and the first output.
            right: The other output; empty where the output is compared with a number.
            turned: Whether the number stands before the output.
        """
        relation, left = head.split()
        sign = 1.0 if (relation[0] == "<") is not turned else -1.0  # c <= y is y >= c
        first, second = int(left[2:]), int(right[2:] or 0)
        if max(first, second) >= self._outputs:
            return None
        strict = len(relation) == 1
        if not right:
            return ((first, sign),), sign, strict
        return ((first, sign), (second, -sign)) if first != second else (), sign, strict

    def _sum(self, part: Part, at: int) -> int:
        """Add a weighted sum compared with a number to a part; give its end, or 0 where it is written otherwise."""
        found = SUM.match(self.source.text, at)
        if found is None:
            return 0
        relation, closed, _, limit = found.groups()
        sign = 1.0 if relation == "<" else -1.0
        written = TERM.findall(self.source.text, found.start(3), found.end(3) + 1)  # with what ends the last one
        weights = {int(index or alone): sign * float(weight or 1.0) for weight, index, alone in written}
        if len(weights) < len(written) or max(weights) >= self._outputs or not any(weights.values()):
            return 0  # one that is named twice is added up exactly
        terms = tuple((output, weight) for output, weight in weights.items() if weight)
        part.rows.append(Row(terms, sign * float(limit) + 0.0, not closed))
        return found.end()
