"""A sketch on examples as terms of a solver; the same code writes it for Z3 and for CP-SAT, and with fixed weights."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verifier.solvers.integers import IntegerModel, Term
from verifier.synthesis.network import WholeNetwork
from verifier.synthesis.sketch import Examples, Sketch, ranges


@dataclass(frozen=True)
class Holes:
    """The unknown weights and biases of a sketch, as terms: weights[layer][output][input], biases[layer][output]."""

    weights: list[list[list[Term]]]
    biases: list[list[Term]]


def make_holes(model: IntegerModel, sketch: Sketch) -> Holes:
    """Add a variable for every hole; a domain of one value needs none."""

    def hole(values: tuple[int, ...]) -> Term:
        return values[0] if len(values) == 1 else model.one_of(values)

    layers = list(zip(sketch.topology[:-1], sketch.topology[1:], strict=True))
    weights = [[[hole(sketch.weights) for _ in range(n)] for _ in range(m)] for n, m in layers]
    return Holes(weights, [[hole(sketch.biases) for _ in range(m)] for _, m in layers])


def break_symmetry(model: IntegerModel, sketch: Sketch, holes: Holes) -> None:
    """Order the neurons of each hidden layer by their first weight, where swapping two of them changes nothing.

    That is so where the next layer's weights are unknown, too, and its inputs all count alike.
    """
    if sketch.activation == "halves":
        return
    for rows, following in itertools.pairwise(holes.weights):
        if all(isinstance(one, int) for row in following for one in row):
            continue
        for before, after in itertools.pairwise(rows):
            if not isinstance(before[0], int):
                model.at_least(after[0], before[0])


def fixed(network: WholeNetwork) -> Holes:
    """The weights of a network in the place of holes."""
    return Holes([one.tolist() for one in network.weights], [one.tolist() for one in network.biases])


def network_of(model: IntegerModel, sketch: Sketch, holes: Holes) -> WholeNetwork:
    """Read the network from the solver's best answer."""
    weights = [[[model.value_of(one) for one in row] for row in layer] for layer in holes.weights]
    biases = [[model.value_of(one) for one in layer] for layer in holes.biases]
    return WholeNetwork(sketch, tuple(map(np.array, weights)), tuple(map(np.array, biases)))


def outputs(
    model: IntegerModel, sketch: Sketch, holes: Holes, inputs: Sequence[Term], largest_input: int
) -> list[Term]:
    """The last layer's values for one input, whose elements are numbers or terms."""
    h, reach = list(inputs), largest_input
    limits = ranges(sketch, largest_input)
    for layer, (rows, by, (low, high)) in enumerate(zip(holes.weights, holes.biases, limits, strict=True), start=1):
        last = layer == len(holes.weights)
        scale = sketch.scale(len(h))
        most = reach * max(abs(value) for value in sketch.weights)
        z = []
        for row, bias in zip(rows, by, strict=True):
            parts = [
                one if factor == 1 else factor * one
                for factor, w, v in zip(scale, row, h, strict=True)
                for one in (_times(model, w, v, most),)
                if not (isinstance(one, int) and one == 0)
            ]
            z.append(_wrapped(model, model.total([*parts, bias]), low, high, sketch.bits))
        if sketch.bits is not None:
            low, high = max(low, -(2 ** (sketch.bits - 1))), min(high, 2 ** (sketch.bits - 1) - 1)
        if last:
            return [model.positive_part(one, low, high) for one in z] if sketch.output_relu else z
        if sketch.activation == "relu":
            h, reach = [model.positive_part(one, low, high) for one in z], high
        else:
            h, reach = [model.as_sign(model.reaches(one, sketch.threshold)) for one in z], 1
    raise AssertionError("a sketch has a last layer")


def right_bit(model: IntegerModel, sketch: Sketch, y: Sequence[Term], label: Sequence[int]) -> Term:
    """The bit that is 1 exactly where outputs are right for a label."""
    if sketch.output == "value":
        both = [(model.reaches(one, want), model.reaches(one, want + 1)) for one, want in zip(y, label, strict=True)]
        return model.all_one([bit for reached, more in both for bit in (reached, 1 - more)])
    chosen = int(label[0])
    if sketch.output == "sign":
        bit = model.reaches(y[0], sketch.threshold)
        return bit if chosen else 1 - bit
    if sketch.output == "one-hot":
        bits = [model.reaches(one, sketch.threshold) for one in y]
        return model.all_one([bit if place == chosen else 1 - bit for place, bit in enumerate(bits)])
    return model.all_one([model.reaches(y[chosen] - one, 1) for place, one in enumerate(y) if place != chosen])


def require_right(model: IntegerModel, sketch: Sketch, y: Sequence[Term], label: Sequence[int], margin: Term) -> None:
    """Require that outputs are right for a label by a margin; 0 is just right."""
    if sketch.output == "value":
        for one, want in zip(y, label, strict=True):
            model.at_least(one, int(want))
            model.at_least(-one, -int(want))
        return
    chosen, t = int(label[0]), sketch.threshold
    if sketch.output == "argmax":
        for place, one in enumerate(y):
            if place != chosen:
                model.at_least(y[chosen] - one, 1 + margin)
        return
    for place, one in enumerate(y):
        set_bit = bool(chosen) if sketch.output == "sign" else place == chosen
        model.at_least(one if set_bit else -one, (t if set_bit else 1 - t) + margin)


def labels_of(examples: Examples) -> list[list[int]]:
    """Each example's label as a list."""
    found: list[list[int]] = examples.labels.reshape(len(examples), -1).tolist()
    return found


def _times(model: IntegerModel, w: Term, v: Term, most: int) -> Term:
    if isinstance(w, int) or isinstance(v, int):
        return w * v
    return model.product(w, v, -most, most)


def _wrapped(model: IntegerModel, z: Term, low: int, high: int, bits: int | None) -> Term:
    """A sum in so many bits: what does not fit wraps around."""
    if bits is None or (low >= -(2 ** (bits - 1)) and high < 2 ** (bits - 1)):
        return z
    size = 2**bits
    turns = model.whole((low - size) // size, (high + size) // size)
    held = model.total([z, -size * turns])
    model.at_least(held, -size // 2)
    model.at_least(-held, -(size // 2 - 1))
    return held
