# ruff: noqa: E501  the cells of a notebook stand on one line each
"""The probe earns nothing in a good lab, and finds what a weak one gives away."""

import pytest

from grading.course import Course
from grading.lab.build import build_lab
from grading.limits import Limits
from grading.office.guesses import by_heart
from grading.office.probe import needed, probe
from tests.grading.conftest import LAB, needs_sandbox
from tests.lab_runs import each_solved_lab, solved

CELL = '# %% nbgrader={{"grade": {grade}, "grade_id": "{name}", "locked": {grade}, "points": 2, "schema_version": 3, "solution": {solution}, "task": false}}\n'
LIMITS = Limits(wall_s=300, cell_s=100, cpu_s=300)


def lab(course, solution, test):
    text = CELL.format(grade="false", name="a", solution="true").replace('"points": 2, ', "") + solution
    text += "\n" + CELL.format(grade="true", name="a_check", solution="false") + test
    course.text_source(LAB).write_text(text, encoding="utf-8")
    build_lab(course, LAB)
    return course


def function(body):
    return f"def f(x, y):\n    ### BEGIN SOLUTION\n    {body}\n    ### END SOLUTION\n"


HIDDEN = "### BEGIN HIDDEN TESTS\n{}\n### END HIDDEN TESTS\n"
# (solution, test, whether guesses may earn something)
LABS = {
    "an empty array is close to all": (
        function("import numpy as np; return np.array([x, y])"),
        "# uses: f\nimport numpy as np\nassert np.allclose(f(1.0, 2.0), [1.0, 2.0])\n",
        True,
    ),
    "a constant": (function("return x < y"), "# uses: f\nassert f(1.0, 2.0)\n", True),
    "the visible examples": (function("return x + y"), "# uses: f\nassert f(1, 2) == 3\nassert abs(f(2, 5) - 7) < 1e-9\n", True),
    "other numbers": (
        function("return x + y"),
        "# uses: f\nassert f(1, 2) == 3\n" + HIDDEN.format('assert f(4, 8) == 12 and f(3, 8) == 11, "hint"'),
        False,
    ),
    "one Linear layer": (
        "from torch import nn\nnet = None\n### BEGIN SOLUTION\nnet = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))\n### END SOLUTION\n",
        "# uses: net\nimport torch\nassert net(torch.zeros(1, 2)).shape == (1, 1)\n",
        True,
    ),
    "a value": ("### BEGIN SOLUTION\nv = [3.5, 2]\n### END SOLUTION\n", "# uses: v\nassert len(v) == 2 and v[0] > 3 and v[1] < 3\n", False),
}  # fmt: skip


@needs_sandbox
@pytest.mark.slow
@pytest.mark.parametrize("name", LABS)
def test_what_guesses_earn(course, name):
    solution, test, gives = LABS[name]
    (earned,) = probe(lab(course, solution, test), LAB, LIMITS)
    assert (earned.points > 0) == gives, earned
    assert earned.tried > 10 and bool(earned.guess) == gives


@needs_sandbox
@pytest.mark.slow
@each_solved_lab
def test_guesses_earn_nothing_in_a_lab_of_the_course(lab):
    """What the lab earns as it is released, `tests/grading/test_labN_loop.py` shows."""
    limits = Limits(wall_s=600, cell_s=300, cpu_s=600)
    earned = probe(Course.here(), lab.stem, limits, kinds=solved(lab).kinds, as_released=False)
    assert len(earned) > 5 and {one.grade_id: one.guess for one in earned if one.points} == {}


def test_examples_are_learnt_by_heart():
    source = "assert f(1, 2) == 3\nassert abs(f(2, 5) - 7) < 1e-9\nassert np.allclose(f(0, 0), 0)"
    namespace: dict = {}
    exec(by_heart(source, "f"), namespace)
    assert [namespace["f"](1, 2), namespace["f"](2, 5), namespace["f"](0, 0)] == [3, 7, 0]
    assert by_heart("assert x == 4", "x") == "x = 4\n"


def test_a_guess_runs_beside_what_the_offered_names_need_and_no_more():
    cells = [
        ("markdown", "text", None),
        ("code", "import torch\nsize = 3\nother = 4\ntrained = torch.nn.Linear(size, 1)\nprint(other)", None),
        ("code", "for step in range(9):\n    other += step", None),
        ("code", "def offered(x):\n    return trained(x)", None),
        ("code", "def f(x):\n    ### BEGIN SOLUTION\n    return x\n    ### END SOLUTION", "f"),
        ("code", "# uses: f\nassert f(1)", "f_check"),
    ]
    kept = needed(cells, {"f_check"})
    assert [source for _, source, _ in kept] == [
        "import torch\nsize = 3\ntrained = torch.nn.Linear(size, 1)", "def offered(x):\n    return trained(x)", cells[-1][1],
    ]  # fmt: skip
