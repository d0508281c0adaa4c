"""No name that a released notebook defines or can import earns points when it is handed in as an answer."""

import contextlib
import importlib
import io
import os
import pkgutil
import re
from pathlib import Path

import matplotlib as mpl
import pytest
import torch

mpl.use("agg")

import course_utils
import verifier
from course_utils.data import circle_network, circle_points, noisy_digit, repaired_circle_network
from course_utils.stand_ins import DIGIT_NETWORKS, attacked_shares, digit_network, pixel_map
from grading.lab.contract import uses
from tests.test_labs import LABS, is_test, nbgrader, read, released

# what a check takes from the notebook besides the answer itself
GIVEN = {"repair_check": {"network"}, "find_counterexamples_check": {"network"}, "y_specs_tuned_check": {"network"}}
ROOM = 6 * 2**30  # bytes of address space for one process, besides what it has already

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


def importable():
    """Every public name of the two packages that a notebook may import, and what the course's data functions give."""
    found = {f"verifier.{name}": getattr(verifier, name) for name in verifier.__all__}
    for module in pkgutil.walk_packages(course_utils.__path__, "course_utils."):
        if ".authoring" in module.name or module.name.endswith(("doctor", "warm_up")):
            continue
        loaded = importlib.import_module(module.name)
        found |= {f"{module.name}.{name}": value for name, value in vars(loaded).items() if not name.startswith("_")}
    found |= {"circle_network()": circle_network(), "repaired_circle_network()": repaired_circle_network()}
    found |= {"noisy_digit().net": noisy_digit().net, "points": circle_points()[0], "pixel_map()": pixel_map()}
    found |= {f"digit_network({name})": digit_network(name) for name in DIGIT_NETWORKS}
    return found | {f"attacked_shares({name})": attacked_shares(name) for name in DIGIT_NETWORKS}


def run_released(lab):
    """The names that a released notebook holds after its cells were run in order, exercises skipped."""
    names = {"__name__": "__main__"}
    for cell in released(lab).cells:
        if cell.cell_type != "code" or is_test(cell):
            continue
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                exec(cell.source, names)
            except NotImplementedError:
                assert nbgrader(cell), f"a cell of the course's own is not done yet:\n{cell.source}"
    return names


@pytest.fixture
def little_memory():
    """A name that was never meant as an answer may ask for tens of gigabytes: it gets a MemoryError instead."""
    resource = pytest.importorskip("resource")
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def earned(source, names, points):
    """What a check gives with these names, hidden tests included."""
    last = source.rstrip().rpartition("\n")[2]
    assert re.fullmatch(r"check\(\)", last)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            exec(source.rstrip()[: -len(last)], names)
            given = names["check"]()
        except Exception:
            return 0
    return points if given is None else given


@pytest.mark.parametrize(
    "lab", [lab for lab in LABS if lab.stem.startswith(("lab1", "lab2", "lab6"))], ids=lambda lab: lab.stem
)
def test_no_name_at_hand_earns_points_as_an_answer(lab, monkeypatch, tmp_path, little_memory):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "MPLBACKEND", "agg")
    torch.set_num_threads(1)
    held = run_released(lab)
    answers = {name: value for name, value in held.items() if not name.startswith("_")} | importable()
    gifts = []
    for cell in filter(is_test, read(lab).cells):
        grade_id = nbgrader(cell)["grade_id"]
        wanted = [name for name in uses(cell.source) if name not in GIVEN.get(grade_id, ())]
        for name, value in answers.items():
            if points := earned(cell.source, held | dict.fromkeys(wanted, value), nbgrader(cell)["points"]):
                gifts.append((grade_id, name, points))
    assert gifts == []
