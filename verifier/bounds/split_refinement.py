"""Hidden bounds by a small search: each bound of a neuron is the worst of several subdomains of its own.

A backward bound of a neuron is loose where many neurons before it are unstable. Splitting the box at these, for each
neuron and side at those that matter to it, tightens its bound until it is exact. In a deep network that is worth far
more than it costs: a bound that is tightened in an early layer tightens all bounds after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from verifier.bounds.alpha_crown import Choice, Subdomains, Target, check, default_choice, optimise
from verifier.bounds.folded_graph import FoldedGraph
from verifier.bounds.relu_branching import choose_neurons
from verifier.bounds.split_bounds import RootBox, Rows
from verifier.enclosure import Array, Indices

LOOK_AHEAD = 4  # neurons whose two halves are tried


@dataclass(eq=False)
class Leaves:
    """The subdomains that the rows' bounds are the worst of."""

    row: Indices
    sign: Array
    value: Array
    choice: Choice


def refine_rows(
    root: RootBox, graph: FoldedGraph, rows: Rows, lower: Array, upper: Array, choice: Choice, value: Array, *,
    splits: int, steps: int, stop: Callable[[], bool] = lambda: False,
) -> Array:  # fmt: skip
    target = Target(*graph.start(rows.weight, rows.offset))
    count = len(value)
    unstable = graph.unstable_count
    leaf_row = np.arange(count)
    sign = np.zeros((count, unstable), dtype=np.int8)
    value = value.copy()
    slope, multiplier = choice.slope, choice.multiplier
    fixed = np.zeros(count, dtype=bool)  # leaves in which nothing is left to split
    for _ in range(splits):
        if stop():
            break
        order = np.lexsort((value, leaf_row))
        first = order[np.r_[True, leaf_row[order][1:] != leaf_row[order][:-1]]]  # each row's worst leaf
        worst = first[(value[first] < 0) & ~fixed[first]]
        if worst.size == 0:
            break
        at = torch.from_numpy(worst)
        rows_at = torch.from_numpy(leaf_row[worst])
        domains = _domains(graph, lower, upper, sign[worst])
        chosen = Choice(slope[at], multiplier[at])
        neurons = choose_neurons(
            graph, target.take(rows_at), domains, chosen, torch.from_numpy(value[worst]).to(graph.dtype), LOOK_AHEAD
        ).numpy()
        fixed[worst[neurons < 0]] = True
        worst, neurons = worst[neurons >= 0], neurons[neurons >= 0]
        if worst.size == 0:
            continue
        n = len(worst)
        at = torch.from_numpy(np.tile(worst, 2))
        child = sign[np.tile(worst, 2)].copy()
        child[np.arange(2 * n), np.tile(neurons, 2)] = np.repeat([1, -1], n)
        child_row = leaf_row[np.tile(worst, 2)]
        domains = _domains(graph, lower, upper, child)
        found, made = optimise(
            graph, target.take(torch.from_numpy(child_row)), domains, Choice(slope[at], multiplier[at]),
            steps=steps, stop=stop,
        )  # fmt: skip
        found = np.maximum(found.numpy().astype(np.float64), np.tile(value[worst], 2))
        keep = np.ones(len(value), dtype=bool)
        keep[worst] = False
        kept = torch.from_numpy(keep)
        leaf_row, sign = np.concatenate([leaf_row[keep], child_row]), np.concatenate([sign[keep], child])
        value, fixed = np.concatenate([value[keep], found]), np.concatenate([fixed[keep], np.zeros(2 * n, dtype=bool)])
        slope, multiplier = torch.cat([slope[kept], made.slope]), torch.cat([multiplier[kept], made.multiplier])
    proved = np.full(count, np.inf)
    for begin in range(0, len(leaf_row), 512):
        part = slice(begin, begin + 512)
        which = leaf_row[part]
        one = Rows(rows.weight[which], rows.offset[which], rows.error[which])
        low, high = np.where(sign[part] > 0, np.maximum(lower, 0), lower), np.where(sign[part] < 0, np.minimum(upper, 0), upper)
        bound = check(root, graph, one, low, high, sign[part], Choice(slope[part], multiplier[part])).lower
        np.minimum.at(proved, which, bound)
    return proved


def _domains(graph: FoldedGraph, lower: Array, upper: Array, sign: Array) -> Subdomains:
    return Subdomains.of(np.where(sign > 0, np.maximum(lower, 0), lower), np.where(sign < 0, np.minimum(upper, 0), upper), sign, graph.dtype)
