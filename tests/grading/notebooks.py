"""Notebooks as a student would hand them in."""

from pathlib import Path

import nbformat


def edit(source: Path, target: Path, changes: dict[str, str]) -> Path:
    """Write a copy of a notebook in which the cells with these grade_ids have a new text."""
    notebook = nbformat.read(source, as_version=4)
    left = dict(changes)
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id in left:
            cell.source = left.pop(grade_id)
    assert not left, f"no such cells: {left}"
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    return target
