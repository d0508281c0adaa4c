"""Which input is split, and when: worked by hand on neurons of two kinds and two inputs."""

import numpy as np
import pytest

from verifier import Affine, Bounds, MilpOptions, Network, Verdict, greater_than, verify
from verifier.answer.verdict import Question
from verifier.exact.milp.configuration import bound_configuration
from verifier.exact.milp.found import SubProblem
from verifier.exact.milp.split_inputs import choose_halves, score, splits_boxes, stability_ratio
from verifier.question.spec import AllOf, Box
from verifier.subject import Subject

# z1 = x1, z2 = x1 - 0.1 on [-1, 1]^2: halving x1 leaves z1 stable in both halves and z2 in one; x2 changes nothing.
# Each five times over, since a box with few unstable neurons is not split.
NETWORK = Network(
    (Affine(np.tile([1.0, 0.0], (10, 1)), np.tile([0.0, -0.1], 5)), Affine(np.ones((1, 10)), np.zeros(1)))
)


def halves(favour: float, depth: int = 1):
    question = Question.ask(Subject.of_network(NETWORK), Box([-1, -1], [1, 1]), AllOf(()))
    part = SubProblem(question.box, depth)
    found = bound_configuration(question, None, "crown")
    return choose_halves(question, part, found.pre, MilpOptions(favour=favour))


def test_stability_ratio_counts_both_kinds_of_stable_neurons():
    pre = [Bounds([[-1.0, 1.0]], [[1.0, 2.0]]), Bounds([[-3.0, -1.0]], [[-1.0, 1.0]])]
    assert stability_ratio(pre)[0] == 0.5


def test_the_input_that_makes_neurons_stable_is_split():
    first, second = halves(20.0)
    assert first.box.upper.tolist() == [0.0, 1.0] and second.box.lower.tolist() == [0.0, -1.0]
    assert first.depth == second.depth == 2


def test_a_box_in_which_nothing_is_stable_is_always_worth_a_split_and_a_stable_one_never():
    assert halves(0.01) is not None  # 0 before, 0.75 afterwards
    question = Question.ask(Subject.of_network(NETWORK), Box([0.5, -1], [1, 1]), AllOf(()))
    found = bound_configuration(question, None, "crown")
    assert choose_halves(question, SubProblem(question.box), found.pre, MilpOptions(favour=1e9)) is None


@pytest.mark.parametrize(("favour", "expected"), [(2.0, False), (20.0, True)])
def test_depth_is_discounted(favour, expected):
    """From a ratio of 0.5 at depth 1 to 0.6 at depth 2: 0.6 / 2^(1/2) = 0.42 is worse, 0.6 / 2^(1/20) = 0.58 better."""
    assert (score(0.6, 2, favour) > score(0.5, 1, favour)) is expected


def test_the_box_is_split_where_few_inputs_vary_unless_the_caller_says():
    question = Question.ask(Subject.of_network(NETWORK), Box([-1, -1], [1, 1]), AllOf(()))
    assert splits_boxes(question, MilpOptions()) and not splits_boxes(question, MilpOptions(splitting=False))
    wide = Network((Affine(np.ones((2, 20)), np.zeros(2)), Affine(np.ones((1, 2)), np.zeros(1))))
    question = Question.ask(Subject.of_network(wide), Box([-1] * 20, [1] * 20), AllOf(()))
    assert not splits_boxes(question, MilpOptions()) and splits_boxes(question, MilpOptions(splitting=True))


def test_eight_unstable_neurons_are_left_to_programs_however_much_splitting_is_favoured():
    """Splitting this box along its three inputs took more than a thousand parts; it has 2^8 configurations at most."""
    generator = np.random.default_rng(3)
    hidden = Affine(generator.normal(size=(8, 3)), generator.normal(size=8))
    net = Network((hidden, Affine(np.abs(generator.normal(size=(1, 8))), np.zeros(1))))
    options = MilpOptions(bounds="symbolic", cuts="none", splitting=True, favour=100.0)
    result = verify(net, [(-3, 3)] * 3, greater_than(-0.001), method="milp", milp=options, progress=False)
    assert result.verdict is Verdict.VERIFIED
    assert result.milp is not None and result.milp.input_splits == 0
