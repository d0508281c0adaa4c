"""What stays open when there is no sandbox: nothing."""

import os
import shutil
import sys

import pytest

from grading.course import CourseError
from grading.run.many import close_sandboxes, judge_notebook
from grading.sandbox.bubblewrap import Sandbox, lacking, trouble
from tests.grading.conftest import LAB, needs_sandbox

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the files in /proc/self/fd")

REFUSALS = {
    "bubblewrap is missing": (None, "apt install bubblewrap"),
    "bubblewrap ends at once": (shutil.which("false"), "the sandbox does not start: no reason given"),
    "bubblewrap cannot be started": ("/no/such/program", "the sandbox does not start: .*No such file"),
}


def open_files():
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  the listing itself must leave nothing open


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_leaves_no_socket_open(course, monkeypatch, name):
    """The exception is kept, and with it every frame, so that no socket is closed by being forgotten."""
    program, said = REFUSALS[name]
    monkeypatch.setattr("grading.sandbox.bubblewrap.bubblewrap", lambda: program)
    source = course.source_notebook(LAB)
    close_sandboxes()  # one that runs already would be used
    before = open_files()
    with pytest.raises(CourseError, match=said) as refused:
        judge_notebook(source, source)
    assert open_files() == before, refused.value
    assert trouble() != "" and open_files() == before


@needs_sandbox
def test_a_sandbox_that_is_closed_leaves_nothing_open():
    before = open_files()
    with Sandbox():
        assert open_files() > before
    assert open_files() == before


def test_what_is_lacking_is_one_line_with_the_command_that_adds_it(monkeypatch):
    monkeypatch.setattr("grading.sandbox.bubblewrap.bubblewrap", lambda: None)
    assert lacking().startswith("bubblewrap is missing; add it with: apt install bubblewrap") and "\n" not in lacking()
    monkeypatch.setattr("grading.sandbox.bubblewrap.bubblewrap", lambda: shutil.which("false"))
    assert lacking() == "bubblewrap does not work here; `python -m grading doctor` says what to do"
