"""LeakyReLU and max pooling written as ReLUs, exactly: every method then reads them as the layers it knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import verifier.matrix as matrix
from verifier.enclosure import Indices
from verifier.errors import NetworkError, UnsupportedLayerError
from verifier.frontends.lowering.affine_steps import one_image, windows
from verifier.frontends.lowering.steps import Step
from verifier.network import Affine


class Stage(NamedTuple):
    """A layer of ReLUs: what is applied before it, what after it, and for max pooling what its values are maxima of.

    Before the layer stand before @ m, m_i the largest of the pooling's cells `groups[i]`, (values, cells of each).
    """

    before: Affine
    after: Affine
    groups: Indices | None = None


def leaky_relu_stages(size: int, slope: float) -> list[Stage]:
    """Write leaky(z) = relu(z) - slope * relu(-z) for `size` values.

    Example:
        >>> ((before, after, _),) = leaky_relu_stages(1, 0.5)
        >>> after.weight @ np.maximum(before.weight @ [-4.0], 0)
        array([-2.])
    """
    identity = matrix.selection(np.arange(size), size)
    before = Affine.made(matrix.stacked([identity, -identity], 0), np.zeros(2 * size))
    return [Stage(before, Affine.made(matrix.stacked([identity, -slope * identity], 1), np.zeros(size)))]


def max_pool_stages(cells: Indices, size: int, positive: bool) -> list[Stage]:
    """Write the largest value of every window as rounds of max(a, b) = a + relu(b - a).

    A round halves the windows. The value a passes a layer of ReLUs as relu(a) - relu(-a), or as relu(a) alone where
    no value is negative. A last layer of ReLUs, which changes nothing, holds the maxima themselves, so that what is
    known of them can be said of its values.

    Args:
        cells: Which of the `size` values each window holds, shape (windows, cells).
        size: Number of values before the pooling.
        positive: Whether all of them are known to be >= 0, as they are after a ReLU.

    Returns:
        The rounds in order, and the last layer.

    Example:
        >>> value = np.array([-3.0, -1.0])
        >>> for before, after, _ in max_pool_stages(np.array([[0, 1]]), 2, positive=False):
        ...     value = after.weight @ np.maximum(before.weight @ value, 0)
        >>> value
        array([-1.])
    """
    stages: list[Stage] = []
    groups: Indices | None = None  # the first round's values are the cells themselves
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
        after_weight = matrix.stacked(after, 1)
        stages.append(
            Stage(
                Affine.made(weight, np.zeros(weight.shape[0])), Affine.made(after_weight, np.zeros(kept.size)), groups
            )
        )
        groups = _merged(np.arange(size)[:, None] if groups is None else groups, first, second, kept, pairs)
        cells, size = kept, kept.size
    identity = matrix.selection(cells[:, 0], size)
    windows = len(cells)
    before_weight = identity if positive else matrix.stacked([identity, -identity], 0)
    back = matrix.selection(np.arange(windows), windows)
    after_weight = back if positive else matrix.stacked([back, -back], 1)
    stages.append(
        Stage(
            Affine.made(before_weight, np.zeros(before_weight.shape[0])),
            Affine.made(after_weight, np.zeros(windows)),
            groups,
        )
    )
    return stages


def _merged(groups: Indices, first: Indices, second: Indices, kept: Indices, pairs: int) -> Indices:
    """The cells that each value after a round is the largest of; a value without a partner has its own ones twice."""
    partner = first.copy()
    partner[kept[:, :pairs].reshape(-1)] = second
    return np.concatenate([groups[first], groups[partner]], axis=1)


def _absolute(step: Step, shape: tuple[int, ...], positive: bool) -> list[Stage]:
    return leaky_relu_stages(int(np.prod(shape)), -1.0)  # |z| = relu(z) + relu(-z)


def _clip(step: Step, shape: tuple[int, ...], positive: bool) -> list[Stage]:
    """Write max(x, low) = low + relu(x - low), then min(x, high) = high - relu(high - x); each keeps its bound."""
    size = int(np.prod(shape))
    identity = matrix.selection(np.arange(size), size)
    stages = []
    for name, sign in (("min", 1.0), ("max", -1.0)):
        if name not in step.arrays:
            continue
        limit = np.broadcast_to(np.asarray(step.arrays[name], dtype=np.float64), shape).reshape(-1).copy()
        if not np.isfinite(limit).all():
            raise NetworkError(f"{step.where}: {name} holds NaN or infinite values; leave the limit out instead")
        stages.append(Stage(Affine.made(sign * identity, -sign * limit), Affine.made(sign * identity, limit)))
    return stages


def _leaky_relu(step: Step, shape: tuple[int, ...], positive: bool) -> list[Stage]:
    return leaky_relu_stages(int(np.prod(shape)), step.options["slope"])


def _max_pool2d(step: Step, shape: tuple[int, ...], positive: bool) -> list[Stage]:
    one_image(step, shape)
    rows, columns, inside = windows(shape, step.options["kernel"], step.options, step.shape)
    cells = np.where(inside, rows * shape[-1] + columns, -1).reshape(step.shape[-2] * step.shape[-1], -1)
    if (cells < 0).all(axis=1).any():
        raise UnsupportedLayerError(f"{step.where}: a window lies wholly in the padding and has no largest value")
    # a cell outside the image never is the largest: the window's first cell inside stands in for it
    first = cells[np.arange(len(cells)), (cells >= 0).argmax(axis=1)][:, None]
    cells = np.where(cells >= 0, cells, first)
    planes = np.arange(shape[-3])[:, None, None] * shape[-2] * shape[-1]
    cells = (planes + cells[None]).reshape(-1, cells.shape[1])
    return max_pool_stages(cells, int(np.prod(shape)), positive)


# what writes a step as layers of ReLUs, given the shape that it takes and whether all values are known to be >= 0
AS_RELUS: dict[str, Callable[[Step, tuple[int, ...], bool], list[Stage]]] = {
    "Abs": _absolute, "Clip": _clip, "LeakyReLU": _leaky_relu, "MaxPool2d": _max_pool2d,
}  # fmt: skip
