"""All complete methods give one verdict on the same tiny problems, and it is the one that enumeration gives.

The exact answers come from judges, which shares no code with the verifier. Thousands more of these problems
run in benchmarks/random_agreement.py. Work is limited by subdomains, never by seconds.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import verifier
from judges.enumeration import Answer
from judges.judging import COMPLETE, Judgement, judge
from judges.random_problems import Form, Problem, random_problem, shift

MAX_SUBDOMAINS = 5000
SEED = 20  # of the random problems; the benchmark draws others
BATCH = 10  # problems a test: one pytest item each would cost more than the question itself

INCOMPLETE = ("ibp", "crown", "auto_lirpa_ibp", "auto_lirpa", "attack")

property_settings = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def ask(problem: Problem, method: str) -> tuple[Any, Answer, Judgement]:
    """Put a problem to verify() and judge the result by the exact answer."""
    net, answer, counterexamples = problem.module(), problem.answer(), []
    result = verifier.verify(
        net,
        problem.x_specs(),
        problem.y_specs(),
        counterexamples,
        method=method,
        max_subdomains=MAX_SUBDOMAINS,
        timeout_s=600,
        progress=False,
    )
    return result, answer, judge(problem, answer, net, result, counterexamples, method)


def assert_agrees(problem: Problem, method: str) -> Any:
    """Fail on a wrong verdict, a false counterexample, bounds that miss the exact range, or giving up with room."""
    result, answer, judgement = ask(problem, method)
    name = f"problem {problem.seed}, {method}, exact worst margin {float(answer.worst_margin):.3g}"
    assert not judgement.wrong, f"{name}: {'; '.join(judgement.wrong)}"
    assert not judgement.unknown_with_room, f"{name}: unknown ({result.reason})"
    return result


@pytest.mark.parametrize("first", range(0, 300, BATCH))
def test_verify_agrees_with_enumeration(first: int) -> None:
    """300 random networks with random boxes and specs, thresholds at or near the exact optimum."""
    for index in range(first, first + BATCH):
        assert_agrees(random_problem(SEED, index), "auto")


@pytest.mark.parametrize("method", [method for method in COMPLETE if method != "auto"])
@pytest.mark.parametrize("first", range(300, 360, BATCH))
def test_each_complete_method_agrees_with_enumeration(method: str, first: int) -> None:
    for index in range(first, first + BATCH):
        assert_agrees(random_problem(SEED, index), method)


@pytest.mark.parametrize("method", INCOMPLETE)
@pytest.mark.parametrize("first", range(400, 440, BATCH))
def test_incomplete_methods_are_never_wrong(method: str, first: int) -> None:
    for index in range(first, first + BATCH):
        assert_agrees(random_problem(SEED, index), method)


@pytest.mark.parametrize("first", range(440, 450, 5))
def test_optimised_slopes_are_never_wrong(first: int) -> None:
    """auto-LiRPA's optimised slopes, on fewer problems: a fifth of a second each."""
    for index in range(first, first + 5):
        assert_agrees(random_problem(SEED, index), "auto_lirpa_optimized")


def test_bounding_alone_falsifies_nothing_and_attacking_alone_verifies_nothing() -> None:
    """An attack cannot prove; bounds can, and may find a counterexample on their way."""
    verdicts = [ask(random_problem(SEED, index), "attack")[0].verdict for index in range(450, 480)]
    assert verifier.Verdict.VERIFIED not in verdicts
    assert verifier.Verdict.FALSIFIED in verdicts


halves = st.integers(-6, 6).map(lambda n: n / 2)


@st.composite
def tiny_problems(draw: st.DrawFn) -> Problem:
    """Networks, boxes and thresholds of halves: ties are common and every margin is a multiple of 1/32 at a corner."""
    inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    hidden = draw(st.lists(st.integers(1, 4), min_size=1, max_size=2))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    layers, width = [], inputs
    for neurons in [*hidden, outputs]:
        values = draw(st.lists(halves, min_size=neurons * (width + 1), max_size=neurons * (width + 1)))
        array = np.array(values, dtype=dtype).reshape(neurons, width + 1)
        layers.append((array[:, :-1].copy(), array[:, -1].copy()))
        width = neurons
    corners = [sorted(draw(st.tuples(halves, halves))) for _ in range(inputs)]
    lower, upper = [low for low, _ in corners], [high for _, high in corners]
    return Problem((0, 0), layers, dtype, lower, upper, draw(forms(outputs)))


def forms(outputs: int, depth: int = 0) -> st.SearchStrategy[Form]:
    """Every form of spec, with thresholds of halves; joined ones two levels deep."""
    output = st.integers(0, outputs - 1)
    pair = st.one_of(
        st.tuples(halves, halves).map(lambda both: sorted(both)),
        halves.map(lambda low: [low, None]),
        halves.map(lambda high: [None, high]),
    )
    kinds: list[st.SearchStrategy[Form]] = [
        st.lists(pair, min_size=outputs, max_size=outputs).map(lambda pairs: ("within", pairs)),
        st.tuples(st.just("less_than"), halves, st.one_of(st.none(), output)),
        st.tuples(st.just("greater_than"), halves, st.one_of(st.none(), output)),
        st.tuples(st.just("linear"), st.lists(halves, min_size=outputs, max_size=outputs), halves, st.booleans()),
    ]
    if outputs > 1:
        kinds.append(st.tuples(st.just("argmax_is"), output))
    if depth < 1:
        parts = st.lists(forms(outputs, depth + 1), min_size=1, max_size=3)
        kinds += [parts.map(lambda found: ("any_of", found)), parts.map(lambda found: ("all_of", found))]
    return st.one_of(kinds)


@property_settings
@given(tiny_problems())
def test_complete_methods_give_the_verdict_of_enumeration(problem: Problem) -> None:
    """Whatever is settled is settled as enumeration says, by each complete method."""
    for method in COMPLETE:
        assert_agrees(problem, method)


@property_settings
@given(tiny_problems())
def test_z3_settles_ties(problem: Problem) -> None:
    """Z3 computes in rationals and so proves a closed spec that holds with worst margin exactly zero."""
    result, answer, judgement = ask(problem, "z3")
    assert not judgement.wrong
    if answer.holds:
        assert result.verdict is verifier.Verdict.VERIFIED
        assert result.guarantee == "exact" or answer.worst_margin > 0


@property_settings
@given(tiny_problems(), st.floats(0.01, 1.0))
def test_a_spec_moved_past_its_worst_margin_changes_its_verdict(problem: Problem, distance: float) -> None:
    """Thresholds moved so that the worst margin is +distance give verified, and -distance falsified."""
    assume("argmax_is" not in str(problem.form))  # it has no threshold
    worst = float(problem.answer().worst_margin)
    for target, expected in ((distance, verifier.Verdict.VERIFIED), (-distance, verifier.Verdict.FALSIFIED)):
        moved = Problem(
            problem.seed,
            problem.layers,
            problem.dtype,
            problem.lower,
            problem.upper,
            shift(problem.form, target - worst),
        )
        if any(low is not None and high is not None and low > high for low, high in _intervals(moved.form)):
            continue  # the two limits of an interval have passed each other
        assert assert_agrees(moved, "auto").verdict is expected


def _intervals(form: Form) -> list[Any]:
    if form[0] == "within":
        return list(form[1])
    return [pair for part in form[1] for pair in _intervals(part)] if form[0] in ("any_of", "all_of") else []


@property_settings
@given(st.integers(0, 10_000), st.integers(0, 2))
def test_a_part_of_the_box_keeps_what_holds_on_the_whole(index: int, axis: int) -> None:
    """A verified spec is verified on each half of the box; a falsified one is not verified on both."""
    problem = random_problem(SEED + 1, index)
    axis %= len(problem.lower)
    middle = (problem.lower[axis] + problem.upper[axis]) / 2
    left = [*problem.upper[:axis], middle, *problem.upper[axis + 1 :]]
    right = [*problem.lower[:axis], middle, *problem.lower[axis + 1 :]]
    net, verdicts = problem.module(), []
    for lower, upper in ((problem.lower, problem.upper), (problem.lower, left), (right, problem.upper)):
        result = verifier.verify(
            net, verifier.Box(lower, upper), problem.y_specs(), max_subdomains=MAX_SUBDOMAINS, timeout_s=600
        )
        verdicts.append(result.verdict)
    if verdicts[0] is verifier.Verdict.VERIFIED:
        assert verifier.Verdict.FALSIFIED not in verdicts[1:]
    if verdicts[0] is verifier.Verdict.FALSIFIED:
        assert verdicts[1:] != [verifier.Verdict.VERIFIED] * 2
