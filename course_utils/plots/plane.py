"""The plane of two inputs: the circle, boxes, points, where a network says inside, and the boxes of a search.

Every function draws into the axes it is given or, without, into the cell's current picture, and returns the axes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import MaxNLocator
from torch import nn

from course_utils.data import CENTRE, DOMAIN, RADIUS
from course_utils.plots.style import COLOURS, HATCHES, draw_legend, in_course_style, in_words

BOX_STATUS = {"verified": "verified", "falsified": "falsified", "open": "unknown"}  # of a search box: its colour
INPUT_NAMES = ("input x1 (no unit)", "input x2 (no unit)")
MANY = 200  # more search boxes than this are drawn without edges, which would hide them


def _plane(ax: Axes | None) -> Axes:
    """Axes for the input plane: those given, the current ones, or new ones that show the whole domain."""
    if ax is None and plt.get_fignums() and plt.gca().get_xlabel() in ("", INPUT_NAMES[0]):
        ax = plt.gca()
    if ax is None:
        ax = plt.subplots(figsize=(8.2, 5.0))[1]
    if not ax.get_xlabel():
        ax.set(xlabel=INPUT_NAMES[0], ylabel=INPUT_NAMES[1], xlim=DOMAIN, ylim=DOMAIN, aspect="equal")
        ax.xaxis.set_major_locator(MaxNLocator(6))
        ax.yaxis.set_major_locator(MaxNLocator(6))
    return ax


@in_course_style
def planes(*titles: str) -> list[Axes]:
    """Pictures of the input plane side by side, one a title, to draw into."""
    _, row = plt.subplots(1, len(titles), figsize=(6.0 * len(titles), 4.2), squeeze=False)
    for ax, title in zip(row[0], titles, strict=True):
        _plane(ax).set_title(title)
        in_words(ax, f"{title}:")
    return list(row[0])


@in_course_style
def zoom(x1_bound: Sequence[float], x2_bound: Sequence[float], ax: Axes | None = None) -> Axes:
    """Show this part of the input plane only; what is drawn afterwards fills it."""
    ax = _plane(ax)
    ax.set(xlim=tuple(x1_bound), ylim=tuple(x2_bound))
    return ax


def _rows(points: Any) -> np.ndarray[Any, Any]:
    """Points as an array of shape (num, 2), from a tensor, an array, a list of either, or a single point."""
    if isinstance(points, (list, tuple)):
        points = [np.asarray(torch.as_tensor(point).detach()).reshape(-1) for point in points]
    elif isinstance(points, torch.Tensor):
        points = points.detach().numpy()
    return np.asarray(points, dtype=float).reshape(-1, 2)


@in_course_style
def draw_circle(ax: Axes | None = None) -> Axes:
    """Draw the circle that separates inside from outside."""
    ax = _plane(ax)
    ax.add_patch(Circle(CENTRE, RADIUS, fill=False, edgecolor=COLOURS["truth"], linewidth=1.5, zorder=3))
    ax.plot([], [], color=COLOURS["truth"], linewidth=1.5, label="the circle")
    draw_legend(ax)
    in_words(ax, "The circle has its centre at (0.5, 0.5) and the radius 0.5.")
    return ax


@in_course_style
def draw_data(points: Any, labels: Any, ax: Axes | None = None) -> Axes:
    """Draw labelled points: dots inside (label 1), crosses outside (label 0).

    Args:
        points: Shape (num, 2).
        labels: Shape (num,) or (num, 1).
        ax: Where to draw.
    """
    ax = _plane(ax)
    rows, inside = _rows(points), np.asarray(torch.as_tensor(labels).detach()).reshape(-1) >= 0.5
    size = 200 / math.sqrt(max(len(rows), 1)) + 6
    ax.scatter(*rows[inside].T, s=size, color=COLOURS["inside"], label="label 1 (inside)")
    ax.scatter(*rows[~inside].T, s=size, color=COLOURS["outside"], marker="x", linewidth=1.0, label="label 0 (outside)")
    draw_legend(ax)
    in_words(ax, f"{len(rows)} points: {inside.sum()} with label 1 as dots, {(~inside).sum()} with label 0 as crosses.")
    return ax


@in_course_style
def draw_spec(
    x1_bound: Sequence[float],
    x2_bound: Sequence[float],
    ax: Axes | None = None,
    *,
    name: str = "box of the spec",
) -> Axes:
    """Draw the box of a spec in the input plane.

    Args:
        x1_bound: Lower and upper limit of x1.
        x2_bound: Lower and upper limit of x2.
        ax: Where to draw.
        name: What the legend calls it.
    """
    ax = _plane(ax)
    width, height = x1_bound[1] - x1_bound[0], x2_bound[1] - x2_bound[0]
    dashes = ("-", "--", ":", "-.")[sum(isinstance(patch, Rectangle) for patch in ax.patches) % 4]
    box = Rectangle((x1_bound[0], x2_bound[0]), width, height, fill=False, linewidth=1.8, linestyle=dashes, label=name)
    box.set(edgecolor=COLOURS["spec"], zorder=4)
    ax.add_patch(box)
    draw_legend(ax)
    sides = " x ".join(f"[{low:g}, {high:g}]" for low, high in (x1_bound, x2_bound))
    in_words(ax, f"A box, {name}: {sides}.")
    return ax


def draw_x_specs(x_specs: Any, ax: Axes | None = None, *, name: str = "your box") -> Axes:
    """Draw the box of `x_specs` for two inputs, in any form that verify() takes: pairs, an array, a tensor, a Box."""
    sides = zip(x_specs.lower, x_specs.upper, strict=True) if hasattr(x_specs, "lower") else x_specs
    x1_bound, x2_bound = ([float(side) for side in pair] for pair in sides)
    return draw_spec(x1_bound, x2_bound, ax, name=name)


@in_course_style
def draw_points(points: Any, ax: Axes | None = None, *, name: str = "test point", kind: str = "sample") -> Axes:
    """Draw points of one `kind` of COLOURS: "sample" (small dots) or "counterexample" (large crosses)."""
    ax = _plane(ax)
    marker, size = ("X", 70) if kind == "counterexample" else ("o", 22)
    look = {"s": size, "marker": marker, "color": COLOURS[kind], "edgecolor": "white", "linewidth": 0.7, "zorder": 6}
    ax.scatter(*_rows(points).T, label=name, **look)
    draw_legend(ax)
    count = len(_rows(points))
    in_words(ax, f"{count} {name}{'' if count == 1 else 's'}.")
    return ax


def draw_counterexamples(counterexamples: Any, ax: Axes | None = None) -> Axes:
    """Draw counterexamples in the input plane; the list may be empty."""
    if len(counterexamples) == 0:
        return _plane(ax)
    return draw_points(counterexamples, ax, name="counterexample", kind="counterexample")


@in_course_style
def draw_network(net: nn.Module, ax: Axes | None = None, *, steps: int = 250) -> Axes:
    """Shade where the network says inside (y >= 0.5), in the part of the plane that is shown, and draw its border."""
    ax = _plane(ax)
    x1, x2 = np.linspace(*ax.get_xlim(), steps), np.linspace(*ax.get_ylim(), steps)
    grid = torch.tensor(np.stack(np.meshgrid(x1, x2), axis=-1).reshape(-1, 2), dtype=torch.float32)
    with torch.no_grad():
        y = net(grid).reshape(steps, steps).numpy()
    ax.contourf(x1, x2, y, levels=[0.5, max(float(y.max()), 0.5) + 1], colors=[COLOURS["inside"]], alpha=0.3, zorder=0)
    ax.contour(x1, x2, y, levels=[0.5], colors=[COLOURS["lower bound"]], linewidths=1.4, linestyles="--", zorder=3)
    ax.plot([], [], color=COLOURS["lower bound"], linewidth=1.4, linestyle="--", label="the network's border, y = 0.5")
    draw_legend(ax)
    in_words(ax, f"The network says inside in {np.mean(y >= 0.5):.0%} of what is shown.")
    return ax


@in_course_style
def draw_search(boxes: Sequence[Any], ax: Axes | None = None) -> Axes:
    """Draw the boxes that a search ended with, coloured by what became of each.

    Args:
        boxes: Objects with `lower` and `upper`, shape (2,), and a `status`: "verified", "falsified", "open", or
            "split", which is not drawn since its parts are.
        ax: Where to draw.
    """
    ax = _plane(ax)
    leaves = [box for box in boxes if box.status in BOX_STATUS]
    line = 0.0 if len(leaves) > MANY else 0.8
    counts = Counter(BOX_STATUS[box.status] for box in leaves)
    for box in leaves:
        verdict = BOX_STATUS[box.status]
        lower, upper = np.asarray(box.lower, float), np.asarray(box.upper, float)
        label = f"{verdict}: {counts[verdict]} box" + ("es" if counts[verdict] > 1 else "")
        patch = Rectangle(lower, *(upper - lower), linewidth=line, zorder=2, hatch=HATCHES[verdict], label=label)
        patch.set(facecolor=mpl.colors.to_rgba(COLOURS[verdict], 0.5), edgecolor="#222222")
        ax.add_patch(patch)
    draw_legend(ax)
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    in_words(ax, f"{len(leaves)} boxes of a search: {said}.")
    return ax
