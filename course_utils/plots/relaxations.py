"""The pictures of lab 5: classes around a point, a relaxed ReLU, distances from both sides, the ladder of bounds.

Colours and style are those of `course_utils.plots`. Each function also prints in one line what its picture shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon

from course_utils.plots.style import COLOURS, draw_legend, in_course_style, in_words
from course_utils.relaxations import Rung, labels_on_grid

NAMES = {"ibp": "interval", "crown": "CROWN", "crown_optimized": "CROWN, optimised", "lp": "LP", "sdp": "SDP",
         "exact": "exact", "milp": "MILP", "auto": "auto", "attack": "attack"}  # fmt: skip
BALLS = {"inf": [(-1, -1), (1, -1), (1, 1), (-1, 1)], "1": [(0, -1), (1, 0), (0, 1), (-1, 0)]}


@in_course_style
def draw_regions(
    classify: Callable[[list[float]], int], x0: Sequence[float], radius: float, found: Any, norm: str = "inf"
) -> Axes:
    """Draw which class each point of the plane has, a ball around x0, and the nearest example that was found."""
    ax = plt.subplots(figsize=(6.4, 5.0))[1]
    axes, labels = labels_on_grid(classify, x0, 1.25 * radius)
    for label, colour in ((0, "inside"), (1, "outside")):
        share = float((labels == label).mean())
        ax.contourf(*axes, labels == label, levels=[0.5, 1.5], colors=[COLOURS[colour]], alpha=0.35)
        ax.plot(
            [], [], color=COLOURS[colour], linewidth=8, alpha=0.5, label=f"class {label}: {share:.0%} of the picture"
        )
    for size, style, name in ((radius, "-", "the ball"), (found.lower, "--", "proved")):
        corners = np.array(x0) + size * np.array(BALLS[norm])
        colour = COLOURS["spec" if name == "the ball" else "verified"]
        ax.add_patch(Polygon(corners, fill=False, edgecolor=colour, linestyle=style, linewidth=1.8, label=name))
    ax.plot(*x0, marker="o", linestyle="", color=COLOURS["truth"], label="x0")
    if found.counterexample is not None:
        ax.plot(*found.counterexample, marker="X", markersize=10, linestyle="", color=COLOURS["counterexample"],
                label="nearest example")  # fmt: skip
    ax.set(xlabel="input x1 (no unit)", ylabel="input x2 (no unit)", aspect="equal")
    draw_legend(ax)
    words = f"Proved up to {found.lower:.5f}; an example at distance {found.upper:.5f}."
    in_words(ax, f"Two classes on either side of a line, and a ball of radius {radius:g} around x0. {words}")
    print(words)
    return ax


@in_course_style
def draw_triangle(rows: Sequence[Sequence[float]], lower: float, upper: float) -> Axes:
    """Draw ReLU on [lower, upper] and all (z, h) that rows (a, b, c) allow: a z + b h <= c."""
    ax = plt.subplots(figsize=(6.4, 3.8))[1]
    z, h = np.meshgrid(np.linspace(lower, upper, 301), np.linspace(-0.3 * upper, 1.3 * upper, 301))
    slack = np.full_like(z, np.inf)
    for a, b, c in rows:
        slack = np.minimum(slack, c - (a * z + b * h))
    allowed = slack >= -1e-9
    ax.contourf(z, h, np.clip(slack, -1.0, 1.0), levels=[-1e-9, 1.0], colors=[COLOURS["inside"]], alpha=0.45)
    ax.plot([], [], color=COLOURS["inside"], linewidth=8, alpha=0.5, label="allowed by the rows")
    line = np.linspace(lower, upper, 301)
    ax.plot(line, np.maximum(line, 0), color=COLOURS["truth"], linewidth=2.5, label="h = relu(z)")
    ax.set(xlabel="pre-activation z (no unit)", ylabel="activation h (no unit)")
    draw_legend(ax)
    cell = (upper - lower) / 300 * 1.6 * upper / 300
    words = f"The rows allow an area of {allowed.sum() * cell:.2f}."
    in_words(ax, f"ReLU on [{lower:g}, {upper:g}] and the set around it. {words}")
    print(words)
    return ax


@in_course_style
def draw_distances(found: Sequence[tuple[Any, str, Any, float]], radius: float) -> Axes:
    """Draw for each norm and method what is proved from below and what is attained from above."""
    ax = plt.subplots(figsize=(7.2, 0.42 * len(found) + 1.4))[1]
    for place, (norm, method, result, seconds) in enumerate(found):
        top = min(result.upper, radius)
        ax.barh(place, result.lower, color=COLOURS["verified"], alpha=0.6, label="no other class: proved")
        ax.barh(place, top - result.lower, left=result.lower, color=COLOURS["unknown"], alpha=0.35, hatch="...",
                label="nothing known")  # fmt: skip
        if result.counterexample is not None:
            ax.plot([result.upper], [place], marker="X", linestyle="", color=COLOURS["counterexample"],
                    label="an example")  # fmt: skip
        met = f"{result.upper:.5f}" if result.counterexample is not None else "none met"
        name = f"norm {norm:<4}{NAMES.get(method, method):<9}"
        print(f"{name} proved {result.lower:.5f}  example {met:<9} {seconds:6.2f} CPU s")
    ax.set_yticks(range(len(found)), [f"norm {norm}, {NAMES.get(method, method)}" for norm, method, *_ in found])
    ax.invert_yaxis()
    ax.set_xlabel("distance from x0 (grey values, 0 to 1)")
    ax.locator_params(axis="x", nbins=6)
    draw_legend(ax)
    in_words(ax, f"Distances to the nearest other class by {len(found)} methods, from below and from above.")
    return ax


@in_course_style
def draw_ladder(rungs: Sequence[Rung], guess: float | None = None) -> Axes:
    """Draw the lower bound of each method against its CPU seconds, and the exact least value as a line."""
    ax = plt.subplots(figsize=(7.2, 4.2))[1]
    exact = next(one for one in rungs if one.method == "exact")
    first = rungs[0].lower
    for rung in rungs:
        colour = COLOURS["truth" if rung.method == "exact" else "lower bound"]
        x = max(rung.seconds, 1e-4)
        ax.plot([x], [rung.lower], marker="o", linestyle="", color=colour)
        place = (6, 6 if rung.method == "exact" else -12)
        ax.annotate(NAMES[rung.method], (x, rung.lower), xytext=place, textcoords="offset points", fontsize=9)
        closed = (rung.lower - first) / max(exact.lower - first, 1e-12)
        name = f"{NAMES[rung.method]:<17} >= {rung.lower:9.4f}"
        print(f"{name}  {closed:7.1%} of the gap closed  {rung.seconds:7.3f} CPU s")
    ax.axhline(exact.lower, color=COLOURS["truth"], linestyle=":", label="the exact least value")
    ax.axhline(0, color=COLOURS["spec"], linestyle="--", label="0: above it, it is a proof")
    if guess is not None:
        ax.axhline(guess, color=COLOURS["sample"], linestyle="-.", label="your guess for the LP")
    ax.set(xlabel="time (CPU s)", ylabel="lower bound on the margin (no unit)", xscale="log")
    ax.margins(x=0.2, y=0.15)
    draw_legend(ax)
    in_words(ax, f"Lower bounds of {len(rungs)} methods against time, each tighter than the one before.")
    return ax
