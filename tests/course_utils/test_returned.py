"""What a student's function returned last, seen only while a check runs."""

from types import SimpleNamespace

import numpy as np
import pytest

from course_utils.notebook import brief
from course_utils.returned import LastReturn

CELL = "<cell 3>"


def notebook(code: str) -> dict:
    """The names of a notebook in which a cell with this code has run."""
    names: dict = {"array": np.array}
    exec(compile(code, CELL, "exec"), names)
    return names


def cell(text: str) -> SimpleNamespace:
    return SimpleNamespace(raw_cell=text)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("pass", "f() returned None (as a function without `return` does)"),
        ("return [1, 2.5]", "f() returned [1, 2.5]"),
        ("return array([0.0, 1.0])", "f() returned array([0., 1.])"),
        ("return 'verified'", "f() returned 'verified'"),
    ],
)
def test_a_check_sees_what_came_back(body, words):
    names = notebook(f"def f(x):\n    {body}\n")
    last = LastReturn(names)
    last.begin(cell("# uses: f\ndef check(): ..."))
    names["f"](1)
    assert last.words == words
    last.end()
    with pytest.raises(TypeError) as raised:
        int(None)
    assert f"before that, {words}" in brief(raised.type, raised.value, raised.tb, last.words)[1]


def test_a_long_value_is_cut():
    names = notebook("def f():\n    return [[0.5] * 1000] * 1000\n")
    last = LastReturn(names)
    last.begin(cell("# uses: f"))
    names["f"]()
    assert len(last.words) < 400


class Unprintable:
    """Its text is asked for in no check that passes."""

    def __repr__(self):
        raise AssertionError("a check that passes made text of what came back")


def test_a_value_becomes_text_only_for_a_check_that_fails():
    names = notebook("def f(value):\n    return value\n")
    last = LastReturn(names)
    last.begin(cell("# uses: f"))
    names["f"](Unprintable())
    names["f"](3)
    assert last.words == "f() returned 3"


def test_a_large_term_of_z3_is_told_by_its_size():
    z3 = pytest.importorskip("z3")
    names = notebook("def f(x):\n    return [x + 1, x]\n")
    last = LastReturn(names)
    last.begin(cell("# uses: f"))
    x = z3.Real("x")
    names["f"](x)
    assert last.words == "f() returned [x + 1, x]"
    names["f"](z3.Sum([x * k for k in range(500)]))
    assert "<Z3 ArithRef of " in last.words and len(last.words) < 400


def test_a_function_that_another_one_calls_is_seen_too():
    names = notebook("def inner():\n    pass\n\ndef outer():\n    return len(inner())\n")
    last = LastReturn(names)
    last.begin(cell("# uses: outer"))
    with pytest.raises(TypeError):
        names["outer"]()
    assert last.words.startswith("inner() returned None")


def test_names_are_as_they_were_after_a_check_and_in_all_other_cells():
    names = notebook("def f():\n    return 1\n\ndef g():\n    return 2\n")
    before = dict(names)
    last = LastReturn(names)
    last.begin(cell("f()"))
    assert names == before and last.words == ""
    last.begin(cell("# uses: f"))
    assert names["f"] is not before["f"] and names["array"] is np.array
    names["g"] = len  # defined again by the check's cell
    last.end()
    assert names["f"] is before["f"] and names["g"] is len


def test_a_check_starts_with_nothing_from_the_one_before():
    names = notebook("def f():\n    return 1\n")
    last = LastReturn(names)
    last.begin(cell("# uses: f"))
    names["f"]()
    last.end()
    last.begin(cell("# uses: f"))
    assert last.words == ""


def test_an_error_outside_a_check_says_nothing_of_it():
    with pytest.raises(ValueError, match="no") as raised:
        raise ValueError("no")
    assert not any("before that" in line for line in brief(raised.type, raised.value, raised.tb))
