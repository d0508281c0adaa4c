"""One clause of a spec beside an encoded network: how small can the clause's best margin get?

A column "margin" stands above every margin of the clause. The program's smallest value of it is the smallest that the
clause's best margin takes over the box (mixed-integer), or a lower bound on that (linear).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verifier.answer.verdict import Question
from verifier.enclosure import Bounds
from verifier.exact.linear.builder import NONE, Builder, Columns
from verifier.exact.linear.dependencies import Dependency
from verifier.exact.linear.encode_network import NetworkColumns, encode_network
from verifier.solvers.highs_solver import Program


def encode_clause(
    question: Question, clause: tuple[int, ...], pre: Sequence[Bounds], logits: Bounds, *, switches: bool,
    room: float = np.inf, cuts: Sequence[Dependency] = (), balas: bool = False,
) -> Program:  # fmt: skip
    """Write "how small can the best margin of this clause get?".

    Args:
        question: Its margins must be linear in the logits.
        clause: The margins of the clause, by index.
        pre: As for encode_network().
        logits: As for encode_network().
        switches: As for encode_network().
        room: Margins above this are not asked for.
        cuts: Dependencies that become rows on the switches.
        balas: As for encode_network().

    Returns:
        The program, its columns by name: those of encode_network(), and "margin".
    """
    builder = Builder()
    network = encode_network(builder, question.network, question.box, pre, logits, switches=switches, balas=balas)
    add_cuts(builder, network, cuts)
    size = _size(question, clause, logits)
    margin = builder.columns(np.array([-size]), np.array([min(room, size)]), "margin")
    above_margins(builder, question, clause, network.y, margin)
    return builder.program({int(margin[0]): 1.0})


def add_cuts(builder: Builder, network: NetworkColumns, cuts: Sequence[Dependency]) -> None:
    """Write dependencies between neurons that have switches as rows: each cuts off the pair of states that it forbids.

    Written out, "q active fixes r as active" is d_q <= d_r. The rows live here alone, since lab 6 asks for them.
    """
    for one in cuts:
        first, second = (network.switches[layer][neuron] for layer, neuron in (one.first, one.second))
        if first != NONE and second != NONE:
            # of "first in the state `when`" and "second not in the state `then`" at most one holds; d or 1 - d each
            signs = [1.0 if one.when else -1.0, -1.0 if one.then else 1.0]
            builder.row([first, second], signs, -np.inf, 1.0 - (not one.when) - one.then)


def above_margins(
    builder: Builder, question: Question, clause: tuple[int, ...], logits: Columns, column: Columns
) -> None:
    """Keep a column, (1,), above every margin of a clause: column >= rows . logits + offset - error."""
    margins = question.margins
    for number in clause:
        margin = margins.margins[number]
        if margin.row is None:  # nothing can change it: it holds always (the clause is settled) or never
            continue
        low = np.nextafter(margin.offset - margin.offset_error, -np.inf)
        builder.row([*column, *logits], [1.0, *(-margins.rows[margin.row])], low, np.inf)


def _size(question: Question, clause: tuple[int, ...], logits: Bounds) -> float:
    """Bound the clause's margins by the logits' bounds alone, so that t has two ends; no larger than need be, because
    a multiplier's rounding is seen times this."""
    margins = question.margins
    sizes = [
        1.001 * float(np.abs(margins.rows[m.row]) @ logits.magnitude + abs(m.offset) + m.offset_error) + 1.0
        for m in (margins.margins[number] for number in clause)
        if m.row is not None
    ]
    return max(sizes, default=1.0)


def tolerance_gain(question: Question, clause: tuple[int, ...]) -> float:
    """How much larger a tolerance on every row can be at the clause's margins: the weights after it, added up."""
    margins, layers = question.margins, question.network.layers
    used = [margins.margins[number].row for number in clause]
    seen = np.abs(margins.rows[[row for row in used if row is not None]]).max(axis=0, initial=0.0)
    total = 1.0 + seen.sum()
    for layer in layers[:0:-1]:
        seen = seen @ layer.magnitude
        total += 2.0 * seen.sum()  # a row for z and one for h
    return float(total)
