"""LeakyReLU and max pooling written as ReLUs, exactly: every method then reads them as the layers it knows."""

from __future__ import annotations

import numpy as np

from verifier.enclosure import Array, Indices
from verifier.network import Affine

Stage = tuple[Affine, Affine]  # what is applied before a layer of ReLUs, and after it


def leaky_relu_stages(size: int, slope: float) -> list[Stage]:
    """Write leaky(z) = relu(z) - slope * relu(-z) for `size` values.

    Example:
        >>> ((before, after),) = leaky_relu_stages(1, 0.5)
        >>> after.weight @ np.maximum(before.weight @ [-4.0], 0)
        array([-2.])
    """
    identity = np.eye(size)
    before = Affine(np.concatenate([identity, -identity]), np.zeros(2 * size))
    return [(before, Affine(np.concatenate([identity, -slope * identity], axis=1), np.zeros(size)))]


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
        values = _rows(first, size)
        gains = _rows(second, size) - _rows(cells[:, 0 : 2 * pairs : 2].reshape(-1), size)
        before = [gains, values] if positive else [gains, values, -values]
        gain_of = _rows(np.arange(second.size), second.size)
        after_gain = np.zeros((kept.size, second.size))
        after_gain[kept[:, :pairs].reshape(-1)] = gain_of
        identity = np.eye(kept.size)
        after = [after_gain, identity] if positive else [after_gain, identity, -identity]
        weight = np.concatenate(before)
        stages.append(
            (
                Affine(weight, np.zeros(weight.shape[0])),
                Affine(np.concatenate(after, axis=1), np.zeros(kept.size)),
            )
        )
        cells, size = kept, kept.size
    return stages


def _rows(index: Indices, size: int) -> Array:
    """Rows that pick the values `index` of `size`."""
    rows = np.zeros((index.size, size))
    rows[np.arange(index.size), index] = 1.0
    return rows
