"""verify_files(): a network file and a VNN-LIB property, one answer for all boxes of the property."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from verifier.answer.reason import time_is_up
from verifier.answer.verdict import Result, Verdict
from verifier.enclosure import Bounds
from verifier.errors import NetworkError, SpecError
from verifier.frontends.read import read_subject
from verifier.frontends.vnnlib.file import Problem, read_vnnlib
from verifier.network import Network, Subject
from verifier.pipeline import LONGEST_S, check_options, verify

ROUNDS = (0.1, 0.5, 1.0)  # of the time left that the open boxes share in each round: a box that one settles at once
# does not wait for another that takes long, and what a round repeats is a small part of the next


def verify_files(
    onnx: Any, vnnlib: Any, counterexamples: list[Any] | None = None, *, timeout_s: float | None = 60.0,
    max_subdomains: int | None = None, max_counterexamples: int = 10, method: str = "auto", seed: int = 0,
    progress: bool | None = None,
) -> Result:  # fmt: skip
    """Decide whether a network file meets a VNN-LIB property.

    Networks: those of verify(), from an .onnx, .onnx.gz or .nnet file. Spec: VNN-LIB 1.0, which describes what is
    unsafe: VERIFIED is `unsat`, there is no such input; FALSIFIED is `sat`, with an input that onnxruntime replayed.
    Where the inputs are several boxes, all must be verified and one counterexample settles it; the boxes share a tenth
    of the time first, those left open half of the rest, then all that is left. Sound and complete as verify().

    Args:
        onnx: Path of the network.
        vnnlib: Path of the property, .vnnlib or .vnnlib.gz.
        counterexamples, max_subdomains, max_counterexamples, method, seed, progress: As for verify().
        timeout_s: Wall time in seconds, reading included; None for no limit.

    Returns:
        A Result for all boxes together: `seconds` and `subdomains` are sums, `margin` is the worst one,
        `output_bounds` enclose the outputs of every box, and `spec` is that of the box that decided.

    Raises:
        NetworkError, SpecError, OptionError, MissingDependencyError: As for verify(), for either file.
    """
    started = time.perf_counter()
    if not isinstance(onnx, str | Path | Network | Subject):
        raise NetworkError(f"onnx: expected the path of a network file, found {type(onnx).__name__}; use verify()")
    if not isinstance(vnnlib, str | Path):
        raise SpecError(f"vnnlib: expected the path of a property file, found {type(vnnlib).__name__}")
    check_options(counterexamples, timeout_s, max_subdomains, max_counterexamples, method, seed)
    if timeout_s is not None:
        timeout_s = min(timeout_s, LONGEST_S)
    problem = read_vnnlib(Path(vnnlib))
    subject = read_subject(onnx, None, problem.inputs)
    _check_fit(problem, subject)
    specs = [case.spec(problem.outputs) for case in problem.cases]
    results: dict[int, Result] = {}
    spent = 0  # subdomains
    waiting = list(range(len(specs)))
    for part in ROUNDS if len(specs) > 1 else (1.0,):
        still_open = []
        for position, index in enumerate(waiting):
            share = None
            if timeout_s is not None:
                left = timeout_s - (time.perf_counter() - started)
                share = max(part * left, 1e-6) / (len(waiting) - position)
            work = None if max_subdomains is None else (max_subdomains - spent) // (len(waiting) - position)
            found = verify(
                subject, problem.cases[index].box, specs[index], counterexamples, timeout_s=share,
                max_subdomains=None if work is None else max(1, work), max_counterexamples=max_counterexamples,
                method=method, seed=seed, progress=progress,
            )  # fmt: skip
            spent += found.subdomains
            results[index] = found
            if found.verdict is Verdict.FALSIFIED or found.interrupted:
                return _joined(results, found, started, spent)
            if found.verdict is Verdict.UNKNOWN and (found.timed_out or work is not None):
                still_open.append(index)  # more of it may help
        waiting = still_open
        if not waiting or (timeout_s is not None and time.perf_counter() - started >= timeout_s):
            break
    unsettled = [index for index in sorted(results) if results[index].verdict is Verdict.UNKNOWN]
    if not unsettled:
        return _joined(results, results[len(specs) - 1], started, spent)
    first = results[unsettled[0]]
    reason = first.reason
    if timeout_s is not None and first.timed_out:
        reason = str(time_is_up(timeout_s))  # the caller's limit, not the share of one box
    if len(specs) > 1:
        reason += f" in box {unsettled[0] + 1} of {len(specs)}"
    return _joined(results, dataclasses.replace(first, reason=reason), started, spent)


def _check_fit(problem: Problem, subject: Subject) -> None:
    for declared, has, name in (
        (problem.inputs, subject.network.inputs, "input"), (problem.outputs, subject.network.outputs, "output"),
    ):  # fmt: skip
        if declared != has:
            raise SpecError(
                f"property: declares {declared} {name}s, but {subject.name} has {has}; "
                "do the two files belong together?"
            )


def _joined(results: dict[int, Result], decisive: Result, started: float, subdomains: int) -> Result:
    """Write the decisive result with the totals of all boxes."""
    bounds = [one.output_bounds for one in results.values()]
    lower = np.min([one.lower for one in bounds], axis=0)
    upper = np.max([one.upper for one in bounds], axis=0)
    return dataclasses.replace(
        decisive,
        output_bounds=Bounds(lower, upper),
        margin=min((one.margin for one in results.values()), default=-math.inf),
        subdomains=subdomains,
        seconds=time.perf_counter() - started,
    )
