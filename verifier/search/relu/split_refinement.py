"""Bounds on rows by a small search of their own: each bound is the worst of several subdomains.

A backward bound of a neuron is loose where many neurons before it are unstable. Splitting the box at these, for each
row at those that matter to it, tightens its bound until it is exact. In a deep network that is worth far more than it
costs: what is gained in an early layer makes every later layer's relaxation smaller.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from verifier.enclosure import Array, Indices
from verifier.search.relu.alpha_crown import Choice, Subdomains, Target, check, optimise
from verifier.search.relu.branching import choose_neurons
from verifier.search.relu.folded_graph import FoldedGraph
from verifier.search.relu.split_bounds import RootBox, Rows

LOOK_AHEAD = 4  # neurons whose two halves are tried
STEPS = 10  # Adam steps a subdomain
CHECKED = 512  # subdomains recomputed in float64 at once


def refine_rows(
    root: RootBox, graph: FoldedGraph, rows: Rows, pair: Indices, lower: Array, upper: Array, choice: Choice,
    value: Array, *, splits: int, stop: Callable[[], bool] = lambda: False,
) -> tuple[Array, float]:  # fmt: skip
    """Bound rows below by splitting, for each row, its worst subdomain again and again.

    A row whose bound has reached 0 is left alone, and so is the row that it is paired with: of a neuron shown to be
    stable no more need be known.

    Args:
        root: The box, every layer before the rows' passed.
        graph: The layers before the rows', folded.
        rows: What is bounded.
        pair: For each row another one, or itself, (rows,).
        lower: Bounds on the graph's unstable neurons over the box, (unstable,).
        upper: Likewise.
        choice: Slopes that give each row's bound over the whole box.
        value: That bound in the search's arithmetic, (rows,).
        splits: Splits a row.
        stop: Asked at every step whether time is up; then nothing is proved.

    Returns:
        Lower bounds that hold over the box, (rows,), -inf where nothing was proved; and multiplications spent.
    """
    target = Target(*graph.start(rows.weight, rows.offset))
    count, unstable = len(value), graph.unstable_count
    leaves = np.ones(count, dtype=np.intp)
    sign = np.zeros((count, splits + 1, unstable), dtype=np.int8)  # turned into float64 for a few rows at a time
    values = np.full((count, splits + 1), np.inf)
    values[:, 0] = value
    slope = torch.zeros((count, splits + 1, unstable), dtype=torch.float16)
    multiplier = torch.zeros((count, splits + 1, unstable), dtype=graph.dtype)
    slope[:, 0], multiplier[:, 0] = choice.slope.to(torch.float16), choice.multiplier
    fixed = np.zeros(count, dtype=bool)  # rows whose worst subdomain has nothing left to split
    work = 0.0
    for _ in range(splits):
        worst = values.argmin(axis=1)
        done = (values[np.arange(count), worst] >= 0) | fixed
        row = np.flatnonzero(~(done | done[pair]))
        if row.size == 0 or stop():
            break
        leaf = worst[row]
        parent = Choice(slope[row, leaf].to(graph.dtype), multiplier[row, leaf])
        domains = _domains(graph, lower, upper, sign[row, leaf].astype(np.float64))
        before = values[row, leaf]
        part = target.take(torch.from_numpy(row))
        bound = torch.from_numpy(before).to(graph.dtype)
        neurons = choose_neurons(graph, part, domains, parent, bound, LOOK_AHEAD).numpy()
        fixed[row[neurons < 0]] = True
        can = np.flatnonzero(neurons >= 0)
        row, leaf, neurons, before = row[can], leaf[can], neurons[can], before[can]
        half = np.tile(np.arange(row.size), 2)
        child = sign[row, leaf][half].astype(np.float64)
        child[np.arange(2 * row.size), neurons[half]] = np.repeat([1, -1], row.size)
        chosen = torch.from_numpy(can[half])
        found, made = optimise(
            graph, part.take(chosen), _domains(graph, lower, upper, child),
            Choice(parent.slope[chosen], parent.multiplier[chosen]), steps=STEPS, stop=stop,
        )  # fmt: skip
        work += row.size * split_cost(graph)
        place = np.concatenate([leaf, leaves[row]])
        both = row[half]
        sign[both, place] = child
        values[both, place] = np.maximum(found.numpy(), before[half])
        slope[both, place], multiplier[both, place] = made.slope.to(torch.float16), made.multiplier
        leaves[row] += 1
    row, leaf = np.nonzero(np.arange(splits + 1) < leaves[:, None])
    proved = np.full(count, np.inf)
    for first in range(0, row.size, CHECKED):
        if stop():
            return np.full(count, -np.inf), work
        r, at = row[first : first + CHECKED], leaf[first : first + CHECKED]
        signs = sign[r, at].astype(np.float64)
        low, high = _inside(lower, upper, signs)
        some = Rows(rows.weight[r], rows.offset[r], rows.error[r])
        chosen_there = Choice(slope[r, at].to(graph.dtype), multiplier[r, at])
        np.minimum.at(proved, r, check(root, graph, some, low, high, signs, chosen_there).lower)
    return proved, work


def split_cost(graph: FoldedGraph) -> float:
    """Multiplications of one split: passes back and forth for both halves, and the look-ahead."""
    return (4.0 * STEPS + 2.0 * LOOK_AHEAD) * graph.cost


def _inside(lower: Array, upper: Array, sign: Array) -> tuple[Array, Array]:
    """Bounds in subdomains with these signs, (subdomains, unstable)."""
    return np.where(sign > 0, np.maximum(lower, 0.0), lower), np.where(sign < 0, np.minimum(upper, 0.0), upper)


def _domains(graph: FoldedGraph, lower: Array, upper: Array, sign: Array) -> Subdomains:
    return Subdomains.of(*_inside(lower, upper, sign), sign, graph.dtype)
