"""A network as a program by itself: columns by name, and values that are those of the network."""

from __future__ import annotations

import numpy as np
import pytest

from tests.verifier.networks import random_network
from verifier.bounds.crown import crown_bounds
from verifier.enclosure import Bounds
from verifier.exact.linear.builder import NONE, Builder
from verifier.exact.linear.encode_network import NetworkColumns, encode_network
from verifier.network import Network
from verifier.question.spec import Box
from verifier.solvers.highs_solver import solve
from verifier.solvers.status import Status

ATOL = 1e-6  # of HiGHS's points


def encoded(network: Network, box: Box, switches: bool, at: Box | None = None) -> tuple[Builder, NetworkColumns]:
    """A network with CROWN's bounds over a box, its inputs kept within another one."""
    found = crown_bounds(network, Bounds(box.lower[None], box.upper[None]), np.eye(network.outputs))
    pre = [Bounds(one.lower[0], one.upper[0]) for one in found.pre]
    logits = Bounds(found.rows.lower[0], found.rows.upper[0])
    builder = Builder()
    return builder, encode_network(builder, network, at or box, pre, logits, switches=switches)


@pytest.mark.parametrize("seed", range(5))
def test_at_a_point_every_column_holds_the_value_that_its_name_says(seed: int) -> None:
    network = random_network(seed, 3, 6, 5, 2)
    x = np.random.default_rng(seed).uniform(-1, 1, 3)
    builder, columns = encoded(network, Box([-1.0] * 3, [1.0] * 3), True, Box(x, x))
    program = builder.program({int(columns.y[0]): 1.0})
    answer = solve(program, timeout_s=60)
    assert answer.status is Status.OPTIMAL and answer.point is not None
    z0, z1, y = network.pre_activations(x[None])
    for name, value in {"x": x, "z0": z0[0], "h0": np.maximum(z0[0], 0), "z1": z1[0], "y": y[0]}.items():
        np.testing.assert_allclose(answer.point[program.columns[name]], value, atol=ATOL)
    for switch, z in ((columns.switches[0], z0[0]), (columns.switches[1], z1[0])):
        has = (switch != NONE) & (np.abs(z) > 10 * ATOL)
        np.testing.assert_allclose(answer.point[switch[has]], z[has] > 0, atol=ATOL)


@pytest.mark.parametrize("seed", range(5))
def test_any_question_can_be_asked_of_it(seed: int) -> None:
    """The largest sum of both outputs, less the first input: above every sample, and attained."""
    network = random_network(seed, 2, 6, 2)
    builder, columns = encoded(network, Box([-1.0] * 2, [1.0] * 2), True)
    program = builder.program({int(columns.y[0]): -1.0, int(columns.y[1]): -1.0, int(columns.x[0]): 1.0})
    answer = solve(program, timeout_s=60)
    samples = np.random.default_rng(seed).uniform(-1, 1, (5000, 2))
    values = network.logits(samples).sum(axis=1) - samples[:, 0]
    assert answer.point is not None
    x = answer.point[columns.x]
    assert -answer.objective == pytest.approx(float(network.logits(x[None]).sum() - x[0]), abs=1e-5)
    assert values.max() <= -answer.objective + 1e-5
    assert answer.bound <= answer.objective + ATOL and answer.gap <= 1e-3


def test_the_triangles_have_no_switches_and_multipliers_instead() -> None:
    network = random_network(0, 2, 6, 1)
    builder, columns = encoded(network, Box([-1.0] * 2, [1.0] * 2), False)
    answer = solve(builder.program({int(columns.y[0]): 1.0}), timeout_s=60)
    assert columns.switches == () and answer.duals is not None and answer.bound == answer.objective
