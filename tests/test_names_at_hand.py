"""Names that are handed in as answers: what earns points is found, and what runs without an end is ended."""

import math

import pytest

from tests import names_at_hand
from tests.names_at_hand import distinct, gifts, importable, is_own

HELD = {"radius": 0.5, "hint": [1, 2], "_private": 3.0, "In": [3.0], "answer": "an exercise that was skipped"}


@pytest.fixture(autouse=True)
def _nothing_to_import(monkeypatch):
    monkeypatch.setattr(names_at_hand, "importable", dict)


def test_a_name_that_earns_points_is_found_with_what_it_earns():
    whole = ("whole", "def check():\n    assert answer == 0.5\n\n\ncheck()", ["answer"], 4)
    part = ("part", "def check():\n    return len(answer)\n\n\ncheck()\n", ["answer"], 4)
    none = ("none", "def check():\n    assert answer == 3.0\n\n\ncheck()", ["answer"], 4)
    assert gifts([whole, part, none], HELD) == [("whole", "radius", 4), ("part", "hint", 2), ("part", "answer", 28)]


def test_names_that_are_given_stay_as_the_notebook_has_them():
    check = "def check():\n    assert radius == 0.5 and answer is hint\n\n\ncheck()"
    assert gifts([("both", check, ["answer"], 4)], HELD) == [("both", "hint", 4)]


@pytest.mark.parametrize("body", ["while True: pass", "import sys; sys.exit(0)", "return answer.nothing"])
def test_what_runs_without_an_end_or_ends_the_process_earns_nothing(monkeypatch, body):
    monkeypatch.setattr(names_at_hand, "SECONDS", 0.05)
    endless = f"def check():\n    try:\n        {body}\n    except ValueError:\n        pass\n\n\ncheck()"
    assert gifts([("endless", endless, ["answer"], 4)], HELD) == []


def test_each_value_is_tried_once_and_equal_numbers_of_two_types_are_two():
    same = [1]
    assert distinct({"a": same, "b": same, "c": [1], "d": 1, "e": 1, "f": True}) == {
        "a": same, "c": [1], "d": 1, "f": True,
    }  # fmt: skip


def test_what_the_course_defines_may_be_an_answer_and_what_it_imports_may_not():
    found = importable()
    assert {"verifier.verify", "course_utils.curve.curve_network", "course_utils.curve.GRID"} <= found.keys()
    assert not {"course_utils.curve.np", "course_utils.curve.Tensor", "course_utils.curve.dataclass"} & found.keys()
    assert not is_own("floor", math.floor) and not is_own("math", math) and is_own("pi", math.pi)
