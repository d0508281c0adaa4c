"""The judge itself: it must notice what it is there for."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from judges.judging import check_bounds, check_replay, judge
from judges.random_problems import Problem

# y = x on [0, 1]; the spec y < 0.5 is violated by 0.75, y < 2 is not
LAYERS = [(np.array([[1.0]], dtype=np.float32), np.array([0.0], dtype=np.float32))]


def problem(threshold: float) -> Problem:
    return Problem((0, 0), LAYERS, "float32", [0.0], [1.0], ("less_than", threshold, None))


@dataclass
class FakeResult:
    verdict: Any
    counterexample: Any = None
    output_bounds: Any = None


def fake(verdict: str, counterexample: Any = None, lower: float = 0.0, upper: float = 1.0) -> FakeResult:
    bounds = SimpleNamespace(lower=np.array([lower]), upper=np.array([upper]))
    return FakeResult(SimpleNamespace(value=verdict), counterexample, bounds)


def complaints(threshold: float, result: FakeResult, cases: list[Any], method: str = "auto") -> tuple[str, bool]:
    asked = problem(threshold)
    judgement = judge(asked, asked.answer(), asked.module(), result, cases, method)
    return "; ".join(judgement.wrong), judgement.unknown_with_room


def test_true_verdicts_pass() -> None:
    x = torch.tensor([0.75])
    assert complaints(2.0, fake("verified"), []) == ("", False)
    assert complaints(0.5, fake("falsified", x), [x]) == ("", False)
    assert complaints(1.0 + 1e-9, fake("unknown"), []) == ("", False)


@pytest.mark.parametrize(
    ("threshold", "result", "cases", "complaint"),
    [
        pytest.param(0.5, fake("verified"), [], "VERIFIED, but violated", id="wrong verified"),
        pytest.param(
            2.0, fake("falsified", torch.tensor([0.75])), [torch.tensor([0.75])], "it holds", id="wrong falsified"
        ),
        pytest.param(0.5, fake("falsified"), [], "without a counterexample", id="nothing to show"),
        pytest.param(0.5, fake("falsified", torch.tensor([0.25])), [torch.tensor([0.25])], "exact", id="no violation"),
        pytest.param(
            0.5, fake("falsified", torch.tensor([1.5])), [torch.tensor([1.5])], "outside", id="outside the box"
        ),
        pytest.param(2.0, fake("verified", lower=0.1), [], "lower bound 0.1", id="lower bound misses"),
        pytest.param(2.0, fake("verified", upper=0.9), [], "upper bound 0.9", id="upper bound misses"),
        pytest.param(2.0, fake("verified", upper=float("nan")), [], "upper bound nan", id="NaN bound"),
    ],
)
def test_faults_are_named(threshold: float, result: FakeResult, cases: list[Any], complaint: str) -> None:
    assert complaint in complaints(threshold, result, cases)[0]


def test_giving_up_with_room_is_blamed_on_complete_methods_only() -> None:
    assert complaints(2.0, fake("unknown"), []) == ("", True)
    assert complaints(2.0, fake("unknown"), [], method="ibp") == ("", False)


def test_counterexample_of_another_dtype_is_refused() -> None:
    asked = problem(0.5)
    assert "float64" in check_replay(asked, asked.module(), torch.tensor([0.75], dtype=torch.float64))[0]


def test_bounds_off_by_one_unit_in_the_last_place_are_noticed() -> None:
    """Nothing is allowed for rounding: the exact range is [0, 1]."""
    asked = problem(0.5)
    below_one = np.nextafter(1.0, 0.0)
    assert not check_bounds(asked, np.array([0.0]), np.array([1.0]))
    assert check_bounds(asked, np.array([0.0]), np.array([below_one]))
    assert check_bounds(asked, np.array([np.nextafter(0.0, 1.0)]), np.array([1.0]))
