"""What holds for all tests."""

import functools
import signal

import pytest

# A job that a shell starts in the background ignores Ctrl-C, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
    left_out = sum("needs_sandbox" in report.keywords for report in terminalreporter.stats.get("skipped", []))
    if left_out:
        terminalreporter.write_line(
            f"LEFT OUT: {left_out} tests that run submissions in a sandbox: {lacks_sandbox()}", yellow=True
        )
