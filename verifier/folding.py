"""Folding: two affine maps in a row become one, with a bound on what the folding rounds.

Products with powers of two or of two float32 values, moves of values and sums of small whole numbers are exact, and
what they give is kept as exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import verifier.matrix as matrix
from verifier.affine import Affine
from verifier.enclosure import UNIT_ROUNDOFF, Array, Mask, gamma
from verifier.errors import NetworkError
from verifier.matrix import Matrix

EXACT_WHOLE = 2.0**53  # sums of whole numbers below this are exact in float64
SMALLEST = 2.0**-960  # a product of weights below it could lose digits, or all, to underflow, and so could its error


@dataclass(frozen=True, eq=False)
class Enclosed:
    """A vector known up to a radius."""

    value: Array
    error: Array


def powers_of_two(array: Array) -> Mask:
    """Whether a product with each entry is exact: zero or plus or minus a power of two."""
    return np.asarray((array == 0) | (np.abs(np.frexp(array)[0]) == 0.5))


def _refuse_underflow(one: Array, two: Array) -> None:
    """Refuse factors, paired by broadcasting, that are not 0 while they or their product nearly are."""
    product = np.abs(one * two)
    small = np.minimum(np.minimum(product, np.abs(one)), np.abs(two))
    if ((small < SMALLEST) & (one != 0) & (two != 0)).any():
        raise NetworkError(
            f"net: two layers without a ReLU between them multiply weights to below {SMALLEST:.0e}, which float64 "
            "cannot hold exactly; leave such weights out, or scale the constants in the network"
        )


def _least(array: Array) -> Array:
    """The smallest magnitude that is not 0, or 0 where all are."""
    found = np.abs(array[array != 0])
    return np.array(found.min(initial=np.inf) if found.size else 0.0)


def _some(error: Array) -> Array | None:
    return error if error.any() else None


def _some_matrix(error: Matrix) -> Matrix | None:
    return matrix.settle(error) if matrix.entries(error).any() else None


def scaled(layer: Affine, scale: Enclosed, shift: Enclosed) -> Affine:
    """Return the layer followed by scale * z + shift."""
    entries, column = matrix.entries(layer.weight), matrix.per_row(layer.weight, scale.value)
    _refuse_underflow(column, entries)
    _refuse_underflow(scale.value, layer.bias)
    scaled_entries = column * entries
    bias = scale.value * layer.bias + shift.value
    rounds = ~powers_of_two(scale.value)
    # a product with a power of two is exact; so is a product with an entry that is one
    inexact = ~powers_of_two(column) & ~powers_of_two(entries)
    inexact &= ~(_short(column) & _short(entries))
    rounding = np.where(inexact, np.abs(scaled_entries) * 2 * UNIT_ROUNDOFF, 0.0)
    rounding = rounding + matrix.per_row(layer.weight, scale.error) * np.abs(entries)
    weight_error = matrix.with_entries(layer.weight, 1.01 * rounding)
    if layer.weight_error is not None:
        known = layer.weight_error
        grown = 1.02 * np.abs(matrix.per_row(known, scale.value)) * matrix.entries(known)
        weight_error = weight_error + matrix.with_entries(known, grown)
    weight = matrix.with_entries(layer.weight, scaled_entries)
    sum_rounds = (shift.value != 0) & (scale.value * layer.bias != 0)
    bias_error = np.where(
        (rounds & ~powers_of_two(layer.bias)) | sum_rounds,
        gamma(2) * (np.abs(scale.value * layer.bias) + np.abs(shift.value)),
        0.0,
    )
    bias_error = bias_error + scale.error * np.abs(layer.bias) + shift.error
    if layer.bias_error is not None:
        bias_error = bias_error + 1.01 * np.abs(scale.value) * layer.bias_error
    return Affine.made(weight, bias, _some_matrix(weight_error), _some(1.01 * bias_error))


def _short(array: Array) -> Mask:
    """Whether each entry is a float32 value: a product of two such is exact in float64."""
    with np.errstate(over="ignore"):
        return np.asarray(array.astype(np.float32) == array)


def _whole(array: Array) -> bool:
    return bool((array == np.rint(array)).all())


def _product_is_exact(first: Matrix, second: Matrix) -> bool:
    """Whether second @ first rounds nothing: each entry is one exact product, or all is small whole numbers."""
    one, two = matrix.entries(first), matrix.entries(second)
    if matrix.most_in(first, 0) <= 1 or matrix.most_in(second, 1) <= 1:
        powers = powers_of_two(one).all() or powers_of_two(two).all()
        return bool(powers or (_short(one).all() and _short(two).all()))
    reach = first.shape[0] * np.abs(one).max(initial=0.0) * np.abs(two).max(initial=0.0)
    return bool(reach < EXACT_WHOLE and _whole(one) and _whole(two))


def _sum_is_exact(first: Affine, second: Affine) -> bool:
    """Whether second.weight @ first.bias + second.bias rounds nothing."""
    if not first.bias.any():
        return True
    if second.bias.any():
        weights = matrix.entries(second.weight)
        reach = first.bias.size * np.abs(first.bias).max() * np.abs(weights).max(initial=0.0)
        reach = reach + np.abs(second.bias).max()
        return bool(reach < EXACT_WHOLE and all(map(_whole, (first.bias, weights, second.bias))))
    return _product_is_exact(first.bias[:, None], second.weight)


def _product(first: Matrix, second: Matrix) -> Matrix:
    """Return second @ first; where first only moves values, its columns are moved instead, which is far cheaper."""
    moves = matrix.most_in(first, 0) <= 1 and matrix.most_in(first, 1) <= 1
    entries = matrix.entries(first)
    if moves and not matrix.is_sparse(second) and ((entries == 0) | (entries == 1)).all():
        rows, columns = first.nonzero()
        weight = np.zeros((second.shape[0], first.shape[1]))
        weight[:, columns] = second[:, rows]
        return weight
    return second @ first


def compose(first: Affine, second: Affine) -> Affine:
    """Return second after first, with a bound on what the product rounds."""
    for factor in (matrix.entries(first.weight), first.bias):
        _refuse_underflow(_least(factor), _least(matrix.entries(second.weight)))
    weight = matrix.settle(_product(first.weight, second.weight))
    bias = second.weight @ first.bias + second.bias
    parts: list[Matrix] = []  # of the radius of the weights
    if not _product_is_exact(first.weight, second.weight):
        parts.append(gamma(first.weight.shape[0]) * (second.magnitude @ first.magnitude))
    if _sum_is_exact(first, second):
        bias_error = np.zeros(bias.size)
    else:
        bias_error = gamma(first.weight.shape[0] + 1) * (second.magnitude @ np.abs(first.bias) + np.abs(second.bias))
    if first.weight_error is not None:
        parts.append(1.01 * (second.magnitude @ first.weight_error))
    if first.bias_error is not None:
        bias_error = bias_error + 1.01 * (second.magnitude @ first.bias_error)
    if second.weight_error is not None:
        parts.append(1.01 * (second.weight_error @ first.magnitude))
        if first.weight_error is not None:
            parts.append(1.01 * (second.weight_error @ first.weight_error))
        bias_reach = np.abs(first.bias) + (first.bias_error if first.bias_error is not None else 0.0)
        bias_error = bias_error + 1.01 * (second.weight_error @ bias_reach)
    if second.bias_error is not None:
        bias_error = bias_error + second.bias_error
    weight_error = None if not parts else _some_matrix(sum(parts[1:], parts[0]))
    return Affine.made(weight, bias, weight_error, _some(bias_error))


def added(first: Affine, second: Affine, sign: int = 1, second_sign: int = 1) -> Affine:
    """Return sign * first + second_sign * second, for signs of +1 or -1, with a bound on what the sums round."""
    one, two = sign * first.weight, second_sign * second.weight
    weight = one + two
    parts = [part for part in (first.weight_error, second.weight_error) if part is not None]
    if not (_whole_sum(matrix.entries(one), matrix.entries(two))):
        parts.append(matrix.magnitude(weight) * (2 * UNIT_ROUNDOFF))
    bias = sign * first.bias + second_sign * second.bias
    bias_error = np.zeros(bias.size) if _whole_sum(first.bias, second.bias) else np.abs(bias) * (2 * UNIT_ROUNDOFF)
    for error in (first.bias_error, second.bias_error):
        if error is not None:
            bias_error = bias_error + 1.01 * error
    weight_error = None if not parts else _some_matrix(1.01 * sum(parts[1:], parts[0]))
    return Affine.made(matrix.settle(weight), bias, weight_error, _some(bias_error))


def _whole_sum(one: Array, two: Array) -> bool:
    """Whether sums of an entry of each round nothing: one is 0 everywhere, or both are small whole numbers."""
    if not one.any() or not two.any():
        return True
    small = max(np.abs(one).max(), np.abs(two).max()) < EXACT_WHOLE / 4
    return bool(small and _whole(one) and _whole(two))


def joined(parts: Sequence[Affine], index: Sequence[Sequence[int]]) -> Affine:
    """Return the outputs of several maps put together; nothing is rounded.

    Args:
        parts: Maps of the same inputs.
        index: For each of them, which of its outputs stands at each place of the result, -1 for none.
    """
    places = [np.asarray(one, dtype=np.intp) for one in index]
    zero = Affine.made(np.zeros((1, parts[0].weight.shape[1])), np.zeros(1))  # where no part gives a value
    chosen = np.zeros(places[0].size, dtype=np.intp)
    start = 1
    for part, place in zip(parts, places, strict=True):
        chosen = np.where(place >= 0, place + start, chosen)
        start += part.bias.size
    whole = [zero, *parts]
    radii = [
        part.weight_error if part.weight_error is not None else part.weight * 0.0 for part in whole
    ]  # fmt: skip
    biases = [part.bias_error if part.bias_error is not None else np.zeros(part.bias.size) for part in whole]
    weight = matrix.settle(matrix.stacked([part.weight for part in whole], 0))
    radius = matrix.settle(matrix.stacked(radii, 0))
    return Affine.made(
        matrix.settle(weight[chosen]), np.concatenate([part.bias for part in whole])[chosen],
        _some_matrix(radius[chosen]), _some(np.concatenate(biases)[chosen]),
    )  # fmt: skip
