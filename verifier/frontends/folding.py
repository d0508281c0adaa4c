"""Folding: two affine maps in a row become one, with a bound on what the folding rounds.

Products with powers of two or of two float32 values, moves of values and sums of small whole numbers are exact, and
what they give is kept as exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verifier.enclosure import UNIT_ROUNDOFF, Array, Mask, gamma
from verifier.network import Affine

EXACT_WHOLE = 2.0**53  # sums of whole numbers below this are exact in float64


@dataclass(frozen=True, eq=False)
class Enclosed:
    """A vector known up to a radius."""

    value: Array
    error: Array


def powers_of_two(array: Array) -> Mask:
    """Whether a product with each entry is exact: zero or plus or minus a power of two."""
    return np.asarray((array == 0) | (np.abs(np.frexp(array)[0]) == 0.5))


def _some(error: Array) -> Array | None:
    return error if error.any() else None


def scaled(layer: Affine, scale: Enclosed, shift: Enclosed) -> Affine:
    """Return the layer followed by scale * z + shift."""
    column = scale.value[:, None]
    weight = column * layer.weight
    bias = scale.value * layer.bias + shift.value
    rounds = ~powers_of_two(scale.value)
    # a product with a power of two is exact; so is a product with an entry that is one
    inexact = rounds[:, None] & ~powers_of_two(layer.weight)
    inexact &= ~(_short(scale.value)[:, None] & _short(layer.weight))
    weight_error = np.where(inexact, np.abs(weight) * 2 * UNIT_ROUNDOFF, 0.0) + scale.error[:, None] * layer.magnitude
    if layer.weight_error is not None:
        weight_error = weight_error + 1.01 * np.abs(column) * layer.weight_error
    sum_rounds = (shift.value != 0) & (scale.value * layer.bias != 0)
    bias_error = np.where(
        (rounds & ~powers_of_two(layer.bias)) | sum_rounds,
        gamma(2) * (np.abs(scale.value * layer.bias) + np.abs(shift.value)),
        0.0,
    )
    bias_error = bias_error + scale.error * np.abs(layer.bias) + shift.error
    if layer.bias_error is not None:
        bias_error = bias_error + 1.01 * np.abs(scale.value) * layer.bias_error
    return Affine(weight, bias, _some(1.01 * weight_error), _some(1.01 * bias_error))


def _at_most_one(matrix: Array, axis: int) -> bool:
    return bool((np.count_nonzero(matrix, axis=axis) <= 1).all())


def _short(array: Array) -> Mask:
    """Whether each entry is a float32 value: a product of two such is exact in float64."""
    with np.errstate(over="ignore"):
        return np.asarray(array.astype(np.float32) == array)


def _whole(matrix: Array) -> bool:
    return bool((matrix == np.rint(matrix)).all())


def _product_is_exact(first: Array, second: Array) -> bool:
    """Whether second @ first rounds nothing: each entry is one exact product, or all is small whole numbers."""
    if _at_most_one(first, 0) or _at_most_one(second, 1):
        powers = powers_of_two(first).all() or powers_of_two(second).all()
        return bool(powers or (_short(first).all() and _short(second).all()))
    reach = first.shape[0] * np.abs(first).max(initial=0.0) * np.abs(second).max(initial=0.0)
    return bool(reach < EXACT_WHOLE and _whole(first) and _whole(second))


def _sum_is_exact(first: Affine, second: Affine) -> bool:
    """Whether second.weight @ first.bias + second.bias rounds nothing."""
    if not first.bias.any():
        return True
    if second.bias.any():
        reach = first.bias.size * np.abs(first.bias).max() * np.abs(second.weight).max(initial=0.0)
        reach = reach + np.abs(second.bias).max()
        return bool(reach < EXACT_WHOLE and all(map(_whole, (first.bias, second.weight, second.bias))))
    return _product_is_exact(first.bias[:, None], second.weight)


def _product(first: Array, second: Array) -> Array:
    """Return second @ first; where first only moves values, its columns are moved instead, which is far cheaper."""
    if _at_most_one(first, 0) and _at_most_one(first, 1) and ((first == 0) | (first == 1)).all():
        rows, columns = np.nonzero(first)
        weight = np.zeros((second.shape[0], first.shape[1]))
        weight[:, columns] = second[:, rows]
        return weight
    return np.asarray(second @ first)


def compose(first: Affine, second: Affine) -> Affine:
    """Return second after first, with a bound on what the product rounds."""
    weight = _product(first.weight, second.weight)
    bias = second.weight @ first.bias + second.bias
    factor = gamma(first.weight.shape[0])
    if _product_is_exact(first.weight, second.weight):
        weight_error = np.zeros_like(weight)
    else:
        weight_error = factor * (second.magnitude @ first.magnitude)
    if _sum_is_exact(first, second):
        bias_error = np.zeros_like(bias)
    else:
        bias_error = gamma(first.weight.shape[0] + 1) * (second.magnitude @ np.abs(first.bias) + np.abs(second.bias))
    if first.weight_error is not None:
        weight_error = weight_error + 1.01 * (second.magnitude @ first.weight_error)
    if first.bias_error is not None:
        bias_error = bias_error + 1.01 * (second.magnitude @ first.bias_error)
    if second.weight_error is not None:
        first_error = first.weight_error if first.weight_error is not None else 0.0
        weight_error = weight_error + 1.01 * (second.weight_error @ (first.magnitude + first_error))
        bias_reach = np.abs(first.bias) + (first.bias_error if first.bias_error is not None else 0.0)
        bias_error = bias_error + 1.01 * (second.weight_error @ bias_reach)
    if second.bias_error is not None:
        bias_error = bias_error + second.bias_error
    return Affine(weight, bias, _some(weight_error), _some(bias_error))
