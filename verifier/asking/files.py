"""verify_files(): a network file and a VNN-LIB property, one answer for all boxes of the property."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.reason import Why, time_is_up
from verifier.answer.verdict import Result, Verdict
from verifier.enclosure import Bounds
from verifier.errors import NetworkError, SpecError
from verifier.exact.milp.options import MilpOptions
from verifier.frontends.read import read_subject
from verifier.frontends.vnnlib.file import Problem, declared_inputs, problem, vnnlib_text
from verifier.frontends.vnnlib.syntax import ReadingStopped
from verifier.network import Network
from verifier.pipeline import check_options, verify_within, whole_call
from verifier.question.forms import Net
from verifier.question.spec import AllOf
from verifier.subject import Subject

ROUNDS = (0.1, 0.5, 1.0)  # of the time left that the open boxes share in each round: a box that one settles at once
# does not wait for another that takes long, and what a round repeats is a small part of the next


def verify_files(
    onnx: Net, vnnlib: str | Path, counterexamples: list[Any] | None = None, *, timeout_s: float | None = 60.0,
    max_subdomains: int | None = None, max_counterexamples: int = 10, method: str = "auto", seed: int = 0,
    progress: bool | None = None, bounds: str | None = None, milp: MilpOptions | None = None,
) -> Result:  # fmt: skip
    """Decide whether a network file meets a VNN-LIB property.

    Networks: those of verify(), from an .onnx, .onnx.gz or .nnet file. Spec: VNN-LIB 1.0, which describes what is
    unsafe: VERIFIED is `unsat`, there is no such input; FALSIFIED is `sat`, with an input that was replayed, an ONNX
    file's in onnxruntime unless the Result's note says otherwise.
    Where the inputs are several boxes, all must be verified and one counterexample settles it; the boxes share a tenth
    of the time first, those left open half of the rest, then all that is left. Sound and complete as verify().

    Args:
        onnx: Path of the network.
        vnnlib: Path of the property, .vnnlib or .vnnlib.gz.
        counterexamples, max_subdomains, max_counterexamples, method, seed, progress, bounds, milp: As for
            verify().
        timeout_s: Wall time in seconds, reading included; None for no limit.

    Returns:
        A Result for all boxes together: `seconds` and `subdomains` are sums, `margin` is the worst one,
        `output_bounds` enclose the outputs of every box, and `spec` is that of the box that decided. Where no input
        meets the property's assertions, as they contradict each other, it is VERIFIED by the property itself.

    Raises:
        NetworkError, SpecError, OptionError, MissingDependencyError: As for verify(), for either file.
    """
    if not isinstance(onnx, str | Path | Network | Subject):
        raise NetworkError(f"onnx: expected the path of a network file, found {type(onnx).__name__}; use verify()")
    if not isinstance(vnnlib, str | Path):
        raise SpecError(f"vnnlib: expected the path of a property file, found {type(vnnlib).__name__}")
    check_options(counterexamples, timeout_s, max_subdomains, max_counterexamples, method, seed, bounds, milp)
    budget = whole_call(timeout_s, max_subdomains, progress)
    try:
        return _ask_boxes(
            budget, onnx, Path(vnnlib), counterexamples, max_counterexamples=max_counterexamples, method=method,
            seed=seed, bounds=bounds, milp=milp,
        )  # fmt: skip
    finally:
        budget.close()


def _ask_boxes(budget: Budget, onnx: Net, vnnlib: Path, counterexamples: list[Any] | None, **options: Any) -> Result:
    """Read both files and ask about one box after the other, in rounds."""
    text = vnnlib_text(vnnlib)
    subject = read_subject(onnx, None, declared_inputs(text))  # before the property, which may be long
    try:
        asked = problem(text, vnnlib.name, budget.time_is_up)
    except ReadingStopped:
        return _unasked(subject, budget, time_is_up(budget.timeout_s, "reached while reading"))
    _check_fit(asked, subject)
    cases = asked.cases
    if not cases:  # no input meets the assertions, so that none is unsafe
        return _unasked(subject, budget)
    results: dict[int, Result] = {}
    waiting = list(range(len(cases)))
    for part in ROUNDS if len(cases) > 1 else (1.0,):
        still_open = []
        for position, index in enumerate(waiting):
            if budget.time_is_up():
                still_open += waiting[position:]
                break
            waiting_now = len(waiting) - position
            work = None if math.isinf(budget.subdomains_left) else max(1, int(budget.subdomains_left // waiting_now))
            share = budget.share(part / waiting_now)
            share.max_subdomains = work  # each box is granted one, even beyond the limit
            found = verify_within(
                share, subject, cases[index].box, cases[index].spec(asked.outputs), counterexamples, **options
            )
            results[index] = found
            if found.verdict is Verdict.FALSIFIED or found.interrupted:
                return _joined(results, found, budget)
            if found.verdict is Verdict.UNKNOWN and (found.timed_out or work is not None):
                still_open.append(index)  # more of it may help
        waiting = still_open
        if not waiting or budget.time_is_up():
            break
    unsettled = [i for i in range(len(cases)) if i not in results or results[i].verdict is Verdict.UNKNOWN]
    if not unsettled:
        return _joined(results, results[len(cases) - 1], budget)
    unasked = _unasked(subject, budget, time_is_up(budget.timeout_s))
    if len(results) < len(cases):
        results[len(cases)] = unasked  # whose outputs nothing bounds
    first = results.get(unsettled[0], unasked)
    reason = first.reason
    if first.timed_out:
        reason = str(time_is_up(budget.timeout_s))  # the caller's limit, not the share of one box
    if len(cases) > 1:
        reason += f" in box {unsettled[0] + 1} of {len(cases)}"
    return _joined(results, dataclasses.replace(first, reason=reason), budget)


def _unasked(subject: Subject, budget: Budget, why: Why | None = None) -> Result:
    """An answer without a search: UNKNOWN for a reason, or VERIFIED where the property describes no input."""
    infinite = np.full(subject.network.outputs, math.inf)
    verdict, stage, guarantee = (Verdict.VERIFIED, "property", "exact") if why is None else (Verdict.UNKNOWN, "", "")
    return Result(
        verdict, stage, guarantee, "" if why is None else str(why), Bounds(-infinite, infinite),
        math.inf if why is None else -math.inf, 0, budget.seconds, AllOf(()),
        cause=None if why is None else why.reason, note=subject.note if why is not None else "",
    )  # fmt: skip


def _check_fit(asked: Problem, subject: Subject) -> None:
    for declared, has, name in (
        (asked.inputs, subject.network.inputs, "input"), (asked.outputs, subject.network.outputs, "output"),
    ):  # fmt: skip
        if declared != has:
            raise SpecError(
                f"property: declares {declared} {name}s, but {subject.name} has {has}; "
                "do the two files belong together?"
            )


def _joined(results: dict[int, Result], decisive: Result, budget: Budget) -> Result:
    """Write the decisive result with the totals of all boxes."""
    bounds = [one.output_bounds for one in results.values()]
    lower = np.min([one.lower for one in bounds], axis=0)
    upper = np.max([one.upper for one in bounds], axis=0)
    return dataclasses.replace(
        decisive,
        output_bounds=Bounds(lower, upper),
        margin=min((one.margin for one in results.values()), default=-math.inf),
        subdomains=budget.subdomains,
        seconds=budget.seconds,
    )
