"""Distances from below by linear functions and linear programs, and exactly by search or mixed-integer programs.

Over a ball of some radius each class other than the label gets a distance below which it cannot win there. A relaxation
over a smaller ball is tighter, so smaller radii are tried until proof and disproof meet; a class that one radius rules
out needs no program at a smaller one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.verdict import Verdict
from verifier.asking.ball import Ball
from verifier.asking.radius import Enclosure
from verifier.bounds.crown import crown_bounds
from verifier.bounds.layers import BoundingMethod
from verifier.enclosure import Array, Bounds, Mask, down, gamma, up
from verifier.exact.linear.distance import DistancePrograms
from verifier.exact.linear.distance_search import DistanceSearch
from verifier.exact.linear.lp_bounds import lp_bounds
from verifier.exact.linear.triangles import Triangles, nearest_in_ball
from verifier.network import propagate_interval
from verifier.question.box import Box

MAX_ROUNDS = 40  # radii tried
GROWTH = 1.5  # from one radius to the next while each is proved
STRIDE = 2.0  # from one ball of exact programs to the next
RELEVANT = 1e-7  # share of the radius by which a solver's word must go beyond a proof to be taken
DARING = 0.9  # of the gap that is wanted, below the nearest example: how far an exact search looks
TIGHTENED = 200  # unstable neurons up to which mixed-integer programs get bounds by LPs

Certify = Callable[[float, Array], tuple[Array, list[Array]]]
"""From a radius and what is known of each class to distances that hold, and candidates that were met."""


@dataclass(frozen=True, eq=False)
class _Over:
    """What is known over one ball: the box around it, bounds over it, and which classes cannot win there."""

    box: Box
    pre: tuple[Bounds, ...]
    logits: Bounds
    beaten: Mask


def enclose_by(enclosure: Enclosure, certify: Certify, stage: str) -> None:
    """Try radii with a certificate until what is proved and what is not meet, or nothing is left to spend."""
    known = np.zeros(enclosure.subject.network.outputs)  # a distance below which each class cannot win
    known[enclosure.label] = np.inf
    top = enclosure.ball.radius
    size, failed = min(top, GROWTH * enclosure.lower) or top, False  # a little beyond what is proved already
    for _ in range(MAX_ROUNDS):
        started = time.perf_counter()
        found, candidates = certify(size, known)
        known = np.maximum(known, found)
        least = float(known.min())
        proved = least > size
        enclosure.proved(
            size if proved else float(down(np.array(least))), "rounded",
            whole=proved and size >= enclosure.ball.radius,
        )  # fmt: skip
        if candidates:
            enclosure.nearest.offer(np.stack(candidates))
        if not proved:
            top, failed = min(top, size), True
        if enclosure.upper <= top:
            top, failed = enclosure.upper, True
        verdict = Verdict.VERIFIED if proved else Verdict.FALSIFIED if enclosure.upper <= size else Verdict.UNKNOWN
        enclosure.note(size, verdict, stage, time.perf_counter() - started)
        if enclosure.verified or top - enclosure.lower <= enclosure.wanted or enclosure.budget.time_is_up():
            return
        size = 0.5 * (enclosure.lower + top) if failed else min(top, GROWTH * size)


def by_planes(enclosure: Enclosure, bound: BoundingMethod) -> Certify:
    """Certificates from linear functions below the margins, whose least value over a ball of any norm is known.

    slope . x + offset is at least its value at the centre less the distance times the slope's dual norm.
    """
    network, ball = enclosure.subject.network, enclosure.ball

    def certify(size: float, known: Array) -> tuple[Array, list[Array]]:
        found = np.zeros(known.size)
        others = np.flatnonzero(known <= size)
        box = ball.of_radius(size).enclosing_box()
        rows = np.eye(known.size)[enclosure.label] - np.eye(known.size)[others]
        bounds = bound(network, Bounds(box.lower[None], box.upper[None]), rows)
        found[others] = np.where(bounds.rows.lower[0] > 0, up(np.array(size)), 0.0)
        if bounds.plane is not None:
            slope, offset = bounds.plane.slope[0], bounds.plane.offset[0]
            reach = np.abs(slope) @ np.abs(ball.centre) + np.abs(offset)
            at_centre = slope @ ball.centre + offset - gamma(slope.shape[1] + 2) * reach
            dual = {"inf": np.abs(slope).sum(axis=1), "1": np.abs(slope).max(axis=1)}.get(ball.norm)
            dual = np.sqrt((slope**2).sum(axis=1)) if dual is None else dual
            dual = dual * (1.0 + gamma(slope.shape[1] + 4)) + 1e-300
            # beyond the ball the linear function says nothing
            distance = np.minimum(down(np.maximum(at_centre, 0.0) / dual), up(np.array(size)))
            found[others] = np.maximum(found[others], np.maximum(distance, 0.0))
        return found, []

    return certify


def by_lp(enclosure: Enclosure, seconds: Callable[[], float]) -> Certify:
    """Certificates from linear programs over triangles; their points are candidates."""

    def certify(size: float, known: Array) -> tuple[Array, list[Array]]:
        over = _look_at(enclosure, size)
        found = np.where(over.beaten, up(np.array(size)), 0.0)
        candidates = []
        open_classes = np.flatnonzero(~over.beaten & (known <= size))
        ask = _nearness(enclosure, over, size, seconds) if open_classes.size else None
        for other in open_classes:
            if ask is None or seconds() <= 0:
                break
            distance, candidate = ask(int(other))
            # a program speaks of the ball alone: beyond it a class may be nearer than its distance says
            found[other] = min(distance, float(up(np.array(size))))
            candidates += [] if candidate is None else [candidate]
        return found, candidates

    return certify


def _nearness(
    enclosure: Enclosure, over: _Over, size: float, seconds: Callable[[], float]
) -> Callable[[int], tuple[float, Array | None]]:
    """Who tells of a class a distance below which it cannot win in a ball, infinite if nowhere there, and a candidate.

    In the largest norm the ball is a box, and so bounds on the inputs alone: the program asks for the least margin. In
    the summed norm it asks for the distance.
    """
    network, ball, label = enclosure.subject.network, enclosure.ball, enclosure.label
    if ball.norm != "inf":
        programs = _programs(enclosure, over, exact=False)

        def nearest(other: int) -> tuple[float, Array | None]:
            one = programs.nearest(other, seconds())
            return one.distance, one.candidate

        return nearest

    sides = partial(_sides, ball)
    triangles, logits = Triangles(network, sides(size), over.pre), np.eye(network.outputs)

    def least(other: int) -> tuple[float, Array | None]:
        row = logits[label] - logits[other]
        distance, points = nearest_in_ball(triangles, row, ball.centre, sides, size, seconds)
        return distance, points[-1] if points and np.isfinite(distance) else None

    return least


def exactly(enclosure: Enclosure, seconds: Callable[[], float], max_nodes: int | None = None) -> None:
    """Ask mixed-integer programs for the nearest input of each class that may still win in norm 1, nearest class first.

    What they say of the distance counts up to HiGHS's tolerance. The ball grows from what is proved already, since
    bounds over a small one are tight, until it holds the nearest example or is the whole one.
    """
    size = min(enclosure.nearest.reach, STRIDE * enclosure.lower or np.inf)
    for _ in range(MAX_ROUNDS):
        started = time.perf_counter()
        known, by_solver = _exact_round(enclosure, size, seconds, max_nodes)
        least = float(known.min())
        ruled_out = least > size
        whole = ruled_out and size >= enclosure.ball.radius
        proved = size if ruled_out else float(down(np.array(least)))
        enclosure.proved(proved, "solver tolerance" if by_solver else "rounded", whole=whole)
        verdict = Verdict.VERIFIED if ruled_out else Verdict.FALSIFIED if enclosure.upper <= size else Verdict.UNKNOWN
        enclosure.note(size, verdict, "milp", time.perf_counter() - started)
        if not ruled_out or size >= enclosure.nearest.reach or seconds() <= 0:
            return
        size = min(enclosure.nearest.reach, STRIDE * size)


def by_search(enclosure: Enclosure, budget: Budget, gap: float) -> bool:
    """Find the distance in the largest norm by branch and bound on ReLUs; whether the search came to its end.

    It looks a little less far than the nearest example, by nine tenths of the gap that may be left.
    """
    ball, nearest, started = enclosure.ball, enclosure.nearest, time.perf_counter()

    def reach() -> float:
        return min(ball.radius, nearest.distance - DARING * gap)

    if reach() <= 0:
        return True
    search = DistanceSearch(
        enclosure.subject.network, enclosure.label, ball.centre, partial(_sides, ball), reach, nearest.offer
    )
    try:
        search.run(budget)
    finally:  # after an interrupt, too
        enclosure.proved(search.proved, "rounded", whole=search.proved >= ball.radius)
        verdict = Verdict.VERIFIED if search.proved >= search.radius else Verdict.UNKNOWN
        enclosure.note(search.radius, verdict, "distance search", time.perf_counter() - started)
    return search.finished


def robust_at_once(enclosure: Enclosure) -> bool:
    """Whether CROWN proves the whole radius, in the largest norm."""
    started, radius = time.perf_counter(), enclosure.ball.radius
    if not _look_at(enclosure, radius).beaten.all():
        return False
    enclosure.proved(radius, "rounded", whole=True)
    enclosure.note(radius, Verdict.VERIFIED, "crown", time.perf_counter() - started)
    return True


def _sides(ball: Ball, radius: float) -> Bounds:
    return Bounds(*ball.limits(radius))


def _exact_round(
    enclosure: Enclosure, size: float, seconds: Callable[[], float], max_nodes: int | None
) -> tuple[Array, bool]:
    """Distances of all classes within one ball, and whether any of them rests on the solver's word."""
    known = np.zeros(enclosure.subject.network.outputs)
    known[enclosure.label] = np.inf
    found, candidates = by_lp(enclosure, seconds)(size, known)
    known = np.maximum(known, found)
    if candidates:
        enclosure.nearest.offer(np.stack(candidates))
    by_solver = False
    for other in np.argsort(known, kind="stable"):
        reach = min(size, enclosure.nearest.reach)  # each example makes the box for the next class smaller
        if known[other] > reach:
            continue
        if seconds() <= 0:
            break
        over = _look_at(enclosure, reach, tight=True)
        if over.beaten[other]:
            known[other] = up(np.array(reach))
            continue
        one = _programs(enclosure, over, exact=True).nearest(int(other), seconds(), max_nodes)
        distance = min(one.distance, float(up(np.array(reach))))
        if distance > known[other] + RELEVANT * reach:
            by_solver, known[other] = True, distance
        if one.candidate is not None:
            enclosure.nearest.offer(one.candidate)
    return known, by_solver


def _look_at(enclosure: Enclosure, size: float, tight: bool = False) -> _Over:
    """Bound the network over a ball; `tight` by linear programs where neurons are few."""
    network, label = enclosure.subject.network, enclosure.label
    box = enclosure.ball.of_radius(size).enclosing_box()
    boxes = Bounds(box.lower[None], box.upper[None])
    rows = np.eye(network.outputs)[label] - np.eye(network.outputs)
    stop = enclosure.budget.time_is_up
    found = crown_bounds(network, boxes, rows, stop=stop, influence=False)
    unstable = sum(int(((one.lower < 0) & (one.upper > 0)).sum()) for one in found.pre[1:])
    if tight and 0 < unstable <= TIGHTENED:
        found = lp_bounds(
            network, boxes, rows[:0], found.pre, stop=stop, seconds_left=lambda: enclosure.budget.seconds_left
        )
        found = crown_bounds(network, boxes, rows, found.pre, stop=stop, influence=False)
    beaten = found.rows.lower[0] > 0
    beaten[label] = True
    pre = tuple(Bounds(one.lower[0], one.upper[0]) for one in found.pre)
    last = Bounds(box.lower, box.upper)
    if pre:
        last = Bounds(np.maximum(pre[-1].lower, 0.0), np.maximum(pre[-1].upper, 0.0))
    return _Over(box, pre, propagate_interval(network.layers[-1], last), beaten)


def _programs(enclosure: Enclosure, over: _Over, *, exact: bool) -> DistancePrograms:
    ball = enclosure.ball
    return DistancePrograms(
        enclosure.subject.network, ball.centre, over.box, over.pre, over.logits, enclosure.label, exact=exact
    )
