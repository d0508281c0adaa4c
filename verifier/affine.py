"""Affine, one layer: z = weight h + bias, its weights known exactly or up to a radius."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

import verifier.matrix as matrix
from verifier.enclosure import UNDERFLOW, Array, Bounds, Indices, Mask, gamma
from verifier.matrix import Matrix

KEPT_ENTRIES = 2**16  # of a matrix whose parts are kept beside it


@dataclass(frozen=True, eq=False)
class Affine:
    """z = weight h + bias, the weights known exactly or up to a radius.

    Stored weights are exact. Where a layer was folded (BatchNorm's square root, two affine layers in a row) the
    true weight lies within `weight_error` of `weight`, and the true bias within `bias_error` of `bias`.

    Lists, tensors and arrays of other dtypes are read as float64, and refused where that would round them. Arrays are
    copied, so that a network stays what it is when the caller writes into them afterwards.

    Args:
        weight: Shape (out, in), float64: an array, or a sparse matrix where few entries are not 0 (matrix.py).
        bias: Shape (out,), float64.
        weight_error: Shape (out, in), >= 0, in either form, or None where the weights are exact.
        bias_error: Shape (out,), >= 0, or None where the biases are exact.

    Raises:
        NetworkError: One of them holds something else than real numbers, or numbers that float64 cannot hold.
    """

    weight: Matrix
    bias: Array
    weight_error: Matrix | None = None
    bias_error: Array | None = None

    def __post_init__(self) -> None:
        """Read and copy what the caller gave; whether it fits together is the Network's to say."""
        self._read(copies=True)

    @classmethod
    def made(
        cls, weight: Matrix, bias: Array, weight_error: Matrix | None = None, bias_error: Array | None = None
    ) -> Affine:
        """Take arrays that were made for this layer, and that nobody writes afterwards, without copying them."""
        layer = object.__new__(cls)
        given = {"weight": weight, "bias": bias, "weight_error": weight_error, "bias_error": bias_error}
        for name, value in given.items():
            object.__setattr__(layer, name, value)
        layer._read(copies=False)
        return layer

    def _read(self, copies: bool) -> None:
        for name in ("weight", "bias", "weight_error", "bias_error"):
            given = getattr(self, name)
            read = given if given is None and name.endswith("error") else matrix.stored(given, f"Affine {name}")
            if read is given and read is not None and copies:
                read = read.copy()
            if read is not given:
                object.__setattr__(self, name, read)

    @cached_property
    def magnitude(self) -> Matrix:
        """|weight|, computed once."""
        return matrix.magnitude(self.weight)

    @cached_property
    def bias_size(self) -> Array:
        """|bias|, computed once."""
        return np.abs(self.bias)

    @cached_property
    def _kept_signed_parts(self) -> tuple[Matrix, Matrix]:
        return matrix.signed_parts(self.weight)

    @property
    def signed_parts(self) -> tuple[Matrix, Matrix]:
        """The entries of the weight >= 0 and those <= 0, kept where they are few."""
        few = not matrix.is_sparse(self.weight) and self.weight.size <= KEPT_ENTRIES
        return self._kept_signed_parts if few else matrix.signed_parts(self.weight)

    @cached_property
    def terms(self) -> int:
        """How many products a sum of weight @ h or c @ weight adds up at most."""
        return matrix.most_terms(self.weight)

    @cached_property
    def moves(self) -> Mask:
        """Which outputs are one input, or it times 1, 2, 4, ..., or 0: computing them rounds nothing, (out,).

        Halves and the like may underflow.
        """
        known = (self.bias == 0) & (matrix.row_counts(self.weight) <= 1)
        if self.weight_error is not None:
            known &= matrix.row_counts(self.weight_error) == 0
        if self.bias_error is not None:
            known &= self.bias_error == 0
        if known.any():  # the largest of a row is its one entry
            largest = matrix.row_largest(self.weight)
            known &= (largest == 0) | ((np.frexp(largest)[0] == 0.5) & (largest >= 1.0))
        return np.asarray(known)

    def rows(self, neurons: Indices) -> Array:
        """The weights of some neurons as an array, (neurons, in)."""
        return matrix.dense(self.weight[neurons])

    def part(self, neurons: Indices) -> Affine:
        """The same map for some of its outputs only."""
        error, bias_error = self.weight_error, self.bias_error
        return Affine.made(
            self.weight[neurons], self.bias[neurons], None if error is None else error[neurons],
            None if bias_error is None else bias_error[neurons],
        )  # fmt: skip

    def forward(self, h: Array) -> Array:
        """weight @ h for h of shape (..., in), without the bias."""
        return matrix.forward(self.weight, h)

    def backward(self, c: Array) -> Array:
        """c @ weight for c of shape (..., out)."""
        return matrix.backward(self.weight, c)

    @property
    def exact(self) -> bool:
        """Whether the stored weights are the true ones."""
        return self.weight_error is None and self.bias_error is None

    def error(self, input_magnitude: Array) -> Array:
        """Bound |computed z - true z| for inputs up to `input_magnitude`, whatever the order of the sums.

        Holds for products with the weight from either side: z = weight h, and c @ weight seen at h, weighted by |c|.

        Args:
            input_magnitude: Bound on |h|, shape (..., in).

        Returns:
            Shape (..., out).
        """
        term = gamma(self.terms + 1) * (matrix.forward(self.magnitude, input_magnitude) + self.bias_size)
        if self.weight_error is not None:
            term = term + 1.001 * matrix.forward(self.weight_error, input_magnitude)
        if self.bias_error is not None:
            term = term + 1.001 * self.bias_error
        return np.asarray(term + UNDERFLOW * (self.terms + 1))


def propagate_interval(layer: Affine, bounds: Bounds) -> Bounds:
    """Bound z = weight h + bias for lower <= h <= upper, shape (..., in), widened by the rounding term.

    Source:
        Gowal et al. On the Effectiveness of Interval Bound Propagation for Training Verifiably Robust Models. 2018.
    """
    positive, negative = layer.signed_parts
    lower = matrix.forward(positive, bounds.lower) + matrix.forward(negative, bounds.upper) + layer.bias
    upper = matrix.forward(positive, bounds.upper) + matrix.forward(negative, bounds.lower) + layer.bias
    error = 2.0 * layer.error(bounds.magnitude)  # two sums of n terms each
    error[..., layer.moves] = 0.0  # so that a value >= 0 stays one
    return Bounds(lower - error, upper + error)
