"""Properties at the limits of what can be read: numbers that float64 cannot hold, depth, gaps."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.verifier import small_files
from verifier import SpecError, verify_files
from verifier.frontends.vnnlib.file import problem

HEAD = "(declare-const X_0 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)(assert (>= X_0 0))(assert (<= X_0 1))"


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("(<= Y_0 1e400)", "line 1: a constant is above 1e300 in magnitude"),
        ("(<= X_0 1e400)", "line 1: a constant is above 1e300 in magnitude"),
        ("(<= (* 1e400 Y_0) 1)", "line 1: a constant is above 1e300 in magnitude"),
        ("(>= (* 1e-400 Y_0) 3e-400)", "line 1: a constant is below 1e-300 in magnitude"),
        ("(<= (+ Y_0 (* -1e-330 Y_1)) 0)", "line 1: a constant is below 1e-300 in magnitude"),
        ("(<= Y_0 1e99999999)", "line 1: 1e99999999 is beyond the numbers"),
        ("(<= Y_0 1e-99999999999999)", "line 1: 1e-99999999999999 is beyond the numbers"),
        ("(or " * 5000 + "(<= Y_0 1)" + ")" * 5000, "terms within terms, more than 250 deep"),
        ("(<= " + "(+ 1 " * 5000 + "Y_0" + ")" * 5000 + " 3)", "terms within terms, more than 250 deep"),
    ],
)
def test_what_no_float64_or_stack_holds_is_refused_at_once(term: str, said: str) -> None:
    """Read as the nearest float64, 1e-400 y_0 >= 3e-400 would be 0 >= 0, which every output meets."""
    started = time.perf_counter()
    with pytest.raises(SpecError, match=said):
        problem(f"{HEAD}(assert {term})")
    assert time.perf_counter() - started < 5.0


def test_small_and_large_constants_that_float64_holds_are_read() -> None:
    (case,) = problem(f"{HEAD}(assert (<= (* 1e-200 Y_0) 1e-299))(assert (<= (* 1e200 Y_1) 1e+299))").cases
    assert case.unsafe[0][0].coefficients[0] == 1e-200 and case.unsafe[0][1].limit == 1e299


def test_a_number_of_inputs_that_no_file_declares_is_refused() -> None:
    with pytest.raises(SpecError, match="declares X_9999999999, but not each of X_0"):
        problem("(declare-const X_9999999999 Real)(declare-const Y_0 Real)")


@pytest.mark.parametrize("path", [5, None, b"p.vnnlib"])
def test_what_is_no_path_of_a_property_is_refused(path: Any, tmp_path: Any) -> None:
    with pytest.raises(SpecError, match="vnnlib: expected the path of a property file, found"):
        verify_files(small_files.network(tmp_path), path)
