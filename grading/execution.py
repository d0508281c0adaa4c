"""The one place where nbgrader runs a submission's cells.

Here a submission runs as stock nbgrader runs it: in a kernel with the rights of whoever grades. To run it elsewhere,
replace `EXECUTE`; what takes its place is an nbconvert preprocessor that fills in every code cell's outputs, nothing
more.
"""

from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import Execute
from nbgrader.utils import is_grade


class ExecuteInKernel(Execute):  # type: ignore[misc]
    """Run all cells in one kernel, and do not let a warning cost points.

    nbgrader gives no points to a test cell that wrote anything to standard error. A progress bar or a library's warning
    does, so that stream is dropped from test cells; a failed test shows as an error, which stays.
    """

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, *args: Any, **kwargs: Any
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Run the notebook, then drop standard error from its test cells."""
        nb, resources = super().preprocess(nb, resources, *args, **kwargs)
        for cell in nb.cells:
            if cell.cell_type == "code" and is_grade(cell):
                cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        return nb, resources


EXECUTE = ExecuteInKernel
