"""A Verdict, and how a Result compares and shows itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from verifier.question.spec import less_than


def test_result_is_true_only_when_verified() -> None:
    net = nn.Sequential(nn.Linear(1, 1))
    limit = net(torch.zeros(1)).item()
    assert verifier.verify(net, [(0, 1)], [(-1e3, 1e3)])
    assert not verifier.verify(net, [(0, 1)], [(1e3, None)])
    assert not verifier.verify(net, [(-1, 1)], [(None, limit + 1e-3)], method="ibp")


def test_a_verdict_equals_its_text_and_is_found_by_it() -> None:
    assert verifier.Verdict.VERIFIED == "verified" and verifier.Verdict.VERIFIED != "falsified"
    assert {verifier.Verdict.FALSIFIED: 1}["falsified"] == 1 and {"unknown": 2}[verifier.Verdict.UNKNOWN] == 2


@pytest.mark.parametrize("other", [True, False, np.True_, "verified", verifier.Verdict.VERIFIED])
def test_a_result_refuses_comparison_with_what_it_never_equals(other: object) -> None:
    result = verifier.verify(nn.Sequential(nn.Linear(1, 1)), [(0, 1)], [(-1e3, 1e3)])
    for compare in (lambda: result == other, lambda: other == result, lambda: result != other):
        with pytest.raises(TypeError, match="write `if result:`") as caught:
            compare()
        assert isinstance(caught.value, verifier.VerifierError)
    assert result == result and result != 3 and result in {result}


def test_result_prints_verdict_stage_and_counterexample() -> None:
    net = nn.Sequential(nn.Linear(1, 1))
    text = str(verifier.verify(net, [(0, 1)], [(1e3, None)]))
    assert text.startswith("FALSIFIED: by attack")
    assert "counterexample x = [" in text


def test_result_in_a_notebook_shows_bounds_beside_the_spec_and_escapes() -> None:
    net = nn.Sequential(nn.Linear(1, 2))
    page = verifier.verify(net, [(0, 1)], less_than(1e3, output=1))._repr_html_()
    assert "VERIFIED" in page
    assert "&lt; 1000" in page
    assert page.count("<tr>") == 3


def test_unknown_tells_its_reason_and_the_best_margin() -> None:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(2, 30), nn.ReLU(), nn.Linear(30, 30), nn.ReLU(), nn.Linear(30, 1))
    grid = torch.cartesian_prod(torch.linspace(-1, 1, 101), torch.linspace(-1, 1, 101))
    highest = net(grid).max().item()
    result = verifier.verify(net, [(-1, 1)] * 2, [(None, highest + 1e-3)], max_subdomains=3, method="split")
    assert result.verdict is verifier.Verdict.UNKNOWN
    assert "3 subdomains" in result.reason
    assert np.isfinite(result.margin)
    assert result.output_bounds.upper[0] >= highest
