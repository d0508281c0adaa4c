"""Reasons: a cause has a name, and nothing in the project reads the words beside it."""

import re
from pathlib import Path

import numpy as np
import pytest

import verifier
from tests.verifier.networks import random_network
from verifier import Box, Reason
from verifier.answer.verdict import Question
from verifier.attack import attack
from verifier.subject import Subject

ROOT = Path(__file__).parents[3]
# words read instead of names: `"..." in x.reason`, `x.reason.startswith(...)`, `x.reason == "..."`; of errors, too
READS_WORDS = re.compile(
    r"""["']\s+(not\s+)?in\s+(([\w()]+\.)*(reason|stage|message|words)\b|str\(error\))
    | \.(reason|stage|message|words)\s*\.\s*(startswith|endswith|find|index)\(
    | str\(error\)\s*\.\s*(startswith|endswith|find|index)\(
    | \.(reason|stage|message|words)\s*(==|!=)""",
    re.VERBOSE,
)
ALLOWED = {"verifier/solvers/z3_solver.py"}  # Z3 says why it stopped in words only


def sources() -> list[Path]:
    return [
        path
        for package in ("verifier", "course_utils", "benchmarks", "grading")
        for path in sorted((ROOT / package).rglob("*.py"))
    ]


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_decides_by_reading_a_message(path: Path) -> None:
    if path.relative_to(ROOT).as_posix() in ALLOWED:
        return
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    found = [f"{number}: {line.strip()}" for number, line in lines if READS_WORDS.search(line)]
    assert not found


@pytest.mark.parametrize(
    "line",
    [
        'if "time" in result.reason:',
        'x = found.reason == "interrupted"',
        'elif one.message.startswith("a"):',
        '"a" in str(error)',
    ],
)
def test_the_search_for_such_places_finds_them(line: str) -> None:
    assert READS_WORDS.search(line)


def test_every_reason_is_a_sentence_that_says_what_may_help() -> None:
    for reason in Reason:
        assert reason.value[0].isupper() and reason.value.endswith(".") and len(reason.value) > 40, reason


def hard_question() -> tuple[verifier.Network, list[tuple[float, float]], verifier.OutputSpec]:
    """Twenty inputs, and a threshold just above the largest output that an attack reaches."""
    network = random_network(3, 20, 30, 30, 1)
    question = Question.ask(Subject.of_network(network), Box([-1.0] * 20, [1.0] * 20), verifier.less_than(-1e3))
    largest = float(network(attack(question, wanted=10_000)).max())
    return network, [(-1.0, 1.0)] * 20, verifier.less_than(largest + 1e-3)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"timeout_s": 1e-9}, Reason.TIME_LIMIT),
        ({"max_subdomains": 1}, Reason.WORK_LIMIT),
        ({"method": "ibp"}, Reason.BOUNDS_OPEN),
        ({"method": "lp"}, Reason.BOUNDS_OPEN),
        ({"method": "milp", "max_subdomains": 2}, Reason.WORK_LIMIT),
    ],
)
def test_a_result_names_its_cause(options: dict[str, object], reason: Reason) -> None:
    result = verifier.verify(*hard_question(), **options)  # type: ignore[arg-type]
    assert result.verdict is verifier.Verdict.UNKNOWN and result.cause is reason, str(result)
    assert result.reason and result.timed_out == (reason is Reason.TIME_LIMIT)
    assert reason.value[:20] in result._repr_html_()


def test_the_cause_of_an_attack_that_finds_nothing_and_of_values_too_large() -> None:
    network = random_network(0, 2, 4, 1)
    safe = verifier.less_than(1e6)
    assert verifier.verify(network, [(-1, 1)] * 2, safe, method="attack").cause is Reason.ATTACK_OPEN
    huge = verifier.Network((verifier.Affine(np.full((1, 1), 1e200), np.zeros(1)),))
    assert verifier.verify(huge, [(-1, 1)], safe).cause is Reason.TOO_LARGE


def test_an_answer_has_no_cause() -> None:
    network = random_network(0, 2, 4, 1)
    result = verifier.verify(network, [(-1, 1)] * 2, verifier.less_than(1e6))
    assert result and result.cause is None and result.reason == ""
