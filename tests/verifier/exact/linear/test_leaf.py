"""Leaves of ReLU splitting: what the linear program closes holds no violating point, and it closes what is empty."""

from __future__ import annotations

import numpy as np
import pytest

import verifier
from judges.judging import judge
from judges.random_problems import random_problem
from tests.verifier.networks import random_network
from verifier.answer.verdict import Counterexample, Question, check_counterexample
from verifier.exact.linear.leaf import leaf_check
from verifier.question.spec import Box, linear
from verifier.subject import Subject


@pytest.mark.parametrize("seed", range(12))
def test_a_closed_leaf_holds_no_violating_sample_and_an_open_one_gives_a_candidate(seed: int) -> None:
    """Sign patterns of samples, and as many with one sign turned; the limit is the median of the samples' outputs."""
    rng = np.random.default_rng(seed)
    network = random_network(seed, 3, 6, 5, 1)
    x = rng.uniform(-1, 1, (20_000, 3))
    z = network.pre_activations(x)
    limit = float(np.median(z[-1]))
    question = Question.ask(Subject.of_network(network), Box([-1] * 3, [1] * 3), linear([1.0], -limit, strict=True))
    patterns = np.where(np.concatenate(z[:-1], axis=1) >= 0, 1.0, -1.0)
    closed = 0
    for k in range(24):
        pattern = patterns[k].copy()
        if k % 2:
            at = rng.integers(len(pattern))
            pattern[at] = -pattern[at]
        here = (patterns == pattern).all(axis=1) & (z[-1][:, 0] <= limit)
        found = leaf_check(question, (0,), [pattern[:6], pattern[6:]], 60.0)
        settled, point = found.verified, found.candidate
        closed += settled
        assert not (settled and here.any())
        if (here & (z[-1][:, 0] <= limit - 0.01)).any():  # violated by more than any tolerance
            assert point is not None and isinstance(check_counterexample(question, point), Counterexample)
    assert 3 <= closed <= 21


def test_leaves_settle_what_multipliers_cannot_cancel_exactly() -> None:
    """Rows that cancel only with exact multipliers; Adam leaves a leaf open, whose margin is 1e-4 away from 0."""
    problem = random_problem(33, 106)
    net, cases = problem.module(), []
    result = verifier.verify(net, problem.x_specs(), problem.y_specs(), cases, method="relu_split",
                             max_subdomains=200, timeout_s=600, progress=False)  # fmt: skip
    assert result.verdict is verifier.Verdict.VERIFIED and result.guarantee == "rounded"
    assert not judge(problem, problem.answer(), net, result, cases, "relu_split").wrong


def test_a_network_without_hidden_layers_and_a_box_of_one_point() -> None:
    network = verifier.Network((verifier.Affine(np.array([[2.0]]), np.zeros(1)),))
    for limit, holds in ((1.9, True), (2.1, False)):
        question = Question.ask(Subject.of_network(network), Box([1.0], [1.0]), linear([1.0], -limit, strict=True))
        found = leaf_check(question, (0,), [], 60.0)
        settled, point = found.verified, found.candidate
        assert settled == holds and (holds or (point is not None and point[0] == 1.0))
