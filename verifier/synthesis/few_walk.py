"""Simulated annealing in machine code: a fixed number of weights of -1 and 1 that puts every sum above 0."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from verifier.enclosure import Array, Indices
from verifier.search.compiled.jit import compiled_entry

FLIPS = 0.1  # the share of steps that turn a weight round; the others move it to another input


@compiled_entry
def walk(added: NDArray[np.int32], weights: Indices, draws: Array, warmest: float, coldest: float) -> int:
    """Change `weights` step by step; returns the lowest sum, at least 1 where the walk has arrived.

    Args:
        added: What the weight 1 of each input adds to each row, (inputs, rows).
        weights: -1, 0 and 1, (inputs,), where the walk begins; where it ended afterwards.
        draws: Uniform numbers from 0 to 1, (steps, 4).
        warmest: The temperature of the first step, in units of a sum.
        coldest: Of the last.
    """
    inputs, rows = added.shape
    steps = len(draws)
    order = np.concatenate((np.flatnonzero(weights != 0), np.flatnonzero(weights == 0)))
    used = int(np.count_nonzero(weights))
    sums = np.zeros(rows, np.int32)
    for place in range(inputs):
        sums += np.int32(weights[place]) * added[place]
    lowest: int = int(sums.min())
    for step in range(steps):
        if lowest >= 1:
            break
        left = int(draws[step, 0] * used)
        one, other, right = int(order[left]), int(order[left]), left
        sign = 1 if draws[step, 2] < 0.5 else -1
        if draws[step, 1] < FLIPS or used == inputs:
            sign = int(-weights[one])
        else:
            right = used + int((draws[step, 1] - FLIPS) / (1 - FLIPS) * (inputs - used))
            other = int(order[right])
        tried = sums - np.int32(weights[one]) * added[one] + np.int32(sign) * added[other]
        low = int(tried.min())
        heat = warmest * (coldest / warmest) ** (step / steps)
        if low >= lowest or draws[step, 3] < math.exp((low - lowest) / heat):
            weights[one] = 0
            weights[other] = sign
            order[left], order[right] = other, one
            sums = tried
            lowest = low
    return int(lowest)
