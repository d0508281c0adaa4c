"""Networks of bits as torch modules: the same as encoded, bit for bit, and the same again as ReLU layers."""

import numpy as np
import pytest

pytest.importorskip("ortools")

import torch

from verifier.errors import SketchError
from verifier.synthesis import encode
from verifier.synthesis.gradient import train_signs
from verifier.synthesis.modules import BinaryNetwork, as_relus
from verifier.synthesis.network import WholeNetwork
from verifier.synthesis.result import solver_named
from verifier.synthesis.sketch import Examples, Sketch, between, bits_as_signs

TOPOLOGIES = ((8, 1), (8, 5, 1), (9, 4, 3), (8, 6, 5, 4))


def drawn(topology, seed, activation="sign", biases=(-3, -2, -1, 0, 1, 2, 3)):
    rng = np.random.default_rng(seed)
    sketch = Sketch(topology, (-1, 1), biases, activation, "sign" if topology[-1] == 1 else "argmax")
    layers = list(zip(topology[1:], topology[:-1], strict=True))
    return WholeNetwork(
        sketch, tuple(rng.choice([-1, 1], shape) for shape in layers), tuple(rng.integers(-3, 4, m) for m, _ in layers)
    ), rng.integers(0, 2, (200, topology[0]))


def by_hand(network, bits):
    """Popcounts of xnor, counted one bit after another."""
    h = [int(bit) for bit in bits]
    for place, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        counts = [sum(int(v == (w > 0)) for v, w in zip(h, row, strict=True)) for row in weight]
        if place == len(network.weights) - 1:
            return [count + b / 2 for count, b in zip(counts, bias, strict=True)]
        h = [int(2 * count + b >= len(h)) for count, b in zip(counts, bias, strict=True)]
    return None


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_the_module_counts_bits_as_by_hand_and_as_encoded(topology):
    for seed in range(5):
        network, bits = drawn(topology, seed)
        counted = BinaryNetwork(network)(torch.from_numpy(bits))
        assert counted.tolist() == [by_hand(network, one) for one in bits]
        z = network.outputs(bits_as_signs(bits))
        assert np.array_equal(2 * counted.numpy() - topology[-2], z)  # z = 2 popcount - inputs + bias


@pytest.mark.parametrize("activation", ["sign", "halves", "relu"])
@pytest.mark.parametrize("topology", [(8, 1), (8, 4, 1), (8, 6, 4, 3)])
def test_relu_layers_compute_the_same_whole_numbers(topology, activation):
    network, bits = drawn(topology, 1, activation)
    signs = bits_as_signs(bits)
    assert np.array_equal(as_relus(network)(torch.from_numpy(signs).double()).numpy(), network.outputs(signs))


@pytest.mark.parametrize("solver", ["cpsat", "z3"])
@pytest.mark.parametrize("activation", ["sign", "halves"])
def test_the_encoding_of_fixed_weights_gives_the_outputs_of_running_it(activation, solver):
    """The inputs are variables that are pinned, so that every term of the encoding is used."""
    network, bits = drawn((8, 4, 4, 2), 2, activation)
    for signs in bits_as_signs(bits[:6]):
        model = solver_named(solver)
        places = [model.one_of((-1, 1)) for _ in signs]
        for term, value in zip(places, signs.tolist(), strict=True):
            model.at_least(term, value)
            model.at_least(-term, -value)
        y = encode.outputs(model, network.sketch, encode.fixed(network), places, 1)
        model.best(0, 0, timeout_s=20, tell=lambda value, bound: None)
        assert [model.value_of(one) for one in y] == network.outputs(signs[None])[0].tolist()


def test_gradients_learn_a_majority_of_bits_and_repeat():
    rng = np.random.default_rng(0)
    signs = rng.choice([-1, 1], (60, 7))
    examples = Examples(signs, (signs.sum(axis=1) > 0).astype(int))
    sketch = Sketch((7, 3, 1), (-1, 1), between(-7, 7), "sign")
    found, again = (train_signs(sketch, examples, steps=60) for _ in range(2))
    assert found.accuracy(examples) == 1.0
    assert all(np.array_equal(a, b) for a, b in zip(found.weights, again.weights, strict=True))


def test_what_has_no_such_module_is_refused():
    network, _ = drawn((8, 4, 1), 0, "halves")
    with pytest.raises(SketchError, match="expected activation 'sign'"):
        BinaryNetwork(network)
    with pytest.raises(SketchError, match="wrap around"):
        as_relus(WholeNetwork(Sketch((2, 1), bits=8), ([[1, 1]],), ([0],)))
    with pytest.raises(SketchError, match="expected activation 'sign'"):
        train_signs(Sketch((2, 1)), Examples([[1, 1]], [1]))
