"""What the instructor is told of one submission's run: who ran out of time, where, and at once where nothing is left to
wait for."""

import time

import pytest

from grading.limits import Limits
from grading.run.one import Status
from grading.run.sanitise import safe_markdown
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


def test_a_raw_cell_is_shown_as_the_text_that_it_is(sandbox):
    """Pages show raw cells as HTML: one with a class of the page's own covered it with a forged bar."""
    forged = '<div class="modal" id="session">session expired</div>'
    lab, plan = own_lab("x = 1", test_cell("t", "x", "assert x == 1"))
    lab["cells"].insert(0, {"cell_type": "raw", "metadata": {"format": "text/html"}, "source": forged})
    shown = graded(sandbox, lab, plan, limits=LIMITS).notebook["cells"][0]
    assert shown["cell_type"] == "markdown" and shown["source"] == f"    {forged}"
    assert "<div" not in safe_markdown(shown["source"])


def test_a_page_holds_every_graded_cell_and_few_others(sandbox):
    lab, plan = own_lab(*["1"] * 700, "x = 1", test_cell("t", "x", "assert x == 1"), "print('the end')")
    result = graded(sandbox, lab, plan, limits=LIMITS)
    cells = result.notebook["cells"]
    assert points(result) == 1 and result.status is Status.GRADED
    assert len(cells) < 510 and "t" in [cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in cells]
    assert cells[-1]["source"].startswith("202 cells without a grade")


def test_what_was_done_to_check_cells_is_told_to_the_instructor(sandbox):
    lab, plan = own_lab("x = 1", test_cell("t", "x", "assert x == 1"), test_cell("u", "x", "assert x == 1"))
    lab["cells"][1]["source"] = "pass"
    del lab["cells"][2]
    assert graded(sandbox, lab, plan, limits=LIMITS).notes == ["cells removed: u", "cells changed: t"]


def test_deep_html_of_a_notebook_is_not_the_graders_trouble(sandbox):
    cell = "from IPython.display import HTML, display\ndisplay(HTML('<div>' * 30_000))"
    lab, plan = own_lab(cell, "x = 1", test_cell("t", "x", "assert x == 1"))
    started = time.process_time()
    result = graded(sandbox, lab, plan, limits=LIMITS)
    assert points(result) == 1 and time.process_time() - started < 5
    assert "too deep" in result.notebook["cells"][0]["outputs"][0]["data"]["text/html"]
