"""Check cells that a student removed, changed, copied or moved are told to the instructor."""

import pytest

from grading.lab.differences import differences
from grading.lab.submission import GradedCell

TEST = "# uses: x\nassert x == 1\n### BEGIN HIDDEN TESTS\nassert x > 0, 'hint'\n### END HIDDEN TESTS"


def cell(name, source, *, test):
    told = {"grade_id": name, "grade": test, "solution": not test, "locked": test, "points": 1}
    return GradedCell(told, "code", source)


BLUEPRINT = {
    "a": cell("a", "x = 1", test=False), "a_check": cell("a_check", TEST, test=True),
    "b": cell("b", "y = 1", test=False), "b_check": cell("b_check", "# uses: y\nassert y", test=True),
}  # fmt: skip
RELEASED = [
    ("code", "import numpy", None), ("code", "x = 2", "a"), ("code", "# uses: x\nassert x == 1", "a_check"),
    ("code", "y = 7", "b"), ("code", "# uses: y\nassert y", "b_check"), ("code", "my own", None),
]  # fmt: skip


def test_an_honest_notebook_has_no_note():
    assert differences(RELEASED, BLUEPRINT) == []


def test_the_instructors_own_notebook_has_no_note():
    assert differences([("code", one.source, name) for name, one in BLUEPRINT.items()], BLUEPRINT) == []


def test_spaces_and_empty_lines_are_no_change():
    cells = [*RELEASED]
    cells[2] = ("code", "# uses: x\r\nassert x == 1  \n\n", "a_check")
    assert differences(cells, BLUEPRINT) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda cells: cells.pop(2), "cells removed: a_check"),
        (lambda cells: cells.pop(3), "cells removed: b"),
        (lambda cells: cells.__setitem__(2, ("code", "# uses: x\npass", "a_check")), "cells changed: a_check"),
        (lambda cells: cells.insert(1, cells[2]), "cells copied: a_check"),
        (lambda cells: cells.insert(0, cells.pop(4)), "cells moved: b_check"),
        (lambda cells: cells.append(cells.pop(2)), "cells moved: a_check"),
        (lambda cells: cells.append(cells.pop(1)), "cells moved: a"),
    ],
)
def test_what_was_done_to_a_cell_is_told(change, said):
    cells = [*RELEASED]
    change(cells)
    assert differences(cells, BLUEPRINT) == [said]
