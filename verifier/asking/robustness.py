"""Robustness of a classifier around one image: at one radius, and the largest radius, by verify().

A box of radius r around an image holds every image whose inputs differ from it by at most r (the maximum norm), cut to
the valid range of inputs where `clip` names one.
"""

from __future__ import annotations

import dataclasses
import html
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.verdict import Question, Result, Verdict
from verifier.enclosure import Array
from verifier.errors import OptionError, SpecError, warn_caller
from verifier.frontends.read import read_subject
from verifier.narrowed import MANY_OUTPUTS
from verifier.network import Subject
from verifier.pipeline import check_options, verify_within, whole_call
from verifier.question.forms import Net, Numbers, Shape
from verifier.question.numbers import as_finite, as_index, as_numbers
from verifier.question.spec import Box, argmax_is
from verifier.search.protocol import Replayer
from verifier.stages import Run

RAW_PIXELS = 16.0  # inputs beyond this look like grey levels of 0 to 255: a normalised image stays within about 3
MAX_RADII = 60  # asked at most by one bisection
BATCH_BYTES = 128 * 2**20  # memory of the largest array that bounds of several images at once may take
MISCLASSIFIED = "the image itself: not robust at radius 0"


def verify_robust(
    net: Net, image: Numbers, label: int, radius: float, norm: str = "inf", clip: tuple[float, float] | None = None,
    counterexamples: list[Any] | None = None, *, input_shape: Shape | None = None, timeout_s: float | None = 60.0,
    max_subdomains: int | None = None, max_counterexamples: int = 10, method: str = "auto", seed: int = 0,
    progress: bool | None = None,
) -> Result:  # fmt: skip
    """Decide whether a classifier reads `label` everywhere within a radius of an image.

    A misclassified image is FALSIFIED by itself, without a search; `Result.stage` says so. The box is computed in
    float64, each side rounded to nearest. Networks, soundness and completeness as for verify() with argmax_is(label).

    Args:
        net: As for verify(): the largest output names the class.
        image: What the network takes, of any shape; it is flattened.
        label: The class that it shows, counted from 0.
        radius: Half-width of the box, in the unit of the inputs; > 0.
        norm: "inf", the largest change of any input; no other norm is decided here.
        clip: (lowest, highest) valid value of an input, to which the box is cut; None for no cut.
        counterexamples: A list to which counterexamples are appended.
        input_shape, timeout_s, max_subdomains, max_counterexamples, method, seed, progress: As for verify().

    Returns:
        What verify() returns.

    Raises:
        SpecError: The image, label, radius or clip cannot be read, or does not fit.
        OptionError: norm is not "inf", or an option cannot be read.
        NetworkError: As for verify().
    """
    x = read_image(image, "image")
    box = perturbation_box(x, radius, norm, clip)
    subject = read_classifier(net, x, input_shape, box)
    label = read_label(label, subject)
    check_options(counterexamples, timeout_s, max_subdomains, max_counterexamples, method, seed)
    budget = whole_call(timeout_s, max_subdomains, progress)
    return verify_box(
        budget, subject, x, label, box, counterexamples, max_counterexamples=max_counterexamples, method=method,
        seed=seed,
    )  # fmt: skip


def perturbation_box(image: Any, radius: float, norm: str = "inf", clip: tuple[float, float] | None = None) -> Box:
    """Every input within a radius of an image, cut to the valid range where clip names one.

    Raises:
        SpecError: The radius is not > 0, clip is no range, or the image lies outside it.
        OptionError: norm is not "inf".
    """
    if not (isinstance(norm, str | float) and norm in ("inf", math.inf)):
        raise OptionError(
            f"norm: found {norm!r}, but only 'inf' (the largest change of any input) makes a box; "
            "other norms are not decided here"
        )
    as_finite(radius, "radius")
    return Box.around(read_image(image, "image", warn=False), radius, clip, name="image")


@dataclass(frozen=True)
class RadiusVerdict:
    """What was found at one radius: the verdict, the stage that settled it or the reason why none did, and its time."""

    radius: float
    verdict: Verdict
    stage: str
    seconds: float


@dataclass(frozen=True, eq=False)
class RobustnessResult:
    """How far from an input the class cannot change, and how near it does.

    Args:
        lower: Certified: the class is the same at every input up to this distance; 0 where nothing was proved.
        upper: Attained: the distance of the nearest counterexample met; infinite where none was met.
        counterexample: That counterexample, as it can be fed to the network; None where none was met.
        label: The class.
        table: Every radius that was asked, in order.
    """

    lower: float
    upper: float
    counterexample: Any
    label: int
    table: tuple[RadiusVerdict, ...]

    @property
    def gap(self) -> float:
        """What lies between proof and counterexample."""
        return self.upper - self.lower

    def __str__(self) -> str:
        """Write both distances in one line."""
        met = f"a counterexample at {self.upper:.6g}" if math.isfinite(self.upper) else "no counterexample met"
        return f"class {self.label}: proved up to {self.lower:.6g}, {met}; {len(self.table)} radii asked"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{row.radius:.6g}</td><td>{row.verdict.value}</td><td>{html.escape(row.stage)}</td>"
            f"<td>{row.seconds:.3g}</td></tr>"
            for row in self.table
        )
        heads = "".join(f"<th>{name}</th>" for name in ("radius", "verdict", "by", "seconds"))
        table = f"<table><tr>{heads}</tr>{rows}</table>"
        return f"<div>{html.escape(str(self))}</div><details><summary>every radius</summary>{table}</details>"


def pointwise_robustness(
    net: Net, x0: Numbers, radius: float, norm: str = "inf", method: str = "auto", *, label: int | None = None,
    clip: tuple[float, float] | None = None, tolerance: float | None = None, input_shape: Shape | None = None,
    timeout_s: float | None = None, timeout_per_radius_s: float | None = 60.0, max_subdomains: int | None = None,
    seed: int = 0, progress: bool | None = None,
) -> RobustnessResult:  # fmt: skip
    """Enclose the largest radius within which the class of x0 does not change, by bisection.

    Both ends are claims: `lower` was verified (rounded down by what computing the box can have rounded), `upper` is the
    distance of a counterexample that was replayed. A radius that stays UNKNOWN moves neither; the search then goes
    on below it, and the gap that is left is wider than the tolerance.

    Args:
        net: As for verify_robust().
        x0: The input; of any shape, it is flattened.
        radius: Where to stop looking, in the unit of the inputs; > 0.
        norm: "inf".
        method: As for verify().
        label: The class; None for the one that the network gives x0.
        clip: As for verify_robust(); distances are then those within the valid range.
        tolerance: The gap at which to stop; None for a hundredth of the radius.
        input_shape: As for verify().
        timeout_s: Wall time of the whole call in seconds; None for no limit. What is known by then is the answer.
        timeout_per_radius_s: Wall time for each radius asked; None for no limit.
        max_subdomains: Subdomains for each radius asked, for repeatable runs; None for no limit.
        seed: As for verify().
        progress: As for verify(), a bar for each radius.

    Raises:
        SpecError, OptionError, NetworkError: As for verify_robust().
    """
    x = read_image(x0, "x0")
    widest = perturbation_box(x, radius, norm, clip)  # refuses a bad radius before anything is run
    wanted = float(radius) / 100 if tolerance is None else as_finite(tolerance, "tolerance")
    if wanted <= 0:
        raise SpecError(f"tolerance: found {wanted:g}, expected a number > 0 in the unit of the inputs")
    check_options(None, timeout_s, max_subdomains, 1, method, seed, timeout_per_radius_s=timeout_per_radius_s)
    subject = read_classifier(net, x, input_shape, widest)
    whole, each = whole_call(timeout_s, None, False), whole_call(timeout_per_radius_s, max_subdomains, progress)
    known = int(np.argmax(subject.run(subject.round(x)[None])[0])) if label is None else read_label(label, subject)
    lower, upper, top, nearest = 0.0, math.inf, float(radius), None  # top: where the next proof is looked for
    misclassified = False  # the image itself
    unanswered = 0.0  # the largest radius that stayed UNKNOWN
    table: list[RadiusVerdict] = []

    def ask(size: float, method: str) -> Result:
        nonlocal lower, upper, nearest, misclassified
        found: list[Any] = []
        box = perturbation_box(x, size, norm, clip)
        by_image = answer_by_image(subject, x, known, box, found)
        misclassified = by_image is not None
        if by_image is None:
            share = dataclasses.replace(whole.share(1.0, each.max_subdomains, at_most_s=each.timeout_s), show=progress)
            result = verify_within(share, subject, box, argmax_is(known), found, method=method, seed=seed)
        else:
            result = by_image
        table.append(RadiusVerdict(size, result.verdict, result.stage or result.reason, result.seconds))
        if result:
            lower = max(lower, size - 4 * np.finfo(np.float64).eps * (float(np.abs(x).max()) + size))
        for case in found:
            distance = _distance(case, x)
            if distance < upper:
                upper, nearest = distance, case
        return result

    size = top
    while True:
        result = ask(size, method)
        if result.verdict is Verdict.UNKNOWN:
            unanswered = max(unanswered, size)
        if not result:
            top = min(size, upper)
        ended = result.interrupted or misclassified or len(table) >= MAX_RADII or whole.time_is_up()
        if ended or top - lower <= wanted or (result and size == top):
            break
        size = 0.5 * (lower + top)
    # what stayed UNKNOWN is not proved; a counterexample may still lie nearer than the nearest that was met
    while method == "auto" and not ended and max(unanswered, lower) < upper - wanted and upper < math.inf:
        size = 0.5 * (max(unanswered, lower) + upper)
        result = ask(size, "attack")
        if result.verdict is not Verdict.FALSIFIED:
            unanswered = size
        ended = result.interrupted or len(table) >= MAX_RADII or whole.time_is_up()
    return RobustnessResult(max(lower, 0.0), upper, nearest, known, tuple(table))


def verify_box(
    budget: Budget, subject: Subject, x: Array, label: int, box: Box, counterexamples: list[Any] | None = None, *,
    max_counterexamples: int = 10, method: str = "auto", seed: int = 0,
) -> Result:  # fmt: skip
    """Ask verify(), unless the image itself already answers."""
    by_image = answer_by_image(subject, x, label, box, counterexamples, max_counterexamples)
    if by_image is not None:
        return by_image
    return verify_within(
        budget, subject, box, argmax_is(label), counterexamples, max_counterexamples=max_counterexamples,
        method=method, seed=seed,
    )  # fmt: skip


def answer_by_image(
    subject: Subject, x: Array, label: int, box: Box, counterexamples: list[Any] | None = None, wanted: int = 1
) -> Result | None:
    """FALSIFIED where the image itself is a counterexample, which takes no search; None where it is not."""
    if subject.network.outputs > MANY_OUTPUTS:  # the question as a whole would take too much memory
        return None
    question = Question.ask(subject, box, argmax_is(label))
    replayer = Replayer(question)
    replayer.confirms(x)
    itself = replayer.counterexample
    if itself is None:
        return None
    run = Run(question, Budget(), 0, "attack")
    run.settle_falsified(MISCLASSIFIED, itself)
    if counterexamples is not None:
        counterexamples.extend([subject.to_caller(itself.x)][:wanted])
    return run.result()


def read_image(image: Any, name: str, warn: bool = True) -> Array:
    """One image as float64, flattened; warns where it looks like raw pixels."""
    x = np.atleast_1d(as_numbers(image, name)).reshape(-1)
    if not np.isfinite(x).all():
        raise SpecError(f"{name}: a value is NaN, None or infinite; every input must be a finite number")
    if warn and x.size and float(np.abs(x).max()) > RAW_PIXELS:
        warn_caller(
            f"{name}: values up to {float(np.abs(x).max()):g}: this looks like raw pixels; networks are trained on "
            "normalised ones as a rule, and radius and clip are in the unit of the inputs"
        )
    return x


def read_label(label: Any, subject: Subject, name: str = "label") -> int:
    """A class that the network has."""
    index = as_index(label, name)
    if index >= subject.network.outputs:
        outputs = subject.network.outputs
        raise SpecError(f"{name}: found {index}, but the network has {outputs} outputs, numbered 0 to {outputs - 1}")
    return index


def read_classifier(net: Any, x: Array, input_shape: tuple[int, ...] | None, box: Box) -> Subject:
    """The network, which must take as many inputs as the image has; its reading is checked in the image's box."""
    subject = read_subject(net, input_shape, x.size, (box.lower, box.upper))
    if subject.network.inputs != x.size:
        raise SpecError(
            f"image: {x.size} inputs, but the network takes {subject.network.inputs}; was one image meant, and is it "
            "resized as in training?"
        )
    if subject.network.outputs == 1:
        raise SpecError(
            "net: a network with one output has no largest output, so no class; ask verify() what the output must be, "
            "e.g. verify(net, box, less_than(0.5)) or greater_than(0.5)"
        )
    return subject


def _distance(case: Any, x: Array) -> float:
    """The largest difference of any input, rounded up."""
    difference = float(np.abs(as_numbers(case, "counterexample").reshape(-1) - x).max(initial=0.0))
    return math.nextafter(difference, math.inf) if difference else 0.0
