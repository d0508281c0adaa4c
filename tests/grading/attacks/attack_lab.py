# ruff: noqa: E501  the cells of a notebook stand on one line each
"""Notebooks for attacks: the small lab solved or not, with cells of a student's own before it, graded in the sandbox."""

import base64
import functools
import json
from pathlib import Path

from grading.lab.build import build_notebook
from grading.lab.contract import HIDDEN_BEGIN, HIDDEN_END
from grading.lab.submission import GradedCell, Submission, read_blueprint
from grading.limits import Limits
from grading.run.one import grade

FULL = 7
LIMITS = Limits(wall_s=20, cell_s=10, cpu_s=15, memory_mb=256, processes=32, file_mb=8, tmp_mb=16, output_kb=256)
NOT_SOLVED = "# YOUR CODE HERE\nraise NotImplementedError()"


@functools.cache
def source() -> dict:
    text = (Path(__file__).parents[1] / "fixture_lab" / "small_lab.py").read_text(encoding="utf-8")
    return json.loads(build_notebook(text))


def small_lab(before=(), *, solved, after=()) -> dict:
    """The small lab as a student hands it in, with cells of the student's around it."""
    notebook = json.loads(json.dumps(source()))
    for cell in notebook["cells"]:
        told = cell["metadata"].get("nbgrader", {})
        if told.get("solution") and not solved:
            cell["source"] = NOT_SOLVED
    notebook["cells"] = [*map(code, before), *notebook["cells"], *map(code, after)]
    return notebook


def code(text) -> dict:
    return {"cell_type": "code", "metadata": {}, "source": text, "outputs": [], "execution_count": None, "id": "x"}


def blueprint() -> dict[str, GradedCell]:
    return {
        cell["metadata"]["nbgrader"]["grade_id"]: GradedCell(
            cell["metadata"]["nbgrader"], cell["cell_type"], "".join(cell["source"])
        )
        for cell in source()["cells"]
        if "nbgrader" in cell["metadata"]
    }


def graded(sandbox, notebook, plan=None, limits=LIMITS, files=(), **options):
    """What comes of a notebook; `files` are (name, bytes) pairs beside it."""
    content = notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode()
    handed_in = [[name, base64.b64encode(data).decode()] for name, data in files]
    return grade(sandbox, Submission(content, handed_in), plan or blueprint(), limits, **options)


def points(result) -> float:
    return sum(outcome.points for outcome in result.outcomes)


def test_cell(name, uses, visible="", hidden="", most=1) -> GradedCell:
    """An instructor's test."""
    text = f"# uses: {uses}\n{visible}\n"
    if hidden:
        text += f"{HIDDEN_BEGIN}\n{hidden}\n{HIDDEN_END}"
    told = {"grade": True, "grade_id": name, "locked": True, "points": most, "schema_version": 3, "solution": False}
    return GradedCell({**told, "task": False}, "code", text)


def own_lab(*parts) -> tuple[dict, dict[str, GradedCell]]:
    """A notebook of a student's cells (text) and an instructor's tests, in order, and the instructor's part of it."""
    cells, plan = [], {}
    for part in parts:
        if isinstance(part, str):
            cells.append(code(part))
        else:
            name = part.metadata["grade_id"]
            plan[name] = part
            cells.append({**code(part.source), "metadata": {"nbgrader": {"grade_id": name}}})
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, plan


def shown(result) -> str:
    """Everything that a student will read: outputs of cells, and the line of each test."""
    outputs = [cell.get("outputs", []) for cell in result.notebook["cells"] if "grading" not in cell["metadata"]]
    return json.dumps([outputs, [outcome.message for outcome in result.outcomes]])


__all__ = ["FULL", "LIMITS", "code", "graded", "own_lab", "points", "read_blueprint", "shown", "small_lab", "test_cell"]
test_cell.__test__ = False
