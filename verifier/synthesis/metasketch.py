"""A metasketch: sketches from cheap to expensive, searched with bounds that they share."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from verifier.errors import SketchError
from verifier.solvers.status import Status
from verifier.synthesis.result import Synthesis
from verifier.synthesis.sketch import Examples, Sketch, in_order
from verifier.synthesis.synthesise import synthesise


@dataclass(frozen=True)
class GridSearch:
    """What was found for each sketch, in the order of their cost.

    Attributes:
        cells: One for each sketch that was asked about. INFEASIBLE means that it does no better than a cheaper one.
        skipped: Sketches that were not asked about: a cheaper one reaches all that is possible.
        best: The cell with the most examples right; of several the cheapest. None where nothing was found.
    """

    cells: tuple[Synthesis, ...]
    skipped: tuple[Sketch, ...]
    best: Synthesis | None

    @property
    def proved(self) -> bool:
        """Whether nothing in the grid does better than `best`, and nothing cheaper does as well."""
        return all(cell.proved for cell in self.cells)


def search_grid(
    sketches: Sequence[Sketch],
    examples: Any,
    *,
    timeout_s: float = 60.0,
    **options: Any,
) -> GridSearch:
    """Ask each sketch, from cheap to expensive, for more right examples than all cheaper ones.

    Args:
        sketches: The grid.
        examples: Examples, or a function from a sketch to its Examples (the same ones, at its resolution).
        timeout_s: For the whole grid; each sketch may use what is left.
        **options: As for synthesise().

    Raises:
        SketchError: The grid is empty, or a sketch does not fit its examples.
    """
    if not sketches:
        raise SketchError("sketches: the grid is empty")
    cells: list[Synthesis] = []
    began, best, ordered = time.perf_counter(), None, in_order(sketches)
    for place, sketch in enumerate(ordered):
        data: Examples = examples(sketch) if callable(examples) else examples
        if best is not None and best.correct >= len(data):
            return GridSearch(tuple(cells), tuple(ordered[place:]), best)
        left = max(0.0, timeout_s - (time.perf_counter() - began))
        floor = None if best is None else best.correct
        cells.append(synthesise(sketch, data, more_than=floor, timeout_s=left, **options))
        if cells[-1].network is not None and (best is None or cells[-1].correct > best.correct):
            best = cells[-1]
        if cells[-1].status is Status.INTERRUPTED:
            return GridSearch(tuple(cells), tuple(ordered[place + 1 :]), best)
    return GridSearch(tuple(cells), (), best)


def smallest(sketches: Sequence[Sketch], examples: Examples, **options: Any) -> Iterator[Synthesis]:
    """Ask each sketch, from cheap to expensive, whether it can do all; end with the first that can."""
    for sketch in in_order(sketches):
        found = synthesise(sketch, examples, objective="any", **options)
        yield found
        if found.network is not None:
            return
