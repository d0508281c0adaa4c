"""The tests of one submission, run one after the other in a child of the judge.

A student's values can be made to cost any amount of time and memory, or to crash a library. So each test has limits of
its own: one that reaches them, or ends the child, is recorded as failed and marked to be looked at, and the next child
goes on with the test behind it.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grading.inside.test_cell import judge_cell
from grading.lab.contract import TestCell
from grading.limits import Limits
from grading.wire.arrays import WireError
from grading.wire.channel import Channel
from grading.wire.outcome import Outcome

Trial = tuple[TestCell, Callable[[], Mapping[str, Any]]]  # a test, and how to get the values that it takes
BEYOND_A_CELL_S = 15.0  # a test may wait for a function as long as for a cell, and then for as long as it has patience
SPARE_S = 10.0  # kept back of the judge's own time, so that it can say what it found
TOO_MUCH = "the test could not be finished with these values"


def run_trials(trials: Sequence[Trial], limits: Limits, started: float) -> list[Outcome]:
    """The outcome of each test, in order.

    Args:
        trials: The tests; values are asked for in the child only.
        limits: Those of the judge, which was started at `started` by the monotonic clock.
        started: See there.
    """
    outcomes: list[Outcome] = []
    while len(outcomes) < len(trials):
        outcomes += _in_a_child(trials[len(outcomes) :], limits, started + limits.wall_s - SPARE_S)
    return outcomes


def _in_a_child(trials: Sequence[Trial], limits: Limits, deadline: float) -> list[Outcome]:
    """Outcomes up to the first test that does not come to its end; at least one."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            ours.close()
            _try_all(trials, Channel(theirs), limits)
        os._exit(0)
    theirs.close()
    channel, outcomes = Channel(ours), []
    try:
        for test, _ in trials:
            seconds = min(limits.cell_s + BEYOND_A_CELL_S, deadline - time.monotonic())
            try:
                outcomes.append(Outcome.from_data(channel.receive(max(0.0, seconds))))
            except (EOFError, OSError, WireError) as error:
                why = "there was not enough time" if isinstance(error, TimeoutError) else "its process was ended"
                outcomes.append(_unfinished(test, why))
                break
    finally:
        channel.close()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return outcomes


def _try_all(trials: Sequence[Trial], channel: Channel, limits: Limits) -> None:
    """What the child does."""
    left = limits.cpu_s - SPARE_S - _computed(resource.RUSAGE_CHILDREN)  # earlier children's
    for test, values in trials:
        used = _computed(resource.RUSAGE_SELF)
        soft = int(used + max(1.0, min(limits.cell_s + BEYOND_A_CELL_S, left - used)))
        resource.setrlimit(resource.RLIMIT_CPU, (soft + 1, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        outcome = judge_cell(test, values())
        try:
            json.dumps(outcome.to_data(), allow_nan=False)
        except ValueError:
            outcome = _unfinished(test, "its outcome is not a number")
        channel.send(outcome.to_data())


def _computed(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _unfinished(test: TestCell, why: str) -> Outcome:
    return Outcome(test.grade_id, 0.0, test.max_points, TOO_MUCH, f"{TOO_MUCH}: {why}", out_of_time=True)
