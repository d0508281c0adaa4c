"""pointwise_robustness: the distance from an input to the nearest input of another class, enclosed from both sides."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.verdict import Result, Verdict
from verifier.asking.ball import Ball, read_norm
from verifier.asking.distance import by_lp, by_planes, by_search, enclose_by, exactly, robust_at_once
from verifier.asking.radius import Enclosure, RobustnessResult
from verifier.asking.robustness import answer_by_image, perturbation_box, read_classifier, read_image, read_label
from verifier.enclosure import Array
from verifier.errors import MissingDependencyError, OptionError, SpecError
from verifier.method_table import bounding, find_method
from verifier.pipeline import check_options, verify_within, whole_call
from verifier.question.forms import Net, Numbers, Shape
from verifier.question.numbers import as_finite, as_numbers
from verifier.question.spec import argmax_is

MAX_RADII = 60  # asked at most by one bisection
# For other norms than the largest change: methods that bound a network over boxes alone can say nothing of them.
METHODS_BY_NORM = {"1": ("auto", "symbolic", "crown", "lp", "milp"), "2": ("auto", "symbolic", "crown")}
SMALL = 64  # ReLUs up to which "auto" finds the distance itself and not only its neighbourhood
SMALL_GAP = 1e-6  # share of the radius at which it stops then
LOOKS = 4  # attacks at most before programs are asked
SHARE = 0.25  # of the time that is left, for programs that only propose


def pointwise_robustness(
    net: Net, x0: Numbers, radius: float, norm: str | int | float = "inf", method: str = "auto", *,
    label: int | None = None, clip: tuple[float, float] | None = None, tolerance: float | None = None,
    input_shape: Shape | None = None, timeout_s: float | None = None, timeout_per_radius_s: float | None = 60.0,
    max_subdomains: int | None = None, seed: int = 0, progress: bool | None = None,
) -> RobustnessResult:  # fmt: skip
    """Enclose the distance from an input to the nearest one of another class, within a radius.

    Both ends are claims. `lower` is proved: the class is the same up to there (with method="milp" and norm 1 up to the
    solver's tolerance, and `guarantee` says so). `upper` is attained: the distance of a counterexample that was
    replayed. Where the two classes only tie at the border, no nearest counterexample exists, and the one that is given
    lies a hair beyond. What stays UNKNOWN moves neither end, and the gap that is left is wider than the tolerance.

    Methods: "milp" finds the distance: with norm "inf" by branch and bound on the ReLUs' states, with a linear program
    for each part, with norm 1 by mixed-integer programs. "lp" bounds it by linear programs, whose points are replayed.
    "crown" and "symbolic" bound it by linear functions, in other norms than "inf" too. All others, and these two with
    norm "inf", are asked by verify() at one radius after another. "auto" proves by verify(), and where the norm is not
    "inf" by linear functions and programs. With norm "inf" it encloses networks of at most 64 ReLUs to a millionth of
    the radius, by the same search as "milp".

    Args:
        net: As for verify_robust().
        x0: The input; of any shape, it is flattened.
        radius: Where to stop looking, in the unit of the inputs; > 0.
        norm: How a distance is measured: "inf", the largest change of any input; 1, the sum of all changes ("auto",
            "symbolic", "crown", "lp", "milp"); 2, their Euclidean length ("auto", "symbolic", "crown").
        method: As for verify().
        label: The class; None for the one that the network gives x0. Where the network gives x0 another one, the
            distance is 0.
        clip: As for verify_robust(); distances are then those within the valid range.
        tolerance: The gap at which to stop; None for a hundredth of the radius, or less as said above.
        input_shape: As for verify().
        timeout_s: Wall time of the whole call in seconds; None for no limit. What is known by then is the answer.
        timeout_per_radius_s: Wall time for each radius asked; None for no limit.
        max_subdomains: Subdomains for each radius asked and for a search, for repeatable runs; None for no limit.
        seed: As for verify().
        progress: As for verify(), a bar for each radius.

    Raises:
        SpecError, NetworkError: As for verify_robust().
        OptionError: As for verify_robust(), or the method cannot do this norm.
        MissingDependencyError: As for verify().

    Source:
        Bastani et al. Measuring Neural Net Robustness with Constraints. NeurIPS 2016 (the question); Tjeng, Xiao,
        Tedrake. Evaluating Robustness of Neural Networks with Mixed Integer Programming. ICLR 2019 ("milp").

    Example:
        >>> from verifier import Network
        >>> swapped = Network.from_arrays([[[1, 0], [0, 1]], [[0, 1], [1, 0]]], [[1, 1], [2, 2]])
        >>> found = pointwise_robustness(swapped, [1, 2], 1.5)
        >>> round(found.lower, 5), round(found.upper, 5), found.status, found.label_found
        (0.5, 0.5, 'not robust', 1)
    """
    x = read_image(x0, "x0")
    named = read_norm(norm)
    widest = perturbation_box(x, radius, "inf", clip)  # refuses a bad radius before anything is run
    if tolerance is not None and as_finite(tolerance, "tolerance") <= 0:
        raise SpecError(f"tolerance: found {tolerance:g}, expected a number > 0 in the unit of the inputs")
    check_options(None, timeout_s, max_subdomains, 1, method, seed, timeout_per_radius_s=timeout_per_radius_s)
    chosen = find_method(method).name
    if named != "inf" and chosen not in METHODS_BY_NORM[named]:
        raise OptionError(
            f"norm: method {method!r} cannot do norm {named}; choose one of "
            f"{', '.join(map(repr, METHODS_BY_NORM[named]))}, or norm='inf'"
        )
    subject = read_classifier(net, x, input_shape, widest)
    small = chosen == "auto" and subject.network.neurons <= SMALL and named == "inf"
    wanted = float(radius) * (SMALL_GAP if small else 0.01) if tolerance is None else float(tolerance)
    whole, each = whole_call(timeout_s, None, False), whole_call(timeout_per_radius_s, max_subdomains, progress)
    known = int(np.argmax(subject.run(subject.round(x)[None])[0])) if label is None else read_label(label, subject)
    enclosure = Enclosure(subject, known, Ball(x, float(radius), named, clip), whole, wanted)
    by_image = answer_by_image(subject, x, known, widest)
    if by_image is not None:
        enclosure.note(float(radius), by_image.verdict, by_image.stage, by_image.seconds)
        enclosure.nearest.accept(x)
        return enclosure.result()

    def seconds() -> float:
        return min(whole.seconds_left, each.timeout_s)

    try:
        if chosen in ("lp", "milp"):
            _by_programs(enclosure, chosen == "milp", seconds, each, seed)
        elif named != "inf":
            _by_linear_functions(enclosure, chosen, seconds, seed)
        else:
            _by_verify(enclosure, partial(_ask, enclosure, each, seed), chosen, small, each, seed)
    except KeyboardInterrupt:
        pass  # what is known by then is the answer
    return enclosure.result()


def _by_programs(enclosure: Enclosure, exact: bool, seconds: Callable[[], float], each: Budget, seed: int) -> None:
    """Enclose the distance by linear programs, beginning where linear functions end, and exactly by MILP."""
    enclose_by(enclosure, by_planes(enclosure, bounding("crown")), "crown")
    if not enclosure.verified:
        enclose_by(enclosure, by_lp(enclosure, seconds), "lp")
    if not exact or enclosure.verified:
        return
    if enclosure.ball.norm == "inf":
        enclosure.nearest.look(seed, stop=enclosure.budget.time_is_up)
        by_search(enclosure, _share(enclosure, each), min(enclosure.wanted, SMALL_GAP * enclosure.ball.radius))
    else:
        _settle(enclosure, seed)
        exactly(enclosure, seconds, each.max_subdomains)


def _by_linear_functions(enclosure: Enclosure, method: str, seconds: Callable[[], float], seed: int) -> None:
    """Enclose the distance in norm 1 or 2 by linear functions, with "auto" also by programs and an attack."""
    enclose_by(enclosure, by_planes(enclosure, bounding("crown" if method == "auto" else method)), method)
    if method != "auto" or enclosure.verified:
        return
    _settle(enclosure, seed)
    if enclosure.ball.norm == "1":
        try:
            enclose_by(enclosure, by_lp(enclosure, seconds), "lp")
            if not enclosure.verified and enclosure.subject.network.neurons <= SMALL:
                _propose(enclosure, seconds)
        except MissingDependencyError:
            return  # the linear functions' answer holds without


def _settle(enclosure: Enclosure, seed: int) -> None:
    """Attack, each time within the distance of what was met before, until nothing nearer is met."""
    for attempt in range(LOOKS):
        before = enclosure.upper
        enclosure.nearest.look(seed + attempt, thorough=True, stop=enclosure.budget.time_is_up)
        if not enclosure.upper < before:
            return


def _propose(enclosure: Enclosure, seconds: Callable[[], float]) -> None:
    """Let mixed-integer programs propose the nearest example; what they say of the distance does not count."""
    end = SHARE * seconds()
    budget = enclosure.budget.share(1.0, at_most_s=end)
    aside = Enclosure(enclosure.subject, enclosure.label, enclosure.ball, budget, enclosure.wanted)
    aside.nearest, aside.lower = enclosure.nearest, enclosure.lower
    exactly(aside, lambda: min(budget.seconds_left, end))


def _by_verify(
    enclosure: Enclosure, ask: Callable[[float, str], Result], method: str, small: bool, each: Budget, seed: int
) -> None:
    """Enclose the distance in the largest norm by verify(), at one radius after another.

    Small networks are searched for the distance itself first, which as a rule leaves nothing to ask.
    """
    if small and _searched(enclosure, each, seed):
        return
    ball, wanted = enclosure.ball, enclosure.wanted
    top = min(ball.radius, enclosure.upper)  # where the next proof is looked for
    size = ball.radius if top == ball.radius else 0.5 * (enclosure.lower + top)
    unanswered = 0.0  # the largest radius that stayed UNKNOWN
    while True:
        result = ask(size, method)
        if result.verdict is Verdict.UNKNOWN:
            unanswered = max(unanswered, size)
        if not result:
            top = min(top, size, enclosure.upper)
        ended = result.interrupted or len(enclosure.table) >= MAX_RADII or enclosure.budget.time_is_up()
        if ended or top - enclosure.lower <= wanted or (result and size == top):
            break
        size = 0.5 * (enclosure.lower + top)
    # what stayed UNKNOWN is not proved; a counterexample may still lie nearer than the nearest that was met
    while method == "auto" and not ended and max(unanswered, enclosure.lower) < enclosure.upper - wanted < np.inf:
        size = 0.5 * (max(unanswered, enclosure.lower) + enclosure.upper)
        result = ask(size, "attack")
        if result.verdict is not Verdict.FALSIFIED:
            unanswered = size
        ended = result.interrupted or len(enclosure.table) >= MAX_RADII or enclosure.budget.time_is_up()


def _searched(enclosure: Enclosure, each: Budget, seed: int) -> bool:
    """Attack once and search for the distance from there; whether the search came to its end."""
    if enclosure.budget.time_is_up():
        return False
    if robust_at_once(enclosure):
        return True
    started = time.perf_counter()
    enclosure.nearest.look(seed, stop=enclosure.budget.time_is_up)
    if enclosure.nearest.x is not None:
        enclosure.note(enclosure.ball.radius, Verdict.FALSIFIED, "attack", time.perf_counter() - started)
    with contextlib.suppress(MissingDependencyError):
        return by_search(enclosure, _share(enclosure, each), enclosure.wanted)
    return False


def _share(enclosure: Enclosure, each: Budget) -> Budget:
    """What may be spent on one radius."""
    share = enclosure.budget.share(1.0, each.max_subdomains, at_most_s=each.timeout_s)
    return dataclasses.replace(share, show=each.show)


def _ask(enclosure: Enclosure, each: Budget, seed: int, size: float, method: str) -> Result:
    """Ask verify() at one radius, and take over what it says."""
    ball = enclosure.ball.of_radius(size)
    found: list[Array] = []
    result = verify_within(
        _share(enclosure, each),
        enclosure.subject,
        ball.box(),
        argmax_is(enclosure.label),
        found,
        method=method,
        seed=seed,
    )
    enclosure.note(size, result.verdict, result.stage or result.reason, result.seconds)
    if result:
        enclosure.proved(ball.shrunk(size), result.guarantee, whole=size == enclosure.ball.radius)
    for case in found:
        enclosure.nearest.accept(as_numbers(case, "counterexample").reshape(-1))
    return result
