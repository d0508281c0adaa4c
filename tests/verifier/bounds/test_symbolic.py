"""Symbolic intervals: a network worked by hand, and how they stand between intervals and backward bounds."""

import numpy as np

from verifier import Affine, Bounds, Network
from verifier.bounds.interval import interval_bounds
from verifier.bounds.symbolic import symbolic_bounds

UNIT = Bounds(np.array([[-1.0]]), np.array([[1.0]]))
ROUNDING = 1e-12  # far above what a handful of operations on numbers of size 1 round


def network(*layers):
    return Network(tuple(Affine(np.array(w, dtype=float), np.array(b, dtype=float)) for w, b in layers))


def test_two_neurons_that_cancel_are_seen_to_cancel():
    """relu(x + 2) - relu(x + 1): both active, so the difference is 1; intervals give [-1, 3]."""
    both = network(([[1], [1]], [2, 1]), ([[1, -1]], [0]))
    found = symbolic_bounds(both, UNIT, np.eye(1)).rows
    assert abs(found.lower[0, 0] - 1) < ROUNDING
    assert abs(found.upper[0, 0] - 1) < ROUNDING
    loose = interval_bounds(both, UNIT, np.eye(1)).rows
    assert loose.lower[0, 0] < -0.99
    assert loose.upper[0, 0] > 2.99


def test_an_unstable_neuron_is_replaced_by_its_chord_and_its_scaled_line():
    """z = x - 0.5 on [-1, 1] has range [-1.5, 0.5]: the chord is 0.25 (z + 1.5), the line below 0.25 z."""
    shifted = network(([[1]], [-0.5]), ([[1]], [0]))
    found = symbolic_bounds(shifted, UNIT, np.eye(1))
    assert abs(found.plane.slope[0, 0, 0] - 0.25) < ROUNDING
    assert abs(found.plane.offset[0, 0] + 0.125) < ROUNDING
    assert abs(found.rows.upper[0, 0] - 0.5) < ROUNDING  # the chord at x = 1, where it meets ReLU


def test_what_is_known_of_a_neuron_makes_it_stable():
    """relu(x) with x known to be >= 0, which the box alone does not say: the neuron is a line."""
    identity = network(([[1]], [0]), ([[1]], [0]))
    known = [Bounds(np.array([[0.0]]), np.array([[1.0]]))]
    found = symbolic_bounds(identity, UNIT, np.eye(1), known)
    assert found.plane.slope[0, 0, 0] == 1
    assert found.pre[0].lower[0, 0] == 0
