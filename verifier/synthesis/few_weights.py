"""The fewest weights of one ternary unit: found by annealing, and proved by a search made for this question."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from verifier.answer.budget import BestBar
from verifier.errors import SketchError
from verifier.solvers.status import Status
from verifier.synthesis.few_branching import FOUND, LEVEL, MORE, new_state, reach_of, search
from verifier.synthesis.few_walk import walk
from verifier.synthesis.network import WholeNetwork
from verifier.synthesis.result import Moment, Synthesis, count_right, refuse_contradictions
from verifier.synthesis.sketch import Examples, Sketch, Whole, between, check_fit
from verifier.synthesis.widest import unit_of

SLICE = 20_000  # nodes between two looks at the clock
STEPS = 200_000  # of one walk
WARMEST, COLDEST = 0.25, 0.015  # temperatures of a walk, as shares of the largest input


def fewest_ternary(
    examples: Examples, *, timeout_s: float = 60.0, walks: int = 12, seed: int = 0, progress: bool | None = None
) -> Synthesis:
    """Find a unit of weights -1, 0 and 1 and any bias that gets all right, with the fewest weights that are not zero.

    Walks by simulated annealing find units with few weights. Then 1, 2, 3, ... weights are proved to be too few,
    each by branching on the pair of examples that leaves the fewest choices; the proof ends where the best unit stands.

    Sound: a unit is run, and "too few" is a complete search in whole numbers. Complete: given time.

    Args:
        examples: Whole numbers; labels 0 and 1, both of them there.
        timeout_s: Wall time in seconds; Ctrl-C ends the search sooner. Either way the best found comes back.
        walks: How many must fail before a number of weights is taken to be too few for walks; numbers are halved.
        seed: Of the walks.
        progress: As in verify().

    Returns:
        As synthesise() with objective="weights": value and bound are minus the number of weights. INFEASIBLE: not even
        all weights are enough.

    Raises:
        SketchError: There are other labels, one class is missing, two examples contradict, or numbers are too large.
        MissingDependencyError: Numba is not installed.
    """
    gains = _gains(examples)
    inputs = gains.shape[1] // 2
    began, moments = time.perf_counter(), []
    bar = BestBar(f"synthesis {inputs}-1", progress)
    best: Whole | None = None
    bound, status = -1, Status.OPTIMAL

    def better(weights: Whole) -> Whole:
        value = -int(np.count_nonzero(weights))
        moments.append(Moment(time.perf_counter() - began, value, bound, unit_of(examples, weights, 1)))
        bar.step(value, bound)
        return weights

    try:
        for walked in _walk_down(gains, walks, np.random.default_rng(seed), began + timeout_s / 2):
            best = better(walked)
        while best is None or -bound < np.count_nonzero(best):
            if -bound > inputs:
                status = Status.INFEASIBLE
                break
            status, found = _decide(gains, -bound, began + timeout_s)
            if status is Status.SATISFIABLE and found is not None:
                best, status = better(found), Status.OPTIMAL
            elif status is Status.INFEASIBLE:
                bound, status = bound - 1, Status.OPTIMAL
            else:
                break
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    finally:
        bar.close()
    return _told(examples, best, bound, status, tuple(moments), began)


def walk_ternary(examples: Examples, *, walks: int = 12, seed: int = 0, timeout_s: float = 60.0) -> WholeNetwork | None:
    """The unit with the fewest weights that walks find, as fewest_ternary() begins; None where none gets all right."""
    ends = time.perf_counter() + timeout_s
    found = list(_walk_down(_gains(examples), walks, np.random.default_rng(seed), ends))
    return unit_of(examples, found[-1], 1) if found else None


def few_ternary(examples: Examples, most: int, *, timeout_s: float = 60.0) -> tuple[Status, WholeNetwork | None]:
    """Decide whether at most so many weights of -1 and 1, the others 0, and any bias get all examples right.

    Returns:
        SATISFIABLE and a unit, INFEASIBLE (a proof) and None, or TIME_LIMIT and None.

    Raises:
        SketchError: As fewest_ternary(), or `most` is not from 1 to the number of inputs.
    """
    gains = _gains(examples)
    if not 1 <= most <= gains.shape[1] // 2:
        raise SketchError(f"most: found {most}, expected 1 to {gains.shape[1] // 2}, the number of inputs")
    status, weights = _decide(gains, most, time.perf_counter() + timeout_s)
    if weights is None:
        return status, None
    network = unit_of(examples, weights, 1)
    count_right(network, examples, len(examples))
    return status, network


def _gains(examples: Examples) -> Any:
    """What each weight of 1, and then each of -1, adds to the distance of each pair of one example of either class."""
    inputs = examples.inputs.shape[1]
    check_fit(Sketch((inputs, 1), between(-1, 1)), examples)
    refuse_contradictions(examples)
    first = examples.labels == 1
    if first.all() or not first.any():
        raise SketchError("labels: a unit tells two classes apart, and one of them has no example")
    apart = (examples.inputs[first][:, None] - examples.inputs[~first][None]).reshape(-1, inputs)
    if inputs * int(np.abs(apart).max()) >= 2**30:
        raise SketchError(
            f"inputs: sums reach {inputs * int(np.abs(apart).max()):,}, at most {2**30:,} fit; scale the inputs down"
        )
    return np.ascontiguousarray(np.hstack([apart, -apart]), np.int32)


def _decide(gains: Any, most: int, ends: float) -> tuple[Status, Whole | None]:
    """Whether at most so many choices put every row's sum above 0, and which."""
    by_choice = np.ascontiguousarray(gains.T)
    ranked = np.argsort(-gains, axis=1, kind="stable").astype(np.int32)
    rows, choices = gains.shape
    state, reach = new_state(rows, choices, most), reach_of(gains, ranked, most)
    chosen, at = state[-2:]
    while (ended := search(gains, by_choice, ranked, reach, SLICE, *state)) == MORE:
        if time.perf_counter() > ends:
            return Status.TIME_LIMIT, None
    if ended != FOUND:
        if at[LEVEL] >= 0:
            raise RuntimeError("the search ended with branches left")
        return Status.INFEASIBLE, None
    inputs = gains.shape[1] // 2
    weights = np.zeros(inputs, np.int64)
    for choice in chosen[chosen >= 0]:
        weights[choice % inputs] = 1 if choice < inputs else -1
    return Status.SATISFIABLE, weights


def _walk_down(gains: Any, walks: int, drawn: np.random.Generator, ends: float) -> Iterator[Whole]:
    """Units with fewer and fewer weights; a number that `walks` walks miss is taken to be too few."""
    failed, few, many = 0, 0, gains.shape[1] // 2
    while walks > 0 and many - few > 1 and time.perf_counter() < ends:
        count = (few + many) // 2
        walked = _walk(gains, count, drawn)
        if walked is not None:
            failed, many = 0, count
            yield walked
        else:
            failed += 1
            if failed == walks:
                failed, few = 0, count


def _walk(gains: Any, count: int, drawn: np.random.Generator) -> Whole | None:
    """A unit with so many weights and all right, by simulated annealing on the lowest sum; or None."""
    inputs = gains.shape[1] // 2
    weights = np.zeros(inputs, np.int64)
    weights[drawn.permutation(inputs)[:count]] = drawn.choice([-1, 1], count)
    size = float(np.abs(gains).max())
    added = np.ascontiguousarray(gains[:, :inputs].T)
    arrived = walk(added, weights, drawn.random((STEPS, 4)), WARMEST * size, COLDEST * size) >= 1
    return weights if arrived else None


def _told(
    examples: Examples, best: Whole | None, bound: int, status: Status, moments: tuple[Moment, ...], began: float
) -> Synthesis:
    inputs, network, value, correct = examples.inputs.shape[1], None, None, 0
    if best is not None:
        network, value = unit_of(examples, best, 1), -int(np.count_nonzero(best))
        correct = count_right(network, examples, len(examples))
    sketch = Sketch((inputs, 1), between(-1, 1)) if network is None else network.sketch
    took = time.perf_counter() - began
    return Synthesis(sketch, status, network, correct, len(examples), value, bound, moments, took, "branching")
