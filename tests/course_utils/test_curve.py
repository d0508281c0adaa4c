"""The networks of lab 4, and their proofs, checked again by a fine grid and a Lipschitz bound."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from course_utils.curve import (
    STORED_FLOAT_X,
    curve_network,
    empty_network,
    judge_tolerance,
    largest_on_grid,
    library_enclosure,
    network_of,
    stored_keras_weights,
)
from verifier import max_error, verify_function


def t4(x):
    return 8 * x**4 - 8 * x**2 + 1


def keras_twin():
    weights = stored_keras_weights()
    return network_of([(weight.T, bias) for weight, bias in zip(weights[::2], weights[1::2], strict=True)])


@pytest.mark.parametrize("net", [curve_network(), keras_twin()], ids=["torch", "Keras"])
def test_the_proved_error_of_both_fits_withstands_a_fine_grid_and_a_lipschitz_bound(net):
    """Between two points of the grid the error exceeds theirs by at most L times half their distance."""
    found = max_error(net, t4, [[-1, 1]])
    grid = np.linspace(-1, 1, 200_001)
    h = grid[:, None]
    weights = []
    for part in net:
        if isinstance(part, nn.Linear):
            weight, bias = (value.detach().double().numpy() for value in (part.weight, part.bias))
            h = h @ weight.T + bias
            weights.append(np.abs(weight))
        else:
            h = np.maximum(h, 0)
    sampled = float(np.abs(h[:, 0] - t4(grid)).max())
    lipschitz = float(np.linalg.multi_dot([*weights[::-1], np.ones(1)])[0]) + 16  # |T4'| is at most 16 on [-1, 1]
    assert sampled - 1e-9 <= found.proved <= sampled + lipschitz * 5e-6 + 1e-6
    assert found.attained <= sampled + lipschitz * 5e-6
    assert found.gap <= 1e-6
    assert verify_function(net, t4, [[-1, 1]], found.proved)
    assert not verify_function(net, t4, [[-1, 1]], found.attained - 1e-5)


def test_what_the_lab_goes_on_with_is_what_the_library_says():
    net = curve_network()
    low, high = library_enclosure(net, t4, 1e-4)
    assert low <= largest_on_grid(net, t4) + 1e-6
    assert high - low <= 1e-4
    assert judge_tolerance(net, t4, high)[0] == "verified"
    verdict, at = judge_tolerance(net, t4, low - 0.05)
    assert verdict == "falsified"
    assert largest_on_grid(net, t4, at) > low - 0.05


def test_a_network_of_layers_is_what_they_say():
    layers = [([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [-0.25])]
    assert float(network_of(layers)(torch.tensor([[-2.0]]))) == 1.75  # |x| - 1/4
    sizes = [tuple(part.weight.shape) for part in empty_network(2, 3, 4, 1) if isinstance(part, nn.Linear)]
    assert sizes == [(b, a) for a, b in itertools.pairwise((2, 3, 4, 1))]


def test_the_stored_float_breaks_the_spec_of_lab_4_in_float32():
    """0.1 beside a float32 between 2^19 and 2^20, a multiple of 1/16, becomes 2/16."""
    big = np.float32(1048576.0) * np.float32(STORED_FLOAT_X)
    assert (np.float32(0.1) + big) - big == np.float32(0.125)
