"""The pictures of the labs. One colour has one meaning through the whole course; every axis carries its name and unit.

Pictures keep a white ground of their own, so that they read the same in a light and in a dark notebook. Bounds are
blue and orange (Okabe and Ito), which stay apart for colour-blind eyes; verdicts have the colours in which a Result
prints itself; shapes and hatches repeat what the colours say.
Every function draws into the axes it is given or, without, into the cell's current picture, and returns the axes.
"""

from __future__ import annotations

import csv
import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import MaxNLocator
from torch import nn

from course_utils.data import CENTRE, DOMAIN, RADIUS

COLOURS = {
    "lower bound": "#0072B2",
    "upper bound": "#E69F00",
    "counterexample": "#D01C8B",
    "verified": "#117733",
    "falsified": "#b2182b",
    "unknown": "#8a6d00",
    "inside": "#56B4E9",
    "outside": "#A8A8A8",
    "sample": "#6B6B6B",
    "truth": "#222222",
    "spec": "#332288",
}
BOX_STATUS = {"verified": "verified", "falsified": "falsified", "open": "unknown"}  # of a search box: its colour
HATCHES = {"verified": "", "falsified": "///", "unknown": "..."}
SERIES = (  # what tells one line of a comparison from the next: Okabe and Ito's colours, and a dash each
    ("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#CC79A7", ":"), ("#222222", (0, (5, 1))),
)  # fmt: skip
SHORTEST_S = 1e-3  # of an axis of times: what took less is drawn here
INPUT_NAMES = ("input x1 (no unit)", "input x2 (no unit)")
OUTPUT_NAME = "output y (no unit)"
MANY = 200  # more search boxes than this are drawn without edges, which would hide them

STYLE = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "text.color": "#222222",
    "axes.edgecolor": "#444444",
    "axes.labelcolor": "#222222",
    "axes.titlecolor": "#222222",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.facecolor": "white",
    "legend.edgecolor": "#BBBBBB",
    "legend.labelcolor": "#222222",
    "legend.framealpha": 0.9,
    "font.size": 10,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "hatch.linewidth": 0.6,
}

P = ParamSpec("P")
R = TypeVar("R")


def in_course_style(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw with the course's colours, whatever the notebook's own settings are."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(STYLE):
            drawn = draw(*args, **kwargs)
            shows_at_once = mpl.is_interactive()
        mpl.interactive(shows_at_once)  # the first picture switches this on in a notebook; the context would undo it
        return drawn

    return wrapped


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
    return list(row[0])


@in_course_style
def zoom(x1_bound: Sequence[float], x2_bound: Sequence[float], ax: Axes | None = None) -> Axes:
    """Show this part of the input plane only; what is drawn afterwards fills it."""
    ax = _plane(ax)
    ax.set(xlim=tuple(x1_bound), ylim=tuple(x2_bound))
    return ax


def _legend(ax: Axes, **options: Any) -> None:
    """One legend of all that has been drawn so far, each name once."""
    handles, names = ax.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    if unique:
        ax.legend(
            unique.values(),
            unique.keys(),
            **{"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "fontsize": 9, **options},
        )


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
    _legend(ax)
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
    _legend(ax)
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
    _legend(ax)
    return ax


@in_course_style
def draw_points(points: Any, ax: Axes | None = None, *, name: str = "test point", kind: str = "sample") -> Axes:
    """Draw points of one `kind` of COLOURS: "sample" (small dots) or "counterexample" (large crosses)."""
    ax = _plane(ax)
    marker, size = ("X", 70) if kind == "counterexample" else ("o", 22)
    look = {"s": size, "marker": marker, "color": COLOURS[kind], "edgecolor": "white", "linewidth": 0.7, "zorder": 6}
    ax.scatter(*_rows(points).T, label=name, **look)
    _legend(ax)
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
    _legend(ax)
    return ax


@in_course_style
def draw_bounds(bounds: Mapping[str, Any], samples: Any, limit: float | None = None) -> Axes:
    """Draw the bounds on one output, a row a method, above the outputs that were sampled.

    Args:
        bounds: For each method's name, an object with `lower` and `upper`, each holding one number.
        samples: Outputs of the network at sampled inputs, any shape.
        limit: The value that the spec asks the output to stay above or below.
    """
    ax = plt.subplots(figsize=(7.2, 1.4 + 0.55 * len(bounds)))[1]
    y = np.asarray(torch.as_tensor(samples).detach()).reshape(-1)
    look = {"s": 60, "marker": "|", "linewidth": 0.5, "alpha": 0.4, "color": COLOURS["sample"]}
    ax.scatter(y, np.zeros_like(y), label=f"{len(y):,} samples", **look)
    for row, bound in enumerate(bounds.values(), start=1):
        low, high = float(np.asarray(bound.lower).reshape(-1)[0]), float(np.asarray(bound.upper).reshape(-1)[0])
        ax.plot([low, high], [row, row], color="#BBBBBB", linewidth=2, zorder=1)
        for value, side, marker, align, shift in (
            (low, "lower bound", ">", "right", -8),
            (high, "upper bound", "<", "left", 8),
        ):
            ax.scatter(value, row, s=70, marker=marker, color=COLOURS[side], label=side, zorder=2)
            place = {"xytext": (shift, 0), "textcoords": "offset points", "ha": align, "va": "center"}
            ax.annotate(f"{value:.3g}", (value, row), fontsize=9, **place)
    if limit is not None:
        ax.axvline(limit, color=COLOURS["truth"], linestyle=":", label=f"the spec's limit, y = {limit:g}")
    ax.set(xlabel=OUTPUT_NAME, ylim=(-0.5, len(bounds) + 0.6))
    ax.set_yticks(range(len(bounds) + 1), ["samples", *bounds])
    ax.margins(x=0.25)
    _legend(ax)
    return ax


@in_course_style
def draw_bounds_by_size(
    widths: Sequence[float], bounds: Mapping[str, Sequence[Any]], limit: float | None = None
) -> Axes:
    """Draw how the bounds on one output grow with the width of the box.

    Args:
        widths: Full widths of the boxes.
        bounds: For each method's name, an object with `lower` and `upper` for each width.
        limit: The value that the spec asks the output to stay above or below.
    """
    ax = plt.subplots(figsize=(6.4, 4.0))[1]
    lines = ("-", "--", "-.", ":")
    for (name, row), line in zip(bounds.items(), lines, strict=False):
        for side in ("lower", "upper"):
            values = [float(np.asarray(getattr(bound, side)).reshape(-1)[0]) for bound in row]
            ax.plot(widths, values, color=COLOURS[f"{side} bound"], linestyle=line, label=f"{side} bound, {name}")
    if limit is not None:
        ax.axhline(limit, color=COLOURS["truth"], linestyle=":", label=f"the spec's limit, y = {limit:g}")
    ax.set(xlabel="width of the box (same unit as the inputs)", ylabel=OUTPUT_NAME)
    _legend(ax)
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
    _legend(ax)
    return ax


@in_course_style
def draw_image_pair(
    image: Any, noisy: Any, titles: Sequence[str] = ("image", "image with noise"), *, middle: str = "the noise"
) -> Figure:
    """Draw an image, the same image with noise, and the noise between them, which is scaled up to be seen at all.

    Args:
        image: Grey values in [0, 1], shape (rows, columns).
        noisy: The same shape.
        titles: What stands above the two images.
        middle: What stands above the noise.
    """
    first, second = (np.asarray(torch.as_tensor(part).detach(), float) for part in (image, noisy))
    noise = second - first
    largest = float(np.abs(noise).max()) or 1.0
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.4))
    for ax, picture, title in zip(axes, (first, noise, second), (titles[0], middle, titles[1]), strict=True):
        is_noise = picture is noise
        limits = (
            {"vmin": -largest, "vmax": largest, "cmap": "PuOr"} if is_noise else {"vmin": 0, "vmax": 1, "cmap": "gray"}
        )
        shown = ax.imshow(picture, **limits)
        ax.set(title=title, xlabel="column (pixels)", ylabel="row (pixels)")
        unit = "change of grey value" if is_noise else "grey value (0 black, 1 white)"
        figure.colorbar(shown, ax=ax, shrink=0.75, label=unit)
    return figure


@in_course_style
def draw_loss(losses: Sequence[float]) -> Axes:
    """Draw the mean loss of each epoch, on a logarithmic scale."""
    ax = plt.subplots(figsize=(5.6, 3.0))[1]
    ax.plot(range(1, len(losses) + 1), losses, color=COLOURS["truth"], marker="." if len(losses) < 30 else None)
    ax.set(xlabel="epoch (count)", ylabel="mean loss (no unit)", yscale="log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


@in_course_style
def draw_solved_over_time(
    results: Mapping[str, Any] | Any, ax: Axes | None = None, *, expected: Any = None, seconds: str = "seconds"
) -> Axes:
    """Draw how many instances of a list are settled within a time: a "cactus" picture, a line a results file.

    Lower and further to the right is better. A line ends at the last instance that was settled; instances that
    were left open are in its legend only.

    Args:
        results: Path of a results file of `python -m verifier batch`, or several of them by the name of their line.
            Another tool's file needs the columns onnx, vnnlib, verdict and the one that `seconds` names.
        ax: Where to draw.
        expected: Path of known verdicts with the columns onnx, vnnlib and verdict; a verdict that contradicts one
            is not counted as settled, and its number is in the legend.
        seconds: The column to draw: "seconds" (wall time) or "cpu_seconds".

    Raises:
        ValueError: A file has no such columns, or no rows.
    """
    files = results if isinstance(results, Mapping) else {Path(results).stem: results}
    known = (
        {} if expected is None else {_instance(row): row["verdict"] for row in _read_columns(expected, ("verdict",))}
    )
    if ax is None:
        ax = plt.subplots(figsize=(7.6, 4.4))[1]
    most = 1
    for (name, path), (colour, line) in zip(files.items(), itertools.cycle(SERIES), strict=False):
        rows = _read_columns(path, ("verdict", seconds))
        settled = [row for row in rows if row["verdict"] in ("sat", "unsat")]
        right = [
            row
            for row in settled
            if known.get(_instance(row)) not in ("sat", "unsat") or known[_instance(row)] == row["verdict"]
        ]
        times = sorted(max(float(row[seconds]), SHORTEST_S) for row in right)
        wrong = len(settled) - len(right)
        label = f"{name}: {len(right)} of {len(rows)} settled" + (f", {wrong} wrong" if wrong else "")
        ax.plot(range(1, len(times) + 1), times, color=colour, linestyle=line, drawstyle="steps-pre", label=label)
        most = max(most, len(rows))
    unit = "CPU time" if seconds == "cpu_seconds" else "wall time"
    ax.set(xlabel="instances settled (count)", ylabel=f"{unit} of an instance (s)", yscale="log", xlim=(0, 1.02 * most))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=True, which="major", color="#E5E5E5")
    _legend(ax, loc="lower right", bbox_to_anchor=None)
    return ax


def _read_columns(path: Any, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a results file that has these columns."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = [name for name in ("onnx", "vnnlib", *columns) if not rows or name not in rows[0]]
    if missing:
        what = "it has no rows" if not rows else f"it has no column {missing[0]!r}, only {', '.join(rows[0])}"
        raise ValueError(f"{path}: not a results file as `python -m verifier batch` writes it: {what}")
    return rows


def _instance(row: Mapping[str, str]) -> tuple[str, str]:
    return row["onnx"], row["vnnlib"]
