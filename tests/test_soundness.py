"""Every value that a network takes lies inside every bound, for every bounding method, and bounds nest.

The exact range of each output comes from judges; samples go through Network in float64 and through the torch
module. Nothing is allowed for rounding where the bound claims to account for it.
"""

import functools
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch

import verifier
from judges.judging import check_bounds
from judges.random_problems import Problem, random_problem
from verifier.bounds.crown import crown_bounds
from verifier.bounds.interval import interval_bounds
from verifier.bounds.layers import BoundingMethod
from verifier.bounds.lirpa import CROWN_OPTIMIZED, IBP, lirpa_bounds
from verifier.bounds.symbolic import symbolic_bounds
from verifier.method_table import bounding
from verifier.network import Affine, Network

SEED = 30
BATCH = 10

# What one float64 forward pass may itself be off by, in units of the size of the numbers it adds up: samples are
# computed in float64, so a sample may lie outside a true bound by this much. Ten operations deep, 1.1e-16 each.
SAMPLE_ATOL = 1e-14

# The same for a float32 module: fifteen operations of 6e-8 each.
FLOAT32_ATOL = 1e-6

OURS: dict[str, BoundingMethod] = {"ibp": interval_bounds, "symbolic": symbolic_bounds, "crown": crown_bounds}
METHODS: dict[str, BoundingMethod] = {
    **OURS,
    "auto_lirpa_ibp": functools.partial(lirpa_bounds, method=IBP),
    "auto_lirpa": lirpa_bounds,
}


def network_of(problem: Problem) -> Network:
    """The problem's layers as a Network, weights exact."""
    return Network(tuple(Affine(weight.astype(np.float64), bias.astype(np.float64)) for weight, bias in problem.layers))


def box_of(problem: Problem) -> verifier.Bounds:
    """The problem's box as a batch of one."""
    lower, upper = problem.hull()
    return verifier.Bounds(np.array([lower]), np.array([upper]))


def sample(boxes: verifier.Bounds, count: int, seed: int) -> np.ndarray:
    """Points of one box, shape (count, inputs), its corners and centre among them."""
    rng = np.random.default_rng(seed)
    lower, upper = boxes.lower[0], boxes.upper[0]
    points = lower + (upper - lower) * rng.random((count, lower.size))
    corners = np.stack(np.meshgrid(*zip(lower, upper, strict=True), indexing="ij"), axis=-1).reshape(-1, lower.size)
    return np.clip(np.concatenate([points, corners, (lower + upper)[None] / 2]), lower, upper)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("first", range(0, 60, BATCH))
def test_bounds_contain_the_exact_range(method: str, first: int) -> None:
    """Compared as rationals: the lower bound is at most the least value, the upper at least the greatest."""
    for index in range(first, first + BATCH):
        problem = random_problem(SEED, index)
        rows = METHODS[method](network_of(problem), box_of(problem), np.eye(problem.outputs)).rows
        logits = Problem(**{**vars(problem), "sigmoid": False})
        assert not check_bounds(logits, rows.lower[0], rows.upper[0]), f"problem {problem.seed}"


@pytest.mark.parametrize("index", range(6))
def test_optimised_bounds_contain_the_exact_range(index: int) -> None:
    problem = random_problem(SEED + 1, index)
    method = functools.partial(lirpa_bounds, method=CROWN_OPTIMIZED)
    rows = method(network_of(problem), box_of(problem), np.eye(problem.outputs)).rows
    logits = Problem(**{**vars(problem), "sigmoid": False})
    assert not check_bounds(logits, rows.lower[0], rows.upper[0])


@pytest.mark.parametrize("method", ["lp", "sdp"])
@pytest.mark.parametrize("index", range(6))
def test_bounds_by_programs_contain_the_exact_range(method: str, index: int) -> None:
    problem = random_problem(SEED + 2, index)
    rows = bounding(method)(network_of(problem), box_of(problem), np.eye(problem.outputs)).rows
    logits = Problem(**{**vars(problem), "sigmoid": False})
    assert not check_bounds(logits, rows.lower[0], rows.upper[0])


@pytest.mark.parametrize("method", ["ibp", "crown", "auto_lirpa_ibp", "auto_lirpa"])
@pytest.mark.parametrize("first", range(100, 130, BATCH))
def test_output_bounds_contain_sampled_outputs(method: str, first: int) -> None:
    """verifier.output_bounds against the torch module itself, in its own dtype, head and all."""
    for index in range(first, first + BATCH):
        problem = random_problem(SEED, index)
        net = problem.module()
        bounds = verifier.output_bounds(net, problem.x_specs(), method=method)
        dtype = getattr(torch, problem.dtype)
        points = torch.from_numpy(sample(box_of(problem), 500, index)).to(dtype)
        with torch.no_grad():
            y = net(points).double().numpy()
        room = problem.scale() * (FLOAT32_ATOL if problem.dtype == "float32" else SAMPLE_ATOL)
        weight_room = np.abs(problem.layers[-1][0]).sum() * room + room
        assert (y >= bounds.lower - weight_room).all(), f"problem {problem.seed}"
        assert (y <= bounds.upper + weight_room).all(), f"problem {problem.seed}"


@pytest.mark.parametrize("method", OURS)
@pytest.mark.parametrize("first", range(0, 40, BATCH))
def test_layer_bounds_contain_sampled_pre_activations(method: str, first: int) -> None:
    """Every z of every layer at 500 points, for the bounds that hidden layers get."""
    for index in range(first, first + BATCH):
        problem = random_problem(SEED, index)
        network, boxes = network_of(problem), box_of(problem)
        bounds = OURS[method](network, boxes, np.eye(problem.outputs))
        values = network.pre_activations(sample(boxes, 500, index))
        for z, pre in zip(values, [*bounds.pre, bounds.rows], strict=True):
            room = SAMPLE_ATOL * problem.scale() + SAMPLE_ATOL * np.abs(z).max()
            assert (z >= pre.lower[0] - room).all(), f"problem {problem.seed}"
            assert (z <= pre.upper[0] + room).all(), f"problem {problem.seed}"


@pytest.mark.parametrize("index", range(40))
def test_plane_below_the_rows_is_below_them_at_every_corner(index: int) -> None:
    """CROWN's plane is evaluated in rationals at exact points, and the network too, so nothing is allowed for."""
    problem = random_problem(SEED, index)
    network, boxes = network_of(problem), box_of(problem)
    plane = crown_bounds(network, boxes, np.eye(problem.outputs)).plane
    assert plane is not None
    for point in sample(boxes, 8, index):
        exact = network.exact_logits(point)
        for row, value in enumerate(exact):
            slope = [Fraction(float(v)) for v in plane.slope[0, row]]
            below = sum((a * Fraction(float(x)) for a, x in zip(slope, point, strict=True)), Fraction(0))
            assert below + Fraction(float(plane.offset[0, row])) <= value


@pytest.mark.parametrize("first", range(0, 60, BATCH))
def test_crown_is_no_looser_than_intervals_on_hidden_layers(first: int) -> None:
    """CROWN intersects its hidden bounds with interval arithmetic on the layers before, so they nest exactly."""
    for index in range(first, first + BATCH):
        problem = random_problem(SEED, index)
        network, boxes = network_of(problem), box_of(problem)
        interval, crown = (OURS[name](network, boxes, np.eye(problem.outputs)) for name in ("ibp", "crown"))
        for outer, inner in zip(interval.pre, crown.pre, strict=True):
            assert (inner.lower >= outer.lower).all(), f"problem {problem.seed}"
            assert (inner.upper <= outer.upper).all(), f"problem {problem.seed}"


@pytest.mark.parametrize("method", OURS)
@pytest.mark.parametrize("index", range(20))
def test_bounds_of_the_halves_lie_within_those_of_the_box(method: str, index: int) -> None:
    """With the parent's hidden bounds handed down, no hidden bound of either half is looser than the parent's."""
    problem = random_problem(SEED, index)
    network, boxes = network_of(problem), box_of(problem)
    rows = np.eye(problem.outputs)
    parent = OURS[method](network, boxes, rows)
    axis = int(np.argmax(boxes.upper - boxes.lower))
    middle = (boxes.lower[0, axis] + boxes.upper[0, axis]) / 2
    lower, upper = np.repeat(boxes.lower, 2, axis=0), np.repeat(boxes.upper, 2, axis=0)
    upper[0, axis] = lower[1, axis] = middle
    known = [verifier.Bounds(np.repeat(b.lower, 2, axis=0), np.repeat(b.upper, 2, axis=0)) for b in parent.pre]
    halves = OURS[method](network, verifier.Bounds(lower, upper), rows, known)
    for outer, inner in zip(parent.pre, halves.pre, strict=True):
        assert (inner.lower >= outer.lower).all()
        assert (inner.upper <= outer.upper).all()


@pytest.mark.parametrize("index", range(20))
def test_a_wider_box_has_wider_interval_bounds(index: int) -> None:
    problem = random_problem(SEED, index)
    network, boxes = network_of(problem), box_of(problem)
    wider = verifier.Bounds(boxes.lower - 0.25, boxes.upper + 0.25)
    inner, outer = (interval_bounds(network, one, np.eye(problem.outputs)).rows for one in (boxes, wider))
    assert (outer.lower <= inner.lower).all()
    assert (outer.upper >= inner.upper).all()


@pytest.mark.parametrize("index", range(20))
def test_a_batch_of_boxes_is_bounded_as_each_by_itself(index: int) -> None:
    """A batch of three random parts gives, up to the rounding of a batched product, what three calls give."""
    problem = random_problem(SEED, index)
    network, boxes = network_of(problem), box_of(problem)
    rng = np.random.default_rng(index)
    ends = np.sort(rng.random((3, 2, boxes.lower.shape[1])), axis=1)
    width = boxes.upper - boxes.lower
    batch = verifier.Bounds(boxes.lower + ends[:, 0] * width, boxes.lower + ends[:, 1] * width)
    together = crown_bounds(network, batch, np.eye(problem.outputs)).rows
    for i in range(3):
        one = verifier.Bounds(batch.lower[i : i + 1], batch.upper[i : i + 1])
        alone = crown_bounds(network, one, np.eye(problem.outputs)).rows
        room = 1e-9 * problem.scale() + 1e-9 * np.abs(alone.lower).max()
        np.testing.assert_allclose(together.lower[i], alone.lower[0], rtol=1e-9, atol=room)
        np.testing.assert_allclose(together.upper[i], alone.upper[0], rtol=1e-9, atol=room)


def normal_network(index: int, hidden: int) -> tuple[Network, verifier.Bounds]:
    """A network of normal weights with `hidden` layers of 12 neurons and 3 outputs, and four boxes of radius 0.3."""
    rng = np.random.default_rng(index)
    sizes = [int(rng.integers(1, 6)), *[12] * hidden, 3]
    layers = tuple(Affine(rng.normal(size=(b, a)) / np.sqrt(a), rng.normal(size=b)) for a, b in pairwise(sizes))
    centre = rng.uniform(-1, 1, size=(4, sizes[0]))
    return Network(layers), verifier.Bounds(centre - 0.3, centre + 0.3)


LIRPA_ATOL = 1e-5  # two implementations of one paper; the rounding terms of both are far smaller


@pytest.mark.parametrize("hidden", [1, 2, 3])
@pytest.mark.parametrize("index", range(20))
def test_published_crown_agrees_with_auto_lirpa(index: int, hidden: int) -> None:
    """One box a call: in a batch auto-LiRPA refines a neuron in all boxes where it is unstable in one of them."""
    network, boxes = normal_network(index, hidden=hidden)
    for i in range(len(boxes.lower)):
        box = verifier.Bounds(boxes.lower[i : i + 1], boxes.upper[i : i + 1])
        ours = crown_bounds(network, box, np.eye(3), intersect=False).rows
        theirs = lirpa_bounds(network, box, np.eye(3)).rows
        np.testing.assert_allclose(ours.lower, theirs.lower, atol=LIRPA_ATOL)
        np.testing.assert_allclose(ours.upper, theirs.upper, atol=LIRPA_ATOL)
