"""Run one test cell, in a namespace of its own, on values that were taken from a student's notebook."""

import ast
import contextlib
import functools
import importlib
import io
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from grading.inside.hints import hint, one_line
from grading.lab.contract import TestCell
from grading.wire.outcome import Loss, Outcome

SEED = 0  # of every test cell, so that its points do not depend on the cells before it
MAX_PRINTED = 10_000
POINTS_RTOL = 1e-6  # 0.1 + 0.2 is more than 0.3, and a float32 is off by 1e-7; no cell has a million parts
ASKED_OF_A_NETWORK = ("verify", "output_bounds", "split_trace", "verify_robust")  # may be left open for want of time


class WorkerLostError(Exception):
    """Nothing more can be asked of the notebook's process.

    Args:
        loss: Why.
        said: The same in words.
    """

    def __init__(self, loss: Loss, said: str) -> None:
        super().__init__(f"the notebook's process stopped answering: {said}")
        self.loss = loss


def judge_cell(test: TestCell, values: Mapping[str, Any]) -> Outcome:
    """Run one test cell.

    As in nbgrader, a cell that fails earns nothing; one that succeeds earns what its last expression says, or
    everything.

    Args:
        test: The instructor's cell.
        values: The value of each name that it uses, or the exception with which taking it failed.
    """
    earlier = [value for value in values.values() if isinstance(value, Exception)]
    if earlier:  # all of this was said before any test ran
        first = earlier[0]
        before = first.loss if isinstance(first, WorkerLostError) else None
        said = one_line(type(first).__name__, str(first)) if before is None else str(first)
        return Outcome(
            test.grade_id, 0.0, test.max_points, said, said, out_of_time=before is Loss.TIME, lost=before
        )  # fmt: skip
    calls_functions = _holds_function(list(values.values()))
    printed = io.StringIO()
    late: list[object] = []  # what time kept from being found
    lost: Loss | None = None
    _seed()
    try:
        with (
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(io.StringIO()),
            _careful_verifier(test.source, late),
        ):
            points = _partial_credit(
                _run(test.source, test.grade_id, {"__name__": "__main__", **values}), test.max_points
            )
        message = detail = ""
    except BaseException as error:  # a test cell may also end with SystemExit
        points = 0.0
        message = hint(test.source, test.grade_id, error, calls_functions)
        detail = one_line(type(error).__name__, str(error))
        lost = error.loss if isinstance(error, WorkerLostError) else None
        if lost is Loss.TIME:
            late.append(error)
    if abs(points - test.max_points) <= POINTS_RTOL * test.max_points:
        points = test.max_points
    if points > test.max_points:
        points, message = 0.0, f"the test cell itself gives {points:g} points; fix the test cell"
    return Outcome(
        test.grade_id, points, test.max_points, message, detail, printed.getvalue()[:MAX_PRINTED],
        bool(late) and points < test.max_points, lost,
    )  # fmt: skip


def _holds_function(value: Any) -> bool:
    """Whether a student's function stands anywhere in plain data, from where a test may call it."""
    if isinstance(value, dict):
        return any(_holds_function(part) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple)):
        return any(map(_holds_function, value))
    return callable(value) and not hasattr(value, "forward")


def _run(source: str, name: str, namespace: dict[str, Any]) -> Any:
    """Execute a cell and give the value of its last expression; None where a notebook would show none."""
    tree = ast.parse(source, filename=name)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr) or source.rstrip().endswith(";"):
        exec(compile(tree, name, "exec"), namespace)
        return None
    exec(compile(ast.Module(tree.body[:-1], type_ignores=[]), name, "exec"), namespace)
    return eval(compile(ast.Expression(last.value), name, "eval"), namespace)


def _partial_credit(value: Any, max_points: float) -> float:
    """Points as nbgrader reads them from a cell's output: a number that is not negative; anything else is full
    credit.

    Where the number was computed from a student's values, these decide its type. So a number of numpy's or torch's is
    one as well, and what is not a number earns nothing.
    """
    if value is None:
        return max_points
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    try:
        points = float(repr(value))
    except ValueError:
        return 0.0 if isinstance(value, complex) else max_points
    if math.isnan(points):
        return 0.0
    return points if points >= 0.0 else max_points


@contextlib.contextmanager
def _careful_verifier(source: str, late: list[object]) -> Iterator[None]:
    """Refuse a file's name where a network is asked for, and note answers that time kept from being found."""
    if "verifier" not in sys.modules and "verifier" not in source:
        yield
        return
    verifier: Any = importlib.import_module("verifier")
    reading: Any = importlib.import_module("verifier.frontends.read")

    def refuse(path: object, *_: object) -> Any:
        raise TypeError(f"a network is wanted here, not the name of a file: {str(path)[:100]!r}")

    def careful(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            result = function(*arguments, **named)
            told = getattr(result, "result", result)
            if getattr(told, "timed_out", False):
                late.append(told)
            return result

        return call

    replaced = [(verifier, name, careful(getattr(verifier, name))) for name in ASKED_OF_A_NETWORK]
    replaced.append((reading, "_read_file", refuse))
    original = [(module, name, getattr(module, name)) for module, name, _ in replaced]
    try:
        for module, name, function in replaced:
            setattr(module, name, function)
        yield
    finally:
        for module, name, function in original:
            setattr(module, name, function)


def _seed() -> None:
    import random

    random.seed(SEED)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(SEED)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(SEED)
