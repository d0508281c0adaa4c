"""What lab 6 uses besides the library: programs from a student's rows, dependencies as plain data, and the race.

Rows are plain data: a pair (coefficients, limit) means coefficients . v <= limit, with v the inputs x, then h behind
each ReLU, then a switch d for each ReLU.
"""

from __future__ import annotations

import csv
import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from torch import nn

from course_utils.acas import NETWORKS, acas_network, acas_property
from course_utils.data import load_file
from verifier import Box, MilpOptions, any_of, argmax_is, linear, verify
from verifier.bounds.crown import crown_bounds
from verifier.enclosure import Bounds
from verifier.exact.linear.builder import Builder
from verifier.exact.linear.dependencies import find_dependencies
from verifier.frontends.read import read_subject
from verifier.solvers.highs_solver import solve
from verifier.solvers.status import Status

Rows = Iterable[tuple[Sequence[float], float]]


def layer_range(rows: Any, x: Sequence[float], neurons: int, most: float = 1e3) -> list[tuple[float, float]] | None:
    """The smallest and the largest h of each neuron that some rows allow where the inputs are x; None for none at all.

    Args:
        rows: Pairs (coefficients, limit), 2 `neurons` more coefficients than inputs.
        x: The inputs.
        neurons: How many there are.
        most: Largest value of an h.
    """
    found = []
    for neuron in range(neurons):
        ends = []
        for sign in (1.0, -1.0):
            builder = Builder()
            point = np.asarray(x, dtype=np.float64)
            builder.columns(point, point)
            h = builder.columns(np.full(neurons, -most), np.full(neurons, most))
            builder.columns(np.zeros(neurons), np.ones(neurons), whole=True)
            for coefficients, limit in rows:
                builder.row(range(builder.count), [float(c) for c in coefficients], -np.inf, float(limit))
            answer = solve(builder.program({int(h[neuron]): sign}), timeout_s=60.0)
            if answer.point is None:
                return None
            ends.append(sign * answer.objective)
        found.append((ends[0], ends[1]))
    return found


@dataclass(frozen=True)
class Constant:
    """What one M did: the largest output that the program found, its nodes and seconds, and whether it is too small."""

    m: float
    largest: float
    nodes: int
    seconds: float
    proved: float


def largest_with(net: nn.Sequential, x_specs: Any, m: float | None, timeout_s: float = 10.0) -> Constant:
    """Maximise a network's one output by big-M programs with the same constant everywhere, or with bounds (None)."""
    box = Box.from_pairs(x_specs)
    network = read_subject(net, None, box.lower.size).network
    found = crown_bounds(network, Bounds(box.lower[None], box.upper[None]), np.eye(1))
    builder = Builder()
    h = builder.columns(box.lower, box.upper)
    largest = 1e4
    for place, layer in enumerate(network.layers):
        size = layer.bias.size
        z = builder.columns(np.full(size, -largest), np.full(size, largest))
        builder.affine_rows(layer, h, z, np.full(h.size, largest))
        if place == len(network.layers) - 1:
            break
        low, high = found.pre[place].lower[0], found.pre[place].upper[0]
        if m is not None:
            low, high = np.full(size, -m), np.full(size, m)
        h = builder.columns(np.zeros(size), np.full(size, largest))
        d = builder.columns(np.zeros(size), np.ones(size), whole=True)
        for j in range(size):
            l, u = min(float(low[j]), 0.0), max(float(high[j]), 0.0)  # noqa: E741
            builder.row([h[j], z[j]], [1.0, -1.0], 0.0, np.inf)
            builder.row([h[j], z[j], d[j]], [1.0, -1.0, -l], -np.inf, -l)
            builder.row([h[j], d[j]], [1.0, -u], -np.inf, 0.0)
    started = time.perf_counter()
    answer = solve(builder.program({int(z[0]): -1.0}), timeout_s=timeout_s)
    seconds = time.perf_counter() - started
    value = -answer.objective if answer.point is not None else -np.inf
    finished = answer.status in (Status.OPTIMAL, Status.INFEASIBLE)
    return Constant(np.nan if m is None else m, value, answer.nodes, seconds, value if finished else -answer.bound)


def hidden_bounds(net: Any, x_specs: Any) -> list[tuple[list[float], list[float]]]:
    """CROWN's bounds on z of each hidden layer: a list of lower and a list of upper bounds for each."""
    box = Box.from_pairs(x_specs)
    network = read_subject(net, None, box.lower.size).network
    found = crown_bounds(network, Bounds(box.lower[None], box.upper[None]), np.eye(network.outputs))
    return [(one.lower[0].tolist(), one.upper[0].tolist()) for one in found.pre]


Link = tuple[tuple[int, int], bool, tuple[int, int], bool]


def dependency_links(net: Any, x_specs: Any, kinds: Sequence[str] = ("intra-layer", "consecutive")) -> list[Link]:
    """The library's dependencies as plain data: first neuron, its state, second neuron, its state; True for active."""
    box = Box.from_pairs(x_specs)
    network = read_subject(net, None, box.lower.size).network
    pre = [Bounds(np.array(low), np.array(high)) for low, high in hidden_bounds(net, x_specs)]
    found = find_dependencies(network, Bounds(box.lower, box.upper), pre, kinds=kinds)
    return [(one.first, one.when, one.second, one.then) for one in found]


def network_of(*layers: tuple[Any, Any]) -> nn.Sequential:
    """A network of (weight, bias) pairs with ReLU between them."""
    made: list[nn.Module] = []
    for matrix, offset in layers:
        w, b = torch.tensor(matrix, dtype=torch.float32), torch.tensor(offset, dtype=torch.float32)
        linear_layer = nn.Linear(w.shape[1], w.shape[0])
        linear_layer.load_state_dict({"weight": w, "bias": b})
        made += [linear_layer, nn.ReLU()]
    return nn.Sequential(*made[:-1]).eval()


def sampled_patterns(net: nn.Sequential, x_specs: Any, points: int = 40_000) -> set[tuple[bool, ...]]:
    """Which states of all ReLUs occur together at random points of the box."""
    box = Box.from_pairs(x_specs)
    h = torch.from_numpy(np.random.default_rng(0).uniform(box.lower, box.upper, (points, box.lower.size))).float()
    states = []
    with torch.no_grad():
        for module in net:
            if isinstance(module, nn.ReLU):
                states.append(h > 0)
            h = module(h)
    return {tuple(row) for row in torch.cat(states, dim=1).tolist()}


def small_network(seed: int, *sizes: int) -> nn.Sequential:
    """A network with random weights, the same for everybody."""
    rng = np.random.default_rng(seed)
    pairs = [(rng.normal(size=(b, a)) * 2 / np.sqrt(a), rng.normal(size=b) * 0.3) for a, b in itertools.pairwise(sizes)]
    return network_of(*pairs)


def cat_airplane() -> tuple[nn.Sequential, torch.Tensor, list[int]]:
    """A small network with two convolutions, 20 images of CIFAR-10's test set, (20, 3, 32, 32), and their labels.

    The labels are 0 for an airplane and 1 for a cat.
    """
    arrays = load_file("cat_airplane.npz")
    net = nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 4, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(512, 2),
    )  # fmt: skip
    net.load_state_dict({
        f"{name[0]}.{name[2:]}": torch.from_numpy(value) for name, value in arrays.items() if name[0].isdigit()
    })  # fmt: skip
    images = torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2).float() / 255
    return net.eval(), images, [int(label) for label in arrays["labels"]]


def small_digit() -> tuple[nn.Sequential, torch.Tensor, int]:
    """Lab 3's network 784-40-10 on grey values from 0 to 1, a digit, (784,), and its label."""
    from course_utils.data import network_from_arrays

    arrays = load_file("split_digit.npz")
    return network_from_arrays(arrays).eval(), torch.from_numpy(arrays["image"]).reshape(-1) / 255, int(arrays["label"])


def acas_question(number: int) -> tuple[list[tuple[float, float]], Any]:
    """x_specs and y_specs of one property of the aircraft: safe is what breaks one of the unsafe rows."""
    asked = acas_property(number)
    rows, limits = asked.unsafe
    safe = [linear(list(row), -limit, strict=True) for row, limit in zip(rows, limits, strict=True)]
    return list(asked.box), safe[0] if len(safe) == 1 else any_of(*safe)


@dataclass(frozen=True, eq=False)
class Instance:
    """One question of the race."""

    name: str
    net: Any
    x_specs: Any
    y_specs: Any
    input_shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Lap:
    """How long one method took for one question."""

    method: str
    instance: str
    verdict: str
    seconds: float


PLAIN = MilpOptions(search="highs", cuts="none", splitting=False)
RACE_METHODS: dict[str, dict[str, Any]] = {
    "crown": {"method": "crown"},
    "input splitting": {"method": "split"},
    "ReLU splitting": {"method": "relu_split"},
    "plain MILP": {"method": "milp", "milp": PLAIN},
    "MILP with all": {"method": "milp", "milp": MilpOptions(cuts="during")},
    "auto": {"method": "auto"},
    "Z3": {"method": "z3"},
}


def race_instances() -> list[Instance]:
    """Twenty questions: 12 of the aircraft, 4 of a digit at growing radii, 4 of cats and airplanes."""
    found = []
    for name in NETWORKS:
        for number in (1, 2, 3, 4):
            found.append(Instance(f"ACAS Xu {name}, property {number}", acas_network(name), *acas_question(number)))
    net, image, label = small_digit()
    for radius in (0.06, 0.08, 0.09, 0.1):
        box = torch.stack([(image - radius).clamp(0, 1), (image + radius).clamp(0, 1)], dim=1).tolist()
        found.append(Instance(f"digit, radius {radius}", net, box, argmax_is(label)))
    conv, images, labels = cat_airplane()
    for k, levels in ((0, 2), (1, 2), (10, 4), (11, 6)):
        x, radius = images[k].reshape(-1), levels / 255
        box = torch.stack([(x - radius).clamp(0, 1), (x + radius).clamp(0, 1)], dim=1).tolist()
        found.append(Instance(f"image {k}, radius {levels}/255", conv, box, argmax_is(labels[k]), (3, 32, 32)))
    return found


def run_race(method: str, instances: Iterable[Instance], timeout_s: float) -> Iterable[Lap]:
    """Ask every question by one method of RACE_METHODS, and measure CPU seconds."""
    options = RACE_METHODS[method]
    for one in instances:
        started = time.process_time()
        result = verify(
            one.net, one.x_specs, one.y_specs, input_shape=one.input_shape, timeout_s=timeout_s, progress=False,
            **options,
        )  # fmt: skip
        yield Lap(method, one.name, result.verdict.value, time.process_time() - started)


def stored_race() -> list[Lap]:
    """The race as it was run once, at most ten seconds of CPU time for each question."""
    with (files("course_utils") / "data_files" / "race.csv").open(encoding="utf-8") as stream:
        return [
            Lap(row["method"], row["instance"], row["verdict"], float(row["cpu_s"])) for row in csv.DictReader(stream)
        ]
