"""What holds for all tests."""

import functools
import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# A job that a shell starts in the background ignores Ctrl-C, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Hypothesis draws the same examples in every run, so that a change fails for what it did. HYPOTHESIS_PROFILE=fresh
# draws new ones, and keeps what failed in .hypothesis/. No deadline: on a busy machine any example may take long.
settings.register_profile("fixed", deadline=None, derandomize=True, database=None)
settings.register_profile("fresh", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_addoption(parser):
    """Let a second run, on a machine that has more, leave out what the first one has shown."""
    group = parser.getgroup("two runs of one change")
    group.addoption("--write-passed", type=Path, metavar="FILE", help="write the names of the tests that passed")
    group.addoption(
        "--leave-out-passed", type=Path, metavar="FILE", help="leave out what FILE names, but for the tests of grading"
    )


class Passed:
    """Writes the names of the tests that passed, one a line, when all is over."""

    def __init__(self, path):
        self.path, self.names = path, []

    def pytest_runtest_logreport(self, report):
        if report.when == "call" and report.passed:
            self.names.append(report.nodeid)

    def pytest_sessionfinish(self):
        self.path.write_text("\n".join(self.names), encoding="utf-8")


def pytest_configure(config):
    """Listen to the tests, in the process that hears of all of them."""
    if config.option.write_passed and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Passed(config.option.write_passed))


def pytest_collection_modifyitems(config, items):
    """Leave out what an earlier run has shown, unless a sandbox or the user's rights can change what it does.

    Of several processes none shall be left alone at the end with what takes a minute: it comes first. pytest-xdist
    begins with what is grouped, the largest group first, and keeps the order of all else.
    """
    if config.option.leave_out_passed:
        passed = set(config.option.leave_out_passed.read_text(encoding="utf-8").splitlines())
        again = [item for item in items if item.nodeid not in passed or item.nodeid.startswith("tests/grading/")]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(again)])
        items[:] = again
    if hasattr(config, "workerinput"):
        early = ("xdist_group", "slow")  # a group stays in order: its files set up what their tests share
        items.sort(key=lambda item: not any(map(item.get_closest_marker, early)))


@functools.cache  # once in a process: a sandbox is started to see whether one works
def lacks_sandbox():
    from grading.sandbox.bubblewrap import lacking

    return lacking()


def pytest_runtest_setup(item):
    """Leave out what runs submissions where no sandbox works."""
    if item.get_closest_marker("needs_sandbox") and (lacking := lacks_sandbox()):
        pytest.skip(lacking)


def pytest_terminal_summary(terminalreporter):
    """Say in one line what was left out, and what adds it; pytest itself lists the files."""
    # of a whole file that was skipped there is a report without keywords
    left_out = sum(
        "needs_sandbox" in getattr(report, "keywords", ()) for report in terminalreporter.stats.get("skipped", [])
    )
    if left_out and lacks_sandbox():
        terminalreporter.write_line(
            f"LEFT OUT: {left_out} tests that run submissions in a sandbox: {lacks_sandbox()}", yellow=True
        )
