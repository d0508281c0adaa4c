"""The search behind few_weights.py in machine code: can so many weights of -1 and 1 put every sum above 0?

A row is a pair of one example of class 1 and one of class 0, and every row's sum must reach 1. A choice is a weight:
choice c below the number of inputs is the weight 1 of input c, choice c + inputs is its weight -1. gains[row, choice]
is what it adds.

Each node takes one row that still needs something, and branches on the choice that adds most to it: the first branch
takes the best choice, the second forbids that and takes the next, and so on, as long as the choices that are left can
add enough. All numbers are whole, so nothing is rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifier.enclosure import Array, Indices
from verifier.search.compiled.jit import compiled, compiled_entry

Whole32 = NDArray[np.int32]
Mask = NDArray[np.bool_]
REACHED, HOPELESS = -1, -2  # in place of a row
NOTHING, FOUND, MORE = 0, 1, 2  # how a call of search() ends
TIGHT = 0.8  # rows less tight than this share of the tightest are not looked at
LEVEL, FRESH, NODES = 0, 1, 2  # places in `at`


@compiled
def last_choice(sums: Whole32, gains: Whole32, by_choice: Whole32, ranked: Whole32, banned: Mask, turn: Indices) -> int:
    """The choice that alone puts every sum above 0; REACHED where none is needed, HOPELESS where none does."""
    lowest = 0
    for row in range(len(sums)):
        if sums[row] < sums[lowest]:
            lowest = row
    need = 1 - sums[lowest]
    if need <= 0:
        return REACHED
    for place in range(ranked.shape[1]):
        choice = ranked[lowest, place]
        if gains[lowest, choice] < need:
            return HOPELESS
        if banned[choice]:
            continue
        added, fits = by_choice[choice], True
        for place_of in range(len(turn)):
            row = turn[place_of]
            if sums[row] + added[row] < 1:
                fits = False
                _sooner(turn, place_of)
                break
        if fits:
            return int(choice)
    return HOPELESS


@compiled
def choose_row(
    sums: Whole32, gains: Whole32, ranked: Whole32, banned: Mask, left: int, reach: Whole32, tightness: Array
) -> int:
    """The row with the fewest branches among the tightest; REACHED where all are, HOPELESS where one cannot be.

    A row is tight when it needs much of what the best `left` choices of all would add to it, which is its reach.
    """
    best, tightest = REACHED, 0.0
    for row in range(len(sums)):
        need = 1 - sums[row]
        tightness[row] = 0.0
        if need > reach[row]:
            return HOPELESS
        if need > 0:
            tightness[row] = need / reach[row]
            if tightness[row] > tightest:
                best, tightest = row, tightness[row]
    fewest = ranked.shape[1] + 1
    for row in range(len(sums)):
        if best == REACHED or tightness[row] < TIGHT * tightest:
            continue
        need, seen, added, branches = 1 - sums[row], 0, 0, 0
        for place in range(ranked.shape[1]):
            choice = ranked[row, place]
            gain = gains[row, choice]
            if gain <= 0 or (seen >= left and (added < need or gain * left < need or branches >= fewest)):
                break
            if banned[choice]:
                continue
            seen += 1
            added += gain if seen <= left else 0
            branches += 1
        if added < need:
            return HOPELESS
        if branches < fewest:
            best, fewest = row, branches
    return best


@compiled
def can_follow(sums: Whole32, gain: Whole32, reach: Whole32, turn: Indices) -> bool:
    """Whether the best choices of all, as many as are left after this one, could still put every sum above 0."""
    for place in range(len(turn)):
        row = turn[place]
        if sums[row] + gain[row] + reach[row] < 1:
            _sooner(turn, place)
            return False
    return True


@compiled
def _sooner(turn: Indices, place: int) -> None:
    """Look at a row sooner next time: what closed one branch often closes the next."""
    turn[place], turn[place // 2] = turn[place // 2], turn[place]


@compiled_entry
def search(
    gains: Whole32, by_choice: Whole32, ranked: Whole32, reach: Whole32, most_nodes: int, sums: Whole32, banned: Mask,
    rows: Indices, places: Indices, open_choices: Whole32, counts: Indices, turns: Indices, tightness: Array,
    chosen: Indices, at: Indices,
) -> int:  # fmt: skip
    """Go on for about so many nodes with a search whose state the arrays hold; see new_state()."""
    inputs, most = gains.shape[1] // 2, len(chosen)
    limit = at[NODES] + most_nodes
    while at[LEVEL] >= 0:
        level = at[LEVEL]
        left = most - level
        if at[FRESH]:
            if at[NODES] >= limit:
                return MORE
            at[NODES] += 1
            at[FRESH] = 0
            chosen[level:] = -1
            if left == 1:
                last = last_choice(sums[level], gains, by_choice, ranked, banned[level], turns[level])
                if last != HOPELESS:
                    chosen[level] = last
                    return FOUND
                at[LEVEL] -= 1
                continue
            row = choose_row(sums[level], gains, ranked, banned[level], left, reach[left], tightness)
            if row == REACHED:
                return FOUND
            if row == HOPELESS:
                at[LEVEL] -= 1
                continue
            rows[level], places[level], counts[level] = row, 0, 0
            for place in range(ranked.shape[1]):
                choice = ranked[row, place]
                if gains[row, choice] <= 0:
                    break
                if not banned[level, choice]:
                    open_choices[level, counts[level]] = choice
                    counts[level] += 1
        row, place, added = rows[level], places[level], 0
        for other in range(place, min(place + left, counts[level])):
            added += gains[row, open_choices[level, other]]
        if sums[level, row] + added < 1:
            at[LEVEL] -= 1
            continue
        choice = open_choices[level, place]
        places[level] += 1
        chosen[level] = choice
        before, after, gain = sums[level], sums[level + 1], by_choice[choice]
        for other in range(len(gain)):
            after[other] = before[other] + gain[other]
        banned[level, choice] = True
        if not can_follow(sums[level], by_choice[choice], reach[left - 1], turns[most]):
            continue
        banned[level + 1] = banned[level]
        banned[level + 1, (choice + inputs) % (2 * inputs)] = True
        at[LEVEL], at[FRESH] = level + 1, 1
    return NOTHING


def reach_of(gains: Whole32, ranked: Whole32, most: int) -> Whole32:
    """What the best 0, 1, ..., `most` choices of all add to each row, (most + 1, rows)."""
    best = np.take_along_axis(gains, ranked[:, :most], axis=1).cumsum(axis=1, dtype=np.int32)
    return np.ascontiguousarray(np.vstack([np.zeros((1, len(gains)), np.int32), best.T]))


def new_state(rows: int, choices: int, most: int) -> tuple[Any, ...]:
    """The state before the first node, in the order that search() takes after `most_nodes`."""
    return (
        np.zeros((most, rows), np.int32),  # sums
        np.zeros((most, choices), np.bool_),  # banned
        np.zeros(most, np.int64),  # rows: the one that each level branches on
        np.zeros(most, np.int64),  # places: its next branch
        np.zeros((most, choices), np.int32),  # open_choices: its branches
        np.zeros(most, np.int64),  # counts: how many
        np.tile(
            np.arange(rows), (most + 1, 1)
        ),  # turns: the order in which rows are looked at, the last for can_follow()
        np.zeros(rows),  # tightness
        np.full(most, -1, np.int64),  # chosen; -1 for none
        np.array([0, 1, 0], np.int64),  # at
    )
