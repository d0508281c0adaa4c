"""What searches tell: closed parts and open ones cover the question, and a closing record proves its part again.

Each record is put to the test with rationals, by a backward pass written here that shares nothing with the verifier's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import partial
from itertools import product

import numpy as np
import pytest

from tests.verifier.networks import random_network
from verifier.answer.budget import Budget
from verifier.answer.verdict import Question
from verifier.bounds.crown import crown_bounds
from verifier.bounds.interval import interval_bounds
from verifier.enclosure import Bounds
from verifier.exact.linear.check import safe_lower_bound
from verifier.exact.linear.leaf import leaf_check, leaf_program
from verifier.network import Affine, Head, Network
from verifier.question.spec import Box, OutputSpec, any_of, less_than, linear, output_spec
from verifier.search.compiled.split import continue_compiled
from verifier.search.events import By, Event, Fate, Lines
from verifier.search.head_split import HeadSplit
from verifier.search.inputs.split import InputSplit
from verifier.search.relu.clause_rows import ClauseRows
from verifier.search.relu.optimised_root import optimised_root
from verifier.search.relu.split import ReluSplit
from verifier.search.relu.subdomain_bounds import Contradiction
from verifier.search.relu.subdomains import Open, RootWork
from verifier.subject import Subject

Vector = list[Fraction]
ONE = Fraction(1)


def ask(network: Network, spec: OutputSpec, side: float = 1.0) -> Question:
    box = Box([-side] * network.inputs, [side] * network.inputs)
    return Question.ask(Subject.of_network(network), box, spec)


def limit_above(network: Network, room: float) -> OutputSpec:
    """A limit on the only output, above its largest value on a grid."""
    axis = np.linspace(-1, 1, 41)
    grid = np.array(list(product(axis, repeat=network.inputs)))
    return output_spec([(None, float(network(grid).max()) + room)])


def exact(values: Iterable[float]) -> Vector:
    return [Fraction(float(value)) for value in values]


def least(slope: Vector, offset: Fraction, lower: Sequence[float], upper: Sequence[float]) -> Fraction:
    """The smallest value of slope . x + offset in a box."""
    sides = zip(slope, exact(lower), exact(upper), strict=True)
    return offset + sum((a * (low if a > 0 else high) for a, low, high in sides), Fraction(0))


def row_of(question: Question, clause: int, lines: Lines) -> tuple[Vector, Fraction]:
    """The mixture of a clause's margins, as a row of the logits and an offset."""
    row, offset = [Fraction(0)] * question.network.outputs, Fraction(0)
    weights = [Fraction(float(w)) for w in lines.mixture[: len(question.margins.clauses[clause])]]
    assert min(weights) >= 0
    assert max(weights) > 0
    for weight, index in zip(weights, question.margins.clauses[clause], strict=True):
        margin = question.margins.margins[index]
        if weight:
            assert margin.row is not None
            offset += weight * Fraction(margin.offset)
            row = [r + weight * c for r, c in zip(row, exact(question.margins.rows[margin.row]), strict=True)]
    return row, offset


def backward(
    network: Network, pre: Sequence[Bounds], lines: Lines, row: Vector, offset: Fraction
) -> tuple[Vector, Fraction]:
    """A linear function of x below row . logits + offset + side z, in rationals; multipliers' signs are checked."""
    coefficients = row
    for k in range(len(network.layers) - 1, -1, -1):
        layer = network.layers[k]
        if k < len(pre):
            chosen, z = [], pre[k]
            for j, c in enumerate(coefficients):
                low, high = Fraction(float(z.lower[j])), Fraction(float(z.upper[j]))
                m, slope = Fraction(float(lines.multipliers[k][j])), Fraction(float(lines.slopes[k][j]))
                if low >= 0:
                    below, above, add, m = ONE, ONE, Fraction(0), max(m, Fraction(0))
                elif high <= 0:
                    below, above, add, m = Fraction(0), Fraction(0), Fraction(0), min(m, Fraction(0))
                else:
                    assert 0 <= slope <= 1
                    below, above, m = slope, high / (high - low), Fraction(0)
                    add = -above * low
                chosen.append((c * below if c > 0 else c * above) - m)
                offset += min(c, Fraction(0)) * add
            if lines.neuron is not None and lines.neuron[0] == k:
                chosen[lines.neuron[1]] += Fraction(lines.side)
            coefficients = chosen
        offset += sum((c * b for c, b in zip(coefficients, exact(layer.bias), strict=True)), Fraction(0))
        weight = np.asarray(layer.weight)
        columns = [exact(weight[:, i]) for i in range(weight.shape[1])]
        coefficients = [sum((c * w for c, w in zip(coefficients, one, strict=True)), Fraction(0)) for one in columns]
    return coefficients, offset


def holds_pre(network: Network, lower: Sequence[float], upper: Sequence[float], pre: Sequence[Bounds]) -> None:
    """Bounds on the first hidden layer are no tighter than its exact range over a box."""
    layer = network.layers[0]
    for j, (row, bias) in enumerate(zip(np.asarray(layer.weight), layer.bias, strict=True)):
        slope, offset = exact(row), Fraction(float(bias))
        assert least(slope, offset, lower, upper) >= Fraction(float(pre[0].lower[j]))
        assert -least([-a for a in slope], -offset, lower, upper) <= Fraction(float(pre[0].upper[j]))


def volume(lower: np.ndarray, upper: np.ndarray) -> Fraction:
    found = ONE
    for low, high in zip(exact(lower), exact(upper), strict=True):
        found *= high - low
    return found


@pytest.mark.parametrize(("seed", "bound"), [(0, crown_bounds), (1, crown_bounds), (2, interval_bounds)])
@pytest.mark.parametrize("most", [25, 20_000])
def test_boxes_closed_and_open_cover_the_box_exactly(seed: int, bound: object, most: int) -> None:
    """Volumes as rationals: a box that was split is its children and what was cut off of it."""
    network = random_network(seed, 2, 8, 1)
    question, events = ask(network, limit_above(network, 0.05)), []
    search = InputSplit(question, bound, observe=events.append)  # type: ignore[arg-type]
    search.run(Budget(max_subdomains=most))
    told = {event.part: event for event in events}
    open_boxes = {box.number: box for box in search.open_boxes}
    assert len(told) == len(events)
    assert not told.keys() & open_boxes.keys()
    assert bool(search.open_boxes) != search.verified
    total = Fraction(0)
    for event in events:
        if event.split is None:
            total += volume(event.lower, event.upper)
            continue
        assert event.left is not None
        total += volume(event.lower, event.upper) - volume(event.left.lower, event.left.upper)
        (axis,) = event.split.index
        for number, side in ((event.split.below, "upper"), (event.split.above, "lower")):
            child = told.get(number, open_boxes.get(number))
            assert child is not None
            assert child.parent == event.part
            wanted = {"lower": event.left.lower.copy(), "upper": event.left.upper.copy()}
            wanted[side][axis] = event.split.at
            assert (child.lower == wanted["lower"]).all()
            assert (child.upper == wanted["upper"]).all()
    total += sum((volume(box.lower, box.upper) for box in open_boxes.values()), Fraction(0))
    assert total == volume(question.box.lower, question.box.upper)


@pytest.mark.parametrize("seed", range(3))
def test_what_closed_a_box_proves_it_again_in_rationals(seed: int) -> None:
    """One hidden layer, so that its bounds are exact: lines are walked back, and planes cut off what they say."""
    network = random_network(seed, 2, 8, 2)
    axis = np.linspace(-1, 1, 41)
    values = network(np.array(list(product(axis, repeat=2))))
    first, top = float(np.median(values[:, 0])), float(values[:, 1].max())
    either = any_of(linear([1.0, 0.0], -first), linear([-1.0, 0.0], first + 0.05))  # no margin holds by itself
    question, events = ask(network, either & linear([0.0, -1.0], top + 0.05)), []
    search = InputSplit(question, crown_bounds, observe=events.append)
    search.run(Budget(max_subdomains=5_000))
    assert search.verified
    closed = [event for event in events if event.proof is not None]
    assert {event.proof.by for event in closed if event.proof} == {By.BOUNDS, By.CUT}
    for event in closed:
        proof = event.proof
        assert proof is not None
        holds_pre(network, event.lower, event.upper, proof.pre)
        if proof.by is By.BOUNDS:
            for clause, lines in enumerate(proof.lines):
                slope, offset = backward(network, proof.pre, lines, *row_of(question, clause, lines))
                assert least(slope, offset, event.lower, event.upper) > 0 or single_holds(question, clause, event)
            continue
        assert proof.plane is not None
        for index in range(len(question.margins.margins)):
            check_plane(question, event, index)
        left = event.left or Bounds(np.full(2, np.inf), np.full(2, -np.inf))
        points = np.random.default_rng(seed).uniform(event.lower, event.upper, (200, 2))
        outside = points[~((points >= left.lower) & (points <= left.upper)).all(axis=1)]
        planes = outside @ proof.plane.slope.T + proof.plane.offset
        for clause, lines in zip(question.margins.clauses, proof.lines, strict=True):
            if not lines.mixture.any():
                assert (planes[:, list(clause)].max(axis=1) > 0).all()


def single_holds(question: Question, clause: int, event: Event) -> bool:
    """Whether the margin that closed a clause holds by the intervals of the hidden outputs."""
    proof = event.proof
    assert proof is not None
    row, offset = row_of(question, clause, proof.lines[clause])
    last = question.network.layers[-1]
    columns = np.asarray(last.weight)
    slope = [
        sum((r * w for r, w in zip(row, exact(columns[:, j]), strict=True)), Fraction(0))
        for j in range(columns.shape[1])
    ]
    offset += sum((r * b for r, b in zip(row, exact(last.bias), strict=True)), Fraction(0))
    h = proof.pre[-1]
    return least(slope, offset, np.maximum(h.lower, 0), np.maximum(h.upper, 0)) > 0


def check_plane(question: Question, event: Event, index: int) -> None:
    """A recorded plane lies below its margin: it equals what its slopes give, less what rounding may have lost."""
    proof, margins = event.proof, question.margins
    assert proof is not None
    assert proof.plane is not None
    clause = next(c for c, members in enumerate(margins.clauses) if index in members)
    weights = np.array([float(member == index) for member in margins.clauses[clause]])
    lines = Lines(proof.lines[clause].slopes, proof.lines[clause].multipliers, weights)
    slope, offset = backward(question.network, proof.pre, lines, *row_of(question, clause, lines))
    off = [a - Fraction(float(b)) for a, b in zip(slope, proof.plane.slope[index], strict=True)]
    assert least(off, offset - Fraction(float(proof.plane.offset[index])), event.lower, event.upper) >= 0


def patterns_below(events: dict[int, Event], part: int, fixed: dict[tuple[int, int], int]) -> list[dict]:
    """The signs that splits have fixed, for every leaf of the tree and every part that is still open."""
    event = events.get(part)
    if event is None or event.split is None:
        return [fixed]
    layer, neuron = event.split.index
    assert (layer, neuron) not in fixed
    sides = ((event.split.below, -1), (event.split.above, 1))
    return [one for number, sign in sides for one in patterns_below(events, number, {**fixed, (layer, neuron): sign})]


@pytest.mark.parametrize("most", [6, 400])
def test_subdomains_closed_and_open_cover_every_sign_pattern_once(most: int) -> None:
    network = random_network(3, 3, 7, 6, 1)
    question, told = ask(network, limit_above(network, 0.02)), []
    search = ReluSplit(question, leaf=partial(leaf_check, question), observe=told.append)
    search.run(Budget(max_subdomains=most))
    events = {event.part: event for event in told}
    assert len(events) == len(told)
    parts = [*events.values(), *search.open_boxes]
    assert any(event.split for event in told)
    root = max((one for one in parts if one.parent is None), key=lambda one: one.part if isinstance(one, Event) else 0)
    assert isinstance(root, Event)
    leaves = patterns_below(events, root.part, {})
    neurons = sorted({place for leaf in leaves for place in leaf})
    share = sum(Fraction(1, 2 ** len(leaf)) for leaf in leaves)
    assert share == 1  # leaves of a binary tree, none missing and none twice
    for pattern in list(product((-1, 1), repeat=min(len(neurons), 10))):
        signs = dict(zip(neurons, pattern, strict=False))
        assert sum(all(signs.get(place, sign) == sign for place, sign in leaf.items()) for leaf in leaves) >= 1
    numbers = {one.number for one in search.open_boxes}
    for event in told:
        if event.split is not None:
            for number in (event.split.below, event.split.above):
                assert (number in events) != (number in numbers)
    assert search.verified == (not numbers)


@pytest.mark.parametrize("seed", range(4))
def test_what_closed_a_subdomain_proves_it_again_in_rationals(seed: int) -> None:
    network = random_network(seed, 3, 9, 1)
    question, told = ask(network, limit_above(network, 0.01)), []
    search = ReluSplit(question, leaf=partial(leaf_check, question), observe=told.append)
    search.run(Budget(max_subdomains=2_000))
    assert search.verified
    closed = [event for event in told if event.fate is Fate.VERIFIED]
    assert closed
    for event in closed:
        prove_subdomain(question, event)


def prove_subdomain(question: Question, event: Event) -> None:
    """The record of a subdomain shows that no point of it violates the clause, given its bounds on hidden neurons."""
    proof, box, clause = event.proof, question.box, event.clause
    assert proof is not None
    assert clause is not None
    if proof.by is By.PROGRAM:
        program, _ = leaf_program(question, question.margins.clauses[clause], event.signs)
        assert proof.multipliers is not None
        assert safe_lower_bound(program, proof.multipliers) > 0
        return
    lows = []
    for lines in proof.lines:
        if lines.mixture.any():
            row, offset = row_of(question, clause, lines)
        else:
            row, offset = [Fraction(0)] * question.network.outputs, Fraction(0)
        slope, offset = backward(question.network, proof.pre, lines, row, offset)
        lows.append(least(slope, offset, box.lower, box.upper))
    if proof.by is By.BOUNDS:
        assert lows[0] >= 0
        return
    assert proof.by is By.CONTRADICTION
    place = proof.lines[0].neuron
    assert place is not None
    z = proof.pre[place[0]]
    low = max(lows[0], Fraction(float(z.lower[place[1]])))
    high = min(-lows[1], Fraction(float(z.upper[place[1]])))
    assert low > high


def test_a_contradiction_names_the_neuron_that_shows_it_and_is_proved_again() -> None:
    """relu(x) + 4 is never negative: z >= z + w margin and -z >= -z + w margin leave z no value where it were."""
    network = Network((Affine(np.ones((1, 1)), np.zeros(1)), Affine(np.ones((1, 1)), np.zeros(1))))
    question = ask(network, linear([1.0], 4.0))
    root = optimised_root(network, Bounds(question.box.lower, question.box.upper))
    at = RootWork(network, root, ClauseRows(question.margins, [0]))
    part = Open(-np.inf, 0, None, 0, -np.inf, 0, np.zeros(1, dtype=np.int8), None)
    why: dict[int, Contradiction] = {}
    empty = at.tighten([part], at.inherited([part]), lambda: False, why)
    assert empty[0]
    assert why[0].neuron == 0
    proof = at.contradiction(part, why[0])
    assert proof.lines[0].neuron == (0, 0)
    prove_subdomain(question, Event(0, None, Fate.VERIFIED, question.box.lower, question.box.upper, 0, proof=proof))


def test_cells_closed_and_open_cover_all_rows_and_each_tells_what_its_own_search_told() -> None:
    network = random_network(5, 3, 6, 3)
    soft = Network(network.layers, Head.SOFTMAX)
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (4000, 3))
    points = np.concatenate([points, 0.3 * np.array(list(itertools.product([-1.0, 1.0], repeat=3)))])
    logits = network(points)
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    top = float((share / share.sum(axis=1, keepdims=True))[:, 0].max())
    question, told = ask(soft, less_than(top + 0.002, output=0), side=0.3), []
    search = HeadSplit(question, observe=told.append)
    search.run(Budget(max_subdomains=3_000))
    assert search.verified
    events = {event.part: event for event in told}
    assert len(events) == len(told)
    for event in told:
        assert event.rows is not None
        if event.split is not None:
            (row,) = event.split.index
            below, above = events[event.split.below].rows, events[event.split.above].rows
            assert below is not None
            assert above is not None
            assert below.upper[row] == above.lower[row] == event.split.at
            for side, one in (("lower", below), ("upper", above)):
                assert (getattr(one, side) == getattr(event.rows, side)).all()
        else:
            proof = event.proof
            assert proof is not None
            assert proof.by is By.SEARCH
            assert proof.spec is not None
            inner = ask(network, proof.spec, side=0.3)
            assert {one.clause for one in proof.events} == set(range(len(inner.margins.clauses)))
            for one in proof.events:
                if one.proof is not None:
                    prove_subdomain(inner, one)


def test_an_observed_search_of_boxes_is_not_handed_to_compiled_code() -> None:
    network = random_network(0, 2, 8, 1)
    search = InputSplit(ask(network, limit_above(network, 0.01)), crown_bounds, observe=lambda event: None)
    assert continue_compiled(search, Budget()) is None


def test_an_interrupted_step_is_not_told() -> None:
    """The second batch is interrupted: its boxes are open again, and no event speaks of them."""
    network = random_network(0, 2, 8, 1)
    calls = []

    def interrupted(*args: object) -> object:
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return crown_bounds(*args)  # type: ignore[arg-type]

    events: list[Event] = []
    question = ask(network, limit_above(network, 0.1))
    search = InputSplit(question, interrupted, observe=events.append)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        search.run(Budget())
    assert len(events) == 1
    assert len(search.open_boxes) == 2
    assert not search.verified
    search.run(Budget())
    assert search.verified


def test_a_search_observed_or_not_takes_the_same_steps() -> None:
    network = Network(random_network(7, 2, 12, 12, 1).layers)
    question = ask(network, limit_above(network, 0.02))
    counts = []
    for observe in (None, [].append):
        budget = Budget()
        InputSplit(question, crown_bounds, observe=observe).run(budget)
        counts.append(budget.subdomains)
    assert counts[0] == counts[1]
