"""synthesise(): the holes of one sketch, filled as well as possible, with a proof where there was time for one."""

from __future__ import annotations

import time
from typing import Any, Literal

import numpy as np

from verifier.answer.budget import BestBar
from verifier.errors import SketchError
from verifier.solvers.status import Status
from verifier.synthesis import encode
from verifier.synthesis.network import WholeNetwork
from verifier.synthesis.result import Moment, Synthesis, count_right, refuse_contradictions, solver_named
from verifier.synthesis.sketch import Examples, Sketch, check_fit, ranges

Objective = Literal["correct", "weights", "margin", "any"]


def synthesise(
    sketch: Sketch,
    examples: Examples,
    *,
    objective: Objective = "correct",
    more_than: int | None = None,
    solver: str = "cpsat",
    start: WholeNetwork | None = None,
    freeze: tuple[int, ...] = (),
    symmetry: bool = False,
    most_weights: int | None = None,
    keep: bool = False,
    timeout_s: float = 60.0,
    work: float | None = None,
    workers: int = 2,
    seed: int = 0,
    progress: bool | None = None,
) -> Synthesis:
    """Find weights.

    Args:
        sketch: The network with holes.
        examples: What it must do.
        objective: "correct": as many examples right as possible. The others require all of them: "weights" with as few
            non-zero weights as possible, "margin" with the largest smallest margin, "any" any network.
        more_than: With "correct": only networks with more examples right than this count; the bound that a search over
            several sketches shares.
        solver: "cpsat", or "z3" for tiny networks and second opinions.
        start: A network to start from (CP-SAT).
        freeze: Layers, from 0 on, that keep the weights of `start`: one step of a search layer by layer.
        symmetry: Whether hidden neurons are ordered, in layers where swapping two of them changes nothing.
        most_weights: At most so many weights are not zero, which their domain must hold; None for any number.
        keep: Whether the time line holds each network, not only its value.
        timeout_s: Wall time in seconds; Ctrl-C ends the search sooner. Either way the best found comes back.
        work: A limit in the solver's own unit (CP-SAT), which repeats exactly with workers=1.
        workers: Threads of CP-SAT.
        seed: Of CP-SAT.
        progress: As in verify().

    Returns:
        What was found. Every count of right examples was confirmed by running the network.

    Raises:
        SketchError: Sketch, examples and options do not fit, or all examples are required and two of them contradict.
        MissingDependencyError: The solver is not installed.
    """
    check_fit(sketch, examples)
    if objective not in ("correct", "weights", "margin", "any"):
        raise SketchError(f"objective: found {objective!r}, expected 'correct', 'weights', 'margin' or 'any'")
    if objective == "margin" and sketch.output == "value":
        raise SketchError("objective: 'margin' asks how clear a class is, and output='value' names none")
    if freeze and start is None:
        raise SketchError("freeze: layers keep the weights of `start`, which is missing")
    layers = len(sketch.topology) - 1
    if any(not 0 <= layer < layers for layer in freeze):
        raise SketchError(f"freeze: found {freeze}, the layers of {sketch.name} are 0 to {layers - 1}")
    if start is not None and start.sketch.topology != sketch.topology:
        raise SketchError(f"start: it is a {start.sketch.name} network, the sketch is {sketch.name}")
    if most_weights is not None and most_weights < 0:
        raise SketchError(f"most_weights: found {most_weights}, expected None or at least 0")
    if workers < 1:
        raise SketchError(f"workers: found {workers}, expected at least 1")
    if objective != "correct":
        refuse_contradictions(examples)
    began = time.perf_counter()
    model = solver_named(solver)
    holes = encode.make_holes(model, sketch)
    if start is not None:
        _use(model, start, holes, freeze)
    if symmetry:
        encode.break_symmetry(model, sketch, holes)
    if most_weights is not None:
        model.at_least(_minus_used(model, sketch, holes), -most_weights)
    goal, upper = _goal(model, sketch, examples, holes, objective)
    if more_than is not None:
        model.at_least(goal, more_than + 1)
    bar, moments = BestBar(f"synthesis {sketch.name}", progress), []

    def tell(value: int, bound: int) -> None:
        held = encode.network_of(model, sketch, holes) if keep else None
        moments.append(Moment(time.perf_counter() - began, value, bound, held))
        bar.step(value, bound)

    try:
        left = timeout_s - (time.perf_counter() - began)
        status, value, bound = model.best(goal, upper, timeout_s=left, tell=tell, work=work, workers=workers, seed=seed)
    finally:
        bar.close()
    network = None if value is None else encode.network_of(model, sketch, holes)
    if network is None:
        correct = 0
    else:
        correct = count_right(network, examples, value if objective == "correct" else len(examples))
    return Synthesis(
        sketch, status, network, correct, len(examples), value, bound, tuple(moments),
        time.perf_counter() - began, solver,
    )  # fmt: skip


def by_layers(
    sketch: Sketch, examples: Examples, start: WholeNetwork, *, timeout_s: float = 60.0, step_s: float = 10.0,
    workers: int = 2, seed: int = 0,
) -> Synthesis:  # fmt: skip
    """Improve a network one layer at a time, the others frozen: each step is linear but for the signs.

    It proves an optimum only where all examples are right; otherwise the status is TIME_LIMIT or NODE_LIMIT.
    """
    check_fit(sketch, examples)
    began, best, moments = time.perf_counter(), start, []
    upper = examples.best_possible()
    value, layer, idle, layers = count_right(best, examples, None), len(start.weights) - 1, 0, len(start.weights)
    while value < upper and idle < layers and time.perf_counter() - began < timeout_s:
        kept = tuple(place for place in range(layers) if place != layer)
        left = min(step_s, timeout_s - (time.perf_counter() - began))
        found = synthesise(
            sketch, examples, start=best, freeze=kept, timeout_s=left, workers=workers, seed=seed, progress=False
        )
        idle += 1
        if found.network is not None and found.correct > value:
            best, value, idle = found.network, found.correct, 0
            moments.append(Moment(time.perf_counter() - began, value, upper, best))
        if found.status is Status.INTERRUPTED:
            break
        layer = (layer - 1) % layers
    given_up = Status.NODE_LIMIT if idle >= layers else Status.TIME_LIMIT
    status = Status.OPTIMAL if value == upper else given_up
    return Synthesis(
        sketch, status, best, value, len(examples), value, upper, tuple(moments), time.perf_counter() - began, "cpsat"
    )


def _use(model: Any, start: WholeNetwork, holes: encode.Holes, freeze: tuple[int, ...]) -> None:
    known = encode.fixed(start)
    for layer, (rows, given) in enumerate(zip(holes.weights, known.weights, strict=True)):
        if layer in freeze:
            holes.weights[layer], holes.biases[layer] = given, known.biases[layer]
            continue
        pairs = [pair for row, values in zip(rows, given, strict=True) for pair in zip(row, values, strict=True)]
        for term, value in [*pairs, *zip(holes.biases[layer], known.biases[layer], strict=True)]:
            if not isinstance(term, int):
                model.hint(term, value)


def _goal(model: Any, sketch: Sketch, examples: Examples, holes: encode.Holes, objective: Objective) -> tuple[Any, int]:
    """What is maximised, and a bound on it."""
    largest = int(np.abs(examples.inputs).max())
    margin: Any = 0
    if objective == "margin":
        most = 2 * ranges(sketch, largest)[-1][1]  # of two outputs, one may be as high as the other is low
        margin = model.whole(0, most)
    right = []
    for x, label in zip(examples.inputs.tolist(), encode.labels_of(examples), strict=True):
        y = encode.outputs(model, sketch, holes, x, largest)
        if objective == "correct":
            right.append(encode.right_bit(model, sketch, y, label))
        else:
            encode.require_right(model, sketch, y, label, margin)
    if objective == "correct":
        return model.total(right), examples.best_possible()
    if objective == "margin":
        return margin, most
    if objective == "any":
        return 0, 0
    return _minus_used(model, sketch, holes), 0


def _minus_used(model: Any, sketch: Sketch, holes: encode.Holes) -> Any:
    """Minus the number of weights that are not zero."""
    used, least = [], 0
    for one in (one for layer in holes.weights for row in layer for one in row):
        if isinstance(one, int):
            least += one != 0
        elif 0 in sketch.weights:
            used.append(1 - model.all_one([1 - model.reaches(one, 1), model.reaches(one, 0)]))
        else:
            least += 1
    return model.total([*(-1 * one for one in used), -least])
