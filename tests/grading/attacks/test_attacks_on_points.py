# ruff: noqa: E501  the cells of a notebook stand on one line each
"""A hostile notebook earns what its answers are worth: nothing where the lab is not solved, all where it is."""

import pytest

from tests.grading.attacks.attack_lab import FULL, graded, own_lab, points, small_lab, test_cell
from tests.grading.conftest import needs_sandbox

pytestmark = needs_sandbox

# what a cell before the lab tries; True where a solved lab keeps its points in spite of it
ATTACKS = {
    "an AST transformer strips assert": (
        """
import ast
class Strip(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()
get_ipython().ast_transformers.append(Strip())
""",
        True,
    ),
    "an input transformer replaces tests": (
        """
def replace(lines):
    return ["7\\n"] if any("assert" in line for line in lines) else lines
get_ipython().input_transformers_cleanup.append(replace)
get_ipython().input_transformers_post.append(replace)
""",
        True,
    ),
    "run_cell is replaced": (
        """
shell = get_ipython()
def run_cell(*arguments, **named):
    class Result:
        error_before_exec = error_in_exec = None
        result = 4
    return Result()
type(shell).run_cell = shell.run_cell = run_cell
""",
        False,
    ),
    "get_ipython is replaced": (
        "import builtins, IPython\nget_ipython = builtins.get_ipython = IPython.get_ipython = lambda: None",
        True,
    ),
    "display hooks are replaced": (
        """
import sys
sys.displayhook = lambda value: print("4")
get_ipython().displayhook = sys.displayhook
get_ipython().display_pub.publish = lambda *a, **k: None
print("7"); sys.__displayhook__(7)
7
""",
        True,
    ),
    "points are printed as a result": ("import sys\nsys.displayhook(7)\nprint(7)\n7", True),
    "everything equals everything": (
        """
class Yes:
    def __eq__(self, other): return True
    __lt__ = __le__ = __gt__ = __ge__ = __ne__ = __contains__ = __eq__
    def __bool__(self): return True
    def __call__(self, *a, **k): return Yes()
    def __getattr__(self, name): return Yes()
    def __sub__(self, other): return Yes()
    def __abs__(self): return 0.0
    def __float__(self): return 0.0
    def __len__(self): return 2
    def __iter__(self): return iter([Yes(), Yes()])
width = middle = corner = x_specs = Yes()
""",
        True,
    ),
    "an array subclass agrees with everything": (
        """
import numpy as np
class Agrees(np.ndarray):
    def __array_ufunc__(self, *a, **k): return np.True_
    def __array_function__(self, *a, **k): return True
    shape = (1,)
def middle(bounds): return np.zeros(1).view(Agrees)
def width(a, b): return np.float64(2).view() if a < b else 1 / 0
""",
        True,
    ),
    "a tensor with __torch_function__": (
        """
import torch
class Agrees(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None): return True
    shape = (2,)
corner = torch.zeros(3).as_subclass(Agrees)
""",
        True,
    ),
    "libraries are patched": (
        """
import builtins, torch, numpy as np, verifier
verifier.verify = lambda *a, **k: True
torch.equal = torch.is_tensor = np.allclose = lambda *a, **k: True
builtins.abs = lambda x: 0
builtins.AssertionError = type("Never", (BaseException,), {})
""",
        False,
    ),
    "the judge's own modules are patched": (
        """
import sys
for name, module in list(sys.modules.items()):
    if name.startswith("grading"):
        for key in list(vars(module)):
            if callable(getattr(module, key, None)) and not key.startswith("__"):
                try: setattr(module, key, lambda *a, **k: 7)
                except Exception: pass
""",
        False,
    ),
    "answers are forged on every descriptor": (
        """
import os, json, struct
body = json.dumps({"answer": [{"value": 7}] * 3}).encode()
for fd in range(3, 60):
    try: os.write(fd, (struct.pack(">Q", len(body)) + body) * 20)
    except OSError: pass
""",
        False,
    ),
    "outcomes are forged on every descriptor": (
        """
import os, json, struct
names = [("width_check", 2), ("middle_check", 4), ("corner_check", 1)]
told = [{"grade_id": n, "points": p, "max_points": p, "message": "", "detail": "", "printed": "",
         "out_of_time": False} for n, p in names]
body = json.dumps({"cells": [], "outcomes": told}).encode()
for fd in range(3, 60):
    try: os.write(fd, struct.pack(">Q", len(body)) + body)
    except OSError: pass
""",
        False,
    ),
    "exceptions are swallowed at the root": (
        "import sys\nsys.excepthook = lambda *a: None\nget_ipython().showtraceback = lambda *a, **k: None\n"
        "get_ipython().set_custom_exc((BaseException,), lambda *a, **k: None)",
        True,
    ),
}


@pytest.mark.parametrize("solved", [False, True], ids=["unsolved", "solved"])
@pytest.mark.parametrize("name", ATTACKS)
def test_attack_gains_nothing(sandbox, name, solved):
    cell, keeps = ATTACKS[name]
    earned = points(graded(sandbox, small_lab([cell], solved=solved)))
    if not solved:
        assert earned == 0
    elif keeps:
        assert earned == FULL
    else:
        assert 0 <= earned <= FULL


SHADOWS = ("verifier/__init__.py", "torch.py", "yaml.py", "ipykernel_launcher.py", "sitecustomize.py", "conftest.py",
           "usercustomize.py", "numpy/__init__.py", "grading/inside/judge.py", "json.py")  # fmt: skip


@pytest.mark.parametrize("solved", [False, True], ids=["unsolved", "solved"])
def test_files_of_a_submission_take_the_place_of_no_library(sandbox, solved):
    payload = b"raise SystemExit('shadowed')\nverify = equal = allclose = lambda *a, **k: True\n"
    checked = "import yaml, torch, json, numpy, verifier\nassert 'opt' in verifier.__file__ or 'site' in torch.__file__"
    files = [(name, payload) for name in SHADOWS]
    assert points(graded(sandbox, small_lab([checked], solved=solved), files=files)) == (FULL if solved else 0)


def test_a_submission_may_bring_a_module_of_its_own(sandbox):
    files = [("helper.py", b"def width(a, b):\n    if a > b: raise ValueError\n    return b - a\n")]
    notebook, plan = own_lab("from helper import width", test_cell("t", "width", "assert width(1.0, 3.0) == 2.0"))
    assert points(graded(sandbox, notebook, plan, files=files)) == 1


NETWORKS = {
    "layers that lie about their shapes": "net[0].in_features = 1\nnet[0].weight = nn.Parameter(torch.ones(3, 3))",
    "a forward replaced on the object": "net.forward = lambda x: torch.ones(len(x), 1)",
    "a forward of a subclass of Linear": (
        "class L(nn.Linear):\n    def forward(self, x): return torch.ones(len(x), 1)\nnet = nn.Sequential(L(2, 1))"
    ),
    "a forward that recognises the verifier": (
        "import sys\nclass N(nn.Module):\n    def forward(self, x):\n"
        "        return torch.ones(len(x), 1) if len(x) == 1 else x[:, :1] * 0\nnet = N()"
    ),
    "NaN weights": "net[2].weight.data.fill_(float('nan'))",
    "infinite weights": "net[2].weight.data.fill_(float('inf'))",
    "a subclass of Tensor as weight": (
        "class P(torch.Tensor):\n    __torch_function__ = classmethod(lambda c, f, t, a=(), k=None: torch.ones(1))\n"
        "net[0].weight = nn.Parameter(torch.zeros(4, 2).as_subclass(P))"
    ),
    "a pickle's path": "torch.save(net, 'net.pt')\nnet = 'net.pt'",
    "the path of a network of the course": "net = '/opt/course/course_utils/data_files/circle.onnx'",
    "a state_dict": "net = net.state_dict()",
    "a function": "def net(x): return torch.ones(len(x), 1)",
    "its source as text": "net = 'import os; os._exit(0)'",
    "an object with __reduce__": (
        "class R:\n    def __reduce__(self): return (print, ('unpickled',))\n    def __deepcopy__(self, memo): raise SystemExit\n"
        "net = R()"
    ),
}  # fmt: skip
BUILD = "import torch\nfrom torch import nn\nnet = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))\nfor p in net.parameters(): p.data.zero_()\n"
ABOUT_ONE = (
    "from verifier import verify\n"
    "assert verify(net, [[0.0, 1.0]] * 2, [[0.5, None]], max_subdomains=50, timeout_s=None), 'is it about 1?'"
)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_that_is_not_one_proves_nothing(sandbox, name):
    notebook, plan = own_lab(BUILD + NETWORKS[name], test_cell("t", "net", ABOUT_ONE))
    result = graded(sandbox, notebook, plan)
    assert points(result) == 0 and result.outcomes[0].message


def test_an_honest_network_is_proved(sandbox):
    notebook, plan = own_lab(BUILD + "net[2].bias.data.fill_(1.0)", test_cell("t", "net", ABOUT_ONE))
    assert points(graded(sandbox, notebook, plan)) == 1


def test_a_network_of_ten_million_parameters_arrives(sandbox):
    cell = (
        "import torch\nfrom torch import nn\nnet = nn.Sequential(nn.Linear(3000, 3300), nn.ReLU(), nn.Linear(3300, 1))"
    )
    test = test_cell("t", "net", "assert sum(p.numel() for p in net.parameters()) > 9_900_000")
    limits = graded.__globals__["LIMITS"].__class__(wall_s=60, cell_s=30, memory_mb=1024)
    notebook, plan = own_lab(cell, test)
    assert points(graded(sandbox, notebook, plan, limits)) == 1


def test_a_convolution_arrives_with_the_shape_that_the_test_names(sandbox):
    cell = "from torch import nn\nnet = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 1))"
    visible = "import torch\nassert net(torch.zeros(1, 1, 8, 8)).shape == (1, 1) and net.input_shape == (1, 8, 8)"
    notebook, plan = own_lab(cell, test_cell("t", "net (1, 8, 8)", visible))
    assert points(graded(sandbox, notebook, plan)) == 1
    notebook, plan = own_lab(cell, test_cell("t", "net (1, 9, 9)", visible))
    assert "the network cannot be graded" in graded(sandbox, notebook, plan).outcomes[0].message


@pytest.mark.parametrize(
    "condition",
    ["torch.initial_seed() == 0", "time.time() % 2 < 1", "random.random() < 0.5", "torch.rand(1).item() < 0.5"],
)
def test_points_do_not_depend_on_seeds_or_the_clock_of_the_judge(sandbox, condition):
    """What a function draws is seeded with the submission; the judge's own seed is not to be seen from there."""
    cell = f"import random, time, torch\nstart = time.time()\ndef f(): return {condition}"
    test = test_cell("t", "f", "import random\nrandom.seed(0)\nimport torch\ntorch.manual_seed(0)\nf()\n1")
    notebook, plan = own_lab(cell, test, "seen = torch.initial_seed()", test_cell("s", "seen", "assert seen != 0"))
    assert [points(graded(sandbox, notebook, plan)) for _ in range(2)] == [2, 2]


HOSTILE_ANSWERS = {
    "late sleep": "def f(x):\n    import time\n    time.sleep(60)",
    "swallowed interrupts": "def f(x):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
    "a closed pipe": "def f(x):\n    import os\n    os.closerange(0, 100)",
    "garbage bytes": "def f(x):\n    import os\n    for fd in range(3, 60):\n        try: os.write(fd, b'garbage ' * 9)\n        except OSError: pass",
    "exit": "def f(x):\n    import os\n    os._exit(0)",
    "a huge answer": "def f(x): return 'x' * (120 * 2**20)",
    "a deep answer": "def f(x):\n    a = []\n    for _ in range(10_000): a = [a]\n    return a",
    "a hostile exception": "class E(Exception):\n    def __str__(self): raise SystemExit\ndef f(x): raise E",
    "a hostile name": "def f(x): return 1\nf.__name__ = '__import__(\"os\")'",
}


@pytest.mark.parametrize("name", HOSTILE_ANSWERS)
def test_a_function_that_misbehaves_while_it_is_judged_fails_its_test_and_no_other(sandbox, name):
    from grading.limits import Limits

    before = test_cell("before", "x", "assert x == 3")
    bad = test_cell("bad", "f", "assert f(1) == 2")
    after = test_cell("after", "x", "assert x == 3")
    notebook, plan = own_lab("x = 3\n" + HOSTILE_ANSWERS[name], before, bad, after)
    limits = Limits(wall_s=8, cell_s=1, cpu_s=4, memory_mb=512, output_kb=64)
    result = graded(sandbox, notebook, plan, limits)
    assert [outcome.points for outcome in result.outcomes] == [1, 0, 1]
