"""What the instructor is told of one submission's run: who ran out of time, where, and at once where nothing is left to
wait for."""

import time

import pytest

from grading.limits import Limits
from grading.run.one import Status
from grading.wire.outcome import Loss
from tests.grading.attacks.attack_lab import graded, own_lab, points, test_cell
from tests.grading.conftest import needs_sandbox

pytestmark = needs_sandbox
# a cell may take a second, the judge waits five more, the notebook has long
LIMITS = Limits(wall_s=60, cell_s=1, cpu_s=60, memory_mb=512, processes=32)
SWALLOWS = "import time\nwhile True:\n    try:\n        while True: time.sleep(9)\n    except BaseException: pass"
HANGS = "def f():\n" + "\n".join(f"    {line}" for line in SWALLOWS.splitlines())


def test_a_cell_that_swallows_its_interrupt_ends_as_time_and_waits_for_the_instructor(sandbox):
    lab = own_lab(
        "x = 1", test_cell("before", "x", "assert x == 1"), SWALLOWS, test_cell("after", "x", "assert x == 1")
    )
    result = graded(sandbox, *lab, limits=LIMITS)
    before, after = result.outcomes
    assert before.points == 1 and not before.out_of_time
    assert after.points == 0 and after.out_of_time and after.lost is Loss.TIME
    assert result.status is Status.TIME
    assert any("ended in cell 3" in note and "could not be interrupted" in note for note in result.notes)


def test_a_function_that_swallows_its_interrupt_waits_for_the_instructor(sandbox):
    lab = own_lab(HANGS, test_cell("hangs", "f", "assert f() == 1"), "y = 2", test_cell("other", "y", "assert y == 2"))
    result = graded(sandbox, *lab, limits=LIMITS)
    hangs, other = result.outcomes
    assert hangs.points == 0 and hangs.out_of_time and hangs.lost is Loss.TIME
    assert other.points == 1 and result.status is Status.GRADED


def test_a_cell_that_was_interrupted_is_told_to_the_instructor(sandbox):
    lab = own_lab("import time\ntime.sleep(30)", "x = 1", test_cell("t", "x", "assert x == 1"))
    result = graded(sandbox, *lab, limits=LIMITS)
    assert points(result) == 1 and result.status is Status.GRADED
    assert result.notes == ["cell 1 took longer than 1 s and was interrupted"]


def test_a_notebook_that_runs_through_has_no_notes(sandbox):
    assert graded(sandbox, *own_lab("x = 1", test_cell("t", "x", "assert x == 1")), limits=LIMITS).notes == []


CRASHES = {
    "the process": "import os; os._exit(1)",
    "the process, whose child stays": "import os, time\nif os.fork() == 0:\n    time.sleep(50)\nos._exit(1)",
}


@pytest.mark.parametrize("crash", CRASHES.values(), ids=CRASHES)
def test_a_crash_after_a_function_was_taken_is_noticed_at_once(sandbox, crash):
    """The fork that answers calls, the guard, or a student's own child held the socket that the judge waits on."""
    limits = Limits(wall_s=200, cell_s=100, cpu_s=60, memory_mb=512, processes=32)
    lab = own_lab("def f(): return 1", test_cell("f", "f", "assert f() == 1"), crash, test_cell("x", "x", "assert x"))
    started = time.monotonic()
    result = graded(sandbox, *lab, limits=limits)
    assert time.monotonic() - started < limits.cell_s  # it has not waited for an answer that cannot come
    assert [one.points for one in result.outcomes] == [1, 0]
    assert result.status is Status.ENDED and result.outcomes[1].lost is Loss.ENDED
    assert result.notes == ["the notebook was ended in cell 3: it ended by itself"]
