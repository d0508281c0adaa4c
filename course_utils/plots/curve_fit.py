"""The pictures of lab 4: a fit and its error, counterexamples, the proved band, times of queries, pieces, floats.

Colours and style are those of `course_utils.plots`. Each function also prints in one line what its picture shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import nn

from course_utils.curve import GRID, AskedPiece, QueryTime
from course_utils.plots.curves import SERIES
from course_utils.plots.style import COLOURS, HATCHES, OUTPUT_NAME, in_course_style

Formula = Callable[..., Any]
INPUT = "input x (no unit)"


def _sampled(formula: Formula, net: nn.Module) -> tuple[Any, Any, Any]:
    """A grid of [-1, 1], the formula's values and the network's."""
    x = np.linspace(-1, 1, GRID)
    with torch.no_grad():
        y = net(torch.tensor(x, dtype=torch.float32)[:, None]).double().reshape(-1).numpy()
    return x, formula(x), y


def _fit_and_error(formula: Formula, net: nn.Module) -> tuple[Axes, Axes, float]:
    """The fit above, the sampled error below; gives both axes and the largest sampled error."""
    x, truth, y = _sampled(formula, net)
    upper, lower = plt.subplots(2, 1, figsize=(7.6, 5.6), sharex=True, height_ratios=[2, 1])[1]
    upper.plot(x, truth, color=COLOURS["truth"], linewidth=2.5, alpha=0.6, label="T4(x)")
    upper.plot(x, y, color=COLOURS["spec"], linestyle="--", label="network")
    upper.set_ylabel(OUTPUT_NAME)
    lower.plot(x, np.abs(y - truth), color=COLOURS["sample"], label="sampled error")
    lower.set(xlabel=INPUT, ylabel="|net(x) - T4(x)| (no unit)")
    return upper, lower, float(np.abs(y - truth).max())


def _legends(*axes: Axes) -> None:
    for ax in axes:
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)


@in_course_style
def draw_fit(formula: Formula, net: nn.Module) -> Axes:
    """Draw the formula and the network on [-1, 1], and the sampled error below."""
    upper, lower, largest = _fit_and_error(formula, net)
    lower.axhline(largest, color=COLOURS["sample"], linestyle=":", label="largest on the grid")
    _legends(upper, lower)
    print(f"largest error on a grid of {GRID:,} points: {largest:.4f}")
    return upper


@in_course_style
def draw_counterexample(formula: Formula, net: nn.Module, answers: Sequence[tuple[float, str, float | None]]) -> Axes:
    """Draw the counterexamples among (tolerance, verdict, x or None) on the curve and on its error."""
    upper, lower, _ = _fit_and_error(formula, net)
    for tolerance, verdict, at in answers:
        lower.axhline(
            tolerance, color=COLOURS[verdict], linestyle="-" if verdict == "verified" else ":",
            linewidth=1, label=f"tolerance, {verdict}",
        )  # fmt: skip
        if at is not None:
            with torch.no_grad():
                y = float(net(torch.tensor([[at]], dtype=torch.float32)))
            style = {"color": COLOURS["counterexample"], "marker": "X", "linestyle": "", "label": "counterexample"}
            upper.plot([at], [y], **style)
            lower.plot([at], [abs(y - formula(at))], **style)
    for ax in (upper, lower):
        handles, names = ax.get_legend_handles_labels()
        unique = dict(zip(names, handles, strict=True))
        ax.legend(unique.values(), unique.keys(), loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)
    return upper


@in_course_style
def draw_band(formula: Formula, net: nn.Module, proved: float) -> Axes:
    """Draw the band of the proved error around the formula, the network in it, and the sampled error below."""
    upper, lower, largest = _fit_and_error(formula, net)
    x = np.linspace(-1, 1, GRID)
    upper.fill_between(
        x, formula(x) - proved, formula(x) + proved, color=COLOURS["verified"], alpha=0.2, label="proved band"
    )
    lower.axhline(proved, color=COLOURS["verified"], label="proved")
    _legends(upper, lower)
    print(f"proved {proved:.4f}; largest on a grid {largest:.4f}")
    return upper


@in_course_style
def draw_times(times: Sequence[QueryTime]) -> Axes:
    """Draw the CPU seconds of each query against the number of hidden neurons, a line for what grows."""
    ax = plt.subplots(figsize=(7.2, 4.0))[1]
    for (colour, line), series in zip(SERIES, dict.fromkeys(one.series for one in times), strict=False):
        mine = [one for one in times if one.series == series]
        ax.plot([o.neurons for o in mine], [o.seconds for o in mine], color=colour, linestyle=line, marker="o",
                label={"width": "one layer", "depth": "more layers", "inputs": "two inputs"}[series])  # fmt: skip
        for one in mine:
            mark = "" if one.verdict != "unknown" else " (gave up)"
            place = {"xytext": (5, -9), "textcoords": "offset points", "fontsize": 8}
            ax.annotate(f"{one.sizes}{mark}", (one.neurons, one.seconds), **place)
            print(f"{one.sizes:<12} {one.seconds:6.2f} s  {one.verdict}")
    ax.set(xlabel="hidden neurons (number)", ylabel="time of a query (CPU s)", yscale="log")
    ax.margins(x=0.15)
    ax.legend(fontsize=9, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return ax


@in_course_style
def draw_pieces(pieces: Sequence[AskedPiece], guess: int | None = None) -> Axes:
    """Draw how many neurons are unstable on each piece, in the colour of its verdict, with a guess if there is one."""
    ax = plt.subplots(figsize=(7.6, 3.4))[1]
    for verdict in dict.fromkeys(piece.verdict for piece in pieces):
        mine = [piece for piece in pieces if piece.verdict == verdict]
        ax.bar(
            [piece.lower for piece in mine], [piece.unstable for piece in mine],
            width=[piece.upper - piece.lower for piece in mine], align="edge", color=COLOURS[verdict], alpha=0.5,
            edgecolor="#444444", hatch=HATCHES[verdict], label=verdict,
        )  # fmt: skip
    if guess is not None:
        ax.axhline(guess, color=COLOURS["spec"], linestyle="--", label="your guess")
    ax.set(xlabel=INPUT, ylabel="unstable neurons (number)")
    ax.legend(fontsize=9, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    mean = sum(piece.unstable for piece in pieces) / len(pieces)
    seconds = sum(piece.seconds for piece in pieces)
    verified = sum(piece.verdict == "verified" for piece in pieces)
    print(f"{verified} of {len(pieces)} pieces verified, {mean:.1f} unstable neurons on average, {seconds:.2f} CPU s")
    return ax


@in_course_style
def draw_floats(net: nn.Module) -> Axes:
    """Draw what a network of one input gives in float32 on [0, 1], where the reals give 0.1."""
    x = np.linspace(0, 1, GRID, dtype=np.float32)
    with torch.no_grad():
        y = net(torch.from_numpy(x)[:, None]).double().reshape(-1).numpy()
    ax = plt.subplots(figsize=(7.2, 3.2))[1]
    ax.plot(x, y, linestyle="", marker=".", markersize=3, color=COLOURS["sample"], label="float32")
    ax.axhline(0.1, color=COLOURS["truth"], label="the reals")
    ax.axhline(0.12, color=COLOURS["spec"], linestyle="--", label="spec: y <= 0.12")
    ax.set(xlabel=INPUT, ylabel=OUTPUT_NAME)
    ax.legend(fontsize=9, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    print(f"float32 gives between {y.min():.4f} and {y.max():.4f} on a grid; the reals give 0.1")
    return ax
