"""Random modules, each asked a few questions, every answer held against the module itself."""

import pytest

from judges.module_answers import ask
from judges.random_modules import STATEMENTS, random_module

MODULES = 100  # here; `python -m benchmarks.module_fuzzer` asks thousands


@pytest.mark.parametrize("first", range(0, MODULES, 10))
def test_no_answer_about_a_random_module_is_wrong(first: int) -> None:
    wrong = {seed: asked.wrong for seed in range(first, first + 10) if (asked := ask(seed)).wrong}
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1300, 25))
def test_no_answer_about_more_random_modules_is_wrong(first: int) -> None:
    wrong = {seed: asked.wrong for seed in range(first, first + 25) if (asked := ask(seed)).wrong}
    assert not wrong


def test_random_modules_hold_every_kind_of_statement() -> None:
    met = {name for seed in range(300) for name in random_module(seed).written}
    assert met == set(STATEMENTS)
