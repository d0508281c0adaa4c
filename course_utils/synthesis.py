"""What lab 7 puts around a student's functions: images as whole numbers and bits, searches, stored results."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import torch

from course_utils.data import load_file
from verifier.synthesis.gradient import train_signs
from verifier.synthesis.metasketch import smallest
from verifier.synthesis.modules import BinaryNetwork, as_relus
from verifier.synthesis.network import WholeNetwork
from verifier.synthesis.robust import flip_by_enumeration, flip_by_solver, synthesise_robust
from verifier.synthesis.sketch import Examples, Sketch, between, bits_as_signs
from verifier.synthesis.synthesise import by_layers, synthesise

BLACK_FROM = 64  # the grey level, of 255, from which a pixel of an 8x8 digit is a 1
WEIGHTS = (10, 40, 20, 60, 25)  # of the parcels of part 2


def cats(part: str = "train", side: int = 8) -> Examples:
    """Cats (class 1) and airplanes (class 0) as grey values from 0 to 255, (images, side * side).

    Args:
        part: "train", 20 and 20 images, or "test", 500 and 500 others.
        side: 8, 4 or 2 pixels; the smaller ones are averages.
    """
    stored = load_file("cats.npz")
    images = stored[f"{part}_images"].astype(float)
    cell = 8 // side
    small = images.reshape(-1, side, cell, side, cell).mean(axis=(2, 4)).round().reshape(-1, side * side)
    return Examples(small.astype(int), stored[f"{part}_labels"].astype(int))


def digits(part: str = "train") -> Examples:
    """The course's own MNIST digits as 8x8 images of -1 and 1: averages of 3x3 pixels, compared with BLACK_FROM."""
    stored = load_file("mnist_subset.npz")
    middle = stored[f"{part}_images"][:, 2:26, 2:26].astype(float)
    small = middle.reshape(-1, 8, 3, 8, 3).mean(axis=(2, 4)).reshape(-1, 64)
    return Examples(bits_as_signs(small >= BLACK_FROM), stored[f"{part}_labels"].astype(int))


def first_of_each(examples: Examples, count: int) -> Examples:
    """The first examples of each class."""
    kept = np.concatenate([np.flatnonzero(examples.labels == label)[:count] for label in np.unique(examples.labels)])
    return Examples(examples.inputs[kept], examples.labels[kept])


def one_against_rest(examples: Examples, digit: int, count: int | None = None) -> Examples:
    """A digit (class 1) against all others (class 0): the first so many of each side, or all."""
    is_digit = examples.labels == digit
    kept = np.concatenate([np.flatnonzero(is_digit)[:count], np.flatnonzero(~is_digit)[:count]])
    return Examples(examples.inputs[kept], is_digit[kept].astype(int))


def binary_sketch(*topology: int, free_thresholds: bool = True) -> Sketch:
    """A network of bits; its thresholds are holes, too, or half the inputs each."""
    biases = between(-topology[0], topology[0]) if free_thresholds else (0,)
    return Sketch(topology, (-1, 1), biases, "sign", "sign" if topology[-1] == 1 else "argmax")


def unit_of_cats(side: int, largest: int, most_errors: int | None = None, timeout_s: float = 60.0) -> Any:
    """One unit on the 40 images at a resolution, weights from -largest to largest: the fewest errors, or "any" without.

    Args:
        side: 8, 4 or 2 pixels.
        largest: Of the weights.
        most_errors: Ask for at most so many errors; None asks for none at all, which is the easier question.
        timeout_s: Wall time in seconds.
    """
    examples = cats(side=side)
    reach = 255 * largest * side * side
    sketch = Sketch((side * side, 1), between(-largest, largest), between(-reach, reach))
    if most_errors is None:
        return synthesise(sketch, examples, objective="any", timeout_s=timeout_s)
    return synthesise(sketch, examples, more_than=len(examples) - most_errors - 1, timeout_s=timeout_s)


def ask_cats(largest: int, fewer_than: int) -> int | None:
    """The fewest errors of one unit on 2x2 images, if fewer than a number; None where that is impossible."""
    found = unit_of_cats(2, largest, fewer_than - 1)
    return None if found.network is None else len(cats(side=2)) - int(found.correct)


def xor_by_library(shapes: Sequence[tuple[int, ...]], largest: int = 2) -> list[Any]:
    """What the library finds for XOR, shape by shape, until one can."""
    sketches = [Sketch(tuple(shape), between(-largest, largest), output="value", output_relu=True) for shape in shapes]
    xor = Examples(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]]))
    return list(smallest(sketches, xor))


def parcels_above(limit: int, below: int = 80) -> int | None:
    """A total of some parcels above `limit` and strictly below `below`, as Z3 finds it; None if there is none."""
    import z3

    chosen = [z3.Bool(f"parcel{place}") for place in range(len(WEIGHTS))]
    total = z3.Sum([z3.If(one, weight, 0) for one, weight in zip(chosen, WEIGHTS, strict=True)])
    solver = z3.Solver()
    solver.add(total > limit, total < below)
    return int(solver.model().eval(total).as_long()) if solver.check() == z3.sat else None


def parcels_by_optimisers(below: int = 80) -> dict[str, tuple[int, float]]:
    """The best total below a limit and its CPU seconds, by two solvers that optimise by themselves."""
    import z3

    from verifier.solvers.cpsat_solver import CpSatIntegers

    started = time.process_time()
    chosen = [z3.Bool(f"parcel{place}") for place in range(len(WEIGHTS))]
    total = z3.Sum([z3.If(one, weight, 0) for one, weight in zip(chosen, WEIGHTS, strict=True)])
    optimise = z3.Optimize()
    optimise.add(total < below)
    optimise.maximize(total)
    optimise.check()
    by_z3 = int(optimise.model().eval(total).as_long()), time.process_time() - started
    started = time.process_time()
    model = CpSatIntegers()
    sum_of = model.total([weight * model.one_of((0, 1)) for weight in WEIGHTS])
    model.at_least(-1 * sum_of, 1 - below)
    best = model.best(sum_of, below - 1, timeout_s=10, tell=lambda value, bound: None)[1]
    return {"Z3 Optimize": by_z3, "CP-SAT": (int(best or 0), time.process_time() - started)}


def gradient_rival(train: Examples, hidden: int = 0, steps: int = 500) -> Callable[[Examples], float]:
    """The classical rivals, by gradients and with real weights: logistic regression, or a network with hidden ReLUs.

    Args:
        train: Labels 0 and 1.
        hidden: Neurons of the hidden layer; 0 for none, which is logistic regression.
        steps: Of Adam, on all examples at once.

    Returns:
        A function from examples to its accuracy on them.
    """
    scaled, size = _scaling(train), train.inputs.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            *([torch.nn.Linear(size, hidden), torch.nn.ReLU()] if hidden else []), torch.nn.Linear(hidden or size, 1)
        )
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05, weight_decay=0.01)
    labels = torch.from_numpy(train.labels).float()[:, None]
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(net(scaled(train)), labels).backward()
        optimizer.step()

    def accuracy(examples: Examples) -> float:
        with torch.no_grad():
            return float(((net(scaled(examples))[:, 0] >= 0).numpy() == (examples.labels == 1)).mean())

    return accuracy


def ternary_by_gradients(train: Examples, steps: int = 500) -> WholeNetwork:
    """One unit with weights of -1, 0 and 1 by gradients that pass through the rounding; of all steps the best.

    Args:
        train: Labels 0 and 1.
        steps: Of Adam, on all examples at once.
    """
    scaled, best = _scaling(train), None
    real = (torch.rand(train.inputs.shape[1], generator=torch.Generator().manual_seed(0)) - 0.5).requires_grad_()
    shift = torch.zeros(()).requires_grad_()
    optimizer = torch.optim.Adam([real, shift], lr=0.02)
    signs = torch.from_numpy(2 * train.labels - 1).float()
    for _ in range(steps):
        rounded = real.detach().mul(1.5).round().clamp(-1, 1)
        unit = best_bias(train, rounded.long().numpy())
        right = int(unit.right(train).sum())
        if best is None or right > best[0]:
            best = (right, unit)
        z = scaled(train) @ (real + (rounded - real).detach()) + shift
        optimizer.zero_grad()
        torch.nn.functional.softplus(-signs * z).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            real.clamp_(-1, 1)
    assert best is not None
    return best[1]


def best_bias(train: Examples, weights: Any) -> WholeNetwork:
    """The unit with these weights and the bias that gets most examples right."""
    size = len(weights)
    sketch = Sketch((size, 1), between(-1, 1), between(-255 * size - 1, 255 * size))
    z = train.inputs @ weights
    tried = np.append(-z, -z.max() - 1)  # each example the lowest of class 1, or none of them
    right = [int(((z + bias >= 0) == (train.labels == 1)).sum()) for bias in tried]
    return WholeNetwork(sketch, (weights[None],), (tried[[int(np.argmax(right))]],))


def _scaling(train: Examples) -> Callable[[Examples], torch.Tensor]:
    mean, spread = train.inputs.mean(), train.inputs.std()
    return lambda examples: torch.from_numpy((examples.inputs - mean) / spread).float()


def bits_of(network: WholeNetwork) -> list[tuple[list[list[int]], list[int]]]:
    """The (weights, thresholds) of a binary network, layer by layer, as lists of bits and of popcounts."""
    module = BinaryNetwork(network)
    return [
        (module.get_buffer(f"bits_{place}").int().tolist(), module.get_buffer(f"threshold_{place}").tolist())
        for place in range(module.layers)
    ]


def ten_digit_network(count: int = 10, seed: int = 0) -> WholeNetwork:
    """A 64-32-32-10 network of bits that gradients trained on the first so many of each digit, in a second or so."""
    return train_signs(
        binary_sketch(64, 32, 32, 10, free_thresholds=False), first_of_each(digits(), count), steps=200, seed=seed
    )


def train_digit(digit: int, hidden: int = 8, timeout_s: float = 10.0) -> tuple[WholeNetwork, Any]:
    """A 64-hidden-1 network for a digit against the rest, 125 and 125 images: by gradients, then improved by CP-SAT."""
    train, sketch = one_against_rest(digits(), digit, 125), binary_sketch(64, hidden, 1)
    start = train_signs(sketch, train)
    return start, by_layers(sketch, train, start, timeout_s=timeout_s, step_s=timeout_s / 2)


def classify_bits(network: WholeNetwork) -> Callable[[Sequence[int]], int]:
    """The network as a function from a list of bits to a class."""
    return lambda bits: int(network.predict(bits_as_signs(np.asarray(bits))[None])[0])


def robust_digit(digit: int, count: int = 15, flips: int = 1, timeout_s: float = 40.0) -> Any:
    """One unit for a digit against the rest that keeps every training label under so many flipped bits."""
    train = one_against_rest(digits(), digit, count)
    return synthesise_robust(binary_sketch(64, 1), train, flips, timeout_s=timeout_s)


def keeps_label(network: WholeNetwork, image: Any, label: int, flips: int, *, by: str = "solver") -> bool | None:
    """Whether no flips of so many bits change a label: by a solver or by trying all of them; None without an answer."""
    ask = flip_by_solver if by == "solver" else flip_by_enumeration
    answer = ask(network, image, label, flips)
    return {"infeasible": True, "satisfiable": False}.get(answer.status.value)


def as_module(network: WholeNetwork) -> torch.nn.Sequential:
    """The same network as Linear layers and ReLUs, for verify(): it takes -1 and 1."""
    return as_relus(network)


def random_cnf(variables: int, clauses: int, seed: int) -> list[list[int]]:
    """A random formula with three literals in each clause; a literal is a variable's number from 1 on, or minus it."""
    order = np.random.RandomState(seed)
    return [
        [int(v) * int(s) for v, s in zip(order.permutation(variables)[:3] + 1, order.choice([-1, 1], 3), strict=True)]
        for _ in range(clauses)
    ]


def every_clause(variables: int = 3) -> list[list[int]]:
    """All eight clauses of three variables: no assignment satisfies them."""
    signs = itertools.product((-1, 1), repeat=variables)
    return [[sign * (place + 1) for place, sign in enumerate(row)] for row in signs]


def sat_answer(clauses: Sequence[Sequence[int]]) -> bool:
    """Whether a formula is satisfiable, by CP-SAT, which holds a SAT solver."""
    from verifier.solvers.cpsat_solver import satisfiable

    return satisfiable(clauses)


def stored_results() -> dict[str, Any]:
    """What `python -m benchmarks.synthesis` measured, with the versions of the solvers."""
    text = (files("course_utils") / "data_files" / "synthesis.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
