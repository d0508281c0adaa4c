"""What a student sees on a feedback page: no hidden tests, nothing written for the instructor, and whole pictures."""

from typing import Any

from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_solution

from grading.book.rubric import is_rubric
from grading.lab.contract import without_hidden
from grading.run.sanitise import error


class HideTests(NbGraderPreprocessor):  # type: ignore[misc]
    """Leave of a test cell its visible part, and of its outcome the points and one line."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Leave out what was written for the one who grades, then change the test cells."""
        nb.cells = [cell for cell in nb.cells if not is_rubric(cell)]
        return super().preprocess(nb, resources)  # type: ignore[no-any-return]

    def preprocess_cell(self, cell: Any, resources: Any, cell_index: int) -> tuple[Any, Any]:
        """Change the test cells, and no other."""
        if cell.cell_type != "code" or not is_grade(cell) or is_solution(cell):
            return cell, resources
        cell.source = without_hidden(cell.source)
        told = cell.metadata.get("grading", {})
        shown = []
        if told.get("message"):
            shown = [error(told["message"], "Failed")]
        elif float(told.get("points", 0.0)) < float(cell.metadata.nbgrader["points"]):
            text = f"{float(told.get('points', 0.0)):g} of {float(cell.metadata.nbgrader['points']):g} points"
            shown = [error(text, "Partly")]
        cell.outputs = [type(cell)(output) for output in shown]
        return cell, resources


class FitPictures(NbGraderPreprocessor):  # type: ignore[misc]
    """Draw no picture wider than the page, which would cut it off; comes after the preprocessor that adds style."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Add one rule to the page's style."""
        resources["inlining"]["css"].append(".output_png img, .output_svg img { max-width: 100%; height: auto; }")
        return nb, resources
