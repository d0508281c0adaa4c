"""Functions of the input carried through the network to its end, where a spec compares them with the outputs.

An inequality may speak of inputs and outputs, c . y + a . x + d >= 0. Every method bounds linear functions of the
logits; so a . x becomes one more logit. Each hidden layer gets one more neuron for each function, which hands it on:

    u = a . x + s,   u = relu(u),   u = relu(u),  ...,   a . x = u - s

with a shift s so large that u > 0 on the whole box. Its ReLU is then active everywhere, so that no relaxation loses
anything on it: a linear bound sees a . x as it is, an exact method has one more equation, and what is rounded on the
way is counted like the rounding of any other layer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import verifier.matrix as matrix
from verifier.enclosure import MAX_MAGNITUDE, Array
from verifier.errors import SpecError
from verifier.matrix import Matrix
from verifier.network import Affine, Network
from verifier.question.spec import Box

TINY = 1e-100  # magnitudes below which 1 is shift enough, so that underflow stays out of sight


def carry_functions(network: Network, box: Box, functions: Array) -> Network:
    """Give a network further logits: linear functions of its input.

    Args:
        network: What is asked about.
        box: The inputs; outside of it the further logits mean nothing.
        functions: Coefficients a, shape (functions, inputs); with none the network is returned as it is.

    Returns:
        A network with outputs + functions logits, the true ones first. Its real values are exactly those.

    Raises:
        SpecError: The functions reach beyond what float64 can bound.
    """
    count = len(functions)
    if not count:
        return network
    size = np.abs(functions) @ np.maximum(np.abs(box.lower), np.abs(box.upper))
    if not np.all(size < MAX_MAGNITUDE):
        raise SpecError("y_specs: linear(x=...) reaches values beyond 1e150 in the box; use smaller coefficients")
    layers = network.layers
    if len(layers) == 1:
        return replace(network, layers=(_below(layers[0], functions, np.zeros(count)),))
    shift = np.exp2(np.ceil(np.log2(np.where(size > TINY, 2.0 * size, 1.0))))
    carried = [_below(layers[0], functions, shift)]
    carried += [_beside(layer, np.zeros(count)) for layer in layers[1:-1]]
    carried.append(_beside(layers[-1], -shift))
    return replace(network, layers=tuple(carried))


def _below(layer: Affine, rows: Array, bias: Array) -> Affine:
    """The first layer, with further rows that are known exactly."""
    error = layer.weight_error
    return Affine.made(
        matrix.settle(matrix.stacked([layer.weight, rows], 0)), np.concatenate([layer.bias, bias]),
        None if error is None else matrix.settle(matrix.stacked([error, np.zeros_like(rows)], 0)),
        None if layer.bias_error is None else np.concatenate([layer.bias_error, np.zeros(len(bias))]),
    )  # fmt: skip


def _beside(layer: Affine, bias: Array) -> Affine:
    """A later layer, with further values that are handed on, plus a bias."""
    count, error = len(bias), layer.weight_error
    return Affine.made(
        _diagonal(layer.weight, np.eye(count)), np.concatenate([layer.bias, bias]),
        None if error is None else _diagonal(error, np.zeros((count, count))),
        None if layer.bias_error is None else np.concatenate([layer.bias_error, np.zeros(count)]),
    )  # fmt: skip


def _diagonal(first: Matrix, second: Array) -> Matrix:
    """Two matrices as blocks on a diagonal."""
    upper = matrix.stacked([first, np.zeros((first.shape[0], second.shape[1]))], 1)
    lower = matrix.stacked([np.zeros((second.shape[0], first.shape[1])), second], 1)
    return matrix.settle(matrix.stacked([upper, lower], 0))
