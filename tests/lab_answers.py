"""A lab's test cells, hidden parts included, run on single answers, without a kernel and without the sandbox.

`tests/test_lab4_answers.py` shows how a lab's tests use it.
"""

import ast
from typing import Any

import pytest

from grading.course import Course
from grading.lab.contract import read_test_cells


def cases(answers: dict[str, dict[str, str]]) -> list[Any]:
    """(exercise, code) parameters from {exercise: {how it is answered: code}}."""
    return [
        pytest.param(name, code, id=f"{name}: {how}") for name, kinds in answers.items() for how, code in kinds.items()
    ]


class LabAnswers:
    """The test cells of one lab.

    Args:
        lab: The lab, such as "lab4_curve".
        before: Code of what a student has by the time of any exercise: imports, and right answers to earlier exercises.

    Attributes:
        source: Text of each test cell by grade_id.
        max_points: Its points.
    """

    def __init__(self, lab: str, before: str = "") -> None:
        tests = read_test_cells(Course.here().source_notebook(lab))
        self.source = {test.grade_id: test.source for test in tests}
        self.max_points = {test.grade_id: test.max_points for test in tests}
        self._before = compile(before, f"before any answer to {lab}", "exec")
        self._text = Course.here().text_source(lab).read_text(encoding="utf-8")

    def names(self, code: str = "") -> dict[str, Any]:
        """The names that a notebook holds once this code has run."""
        names: dict[str, Any] = {}
        exec(self._before, names)
        exec(code, names)
        return names

    def earned(self, name: str, code: str) -> float:
        """Points that the cell `{name}_check` gives when this code is the answer; what the cell raises is raised."""
        return self.points(f"{name}_check", self.names(code))

    def points(self, grade_id: str, names: dict[str, Any]) -> float:
        """Points that a test cell gives with these names; what it raises is raised.

        As for nbgrader, a number as last expression is the points, and a cell without one gives all that it has.
        """
        tree = ast.parse(self.source[grade_id])
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, grade_id, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), grade_id, "eval"), names)
            if isinstance(value, int | float):
                return value
        return self.max_points[grade_id]

    def given_end(self, name: str, begins: str) -> str:
        """The end of an exercise's cell, which the lab gives: from this text on, or nothing."""
        cell = self._text[self._text.index(f'"grade_id": "{name}"') :].partition("# %%")[0]
        _, found, rest = cell.partition(begins)
        return found + rest
