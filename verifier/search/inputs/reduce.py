"""What linear bounds say of a whole box: that a clause holds in it, or that it can fail only in a part of it."""

from __future__ import annotations

import numpy as np

from verifier.bounds.layers import Plane
from verifier.enclosure import Array, Bounds, Mask, gamma
from verifier.question.margins import Margins

JOINT_STEPS = 12  # subgradient steps on the multipliers


def margin_planes(margins: Margins, plane: Plane) -> Plane:
    """Turn lower planes of the rows into lower planes of the margins.

    Returns:
        Slope (batch, margins, inputs) and offset (batch, margins). A margin that is not linear in the logits gets
        slope 0 and offset -inf: nothing is known of it.
    """
    batch, _, inputs = plane.slope.shape
    slope = np.zeros((batch, len(margins.margins), inputs))
    offset = np.full((batch, len(margins.margins)), -np.inf)
    for index, margin in enumerate(margins.margins):
        if margin.row is not None and not margin.terms:
            slope[:, index] = plane.slope[:, margin.row]
            total = plane.offset[:, margin.row] + margin.offset
            rounding = gamma(1) * (np.abs(plane.offset[:, margin.row]) + abs(margin.offset))
            offset[:, index] = total - margin.offset_error - rounding
    return Plane(slope, offset)


def mixtures(slope: Array, offset: Array, boxes: Bounds) -> Array:
    """Show that several margins cannot all be <= 0 at one point of a box: some mixture of their planes is positive.

    Any multipliers >= 0 prove it; they are sought by subgradient steps on the dual of the small linear program
    "is there x in the box with every plane <= 0?".

    Args:
        slope: Planes of one clause's margins, (batch, margins, inputs).
        offset: Shape (batch, margins).
        boxes: (batch, inputs).

    Returns:
        Weights of such a mixture, (batch, margins); all 0 where none was found.
    """
    batch, count, inputs = slope.shape
    found = np.zeros((batch, count))
    usable: Mask = np.asarray(np.isfinite(offset).all(axis=1))
    if count < 2 or not usable.any():
        return found
    offset = np.where(usable[:, None], offset, 0.0)
    weight = np.full((batch, count), 1.0 / count)
    magnitude = boxes.magnitude
    scale = np.abs(offset) + (np.abs(slope) @ magnitude[..., None])[..., 0]
    step = 1.0 / np.maximum(scale.max(axis=1, keepdims=True), 1e-30)
    for _ in range(JOINT_STEPS):
        mixed = (weight[:, None, :] @ slope)[:, 0]
        worst = np.where(mixed > 0, boxes.lower, boxes.upper)
        values = (slope @ worst[..., None])[..., 0] + offset
        bound = (weight * values).sum(axis=1)
        rounding = gamma(inputs + count + 4) * 2.0 * (weight * scale).sum(axis=1)
        first: Mask = usable & (bound > rounding) & ~found.any(axis=1)
        found[first] = weight[first]
        weight = weight * np.exp(4.0 * step * (values - values.max(axis=1, keepdims=True)))
        weight = weight / weight.sum(axis=1, keepdims=True)
    return found


def cut_boxes(
    slope: Array, offset: Array, boxes: Bounds, clauses: list[tuple[tuple[int, ...], Mask]]
) -> tuple[Bounds, Mask]:
    """Cut boxes down to where some clause can still fail, by its margins' planes.

    Where a plane a.x + b <= 0 must hold, each input is limited by what is left when all others help most. Rounded
    outward. The result is the hull of what each open clause leaves.

    Args:
        slope: Planes of the margins, (batch, margins, inputs).
        offset: Shape (batch, margins).
        boxes: (batch, inputs).
        clauses: Each clause with a mask (batch,) of the boxes in which it is still open.

    Returns:
        The boxes that are left and a mask (batch,) of those in which nothing is left (their sides mean nothing).
    """
    hull_lower = np.full_like(boxes.lower, np.inf)
    hull_upper = np.full_like(boxes.upper, -np.inf)
    for clause, open_in in clauses:
        lower, upper = boxes.lower, boxes.upper
        for index in clause:
            lower, upper = _cut(slope[:, index], offset[:, index], lower, upper)
        possible = open_in & (lower <= upper).all(axis=1)
        hull_lower = np.where(possible[:, None], np.minimum(hull_lower, lower), hull_lower)
        hull_upper = np.where(possible[:, None], np.maximum(hull_upper, upper), hull_upper)
    empty: Mask = np.asarray((hull_lower > hull_upper).any(axis=1))
    kept = ~empty[:, None]
    return Bounds(np.where(kept, hull_lower, boxes.lower), np.where(kept, hull_upper, boxes.upper)), empty


def _cut(slope: Array, offset: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Limit each input by slope . x + offset <= 0, (batch, inputs); the result may be empty (lower > upper)."""
    known = np.isfinite(offset)
    safe_offset = np.where(known, offset, 0.0)
    smallest = np.where(slope > 0, slope * lower, slope * upper)
    magnitude = np.maximum(np.abs(lower), np.abs(upper))
    rounding = gamma(slope.shape[1] + 4) * ((np.abs(slope) * magnitude).sum(axis=1) + np.abs(safe_offset))
    slack = np.where(known, -(smallest.sum(axis=1) + safe_offset) + 2.0 * rounding, np.inf)[:, None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        reach = np.abs(slack) / np.abs(slope) * (1.0 + 1e-14) * np.where(slack < 0, -1.0, 1.0)
        above = np.nextafter(lower + reach + np.abs(lower) * 1e-15, np.inf)
        below = np.nextafter(upper - reach - np.abs(upper) * 1e-15, -np.inf)
    new_upper = np.where((slope > 0) & np.isfinite(above), np.minimum(upper, above), upper)
    new_lower = np.where((slope < 0) & np.isfinite(below), np.maximum(lower, below), lower)
    return new_lower, new_upper
