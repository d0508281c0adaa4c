"""Robustness of binary networks to flipped bits: demanded while they are synthesised, and decided afterwards."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from verifier.errors import SketchError
from verifier.solvers.status import Status
from verifier.synthesis import encode
from verifier.synthesis.network import WholeNetwork
from verifier.synthesis.result import Synthesis, solver_named
from verifier.synthesis.sketch import Examples, Sketch, Whole, check_fit
from verifier.synthesis.synthesise import synthesise


@dataclass(frozen=True)
class FlipAnswer:
    """Whether some flips of an input change its class.

    Attributes:
        status: SATISFIABLE with a counterexample, INFEASIBLE where there is none (a proof), else no answer.
        flipped: The counterexample, (inputs,), replayed in the network; or None.
    """

    status: Status
    flipped: Whole | None


def flips_of(x: Any, flips: int) -> Iterator[Whole]:
    """Every input of -1 and 1 that differs from one in 1 to `flips` places.

    Raises:
        SketchError: There are not that many places, or fewer than one is asked for.
    """
    given = np.asarray(x, dtype=np.int64)
    if not 1 <= flips <= len(given):
        raise SketchError(f"flips: found {flips}, expected 1 to {len(given)}, the number of inputs")
    for count in range(1, flips + 1):
        for places in itertools.combinations(range(len(given)), count):
            changed = given.copy()
            changed[list(places)] *= -1
            yield changed


def flip_by_enumeration(network: WholeNetwork, x: Any, label: int, flips: int) -> FlipAnswer:
    """Try every input with up to so many flips."""
    tried = list(flips_of(x, flips))
    wrong = np.flatnonzero(network.predict(np.array(tried)) != label)
    return FlipAnswer(Status.INFEASIBLE, None) if not len(wrong) else FlipAnswer(Status.SATISFIABLE, tried[wrong[0]])


def flip_by_solver(
    network: WholeNetwork, x: Any, label: int, flips: int, *, solver: str = "cpsat", timeout_s: float = 60.0,
    workers: int = 1,
) -> FlipAnswer:  # fmt: skip
    """Ask a solver for at most so many flips that change the class: the network is fixed, the input has the holes.

    Raises:
        SketchError: The network has no flips (activation "relu"), or the label is not a class.
        RuntimeError: The solver's counterexample is none when it is run.
    """
    sketch = network.sketch
    if sketch.activation == "relu":
        raise SketchError("network: flips are of inputs of -1 and 1; its activation is 'relu'")
    if not 0 <= label < max(2, sketch.topology[-1]):
        raise SketchError(f"label: found {label}, which is not a class of {sketch.name}")
    model = solver_named(solver)
    bits = [model.one_of((-1, 1)) for _ in range(sketch.topology[0])]
    given = np.asarray(x, dtype=np.int64)
    # sum of x_i b_i = inputs - 2 flips
    model.at_least(model.total([int(one) * bit for one, bit in zip(given, bits, strict=True)]), len(given) - 2 * flips)
    y = encode.outputs(model, sketch, encode.fixed(network), bits, 1)
    model.at_least(1 - encode.right_bit(model, sketch, y, [label]), 1)
    status, value, _ = model.best(0, 0, timeout_s=timeout_s, tell=lambda value, bound: None, workers=workers)
    if value is None:
        return FlipAnswer(status, None)
    found = np.array([model.value_of(bit) for bit in bits])
    if int((found != given).sum()) > flips or int(network.predict(found[None])[0]) == label:
        raise RuntimeError("the solver's flips do not change the class when the network is run")
    return FlipAnswer(Status.SATISFIABLE, found)


@dataclass(frozen=True)
class RobustSynthesis:
    """A network that keeps its labels under flips, and what that cost.

    Attributes:
        last: The last round; its network is robust on the examples where `robust` is true.
        robust: Whether every flip of every example was tried and none changes its class.
        rounds: How often the solver was asked.
        added: Flipped examples that were added on the way.
        seconds: Wall time.
    """

    last: Synthesis
    robust: bool
    rounds: int
    added: int
    seconds: float


def synthesise_robust(
    sketch: Sketch, examples: Examples, flips: int = 1, *, timeout_s: float = 60.0, per_round: int = 3, **options: Any
) -> RobustSynthesis:
    """All examples right, and still right when any `flips` of their bits flip: by adding flips that violate it.

    Args:
        sketch: With activation "sign" or "halves".
        examples: Inputs of -1 and 1.
        flips: At most so many bits flip at once.
        timeout_s: Wall time in seconds.
        per_round: Violated flips that are added for each example in a round.
        **options: As for synthesise().

    Raises:
        SketchError: The sketch has another activation, sketch and examples do not fit, or two examples with different
            labels are so near that flips make them equal.
    """
    if isinstance(sketch, Sketch) and sketch.activation == "relu":
        raise SketchError(
            "sketch: flips are of inputs of -1 and 1; expected activation 'sign' or 'halves', found 'relu'"
        )
    check_fit(sketch, examples)
    _refuse_near(examples, flips)
    began, demanded, added = time.perf_counter(), examples, 0
    for round_number in itertools.count(1):
        left = max(0.0, timeout_s - (time.perf_counter() - began))
        found = synthesise(sketch, demanded, objective="any", timeout_s=left, **options)
        if found.network is None:
            return RobustSynthesis(found, False, round_number, added, time.perf_counter() - began)
        new = _violations(found.network, examples, flips, per_round)
        if not len(new):
            return RobustSynthesis(found, True, round_number, added, time.perf_counter() - began)
        added += len(new)
        demanded = Examples(np.vstack([demanded.inputs, new.inputs]), np.concatenate([demanded.labels, new.labels]))
    raise AssertionError("the rounds end")


def _refuse_near(examples: Examples, flips: int) -> None:
    """Refuse examples with different labels that flips turn into one input: no network keeps both labels there."""
    apart = (examples.inputs[:, None] != examples.inputs[None]).sum(axis=2)
    other = (examples.labels[:, None] != examples.labels[None]).reshape(*apart.shape, -1).any(axis=2)
    pairs = np.argwhere(other & (apart <= 2 * flips))
    if len(pairs):
        i, j = (int(one) for one in pairs[0])
        raise SketchError(
            f"labels: examples {i} and {j} have the labels {examples.labels[i].tolist()} and "
            f"{examples.labels[j].tolist()} and differ in {apart[i, j]} places; with up to {flips} "
            f"flip{'' if flips == 1 else 's'} of each they become one input, so no network keeps both labels"
        )


@dataclass(frozen=True)
class _New:
    inputs: Whole
    labels: Whole

    def __len__(self) -> int:
        return len(self.inputs)


def _violations(network: WholeNetwork, examples: Examples, flips: int, most: int) -> _New:
    inputs, labels = [], []
    for x, label in zip(examples.inputs, examples.labels, strict=True):
        tried = np.array(list(flips_of(x, flips)))
        wrong = np.flatnonzero(network.predict(tried) != label)[:most]
        inputs += list(tried[wrong])
        labels += [int(label)] * len(wrong)
    width = examples.inputs.shape[1]
    return _New(np.array(inputs, dtype=np.int64).reshape(-1, width), np.array(labels, dtype=np.int64))
