"""The notebook that a text source builds."""

import re

import nbformat
import pytest

from grading.course import Course, CourseError
from grading.lab.build import build_lab, build_notebook

CELL = (
    '# %% nbgrader={{"grade": {grade}, "grade_id": "{name}", "locked": false, "schema_version": 3, '
    '"solution": true, "task": false}}\n'
)


def test_building_twice_gives_the_same_bytes(course):
    text = course.text_source("small_lab").read_text()
    assert build_notebook(text) == build_notebook(text)


def test_building_again_leaves_the_file_alone(course):
    _, changed = build_lab(course, "small_lab")
    assert not changed


def test_cells_keep_their_ids_when_another_is_put_before_them():
    ids = [cell.id for cell in nbformat.reads(build_notebook("# %%\na = 1\n\n# %%\nb = 2\n"), as_version=4).cells]
    longer = nbformat.reads(build_notebook("# %%\nz = 0\n\n# %%\na = 1\n\n# %%\nb = 2\n"), as_version=4)
    assert [cell.id for cell in longer.cells][1:] == ids


def test_equal_cells_get_different_ids():
    cells = nbformat.reads(build_notebook("# %%\na = 1\n\n# %%\na = 1\n"), as_version=4).cells
    assert len({cell.id for cell in cells}) == 2


def test_built_notebook_holds_no_output(course):
    notebook = nbformat.read(course.source_notebook("small_lab"), as_version=4)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


def test_build_refuses_two_cells_of_one_grade_id():
    cell = CELL.format(grade="false", name="twice") + "a = 1\n\n"
    with pytest.raises(CourseError, match="grade_id 'twice' names 2 cells"):
        build_notebook(cell + cell)


def test_build_refuses_metadata_that_nbgrader_would_not_take():
    with pytest.raises(CourseError, match=r"cell 0 \(no_points\): nbgrader metadata: "):
        build_notebook(CELL.format(grade="true", name="no_points") + "a = 1\n")


def test_build_of_an_unknown_lab_lists_those_that_exist(course):
    with pytest.raises(CourseError, match=r"lab 'lab9': .* the labs of this course are: small_lab"):
        build_lab(course, "lab9")


@pytest.mark.parametrize("lab", Course.here().lab_names())
def test_committed_notebook_is_what_its_text_builds(lab):
    course = Course.here()
    built = build_notebook(course.text_source(lab).read_text(encoding="utf-8"))
    same = course.source_notebook(lab).read_text(encoding="utf-8") == built
    assert same, f"labs/{lab}/{lab}.ipynb differs from its text source: run make build and commit both"


def test_grade_ids_can_be_cell_ids(course):
    ids = [cell.id for cell in nbformat.read(course.source_notebook("small_lab"), as_version=4).cells]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", one) for one in ids)
