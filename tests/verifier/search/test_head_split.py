"""Limits on Softmax and LogSoftmax outputs: linear functions below margins, and verdicts against grids and samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from verifier import OutputSpec, Verdict, linear, verify, within
from verifier.answer.budget import Budget
from verifier.answer.verdict import Question
from verifier.frontends.read import read_subject
from verifier.network import Head
from verifier.question.margins import compile_margins
from verifier.question.spec import Box
from verifier.search.head_split import HeadSplit, linear_below

HEADS = {"softmax": lambda: nn.Softmax(dim=1), "log_softmax": lambda: nn.LogSoftmax(dim=1)}
SPECS: dict[str, OutputSpec] = {
    "lower limit": within([[0.2, None], [None, None], [None, None]]),
    "upper limit": within([[None, 0.4], [None, None], [None, None]]),
    "log limits": within([[-3.0, -0.1], [None, None], [-5.0, None]]),
    "mixture": linear([1.0, -2.0, 0.5], 0.25),
    "strict mixture": linear([-1.0, 1.5, 0.0], 0.1, strict=True),
}


def network(inputs: int, seed: int, head: str, scale: float = 1.0) -> nn.Sequential:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(inputs, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3), HEADS[head]())
    with torch.no_grad():
        net[4].weight *= scale
    return net.double()


@pytest.mark.parametrize("head", [Head.SOFTMAX, Head.LOG_SOFTMAX, Head.SIGMOID])
@pytest.mark.parametrize("name", SPECS)
def test_linear_function_lies_below_the_margins_sign_everywhere_in_the_cell(name: str, head: Head) -> None:
    """Where the function says that an inequality holds it does; and it is exact to SLACK at a cell of one point."""
    rng = np.random.default_rng(7)
    margins = compile_margins(SPECS[name], 3, head)
    for _ in range(60):
        lower = rng.uniform(-6, 6, len(margins.rows))
        upper = lower + rng.choice([0.0, 0.3, 8.0]) * rng.uniform(0, 1, len(lower))
        touch = rng.uniform(lower, upper)
        rows = np.concatenate([rng.uniform(lower, upper, (300, len(lower))), [lower], [upper]])
        high = margins.upper(rows)
        for index, margin in enumerate(margins.margins):
            if not math.isfinite(margin.offset):
                continue
            below = linear_below(margin, lower, upper, touch)
            assert below is not None
            values = rows @ below.coefficients + below.offset
            holds = values > 0 if margin.strict else values >= 0
            assert (high[holds, index] >= 0).all()
            if len(margin.terms) != 1 or margin.terms[0].log:  # else it speaks of the logarithm
                assert (values <= high[:, index]).all()


def exact_extremes(net: nn.Sequential, lower: float, upper: float, output: int) -> tuple[float, float]:
    """Least and largest output on a grid of 401 x 401 points of a square, the fine search."""
    axis = torch.linspace(lower, upper, 401, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).reshape(-1, 2)
    with torch.no_grad():
        y = net(points)[:, output]
    return float(y.min()), float(y.max())


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("seed", range(2))
def test_limits_just_beyond_and_just_within_a_fine_search_are_told_apart(head: str, seed: int) -> None:
    """Both limits of an output, moved by 2 % of its range to either side of what a grid of 160,000 points finds."""
    net = network(2, seed, head, scale=3.0)
    least, most = exact_extremes(net, -1.0, 1.0, 1)
    step = 0.02 * (most - least)
    for limits, expected in [
        ([least - step, None], Verdict.VERIFIED),
        ([least + step, None], Verdict.FALSIFIED),
        ([None, most + step], Verdict.VERIFIED),
        ([None, most - step], Verdict.FALSIFIED),
    ]:
        spec = [[None, None], limits, [None, None]]
        cases: list[torch.Tensor] = []
        result = verify(
            net, [[-1, 1]] * 2, spec, cases, method="relu_split", timeout_s=None, max_subdomains=3000, progress=False
        )
        assert result.verdict is expected, (limits, result)
        assert verify(net, [[-1, 1]] * 2, spec, method="split").verdict is expected  # the second complete method
        if expected is Verdict.VERIFIED:
            assert result.guarantee == "rounded" and result.stage == "head split"
        for x in cases:
            y = float(net(x.reshape(1, 2))[0, 1].detach())
            assert not ((limits[0] is None or y >= limits[0]) and (limits[1] is None or y <= limits[1]))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["lower limit", "upper limit", "log limits", "mixture"])
def test_many_inputs_are_settled_and_no_sample_contradicts(head: str, name: str) -> None:
    """24 inputs, too many for input splitting: what is verified no sample breaks, what is falsified is replayed."""
    rng = np.random.default_rng(3)
    settled = 0
    for seed in range(4):
        net = network(24, seed, head, scale=2.0)
        box = np.stack([np.full(24, -0.15), np.full(24, 0.15)], axis=1)
        cases: list[torch.Tensor] = []
        result = verify(net, box, SPECS[name], cases, timeout_s=None, max_subdomains=600)
        settled += result.verdict is not Verdict.UNKNOWN
        points = np.where(
            rng.random((4000, 1)) < 0.5, rng.uniform(-0.15, 0.15, (4000, 24)), 0.15 * rng.choice([-1, 1], (4000, 24))
        )
        with torch.no_grad():
            y = net(torch.from_numpy(points)).numpy()
        broken = np.zeros(len(y), dtype=bool)
        for clause in SPECS[name].clauses(3):
            broken |= np.all([y @ np.array(one.coefficients) + one.offset < -1e-12 for one in clause], axis=0)
        if result.verdict is Verdict.VERIFIED:
            assert not broken.any()
        if result.verdict is Verdict.FALSIFIED:
            assert cases
    assert settled >= 3


def test_a_search_can_be_interrupted_and_continued_without_losing_a_cell() -> None:
    net = network(2, 0, "softmax", scale=3.0)
    least, most = exact_extremes(net, -1.0, 1.0, 1)
    spec = within([[None, None], [least - 0.02 * (most - least), None], [None, None]])
    question = Question.ask(read_subject(net, None, 2), Box([-1.0, -1.0], [1.0, 1.0]), spec)
    search = HeadSplit(question)
    runs = 0
    while search.open_boxes and runs < 200:
        search.run(Budget(), max_boxes=20)
        assert search.verified == (not search.open_boxes)
        runs += 1
    assert search.verified and search.margin == 0.0


def test_head_split_says_nothing_where_its_limit_is_reached() -> None:
    net = network(2, 1, "softmax", scale=3.0)
    least, _ = exact_extremes(net, -1.0, 1.0, 1)
    spec = [[None, None], [least - 1e-4, None], [None, None]]
    result = verify(net, [[-1, 1]] * 2, spec, method="relu_split", max_subdomains=1, timeout_s=None)
    assert result.verdict is Verdict.UNKNOWN and "limit of 1 subdomains" in result.reason
