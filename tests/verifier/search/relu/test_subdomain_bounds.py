"""Hidden bounds recomputed inside a subdomain hold at every sample of it that violates the clause."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.verifier.search.relu.test_alpha_crown import random_network
from verifier.answer.verdict import Question
from verifier.enclosure import Array, Bounds, Indices
from verifier.network import Head, Network
from verifier.question.spec import Box, OutputSpec, any_of, linear
from verifier.search.relu.alpha_crown import Choice, Subdomains, default_choice
from verifier.search.relu.clause_rows import ClauseRows
from verifier.search.relu.folded_graph import FoldedGraph
from verifier.search.relu.optimised_root import optimised_root
from verifier.search.relu.split_bounds import Rows
from verifier.search.relu.subdomain_bounds import Unsafe, tighten_subdomains
from verifier.subject import Subject


def never_below(network: Network, level: float, both: bool) -> OutputSpec:
    """y_0 > level, or with `both` a disjunction with y_1 > level."""
    first = linear([1.0, 0.0], -level, strict=True)
    return any_of(first, linear([0.0, 1.0], -level, strict=True)) if both else first


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_tightened_bounds_hold_at_unsafe_samples_and_are_no_looser(seed: int, share: float, both: bool) -> None:
    """Eight subdomains: half fix the signs of a sample, half fix random ones and may be empty.

    A share of the samples violates the clause; the bounds need not hold at the others.
    """
    rng = np.random.default_rng(seed)
    network = random_network(rng, (5, 14, 14, 14, 2))
    centre = rng.uniform(-1, 1, 5)
    box = Bounds(centre - 0.5, centre + 0.5)
    x = rng.uniform(box.lower, box.upper, (40_000, 5))
    pre_activations = network.pre_activations(x)
    worst = pre_activations[-1].max(axis=1) if both else pre_activations[-1][:, 0]
    level = float(np.quantile(worst, share))
    found = optimised_root(network, box)
    graph = FoldedGraph(network, box, found.pre)
    z = graph.gather(pre_activations[:-1])[worst <= level]
    first = z.shape[1] // 3
    sign = np.zeros((8, z.shape[1]))
    sign[:, :first] = np.where(rng.random((8, first)) < 0.4, rng.choice([-1.0, 1.0], (8, first)), 0.0)
    sign[:4] = np.abs(sign[:4]) * np.sign(z[:4])
    low, high = (graph.gather([getattr(one, side) for one in found.pre]) for side in ("lower", "upper"))
    lower, upper = np.where(sign > 0, 0.0, low), np.where(sign < 0, 0.0, high)
    question = Question.ask(Subject.of_network(network), Box(box.lower, box.upper), never_below(network, level, both))
    clauses = ClauseRows(question.margins, [0])
    which = np.zeros(8, dtype=np.intp)
    choice = default_choice(Subdomains.of(lower, upper, sign), 8, graph.unstable_count)
    choice.mixture = torch.zeros(8, 2) if both else None

    def checked(rows: Indices, given: Choice) -> Rows:
        return clauses.checked(found.box, which[rows], given)[0]

    unsafe = Unsafe(clauses.target(graph, which), choice, torch.ones(8), checked)

    def tighten(clause: Unsafe) -> tuple[Array, ...]:
        return tighten_subdomains(found.box, graph, clause, lower, upper, sign.astype(np.int8), steps=10)

    tight_lower, tight_upper, implied, empty = tighten(unsafe)
    assert (tight_lower >= lower).all() and (tight_lower <= tight_upper).all()
    assert not empty[:4].any()
    for row in range(8):
        inside = z[(z * sign[row] >= 0).all(axis=1)]
        assert not (empty[row] and len(inside))
        if not empty[row]:
            assert (inside >= tight_lower[row] - 1e-12).all() and (inside <= tight_upper[row] + 1e-12).all()
            assert (inside * implied[row] >= -1e-12).all()
            assert (tight_upper[row] <= upper[row]).all()
    assert (implied[:, sign.any(axis=0)][sign[:, sign.any(axis=0)] != 0] != 0).all()
    assert (tight_upper - tight_lower).sum() < (upper - lower).sum()


def test_the_clause_tightens_bounds_that_the_box_alone_does_not() -> None:
    """y = relu(x0) + relu(x1) on [-1, 1]^2; where y <= 0.5 each x is at most 0.5, though the box says 1."""
    from verifier.network import Affine

    network = Network((Affine(np.eye(2), np.zeros(2)), Affine(np.ones((1, 2)), np.zeros(1))), Head.IDENTITY)
    box = Bounds(-np.ones(2), np.ones(2))
    found = optimised_root(network, box)
    graph = FoldedGraph(network, box, found.pre)
    question = Question.ask(Subject.of_network(network), Box(box.lower, box.upper), linear([1.0], -0.5, strict=True))
    clauses, which = ClauseRows(question.margins, [0]), np.zeros(1, dtype=np.intp)
    lower, upper, sign = -np.ones((1, 2)), np.ones((1, 2)), np.zeros((1, 2), dtype=np.int8)
    choice = default_choice(Subdomains.of(lower, upper, sign), 1, 2)
    unsafe = Unsafe(clauses.target(graph, which), choice, torch.ones(1),
                    lambda rows, given: clauses.checked(found.box, which[rows], given)[0])  # fmt: skip
    low, high, _, empty = tighten_subdomains(found.box, graph, unsafe, lower, upper, sign, steps=60)
    assert not empty[0] and (low == -1).all()
    assert (high >= 0.5).all() and (high < 0.55).all()


def test_rows_are_checked_in_parts_where_a_network_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts together say what one check of all rows says, and no row is left out, none of none either."""
    from verifier.search.relu import split_bounds

    network = random_network(np.random.default_rng(5), (4, 12, 12, 2))
    box = Bounds(np.full(4, -0.4), np.full(4, 0.4))
    whole = optimised_root(network, box).pre
    monkeypatch.setattr(split_bounds, "CHECKED_ENTRIES", 40)
    assert [len(range(*part.indices(7))) for part in split_bounds.chunks(network, 7)] == [3, 3, 1]
    assert len(split_bounds.chunks(network, 0)) == 1
    parts = optimised_root(network, box).pre
    for one, other in zip(whole, parts, strict=True):
        assert np.allclose(one.lower, other.lower, atol=1e-12) and np.allclose(one.upper, other.upper, atol=1e-12)
