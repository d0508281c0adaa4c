"""Dependencies hold at every point, leave every configuration that occurs, and are those that one finds by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifier import Affine, Bounds, Network
from verifier.bounds.interval import interval_bounds
from verifier.exact.linear.builder import Builder
from verifier.exact.linear.dependencies import Dependency, allowed_configurations, find_dependencies
from verifier.exact.linear.encode_margin import add_cuts
from verifier.exact.linear.encode_network import NetworkColumns

A, B = (0, 0), (0, 1)


def network(*layers):
    return Network(tuple(Affine(np.array(w, dtype=float), np.array(b, dtype=float)) for w, b in layers))


def hidden_bounds(net, box):
    rows = np.eye(net.outputs)
    found = interval_bounds(net, Bounds(box.lower[None], box.upper[None]), rows)
    return [Bounds(z.lower[0], z.upper[0]) for z in found.pre]


def square(inputs):
    return Bounds(-np.ones(inputs), np.ones(inputs))


def test_of_two_parallel_neurons_the_farther_one_implies_the_nearer_one():
    """z_a = x + 0.5, z_b = x - 0.5: b active implies a active, which is all there is to say."""
    net = network(([[1], [1]], [0.5, -0.5]), ([[1, 1]], [0]))
    found = find_dependencies(net, square(1), hidden_bounds(net, square(1)))
    assert [one if one.first == B else one.contrapositive for one in found] == [Dependency(B, True, A, True)]


def test_two_neurons_that_face_each_other():
    """z_a = x + 0.5, z_b = -x + 0.5: never both inactive. z_b = -x - 0.5 instead: never both active."""
    for offset, when, then in ((0.5, False, True), (-0.5, True, False)):
        net = network(([[1], [-1]], [offset, offset]), ([[1, 1]], [0]))
        (one,) = find_dependencies(net, square(1), hidden_bounds(net, square(1)))
        assert (one.when, one.then) == (when, then)


def test_perpendicular_neurons_do_not_depend_on_each_other():
    net = network(([[1, 0], [0, 1]], [0, 0]), ([[1, 1]], [0]))
    assert find_dependencies(net, square(2), hidden_bounds(net, square(2))) == ()


def test_a_neuron_that_another_one_needs_in_order_to_be_active():
    """a = 2 relu(x) - 1: only an active x lifts it above 0. c = 1 - 2 relu(x): without x it stays active."""
    net = network(([[1]], [0]), ([[2], [-2]], [-1, 1]), ([[1, 1]], [0]))
    found = find_dependencies(net, square(1), hidden_bounds(net, square(1)))
    consecutive = {one for one in found if one.kind == "consecutive"}
    assert consecutive == {Dependency((0, 0), False, (1, 0), False), Dependency((0, 0), False, (1, 1), True)}


def test_consecutive_pairs_alone_miss_what_needs_a_sum():
    """h = relu(x), a = 5 h1 + 1.2 h2 - 1, c = 0.5 - relu(a). Where h1 is inactive, a <= 0.2 and so c >= 0.3 is active.

    a itself may have either sign there, so no chain of consecutive pairs leads from h1 to c.
    """
    net = network(([[1, 0], [0, 1]], [0, 0]), ([[5, 1.2]], [-1]), ([[-1]], [0.5]), ([[1]], [0]))
    pre = hidden_bounds(net, square(2))
    found = find_dependencies(net, square(2), pre)
    grid = np.array(list(itertools.product(np.linspace(-1, 1, 41), repeat=2)))
    z = net.pre_activations(grid)
    off = z[0][:, 0] <= 0
    assert (z[2][off, 0] > 0).all()  # the dependency is there
    assert (z[1][off, 0] > 0).any() and (z[1][off, 0] < 0).any()
    known = {one for d in found for one in (d, d.contrapositive)}
    reached, waiting = set(), [((0, 0), False)]
    while waiting:
        place = waiting.pop()
        if place not in reached:
            reached.add(place)
            waiting.extend((one.second, one.then) for one in known if (one.first, one.when) == place)
    assert ((2, 0), True) not in reached  # and no chain of those found says so


@pytest.mark.parametrize("when", [True, False])
@pytest.mark.parametrize("then", [True, False])
def test_a_cut_forbids_what_the_dependency_does_and_nothing_else(when, then):
    """Of the four configurations of two neurons, "A as `when` and B not as `then`" is the one that goes."""
    one = Dependency(A, when, B, then)
    assert one.contrapositive.contrapositive == one
    builder = Builder()
    switches = builder.columns(np.zeros(2), np.ones(2), "d", whole=True)
    columns = NetworkColumns(switches[:0], (), (), switches[:0], (switches,))
    add_cuts(builder, columns, [one])
    program = builder.program({})
    for d in itertools.product((False, True), repeat=2):
        (index, value), lower, upper = program.rows[0], program.row_lower[0], program.row_upper[0]
        obeys = lower <= value @ np.array(d, dtype=float)[index] <= upper
        assert obeys == ((d[0], d[1]) != (when, not then))
        assert obeys == one.holds([np.array(d)]) == one.contrapositive.holds([np.array(d)])


@given(st.integers(0, 10_000), st.sampled_from([(2, 4, 1), (2, 4, 3, 1), (3, 5, 4, 2)]), st.floats(-2, 2))
@settings(max_examples=60)
def test_every_configuration_that_occurs_is_left(seed, sizes, exponent):
    rng = np.random.default_rng(seed)
    layers = [
        (rng.normal(0, 10.0**exponent, (after, before)), rng.normal(0, 0.3, after))
        for before, after in itertools.pairwise(sizes)
    ]
    net, box = network(*layers), square(sizes[0])
    pre = hidden_bounds(net, box)
    found = find_dependencies(net, box, pre)
    points = rng.uniform(-1, 1, (1000, sizes[0]))
    patterns = [z > 0 for z in net.pre_activations(points)[:-1]]
    for i in range(len(points)):
        active = [pattern[i] for pattern in patterns]
        assert all(one.holds(active) for one in found)
    left = {tuple(np.concatenate(one)) for one in allowed_configurations(pre, found)}
    occurring = {tuple(row) for row in np.concatenate(patterns, axis=1)}
    assert occurring <= left
    assert len(left) <= 2 ** sum(int(((z.lower < 0) & (z.upper > 0)).sum()) for z in pre)


def test_dependencies_leave_fewer_configurations():
    """Six parallel neurons x - t: of 64 configurations 7 occur, and the cuts leave just those."""
    net = network(([[1]] * 6, [0.75, 0.5, 0.25, -0.25, -0.5, -0.75]), ([[1] * 6], [0]))
    pre = hidden_bounds(net, square(1))
    assert len(list(allowed_configurations(pre, ()))) == 64
    assert len(list(allowed_configurations(pre, find_dependencies(net, square(1), pre)))) == 7


def test_weights_known_only_up_to_a_radius_blur_a_dependency():
    """z_b could be as large as z_a where weights may move by 1, so nothing is claimed."""
    layer = Affine(np.array([[1.0], [1.0]]), np.array([0.5, -0.5]), np.ones((2, 1)), np.zeros(2))
    net = Network((layer, Affine(np.ones((1, 2)), np.zeros(1))))
    assert find_dependencies(net, square(1), hidden_bounds(net, square(1))) == ()


def test_a_search_that_is_stopped_returns_what_it_has():
    net = network(([[1], [1]], [0.5, -0.5]), ([[2, 0], [-2, 0]], [-1, 1]), ([[1, 1]], [0]))
    pre = hidden_bounds(net, square(1))
    everything, stopped = (
        find_dependencies(net, square(1), pre),
        find_dependencies(net, square(1), pre, stop=lambda: True),
    )
    assert {one.kind for one in everything} == {"intra-layer", "consecutive"}
    assert {one.kind for one in stopped} == {"consecutive"} and set(stopped) <= set(everything)
