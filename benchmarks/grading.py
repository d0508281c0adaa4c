"""What grading costs, and whether every point is right: this course's autograde beside stock `nbgrader autograde`.

    python -m benchmarks.grading --submissions 200 --stock 20 --workers 1 2
    python -m benchmarks.grading --each

The second command hands in one solved notebook of every lab, for what a lab costs. A script makes the submissions of
the first: a fifth each solved, half-solved and wrong, and the rest hostile. Stock nbgrader, which
would run hostile code with the caller's rights, gets those that are not hostile only. Computing is read from control
groups, which count every process however it ends; without them (they want root) only wall time is told.

"Own computing" is what the notebook's cells and the tests compute, as the sandbox's guards measure it; stock nbgrader
computes the same, so what is left of either total is what grading itself costs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from grading.book.nbgrader import release
from grading.book.record import read_mark
from grading.course import Course
from grading.lab.build import build_lab
from grading.lab.submission import read_blueprint
from grading.office.results import read_results

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("solved", "half", "wrong", "hostile", "hostile")
NOT_SOLVED = "# YOUR CODE HERE\nraise NotImplementedError()"
HOSTILE = (
    "import ast\nclass S(ast.NodeTransformer):\n    def visit_Assert(self, n): return ast.Pass()\n"
    "get_ipython().ast_transformers.append(S())",
    "import builtins\nbuiltins.abs = lambda x: 0\nimport sys\nsys.displayhook = lambda v: print(4)",
    "import os; os._exit(0)",
    "import os\nfor folder, _, names in os.walk('/'):\n    for name in names:\n"
    "        if name.endswith('.ipynb'): print(open(os.path.join(folder, name)).read())",
    "x = bytearray(3 * 10**9)",
    "print('x' * 10**8)",
    "import ctypes; ctypes.string_at(0)",
    "class Yes:\n    def __eq__(self, o): return True\n    def __getattr__(self, n): return Yes()\n"
    "    def __call__(self, *a, **k): return Yes()\nfor n in 'abcdef': globals()[n] = Yes()",
)
NO_TORCH = "plain"
PLAIN_LAB = """# %% [markdown]
# # A lab without torch
"""
EXERCISE = """
# %% nbgrader={{"grade": false, "grade_id": "f{k}", "locked": false, "schema_version": 3, "solution": true, "task": false}}
def f{k}(x):
    ### BEGIN SOLUTION
    return {k} * x + 1
    ### END SOLUTION

# %% nbgrader={{"grade": true, "grade_id": "f{k}_check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}}
# uses: f{k}
assert f{k}(1) == {k} + 1, "at 1"
### BEGIN HIDDEN TESTS
assert all(f{k}(x) == {k} * x + 1 for x in range(20)), "elsewhere"
### END HIDDEN TESTS
"""  # noqa: E501


@dataclass(frozen=True)
class Cost:
    """What a command used.

    Args:
        wall_s: Seconds on the clock.
        cpu_s: Of computing, in all its processes; None where that cannot be told.
        peak_mb: Most memory at a time, files in memory included; None where that cannot be told.
    """

    wall_s: float
    cpu_s: float | None
    peak_mb: float | None


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submissions", type=int, default=200)
    parser.add_argument("--stock", type=int, default=20, help="submissions that stock nbgrader grades")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--labs", nargs="+", help="default: lab 1 and a lab without torch; every lab with --each")
    parser.add_argument("--each", action="store_true", help="one solved submission of each lab instead")
    parser.add_argument("--out", type=Path, help="default: grading.md, or grading_each.md with --each")
    options = parser.parse_args()
    options.labs = options.labs or (Course.here().lab_names() if options.each else ["lab1_circle", NO_TORCH])
    name = "grading_each.md" if options.each else "grading.md"
    options.out = options.out or ROOT / "benchmarks" / "results" / name
    lines = ["# Grading", "", describe(), "", f"`python -m benchmarks.grading {' '.join(sys.argv[1:])}`", ""]
    lines += [
        "| lab | run | submissions | wrong points | wall s each | computing s each | own s each | overhead s each |"
    ]
    lines[-1] += " peak MiB |"
    heading = [lines.pop(), "|---|---|---|---|---|---|---|---|---|"]
    if options.each:
        lines += [*heading, *each(options.labs)]
    for lab in [] if options.each else options.labs:
        lines += [*heading, *measure(lab, options.submissions, options.stock, options.workers)]
    lines += [] if options.each else single(options.labs[-1])
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def measure(lab: str, submissions: int, stock: int, workers: list[int]) -> list[str]:
    """Rows of one lab: a mix with hostile ones, then the same honest ones through this course and stock nbgrader."""
    mix = graded(lab, submissions, workers[-1], "this course, a mix with hostile ones")
    rows = [mix.row]
    # without torch a submission costs so little that twenty would measure the command's start
    honest = submissions if lab == NO_TORCH else stock
    ours_by_workers = [graded(lab, honest, number, "this course, honest ones", hostile=False) for number in workers]
    rows += [run.row for run in ours_by_workers]
    if stock:
        ours_run = ours_by_workers[-1]
        stock_run = graded(lab, stock, None, "stock nbgrader, honest ones", hostile=False, own=ours_run.own)
        rows += [stock_run.row, "", compared(lab, ours_run, stock_run, mix), ""]
    return rows


def each(labs: list[str]) -> list[str]:
    """Rows of one solved submission of each lab, and what a class of a hundred takes."""
    rows, said = [], []
    for lab in labs:
        ours_run = graded(lab, 1, 1, "this course, solved", hostile=False)
        stock_run = graded(lab, 1, None, "stock nbgrader, solved", hostile=False, own=ours_run.own)
        rows += [ours_run.row, stock_run.row]
        said.append(
            f"- {lab}: {ours_run.wall_s:.0f} s and {_seconds(ours_run.cpu_s)} of computing; stock nbgrader "
            f"{stock_run.wall_s:.0f} s and {_seconds(stock_run.cpu_s)}. "
            f"The notebooks of a hundred compute for {ours_run.own * 100 / 3600:.1f} h."
        )
    return [*rows, "", *said]


def _seconds(cpu_s: float | None) -> str:
    return "an unknown time" if cpu_s is None else f"{cpu_s:.0f} s"


@dataclass(frozen=True)
class Run:
    """One command over some submissions; seconds are a submission's."""

    row: str
    wall_s: float
    cpu_s: float | None
    own: float


def graded(
    lab: str, number: int, workers: int | None, title: str, *, hostile: bool = True, own: float | None = None
) -> Run:
    """Hand in some submissions and grade them; by stock nbgrader where there is no number of workers."""
    with course_of(lab, stock=workers is None) as course:
        expected = hand_in(course, lab, number, hostile=hostile)
        if workers is None:
            command = [sys.executable, "-m", "nbgrader", "autograde", lab, "--create"]
            cost = run(command, course.config.parent)
        else:
            title = f"{title}, {workers} at once"
            cost = run([*ours(course), "autograde", lab, "--workers", str(workers)], course.root)
        _, results = read_results(course, lab)
        wrong = sum(one.points != expected[one.student] for one in results) + (len(results) != number)
        if own is None:
            marks = [read_mark(course, student, lab) for student in expected]
            own = sum(mark.get("cpu_s", 0.0) + mark.get("judge_cpu_s", 0.0) for mark in marks) / number
    cpu = None if cost.cpu_s is None else cost.cpu_s / number
    return Run(row(lab, title, number, wrong, cost, own), cost.wall_s / number, cpu, own)


def compared(lab: str, ours_run: Run, stock_run: Run, mix: Run) -> str:
    """What the runs say of each other; over the mix, which is larger, the start counts for less."""
    text = f"{lab}: {stock_run.wall_s / ours_run.wall_s:.1f} times stock nbgrader's throughput"
    if ours_run.cpu_s is None or stock_run.cpu_s is None or mix.cpu_s is None:
        return text + "."
    theirs = stock_run.cpu_s - stock_run.own
    shares = [100 * (one.cpu_s - one.own) / theirs for one in (ours_run, mix) if one.cpu_s is not None]
    return f"{text}; beyond own computing {shares[0]:.0f} % of its computing, over the mix {shares[1]:.0f} %."


def row(lab: str, title: str, number: int, wrong: int, cost: Cost, own: float) -> str:
    """One line of the table."""
    cpu = None if cost.cpu_s is None else cost.cpu_s / number
    told = [
        lab, title, str(number), str(wrong), f"{cost.wall_s / number:.2f}", "-" if cpu is None else f"{cpu:.2f}",
        f"{own:.2f}", "-" if cpu is None else f"{cpu - own:.2f}",
        "-" if cost.peak_mb is None else f"{cost.peak_mb:.0f}",
    ]  # fmt: skip
    line = f"| {' | '.join(told)} |"
    print(line, flush=True)
    return line


def single(lab: str) -> list[str]:
    """What one submission waits for, and the start of the command."""
    from grading.lab.submission import Submission
    from grading.limits import Limits
    from grading.run.many import imports_of
    from grading.run.one import grade
    from grading.sandbox.bubblewrap import Sandbox

    with course_of(lab) as course:
        hand_in(course, lab, 1)
        blueprint = read_blueprint(course.source_notebook(lab))
        start = time.perf_counter()
        with Sandbox(imports_of(course.source_notebook(lab))) as sandbox:
            ready = time.perf_counter() - start
            content = Submission(course.source_notebook(lab).read_bytes())
            grade(sandbox, content, blueprint, Limits())
            start = time.perf_counter()
            for _ in range(10):
                grade(sandbox, content, blueprint, Limits())
            each = (time.perf_counter() - start) / 10
        run([*ours(course), "autograde", lab], course.root)
        again = run([*ours(course), "autograde", lab], course.root)
    return [
        f"A sandbox is ready after {ready:.2f} s; a submission of {lab} then takes {1000 * each:.0f} ms from its "
        f"text to its points, namespaces and limits included. The command with nothing to grade takes "
        f"{again.wall_s:.1f} s."
    ]


@contextmanager
def course_of(lab: str, *, stock: bool = False) -> Iterator[Course]:
    """A course with one lab, released, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        course = Course(Path(folder))
        course.text_source(lab).parent.mkdir(parents=True)
        course.config.parent.mkdir()
        if lab == NO_TORCH:
            text = PLAIN_LAB + "".join(EXERCISE.format(k=k) for k in range(1, 6))
        else:
            text = (ROOT / "labs" / lab / f"{lab}.py").read_text(encoding="utf-8")
        course.text_source(lab).write_text(text, encoding="utf-8")
        shutil.copy(Course.here().config, course.config)
        build_lab(course, lab)
        release(course, lab)
        if stock:  # nbgrader as it comes: its own execution, in a kernel with the caller's rights
            kept = course.config.read_text(encoding="utf-8").partition("# nbgrader's own autograde")[0]
            quiet = 'c.Execute.timeout = 300\nc.Execute.extra_arguments = ["--HistoryManager.hist_file=:memory:"]\n'
            course.config.write_text(kept + quiet, encoding="utf-8")
        yield course


def hand_in(course: Course, lab: str, number: int, *, hostile: bool = True) -> dict[str, float]:
    """Make submissions; the points that each must get from its tests."""
    source = json.loads(course.source_notebook(lab).read_text(encoding="utf-8"))
    blueprint = read_blueprint(course.source_notebook(lab))
    solutions = [name for name, cell in blueprint.items() if cell.metadata.get("solution") and cell.cell_type == "code"]
    half = set(solutions[: len(solutions) // 2])
    expected = {}
    kinds = KINDS if hostile else KINDS[:3]
    for index in range(number):
        kind = kinds[index % len(kinds)]
        student = f"{kind}{index:04d}"
        solved = {"solved": set(solutions), "half": half}.get(kind, set())
        notebook = json.loads(json.dumps(source))
        points, last = 0.0, ""
        for cell in notebook["cells"]:
            told: dict[str, Any] = cell["metadata"].get("nbgrader", {})
            if told.get("solution"):
                last = told["grade_id"]
                if last not in solved and cell["cell_type"] == "code":
                    cell["source"] = NOT_SOLVED
            elif told.get("grade") and last in solved:
                points += told["points"]
        if kind == "hostile":
            text = HOSTILE[index // len(KINDS) % len(HOSTILE)]
            attack = {"cell_type": "code", "id": "attack", "metadata": {}, "source": text}
            notebook["cells"].insert(0, {**attack, "outputs": [], "execution_count": None})
        folder = course.submitted(student, lab)
        folder.mkdir(parents=True)
        (folder / f"{lab}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
        expected[student] = points
    return expected


def ours(course: Course) -> list[str]:
    """The beginning of this course's command."""
    return [sys.executable, "-m", "grading", "--course", str(course.root)]


def run(command: list[str], folder: Path) -> Cost:
    """Run a command to its end and tell what it used."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    groups = [Path(f"/sys/fs/cgroup/{kind}/grading-benchmark-{os.getpid()}") for kind in ("cpuacct", "memory")]
    made = []
    for group in groups:
        with suppress(OSError):
            if group.parent.joinpath("tasks").is_file():
                group.mkdir(exist_ok=True)
                made.append(group)
    joined = "".join(f"echo $$ > {group}/cgroup.procs; " for group in made)
    start = time.perf_counter()
    subprocess.run(
        ["/bin/sh", "-c", f'{joined}exec "$@"', "sh", *command], cwd=folder, env=environment, check=False,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wall = time.perf_counter() - start
    told: dict[str, float] = {}
    for group in made:
        name = "cpuacct.usage" if group.parent.name == "cpuacct" else "memory.max_usage_in_bytes"
        told[name] = float((group / name).read_text())
        for _ in range(50):  # the last processes of a group end a moment later
            with suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.1)
    cpu, peak = told.get("cpuacct.usage"), told.get("memory.max_usage_in_bytes")
    return Cost(wall, None if cpu is None else cpu / 1e9, None if peak is None else peak / 2**20)


if __name__ == "__main__":
    main()
