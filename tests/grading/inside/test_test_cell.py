"""Points of one test cell, from the number that it ends with."""

import pytest

from grading.inside.test_cell import judge_cell
from grading.lab.contract import TestCell


@pytest.mark.parametrize(
    ("last", "most", "points"),
    [
        ("0.1 + 0.2", 0.3, 0.3),  # 0.30000000000000004
        ("0.1 + 0.7 + 0.2", 1.0, 1.0),
        ("0.7 + 0.1 + 0.2", 1.0, 1.0),  # 0.9999999999999999
        ("sum([0.1] * 10)", 1.0, 1.0),
        ("__import__('numpy').float32(0.3).item()", 0.3, 0.3),
        ("0.2", 0.3, 0.2),
        ("0", 0.3, 0.0),
        ("0.29", 0.3, 0.29),
    ],
)
def test_tenths_add_up_to_full_credit(last, most, points):
    outcome = judge_cell(TestCell("t", f"# uses: x\nx\n{last}", most), {"x": 1})
    assert outcome.points == points and not outcome.message


def test_a_cell_that_gives_more_than_it_is_worth_is_told():
    outcome = judge_cell(TestCell("t", "# uses: x\nx\n0.5", 0.3), {"x": 1})
    assert outcome.points == 0 and "gives 0.5 points" in outcome.message
