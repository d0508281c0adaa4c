"""LeakyReLU and max pooling written as ReLUs, exactly: every method then reads them as the layers it knows."""

from __future__ import annotations

import numpy as np

import verifier.matrix as matrix
from verifier.enclosure import Indices
from verifier.network import Affine

Stage = tuple[Affine, Affine]  # what is applied before a layer of ReLUs, and after it


def leaky_relu_stages(size: int, slope: float) -> list[Stage]:
    """Write leaky(z) = relu(z) - slope * relu(-z) for `size` values.

    Example:
        >>> ((before, after),) = leaky_relu_stages(1, 0.5)
        >>> after.weight @ np.maximum(before.weight @ [-4.0], 0)
        array([-2.])
    """
    identity = matrix.selection(np.arange(size), size)
    before = Affine(matrix.stacked([identity, -identity], 0), np.zeros(2 * size))
    return [(before, Affine(matrix.stacked([identity, -slope * identity], 1), np.zeros(size)))]


def max_pool_stages(cells: Indices, size: int, positive: bool) -> list[Stage]:
    """Write the largest value of every window as rounds of max(a, b) = a + relu(b - a).

    A round halves the windows. The value a passes a layer of ReLUs as relu(a) - relu(-a), or as relu(a) alone where
    no value is negative.

    Args:
        cells: Which of the `size` values each window holds, shape (windows, cells).
        size: Number of values before the pooling.
        positive: Whether all of them are known to be >= 0, as they are after a ReLU.

    Returns:
        The rounds in order; none where a window holds one cell.

    Example:
        >>> ((before, after),) = max_pool_stages(np.array([[0, 1]]), 2, positive=False)
        >>> after.weight @ np.maximum(before.weight @ [-3.0, -1.0], 0)
        array([-1.])
    """
    stages: list[Stage] = []
    while cells.shape[1] > 1:
        windows, count = cells.shape
        pairs, left = divmod(count, 2)
        first = np.concatenate([cells[:, 0 : 2 * pairs : 2], cells[:, 2 * pairs :]], axis=1).reshape(-1)
        second = cells[:, 1 : 2 * pairs : 2].reshape(-1)
        kept = np.arange(windows * (pairs + left)).reshape(windows, -1)  # position of each value after the round
        values = matrix.selection(first, size)
        smaller = matrix.selection(cells[:, 0 : 2 * pairs : 2].reshape(-1), size)
        gains = matrix.settle(matrix.selection(second, size) - smaller)
        before = [gains, values] if positive else [gains, values, -values]
        gain_of = np.full(kept.size, -1)
        gain_of[kept[:, :pairs].reshape(-1)] = np.arange(second.size)
        after_gain = matrix.selection(gain_of, second.size)
        identity = matrix.selection(np.arange(kept.size), kept.size)
        after = [after_gain, identity] if positive else [after_gain, identity, -identity]
        weight = matrix.stacked(before, 0)
        stages.append(
            (
                Affine(weight, np.zeros(weight.shape[0])),
                Affine(matrix.stacked(after, 1), np.zeros(kept.size)),
            )
        )
        cells, size = kept, kept.size
    return stages
