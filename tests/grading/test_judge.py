"""Points from the judge: a process that never runs a student's code, and a worker that does."""

import sys
import textwrap

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from grading.contract import TestCell
from grading.course import CourseError
from grading.judge import WORKER_COMMAND, Worker, judge_cell, judge_notebook
from tests.grading.conftest import LAB, edit


def outcome(source, given=None, points=2.0):
    """The outcome of one test cell, its student's names given directly."""
    given = given or {}
    return judge_cell(TestCell("check", textwrap.dedent(source).strip(), points), given.__getitem__)


@pytest.fixture(scope="module")
def worker():
    """One process that runs cells, for all tests that do not harm it."""
    with Worker(timeout_s=60) as started:
        yield started


@pytest.mark.parametrize(
    ("source", "points"),
    [
        ("# uses: a\nassert a == 1", 2.0),
        ("# uses: a\nassert a == 2", 0.0),
        ("# uses: a\nassert a == 1\n1.5", 1.5),
        ("# uses: a\na - 1", 0.0),
        ("# uses: a\n1.5;", 2.0),
        ("# uses: a\nprint(a)", 2.0),
        ("# uses: a\n'two of two'", 2.0),
        ("# uses: a\n-1", 2.0),
        ("# uses: a\n7", 0.0),
        ("# uses: a\n1 / (a - 1)", 0.0),
    ],
)
def test_points_are_those_that_nbgrader_would_give(source, points):
    assert outcome(source, {"a": 1}).points == points


def test_message_says_why_in_one_line():
    failed = outcome('# uses: a\nassert a == 2, "one\\ntwo"', {"a": 1})
    assert failed.message == "AssertionError: one" and not failed.passed


def test_a_test_cell_that_gives_too_many_points_is_named_as_the_culprit():
    assert "mend the test cell" in outcome("# uses: a\n7", {"a": 1}).message


def test_functions_of_a_test_cell_see_its_imports_and_names():
    source = """
        # uses: a
        import math
        def root(): return math.sqrt(a)
        assert all(root() == n for n in [2])
    """
    assert outcome(source, {"a": 4}).passed


def test_test_cells_do_not_see_each_other(worker):
    worker.run(["shared = 1"])
    assert judge_cell(TestCell("one", "# uses: shared\nleft_behind = shared", 1.0), worker.fetch).passed
    assert "NameError" in judge_cell(TestCell("two", "# uses: shared\nleft_behind", 1.0), worker.fetch).message


def test_a_name_that_the_notebook_lacks_is_a_name_error(worker):
    assert judge_cell(TestCell("t", "# uses: absent\nabsent", 1.0), worker.fetch).message == (
        "NameError: name 'absent' is not defined"
    )


def test_a_function_is_called_in_the_worker(worker):
    worker.run(["import os\ndef where(*, twice=False): return [os.getpid()] * (1 + twice)"])
    where = worker.fetch("where")
    import os

    (number,) = where()
    assert number != os.getpid() and where(twice=True) == [number, number] and where.__name__ == "where"


def test_a_function_takes_and_gives_networks_and_tensors(worker):
    import torch

    worker.run(
        [
            "import torch\n"
            "def failing(net, points):\n"
            "    return [p for p in points if net(p) < 0.5]\n"
            "def doubled(net):\n"
            "    return torch.nn.Sequential(net, torch.nn.Linear(1, 1, bias=False))"
        ]
    )
    net = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.ReLU(), torch.nn.Linear(1, 1))
    points = torch.rand(20, 2)
    failing = worker.fetch("failing")(net, points)
    assert torch.equal(torch.stack([*failing, points[0]])[:-1], points[(net(points) < 0.5).flatten()])
    assert isinstance(worker.fetch("doubled")(net)[0], torch.nn.Linear)


def test_an_exception_of_a_function_is_the_one_that_the_notebook_would_see(worker):
    worker.run(
        [
            "class MyError(KeyError): pass\n"
            "class Own(Exception): pass\n"
            "def fails(kind): raise {'own': Own, 'mine': MyError, 'value': ValueError}[kind]('no such pair')\n"
            "def spec_error():\n    import verifier.errors\n    raise verifier.errors.SpecError('x_specs[0]')"
        ]
    )
    from verifier.errors import SpecError

    fails = worker.fetch("fails")
    with pytest.raises(ValueError, match="no such pair"):
        fails("value")
    with pytest.raises(KeyError, match="no such pair"):
        fails("mine")
    with pytest.raises(Exception, match="Own: no such pair"):
        fails("own")
    with pytest.raises(SpecError, match=r"x_specs\[0\]"):
        worker.fetch("spec_error")()


def test_a_function_that_gives_a_function_is_told_why_not(worker):
    worker.run(["def maker(): return lambda: 1"])
    source = "# uses: maker\nassert maker()() == 1"
    assert (
        "the result of maker(): a function is neither" in judge_cell(TestCell("t", source, 1.0), worker.fetch).message
    )


def test_cells_run_as_in_a_notebook(worker):
    errors = worker.run(
        [
            "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()",
            "import os, sys\nprint('x' * 100_000, flush=True)\nsys.__stdout__.write('noise')\nos.write(1, b'noise')",
            "no python at all =",
            "1 / 0",
            "import asyncio\nawait asyncio.sleep(0)\nlater = [1, 2]",
            "input('your name? ')",
        ]
    )
    assert errors[:2] == ["", ""] and errors[4] == "" and worker.fetch("later") == [1, 2]
    assert errors[2].startswith("SyntaxError") and errors[3].startswith("ZeroDivisionError")
    assert errors[5] != ""


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("import os; os._exit(0)", "stopped answering: it ended"),
        ("import time; time.sleep(60)", "took longer than 5 s"),
        (
            "import os\nfor fd in range(3, 20):\n    try: os.write(fd, b'garbage ' * 99)\n    except OSError: pass",
            "stopped answering",
        ),
    ],
)
def test_a_worker_that_misbehaves_costs_points_and_nothing_else(tmp_path, course, cell, said):
    path = edit(course.source_notebook(LAB), tmp_path / "bad.ipynb", {"width": cell})
    outcomes = judge_notebook(course.source_notebook(LAB), path, timeout_s=5)
    assert [one.points for one in outcomes] == [0, 0, 0] and all(said in one.message for one in outcomes)


def test_a_name_is_judged_as_it_was_where_the_test_stands(tmp_path):
    def test_cell(name, source):
        told = {"grade": True, "grade_id": name, "locked": True, "points": 1, "schema_version": 3, "solution": False}
        return new_code_cell(source, metadata={"nbgrader": {**told, "task": False}})

    cells = [
        "x = 1",
        test_cell("first", "# uses: x\nassert x == 1"),
        "x = 2",
        test_cell("second", "# uses: x\nassert x == 2"),
    ]
    notebook = new_notebook(cells=[new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells])
    path = tmp_path / "twice.ipynb"
    nbformat.write(notebook, path)
    assert [one.points for one in judge_notebook(path, path)] == [1, 1]


def test_a_removed_or_rewritten_test_cell_is_still_the_instructors(tmp_path, course):
    source = course.source_notebook(LAB)
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "width_check":
            cell.source = "width = None"
    notebook.cells = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") != "middle_check"]
    nbformat.write(notebook, tmp_path / "edited.ipynb")
    assert [one.points for one in judge_notebook(source, tmp_path / "edited.ipynb")] == [2, 4, 1]


def test_a_submission_cannot_take_the_place_of_a_library(tmp_path, course):
    path = edit(course.source_notebook(LAB), tmp_path / "s" / "notebook.ipynb", {})
    (path.parent / "numpy.py").write_text("raise SystemExit")
    (path.parent / "helper.py").write_text("value = 3")
    assert [one.points for one in judge_notebook(course.source_notebook(LAB), path)] == [2, 4, 1]
    path = edit(
        path, path, {"width": "import helper\ndef width(a, b):\n    assert helper.value == 3\n    return b - a"}
    )
    assert judge_notebook(course.source_notebook(LAB), path)[0].message == (
        "AssertionError: hint: what should happen when the ends are swapped?"
    )


def test_the_worker_can_be_started_inside_something_else(course):
    """A sandbox is a command that starts the worker's command; env stands for it here."""
    wrapped = ("env", "WRAPPED=1", *WORKER_COMMAND) if sys.platform != "win32" else WORKER_COMMAND
    source = course.source_notebook(LAB)
    assert [one.points for one in judge_notebook(source, source, command=wrapped)] == [2, 4, 1]


def test_a_file_that_is_not_a_notebook_is_named(tmp_path, course):
    (tmp_path / "broken.ipynb").write_text("not json")
    with pytest.raises(CourseError, match=r"broken\.ipynb is not a notebook"):
        judge_notebook(course.source_notebook(LAB), tmp_path / "broken.ipynb")
    with pytest.raises(CourseError, match=r"absent\.ipynb does not exist"):
        judge_notebook(course.source_notebook(LAB), tmp_path / "absent.ipynb")
