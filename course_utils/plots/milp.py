"""The pictures of lab 6: constants, bounds, dependencies, configurations, splits, advisories, a flight, the race.

Colours and style are those of `course_utils.plots`. Each picture also says in words what it shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from torch import nn

from course_utils.acas import ADVISORIES, DEGREES_PER_S, advisory, flight, physical, scaled
from course_utils.milp_lab import Constant, Lap, Link
from course_utils.plots.style import COLOURS, draw_legend, in_course_style, in_words

# Okabe and Ito's colours, and a grey
SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#222222", "#8A8A8A")
MARKERS = "osD^vPX*"
LAYER_GAP = 5.0  # between two layers, in units of the distance between two neurons
WITHIN, BETWEEN = "#0072B2", "#B34700"  # dependencies of one layer, of two; both can be read on white
ADVICE = ("#DDDDDD", "#56B4E9", "#F0E442", "#0072B2", "#D55E00")


@in_course_style
def draw_constants(found: Sequence[Constant], bounded: Constant) -> Axes:
    """Draw what a program with one constant M everywhere says is largest, and the nodes that it took."""
    upper, lower = plt.subplots(2, 1, figsize=(7.6, 5.2), sharex=True)[1]
    m = [one.m for one in found]
    upper.plot(m, [one.largest for one in found], "o-", color=COLOURS["upper bound"], label="one constant M")
    upper.axhline(bounded.largest, color=COLOURS["truth"], linestyle="--", label="constants from bounds")
    upper.set_ylabel("largest output found (no unit)")
    lower.plot(m, [max(one.nodes, 1) for one in found], "s-", color=COLOURS["upper bound"], label="one constant M")
    lower.axhline(max(bounded.nodes, 1), color=COLOURS["truth"], linestyle="--", label="constants from bounds")
    lower.set(xscale="log", yscale="log", xlabel="M (no unit)", ylabel="nodes of the search")
    upper.legend(loc="lower right")
    wrong = [one.m for one in found if one.largest < bounded.largest - 1e-6]
    small = ", ".join(f"{value:g}" for value in wrong) or "none of these"
    in_words(upper, f"The true largest output is {bounded.largest:.4f}; too small with M = {small}.")
    return upper


@in_course_style
def draw_widths(radii: Sequence[float], widths: Mapping[str, Sequence[float]]) -> Axes:
    """Draw the mean width of the output bounds of several methods against the size of the box."""
    ax = plt.subplots(figsize=(7.6, 3.6))[1]
    for (name, width), colour, marker in zip(widths.items(), SERIES, MARKERS, strict=False):
        ax.plot(radii, width, marker=marker, color=colour, label=name)
    ax.set(xscale="log", yscale="log", xlabel="share of property 1's box (no unit)", ylabel="mean width (no unit)")
    draw_legend(ax)
    last = ", ".join(f"{name} {width[-1]:.3g}" for name, width in widths.items())
    in_words(ax, f"Mean width of the five output bounds on the whole box: {last}.")
    return ax


def _sign(active: bool) -> str:
    return "+" if active else "-"


@in_course_style
def draw_dependencies(sizes: Sequence[int], links: Sequence[Link]) -> Axes:
    """Draw neurons by layer, and an arrow from one state to the state that it implies.

    Arrows within a layer bow outwards, the longer the further; those between layers are straight. The label of an arrow
    stands where it crosses no other arrow.
    """
    place = {(k, j): (LAYER_GAP * k, -(j - (size - 1) / 2)) for k, size in enumerate(sizes) for j in range(size)}
    longest = max((abs(q[1] - r[1]) for q, _, r, _ in links if q[0] == r[0]), default=1)
    side = _bow(longest) + 0.8
    width, height = LAYER_GAP * (len(sizes) - 1) + 2 * side, max(sizes) + 0.4
    ax = plt.subplots(figsize=(7.6, 7.0 * height / width + 0.9))[1]
    for first, when, second, then in links:
        (x0, y0), (x1, y1) = place[first], place[second]
        dx, dy = x1 - x0, y1 - y0
        within = first[0] == second[0]
        outwards = -1 if first[0] == 0 else 1
        rad = 2 * outwards * _bow(abs(dy)) / dy if within else 0.0  # the middle of the arc is half of it away
        along = 0.5 if within else 0.3
        colour = WITHIN if within else BETWEEN
        ax.annotate(
            "", (x1, y1), (x0, y0),
            arrowprops={"arrowstyle": "->", "color": colour, "shrinkA": 12, "shrinkB": 12, "linewidth": 1.6,
                        "connectionstyle": f"arc3,rad={rad}"},
        )  # fmt: skip
        ax.text(
            x0 + along * dx + 0.5 * rad * dy, y0 + along * dy, f"{_sign(when)} to {_sign(then)}",
            color=colour, fontsize=9, ha="center", va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
    for (k, j), (x, y) in place.items():
        ax.plot(x, y, "o", markersize=20, color="white", markeredgecolor=COLOURS["truth"])
        ax.text(x, y, f"{k},{j}", ha="center", va="center", fontsize=8)
    ax.set(xlim=(-side, width - side), ylim=(-height / 2, height / 2), aspect="equal")
    ax.axis("off")
    ax.set_title("circles: layer, neuron;  '- to +': if the first is inactive, the second is active", fontsize=10)
    kinds = {q[0] == r[0] for q, _, r, _ in links}
    lines = [Line2D([], [], color=WITHIN if kind else BETWEEN, label="within a layer" if kind else "between layers")
             for kind in sorted(kinds, reverse=True)]  # fmt: skip
    if lines:
        ax.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, fontsize=9)
    words = [f"({q[0]},{q[1]}){_sign(a)} implies ({r[0]},{r[1]}){_sign(b)}" for q, a, r, b in links]
    in_words(ax, ("; ".join(words) or "No dependencies") + ".")
    return ax


def _bow(length: float) -> float:
    """How far an arrow within a layer leaves the straight line, in units of the distance between two neurons."""
    return 0.35 + 0.6 * (length - 1)


@in_course_style
def draw_counts(counts: Mapping[str, int]) -> Axes:
    """Draw numbers of configurations as bars."""
    ax = plt.subplots(figsize=(7.6, 2.6))[1]
    names = list(counts)
    bars = ax.barh(names[::-1], [counts[name] for name in names[::-1]], color=COLOURS["lower bound"])
    ax.bar_label(bars, padding=3)
    ax.set(xlabel="configurations", xscale="log")
    ax.margins(x=0.15)
    in_words(ax, "Configurations: " + "; ".join(f"{name} {count}" for name, count in counts.items()) + ".")
    return ax


@in_course_style
def draw_ratios(ratios: Mapping[str, Sequence[float]], roots: Mapping[str, float]) -> Axes:
    """Draw what splitting each input does to the stability ratio, one panel for each network."""
    axes = plt.subplots(1, len(ratios), figsize=(7.6, 3.2), sharey=True)[1]
    for ax, (name, values) in zip(axes, ratios.items(), strict=True):
        ax.bar(range(len(values)), values, color=COLOURS["inside"], label="mean of the halves")
        ax.axhline(roots[name], color=COLOURS["truth"], linestyle="--", label="whole box")
        ax.set(title=name, xlabel="input that is halved")
        best = int(np.argmax(values))
        in_words(ax, f"{name}: {roots[name]:.3f} before, at best {values[best]:.3f} by halving input {best}.")
    axes[0].set_ylabel("stability ratio (no unit)")
    draw_legend(axes[-1])
    return axes[0]


@in_course_style
def draw_advisories(net: nn.Module, heading: float, own_speed: float, speed: float, reach: float = 20_000.0) -> Axes:
    """Draw which advisory the network gives for each place of the intruder, seen from above; the own ship flies up."""
    ax = plt.subplots(figsize=(7.2, 5.0))[1]
    axis = np.linspace(-reach, reach, 161)
    x, y = np.meshgrid(axis, axis)
    distance, angle = np.hypot(x, y), np.arctan2(y, x) - np.pi / 2
    angle = (angle + np.pi) % (2 * np.pi) - np.pi
    rest = [np.full_like(x, value) for value in (heading, own_speed, speed)]
    advice = advisory(net, scaled(np.stack([distance, angle, *rest], axis=-1)))
    colours = ListedColormap(ADVICE)
    ax.pcolormesh(
        x, y, advice, cmap=colours, norm=BoundaryNorm(np.arange(6) - 0.5, 5), rasterized=True, shading="nearest"
    )
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.plot(0, 0, "^", color=COLOURS["truth"], markersize=12, label="own ship")
    ax.set(xlabel="intruder to the right (ft)", ylabel="intruder ahead (ft)", aspect="equal")
    legend = [Patch(color=colour, label=name) for colour, name in zip(ADVICE, ADVISORIES, strict=True)]
    ax.legend(handles=legend, loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=9)
    shares = [f"{name} {float((advice == k).mean()):.0%}" for k, name in enumerate(ADVISORIES)]
    in_words(ax, "Share of the picture: " + ", ".join(shares) + ".")
    return ax


@in_course_style
def draw_flight(net: nn.Module, point: Any) -> Axes:
    """Draw the next minute from one input of the network: straight on, and turning as the network advises."""
    ax = plt.subplots(figsize=(7.2, 4.6))[1]
    state = physical(point).reshape(-1)
    number = int(advisory(net, np.asarray(point, dtype=np.float64).reshape(1, 5))[0])
    own, other = flight(state, DEGREES_PER_S[number])
    for path, colour, name, marker in (
        (own, COLOURS["lower bound"], f"own ship: {ADVISORIES[number]}", "^"),
        (other, COLOURS["counterexample"], "intruder", "s"),
    ):
        ax.plot(path[:, 0], path[:, 1], color=colour, linewidth=1.6)
        ax.plot(path[::20, 0], path[::20, 1], marker, color=colour, label=f"{name}, every 20 s")
        ax.annotate("start", path[0], xytext=(6, 6), textcoords="offset points", fontsize=9)
    ax.set(xlabel="to the right (ft)", ylabel="ahead (ft)", aspect="equal")
    ax.margins(0.15)
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=9)
    gap = float(np.hypot(*(own - other).T).min())
    words = [
        f"{name} {value:,.4g}"
        for name, value in zip(("distance", "angle", "heading", "own speed", "its speed"), state, strict=True)
    ]
    in_words(ax, f"{', '.join(words)}; advice: {ADVISORIES[number]}; nearest in a minute: {gap:,.0f} ft.")
    return ax


@in_course_style
def draw_race(laps: Sequence[Lap], limit: float = 10.0) -> Axes:
    """Draw how many questions each method has settled by each time, all of them begun together."""
    ax = plt.subplots(figsize=(7.6, 4.2))[1]
    methods = list(dict.fromkeys(lap.method for lap in laps))
    total = len({lap.instance for lap in laps})
    said = []
    for method, colour, marker in zip(methods, itertools.cycle(SERIES), itertools.cycle(MARKERS), strict=False):
        times = np.sort([lap.seconds for lap in laps if lap.method == method and lap.verdict != "unknown"])
        said.append(f"{method} {len(times)}")
        x = [1e-3, *np.maximum(times, 1e-3), max(limit, float(times.max(initial=0.0)))]
        ax.step(x, [*range(len(times) + 1), len(times)], where="post", color=colour)
        ax.plot(x[1:-1], range(1, len(times) + 1), marker, color=colour, markersize=4, label=method)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xscale="log", xlabel="CPU time for each question (s)", ylabel=f"settled, of {total} questions")
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=9)
    in_words(ax, f"Settled of {total}: " + ", ".join(said) + ".")
    return ax
