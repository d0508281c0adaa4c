"""The instructor's answer and rubric, beside the student's answer where it is graded by hand; no student sees it."""

import re
from typing import Any

import nbformat

from grading.lab.submission import GradedCell

SOLUTION = re.compile(r"^[ \t]*### BEGIN SOLUTION[ \t]*\n(.*?)^[ \t]*### END SOLUTION[ \t]*$", re.DOTALL | re.MULTILINE)
HEAD = "**For the one who grades** (students do not see this):"


def add_rubrics(notebook: Any, blueprint: dict[str, GradedCell]) -> None:
    """Put the solution of each manually graded cell behind it."""
    made = []
    for cell in notebook.cells:
        made.append(cell)
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        text = rubric(blueprint[name]) if name in blueprint else ""
        if text:
            told = nbformat.v4.new_markdown_cell(f"{HEAD}\n\n{text}")
            told.metadata["grading"] = {"rubric": True}
            told.id = f"rubric-{len(made)}"
            made.append(told)
    notebook.cells = made


def rubric(cell: GradedCell) -> str:
    """Markdown of what stands between the marks of a solution; empty where a test grades, or nothing stands there."""
    if not (cell.metadata.get("grade") and cell.metadata.get("solution")):
        return ""
    found = "\n".join(match[1].strip("\n") for match in SOLUTION.finditer(cell.source))
    return f"```python\n{found}\n```" if found and cell.cell_type == "code" else found


def is_rubric(cell: Any) -> bool:
    """Whether a cell is one that add_rubrics() made."""
    return cell.metadata.get("grading", {}).get("rubric") is True
