"""Build a lab's notebook from its text source, so that labs are written and reviewed as text.

The same text always gives the same bytes: outputs are not stored, and a cell's id comes from its grade_id or its
content.
"""

import hashlib
from collections import Counter
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from grading.course import Course, CourseError

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def build_notebook(text: str) -> str:
    """The notebook, as the content of an .ipynb file, of a text source in jupytext's percent format.

    Args:
        text: Cells that begin with `# %%` or `# %% [markdown]`; an nbgrader cell carries its metadata in that line.

    Returns:
        JSON of notebook format 4.5 with a final newline.

    Raises:
        CourseError: Two cells have one grade_id, or nbgrader would not accept a cell's metadata.
    """
    notebook = jupytext.reads(text, fmt="py:percent")
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    _check_grade_ids(notebook)
    _give_ids(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.validate(notebook)
    _check_nbgrader_metadata(notebook)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def build_lab(course: Course, lab: str) -> tuple[Path, bool]:
    """Write a lab's notebook beside its text source.

    Returns:
        The notebook's path, and whether its content changed.
    """
    course.check_lab(lab)
    try:
        built = build_notebook(course.text_source(lab).read_text(encoding="utf-8"))
    except CourseError as error:
        raise CourseError(f"{course.text_source(lab)}: {error}") from None
    path = course.source_notebook(lab)
    if path.is_file() and path.read_text(encoding="utf-8") == built:
        return path, False
    path.write_text(built, encoding="utf-8", newline="\n")
    return path, True


def _check_grade_ids(notebook: NotebookNode) -> None:
    counts = Counter(cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata)
    repeated = sorted(grade_id for grade_id, count in counts.items() if count > 1)
    if repeated:
        raise CourseError(f"grade_id {repeated[0]!r} names {counts[repeated[0]]} cells; nbgrader needs one name a cell")


def _check_nbgrader_metadata(notebook: NotebookNode) -> None:
    from nbgrader.nbgraderformat import MetadataValidator

    validator = MetadataValidator()
    for index, cell in enumerate(notebook.cells):
        if "nbgrader" not in cell.metadata:
            continue
        try:
            validator.validate_cell(cell)
        except Exception as error:  # jsonschema's and nbgrader's own errors share no base class
            reason = str(error).partition("\n")[0]
            raise CourseError(
                f"cell {index} ({cell.metadata.nbgrader.get('grade_id')}): nbgrader metadata: {reason}"
            ) from None


def _give_ids(notebook: NotebookNode) -> None:
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        cell.id = grade_id or digest
        seen[cell.id] += 1
        if seen[cell.id] > 1:
            cell.id = f"{cell.id}-{seen[cell.id]}"
