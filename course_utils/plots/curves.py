"""Bounds on an output, and curves: the loss while a network trains, accuracy by radius, instances settled by time."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from course_utils.plots.style import COLOURS, OUTPUT_NAME, draw_legend, in_course_style, in_words

SERIES = (  # what tells one line of a comparison from the next: Okabe and Ito's colours, and a dash each
    ("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#CC79A7", ":"), ("#222222", (0, (5, 1))),
)  # fmt: skip
SHORTEST_S = 1e-3  # of an axis of times: what took less is drawn here
CURVES = {"clean": "truth", "attacked": "counterexample", "verified": "verified"}  # the meaning of a curve: its colour
NETWORK_LOOKS: tuple[dict[str, Any], ...] = (  # of a network's curves; a hollow mark leaves what lies under it visible
    {"linestyle": "-", "marker": "o", "markersize": 4},
    {"linestyle": "--", "marker": "s", "markersize": 8, "markerfacecolor": "none"},
    {"linestyle": ":", "marker": "^", "markersize": 9, "markerfacecolor": "none"},
    {"linestyle": "-.", "marker": "D", "markersize": 10, "markerfacecolor": "none"},
)


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
    names = list(bounds)
    in_words(ax, f"The samples lie between {y.min():.3g} and {y.max():.3g}.")
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
        in_words(ax, f"{names[row - 1]}: the output lies between {low:.3g} and {high:.3g}.")
    if limit is not None:
        ax.axvline(limit, color=COLOURS["truth"], linestyle=":", label=f"the spec's limit, y = {limit:g}")
    ax.set(xlabel=OUTPUT_NAME, ylim=(-0.5, len(bounds) + 0.6))
    ax.set_yticks(range(len(bounds) + 1), ["samples", *bounds])
    ax.margins(x=0.25)
    draw_legend(ax)
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
            in_words(
                ax, f"{side} bound, {name}: {values[0]:.3g} at width {widths[0]:g}, {values[-1]:.3g} at {widths[-1]:g}."
            )
    if limit is not None:
        ax.axhline(limit, color=COLOURS["truth"], linestyle=":", label=f"the spec's limit, y = {limit:g}")
    ax.set(xlabel="width of the box (same unit as the inputs)", ylabel=OUTPUT_NAME)
    draw_legend(ax)
    return ax


@in_course_style
def draw_loss(losses: Sequence[float]) -> Axes:
    """Draw the mean loss of each epoch, on a logarithmic scale."""
    ax = plt.subplots(figsize=(5.6, 3.0))[1]
    ax.plot(range(1, len(losses) + 1), losses, color=COLOURS["truth"], marker="." if len(losses) < 30 else None)
    ax.set(xlabel="epoch (count)", ylabel="mean loss (no unit)", yscale="log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


@in_course_style
def draw_accuracy_curves(
    radii: Sequence[float], curves: Mapping[str, Mapping[str, Sequence[float]]], *, unit: str = "grey values"
) -> Axes:
    """Draw clean, attacked and verified accuracy against the radius; what lies between the last two is not known.

    Args:
        radii: Where each curve has its points.
        curves: By network, then by meaning ("clean", "attacked", "verified"), fractions; a line style a network.
        unit: Of the radii.
    """
    ax = plt.subplots(figsize=(7.4, 4.2))[1]
    for (name, rows), look in zip(curves.items(), NETWORK_LOOKS, strict=False):
        for meaning, values in rows.items():
            label = f"{meaning}, {name}" if name else meaning
            ax.plot(radii, values, color=COLOURS[CURVES[meaning]], label=label, **look)
            in_words(ax, f"{label}: {values[0]:.0%} at {radii[0]:g}, {values[-1]:.0%} at {radii[-1]:g}.")
        if {"attacked", "verified"} <= set(rows):
            ax.fill_between(
                radii, rows["verified"], rows["attacked"], color=COLOURS["unknown"], alpha=0.15, linewidth=0
            )
    ax.set(xlabel=f"radius ({unit})", ylabel="accuracy (share of the images)", ylim=(-0.02, 1.04))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlim(left=0.0)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)
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
    draw_legend(ax, loc="lower right", bbox_to_anchor=None)
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
