"""The verifier with numpy, scipy and tqdm alone: one question of each kind, and what a missing library is called.

Each test runs in a process of its own, in which the libraries of every extra are hidden.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from verifier.method_table import TABLE, help_text

ROOT = Path(__file__).parents[1]
HIDE = """
import sys
for name in {names!r}:
    sys.modules[name] = None
import numpy as np
import verifier
from verifier import Affine, MissingDependencyError, Network, less_than, output_bounds, split_trace, verify

def missing(ask):
    try:
        ask()
    except MissingDependencyError as error:
        print(error.extra, "|", error)
    else:
        print("nothing was missing")

pair = Network((Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), Affine(np.ones((1, 2)), np.zeros(1))))  # |x|
rng = np.random.default_rng(0)
# 20 inputs are more than are split; the output is relu(s) - relu(s), which is 0, and linear bounds do not show it
wide = Network((Affine(np.ones((2, 20)), np.zeros(2)), Affine(np.array([[1.0, -1.0]]), np.zeros(1))))
"""
EXTRAS = (
    "torch", "torchvision", "numba", "llvmlite", "z3", "highspy", "ortools",
    "auto_LiRPA", "onnx", "onnxruntime", "dask",
    "distributed", "matplotlib", "termcolor", "packaging", "nbgrader", "nbformat", "traitlets", "sqlalchemy", "IPython",
)  # fmt: skip


def said(source, hidden=EXTRAS, **options):
    """What a process prints, line by line, in which some libraries cannot be imported."""
    command = [sys.executable, "-W", "error", "-c", HIDE.format(names=tuple(hidden)) + source]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_verifier_answers_without_any_extra():
    """|x| over [-1, 1] is at most 1, so a limit above it holds and 0.9 fails; over [-0.4, 0.5] it is at most 0.5."""
    assert said(
        "cases = []\n"
        "print(verify(pair, [[-1, 1]], [[-0.5, 1.5]]).verdict.name)\n"
        "print(verify(pair, [[-1, 1]], less_than(0.9), cases).verdict.name, abs(cases[0].item()) >= 0.9)\n"
        "print(verify(pair, [[-0.4, 0.5]], [[None, 0.6]]).verdict.name)\n"
        "print(output_bounds(pair, [[-1, 1]], method='ibp').upper.item() >= 1)\n"
        "print(split_trace(pair, [[-1, 1]], [[-0.5, 1.5]]).result.verdict.name)\n"
        "print(verifier.verify_robust(Network((Affine(np.eye(2), np.zeros(2)),)), [1, 0], 0, 0.4).verdict.name)\n"
        "print([verify(pair, [[-1, 1]], [[-0.5, 3]], method=m).verdict.name for m in ('ibp', 'crown', 'split')])\n"
        "print(verify(pair, [[-1, 1]], less_than(0.9), method='attack').verdict.name)\n"
        "print('torch' in sys.modules and sys.modules['torch'] is not None)"
    ) == [
        "VERIFIED", "FALSIFIED True", "VERIFIED", "True", "VERIFIED", "VERIFIED",
        "['VERIFIED', 'VERIFIED', 'VERIFIED']", "FALSIFIED", "False",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "extra"),
    [
        ("verify(pair, [[-1, 1]], [[0, 1]], method='relu_split')", "torch"),
        ("verify(pair, [[-1, 1]], [[0, 1]], method='auto_lirpa')", "lirpa"),
        ("verify(pair, [[-1, 1]], [[0, 1]], method='lp')", "exact"),
        ("verify(pair, [[-1, 1]], [[0, 1]], method='milp')", "exact"),
        ("verify(pair, [[-1, 1]], [[0, 1]], method='z3')", "exact"),
        ("verifier.same_output_spec(less_than(0.5), less_than(0.6), 1)", "exact"),
        ("verify(ONNX, [[-1, 1]], [[0, 1]])", "onnx"),
        ("import verifier.search.compiled.jit", "fast"),
        ("from verifier.solvers.cpsat_solver import satisfiable; satisfiable([[1]])", "synthesis"),
        (
            "from verifier.synthesis.sketch import Examples, Sketch;"
            "from verifier.synthesis.synthesise import synthesise; synthesise(Sketch((1, 1)), Examples([[1]], [1]))",
            "synthesis",
        ),
        ("import verifier.synthesis.modules", "torch"),
        ("import verifier.synthesis.few_weights", "fast"),
        ("import course_utils.data", "torch"),
        ("import course_utils.models", "torch"),
        ("import course_utils.attacks", "torch"),
        ("import course_utils.training", "labs"),
        ("import course_utils.robust_training", "labs"),
        ("import course_utils.plots", "labs"),
        ("import course_utils.stand_ins", "torch"),
        ("import course_utils.telling", "torch"),
    ],
)
def test_what_is_missing_is_said_with_the_extra_that_brings_it(ask, extra, tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"not read")
    ask = ask.replace("ONNX", repr(str(tmp_path / "net.onnx")))
    (line,) = said(f"def ask():\n    {ask}\nmissing(ask)")
    assert (line.startswith(f"{extra} | ") and line.endswith(f"; pip install 'nn-verification-course[{extra}]'")) or (
        extra == "lirpa" and "nn-verification-course[lirpa]" in line
    )


def test_an_onnx_file_that_needs_relu_splitting_says_that_torch_is_missing(tmp_path):
    """The network is `wide` of above, whose output is 0."""
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper

    weights = {"a": np.ones((20, 2), np.float32), "b": np.array([[1], [-1]], np.float32)}
    nodes = [("MatMul", ["x", "a"], "z"), ("Relu", ["z"], "h"), ("MatMul", ["h", "b"], "y")]
    ends = [helper.make_tensor_value_info(name, 1, [1, size]) for name, size in (("x", 20), ("y", 1))]
    graph = helper.make_graph(
        [helper.make_node(kind, given, [made]) for kind, given, made in nodes], "wide", ends[:1], ends[1:],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )  # fmt: skip
    path = tmp_path / "wide.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    hidden = set(EXTRAS) - {"onnx", "onnxruntime"}
    (line,) = said(f"missing(lambda: verify({str(path)!r}, [[-1, 1]] * 20, less_than(0.5)))", hidden)
    assert line == (
        "torch | ReLU splitting needs torch, which is not installed; pip install 'nn-verification-course[torch]'"
    )


def test_auto_without_z3_leaves_a_tie_open_and_says_what_would_settle_it():
    """|x| reaches its limit 1 exactly, which bounds with rounding cannot show."""
    source = "result = verify(pair, [[-1, 1]], [[None, 1]])\nprint(result.verdict.name, result.reason)"
    (line,) = said(source)
    assert line.startswith("UNKNOWN margin below rounding; Z3 ") and line.endswith("-course[exact]'")
    assert said(source, set(EXTRAS) - {"z3"}) == ["VERIFIED "]


def test_auto_goes_on_to_z3_where_torch_is_missing():
    assert said("print(verify(wide, [[-1, 1]] * 20, less_than(0.5)).stage)", set(EXTRAS) - {"z3"}) == ["z3"]


def test_a_search_without_numba_goes_on_and_says_once_that_it_is_slow():
    source = (
        "import warnings\n"
        "layer = lambda out, inputs: Affine(rng.normal(size=(out, inputs)), rng.normal(size=out))\n"
        "hard = Network((layer(30, 4), layer(30, 30), layer(1, 30)))\n"
        "top = hard.logits(rng.uniform(-1, 1, size=(20000, 4))).max() + 3.4\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    warnings.simplefilter('always')\n"
        "    for _ in range(2):\n"
        "        verify(hard, [[-1, 1]] * 4, [[None, top]], max_subdomains=2000, timeout_s=None)\n"
        "print(len(told), *(str(one.message) for one in told))"
    )
    (line,) = said(source)
    assert line.startswith("1 Numba is not installed") and "nn-verification-course[fast]" in line


@pytest.mark.parametrize(
    ("command", "extra"), [("release", "grading"), ("autograde lab1_circle", "grading"), ("demo", "grading")]
)
def test_grading_without_its_libraries_names_its_extra(command, extra):
    source = f"import grading.__main__ as grading\nsys.stderr = sys.stdout\nprint(grading.main({command.split()!r}))"
    *_, line, status = said(source)
    assert status == "1" and (f"pip install 'nn-verification-course[{extra}]'" in line or "[labs]" in line)


@pytest.mark.parametrize("method", TABLE)
def test_help_lists_every_method(method):
    assert method in help_text().split()
