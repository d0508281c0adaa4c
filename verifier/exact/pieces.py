"""A network of one input as what it is, a broken line: its pieces, exactly.

Between two breakpoints every ReLU is a line or 0, so a network of one input is affine there. Stored weights are
floats, hence integers over a power of two, and slopes and offsets stay so; a breakpoint is a quotient of two of them.
Nothing is rounded.

    y |\\        /\\
      | \\      /  \\        three breakpoints, four pieces
      |  \\____/    \\
      +----------------> x
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

import verifier.matrix as matrix
from verifier.errors import NetworkError
from verifier.network import Network

Integers = NDArray[Any]  # of Python's own integers, which never overflow


@dataclass(frozen=True)
class Piece:
    """slope * x + offset for lower <= x <= upper, one slope and offset for each output."""

    lower: Fraction
    upper: Fraction
    slopes: tuple[Fraction, ...]
    offsets: tuple[Fraction, ...]


@dataclass(frozen=True)
class _Part:
    """A part of the input on which the layers so far are affine: values (2^-scale) * (slopes x + offsets)."""

    lower: Fraction
    upper: Fraction
    slopes: Integers
    offsets: Integers


def linear_pieces(
    network: Network, lower: Fraction, upper: Fraction, stop: Callable[[], bool] = lambda: False
) -> list[Piece] | None:
    """Cut an interval of a network's one input into the pieces on which its logits are affine.

    Args:
        network: One input, exact weights; the head is left out.
        lower: Left end of the interval.
        upper: Right end.
        stop: Asked now and then; where it says True the result is None.

    Returns:
        The pieces from left to right; each begins where the one before ends.

    Raises:
        NetworkError: The network has several inputs, or weights known only up to a radius.
    """
    if network.inputs != 1 or not network.exact:
        raise NetworkError("net: only a network of one input whose weights are exact has pieces")
    one = np.array([1], dtype=object)
    parts, scale = [_Part(lower, upper, one, 0 * one)], 0
    for index, layer in enumerate(network.layers):
        weight, bits = _integers(matrix.dense(layer.weight))
        bias, bias_bits = _integers(layer.bias)
        # z = weight h + bias over the common denominator 2^(scale + bits), or that of the bias where it is finer
        finer = max(0, bias_bits - scale - bits)
        weight, scale = weight << finer if finer else weight, scale + bits + finer
        bias = bias << (scale - bias_bits)
        last = index == len(network.layers) - 1
        found: list[_Part] = []
        for part in parts:
            if stop():
                return None
            affine = _Part(part.lower, part.upper, weight.dot(part.slopes), weight.dot(part.offsets) + bias)
            found.extend([affine] if last else _rectified(affine, scale))
        parts = found
    unit = Fraction(1, 1 << scale)
    return [
        Piece(part.lower, part.upper, *(tuple(int(v) * unit for v in values) for values in (part.slopes, part.offsets)))
        for part in parts
    ]


def _integers(values: NDArray[np.float64]) -> tuple[Integers, int]:
    """Write floats as integers over one power of two."""
    mantissa, exponent = np.frexp(values)  # values = mantissa * 2^exponent, mantissa a multiple of 2^-53
    lowest = int((exponent - 53)[values != 0].min(initial=0))
    bits = max(0, -lowest)
    whole = np.ldexp(mantissa, 53).astype(np.int64).astype(object)
    shifts = np.where(values != 0, exponent - 53 + bits, 0).astype(object)
    return whole << shifts, bits


def _rectified(part: _Part, scale: int) -> Iterator[_Part]:
    """Cut a part where one of its values changes its sign, and apply ReLU on each of what is left."""
    cuts = {part.lower, part.upper}
    for slope, offset in zip(part.slopes, part.offsets, strict=True):
        if slope:
            zero = Fraction(-int(offset), int(slope))
            if part.lower < zero < part.upper:
                cuts.add(zero)
    ends = sorted(cuts)
    for low, high in itertools.pairwise(ends) if len(ends) > 1 else [(part.lower, part.upper)]:
        middle = (low + high) / 2
        top, below = middle.numerator, middle.denominator
        active = (part.slopes * top + part.offsets * below) > 0
        yield _Part(low, high, np.where(active, part.slopes, 0), np.where(active, part.offsets, 0))
