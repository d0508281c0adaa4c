"""Subdomains in which every neuron's sign is fixed: there the network is linear, and a linear program settles the rest.

Asked is not how small the margin gets but whether a point exists at all: the smallest s such that some x of the box has
sign_j z_j(x) >= -s for every hidden neuron and every margin of the clause <= s, z being linear in x once ReLU is
replaced by what the signs say. A point that has these signs and violates the clause would have s <= 0, so s > 0 shows
that there is none. The program always has a solution, so its multipliers always prove something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from verifier.answer.outcome import Outcome
from verifier.answer.verdict import Question
from verifier.enclosure import Array
from verifier.exact.linear.builder import Builder
from verifier.exact.linear.check import safe_lower_bound
from verifier.exact.linear.encode_margin import above_margins
from verifier.solvers.highs_solver import Program, solve


def leaf_check(question: Question, clause: tuple[int, ...], signs: Sequence[Array], timeout_s: float) -> Outcome:
    """Decide whether a point of the box with these signs violates a clause.

    HiGHS only proposes: what settles is its multipliers' bound, recomputed and rounded down; a point is a candidate.

    Args:
        question: Its margins must be linear in the logits.
        clause: The margins of the clause, by index.
        signs: For each hidden layer +1 where z >= 0 and -1 where z <= 0, (neurons,) each.
        timeout_s: Time limit of the solver.

    Returns:
        VERIFIED where no such point exists; otherwise UNKNOWN, with the point of the program's solution as candidate.

    Source:
        Neumaier, Shcherbina. Safe bounds in linear and mixed-integer linear programming. Math. Program. 2004.
    """
    program, x = leaf_program(question, clause, signs)
    answer = solve(program, timeout_s=timeout_s)
    if answer.duals is not None and safe_lower_bound(program, answer.duals) > 0:
        return replace(Outcome.proved(), multipliers=answer.duals)
    return Outcome.left_open(None, candidate=None if answer.point is None else answer.point[x])


def leaf_program(
    question: Question, clause: tuple[int, ...], signs: Sequence[Array]
) -> tuple[Program, NDArray[np.int32]]:
    """Write the linear program of leaf_check(), and which of its columns are the inputs."""
    network, box, margins = question.network, question.box, question.margins
    builder = Builder()
    x = h = builder.columns(box.lower, box.upper, "x")
    reach = np.maximum(np.abs(box.lower), np.abs(box.upper))
    layers = []
    for index, layer in enumerate(network.layers):
        # what z can be at most wherever it is linear like this, so that no column's limit is ever met
        size = 1.001 * (reach @ layer.magnitude.T + np.abs(layer.bias) + layer.error(reach)) + 1e-300
        z = builder.columns(-size, size)
        builder.affine_rows(layer, h, z, reach)
        if index == len(signs):
            break
        layers.append((z, signs[index], size))
        # an active neuron's output is its z; an inactive one's is 0
        active = signs[index] > 0
        h = builder.columns(np.where(active, -size, 0.0), np.where(active, size, 0.0))
        for j in np.flatnonzero(active):
            builder.row([h[j], z[j]], [1.0, -1.0], 0.0, 0.0)
        reach = np.where(active, size, 0.0)
    chosen = [margins.margins[number] for number in clause]
    largest = [float(np.abs(margins.rows[m.row]) @ size + abs(m.offset)) for m in chosen if m.row is not None]
    most = 1.001 * max([1e-300, *largest, *(float(one.max(initial=0.0)) for _, _, one in layers)])
    s = builder.columns(np.array([-most]), np.array([most]))
    for z_layer, sign, _ in layers:
        for z_j, sign_j in zip(z_layer, sign, strict=True):
            builder.row([z_j, *s], [float(sign_j), 1.0], 0.0, np.inf)
    above_margins(builder, question, clause, z, s)
    return builder.program({int(s[0]): 1.0}), x
