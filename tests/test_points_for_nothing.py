"""Who skips every exercise still reads a lab to its end, and no name at hand earns points when it is handed in.

One run of each released notebook, in a kernel of Jupyter, shows both: its last cell hands in the names.
"""

import json
from dataclasses import dataclass

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from grading.lab.contract import uses
from tests.lab_runs import LABS, bound_outside_functions, errors, is_test, nbgrader, printed, read, released, run

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

HAND_IN = """import json as _json
from tests.names_at_hand import gifts as _gifts
print(_json.dumps(_gifts(_json.loads({checks!r}), globals())))"""
SKIPPED = [
    pytest.param(lab, id=lab.stem, marks=pytest.mark.xdist_group(f"{lab.stem}_skipped")) for lab in LABS
]  # one process runs the notebook for both tests


@dataclass(frozen=True)
class Skipped:
    """A released notebook after its run, and what the names in it earned."""

    notebook: NotebookNode
    gifts: list


def checks(lab):
    """Each check whole, with those names of its first line that a student's answer binds."""
    cells = [cell for cell in read(lab).cells if cell.cell_type == "code"]
    answers = [bound_outside_functions(cell.source) for cell in cells if nbgrader(cell).get("solution")]
    for cell in filter(is_test, cells):
        wanted = [name for name in uses(cell.source) if name in set().union(*answers)]
        assert wanted, nbgrader(cell)["grade_id"]
        yield nbgrader(cell)["grade_id"], cell.source, wanted, nbgrader(cell)["points"]


@pytest.fixture(scope="module", params=SKIPPED)
def skipped(request, tmp_path_factory):
    """What becomes of the lab when every exercise is skipped."""
    notebook = released(request.param)
    notebook.cells.append(new_code_cell(HAND_IN.format(checks=json.dumps(list(checks(request.param))))))
    run(notebook, tmp_path_factory.mktemp("skipped"), allow_errors=True, seconds=1800)
    last = notebook.cells.pop()
    assert errors(last) == [], last.outputs
    return Skipped(notebook, json.loads(printed(last).splitlines()[-1]))


def test_who_skips_every_exercise_still_reads_the_lab_to_its_end(skipped):
    """Errors appear in the exercises themselves and in their checks, nowhere else; and every check notices."""
    for cell in skipped.notebook.cells:
        if not nbgrader(cell):
            assert not errors(cell), f"{errors(cell)} in\n{cell.source}"
        elif is_test(cell):
            assert errors(cell), f"{nbgrader(cell)['grade_id']} passes though its exercise was skipped"


def test_no_name_at_hand_earns_points_as_an_answer(skipped):
    assert skipped.gifts == []
