"""Clean, attacked and verified accuracy of a classifier over a set of images, with every image's verdict in a table."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from verifier.answer.budget import Budget, ImageBar
from verifier.answer.reason import time_is_up
from verifier.answer.verdict import Question, Verdict
from verifier.asking.robustness import (
    perturbation_box,
    read_classifier,
    read_image,
    read_label,
    verify_box,
)
from verifier.bounds.crown import crown_bounds
from verifier.bounds.interval import interval_bounds
from verifier.enclosure import MAX_MAGNITUDE, Array, Bounds
from verifier.errors import SpecError
from verifier.narrowed import MANY_OUTPUTS
from verifier.pipeline import check_options, whole_call
from verifier.question.forms import Net, Numbers, Shape
from verifier.question.numbers import shown
from verifier.question.spec import Box, argmax_is
from verifier.subject import Subject

BATCH_BYTES = 128 * 2**20  # memory of the largest array that bounds of several images at once may take
COMPARED_AT_ONCE = 16  # images; the values of every neuron are held for each


@dataclass(frozen=True, eq=False)
class ImageVerdict:
    """What was found for one image: row `index` of the table.

    Args:
        index: Its place among the images.
        label: The class that it shows.
        predicted: The class that the network gives it.
        verdict: VERIFIED: the label is read everywhere in its box. FALSIFIED: not everywhere, perhaps not even at the
            image itself. UNKNOWN: neither was reached.
        stage: Which stage settled it, or the reason why none did.
        seconds: Its share of the time.
        counterexample: As it can be fed to the network; None where there is none.
    """

    index: int
    label: int
    predicted: int
    verdict: Verdict
    stage: str
    seconds: float
    counterexample: Any = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class AccuracyResult:
    """Every image's verdict at one radius, and what they add up to; fractions are of all images that were given.

    Args:
        radius: In the unit of the inputs.
        images: How many images were given; the table is shorter where the work was interrupted.
        table: One entry an image.
    """

    radius: float
    images: int
    table: tuple[ImageVerdict, ...]

    @property
    def clean(self) -> float:
        """The fraction that is read rightly, of those in the table."""
        return self._share([row.label == row.predicted for row in self.table], max(len(self.table), 1))

    @property
    def verified(self) -> float:
        """The fraction proved robust: a lower bound on the accuracy under any attack within the radius."""
        return self._share([row.verdict is Verdict.VERIFIED for row in self.table], self.images)

    @property
    def attacked(self) -> float:
        """The fraction for which no counterexample was met: an upper bound on the accuracy under attack."""
        return 1.0 - self._share([row.verdict is Verdict.FALSIFIED for row in self.table], self.images)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it before every image had its turn."""
        return len(self.table) < self.images

    def count(self, verdict: Verdict) -> int:
        """How many images have this verdict."""
        return sum(row.verdict is verdict for row in self.table)

    @staticmethod
    def _share(flags: Sequence[bool], of: int) -> float:
        return sum(flags) / of

    def __str__(self) -> str:
        """Write the counts in one line."""
        counts = ", ".join(f"{self.count(verdict)} {verdict.value}" for verdict in Verdict)
        rest = f"; interrupted after {len(self.table)} of {self.images}" if self.interrupted else ""
        return f"radius {self.radius:.4g}: {counts} of {self.images} images{rest}; clean accuracy {self.clean:.1%}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{row.index}</td><td>{row.label}</td><td>{row.predicted}</td><td>{row.verdict.value}</td>"
            f"<td>{html.escape(row.stage)}</td><td>{row.seconds:.3g}</td></tr>"
            for row in self.table
        )
        heads = "".join(f"<th>{name}</th>" for name in ("image", "label", "read as", "verdict", "by", "seconds"))
        table = f"<table><tr>{heads}</tr>{rows}</table>"
        return f"<div>{html.escape(str(self))}</div><details><summary>every image</summary>{table}</details>"


def verified_accuracy(
    net: Net, images: Numbers | Sequence[Any], labels: Numbers, radius: float, norm: str = "inf",
    clip: tuple[float, float] | None = None, *, input_shape: Shape | None = None, timeout_s: float | None = None,
    timeout_per_image_s: float | None = 10.0, max_subdomains: int | None = None, method: str = "auto", seed: int = 0,
    progress: bool | None = None,
) -> AccuracyResult:  # fmt: skip
    """Ask verify_robust() of every image, the cheap bounds of many images at once.

    With method="auto" intervals and CROWN bound batches of boxes first; each image left is then asked by itself. By
    name: "ibp" and "crown" are the batches alone, "attack" looks for counterexamples only, others ask one by one.
    Ctrl-C ends it and keeps what is done.

    Args:
        net: As for verify_robust().
        images: Shape (num, ...), each as for verify_robust().
        labels: The class that each shows, (num,).
        radius: As for verify_robust().
        norm: "inf".
        clip: As for verify_robust().
        input_shape: As for verify().
        timeout_s: Wall time of the whole call in seconds; None for no limit. Images that it leaves are UNKNOWN.
        timeout_per_image_s: Wall time for each image that the batches leave open; None for no limit.
        max_subdomains: Subdomains for each image, for repeatable runs; None for no limit.
        method: As for verify().
        seed: For the attack's random starts.
        progress: As for verify(), one step for each image.

    Raises:
        SpecError: Images and labels do not fit together or to the network.
        OptionError, NetworkError: As for verify_robust().
    """
    rows = [
        read_image(image, f"images[{i}]", warn=i == 0)
        for i, image in enumerate(_each(images, "images: expected one image a row"))
    ]
    given = _each(labels, "labels: expected one class an image")
    if len(rows) != len(given) or not rows:
        raise SpecError(f"labels: {len(given)} labels for {len(rows)} images; expected one an image, and at least one")
    boxes = [perturbation_box(x, radius, norm, clip) for x in rows]
    subject = read_classifier(net, rows[0], input_shape, boxes[0])
    checked = [read_label(label, subject, f"labels[{i}]") for i, label in enumerate(given)]
    for i, x in enumerate(rows):
        if x.size != rows[0].size:
            raise SpecError(f"images[{i}]: {x.size} inputs, but images[0] has {rows[0].size}; all must have one shape")
    found: dict[int, ImageVerdict] = {}
    check_options(None, timeout_s, max_subdomains, 1, method, seed, timeout_per_image_s=timeout_per_image_s)
    whole, each = whole_call(timeout_s, None, False), whole_call(timeout_per_image_s, max_subdomains, False)
    bar = ImageBar(len(rows), progress)
    try:
        predicted = _predict(subject, rows)

        def keep(i: int, verdict: Verdict, stage: str, seconds: float, case: Any = None) -> None:
            found[i] = ImageVerdict(i, checked[i], predicted[i], verdict, stage, seconds, case)
            bar.step(sum(row.verdict is Verdict.VERIFIED for row in found.values()))

        right = [i for i in range(len(rows)) if predicted[i] == checked[i]]
        stages = {"auto": ("ibp", "crown"), "ibp": ("ibp",), "crown": ("crown",)}.get(method, ())
        for stage in stages if subject.network.outputs <= MANY_OUTPUTS or method != "auto" else ():
            right = _settle_in_batches(subject, stage, boxes, checked, right, keep, whole.time_is_up)
        if method in ("ibp", "crown"):
            for i in right:
                late = str(time_is_up(whole.timeout_s)) if whole.time_is_up() else ""
                keep(i, Verdict.UNKNOWN, late or f"the bounds of {method} leave it open", 0.0)
        for i in sorted(set(range(len(rows))) - set(found)):
            if whole.time_is_up():
                keep(i, Verdict.UNKNOWN, str(time_is_up(whole.timeout_s)), 0.0)
                continue
            cases: list[Any] = []
            share = whole.share(1.0, each.max_subdomains, at_most_s=each.timeout_s)
            result = verify_box(share, subject, rows[i], checked[i], boxes[i], cases, method=method, seed=seed)
            if result.interrupted:
                raise KeyboardInterrupt
            case = cases[0] if cases else None
            keep(i, result.verdict, result.stage or result.reason, result.seconds, case)
    except KeyboardInterrupt:
        pass
    finally:
        bar.close()
    return AccuracyResult(float(radius), len(rows), tuple(found[i] for i in sorted(found)))


def _predict(subject: Subject, images: Sequence[Array]) -> list[int]:
    """The class that the caller's network gives each image; what it computes there is compared with what was read."""
    predicted: list[int] = []
    for first in range(0, len(images), COMPARED_AT_ONCE):
        points = subject.round(np.stack(images[first : first + COMPARED_AT_ONCE]))
        outputs = subject.run(points)
        if subject.check is not None:
            subject.check(points, outputs)
        predicted += np.argmax(outputs, axis=1).tolist()
    return predicted


def _settle_in_batches(
    subject: Subject, stage: str, boxes: Sequence[Box], labels: Sequence[int], left: list[int], keep: Any,
    stop: Callable[[], bool],
) -> list[int]:  # fmt: skip
    """Bound many boxes at once, label by label; keep those that are verified, and return the others."""
    network = subject.network
    bound = interval_bounds if stage == "ibp" else crown_bounds
    wide = max([network.outputs, *(len(layer.bias) for layer in network.layers[:-1])]) * network.inputs
    size = max(1, int(BATCH_BYTES / (8 * wide)))
    open_: list[int] = []
    for label in sorted({labels[i] for i in left}):
        mine = [i for i in left if labels[i] == label]
        for first in range(0, len(mine), size):
            some = mine[first : first + size]
            if stop():
                open_ += some
                continue
            questions = [Question.ask(subject, boxes[i], argmax_is(label)) for i in some]
            budget = Budget()
            lower = np.stack([question.box.lower for question in questions])
            upper = np.stack([question.box.upper for question in questions])
            if network.reach(np.maximum(np.abs(lower), np.abs(upper)).max(axis=0)) > MAX_MAGNITUDE / 2:
                open_ += some
                continue
            margins = questions[0].margins
            bounds = bound(network, Bounds(lower, upper), margins.rows)
            proved = set(np.flatnonzero(np.all(margins.settled(margins.lower(bounds.rows.lower)), axis=1)).tolist())
            seconds = budget.seconds / len(some)
            for place, i in enumerate(some):
                if place in proved:
                    keep(i, Verdict.VERIFIED, "interval" if stage == "ibp" else "crown", seconds)
                else:
                    open_.append(i)
    return sorted(open_)


def _each(values: Any, expected: str) -> list[Any]:
    try:
        return list(values)
    except TypeError:
        raise SpecError(f"{expected}, found {shown(values)}") from None
