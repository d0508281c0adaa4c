# ruff: noqa: E501  the cells of a notebook stand on one line each
"""What an honest student does must not cost points."""

import json

import pytest

from grading.lab.submission import read_submission
from grading.limits import Limits
from tests.grading.attacks.attack_lab import FULL, blueprint, code, graded, own_lab, points, small_lab, test_cell
from tests.grading.conftest import needs_sandbox

pytestmark = needs_sandbox

CELLS = {
    "warnings and standard error": "import sys, warnings\nwarnings.warn('careful')\nprint('note', file=sys.stderr)",
    "a slow cell": "import time\ntime.sleep(1.5)",
    "a figure": "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
    "an exception in an ungraded cell": "1 / 0",
    "a syntax error in an ungraded cell": "x = = 1",
    "another working directory": "import os\nos.makedirs('/tmp/elsewhere')\nos.chdir('/tmp/elsewhere')",
    "non-ASCII names": "größe = 'ß∂ƒ 数'\nprint(größe)\nclass Äpfel: pass",
    "a file written beside the notebook": "open('notes.txt', 'w').write('x')",
    "magics": "%matplotlib inline\n%timeit -n1 -r1 1 + 1\n%%time\n1",
    "a shell command": "!echo hello",
    "progress bars": "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass",
    "a thread that is still running": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "threads of torch": "import torch\ntorch.set_num_threads(2)\ntorch.rand(500, 500) @ torch.rand(500, 500)",
    "a pool of processes": "import multiprocessing\ndef square(x): return x * x\nwith multiprocessing.get_context('fork').Pool(2) as pool: assert pool.map(square, [1, 2]) == [1, 4]",
    "memory shared among processes": "import multiprocessing\nshared = multiprocessing.Array('d', 10)\nshared[0] = 1.0",
    "workers of a data loader": (
        "import torch\nfrom torch.utils.data import DataLoader, TensorDataset\n"
        "assert len(list(DataLoader(TensorDataset(torch.rand(8, 2)), batch_size=4, num_workers=2))) == 2\nloaded = True"
    ),
    "await": "import asyncio\nawait asyncio.sleep(0.01)",
    "input": "name = input('your name? ')",
    "sys.exit in an ungraded cell": "import sys\nsys.exit()",
    "gradients": "import torch\nx = torch.ones(2, requires_grad=True)\n(x * x).sum().backward()",
}  # fmt: skip
FAILS = {
    "an exception in an ungraded cell", "a syntax error in an ungraded cell", "input", "sys.exit in an ungraded cell",
}  # fmt: skip
LIMITS = Limits(wall_s=60, cell_s=30, memory_mb=1024)


@pytest.mark.parametrize("name", CELLS)
def test_honest_cell_costs_nothing(sandbox, name):
    result = graded(sandbox, small_lab([CELLS[name]], solved=True, after=[CELLS[name]]), limits=LIMITS)
    assert points(result) == FULL and result.status == "graded"


def test_a_figure_and_a_table_are_shown(sandbox):
    cell = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint('drawn')\n{'a': 1}"
    outputs = graded(sandbox, small_lab([cell], solved=False), limits=LIMITS).notebook["cells"][0]["outputs"]
    kinds = [output["output_type"] for output in outputs]
    assert kinds == ["display_data", "stream", "execute_result"] and "image/png" in outputs[0]["data"]
    assert outputs[2]["data"]["text/plain"] == "{'a': 1}"


def test_an_error_is_shown_with_its_line(sandbox):
    outputs = graded(sandbox, small_lab(["a = 1\na / 0"], solved=False)).notebook["cells"][0]["outputs"]
    assert outputs[0]["ename"] == "ZeroDivisionError" and "a / 0" in "".join(outputs[0]["traceback"])


def test_line_ends_of_windows(sandbox):
    notebook = small_lab(solved=True)
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"]).replace("\n", "\r\n")
    content = json.dumps(notebook, indent=1).replace("\n", "\r\n").encode("utf-8-sig")
    assert points(graded(sandbox, content, limits=LIMITS)) == FULL


def test_a_notebook_of_the_old_format(sandbox):
    cells = [{**cell, "input": cell["source"], "language": "python"} for cell in small_lab(solved=True)["cells"]]
    content = {"worksheets": [{"cells": cells}], "nbformat": 3, "nbformat_minor": 0, "metadata": {}}
    assert points(graded(sandbox, content, limits=LIMITS)) == FULL


@pytest.mark.parametrize("names", [["lab (1).ipynb"], ["Größe 数.ipynb"], ["mine.ipynb", "scratch.ipynb"]])
def test_a_renamed_notebook_is_found(tmp_path, names):
    for number, name in enumerate(names):
        notebook = small_lab(solved=True) if number == 0 else {"cells": [code("scratch")]}
        (tmp_path / name).write_text(json.dumps(notebook), encoding="utf-8")
    submission = read_submission(tmp_path, "lab", set(blueprint()))
    assert json.loads(submission.notebook) == small_lab(solved=True) and "the notebook is called" in submission.notes[0]


def test_an_infinite_loop_in_one_exercise_costs_that_one_only(sandbox):
    notebook = small_lab(solved=True)
    (cell,) = [c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == "corner"]
    cell["source"] = "while True: pass"
    result = graded(sandbox, notebook, limits=Limits(wall_s=20, cell_s=1))
    assert [outcome.points for outcome in result.outcomes] == [2, 4, 0] and result.status == "graded"


def test_a_rerun_gives_the_same_points(sandbox):
    cell = "import numpy as np, random, torch\ndrawn = [random.random(), float(np.random.rand()), float(torch.rand(1))]"
    lab = own_lab(cell, test_cell("t", "drawn", "sum(drawn)", most=3))
    first, second = (points(graded(sandbox, *lab)) for _ in range(2))
    assert first == second and 0 < first < 3


def test_a_visible_test_of_plain_data_may_show_values(sandbox):
    lab = own_lab("x = 3", test_cell("t", "x", "assert x == 4, f'x is {x}'"))
    assert graded(sandbox, *lab).outcomes[0].message == "AssertionError: x is 3"


def test_a_name_that_is_missing_is_named(sandbox):
    lab = own_lab("y = 3", test_cell("t", "x", "assert x == 4"))
    assert graded(sandbox, *lab).outcomes[0].message == "NameError: name 'x' is not defined"


def test_what_cannot_be_graded_is_told_honestly(sandbox):
    lab = own_lab("from torch import nn\nnet = nn.Sequential(nn.Linear(2, 2), nn.Tanh())", test_cell("t", "net", "net"))
    assert "Tanh" in graded(sandbox, *lab).outcomes[0].message


@pytest.mark.parametrize("name", CELLS)
def test_honest_cell_runs_to_its_end(sandbox, name):
    lab = own_lab(CELLS[name], "after = 1", test_cell("t", "after", "assert after == 1"))
    outputs = graded(sandbox, *lab, limits=LIMITS).notebook["cells"][0]["outputs"]
    failed = [output["evalue"] for output in outputs if output["output_type"] == "error"]
    assert bool(failed) == (name in FAILS), failed
