"""LP and SDP bounds of outputs: they hold, and nest as theory says, and what a solver says is not believed."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import verifier
from tests.verifier.networks import random_network
from verifier.errors import BoundsError, MissingDependencyError
from verifier.exact.linear import lp_bounds as under_test
from verifier.method_table import bounding
from verifier.solvers.status import Answer, Status

pytest.importorskip("clarabel")

LADDER = ("crown", "crown_optimized", "lp", "sdp")  # from loose to tight
NEST_RTOL = 1e-7  # what repairing and rounding down may cost a bound, as a share of the outputs' size
SIZES = [(2, 6, 2), (3, 5, 5, 2), (2, 4, 4, 4, 1), (4, 8, 3)]


@pytest.mark.parametrize("seed", range(12))
def test_each_rung_lies_within_the_one_before_and_every_sample_within_all(seed: int) -> None:
    network, rng = random_network(seed, *SIZES[seed % 4]), np.random.default_rng(seed)
    radius = rng.uniform(0.1, 0.8, network.inputs)
    box = np.stack([-radius, radius], axis=1)
    found = [verifier.output_bounds(network, box, method=name) for name in LADDER]
    y = network(rng.uniform(-radius, radius, (5000, network.inputs)))
    room = NEST_RTOL * np.abs(y).max()
    for outer, inner in itertools.pairwise(found):
        assert (inner.lower >= outer.lower - room).all() and (inner.upper <= outer.upper + room).all()
    for one in found:
        assert (one.lower <= y.min(axis=0)).all() and (y.max(axis=0) <= one.upper).all()


def test_what_an_sdp_sees_and_no_triangle_does() -> None:
    """relu(x1 + x2) + relu(x1 - x2) is at most 2 on [-1, 1]^2; two triangles allow 3."""
    network = verifier.Network.from_arrays([[[1, 1], [1, -1]], [[1, 1]]], [[0, 0], [0]])
    lp, sdp = (verifier.output_bounds(network, [(-1, 1)] * 2, method=name).upper[0] for name in ("lp", "sdp"))
    assert lp == pytest.approx(3.0) and sdp < 2.5
    assert verifier.verify(network, [(-1, 1)] * 2, [(None, 2.5)], method="sdp").stage == "sdp"
    assert verifier.verify(network, [(-1, 1)] * 2, [(None, 2.5)], method="lp").verdict is verifier.Verdict.UNKNOWN


@pytest.mark.parametrize("seed", range(4))
def test_multipliers_of_any_kind_give_bounds_that_hold(seed: int, monkeypatch: Any) -> None:
    rng, solve = np.random.default_rng(seed), under_test.solve

    def shaken(program: Any, **options: Any) -> Answer:
        duals = solve(program, **options).duals
        return Answer(Status.OTHER, None, duals + rng.normal(0, 0.3, duals.shape))

    monkeypatch.setattr(under_test, "solve", shaken)
    network = random_network(seed, 2, 5, 4, 2)
    box = verifier.Bounds(np.full((1, 2), -0.6), np.full((1, 2), 0.6))
    found = bounding("lp")(network, box, np.eye(2))
    values = network.pre_activations(rng.uniform(-0.6, 0.6, (5000, 2)))
    for bounds, z in zip([*found.pre, found.rows], values, strict=True):
        assert (bounds.lower[0] <= z.min(axis=0)).all() and (z.max(axis=0) <= bounds.upper[0]).all()


@pytest.mark.parametrize("status", [Status.OTHER, Status.TIME_LIMIT])
def test_a_solver_without_an_answer_leaves_crown(status: Status, monkeypatch: Any) -> None:
    monkeypatch.setattr(under_test, "solve", lambda *_, **__: Answer(status, None, None))
    network = random_network(3, 2, 6, 2)
    lp, crown = (verifier.output_bounds(network, [(-1, 1)] * 2, method=name) for name in ("lp", "crown"))
    assert (lp.lower >= crown.lower).all() and (lp.upper <= crown.upper).all()


def test_too_large_a_network_is_unknown_to_verify_and_refused_by_output_bounds() -> None:
    network, box = random_network(0, 160, 4, 1), [(-1, 1)] * 160
    result = verifier.verify(network, box, [(None, 0)], method="sdp")
    assert result.cause is verifier.Reason.NOT_SUPPORTED and "too many" in result.reason
    with pytest.raises(BoundsError, match="160 inputs and unstable neurons are too many"):
        verifier.output_bounds(network, box, method="sdp")


@pytest.mark.parametrize(("method", "library", "extra"), [("lp", "highspy", "exact"), ("sdp", "clarabel", "sdp")])
def test_a_missing_solver_names_its_extra(method: str, library: str, extra: str, monkeypatch: Any) -> None:
    monkeypatch.setitem(__import__("sys").modules, library, None)
    for ask in (
        lambda: verifier.output_bounds(random_network(1, 2, 8, 2), [(-1, 1)] * 2, method=method),
        lambda: verifier.verify(random_network(1, 2, 8, 2), [(-1, 1)] * 2, [(None, 0)] * 2, method=method),
    ):
        with pytest.raises(MissingDependencyError) as refused:
            ask()
        assert refused.value.extra == extra


def test_a_verdict_by_sdp_keeps_to_its_time() -> None:
    network = random_network(1, 6, 30, 30, 4)
    result = verifier.verify(network, [(-1, 1)] * 6, verifier.argmax_is(0), method="sdp", timeout_s=0.2)
    assert result.verdict is verifier.Verdict.UNKNOWN and result.timed_out
