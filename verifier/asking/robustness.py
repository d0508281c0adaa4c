"""Robustness of a classifier around one image at one radius, by verify().

A box of radius r around an image holds every image whose inputs differ from it by at most r (the maximum norm), cut to
the valid range of inputs where `clip` names one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.verdict import Result
from verifier.enclosure import Array
from verifier.errors import OptionError, SpecError, warn_caller
from verifier.frontends.read import read_subject
from verifier.narrowed import MANY_OUTPUTS
from verifier.pipeline import check_options, verify_within, whole_call
from verifier.question.box import Box
from verifier.question.forms import Net, Numbers, Shape
from verifier.question.numbers import as_finite, as_index, as_numbers
from verifier.question.question import Question
from verifier.question.spec import argmax_is
from verifier.search.protocol import Replayer
from verifier.stages import Run
from verifier.subject import Subject

RAW_PIXELS = 16.0  # inputs beyond this look like grey levels of 0 to 255: a normalised image stays within about 3
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
