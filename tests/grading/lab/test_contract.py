"""What a test cell may and may not do."""

import nbformat
import pytest

from grading.course import Course
from grading.lab.contract import assigned_names, names_from_elsewhere, read_test_cells, uses, violations

GOOD = """# uses: width, x_specs
import numpy as np

def longest(pairs):
    return max(width(*pair) for pair in pairs)

points = 1
assert longest(x_specs) > 0, f"found {longest(x_specs)}"
### BEGIN HIDDEN TESTS
assert np.isclose(width(0, 2), 2), "hint: subtract"
points += 1
### END HIDDEN TESTS
points"""


def test_a_good_cell_has_no_violation():
    assert violations(GOOD) == []


def test_uses_names_what_the_first_line_says():
    assert uses(GOOD) == ("width", "x_specs")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("assert width(0, 1) == 1", "the first line of a test cell is"),
        ("# uses:\nassert True", "the first line of a test cell is"),
        ("# uses: width\nassert width(0, 1) == length", "uses length, which its first line does not name"),
        ("# uses: width\ndef f():\n    return helper(1)\nassert width(0, f())", "uses helper, which its first line"),
        ("# uses: width, height\nassert width(0, 1)", "names height in its first line and does not use it"),
        ("# uses: width\nwidth = width(0, 1)", "assigns to width"),
        ("# uses: width\n%timeit width(0, 1)", "magics do not run in the judge"),
        ("# uses: width\nassert width.__code__", "line 2: looks at the private attribute __code__"),
        ("# uses: width\nimport inspect\nassert inspect.getsource(width)", "line 2: imports inspect"),
        ("# uses: width\n### BEGIN HIDDEN TESTS\nassert width(0, 1)", "a region of hidden tests is not closed"),
        (
            "# uses: width\n### BEGIN HIDDEN TESTS\n"
            'assert width(0, 3) == 3, f"{width(0, 3)} != 3"\n### END HIDDEN TESTS',
            "a hidden assert wants a hint that is a plain string",
        ),
        (
            '# uses: width\n### BEGIN HIDDEN TESTS\nassert width(0, 3), "one\\ntwo"\n### END HIDDEN TESTS',
            "the hint of a hidden assert is longer than one line",
        ),
    ],
)
def test_violation_is_named(source, said):
    assert any(said in violation for violation in violations(source)), violations(source)


@pytest.mark.parametrize("lab", Course.here().lab_names())
def test_every_test_cell_of_a_lab_keeps_the_contract(lab):
    cells = read_test_cells(Course.here().source_notebook(lab))
    assert cells, f"{lab} has no test cell"
    assert {cell.grade_id: found for cell in cells if (found := violations(cell.source))} == {}


@pytest.mark.parametrize("lab", Course.here().lab_names())
def test_no_test_cell_binds_a_name_that_another_cell_relies_on(lab):
    """In the notebook's kernel it would take the place of the student's own; in the judge it would not."""
    notebook = nbformat.read(Course.here().source_notebook(lab), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    tests = {cell.grade_id: cell for cell in read_test_cells(Course.here().source_notebook(lab))}
    others = [cell.source for cell in code if cell.metadata.get("nbgrader", {}).get("grade_id") not in tests]
    relied_on = {name for cell in tests.values() for name in cell.uses}
    relied_on |= {name for source in others for name in names_from_elsewhere(source)}
    assert {name: both for name, cell in tests.items() if (both := relied_on & assigned_names(cell.source))} == {}


def test_names_from_elsewhere_are_those_that_a_cell_does_not_make_itself():
    assert names_from_elsewhere("import math\nx = y + 1\ndef f(a): return a + x + z") == {"y", "z"}


def test_fixture_lab_keeps_the_contract(course):
    for cell in read_test_cells(course.source_notebook("small_lab")):
        assert violations(cell.source) == []
