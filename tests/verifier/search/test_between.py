"""Violations between two values of the caller's dtype end a search: there is neither proof nor counterexample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from verifier import Box, Question, Verdict, greater_than, less_than, verify
from verifier.answer.budget import Budget
from verifier.answer.reason import BELOW_ROUNDING, Reason
from verifier.bounds.crown import crown_bounds
from verifier.enclosure import Bounds
from verifier.frontends.read import read_subject
from verifier.question.spec import output_spec
from verifier.search.between import holds_callers_value, really_violated
from verifier.search.compiled.network import flatten
from verifier.search.compiled.split import CompiledSplit
from verifier.search.inputs.split import InputSplit

FEW = 200  # boxes; without the rule the search goes on for millions


def weighted_sum(*weights: float) -> nn.Sequential:
    net = nn.Sequential(nn.Linear(len(weights), 1))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([weights]))
        net[0].bias.zero_()
    return net


def increasing(inputs: int) -> nn.Sequential:
    """Largest where every input is largest."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(inputs, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 1))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
    return net


def questions() -> list[tuple[nn.Module, list[list[float]], Any]]:
    """0.1 is no float32: the nearest one is larger, and the one below it meets the spec."""
    top = [float(read_subject(increasing(d), None, d).network(np.full((1, d), 0.1))[0, 0]) for d in (2, 4)]
    return [
        (weighted_sum(1.0), [[0, 0.1]], less_than(0.1)),
        (weighted_sum(1.0), [[0, 0.1]], [[None, 0.1]]),
        (weighted_sum(1.0), [[-0.1, 0]], greater_than(-0.1)),
        (weighted_sum(1.0, 0.0), [[0, 0.1], [0, 1]], less_than(0.1)),
        (increasing(2), [[0, 0.1]] * 2, less_than(top[0])),
        (increasing(4), [[0, 0.1]] * 4, less_than(top[1])),
    ]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("method", ["auto", "split"])
def test_tie_on_a_side_that_is_no_float32_is_unknown_after_few_boxes(number: int, method: str) -> None:
    net, box, spec = questions()[number]
    result = verify(net, box, spec, method=method, timeout_s=None, max_subdomains=FEW, progress=False)
    assert result.verdict is Verdict.UNKNOWN and result.cause is Reason.BELOW_ROUNDING
    assert result.subdomains < FEW


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_both_searches_end_by_themselves(number: int, engine: str) -> None:
    net, box, spec = questions()[number]
    subject = read_subject(net, None, len(box))
    question = Question.ask(subject, Box.from_pairs(box), output_spec(spec))
    search: InputSplit | CompiledSplit = InputSplit(question, crown_bounds)
    if engine == "compiled":
        flat = flatten(question)
        assert flat is not None
        search = CompiledSplit(question, flat)
    search.run(Budget(max_subdomains=FEW))
    assert not search.open_boxes and not search.verified and search.counterexample is None
    assert search.reason == BELOW_ROUNDING and search.margin <= 0


@pytest.mark.parametrize("method", ["auto", "split"])
def test_same_questions_in_float64_are_settled(method: str) -> None:
    """There 0.1 is a value, and it violates a strict limit but not a closed one."""
    strict, closed, *_ = questions()
    net = weighted_sum(1.0).double()
    assert verify(net, strict[1], strict[2], method=method, progress=False).verdict is Verdict.FALSIFIED
    assert verify(net, closed[1], [[None, 0.1000001]], method=method, progress=False).verdict is Verdict.VERIFIED


@pytest.mark.parametrize("room", [1e-6, -1e-6])
def test_a_little_room_beside_the_tie_is_settled(room: float) -> None:
    net = increasing(2)
    top = float(read_subject(net, None, 2).network(np.full((1, 2), 0.1))[0, 0])
    expected = Verdict.VERIFIED if room > 0 else Verdict.FALSIFIED
    assert verify(net, [[0, 0.1]] * 2, less_than(top + room), method="split", progress=False).verdict is expected


def test_which_boxes_hold_a_float32() -> None:
    question = Question.ask(read_subject(weighted_sum(1.0), None, 1), Box([0.0], [0.1]), less_than(0.1))
    below = float(np.nextafter(np.float32(0.1), np.float32(0)))
    lower, upper = np.array([[0.0], [below], [below + 1e-12], [0.1]]), np.array([[0.1], [below], [0.1], [0.1]])
    assert holds_callers_value(question, Bounds(lower, upper)).tolist() == [True, True, False, False]
    assert really_violated(question, np.array([0.1000000005]))
    assert not really_violated(question, np.array([0.05]))
    assert not really_violated(question, np.array([0.2]))  # outside
