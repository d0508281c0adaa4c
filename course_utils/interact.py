"""Sliders that ask the verifier while they move. Each leaves an ordinary picture, and needs ipywidgets only.

Without a notebook, as in grading, only the picture of the first position is drawn.
"""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from course_utils.checks import GROUNDS
from course_utils.plots import (
    described,
    draw_circle,
    draw_image_pair,
    draw_network,
    draw_output_limits,
    draw_search,
    draw_spec,
    in_words,
    zoom,
)
from course_utils.training import in_notebook
from verifier import Verdict, argmax_is, output_bounds, pointwise_robustness, split_trace, verify

VERDICT_KIND = {Verdict.VERIFIED: "good", Verdict.FALSIFIED: "bad", Verdict.UNKNOWN: "note"}
SUBDOMAINS = 300  # of one verdict, so that a slider never waits long


def follow(draw: Callable[..., tuple[Figure, str, str]], sliders: dict[str, Any]) -> None:
    """Draw a picture, and draw it again in the same place whenever a slider moves.

    Args:
        draw: Takes the sliders' values by name; gives a figure, a line that says what it shows, and that line's kind:
            "good", "bad" or "note".
        sliders: ipywidgets with a `value`, by name.
    """
    figure, line, kind = draw(**{name: slider.value for name, slider in sliders.items()})
    in_words(figure, line)
    if not in_notebook():
        print(line)
        return
    import ipywidgets as widgets
    from IPython.display import display

    said = widgets.HTML(_badge(line, kind))
    plt.close(figure)
    display(widgets.VBox([*sliders.values(), said]))
    shown = display(figure, display_id=True)

    def redraw(_: Any) -> None:
        values = {name: slider.value for name, slider in sliders.items()}
        try:
            new, text, its_kind = draw(**values)
        except Exception as error:  # in a slider's callback an error would vanish
            said.value = _badge(f"{type(error).__name__}: {error}", "bad")
            return
        plt.close(new)
        said.value = _badge(text, its_kind)
        shown.update({"image/png": _png(new)}, {"image/png": {"alt": f"{described(new)} {text}"}}, raw=True)

    for slider in sliders.values():
        slider.observe(redraw, "value")


def move_box(net: nn.Module) -> None:
    """Three sliders move a box over the circle; the verdict on its side of the circle, and both bounds, follow.

    What is asked is what the truth at the box's middle is: y >= 0.5 inside the circle, y < 0.5 outside.

    Args:
        net: Two inputs, one output.
    """
    from verifier import less_than

    def draw(x1: float, x2: float, half: float) -> tuple[Figure, str, str]:
        box = [[x1 - half, x1 + half], [x2 - half, x2 + half]]
        inside = (x1 - 0.5) ** 2 + (x2 - 0.5) ** 2 <= 0.25
        asked = "y >= 0.5" if inside else "y < 0.5"
        result = verify(
            net, box, [[0.5, None]] if inside else less_than(0.5), max_subdomains=SUBDOMAINS, progress=False
        )
        ax = zoom([0.0, 1.5], [0.0, 1.5], plt.subplots(figsize=(6.6, 4.2))[1])
        draw_network(net, ax, steps=120)
        draw_circle(ax)
        draw_spec(*box, ax, name=f"{asked}: {result.verdict}")
        bounds = {
            name: output_bounds(net, box, method=method) for name, method in (("interval", "ibp"), ("CROWN", "crown"))
        }
        numbers = ", ".join(f"{name} {float(b.lower[0]):.3f} to {float(b.upper[0]):.3f}" for name, b in bounds.items())
        return ax.figure, f"{asked}: {result.verdict}; bounds: {numbers}", VERDICT_KIND[result.verdict]

    follow(
        draw,
        {
            "x1": _slider("x1 of the middle", 0.5, 0.0, 1.5, 0.01),
            "x2": _slider("x2 of the middle", 0.5, 0.0, 1.5, 0.01),
            "half": _slider("half the width", 0.1, 0.005, 0.4, 0.005),
        },
    )


def change_noise(digit: Any) -> None:
    """A slider for the radius of the noise, in grey levels of 255; the verdict, and the noise that was found, follow.

    Args:
        digit: Has `image`, `label` and `net`, as `noisy_digit()` has.
    """

    def draw(levels: int) -> tuple[Figure, str, str]:
        box = [[max(v - levels / 255, 0.0), min(v + levels / 255, 1.0)] for v in digit.image.reshape(784).tolist()]
        cases: list[Any] = []
        result = verify(digit.net, box, argmax_is(digit.label), cases, max_subdomains=SUBDOMAINS, progress=False)
        other = cases[0].reshape(28, 28) if cases else digit.image
        read = int(digit.net(other.reshape(1, 784)).argmax())
        titles = ["the image", f"found: read as {read}" if cases else "no counterexample found"]
        line = f"noise of up to {levels} of 255 grey levels: {result.verdict}"
        return draw_image_pair(digit.image, other, titles), line, VERDICT_KIND[result.verdict]

    follow(draw, {"levels": _slider("grey levels", 4, 1, 12, 1)})


def step_through_search(net: nn.Module, x_specs: Any, y_specs: Any, *, method: str = "ibp", most: int = 60) -> None:
    """A slider for the number of boxes after which a search over the plane stops.

    Args:
        net: Two inputs, one output.
        x_specs: As for verify().
        y_specs: As for verify().
        method: The bounds: "ibp" or "crown".
        most: The largest number of boxes.
    """

    def draw(boxes: int) -> tuple[Figure, str, str]:
        search = split_trace(net, x_specs, y_specs, method=method, max_subdomains=boxes)
        ax = plt.subplots(figsize=(6.6, 4.2))[1]
        sides = np.asarray(x_specs, dtype=float)
        room = 0.1 * (sides[:, 1] - sides[:, 0]).max()
        zoom([sides[0, 0] - room, sides[0, 1] + room], [sides[1, 0] - room, sides[1, 1] + room], ax)
        draw_search(search.boxes, ax)
        draw_circle(ax)
        line = f"after {boxes} box{'' if boxes == 1 else 'es'}: {search.result.verdict}"
        return ax.figure, line, VERDICT_KIND[search.result.verdict]

    follow(draw, {"boxes": _slider("boxes", 1, 1, most, 1)})


def move_limits(net: nn.Module, x_specs: Any, limits: Sequence[Sequence[float]], label: int) -> None:
    """Sliders for the limits on ten outputs, next to the proved bounds; below them stands the list, to be copied.

    Args:
        net: Ten outputs.
        x_specs: As for verify().
        limits: Ten [lower, upper] pairs to begin with.
        label: The class that should win.
    """
    bounds = verify(net, x_specs, argmax_is(label), progress=False).output_bounds
    low = min(float(np.min(bounds.lower)), min(pair[0] for pair in limits)) - 1.0
    high = max(float(np.max(bounds.upper)), max(pair[1] for pair in limits)) + 1.0
    sliders = {str(k): _slider(f"output {k}", tuple(pair), low, high, 0.01) for k, pair in enumerate(limits)}

    def draw(**pairs: tuple[float, float]) -> tuple[Figure, str, str]:
        rounded = [[round(side, 2) for side in pairs[str(k)]] for k in range(len(limits))]
        ax = draw_output_limits(bounds, rounded, label=label)
        verdict = verify(net, x_specs, rounded, max_subdomains=SUBDOMAINS, progress=False).verdict
        rivals = [k for k, (_, most) in enumerate(rounded) if k != label and most >= rounded[label][0]]
        wins = f"class {rivals[0]} may still win" if rivals else f"no class can pass {label}"
        good = verdict is Verdict.VERIFIED and not rivals
        return ax.figure, f"{verdict}; {wins}; y_specs_tuned = {rounded}", "good" if good else VERDICT_KIND[verdict]

    follow(draw, sliders)


def draw_a_digit(net: nn.Module, drawing: str) -> None:
    """What the network reads in a drawing of characters, and up to which radius that is proved.

    Args:
        net: Takes 784 grey values, gives ten outputs.
        drawing: Lines of text; a space or a full stop is black, every other character white.
    """
    image = from_text(drawing)
    read = int(net(image.reshape(1, 784)).argmax())
    found = pointwise_robustness(net, image, 0.2, method="crown", clip=(0.0, 1.0), tolerance=0.002, progress=False)
    figure, ax = plt.subplots(figsize=(3.2, 3.4))
    ax.imshow(image.reshape(28, 28), cmap="gray", vmin=0, vmax=1)
    ax.set(title=f"read as {read}", xlabel="column (pixels)", ylabel="row (pixels)")
    line = f"your digit is read as {read}; proved for every change of up to {found.lower:.3f} grey"
    in_words(figure, line)
    print(line)


def from_text(drawing: str) -> torch.Tensor:
    """A drawing of characters as 784 grey values: fitted into the middle 20 x 20 pixels, as MNIST's digits are.

    Raises:
        ValueError: Nothing is drawn.
    """
    lines = [line for line in drawing.splitlines() if line.strip(" .")]
    if not lines:
        raise ValueError("drawing: nothing is drawn; every character but a space and a full stop is white")
    width = max(map(len, lines))
    ink = torch.tensor([[float(mark not in " .") for mark in line.ljust(width)] for line in lines])
    columns = ink.sum(dim=0).nonzero()
    ink = ink[:, int(columns.min()) : int(columns.max()) + 1]
    rows, across = ink.shape
    size = (20, max(1, min(20, round(20 * across / rows))))
    small = nn.functional.interpolate(ink[None, None], size=size, mode="bilinear", antialias=True)[0, 0]
    image = torch.zeros(28, 28)
    left = (28 - size[1]) // 2
    image[4:24, left : left + size[1]] = small.clamp(0, 1)
    return image.reshape(784)


def _slider(name: str, value: Any, low: float, high: float, step: float) -> Any:
    """A slider with its name in front; a pair of values makes one with two ends."""
    import ipywidgets as widgets

    kinds = (widgets.IntSlider, widgets.FloatSlider, widgets.FloatRangeSlider)
    kind = kinds[2] if isinstance(value, tuple) else kinds[not isinstance(value, int)]
    wide = {"layout": widgets.Layout(width="28em"), "style": {"description_width": "9em"}}
    return kind(value=value, min=low, max=high, step=step, description=name, **wide)


def _badge(line: str, kind: str) -> str:
    return (
        f'<div role="status" style="color:#ffffff;background:{GROUNDS[kind]};padding:0.2em 0.6em;line-height:1.4">'
        f"{html.escape(line)}</div>"
    )


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", bbox_inches="tight")
    return stream.getvalue()
