"""Splitting the box of inputs: which input, and whether it is worth it.

The more ReLUs are stable in a box, the easier the box is. So the input is split whose two halves have the highest mean
stability ratio, and only where that outweighs one level of depth, by which a search doubles.

Source:
    Botoeva et al. Efficient Verification of ReLU-based Neural Networks via Dependency Analysis. AAAI 2020, section on
    input domain splitting. The score ratio / depth^(1/m) is one that fits what is asked of it there: it falls with the
    depth, more slowly where m is large.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verifier.answer.verdict import Question
from verifier.enclosure import Array, Bounds
from verifier.exact.milp.configuration import Pre, bound_boxes
from verifier.exact.milp.found import SubProblem
from verifier.exact.milp.options import MilpOptions
from verifier.question.box import Box

TRIED_INPUTS = 16  # that are tried at most, the widest as the first layer sees them
FEW_UNSTABLE = 8  # ReLUs up to which a box is not split: at most 2^8 configurations are left to linear programs
SPLIT_INPUTS = 16  # inputs that vary, up to which the box is split where the caller does not say


def stability_ratio(pre: Sequence[Bounds]) -> Array:
    """Stable neurons over all neurons, in each box of a batch: bounds of shape (batch, neurons), a ratio (batch,).

    Example:
        >>> stability_ratio([Bounds([[-1.0, 1.0, -2.0]], [[1.0, 2.0, -1.0]])])
        array([0.66666667])
    """
    unstable = sum(((one.lower < 0) & (one.upper > 0)).sum(axis=-1) for one in pre)
    return np.asarray(1.0 - unstable / max(1, sum(one.lower.shape[-1] for one in pre)))


def score(ratio: float, depth: int, favour: float) -> float:
    """How easy a box is that lies so deep: its stability ratio, discounted by its depth, which counts from 1."""
    return float(ratio / depth ** (1.0 / favour))


def splits_boxes(question: Question, options: MilpOptions) -> bool:
    """Whether the box is split: as asked, or where few inputs vary."""
    if options.splitting is not None:
        return bool(options.splitting)
    return int((question.box.width > 0).sum()) <= SPLIT_INPUTS


def choose_halves(
    question: Question, part: SubProblem, pre: Pre, options: MilpOptions
) -> tuple[SubProblem, SubProblem] | None:
    """Split a part in two where that pays.

    Args:
        question: What is asked; its box is the part's.
        part: The part.
        pre: Bounds on each hidden layer over the part, (neurons,) each.
        options: Its bounding method, and what it favours.

    Returns:
        The halves along the input whose halves have the highest mean stability ratio; None where their mean score does
        not exceed the part's, or hardly a ReLU is unstable.
    """
    lower, upper = question.box.lower, question.box.upper
    middle = lower + 0.5 * (upper - lower)
    axes = np.flatnonzero((lower < middle) & (middle < upper))
    if axes.size > TRIED_INPUTS:
        reach = np.asarray(question.network.layers[0].magnitude.sum(axis=0)).reshape(-1) * question.box.width
        axes = axes[np.argsort(-reach[axes], kind="stable")[:TRIED_INPUTS]]
    unstable = sum(int(((one.lower < 0) & (one.upper > 0)).sum()) for one in pre)
    if axes.size == 0 or unstable <= FEW_UNSTABLE:
        return None
    lows, highs = np.tile(lower, (2 * axes.size, 1)), np.tile(upper, (2 * axes.size, 1))
    for k, axis in enumerate(axes):
        highs[2 * k, axis] = lows[2 * k + 1, axis] = middle[axis]
    rows = question.margins.rows
    found = bound_boxes(question.network, Bounds(lows, highs), rows, pre, options.bounds)
    ratios = stability_ratio(found.pre)
    best = int(ratios.reshape(-1, 2).mean(axis=1).argmax())
    halves = [2 * best, 2 * best + 1]
    here = float(stability_ratio([Bounds(one.lower[None], one.upper[None]) for one in pre])[0])
    if score(float(ratios[halves].mean()), part.depth + 1, options.favour) <= score(here, part.depth, options.favour):
        return None
    margins = question.margins.clause_margins(question.margins.lower(found.rows.lower)).min(axis=1, initial=np.inf)
    first, second = (
        SubProblem(
            Box(lows[i], highs[i]), part.depth + 1, tuple(Bounds(one.lower[i], one.upper[i]) for one in found.pre),
            float(margins[i]),
        )
        for i in halves
    )  # fmt: skip
    return first, second
