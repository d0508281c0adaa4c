"""What all pictures of the course share: one colour for one meaning, a white ground, and one legend for each picture.

Pictures keep a white ground of their own, so that they read the same in a light and in a dark notebook. Bounds are
blue and orange (Okabe and Ito), which stay apart for colour-blind eyes; verdicts have the colours in which a Result
prints itself; shapes and hatches repeat what the colours say.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
HATCHES = {"verified": "", "falsified": "///", "unknown": "..."}
OUTPUT_NAME = "output y (no unit)"

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

_WORDS: weakref.WeakKeyDictionary[Any, list[str]] = weakref.WeakKeyDictionary()  # of each figure

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


def draw_legend(ax: Axes, **options: Any) -> None:
    """One legend of all that has been drawn so far, each name once."""
    handles, names = ax.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    if unique:
        ax.legend(
            unique.values(),
            unique.keys(),
            **{"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "fontsize": 9, **options},
        )


def in_words(picture: Axes | Figure, words: str) -> None:
    """Add a sentence to what a picture says in words; a sentence that is there already is not repeated."""
    figure = picture if isinstance(picture, Figure) else picture.get_figure()
    known = _WORDS.setdefault(figure, [])
    if words not in known:
        known.append(words)


def described(figure: Figure) -> str:
    """What a picture says in words, for those who do not see it; empty where nobody said anything."""
    return " ".join(_WORDS.get(figure, []))
