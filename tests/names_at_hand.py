"""Hand in, as the answer to an exercise, every name that a released notebook defines or can import.

`gifts` runs as the last cell of the notebook, in its own kernel, so that one run of a lab serves all that is asked.
"""

import contextlib
import importlib
import io
import pkgutil
import re
import signal
import types
from pathlib import Path

import course_utils
import verifier
from course_utils.data import circle_network, circle_points, noisy_digit, repaired_circle_network
from course_utils.stand_ins import DIGIT_NETWORKS, attacked_shares, digit_network, pixel_map

OWN = ("course_utils", "verifier")
ROOM = 6 * 2**30  # bytes of address space for the process, besides what it has already
SECONDS = 5.0  # of the processor, for one name in one check; one that takes longer counts as earning nothing
JUPYTERS = ("In", "Out", "get_ipython", "exit", "quit", "open")


class TooLongError(BaseException):
    """A name that was never meant as an answer keeps a check busy; no `except Exception` of a check takes this."""


def importable():
    """What a notebook may import: the verifier's public names, and what `course_utils` defines and its data give."""
    found = {f"verifier.{name}": getattr(verifier, name) for name in verifier.__all__}
    for module in pkgutil.walk_packages(course_utils.__path__, "course_utils."):
        if ".authoring" in module.name or module.name.endswith(("doctor", "warm_up")):
            continue
        loaded = importlib.import_module(module.name)
        found |= {f"{module.name}.{name}": value for name, value in vars(loaded).items() if is_own(name, value)}
    found |= {"circle_network()": circle_network(), "repaired_circle_network()": repaired_circle_network()}
    found |= {"noisy_digit().net": noisy_digit().net, "points": circle_points()[0], "pixel_map()": pixel_map()}
    found |= {f"digit_network({name})": digit_network(name) for name in DIGIT_NETWORKS}
    return found | {f"attacked_shares({name})": attacked_shares(name) for name in DIGIT_NETWORKS}


def is_own(name, value):
    """Whether a public name of a module of the course is the course's, not Python's or another library's."""
    if name.startswith("_") or isinstance(value, types.ModuleType):
        return False
    return not callable(value) or getattr(value, "__module__", OWN[0]).partition(".")[0] in OWN


def distinct(answers):
    """One name for each value: a function that five modules import is one answer."""
    known = {}
    for name, value in answers.items():
        known.setdefault((type(value), value) if isinstance(value, int | float | str) else id(value), name)
    return {name: answers[name] for name in known.values()}


def gifts(checks, held):
    """What the names of a notebook, and those that it can import, earn.

    Args:
        checks: (grade_id, source with its hidden tests, the student's names that it takes, points) of each.
        held: The notebook's names, after its cells were run with every exercise skipped.

    Returns:
        (grade_id, name, points) of each answer that earns some.
    """
    mine = {name: value for name, value in held.items() if not name.startswith("_") and name not in JUPYTERS}
    answers = distinct(mine | importable())
    found = []
    with little_memory(), no_pictures():
        for grade_id, source, wanted, points in checks:
            last = source.rstrip().rpartition("\n")[2]
            assert re.fullmatch(r"check\(\)", last), last
            code = compile(source.rstrip()[: -len(last)], grade_id, "exec")
            for name, value in answers.items():
                if given := earned(code, mine | dict.fromkeys(wanted, value), points):
                    found.append((grade_id, name, given))
    return found


def earned(code, names, points):
    """What a check gives with these names, hidden tests included."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), limited():
        try:
            exec(code, names)
            given = names["check"]()
        except (Exception, SystemExit, TooLongError):
            return 0
    return points if given is None else given


@contextlib.contextmanager
def limited():
    """End what takes too long, again and again if it goes on."""

    def end(*_):
        raise TooLongError

    if not hasattr(signal, "SIGPROF"):  # Windows
        yield
        return
    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, SECONDS, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def little_memory():
    """A name that was never meant as an answer may ask for tens of gigabytes: it gets a MemoryError instead."""
    statm = Path("/proc/self/statm")
    if not statm.exists():  # Linux alone says how much there is already
        yield
        return
    import resource

    pages = int(statm.read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def no_pictures():
    """Drawing functions are among the names; a notebook would show what they began."""
    import matplotlib.pyplot as plt

    plt.close("all")
    with plt.ioff():
        yield
    plt.close("all")
