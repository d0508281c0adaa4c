"""The pieces of a network of one input are the network: at every point, to the last bit."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifier import Affine, Network, NetworkError
from verifier.exact.pieces import linear_pieces


def network(*layers):
    return Network(tuple(Affine(np.array(w, dtype=float), np.array(b, dtype=float)) for w, b in layers))


def test_a_hat_has_the_pieces_that_one_draws():
    """relu(x + 1) - 2 relu(x) + relu(x - 1): up from -1 to 0, down from 0 to 1, flat outside."""
    hat = network(([[1], [1], [1]], [1, 0, -1]), ([[1, -2, 1]], [0]))
    pieces = linear_pieces(hat, Fraction(-2), Fraction(2))
    assert [(p.lower, p.upper, p.slopes[0], p.offsets[0]) for p in pieces] == [
        (-2, -1, 0, 0),
        (-1, 0, 1, 1),
        (0, 1, -1, 1),
        (1, 2, 0, 0),
    ]


@given(st.integers(0, 10_000), st.sampled_from([(1,), (3,), (4, 3), (2, 3, 2)]), st.integers(-12, 12))
@settings(max_examples=60)
def test_pieces_equal_the_network_in_rationals_everywhere(seed, hidden, exponent):
    rng = np.random.default_rng(seed)
    sizes = (1, *hidden, 2)
    scale = 10.0**exponent
    layers = [
        (rng.normal(0, scale, (after, before)) * rng.integers(0, 2, (after, before)), rng.normal(0, 1, after))
        for before, after in itertools.pairwise(sizes)
    ]
    net = network(*layers)
    pieces = linear_pieces(net, Fraction(-1), Fraction(1))
    assert pieces[0].lower == -1
    assert pieces[-1].upper == 1
    assert all(left.upper == right.lower for left, right in itertools.pairwise(pieces))
    for x in [-1.0, 1.0, *rng.uniform(-1, 1, 10)]:
        exact = net.exact_logits(np.array([x]))
        around = [p for p in pieces if p.lower <= Fraction(x) <= p.upper]
        assert around
        for piece in around:
            assert [s * Fraction(x) + o for s, o in zip(piece.slopes, piece.offsets, strict=True)] == exact


def test_a_point_is_one_piece():
    hat = network(([[1], [1]], [1, -1]), ([[1, 1]], [0]))
    (piece,) = linear_pieces(hat, Fraction(1, 2), Fraction(1, 2))
    assert piece.slopes[0] / 2 + piece.offsets[0] == Fraction(3, 2)


def test_several_inputs_and_inexact_weights_are_refused():
    with pytest.raises(NetworkError, match="one input"):
        linear_pieces(network(([[1, 1]], [0])), Fraction(0), Fraction(1))
    folded = Network((Affine(np.ones((1, 1)), np.zeros(1), np.full((1, 1), 1e-9)),))
    with pytest.raises(NetworkError, match="exact"):
        linear_pieces(folded, Fraction(0), Fraction(1))


def test_it_stops_when_told_to():
    assert linear_pieces(network(([[1]], [0])), Fraction(0), Fraction(1), stop=lambda: True) is None
