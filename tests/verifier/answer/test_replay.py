"""Replay: what counts as a counterexample."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from verifier.answer.replay import Counterexample, Rejection, check_counterexample
from verifier.frontends.read import read_subject
from verifier.network import Affine, Network
from verifier.question.question import Question
from verifier.question.spec import Box, less_than, output_spec, within
from verifier.subject import Subject


def identity_question(spec: object, lower: float = 0.0, upper: float = 1.0, factor: float = 1.0) -> Question:
    """One input, one output, y = factor * x, in float64."""
    network = Network((Affine(np.full((1, 1), factor), np.zeros(1)),))
    return Question.ask(Subject.of_network(network), Box([lower], [upper]), output_spec(spec))


def test_point_that_violates_is_a_counterexample() -> None:
    found = check_counterexample(identity_question([(None, 0.5)]), np.array([0.75]))
    assert isinstance(found, Counterexample)
    assert found.y[0] == 0.75


def test_tie_violates_a_strict_spec_and_is_confirmed_in_rationals() -> None:
    """The enclosure of 3 * 0.5 is wider than a point, and leaves a tie open."""
    found = check_counterexample(identity_question(less_than(1.5), factor=3.0), np.array([0.5]))
    assert isinstance(found, Counterexample)
    assert found.guarantee == "exact"


def test_tie_that_nothing_rounds_is_confirmed_by_the_enclosure() -> None:
    found = check_counterexample(identity_question(less_than(0.5)), np.array([0.5]))
    assert isinstance(found, Counterexample)
    assert found.guarantee == "rounded"


def test_tie_does_not_violate_a_closed_limit() -> None:
    assert isinstance(check_counterexample(identity_question([(None, 0.5)]), np.array([0.5])), Rejection)


def test_candidate_outside_is_moved_into_the_box_first() -> None:
    found = check_counterexample(identity_question([(None, 0.5)]), np.array([7.0]))
    assert isinstance(found, Counterexample)
    assert found.x[0] == 1.0


def test_candidate_is_never_reported_where_the_two_arithmetics_disagree() -> None:
    """float32 computes 1e8 + 1 - 1e8 = 0 where the real network gives 1: y >= 0.5 is violated in float32 only."""
    net = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1e8], [1.0]]))
        net[2].weight.copy_(torch.tensor([[1.0, 1.0]]))
    shifted = nn.Sequential(*net, nn.Linear(1, 1))
    with torch.no_grad():
        shifted[3].weight.fill_(1.0)
        shifted[3].bias.fill_(-1e8)
    result = verifier.verify(shifted, [(1.0, 1.0)], [(0.5, None)])
    assert shifted(torch.ones(1)).item() == 0.0
    assert result.verdict is verifier.Verdict.VERIFIED  # the real network gives 1
    result = verifier.verify(shifted, [(1.0, 1.0)], [(None, 0.5)])
    assert result.verdict is verifier.Verdict.UNKNOWN
    assert "rounding" in result.reason


def test_hull_of_a_side_of_zero_width_holds_a_float32_value() -> None:
    """0.1 is no float32; the box [0.1, 0.1] is widened to the nearest one, and a counterexample is that value."""
    cases: list[torch.Tensor] = []
    result = verifier.verify(nn.Sequential(nn.Linear(1, 1)), [(0.1, 0.1)], [(1e3, None)], counterexamples=cases)
    assert result.verdict is verifier.Verdict.FALSIFIED
    assert cases[0].dtype == torch.float32
    assert cases[0].item() == torch.tensor(0.1).item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_counterexample_has_the_caller_s_dtype_and_is_replayed_in_it(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)).to(dtype)
    cases: list[torch.Tensor] = []
    middle = net(torch.zeros(2, dtype=dtype)).item()
    result = verifier.verify(net, [(-1, 1)] * 2, [(None, middle)], counterexamples=cases)
    assert result.verdict is verifier.Verdict.FALSIFIED
    for case in cases:
        assert case.dtype == dtype
        assert net(case).item() > middle
        assert (case.double().abs() <= 1).all()


def test_counterexamples_are_appended_and_not_cleared() -> None:
    cases: list[object] = ["mine"]
    verifier.verify(
        nn.Sequential(nn.Linear(1, 1)), [(0, 1)], [(1e3, None)], counterexamples=cases, max_counterexamples=2
    )
    assert cases[0] == "mine"
    assert 2 <= len(cases) <= 3


def test_max_counterexamples_zero_appends_none() -> None:
    cases: list[object] = []
    result = verifier.verify(
        nn.Sequential(nn.Linear(1, 1)), [(0, 1)], [(1e3, None)], counterexamples=cases, max_counterexamples=0
    )
    assert result.verdict is verifier.Verdict.FALSIFIED
    assert cases == []


def test_counterexample_takes_the_shape_that_the_network_accepts() -> None:
    torch.manual_seed(0)
    flat = nn.Sequential(nn.Linear(4, 1))
    image = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    batched = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 1)).eval()
    for net, input_shape, shape in ((flat, None, (4,)), (image, (1, 2, 2), (1, 2, 2)), (batched, None, (1, 4))):
        cases: list[torch.Tensor] = []
        verifier.verify(net, [(0, 1)] * 4, [(1e3, None)], counterexamples=cases, input_shape=input_shape)
        if net is image:  # nn.Flatten keeps the first axis, so an image alone is three rows to it
            assert cases[0].numel() == 4
        else:
            assert cases[0].shape == shape
        net(cases[0])


def test_nan_outputs_are_no_counterexample() -> None:
    question = identity_question([(None, 0.5)])
    broken = Subject(question.subject.network, lambda x: np.full((len(x), 1), np.nan), lambda x: x, lambda x: x)
    found = check_counterexample(Question.ask(broken, question.box, within([[None, 0.5]])), np.array([1.0]))
    assert isinstance(found, Rejection)


def test_replay_runs_the_caller_s_object_in_eval_mode_and_restores_it() -> None:
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1)).train()
    with pytest.warns(verifier.VerifierWarning, match="train mode"):
        subject = read_subject(net, None, 2)
    x = np.ones((3, 2))
    assert np.ptp(subject.run(x)) == 0.0
    assert net.training and net[2].training


def test_values_of_another_dtype_within_a_box_are_its_first_and_last() -> None:
    """Compared with numpy's own next value; sides of zero width keep the nearest."""
    rng = np.random.default_rng(0)
    lower = np.concatenate([rng.normal(size=500) * 10.0 ** rng.integers(-30, 30, 500), [0.1, 0.5, 0.0, -0.1, 1e-46]])
    upper = lower + np.abs(lower) * rng.choice([0.0, 1e-9, 1e-7, 1e-3], lower.size)
    found = Box(lower, upper).inward(lambda x: x.astype(np.float32).astype(np.float64))
    low, high = lower.astype(np.float32), upper.astype(np.float32)
    low = np.where(low < lower, np.nextafter(low, np.float32(np.inf)), low).astype(np.float64)
    high = np.where(high > upper, np.nextafter(high, np.float32(-np.inf)), high).astype(np.float64)
    empty = low > high
    assert empty.any() and not empty.all()
    np.testing.assert_array_equal(found.lower[~empty], low[~empty])
    np.testing.assert_array_equal(found.upper[~empty], high[~empty])
    np.testing.assert_array_equal(found.lower[empty], lower[empty].astype(np.float32).astype(np.float64))


def test_counterexamples_lie_in_the_box_itself_where_it_holds_values_of_the_dtype() -> None:
    """The float32 values nearest to 0.7 and 1.1 lie outside of [0.7, 1.1], and are not handed out."""
    net = nn.Linear(1, 1)
    with torch.no_grad():
        net.weight.fill_(1.0), net.bias.fill_(0.0)
    for spec in ([(None, 0.9)], [(0.9, None)]):
        cases: list = []
        assert verifier.verify(net, [(0.7, 1.1)], spec, cases).verdict is verifier.Verdict.FALSIFIED
        assert all(0.7 <= case.double().item() <= 1.1 for case in cases)
