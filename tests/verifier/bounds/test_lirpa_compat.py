"""The compatibility code: auto-LiRPA imports here, quietly, and what was cured works."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.verifier.networks import random_network
from verifier.bounds.crown import crown_bounds
from verifier.bounds.interval import interval_bounds
from verifier.bounds.lirpa import CROWN_OPTIMIZED, IBP, lirpa_bounds
from verifier.enclosure import Bounds


def test_auto_lirpa_imports_and_says_nothing() -> None:
    code = """
import logging, sys, warnings, torch, numpy
from verifier.bounds.lirpa_compat import import_auto_lirpa
limit, filters = sys.getrecursionlimit(), list(warnings.filters)
import_auto_lirpa()
assert sys.getrecursionlimit() == limit
assert warnings.filters == filters
assert not logging.getLogger().handlers and logging.getLogger().level == logging.WARNING
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).strip() == ""


def test_default_dtype_is_float32_again_afterwards() -> None:
    network = random_network(0, 2, 5, 1)
    lirpa_bounds(network, Bounds(np.zeros((1, 2)), np.ones((1, 2))), np.eye(1))
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("seed", range(5))
def test_optimised_slopes_tighten_crown_and_stay_sound(seed: int) -> None:
    """Networks this loose gain from slopes between 0 and 1; no gain would mean that nothing was optimised."""
    network = random_network(seed, 4, 30, 30, 30, 1)
    centre = np.random.default_rng(seed).normal(size=(1, 4))
    box = Bounds(centre - 0.5, centre + 0.5)
    crown = crown_bounds(network, box, np.eye(1), intersect=False).rows
    optimised = lirpa_bounds(network, box, np.eye(1), method=CROWN_OPTIMIZED).rows
    assert optimised.upper[0, 0] - optimised.lower[0, 0] < 0.95 * (crown.upper[0, 0] - crown.lower[0, 0])
    x = np.random.default_rng(seed + 1).uniform(box.lower, box.upper, (5000, 4))
    values = network.logits(x)
    assert (optimised.lower <= values).all() and (values <= optimised.upper).all()


def test_ibp_equals_our_interval_bounds() -> None:
    network = random_network(7, 3, 20, 20, 2)
    box = Bounds(np.full((1, 3), -0.3), np.full((1, 3), 0.3))
    theirs, ours = lirpa_bounds(network, box, np.eye(2), method=IBP).rows, interval_bounds(network, box, np.eye(2)).rows
    np.testing.assert_allclose(theirs.lower, ours.lower, atol=1e-8)
    np.testing.assert_allclose(theirs.upper, ours.upper, atol=1e-8)
