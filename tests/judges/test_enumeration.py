"""The enumeration by itself, against cases worked by hand and against dense sampling."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from judges.enumeration import (
    Every,
    ExactNetwork,
    Some,
    atom,
    box_polytope,
    clauses,
    exact_answer,
    exact_range,
    holds_at,
)
from judges.random_problems import exact_spec, random_problem

ABS = [([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])]  # |x| = relu(x) + relu(-x)
XOR = [([[1.0, 1.0], [1.0, 1.0]], [0.0, -1.0]), ([[1.0, -2.0]], [0.0])]  # relu(s) - 2 relu(s - 1), s = x1 + x2


def test_absolute_value_has_its_least_value_at_the_kink() -> None:
    r"""y = |x| on [-1, 2]: least 0 at x = 0, greatest 2 at x = 2.

    2          /
    1 \       /
    0   \___/      (two straight pieces that meet at 0)
     -1  0   2
    """
    assert exact_range(ABS, [-1.0], [2.0]) == ([Fraction(0)], [Fraction(2)])


def test_a_tie_violates_a_strict_inequality_and_not_a_closed_one() -> None:
    """|x| > 0 fails at x = 0 only; |x| >= 0 holds; both have worst margin 0."""
    strict = exact_answer(ABS, [-1.0], [2.0], atom([1.0], strict=True))
    closed = exact_answer(ABS, [-1.0], [2.0], atom([1.0]))
    assert (strict.holds, strict.worst_margin, strict.violation) == (False, 0, (Fraction(0),))
    assert (closed.holds, closed.worst_margin, closed.violation) == (True, 0, None)


def test_less_than_is_violated_at_equality() -> None:
    """|x| < 2 on [-1, 2] fails at x = 2 and nowhere else."""
    answer = exact_answer(ABS, [-1.0], [2.0], exact_spec(("less_than", 2.0, 0), 1))
    assert not answer.holds
    assert answer.violation == (Fraction(2),)


def test_closed_limits_are_met_at_equality() -> None:
    """0 <= |x| <= 2 holds on [-1, 2], with both limits reached."""
    answer = exact_answer(ABS, [-1.0], [2.0], exact_spec(("within", [[0.0, 2.0]]), 1))
    assert answer.holds
    assert answer.worst_margin == 0


def test_xor_network_on_the_unit_square() -> None:
    """y = relu(s) - 2 relu(s - 1), s = x1 + x2 in [0, 2]: it rises to 1 at s = 1 and falls to 0 at s = 2.

      x2
    1 +------+      y is 0 at (0, 0) and (1, 1), and 1 on the whole diagonal from (0, 1) to (1, 0),
      | \\    |      where the box is cut in two triangles.
      |   \\  |
    0 +------+ x1
    """
    assert exact_range(XOR, [0.0, 0.0], [1.0, 1.0]) == ([Fraction(0)], [Fraction(1)])
    answer = exact_answer(XOR, [0.0, 0.0], [1.0, 1.0], atom([-1.0], 1.0, strict=True))
    assert answer.cells == 2
    assert answer.violation is not None
    assert sum(answer.violation) == 1


def test_worst_margin_at_a_point_that_no_float_equals() -> None:
    """relu(3x - 1) + relu(1 - 3x) is 0 at x = 1/3 only, so the worst margin is exactly 0 and the point exactly 1/3."""
    layers = [([[3.0], [-3.0]], [-1.0, 1.0]), ([[1.0, 1.0]], [0.0])]
    answer = exact_answer(layers, [0.0], [1.0], atom([1.0], strict=True))
    assert answer.violation == (Fraction(1, 3),)


def test_zero_width_box_is_one_point() -> None:
    """At the single point (1, 1) the XOR network gives 0."""
    answer = exact_answer(XOR, [1.0, 1.0], [1.0, 1.0], atom([1.0], -0.25))
    assert (answer.cells, answer.worst_margin, answer.violation) == (1, Fraction(-1, 4), (Fraction(1), Fraction(1)))


def test_one_side_of_zero_width_leaves_a_segment() -> None:
    """With x1 = 1 fixed, s runs over [1, 2] and y = 2 - s falls from 1 to 0."""
    assert exact_range(XOR, [1.0, 0.0], [1.0, 1.0]) == ([Fraction(0)], [Fraction(1)])


def test_dead_neurons_leave_one_cell() -> None:
    """relu(x - 20) is zero on [-1, 1], so the output is its bias."""
    answer = exact_answer([([[1.0]], [-20.0]), ([[5.0]], [0.5])], [-1.0], [1.0], atom([1.0], -0.5))
    assert (answer.cells, answer.holds, answer.worst_margin) == (1, True, 0)


def test_some_holds_where_either_part_holds() -> None:
    """On [-1, 1], y = x: (y >= 0.5 or y <= 0.5) holds with worst margin 0; with the strict > and < it fails at 0.5."""
    identity = [([[1.0]], [0.0])]
    closed = Some((atom([1.0], -0.5), atom([-1.0], 0.5)))
    strict = Some((atom([1.0], -0.5, strict=True), atom([-1.0], 0.5, strict=True)))
    mixed = Some((atom([1.0], -0.5), atom([-1.0], 0.5, strict=True)))
    assert exact_answer(identity, [-1.0], [1.0], closed).worst_margin == 0
    assert exact_answer(identity, [-1.0], [1.0], closed).holds
    assert exact_answer(identity, [-1.0], [1.0], strict).violation == (Fraction(1, 2),)
    assert exact_answer(identity, [-1.0], [1.0], mixed).holds


def test_some_of_every_is_read_as_clauses() -> None:
    """(a and b) or c means (a or c) and (b or c)."""
    a, b, c = atom([1.0]), atom([2.0]), atom([3.0])
    assert clauses(Some((Every((a, b)), c))) == [(a, c), (b, c)]


def test_a_cube_cut_by_its_diagonal_plane_keeps_its_vertices() -> None:
    """The plane x + y + z = 1.5 cuts the unit cube in a hexagon: 4 corners and 6 new vertices on each side."""
    cube = box_polytope([Fraction(0)] * 3, [Fraction(1)] * 3)
    values = [2 * sum(vertex[:3]) - 3 * vertex[3] for vertex in cube.vertices]
    part = cube.cut(values, 1 << 6)
    assert len(part.vertices) == 10
    assert len(set(part.vertices)) == 10


@pytest.mark.parametrize("index", range(60))
def test_sampled_margins_never_fall_below_the_worst_one(index: int) -> None:
    """5,000 sampled points in float64 stay above the exact worst margin, and come near it in one dimension."""
    rng = np.random.default_rng(index)
    inputs, outputs = int(rng.integers(1, 4)), 2
    sizes = [inputs, *([6] if index % 2 else [4, 3]), outputs]
    layers = [(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in pairwise(sizes)]
    spec = Some((atom(rng.normal(size=2).tolist(), 0.3), Every((atom(rng.normal(size=2).tolist()), atom([1.0, -1.0])))))
    answer = exact_answer(layers, [-1.0] * inputs, [1.0] * inputs, spec)
    h = rng.uniform(-1, 1, size=(5000, inputs))
    for position, (weight, bias) in enumerate(layers):
        h = h @ weight.T + bias
        if position < len(layers) - 1:
            h = np.maximum(h, 0)
    rows = [np.array([float(c) for c in one.coefficients]) for one in (spec.parts[0], *spec.parts[1].parts)]
    margins = [h @ row + offset for row, offset in zip(rows, (0.3, 0.0, 0.0), strict=True)]
    sampled = np.maximum(margins[0], np.minimum(margins[1], margins[2])).min()
    assert sampled >= float(answer.worst_margin) - 1e-12  # float64 sampling of numbers of size 10
    if inputs == 1:
        assert sampled <= float(answer.worst_margin) + 0.05  # 5,000 points on a segment of length 2, slopes below 100


@pytest.mark.parametrize("index", range(60))
def test_violation_of_a_random_problem_is_in_its_box_and_violates_it(index: int) -> None:
    """What the enumeration calls a violation is replayed by plain evaluation in rationals."""
    problem = random_problem(seed=7, index=index)
    answer = problem.answer()
    assert answer.holds == (answer.violation is None)
    if answer.violation is not None:
        lower, upper = problem.hull()
        assert all(low <= x <= high for low, x, high in zip(lower, answer.violation, upper, strict=True))
        y = ExactNetwork(problem.layers).outputs_at(answer.violation)
        assert not holds_at(exact_spec(problem.form, problem.outputs), y)
    else:
        assert answer.worst_margin >= 0


def test_random_problems_hold_about_as_often_as_not_and_meet_ties() -> None:
    """Among 400 drawn problems both answers are common, and so are worst margins of exactly zero."""
    answers = [random_problem(seed=3, index=index).answer() for index in range(400)]
    assert 150 <= sum(answer.holds for answer in answers) <= 250
    assert sum(answer.worst_margin == 0 and answer.holds for answer in answers) >= 10
    assert sum(answer.worst_margin == 0 and not answer.holds for answer in answers) >= 10
