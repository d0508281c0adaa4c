"""Points from the judge: a process that never runs a student's code, and a worker that does."""

import contextlib
import socket
import textwrap

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from grading.course import CourseError
from grading.inside.judge import Worker
from grading.inside.test_cell import judge_cell
from grading.lab.contract import TestCell
from grading.limits import Limits
from grading.run.many import judge_notebook
from grading.wire.channel import Channel
from tests.grading.conftest import LAB, edit, needs_sandbox

LIMITS = Limits(wall_s=60, cell_s=30, memory_mb=1024)


def outcome(source, given=None, points=2.0):
    """The outcome of one test cell, its student's names given directly."""
    return judge_cell(TestCell("check", textwrap.dedent(source).strip(), points), given or {})


@pytest.fixture
def worker(sandbox):
    """A process that runs cells."""
    with started_worker(sandbox) as worker:
        yield worker


@contextlib.contextmanager
def started_worker(sandbox, limits=LIMITS):
    ours, theirs = socket.socketpair()
    launched = sandbox.launch("worker", limits, theirs)
    Channel(launched.job).send([])
    worker = Worker(ours, limits.cell_s)
    yield worker
    worker.close()
    launched.end()


def run(worker, cells):
    """Each cell's error in one line, or the empty string."""
    errors = [worker.run(cell)[1] for cell in cells]
    return ["" if error is None else f"{error[0][0]}: {error[1]}" for error in errors]


def take(worker, name):
    (value,) = worker.take({name: None})().values()
    if isinstance(value, Exception):
        raise value
    return value


def judged(worker, source):
    from grading.lab.contract import uses_with_shapes

    return judge_cell(TestCell("t", source, 1.0), worker.take(uses_with_shapes(source))())


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
    assert "fix the test cell" in outcome("# uses: a\n7", {"a": 1}).message


def test_functions_of_a_test_cell_see_its_imports_and_names():
    source = """
        # uses: a
        import math
        def root(): return math.sqrt(a)
        assert all(root() == n for n in [2])
    """
    assert outcome(source, {"a": 4}).passed


def test_test_cells_do_not_see_each_other():
    assert outcome("# uses: shared\nleft_behind = shared", {"shared": 1}).passed
    assert "NameError" in outcome("# uses: shared\nleft_behind", {"shared": 1}).message


@needs_sandbox
def test_a_name_that_the_notebook_lacks_is_a_name_error(worker):
    assert judged(worker, "# uses: absent\nabsent").message == "NameError: name 'absent' is not defined"


@needs_sandbox
def test_a_function_is_called_where_it_was_taken_and_leaves_nothing_behind(worker):
    run(worker, ["seen = []\ndef count(*, twice=False):\n    seen.append(1)\n    return [len(seen)] * (1 + twice)"])
    count = take(worker, "count")
    assert count() == [1] and count(twice=True) == [2, 2] and count.__name__ == "count"
    run(worker, ["seen.append(7)"])
    assert take(worker, "seen") == [7] and count() == [3]


@needs_sandbox
def test_a_function_takes_and_gives_networks_and_tensors(worker):
    import torch

    run(
        worker,
        [
            "import torch\n"
            "def failing(net, points):\n"
            "    return [p for p in points if net(p) < 0.5]\n"
            "def doubled(net):\n"
            "    return torch.nn.Sequential(net, torch.nn.Linear(1, 1, bias=False))"
        ],
    )
    net = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.ReLU(), torch.nn.Linear(1, 1))
    points = torch.rand(20, 2)
    failing = take(worker, "failing")(net, points)
    assert torch.equal(torch.stack([*failing, points[0]])[:-1], points[(net(points) < 0.5).flatten()])
    assert isinstance(take(worker, "doubled")(net)[0], torch.nn.Linear)


@needs_sandbox
def test_an_exception_of_a_function_is_the_one_that_the_notebook_would_see(worker):
    run(
        worker,
        [
            "class MyError(KeyError): pass\n"
            "class Own(Exception): pass\n"
            "def fails(kind): raise {'own': Own, 'mine': MyError, 'value': ValueError}[kind]('no such pair')\n"
            "def spec_error():\n    import verifier.errors\n    raise verifier.errors.SpecError('x_specs[0]')",
        ],
    )
    from verifier.errors import SpecError

    taken = worker.take({"fails": None, "spec_error": None})()
    fails = taken["fails"]
    with pytest.raises(ValueError, match="no such pair"):
        fails("value")
    with pytest.raises(KeyError, match="no such pair"):
        fails("mine")
    with pytest.raises(Exception, match="Own: no such pair"):
        fails("own")
    with pytest.raises(SpecError, match=r"x_specs\[0\]"):
        taken["spec_error"]()


@needs_sandbox
def test_a_function_that_gives_a_function_is_told_why_not(worker):
    run(worker, ["def maker(): return lambda: 1"])
    told = judged(worker, "# uses: maker\nassert maker()() == 1")
    assert "the result of maker(): a function is neither" in told.detail


@needs_sandbox
def test_cells_run_as_in_a_notebook(worker):
    errors = run(
        worker,
        [
            "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()",
            "import os, sys\nprint('x' * 100_000, flush=True)\nsys.__stdout__.write('noise')\nos.write(1, b'noise')",
            "no python at all =",
            "1 / 0",
            "import asyncio\nawait asyncio.sleep(0)\nlater = [1, 2]",
            "input('your name? ')",
        ],
    )
    assert errors[:2] == ["", ""] and errors[4] == "" and take(worker, "later") == [1, 2]
    assert errors[2].startswith("SyntaxError") and errors[3].startswith("ZeroDivisionError")
    assert errors[5] != ""


@needs_sandbox
@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("import os; os._exit(0)", "stopped answering: it ended"),
        ("import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass", "stopped answering"),
        (
            "import os\nfor fd in range(3, 20):\n    try: os.write(fd, b'garbage ' * 99)\n    except OSError: pass",
            "stopped answering",
        ),
    ],
)
def test_a_worker_that_misbehaves_costs_points_and_nothing_else(tmp_path, course, cell, said):
    path = edit(course.source_notebook(LAB), tmp_path / "bad.ipynb", {"width": cell})
    outcomes = judge_notebook(course.source_notebook(LAB), path, limits=Limits(wall_s=4, cell_s=1))
    assert [one.points for one in outcomes] == [0, 0, 0] and all(said in one.message for one in outcomes)


@needs_sandbox
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


@needs_sandbox
def test_a_removed_or_rewritten_test_cell_is_still_the_instructors(tmp_path, course):
    source = course.source_notebook(LAB)
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "width_check":
            cell.source = "width = None"
    notebook.cells = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") != "middle_check"]
    nbformat.write(notebook, tmp_path / "edited.ipynb")
    assert [one.points for one in judge_notebook(source, tmp_path / "edited.ipynb")] == [2, 4, 1]


@needs_sandbox
def test_a_file_that_is_not_a_notebook_is_named(tmp_path, course):
    (tmp_path / "broken.ipynb").write_text("not json")
    with pytest.raises(CourseError, match=r"it is not a notebook"):
        judge_notebook(course.source_notebook(LAB), tmp_path / "broken.ipynb")
    with pytest.raises(CourseError, match=r"absent\.ipynb does not exist"):
        judge_notebook(course.source_notebook(LAB), tmp_path / "absent.ipynb")


@needs_sandbox
def test_a_recursion_without_an_end_is_shown_by_its_ends(worker):
    """The whole of it would be thousands of lines, which take longer to write than the recursion itself."""
    outputs, error, interrupted = worker.run("def f(depth):\n    return f(depth + 1)\n\n\nf(0)")
    assert error is not None and error[0][0] == "RecursionError" and not interrupted
    lines = "".join(outputs[-1]["traceback"]).splitlines()
    assert outputs[-1]["ename"] == "RecursionError" and len(lines) < 40
    assert any("f(0)" in line for line in lines) and "maximum recursion depth" in lines[-1]
    assert worker.run("1 / 0")[0][-1]["ename"] == "ZeroDivisionError"
