"""The pictures of lab 3: bounds layer by layer, one ReLU between two lines, the parts of a search, a race.

Each function also prints in one line what its picture shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from course_utils.plots.curves import SERIES
from course_utils.plots.plane import INPUT_NAMES
from course_utils.plots.style import COLOURS, HATCHES, OUTPUT_NAME, in_course_style

SLOPE_RANGE = (-1.0, 2.0)  # of z in the pictures of one ReLU
VERDICTS = ("verified", "falsified", "unknown")


@in_course_style
def draw_widths(bounds: Mapping[str, Sequence[tuple[Any, Any]]]) -> Axes:
    """Draw how wide the bounds are behind each Linear layer, averaged over its neurons; a line for each method.

    Args:
        bounds: For each method's name, a (lower, upper) pair for every layer.
    """
    ax = plt.subplots(figsize=(6.4, 3.6))[1]
    for (name, pairs), (colour, line) in zip(bounds.items(), SERIES, strict=False):
        widths = [float(np.mean(np.asarray(upper) - np.asarray(lower))) for lower, upper in pairs]
        places = range(1, len(widths) + 1)
        ax.plot(places, widths, color=colour, linestyle=line, marker="o", label=name)
        print(f"{name}: " + ", ".join(f"{width:.3g} behind layer {k}" for k, width in zip(places, widths, strict=True)))
    ax.set(xlabel="Linear layer (number)", ylabel="mean width of the bounds (no unit)", yscale="log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(fontsize=9)
    return ax


@in_course_style
def draw_relaxation(lower_slope: float, upper_slope: float, upper_offset: float, lower: float, upper: float) -> Axes:
    """Draw ReLU on an interval of z, the two lines that should enclose it, and the area between them.

    Args:
        lower_slope: Of the line below, which goes through the origin.
        upper_slope: Of the line above.
        upper_offset: Of the line above, where z is 0.
        lower: Where the interval begins.
        upper: Where it ends.
    """
    ax = plt.subplots(figsize=(5.6, 3.6))[1]
    area = _lines(ax, lower_slope, upper_slope, upper_offset, lower, upper)
    ax.legend(loc="upper left", fontsize=9)
    print(
        f"below: {lower_slope:.3g} z; above: {upper_slope:.3g} z + {upper_offset:.3g}; "
        f"between them an area of {area:.3f}"
    )
    return ax


def _lines(ax: Axes, lower_slope: float, upper_slope: float, upper_offset: float, lower: float, upper: float) -> float:
    """ReLU between two lines; gives the area between the lines."""
    z = np.linspace(lower, upper, 201)
    below, above = lower_slope * z, upper_slope * z + upper_offset
    ax.fill_between(z, below, above, color=COLOURS["sample"], alpha=0.2, label="between the lines")
    ax.plot(z, above, color=COLOURS["upper bound"], linestyle="--", label="line above")
    ax.plot(z, below, color=COLOURS["lower bound"], linestyle="-.", label="line below")
    ax.plot(z, np.maximum(z, 0), color=COLOURS["truth"], linewidth=2, label="relu(z)")
    ax.set(xlabel="pre-activation z (no unit)", ylabel="activation (no unit)")
    return float(np.trapezoid(above - below, z))


def area_of(slope: float) -> float:
    """The area between the chord and the line of this slope below, on the interval of these pictures."""
    lower, upper = SLOPE_RANGE
    chord = (upper - lower) * upper / 2
    return chord - slope * (upper**2 - lower**2) / 2


def bound_of_absolute_value(slope: float) -> float:
    """The bound that a line of this slope below relu(z) gives for |z| = 2 relu(z) - z on that interval.

    The line turns it into (2 slope - 1) z, which is least at one end of the interval.
    """
    return min((2 * slope - 1) * end for end in SLOPE_RANGE)


@in_course_style
def draw_slope(slope: float) -> Figure:
    """Draw what the slope of the line below does: left to the area, right to the bound on |z| = 2 relu(z) - z.

    Args:
        slope: From 0 to 1.
    """
    lower, upper = SLOPE_RANGE
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.4, 3.6))
    chord = upper / (upper - lower)
    area = _lines(left, slope, chord, -chord * lower, lower, upper)
    left.set_title(f"slope {slope:.2f}: area {area:.2f}")
    left.legend(loc="upper left", fontsize=9)
    z = np.linspace(lower, upper, 201)
    bound = bound_of_absolute_value(slope)
    right.plot(z, np.abs(z), color=COLOURS["truth"], linewidth=2, label="y = |z|, a network")
    right.plot(z, (2 * slope - 1) * z, color=COLOURS["lower bound"], linestyle="-.", label="what the line makes of it")
    right.axhline(bound, color=COLOURS["lower bound"], linestyle=":", label="lower bound on y")
    right.set(xlabel="pre-activation z (no unit)", ylabel=OUTPUT_NAME, title=f"lower bound on y: {bound:.2f}")
    right.set_ylim(-2.2, 2.2)
    right.legend(loc="lower right", fontsize=9)
    return figure


@in_course_style
def draw_slopes(guess: float | None = None) -> Axes:
    """Draw the area and the bound on |z| for all slopes from 0 to 1, with a guess of the best slope if there is one."""
    slopes = np.linspace(0, 1, 101)
    ax = plt.subplots(figsize=(6.8, 3.4))[1]
    ax.plot(slopes, [area_of(s) for s in slopes], color=COLOURS["sample"], linestyle="--", label="area (z squared)")
    bounds = [bound_of_absolute_value(s) for s in slopes]
    ax.plot(slopes, bounds, color=COLOURS["lower bound"], label="lower bound on |z| (no unit)")
    if guess is not None:
        ax.axvline(guess, color=COLOURS["counterexample"], linestyle=":", label="your guess")
    ax.set(xlabel="slope of the line below (no unit)", ylabel="area; lower bound")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)
    best = float(slopes[int(np.argmax(bounds))])
    print(
        f"The area falls from {area_of(0):.2f} at slope 0 to {area_of(1):.2f} at slope 1; the bound on |z| is best, "
        f"{max(bounds) + 0.0:.2f}, at slope {best:.2f}, and {bounds[0]:.2f} and {bounds[-1]:.2f} at the two ends."
    )
    return ax


def slope_slider() -> None:
    """Show a slider for the slope and the picture that follows it; without widgets, a line that says so."""
    try:
        from ipywidgets import FloatSlider, interact
    except ImportError:
        print("ipywidgets is missing, so there is no slider; the pictures below show the same.")
        return

    def show(slope: float) -> None:
        draw_slope(slope)
        plt.show()

    slider = FloatSlider(1.0, min=0.0, max=1.0, step=0.05, description="slope", continuous_update=False)
    interact(show, slope=slider)


@in_course_style
def draw_parts(names: Sequence[str], parts: Sequence[Sequence[Any]], box: Sequence[Any]) -> list[Axes]:
    """Draw the proved parts of searches over a box of two inputs side by side.

    Args:
        names: What stands above each picture.
        parts: For each search its proved boxes, (lower, upper) pairs.
        box: The whole box, a (lower, upper) pair.
    """
    lower, upper = (np.asarray(side, float) for side in box)
    room = 0.05 * (upper - lower)
    row = plt.subplots(1, len(names), figsize=(4.6 * len(names), 4.2), squeeze=False)[1][0]
    for ax, name, proved in zip(row, names, parts, strict=True):
        colour = COLOURS["verified"]
        counted = f"{len(proved)} proved part{'s' * (len(proved) != 1)}"
        for low, high in proved:
            low, high = np.asarray(low, float), np.asarray(high, float)
            patch = Rectangle(low, *(high - low), facecolor=colour, alpha=0.35, edgecolor="#222222", linewidth=0.8)
            ax.add_patch(patch)
        ax.add_patch(Rectangle(lower, *(upper - lower), fill=False, edgecolor=COLOURS["spec"], linewidth=1.8))
        (left, bottom), (right, top) = lower - room, upper + room
        ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", title=f"{name}: {counted}")
        ax.set(xlabel=INPUT_NAMES[0], ylabel=INPUT_NAMES[1])
        print(f"{name}: the box is covered by {counted}")
    return list(row)


@in_course_style
def draw_part_bounds(bounds: Sequence[float], guess: float | None = None) -> Axes:
    """Draw the lower bound of every part of a search in the order in which they were bounded.

    Args:
        bounds: One for each part; a part is proved where it is at least 0.
        guess: How many parts somebody expected.
    """
    ax = plt.subplots(figsize=(7.2, 3.4))[1]
    values, places = np.asarray(bounds, float), np.arange(1, len(bounds) + 1)
    for name, mask, marker in (("verified", values >= 0, "o"), ("unknown", values < 0, "s")):
        label = f"{'proved' if name == 'verified' else 'split again'}: {int(mask.sum())}"
        ax.scatter(places[mask], values[mask], color=COLOURS[name], marker=marker, s=34, label=label, zorder=3)
    ax.axhline(0, color=COLOURS["truth"], linestyle=":", label="the spec's limit, 0")
    if guess is not None:
        ax.axvline(guess, color=COLOURS["counterexample"], linestyle="--", label="your guess")
    ax.set(xlabel="part (in the order of the search)", ylabel="lower bound on the margin (score)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)
    print(f"{len(values)} parts were bounded: {int((values >= 0).sum())} proved, {int((values < 0).sum())} split again")
    return ax


@in_course_style
def draw_image_box(lower: Any, image: Any, upper: Any) -> Figure:
    """Draw the darkest and the brightest image of a box around an image.

    Args:
        lower: Grey values, 784 of them; so are the others.
        image: The image itself.
        upper: The brightest.
    """
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 3.1))
    titles = ("every pixel lowest", "the image", "every pixel highest")
    for ax, picture, title in zip(axes, (lower, image, upper), titles, strict=True):
        shown = ax.imshow(np.asarray(picture, float).reshape(28, 28), cmap="gray", vmin=0, vmax=1)
        ax.set(title=title, xlabel="column (pixels)", ylabel="row (pixels)")
    figure.colorbar(shown, ax=axes, shrink=0.75, label="grey value (0 black, 1 white)")
    return figure


@in_course_style
def draw_race(entries: Mapping[str, Sequence[tuple[str, float]]]) -> Axes:
    """Draw what each verifier answered to each question, and in what time.

    Args:
        entries: For each verifier's name, a (verdict, CPU seconds) pair for every question.
    """
    count = max(len(row) for row in entries.values())
    ax = plt.subplots(figsize=(10.2, 1.3 + 0.75 * len(entries)))[1]
    for line, (name, row) in enumerate(entries.items()):
        for place, (verdict, seconds) in enumerate(row):
            patch = Rectangle((place + 0.54, line - 0.4), 0.92, 0.8, hatch=HATCHES[verdict], linewidth=0.5)
            patch.set(facecolor=(*_rgb(COLOURS[verdict]), 0.35), edgecolor=COLOURS[verdict])
            ax.add_patch(patch)
            ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}  # the hatch hides digits
            ax.text(place + 1, line, f"{1000 * seconds:.0f}", ha="center", va="center", fontsize=8, bbox=ground)
        settled = sum(verdict != "unknown" for verdict, _ in row)
        print(f"{name}: {settled} of {len(row)} settled in {sum(seconds for _, seconds in row):.2f} CPU seconds")
    for verdict in VERDICTS:
        look = {"facecolor": (*_rgb(COLOURS[verdict]), 0.35), "edgecolor": COLOURS[verdict], "hatch": HATCHES[verdict]}
        ax.add_patch(Rectangle((-9, -9), 0.1, 0.1, label=verdict, **look))
    ax.set(xlim=(0.4, count + 0.6), ylim=(len(entries) - 0.4, -0.6))
    ax.set_xlabel("question (number); in each cell the CPU time (ms)")
    ax.set_yticks(range(len(entries)), list(entries))
    ax.set_xticks(range(1, count + 1))
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)
    return ax


@in_course_style
def draw_where_time_goes(seconds: Mapping[str, float]) -> Axes:
    """Draw what a search spent its time on: one bar, a piece for each kind of work.

    Args:
        seconds: CPU seconds of each kind.
    """
    ax = plt.subplots(figsize=(8.2, 1.7))[1]
    start, total = 0.0, sum(seconds.values())
    hatches = ("", "//", "..", "xx")
    for (name, spent), (colour, _), hatch in zip(seconds.items(), SERIES, hatches, strict=False):
        label = f"{name}: {spent / total:.0%}"
        ax.barh([0], [spent], left=[start], color=colour, alpha=0.6, hatch=hatch, edgecolor="white", label=label)
        start += spent
    ax.set(xlabel="CPU time (s)", yticks=[], xlim=(0, total))
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)
    print(", ".join(f"{name}: {spent:.2f} s ({spent / total:.0%})" for name, spent in seconds.items()))
    return ax


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue
