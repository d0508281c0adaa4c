"""The pictures of lab 7: small images, what a search found over time, weights and formulas as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from course_utils.plots.style import COLOURS, draw_legend, in_course_style, in_words

COLUMNS = 10
MOST_NAMED = 7  # different weights that a legend still names one by one


@in_course_style
def draw_small_images(images: Any, titles: Sequence[str]) -> Axes:
    """Draw square grey images, ten in a row; a title for each.

    Args:
        images: (num, pixels), in any range.
        titles: One for each.
    """
    pictures = np.asarray(images)
    side = round(pictures.shape[1] ** 0.5)
    rows = -(-len(pictures) // COLUMNS)
    grid = plt.subplots(rows, COLUMNS, figsize=(9, 1.15 * rows), squeeze=False)[1]
    for ax in grid.reshape(-1):
        ax.axis("off")
    for ax, picture, title in zip(grid.reshape(-1), pictures, titles, strict=False):
        ax.imshow(picture.reshape(side, side), cmap="gray", vmin=pictures.min(), vmax=pictures.max())
        ax.set_title(title, fontsize=8)
    in_words(grid[0, 0], f"{len(pictures)} images of {side}x{side} pixels: {', '.join(dict.fromkeys(titles))}.")
    return grid[0, 0]


@in_course_style
def draw_answers(answers: Sequence[int], limit: int, guess: int | None = None) -> Axes:
    """Draw the totals that a solver gave one after another, and the limit that they stay below."""
    ax = plt.subplots(figsize=(6.4, 3.0))[1]
    places = range(1, len(answers) + 1)
    ax.plot(places, answers, color=COLOURS["lower bound"], marker="o", label="total found")
    ax.axhline(limit, color=COLOURS["spec"], linestyle="--", label="limit")
    if guess is not None:
        ax.axhline(guess, color=COLOURS["sample"], linestyle=":", label="your guess")
    ax.set(xlabel="answer (number)", ylabel="weight (kg)", xticks=list(places))
    draw_legend(ax)
    in_words(ax, f"The totals {', '.join(map(str, answers))} below the limit {limit}.")
    return ax


@in_course_style
def draw_over_time(line: Sequence[Sequence[float]], seconds: float, proved: bool) -> Axes:
    """Draw accuracy on training and test images while a solver improves, and the moment of proof or of giving up.

    Args:
        line: (seconds, share right in training, share right in the test) at each improvement.
        seconds: When the search ended.
        proved: Whether it ended with a proof.
    """
    ax = plt.subplots(figsize=(7.2, 3.6))[1]
    times = [max(one[0], 0.01) for one in line] + [seconds]
    for place, name, look in ((1, "training", "-"), (2, "test, balanced", "--")):
        values = [one[place] for one in line]
        colour = COLOURS["truth"] if place == 1 else COLOURS["lower bound"]
        ax.step(times, [*values, values[-1]], where="post", color=colour, linestyle=look, label=name)
    end = ("proved optimal", "verified") if proved else ("time was up, no proof", "unknown")
    ax.axvline(seconds, color=COLOURS[end[1]], linestyle=":", label=end[0])
    ax.set(xlabel="wall time (s)", ylabel="images read correctly (share)", ylim=(0.4, 1.02))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    draw_legend(ax)
    in_words(ax, f"At the end {line[-1][1]:.1%} on training and {line[-1][2]:.1%} on test images; {end[0]}.")
    return ax


@in_course_style
def draw_formulas(rows: Sequence[Mapping[str, Any]]) -> Axes:
    """Draw the seconds of a verifier and of a SAT solver on formulas of growing size, median and slowest.

    Args:
        rows: One for each number of variables, as `python -m benchmarks.synthesis --part formulas` stores them.
    """
    ax = plt.subplots(figsize=(7.2, 3.8))[1]
    sizes = [one["variables"] for one in rows]
    for key, name, colour in (("verify", "verifier", "lower bound"), ("sat", "SAT solver", "truth")):
        for part, look in (("median", "-"), ("slowest", "--")):
            ax.plot(sizes, [one[f"{key}_{part}"] for one in rows], color=COLOURS[colour], linestyle=look, marker="o",
                    markersize=4, label=f"{name}, {part}")  # fmt: skip
    left = [one for one in rows if one["open"]]
    if left:
        ax.plot([one["variables"] for one in left], [one["verify_slowest"] for one in left], color=COLOURS["unknown"],
                linestyle="none", marker="X", markersize=10, label="some left open")  # fmt: skip
    ax.set(xlabel="variables of the formula (number)", ylabel="CPU time (s)", yscale="log", xticks=sizes)
    draw_legend(ax)
    last = rows[-1]
    in_words(
        ax,
        f"Formulas of {sizes[0]} to {sizes[-1]} variables. At {sizes[-1]} variables and {last['clauses']} clauses "
        f"the verifier takes {last['verify_median']:.3f} s at the median and {last['verify_slowest']:.3f} s at the "
        f"slowest, the SAT solver {last['sat_median']:.3f} s and {last['sat_slowest']:.3f} s. "
        f"The verifier leaves {sum(one['open'] for one in rows)} of {sum(one['of'] for one in rows)} open.",
    )
    return ax


@in_course_style
def draw_weights(weights: Any, titles: Sequence[str]) -> Axes:
    """Draw each unit's weights as a picture: purple for negative, white for zero, brown for positive."""
    rows = np.asarray(weights)
    side = round(rows.shape[1] ** 0.5)
    grid = plt.subplots(1, len(rows), figsize=(1.5 * len(rows) + 1.0, 1.9), squeeze=False)[1][0]
    most = np.abs(rows).max()
    for ax, row, title in zip(grid, rows, titles, strict=True):
        ax.imshow(row.reshape(side, side), cmap="PuOr_r", vmin=-most, vmax=most)
        ax.set_title(title, fontsize=9)
        ax.axis("off")
    known = np.unique(rows)
    if len(known) <= MOST_NAMED:
        drawn = grid[-1].images[0]
        named = [Patch(facecolor=drawn.cmap(drawn.norm(value)), edgecolor=COLOURS["sample"], label=f"{value:g}")
                 for value in known]  # fmt: skip
        grid[-1].legend(handles=named, loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=9)
    counts = ", ".join(f"{(rows == value).sum()} of {value:g}" for value in known)
    said = counts if len(known) <= MOST_NAMED else f"from {-most:g} to {most:g}"
    in_words(grid[0], f"Weights of {len(rows)} unit{'' if len(rows) == 1 else 's'}, {side}x{side} each: {said}.")
    return grid[0]
