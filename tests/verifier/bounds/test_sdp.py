"""SDP bounds contain the network, whatever the solver returns, and see what no bound of single neurons can."""

import itertools

import numpy as np
import pytest

from verifier import Affine, Bounds, BoundsError, Network
from verifier.bounds import sdp
from verifier.bounds.crown import crown_bounds
from verifier.bounds.sdp import least_eigenvalue, sdp_bounds
from verifier.solvers.clarabel_solver import LargestShift, SdpAnswer, SdpStatus, largest_shift

pytest.importorskip("clarabel")


def network(*layers):
    return Network(tuple(Affine(np.array(w, dtype=float), np.array(b, dtype=float)) for w, b in layers))


def random_question(seed, sizes):
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-2, 2)
    layers = [
        (rng.normal(0, scale, (after, before)), rng.normal(0, 0.3 * scale, after))
        for before, after in itertools.pairwise(sizes)
    ]
    centre, radius = rng.normal(0, 1, (1, sizes[0])), rng.uniform(0, 0.6, (1, sizes[0]))
    return network(*layers), Bounds(centre - radius, centre + radius)


def test_what_the_triangles_of_two_neurons_cannot_see():
    """y = relu(x1 + x2) + relu(x1 - x2) is at most 2 on [-1, 1]^2, reached at (1, 0).

    Each neuron has range [-2, 2], so its chord is z / 2 + 1 and the triangles allow x1 + 2 <= 3. In the SDP the two
    pre-activations cannot both be 2.
    """
    net, box = network(([[1, 1], [1, -1]], [0, 0]), ([[1, 1]], [0])), Bounds(-np.ones((1, 2)), np.ones((1, 2)))
    corners = np.array(list(itertools.product([-1.0, 1.0], repeat=2)))
    assert net(corners).max() == 2  # convex, so the greatest value is at a corner
    assert crown_bounds(net, box, np.eye(1)).rows.upper[0, 0] > 2.99
    assert sdp_bounds(net, box, np.eye(1)).rows.upper[0, 0] < 2.5


@pytest.mark.parametrize("seed", range(10))
def test_bounds_contain_the_network_and_are_no_looser_than_crown(seed):
    net, box = random_question(seed, [(2, 6, 6, 2), (3, 4, 1), (4, 8, 3), (2, 2)][seed % 4])
    rows = np.concatenate([np.eye(net.outputs), -np.ones((1, net.outputs))])
    found, base = sdp_bounds(net, box, rows).rows, crown_bounds(net, box, rows).rows
    points = np.random.default_rng(seed).uniform(box.lower[0], box.upper[0], (3000, net.inputs))
    values = net(np.concatenate([points, box.lower, box.upper])) @ rows.T
    room = 1e-12 * np.abs(values).max()  # of the float64 evaluation
    assert (values >= found.lower[0] - room).all()
    assert (values <= found.upper[0] + room).all()
    assert (found.lower >= base.lower).all()
    assert (found.upper <= base.upper).all()


@pytest.mark.parametrize("seed", range(6))
def test_multipliers_of_any_kind_give_a_bound_that_holds(seed, monkeypatch):
    """The solver is replaced by noise, and by its own answer shaken: no sampled value is below what is claimed."""
    net, box = random_question(seed, (2, 5, 4, 1))
    rng = np.random.default_rng(seed)

    def shaken(program: LargestShift, timeout_s: float = np.inf) -> SdpAnswer:
        answer = largest_shift(program, timeout_s)
        if seed % 2:
            return SdpAnswer(SdpStatus.SOLVED, 10 * rng.normal(), rng.normal(size=len(program.constraints)))
        return SdpAnswer(SdpStatus.OTHER, answer.t + rng.normal(), answer.y + rng.normal(0, 0.3, answer.y.shape))

    monkeypatch.setattr(sdp, "largest_shift", shaken)
    monkeypatch.setattr(sdp, "crown_bounds", lambda *given: widened(crown_bounds(*given)))
    found = sdp_bounds(net, box, np.eye(1)).rows
    values = net(rng.uniform(box.lower[0], box.upper[0], (3000, 2)))
    room = 1e-12 * np.abs(values).max()
    assert (values >= found.lower[0] - room).all()
    assert (values <= found.upper[0] + room).all()


def widened(base):
    """CROWN's bounds with rows that say nothing, so that what the SDP says is seen."""
    infinite = np.full(base.rows.lower.shape, 1e9)
    return type(base)(base.pre, Bounds(-infinite, infinite), base.plane, base.influence, base.error_weight)


def test_a_solver_without_an_answer_leaves_crown(monkeypatch):
    net, box = random_question(3, (2, 5, 1))
    monkeypatch.setattr(sdp, "largest_shift", lambda *_: SdpAnswer(SdpStatus.TIME_LIMIT))
    found, base = sdp_bounds(net, box, np.eye(1)).rows, crown_bounds(net, box, np.eye(1)).rows
    assert np.array_equal(found.lower, base.lower)
    assert np.array_equal(found.upper, base.upper)


def test_too_large_a_network_is_refused_with_another_method():
    net, box = random_question(0, (160, 4, 1))
    with pytest.raises(BoundsError, match=r"too many .*crown_optimized"):
        sdp_bounds(net, box, np.eye(1))


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_the_least_eigenvalue_is_never_overstated(n):
    """Matrices with a known spectrum: Householder reflections of a diagonal in halves and quarters."""
    rng = np.random.default_rng(n)
    for _ in range(20):
        diagonal = rng.integers(-8, 9, n) / 4
        v = rng.normal(size=n)
        reflection = np.eye(n) - 2 * np.outer(v, v) / (v @ v)
        matrix = reflection @ np.diag(diagonal) @ reflection
        matrix = (matrix + matrix.T) / 2
        true = min(0.0, diagonal.min())
        assert true - 1e-10 * n * n <= least_eigenvalue(matrix) <= true + 1e-13 * n
