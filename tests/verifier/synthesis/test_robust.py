"""Flipped bits: the solver's answers against trying every flip, and networks that are robust by construction."""

import numpy as np
import pytest

pytest.importorskip("ortools")

from verifier.errors import SketchError
from verifier.solvers.cpsat_solver import satisfiable
from verifier.solvers.status import Status
from verifier.synthesis.network import WholeNetwork
from verifier.synthesis.robust import flip_by_enumeration, flip_by_solver, flips_of, synthesise_robust
from verifier.synthesis.sketch import Examples, Sketch, between


def test_flips_are_all_inputs_within_that_many_places():
    assert {tuple(one) for one in flips_of([1, 1, -1], 1)} == {(-1, 1, -1), (1, -1, -1), (1, 1, 1)}
    assert len(list(flips_of(np.ones(6), 2))) == 6 + 15
    for flips in (0, 7):
        with pytest.raises(SketchError, match=f"flips: found {flips}, expected 1 to 6"):
            next(flips_of(np.ones(6), flips))


@pytest.mark.parametrize("activation", ["sign", "halves"])
@pytest.mark.parametrize("topology", [(8, 1), (8, 4, 1), (8, 4, 3)])
def test_the_solver_and_enumeration_agree_on_every_input(topology, activation):
    rng = np.random.default_rng(4)
    sketch = Sketch(topology, (-1, 1), between(-2, 2), activation, "sign" if topology[-1] == 1 else "argmax")
    layers = list(zip(topology[1:], topology[:-1], strict=True))
    network = WholeNetwork(
        sketch, tuple(rng.choice([-1, 1], one) for one in layers), tuple(rng.integers(-2, 3, m) for m, _ in layers)
    )
    answers = set()
    for x in rng.choice([-1, 1], (8, 8)):
        label = int(network.predict(x[None])[0])
        if label < 0:
            continue  # a tie
        for flips in (1, 2):
            asked, tried = flip_by_solver(network, x, label, flips), flip_by_enumeration(network, x, label, flips)
            assert asked.status is tried.status
            answers.add(asked.status)
            if asked.flipped is not None:
                assert 1 <= (asked.flipped != x).sum() <= flips and network.predict(asked.flipped[None])[0] != label
    assert Status.SATISFIABLE in answers
    with pytest.raises(SketchError, match="label: found -1"):
        flip_by_solver(network, x, -1, 1)


def test_a_network_that_is_robust_by_construction_survives_every_flip():
    signs = np.array([[1] * 6, [-1] * 6, [1, 1, 1, 1, 1, -1], [-1, -1, -1, -1, 1, -1]])
    examples = Examples(signs, [1, 0, 1, 0])
    sketch = Sketch((6, 1), between(-1, 1), between(-2, 2), "sign")
    done = synthesise_robust(sketch, examples, 1)
    assert done.robust and done.rounds > 1 and done.added > 0, "the examples alone leave room for flips that fail"
    for x, label in zip(signs, examples.labels, strict=True):
        assert flip_by_enumeration(done.last.network, x, int(label), 1).status is Status.INFEASIBLE


def test_neighbours_with_different_labels_cannot_be_robust():
    """They differ in one bit, so each is the other's flip."""
    examples = Examples([[1, 1, 1, 1], [1, 1, 1, -1]], [0, 1])
    done = synthesise_robust(
        Sketch((4, 1), between(-3, 3), between(-9, 9), "sign"), Examples(examples.inputs[:1], [0]), 1
    )
    assert done.robust
    with pytest.raises(
        SketchError, match="examples 0 and 1 have the labels 0 and 1 and differ in 1 places; with up to 1"
    ):
        synthesise_robust(Sketch((4, 1), between(-3, 3), between(-9, 9), "sign"), examples, 1)


@pytest.mark.parametrize(("flips", "meet"), [(1, False), (2, True)])
def test_examples_meet_when_each_goes_half_of_the_way(flips, meet):
    """They differ in three places: two flips of one and one of the other make them equal, one flip of each does not."""
    sketch, examples = Sketch((3, 1), between(-1, 1), activation="sign"), Examples([[1, 1, 1], [-1, -1, -1]], [1, 0])
    if meet:
        with pytest.raises(SketchError, match="differ in 3 places; with up to 2 flips of each"):
            synthesise_robust(sketch, examples, flips)
    else:  # the majority of three
        assert synthesise_robust(sketch, examples, flips).robust


def test_flips_are_asked_of_networks_of_bits_alone():
    with pytest.raises(SketchError, match="expected activation 'sign' or 'halves', found 'relu'"):
        synthesise_robust(Sketch((3, 1)), Examples([[1, 1, 1]], [1]), 1)


@pytest.mark.parametrize("seed", range(20))
def test_satisfiable_agrees_with_a_sat_solver_and_with_trying_all(seed):
    rng = np.random.default_rng(seed)
    clauses = [[int(v) * int(s) for v, s in zip(rng.permutation(5)[:3] + 1, rng.choice([-1, 1], 3), strict=True)]
               for _ in range(26)]  # fmt: skip
    tried = any(
        all(any((literal > 0) == bool(row >> (abs(literal) - 1) & 1) for literal in clause) for clause in clauses)
        for row in range(32)
    )
    assert satisfiable(clauses) == tried
    pysat = pytest.importorskip("pysat.solvers")
    with pysat.Solver("cadical153", bootstrap_with=clauses) as solver:
        assert solver.solve() == tried
