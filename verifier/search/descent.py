"""Descent on the largest margin of a clause: candidates where a counterexample is narrow.

A clause of several margins is violated where the largest is negative, and along the ridge where two margins tie, a
step down one is a step up the other. The largest is therefore replaced by a softmax-weighted sum whose temperature
falls from step to step, so that all nearly largest margins fall together.
"""

from __future__ import annotations

import numpy as np

from verifier.enclosure import Array
from verifier.verdict import Question

MOMENTUM = 0.9
FIRST_STEP, LAST_STEP = 0.1, 1e-4  # in widths of the box
FIRST_TEMPERATURE, LAST_TEMPERATURE = 0.1, 1e-3  # in typical margins at the starts
FIRST_TEMPERATURE, LAST_TEMPERATURE = 0.1, 1e-3


def descend(question: Question, starts: Array, steps: int = 200) -> tuple[Array, Array]:
    """Walk from every start towards a violation of every clause.

    Args:
        question: What is asked; its margins must be linear in the logits.
        starts: Points of the box, (points, inputs).
        steps: Steps a start.

    Returns:
        The best point of every walk, (clauses * points, inputs), lowest margin first, and those margins.

    Source:
        Dong et al. Boosting Adversarial Attacks with Momentum. CVPR 2018; the falling temperature is ours.
    """
    network, margins, box = question.subject.network, question.margins, question.box
    rows = np.array([margins.rows[0 if one.row is None else one.row] for one in margins.margins])
    offset = np.array([one.offset for one in margins.margins])
    member = np.zeros((len(margins.clauses), len(offset)), dtype=bool)
    for index, clause in enumerate(margins.clauses):
        member[index, list(clause)] = True
    member = np.repeat(member, len(starts), axis=0)
    x = np.tile(starts, (len(margins.clauses), 1))
    width, velocity = box.width, np.zeros_like(x)
    best, lowest = x.copy(), np.full(len(x), np.inf)
    unit = 0.0
    for step in range(steps + 1):
        pre = network.pre_activations(x)
        values = np.where(member, pre[-1] @ rows.T + offset, -np.inf)
        largest = values.max(axis=1)
        better = largest < lowest
        best[better], lowest[better] = x[better], largest[better]
        if step == steps:
            break
        if step == 0:
            unit = max(float(np.median(np.abs(largest))), 1e-30)
        part = step / max(steps - 1, 1)
        temperature = unit * FIRST_TEMPERATURE * (LAST_TEMPERATURE / FIRST_TEMPERATURE) ** part
        weight = np.exp((values - largest[:, None]) / temperature)
        slope = (weight / weight.sum(axis=1, keepdims=True)) @ rows
        for layer, z in zip(network.layers[:0:-1], pre[-2::-1], strict=True):
            slope = (slope @ layer.weight) * (z > 0)
        velocity = MOMENTUM * velocity + (1.0 - MOMENTUM) * np.sign(slope @ network.layers[0].weight)
        size = FIRST_STEP * (LAST_STEP / FIRST_STEP) ** part
        x = np.clip(x - size * width * velocity, box.lower, box.upper)
    order = np.argsort(lowest, kind="stable")
    return best[order], lowest[order]
