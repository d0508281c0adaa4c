"""What lab 4 puts around a student's formulas: networks that imitate a polynomial, stand-ins, questions in pieces."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course_utils.data import load_file, network_from_arrays
from course_utils.own_verifier import layers_of, library_pairs, numbers
from course_utils.stand_ins import alike
from course_utils.training import few_threads
from verifier import max_error, verify_function

Terms = Callable[..., Any]  # a student's function that makes Z3 terms of a network
Layers = list[tuple[list[list[float]], list[float]]]

GRID = 2001  # points on which an error is sampled
QUERY_WORK = 15_000_000  # Z3's own unit of work for one query: about 8 s, and the same on a busy machine
COPY = 0.05  # of the outputs' spread: networks trained apart differed by 0.18 or more
STORED_FLOAT_X = 0.7000000476837158  # a float32 at which lab 4's two neurons give 0.125
SIZES = [
    ("width", 1, (10,)), ("width", 1, (20,)), ("width", 1, (40,)), ("width", 1, (80,)),
    ("depth", 1, (10, 10)), ("depth", 1, (10, 10, 10)), ("depth", 1, (10, 10, 10, 10)),
    ("inputs", 2, (4,)), ("inputs", 2, (8,)), ("inputs", 2, (12,)),
]  # fmt: skip


@dataclass(frozen=True)
class QueryTime:
    """What one query of Z3 took.

    Attributes:
        series: What grows: "width", "depth" or "inputs".
        sizes: Of the network, such as "1-20-1".
        neurons: Hidden ones.
        seconds: Of CPU.
        verdict: "verified", "falsified" or "unknown".
    """

    series: str
    sizes: str
    neurons: int
    seconds: float
    verdict: str


@dataclass(frozen=True)
class AskedPiece:
    """One piece of [-1, 1]: where it lies, how many neurons are unstable on it, and what Z3 said after how long."""

    lower: float
    upper: float
    unstable: int
    seconds: float
    verdict: str


def curve_network() -> nn.Sequential:
    """The course's own 1-20-25-1 network, trained on 500 points of T4."""
    return network_from_arrays(load_file("curve.npz"))


def is_curve_network(net: Any) -> bool:
    """Whether a network is the course's own for T4, perhaps scaled, shifted or a little changed."""
    return alike(net, curve_network(), within=COPY)


def stored_keras_weights() -> list[np.ndarray[Any, Any]]:
    """The arrays of a Keras model of the same sizes, in Keras's order, for those who do not have Keras."""
    arrays = load_file("curve.npz")
    return [arrays[f"keras_{place}"] for place in range(6)]


def empty_network(*sizes: int) -> nn.Sequential:
    """A network of Linear layers of these sizes with ReLU between them, not yet trained."""
    parts: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        parts += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def network_of(layers: Sequence[tuple[Any, Any]]) -> nn.Sequential:
    """A float32 network with these (weight, bias) pairs, in whatever form the numbers are."""
    pairs = [(numbers(weight), numbers(bias).reshape(-1)) for weight, bias in layers]
    net = empty_network(pairs[0][0].shape[1], *(len(bias) for _, bias in pairs))
    for part, (weight, bias) in zip(net[::2], pairs, strict=True):
        part.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return net.requires_grad_(False)


def fit_in_keras(model: Any, samples: Tensor, values: Tensor) -> list[np.ndarray[Any, Any]]:
    """Train a Keras model on samples (squared error, Adam) and give its arrays, in Keras's order."""
    import keras

    keras.utils.set_random_seed(0)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    with few_threads():
        for _ in tqdm(range(30), desc="training in Keras", unit="epoch"):
            model.fit(samples.numpy(), values.numpy(), batch_size=100, epochs=1, verbose=0)
    return [
        variable.value.detach().cpu().numpy() if hasattr(variable.value, "detach") else np.asarray(variable.value)
        for variable in model.weights
    ]


def fit_formula(formula: Callable[[Tensor], Tensor], inputs: int, *hidden: int, steps: int = 300) -> nn.Sequential:
    """A network with these hidden layers, trained on 400 random points of [-1, 1]^inputs; the same each time."""
    with torch.random.fork_rng(devices=[]), few_threads():
        torch.manual_seed(0)
        points = 2 * torch.rand(400, inputs) - 1
        values = formula(points)
        net = empty_network(inputs, *hidden, 1)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(steps):
            optimizer.zero_grad()
            nn.functional.mse_loss(net(points), values).backward()
            optimizer.step()
    return net.requires_grad_(False).eval()


def largest_on_grid(net: nn.Module, formula: Callable[..., Any], at: float | None = None) -> float:
    """The largest difference from a formula on a grid of [-1, 1], or the difference at one number."""
    grid = torch.linspace(-1, 1, GRID, dtype=torch.float64)[:, None]
    points = grid if at is None else torch.tensor([[at]], dtype=torch.float64)
    with torch.no_grad():
        return float((net(points.float()).double() - formula(points)).abs().max())


def judge_tolerance(net: nn.Module, formula: Callable[..., Any], tolerance: float) -> tuple[str, float | None]:
    """The library's verdict on a tolerance on [-1, 1], and its counterexample or None."""
    result = verify_function(net, formula, [[-1, 1]], tolerance, progress=False)
    found = result.counterexample
    return result.verdict.value, None if found is None else float(found.reshape(-1)[0])


def library_enclosure(net: nn.Module, formula: Callable[..., Any], gap: float) -> tuple[float, float]:
    """The library's enclosure of the largest error on [-1, 1]."""
    found = max_error(net, formula, [[-1, 1]], tolerance=gap, progress=False)
    return found.attained, found.proved


def shown_progress(ask_one: Callable[[float], str]) -> Callable[[float], str]:
    """The same question, with a progress bar that counts how often it is asked."""
    bar = tqdm(desc="bisection", unit=" queries", leave=False)

    def ask(tolerance: float) -> str:
        verdict = ask_one(tolerance)
        bar.set_postfix_str(f"{tolerance:.5f} {verdict}", refresh=False)
        bar.update()
        return verdict

    return ask


def measure(net_z3: Terms, exact: Terms, sizes: Sequence[tuple[str, int, tuple[int, ...]]]) -> list[QueryTime]:
    """How long Z3 takes to prove 1.3 times the largest error on a grid, for networks of these sizes."""
    import z3

    found = []
    for series, inputs, hidden in tqdm(sizes, desc="sizes", unit="network", leave=False):
        net = fit_formula(_square_sum if inputs > 1 else _t4, inputs, *hidden)
        axis = torch.linspace(-1, 1, 101)
        grid = torch.cartesian_prod(*[axis] * inputs).reshape(-1, inputs)
        tolerance = 1.3 * float((net(grid) - (_square_sum(grid) if inputs > 1 else _t4(grid))).abs().max())
        variables = [z3.Real(f"x{place}") for place in range(inputs)]
        value = _t4(variables[0]) if inputs == 1 else sum(one * one for one in variables)
        solver = z3.Solver()
        solver.set(rlimit=QUERY_WORK)
        started = time.process_time()
        error = net_z3(plain(net), variables)[0] - value
        solver.add([z3.And(one >= -1, one <= 1) for one in variables])
        solver.add(z3.Not(z3.And(error < exact(tolerance), error > -exact(tolerance))))
        verdict = _WORDS[str(solver.check())]
        seconds = time.process_time() - started
        label = "-".join(str(size) for size in (inputs, *hidden, 1))
        found.append(QueryTime(series, label, sum(hidden), seconds, verdict))
    return found


def ask_in_pieces(
    net_z3_on: Terms, exact: Terms, formula: Callable[..., Any], net: nn.Sequential, tolerance: float, count: int
) -> list[AskedPiece]:
    """Z3's verdict on equal pieces of [-1, 1], each with the library's CROWN bounds on the hidden neurons."""
    import z3

    found = []
    ends = np.linspace(-1, 1, count + 1).tolist()
    for lower, upper in tqdm(list(itertools.pairwise(ends)), desc="pieces", unit="piece", leave=False):
        started = time.process_time()
        low_end, high_end = (torch.tensor([end], dtype=torch.float64) for end in (lower, upper))
        known = [(low.tolist(), high.tolist()) for low, high in library_pairs(net, low_end, high_end, "crown")[:-1]]
        unstable = sum(low < 0 < high for pair in known for low, high in zip(*pair, strict=True))
        x = z3.Real("x")
        error = net_z3_on(plain(net), known, [x])[0] - formula(x)
        solver = z3.Solver()
        solver.set(rlimit=QUERY_WORK)
        solver.add(exact(lower) <= x, exact(upper) >= x)
        solver.add(z3.Not(z3.And(error < exact(tolerance), error > -exact(tolerance))))
        verdict = _WORDS[str(solver.check())]
        found.append(AskedPiece(lower, upper, unstable, time.process_time() - started, verdict))
    return found


def plain(net: nn.Sequential) -> Layers:
    """The (weight, bias) pairs of a network as lists of numbers."""
    return [(weight.tolist(), bias.tolist()) for weight, bias in layers_of(net)]


def _t4(x: Any) -> Any:
    return 8 * x**4 - 8 * x**2 + 1


def _square_sum(points: Tensor) -> Tensor:
    return (points**2).sum(dim=1, keepdim=True)


_WORDS = {"unsat": "verified", "sat": "falsified", "unknown": "unknown"}
STORED_TIMES = [
    QueryTime(series, "-".join(map(str, (inputs, *hidden, 1))), sum(hidden), seconds, "verified")
    for (series, inputs, hidden), seconds in zip(
        SIZES, (0.01, 0.02, 0.08, 0.62, 0.07, 0.72, 5.95, 0.12, 0.38, 1.5), strict=True
    )
]
STORED_PIECES = [
    AskedPiece(-1 + place / 8, -1 + (place + 1) / 8, unstable, 0.062, "verified")
    for place, unstable in enumerate((7, 3, 2, 1, 0, 1, 1, 2, 3, 1, 1, 0, 1, 1, 3, 3))
]
