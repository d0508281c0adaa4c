"""What a test cell may and may not do."""

import pytest

from grading.contract import read_test_cells, uses, violations
from grading.course import Course

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
        ("# uses: width\nwidth = width(0, 1)", "binds width anew"),
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
def test_no_test_cell_binds_a_name_that_another_takes_from_the_student(lab):
    """In the notebook's kernel such a name would hide the student's own; in the judge it would not."""
    from grading.contract import _bound_names

    cells = read_test_cells(Course.here().source_notebook(lab))
    taken = {name for cell in cells for name in cell.uses}
    assert {cell.grade_id: both for cell in cells if (both := taken & _bound_names(cell.source))} == {}


def test_fixture_lab_keeps_the_contract(course):
    for cell in read_test_cells(course.source_notebook("small_lab")):
        assert violations(cell.source) == []
