"""The table of methods: what is written elsewhere comes from it, and what it claims is so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from tests.verifier.networks import random_network
from verifier.errors import OptionError
from verifier.method_table import TABLE, bounding, help_text, methods

ROOT = Path(__file__).parents[2]
BOUNDING = [one.name for one in TABLE.values() if one.bound is not None]


def test_the_documentation_holds_the_table() -> None:
    """Where this fails, put print(verifier.methods().markdown()) between the two comments of docs/choosing.md."""
    text = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")
    inside = text.split("<!-- methods: begin -->\n")[1].split("\n<!-- methods: end -->")[0]
    assert inside == methods().markdown()


@pytest.mark.parametrize("name", TABLE)
def test_docstring_help_and_error_name_every_method(name: str) -> None:
    assert f'"{name}"' in str(verifier.verify.__doc__)
    assert name not in BOUNDING or f'"{name}"' in str(verifier.output_bounds.__doc__)
    assert name in help_text().split()
    with pytest.raises(OptionError, match=rf"\b{name}\b"):
        verifier.verify(random_network(0, 1, 1), [(0, 1)], [(0, 1)], method="quantum")


def test_methods_are_public_and_shown_as_a_table() -> None:
    assert [one.name for one in verifier.methods()] == list(TABLE)
    page = verifier.methods()._repr_html_()
    assert page.count("<tr>") == len(TABLE) + 1 and "rounded" in page
    assert "z3" in str(verifier.methods())


def test_interval_is_another_name_for_ibp() -> None:
    network, box = random_network(1, 2, 5, 1), [(-1, 1)] * 2
    one, other = (verifier.output_bounds(network, box, method=name) for name in ("interval", "ibp"))
    np.testing.assert_array_equal(one.lower, other.lower)
    assert verifier.verify(network, box, [(-1e3, 1e3)], method="interval").stage == "interval"


def test_what_is_not_a_bounding_method_is_refused_by_name() -> None:
    network, box = random_network(1, 2, 5, 1), [(-1, 1)] * 2
    with pytest.raises(OptionError, match="method: 'z3' is not a bounding method; choose one of ibp, "):
        verifier.output_bounds(network, box, method="z3")
    with pytest.raises(OptionError, match="bounds: 'z3' is not a bounding method"):
        verifier.verify(network, box, [(0, 1)], method="split", bounds="z3")
    with pytest.raises(OptionError, match="bounds: only method='split' takes a bounding method inside"):
        verifier.verify(network, box, [(0, 1)], bounds="ibp")


@pytest.mark.parametrize("bounds", ["ibp", "interval", "symbolic", "crown", "crown_optimized"])
def test_input_splitting_with_any_bounds_inside_gives_one_verdict(bounds: str) -> None:
    network, box = random_network(2, 2, 6, 1), [(-0.5, 0.5)] * 2
    samples = network.logits(np.random.default_rng(0).uniform(-0.5, 0.5, (5000, 2)))
    top = float(samples.max())
    for limit, expected in ((top + 0.3, "verified"), (top - 0.1, "falsified")):
        result = verifier.verify(
            network, box, verifier.less_than(limit), method="split", bounds=bounds, max_subdomains=5000
        )
        assert result.verdict.value == expected and result.stage == "split"


@pytest.mark.parametrize("seed", range(6))
def test_optimised_crown_is_no_looser_than_crown_and_contains_every_sample(seed: int) -> None:
    network = random_network(seed, 3, 10, 10, 2)
    box = verifier.Bounds(np.full((2, 3), -0.5), np.array([[0.5] * 3, [0.1] * 3]))
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]])
    tight, loose = (bounding(name)(network, box, rows) for name in ("crown_optimized", "crown"))
    for i in range(2):
        x = np.random.default_rng(seed).uniform(box.lower[i], box.upper[i], (4000, 3))
        pre = network.pre_activations(x)
        for found, values in [*zip(tight.pre, pre, strict=False), (tight.rows, pre[-1] @ rows.T)]:
            assert (found.lower[i] <= values.min(axis=0)).all() and (values.max(axis=0) <= found.upper[i]).all()
    assert (tight.rows.lower >= loose.rows.lower - 1e-9).all() and (tight.rows.upper <= loose.rows.upper + 1e-9).all()
    assert (tight.rows.upper - tight.rows.lower).sum() < 0.95 * (loose.rows.upper - loose.rows.lower).sum()


def test_optimised_crown_reads_a_module_and_needs_no_hidden_layer() -> None:
    torch.manual_seed(0)
    for net in (nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2), nn.Softmax(dim=-1))):
        bounds = verifier.output_bounds(net, [(0, 1)] * 2, method="crown_optimized")
        values = net(torch.rand(2000, 2)).detach().double().numpy()
        assert (bounds.lower <= values.min(axis=0) + 1e-6).all() and (values.max(axis=0) <= bounds.upper + 1e-6).all()
