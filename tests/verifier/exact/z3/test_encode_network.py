"""A network as expressions by itself, in linear rationals and where products are allowed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.verifier.networks import random_network
from verifier.bounds.crown import crown_bounds
from verifier.enclosure import Bounds
from verifier.exact.z3.encode_network import encode_network
from verifier.question.spec import Box
from verifier.solvers.z3_solver import Answer, RationalSolver


@pytest.mark.parametrize("logic", ["QF_LRA", "QF_NRA", None])
def test_at_a_point_every_expression_has_the_exact_value(logic: str | None) -> None:
    network = random_network(1, 2, 4, 3, 2)
    x = np.array([0.25, -0.5])
    found = crown_bounds(network, Bounds(np.full((1, 2), -1.0), np.full((1, 2), 1.0)), np.eye(2))
    pre = [Bounds(one.lower[0], one.upper[0]) for one in found.pre]
    solver = RationalSolver(logic)
    expressions = encode_network(solver, network, Box(x, x), pre)
    assert expressions is not None and len(expressions.z) == 2
    assert solver.check(60) is Answer.SATISFIABLE
    assert [solver.value(y) for y in expressions.y] == network.exact_logits(x)
    hidden = network.pre_activations(x[None])
    for layer, z in enumerate(expressions.z):
        for j, one in enumerate(z):
            assert one is None or float(solver.value(one)) == pytest.approx(float(hidden[layer][0, j]))


def test_a_question_with_a_product_can_be_asked() -> None:
    """y = |x| has y * y = x * x everywhere: no x has y * y above x * x."""
    from verifier.network import Affine, Network

    absolute = Network((Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), Affine(np.ones((1, 2)), np.zeros(1))))
    pre = [Bounds(np.full(2, -3.0), np.full(2, 3.0))]
    solver = RationalSolver("QF_NRA")
    found = encode_network(solver, absolute, Box([-3.0], [3.0]), pre)
    assert found is not None
    (x,), (y,) = found.x, found.y
    solver.require(solver.times(y, y) > solver.times(x, x) + solver.constant(Fraction(1, 1000)))
    assert solver.check(60) is Answer.UNSATISFIABLE
