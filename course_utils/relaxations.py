"""What lab 5 puts around a student's relaxations: small digits and networks for them, programs by rows, the ladder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from course_utils.curve import Layers, plain
from course_utils.data import load_file, mnist, network_from_arrays
from course_utils.stand_ins import alike
from verifier import Network, output_bounds, pointwise_robustness
from verifier.enclosure import Bounds
from verifier.exact.linear.builder import Builder
from verifier.exact.linear.encode_network import encode_network
from verifier.question.box import Box
from verifier.solvers.highs_solver import Program, solve

Row = tuple[Mapping[str, float], float]
"""Coefficients by the names of values, and the limit of their sum from above."""

SIDE = 7  # pixels of a small digit
LADDER = ("ibp", "crown", "crown_optimized", "lp", "sdp")  # from loose to tight
COPY = 1.0  # of the outputs' spread: networks trained apart differ by 3.4 or more, a copy with 5 % of noise by 0.4
FREE = 1e6  # in place of no limit
WORKED_EXAMPLE = ([[[1, 0], [0, 1]], [[0, 1], [1, 0]]], [[1, 1], [2, 2]])  # weights, biases


@dataclass(frozen=True)
class Rung:
    """One rung of the ladder: a method, the lower bound that it proves, and what that took in CPU seconds."""

    method: str
    lower: float
    seconds: float


def small_digits(part: str = "train") -> TensorDataset:
    """The project's own digits, each square of 4 by 4 pixels averaged: 49 grey values, and the label."""
    digits = mnist(part, subset=True)
    images = nn.functional.avg_pool2d(digits.images.reshape(-1, 1, 28, 28), 4).reshape(-1, SIDE * SIDE)
    return TensorDataset(images, digits.labels)


def small_digit_network() -> nn.Sequential:
    """The course's own 49-16-12-10 network for small digits."""
    arrays = load_file("small_digits.npz")
    return network_from_arrays({name: value for name, value in arrays.items() if name[0].isdigit()}).eval()


def small_conv_network() -> nn.Sequential:
    """The course's own convolutional network for small digits: 4 kernels of 3 by 3, ReLU, Linear; takes 49 values."""
    arrays = load_file("small_digits.npz")
    net = conv_layers()
    net.load_state_dict({name: torch.from_numpy(arrays[f"conv_{name}"]) for name in net.state_dict()})
    return net.requires_grad_(False).eval()


def conv_layers() -> nn.Sequential:
    """Its layers, not yet trained."""
    return nn.Sequential(
        nn.Unflatten(1, (1, SIDE, SIDE)), nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 10)
    )  # fmt: skip


def is_small_digit_network(net: Any) -> bool:
    """Whether a network is the course's own for small digits, perhaps a little changed."""
    return alike(net, small_digit_network(), within=COPY)


def right_digit(net: nn.Module, digits: TensorDataset, label: int) -> Tensor:
    """Of these digits with this label the one that the network reads most surely.

    Raises:
        ValueError: The network reads none of them rightly.
    """
    images, labels = digits.tensors
    images = images[labels == label]
    with torch.no_grad():
        outputs = net(images.to(next(net.parameters()).dtype))
    own = outputs[:, label].clone()
    outputs[:, label] = -torch.inf
    margin = own - outputs.max(dim=1).values
    if not float(margin.max()) > 0:
        raise ValueError(f"the network reads no {label} rightly")
    return images[int(margin.argmax())]


def margin_layers(net: nn.Sequential, label: int, other: int) -> Layers:
    """The network's layers, the last one replaced by the difference of two of its outputs: label less other."""
    *before, (weight, bias) = plain(net)
    row = [a - b for a, b in zip(weight[label], weight[other], strict=True)]
    return [*before, ([row], [bias[label] - bias[other]])]


def network_of_layers(layers: Layers) -> Network:
    """The library's network of these (weight, bias) pairs."""
    return Network.from_arrays([weight for weight, _ in layers], [bias for _, bias in layers])


def runner_up(net: nn.Module, x: Tensor, label: int) -> int:
    """The class that is next to the label at an input."""
    with torch.no_grad():
        order = net(x.reshape(1, -1))[0].argsort(descending=True).tolist()
    return int(next(one for one in order if one != label))


def program_of(rows: Sequence[Row], cost: Mapping[str, float], lower: Any, upper: Any) -> tuple[Program, list[str]]:
    """A linear program of rows by name: minimise the cost for x0, x1, ... between limits; all other values are free."""
    given = {f"x{i}": (float(a), float(b)) for i, (a, b) in enumerate(zip(lower, upper, strict=True))}
    names = list(dict.fromkeys([*given, *(name for row, _ in rows for name in row), *cost]))
    place = {name: i for i, name in enumerate(names)}
    limits = np.array([given.get(name, (-FREE, FREE)) for name in names])
    program = Program(
        np.array([float(cost.get(name, 0.0)) for name in names]), limits[:, 0], limits[:, 1],
        tuple(
            (np.array([place[name] for name in row], dtype=np.int32), np.array([float(v) for v in row.values()]))
            for row, _ in rows
        ),
        np.full(len(rows), -np.inf), np.array([float(limit) for _, limit in rows]), np.zeros(len(names), dtype=bool),
    )  # fmt: skip
    return program, names


def least_value(
    rows: Sequence[Row], cost: Mapping[str, float], lower: Any, upper: Any
) -> tuple[float, list[float]] | None:
    """The least cost that the rows allow, and the inputs at which they do, by HiGHS; None where they allow none."""
    program, _ = program_of(rows, cost, lower, upper)
    answer = solve(program, timeout_s=30)
    if answer.point is None or not np.isfinite(answer.objective) or answer.status.value != "optimal":
        return None
    return answer.objective, answer.point[: len(lower)].tolist()


def with_multipliers(rows: Sequence[Row], cost: Mapping[str, float], lower: Any, upper: Any) -> dict[str, list[Any]]:
    """The same program as lists of numbers, with the multipliers that HiGHS proposes, one for each row."""
    program, _ = program_of(rows, cost, lower, upper)
    matrix = np.zeros((len(rows), len(program.cost)))
    for i, (columns, values) in enumerate(program.rows):
        matrix[i, columns] = values
    duals = solve(program, timeout_s=30).duals
    y = np.zeros(len(rows)) if duals is None else -duals  # HiGHS counts a limit from above as negative
    return {
        "cost": program.cost.tolist(), "matrix": matrix.tolist(), "right": program.row_upper.tolist(),
        "lower": program.lower.tolist(), "upper": program.upper.tolist(), "y": y.tolist(),
    }  # fmt: skip


def hidden_bounds(layers: Layers, lower: Any, upper: Any) -> list[tuple[list[float], list[float]]]:
    """The library's CROWN bounds on the hidden neurons over a box, (lower, upper) for each hidden layer."""
    found, box = [], np.stack([np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)], axis=1)
    for count in range(1, len(layers)):
        bounds = output_bounds(network_of_layers(layers[:count]), box)
        found.append((bounds.lower.tolist(), bounds.upper.tolist()))
    return found


def library_least(
    layers: Layers, known: Sequence[tuple[Any, Any]], lower: Any, upper: Any, exact: bool = False
) -> float:
    """The least value of the first output by the library's own program: with triangles, or exactly, with 0/1 values."""
    network = network_of_layers(layers)
    pre = [Bounds(np.asarray(low, dtype=float), np.asarray(high, dtype=float)) for low, high in known]
    wide = np.full(network.outputs, FREE)
    builder = Builder()
    box = Box(np.asarray(lower, dtype=float), np.asarray(upper, dtype=float))
    columns = encode_network(builder, network, box, pre, Bounds(-wide, wide), switches=exact)
    answer = solve(builder.program({int(columns.y[0]): 1.0}), timeout_s=30, gap=1e-6 if exact else None)
    return answer.objective


def ladder(layers: Layers, lower: Any, upper: Any) -> list[Rung]:
    """The lower bound on the first output over a box by each method, and its exact least value."""
    network = network_of_layers(layers)
    box = np.stack([np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)], axis=1)
    found = []
    output_bounds(network, box, method="crown_optimized")  # what is loaded at its first call is not measured
    for method in LADDER:
        started = time.process_time()
        bound = float(output_bounds(network, box, method=method).lower[0])
        found.append(Rung(method, bound, time.process_time() - started))
    started = time.process_time()
    least = library_least(layers, hidden_bounds(layers, lower, upper), lower, upper, exact=True)
    return [*found, Rung("exact", least, time.process_time() - started)]


def distances(net: Any, x: Any, radius: float, asked: Sequence[tuple[Any, str]], **options: Any) -> list[Any]:
    """(norm, method, result, CPU seconds) for each norm and method that is asked."""
    found = []
    for norm, method in asked:
        started = time.process_time()
        result = pointwise_robustness(net, x, radius, norm=norm, method=method, progress=False, **options)
        found.append((norm, method, result, time.process_time() - started))
    return found


def labels_on_grid(classify: Callable[[list[float]], int], x0: Sequence[float], reach: float, count: int = 81) -> Any:
    """What a student's function says on a grid around a point of the plane: two axes, and labels (count, count)."""
    axes = [np.linspace(c - reach, c + reach, count) for c in x0]
    labels = [[int(classify([float(a), float(b)])) for a in axes[0]] for b in axes[1]]
    return axes, np.array(labels)
