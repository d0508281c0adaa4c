"""Pictures of images: digits, an image next to its counterexample, limits on ten outputs, maps of 784 pixels.

Images are grey values, 0 black and 1 white; a pixel beyond that range is drawn as the nearest end of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_utils.plots.style import COLOURS, in_course_style, in_words

ROW, COLUMN, GREY = "row (pixels)", "column (pixels)", "grey value (0 black, 1 white)"
MAP_MARKS = ("x", "o", "+", "v")  # of a pixel map, from the smallest delta
METHOD_MARKS = {"interval": ("<", 9.0), "CROWN": ("s", 7.0), "verify": (">", 9.0)}


def _grey(image: Any) -> Any:
    return torch.as_tensor(image).detach().float().reshape(28, 28).numpy()


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
    in_words(
        figure, f"Left: {titles[0]}. Right: {titles[1]}. Middle: {middle}, up to {float(np.abs(noise).max()):.3f} grey."
    )
    return figure


@in_course_style
def plot_mnist(
    images: Any,
    labels: Any = None,
    answers: Any = None,
    *,
    titles: Sequence[str] | None = None,
    pixel: int | None = None,
    columns: int = 10,
    inches: float = 1.15,
) -> Figure:
    """Draw digits in a grid, each with its label and what the network reads; a wrong answer stands in red.

    Args:
        images: Grey values, (num, 784) or (num, 28, 28).
        labels: What they show, (num,).
        answers: What the network reads, (num,).
        titles: What stands above each digit instead, (num,).
        pixel: A pixel, 0 to 783, to which an arrow points in every digit.
        columns: Digits a line.
        inches: Width of a digit.
    """
    count = len(images)
    columns = min(columns, count)
    lines = math.ceil(count / columns)
    figure, axes = plt.subplots(lines, columns, figsize=(inches * columns, (inches + 0.2) * lines + 0.4), squeeze=False)
    said: list[str] = []
    for place, ax in enumerate(axes.reshape(-1)):
        ax.set_axis_off()
        if place >= count:
            continue
        ax.imshow(_grey(images[place]), cmap="gray", vmin=0, vmax=1)
        if pixel is not None:
            row, column = divmod(pixel, 28)
            arrow = {"arrowstyle": "->", "color": "white", "linewidth": 1.2}
            beside = {"va": "center", "ha": "left" if column < 14 else "right"}
            to = (column + (5 if column < 14 else -5), row + (3 if row < 14 else -3))
            ax.annotate(f"pixel {pixel}", (column, row), to, color="white", fontsize=9, arrowprops=arrow, **beside)
        parts = [] if labels is None else [f"a {int(labels[place])}"]
        parts += [] if answers is None else [f"read {int(answers[place])}"]
        wrong = labels is not None and answers is not None and int(labels[place]) != int(answers[place])
        title = ", ".join(parts) if titles is None else titles[place]
        said.append(title + (" (wrong)" if wrong else ""))
        ax.set_title(title, fontsize=9, color=COLOURS["falsified" if wrong else "truth"])
    figure.supxlabel(f"28 x 28 pixels each; {GREY}", fontsize=9)
    in_words(figure, f"{count} images: {'; '.join(said)}.")
    return figure


def draw_counterexample_image(image: Any, counterexample: Any, titles: Sequence[str]) -> Figure:
    """Draw an image, the difference, and the counterexample next to it; any shape of 784 grey values."""
    return draw_image_pair(_grey(image), _grey(counterexample), titles, middle="the difference")


@in_course_style
def draw_output_limits(bounds: Any, limits: Any = None, outputs: Any = None, *, label: int | None = None) -> Axes:
    """Draw proved bounds on the ten outputs, and the limits that a spec sets them.

    Args:
        bounds: An object with `lower` and `upper`, (10,) each, such as `Result.output_bounds`.
        limits: Ten [lower, upper] pairs, None for no limit.
        outputs: What the network gave for some input, (10,): drawn as a counterexample's.
        label: The class that should win; its tick is marked.
    """
    pairs = [[None, None]] * np.asarray(bounds.lower).size if limits is None else limits
    given = np.array([[math.nan if side is None else float(side) for side in pair] for pair in pairs])
    given[~np.isfinite(given)] = math.nan
    values = {name: np.asarray(getattr(bounds, name), float).reshape(-1) for name in ("lower", "upper")}
    if outputs is not None:
        values["outputs"] = np.asarray(torch.as_tensor(outputs).detach(), float).reshape(-1)
    both = limits is not None and bool(np.isfinite(given).all())
    axes = plt.subplots(1, 2 if both else 1, figsize=(11.6 if both else 8.0, 3.8), squeeze=False)[1][0]
    _output_limits(axes[0], values, given, label)
    if both:
        middle = given.mean(axis=1)
        _output_limits(axes[1], {name: one - middle for name, one in values.items()}, given - middle[:, None], label)
        axes[1].set_ylabel("output - middle of its limits (logit, no unit)")
    handles, names = axes[0].get_legend_handles_labels()
    axes[-1].legend(handles, names, loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)
    for k, (low, high) in enumerate(zip(values["lower"], values["upper"], strict=True)):
        asked = "" if limits is None else f", limits {given[k, 0]:.3g} to {given[k, 1]:.3g}".replace("nan", "none")
        in_words(axes[0], f"Output {k}{' (label)' if k == label else ''}: {low:.3g} to {high:.3g}{asked}.")
    return axes[0]


def _output_limits(ax: Axes, values: Mapping[str, Any], limits: Any, label: int | None) -> None:
    """Bounds, limits and outputs in one picture, each class in a column of its own."""
    classes = np.arange(len(limits))
    lower, upper = values["lower"], values["upper"]
    ax.vlines(classes, lower, upper, color="#BBBBBB", linewidth=5, zorder=1, label="where the output can be")
    ax.scatter(classes, lower, marker="^", s=95, color=COLOURS["lower bound"], zorder=3, label="lower bound")
    ax.scatter(classes, upper, marker="v", s=95, color=COLOURS["upper bound"], zorder=3, label="upper bound")
    for side, name in ((0, {"label": "the spec's limits"}), (1, {})):
        if np.isfinite(limits[:, side]).any():
            look = {"color": COLOURS["spec"], "linewidth": 1.8, "zorder": 4}
            ax.hlines(limits[:, side], classes - 0.36, classes + 0.36, **look, **name)
    if "outputs" in values:
        look = {"marker": "X", "s": 34, "color": COLOURS["counterexample"], "edgecolor": "white", "linewidth": 0.6}
        ax.scatter(classes, values["outputs"], label="outputs at the counterexample", zorder=5, **look)
    ax.set(xlabel="class (digit)", ylabel="output (logit, no unit)")
    ax.set_xticks(classes, [f"{k}\n(label)" if k == label else str(k) for k in classes])


@in_course_style
def draw_pixel_map(
    smallest: Any, deltas: Sequence[float], image: Any = None, *, asked: Sequence[int] | None = None
) -> Figure:
    """Draw up to which change of one pixel, the others untouched, the label is proved; next to the image.

    Args:
        smallest: For each pixel the smallest of the deltas at which the label was not proved, NaN where it was
            proved at all of them, infinite where neither was reached; (784,).
        deltas: The changes that were asked, in grey values.
        image: The image.
        asked: The pixels that were asked, 0 to 783, where they are not all; the others stay grey.
    """
    figure, axes = plt.subplots(
        1, 1 if image is None else 2, figsize=(5.6 if image is None else 9.8, 4.3), squeeze=False
    )
    if image is not None:
        shown = axes[0, 0].imshow(_grey(image), cmap="gray", vmin=0, vmax=1)
        axes[0, 0].set(title="the image", xlabel=COLUMN, ylabel=ROW)
        figure.colorbar(shown, ax=axes[0, 0], shrink=0.8, label=GREY)
    steps = sorted(deltas)
    values = np.asarray(smallest, float).reshape(28, 28)
    seen = np.zeros(784, bool)
    seen[range(784) if asked is None else asked] = True
    code = np.full(values.shape, len(steps) + 1)  # proved at every delta
    for place, delta in enumerate(steps):
        code[np.isclose(values, delta)] = place
    code[np.isinf(values)] = len(steps)
    purples = mpl.colormaps["Purples_r"](np.linspace(0.05, 0.6, len(steps)))
    colours = [*purples, mpl.colors.to_rgba(COLOURS["unknown"]), mpl.colors.to_rgba("#D9EAD3")]
    ax = axes[0, -1]
    code = np.where(seen.reshape(28, 28), code, -1)
    shown = ax.imshow(
        np.ma.masked_less(code, 0), cmap=mpl.colors.ListedColormap(colours), vmin=-0.5, vmax=len(steps) + 1.5
    )
    ax.set(title="one pixel changed by up to delta", xlabel=COLUMN, ylabel=ROW)
    marks = [*MAP_MARKS[: len(steps)], "?", ""]  # a mark in the cell says it without colour
    for place, mark in enumerate(marks):
        for row, column in zip(*np.nonzero(code == place), strict=True) if mark else ():
            colour = "white" if sum(colours[place][:3]) < 1.8 else "#222222"
            ax.text(column, row, mark, ha="center", va="center", fontsize=6, color=colour)
    bar = figure.colorbar(shown, ax=ax, shrink=0.8, ticks=range(len(steps) + 2))
    named = [*(f"not proved at {step:g}" for step in steps), "not settled", "proved at every delta"]
    bar.ax.set_yticklabels([f"{mark}  {name}".strip() for mark, name in zip(marks, named, strict=True)])
    in_words(
        figure,
        f"Of {seen.sum()} pixels: " + ", ".join(f"{(code == i).sum()} {name}" for i, name in enumerate(named)) + ".",
    )
    bar.set_label("smallest delta without a proof (grey values)")
    return figure


@in_course_style
def draw_robustness_gaps(
    results: Mapping[str, Sequence[Any]], images: Sequence[str], *, unit: str = "grey values"
) -> Axes:
    """Draw, image by image, how far each method proves and how near the nearest counterexample is.

    Args:
        results: By method ("interval", "CROWN", "verify"), a `RobustnessResult` an image.
        images: What to call each image.
        unit: Of the radius.
    """
    ax = plt.subplots(figsize=(8.4, 1.3 + 0.62 * len(images)))[1]
    rows = np.arange(len(images))[::-1]
    attained = [min(one.upper for one in column) for column in zip(*results.values(), strict=True)]
    proved = [max(one.lower for one in column) for column in zip(*results.values(), strict=True)]
    met = np.isfinite(attained)
    ax.barh(
        rows, proved, height=0.42, color=COLOURS["verified"], alpha=0.30, label="proved: no image changes the label"
    )
    ax.barh(rows[met], (np.array(attained) - np.array(proved))[met], left=np.array(proved)[met], height=0.42,
            color=COLOURS["unknown"], alpha=0.55, label="gap: neither proved nor attacked")  # fmt: skip
    for name, column in results.items():
        marker, size = METHOD_MARKS.get(name, ("o", 7.0))
        look = {"marker": marker, "markersize": size, "markerfacecolor": "none", "markeredgewidth": 1.5}
        lower = [one.lower for one in column]
        ax.plot(lower, rows, linestyle="", color=COLOURS["verified"], label=f"proved by {name}", clip_on=False, **look)
    for image, low, high in zip(images, proved, attained, strict=True):
        in_words(ax, f"{image}: proved up to {low:.3g}, counterexample at {high:.3g}.")
    ax.scatter(np.array(attained)[met], rows[met], marker="X", s=75, color=COLOURS["counterexample"], edgecolor="white",
               zorder=5, label="nearest counterexample met")  # fmt: skip
    ax.set(xlabel=f"radius ({unit})", ylabel="image", ylim=(-0.6, len(images) - 0.4))
    ax.set_xlim(left=0.0)
    ax.set_yticks(rows, images)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)
    return ax
