"""Hand in what needs no understanding, and see what it earns: constants, empty arrays, one Linear layer, every name
that a lab offers, the visible examples by heart. A lab whose tests are good gives nothing for any of it.

Every guess stands in a cell of its own before a copy of the test, so that one run tries many. Each test counts by the
best guess, as a student who tries them all would do. The whole notebook runs only as it was released; a guess runs
beside what the names that the lab offers need, and not beside all that the lab trains and draws.
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from grading.course import Course
from grading.lab.contract import names_from_elsewhere, uses, without_hidden
from grading.lab.files import lab_files
from grading.lab.shown import cells_that_only_show
from grading.lab.submission import GradedCell, Submission, read_blueprint, read_cells
from grading.limits import Limits
from grading.office.guesses import PREPARED, by_heart, data_guesses, function_guesses, network_guesses
from grading.run.many import Job, close_sandboxes, grade_here, imports_of

AT_ONCE, PROCESSES = 100, 256  # guesses in one run, each of which may keep a process until its end
SECONDS_FOR_A_GUESS = 30.0
AS_RELEASED = "pass"
SOLUTION = re.compile(r"^[ \t]*### BEGIN SOLUTION.*?### END SOLUTION[ \t]*$", re.DOTALL | re.MULTILINE)
Kinds = Mapping[str, dict[str, object]]  # what `describe` below tells of each name that a test takes
OFFERED = ("verifier", "course_utils")  # packages whose names a lab offers
NOTHING = "raise NotImplementedError()"
DESCRIBE = """
import json
def describe(value):
    if hasattr(value, "forward"):
        import torch
        shape = tuple(value.input_shape)
        given = 1
        for size in shape: given *= size
        return {"kind": "network", "inputs": given, "outputs": int(value(torch.zeros(1, *shape)).reshape(-1).shape[0])}
    if callable(value): return {"kind": "function"}
    if hasattr(value, "shape"): return {"kind": type(value).__name__.replace("ndarray", "array").lower(), "shape": list(value.shape)}
    if isinstance(value, (list, tuple)): return {"kind": "list", "size": len(value)}
    return {"kind": "value"}
"""  # noqa: E501  it runs in the judge, where nothing else of this file is


@dataclass(frozen=True)
class Earned:
    """What the best guess earned in one test.

    Args:
        grade_id: The test.
        points: Points earned.
        max_points: Points it is worth.
        guess: The cell that earned them, or empty.
        tried: How many guesses were tried.
    """

    grade_id: str
    points: float
    max_points: float
    guess: str
    tried: int


def probe(
    course: Course, lab: str, limits: Limits | None = None, *, unsafe: bool = False,
    kinds: Kinds | None = None, as_released: bool = True,
) -> list[Earned]:  # fmt: skip
    """What a lab gives for guesses, test by test.

    Args:
        course: The course.
        lab: Its lab.
        limits: Of one run of the notebook.
        unsafe: Do without a sandbox.
        kinds: What `telling` told of each name in a run of the instructor's own notebook; None runs it.
        as_released: Also run the whole notebook as it is released. False: it is known what that earns.

    Raises:
        CourseError: The course has no lab of that name, or no sandbox works here.
    """
    source = course.source_notebook(course.check_lab(lab))
    blueprint, imports, cells = read_blueprint(source), imports_of(source), read_cells(source.read_bytes())
    limits, beside, only_show = limits or Limits(), lab_files(course, lab), cells_that_only_show(source)
    try:
        if kinds is None:
            kinds = _kinds(cells, blueprint, limits, imports, unsafe, beside, only_show)
        tests = {name: cell for name, cell in blueprint.items() if cell.is_test}
        guesses = {name: list(dict.fromkeys(_guesses(test.source, kinds, cells))) for name, test in tests.items()}
        best = {
            name: Earned(name, 0.0, float(test.metadata["points"]), "", len(guesses[name]))
            for name, test in tests.items()
        }
        quick = replace(limits, cell_s=min(limits.cell_s, SECONDS_FOR_A_GUESS), processes=PROCESSES)
        pairs = [(name, guess) for name, some in guesses.items() for guess in some if guess != AS_RELEASED]
        offered = needed(cells, set(tests))
        runs = [(cells, [(name, AS_RELEASED) for name in tests])] if as_released else []
        runs += [(offered, pairs[start : start + AT_ONCE]) for start in range(0, len(pairs), AT_ONCE)]
        for beside_guesses, some_pairs in runs:
            notebook, plan, tried = _with_guesses(beside_guesses, tests, some_pairs)
            job = Job(notebook, plan, quick, unsafe, lab_files=beside, only_show=only_show)
            for outcome in grade_here(job, imports).outcomes:
                name, guess = tried[outcome.grade_id]
                if outcome.points > best[name].points:
                    best[name] = replace(best[name], points=outcome.points, guess=guess)
    finally:
        close_sandboxes()
    return list(best.values())


def telling(names: Iterable[str]) -> str:
    """Code that prints as JSON what kind of value each of these names has."""
    told = "{" + ", ".join(f"{name!r}: describe({name})" for name in names) + "}"
    return f"{DESCRIBE}\nprint(json.dumps({told}))"


def _with_guesses(
    cells: list[tuple[str, str, str | None]], tests: Mapping[str, GradedCell], pairs: list[tuple[str, str]]
) -> tuple[Submission, dict[str, GradedCell], dict[str, tuple[str, str]]]:
    """The notebook as it is released, with guesses before copies of the tests; the plan; which copy is which guess."""
    plan: dict[str, GradedCell] = {}
    tried: dict[str, tuple[str, str]] = {}
    made: list[tuple[str, str, str | None]] = []
    for kind, source, name in cells:
        if name is None or name not in tests:
            made.append((kind, SOLUTION.sub(NOTHING, source), None))
            continue
        test = tests[name]
        forget = "".join(f"globals().pop({used!r}, None)\n" for used in uses(test.source))
        made.append(("code", f"_kept = {{n: globals()[n] for n in {uses(test.source)!r} if n in globals()}}", None))
        for guess in [guess for one, guess in pairs if one == name]:
            copy = f"{name}-{len(tried)}"
            tried[copy] = (name, guess)
            plan[copy] = GradedCell({**test.metadata, "grade_id": copy}, "code", test.source)
            before = "" if guess == AS_RELEASED else forget
            made += [("code", f"{PREPARED}{before}{guess}", None), ("code", "", copy)]
        made.append(("code", f"{forget}globals().update(_kept)", None))
    return _notebook(made), plan, tried


def _kinds(
    cells: list[tuple[str, str, str | None]], blueprint: Mapping[str, GradedCell], limits: Limits,
    imports: tuple[str, ...], unsafe: bool, beside: list[list[str]], only_show: Sequence[str],
) -> Kinds:  # fmt: skip
    """What kind of value each student's name has in the instructor's own notebook."""
    plan = {}
    for name, cell in blueprint.items():
        if cell.is_test:
            first = cell.source.partition("\n")[0]
            plan[name] = replace(cell, source=first + telling(uses(cell.source)))
    graded = grade_here(Job(_notebook(cells), plan, limits, unsafe, lab_files=beside, only_show=only_show), imports)
    kinds: dict[str, dict[str, object]] = {}
    for outcome in graded.outcomes:
        if outcome.printed:
            kinds |= json.loads(outcome.printed)
    return kinds


def _guesses(test: str, kinds: Kinds, cells: list[tuple[str, str, str | None]]) -> Iterator[str]:
    """Cells that give a value to each name that a test takes."""
    names, visible = uses(test), without_hidden(test)
    yield AS_RELEASED
    lists = []
    for name in names:
        kind = kinds.get(name, {"kind": "value"})
        if kind["kind"] == "function":
            lists.append([*function_guesses(), *_offered(cells)])
        elif kind["kind"] == "network":
            lists.append([*network_guesses(kind), *(f"{offer}()" for offer in _offered(cells))])
        else:
            lists.append([*data_guesses(kind), *(f"{offer}()" for offer in _offered(cells))])
    for number in range(max(map(len, lists))):
        # the shorter lists begin again: no combination of all with all, which would be too many
        yield "\n".join(
            f"{name} = {guesses[number % len(guesses)]}" for name, guesses in zip(names, lists, strict=True)
        )
    learnt = [by_heart(visible, name) for name in names]
    if any(learnt):
        pairs = zip(names, learnt, lists, strict=True)
        yield "\n".join(text or f"{name} = {guesses[0]}" for name, text, guesses in pairs)


def _offered(cells: list[tuple[str, str, str | None]]) -> list[str]:
    """Expressions for names that a lab imports or defines outside its exercises."""
    found: dict[str, None] = {}
    for kind, source, _ in cells:
        if kind != "code":
            continue
        try:
            tree = ast.parse(SOLUTION.sub("", source))
        except SyntaxError:
            continue
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in OFFERED:
                found |= {f"__import__('{node.module}', fromlist=['x']).{alias.name}": None for alias in node.names}
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and "### BEGIN SOLUTION" not in source:
                found[node.name] = None
    return list(found)


def needed(cells: list[tuple[str, str, str | None]], tests: set[str]) -> list[tuple[str, str, str | None]]:
    """The cells with what the functions and classes that a lab offers need: imports, and values that they read.

    Statements that only draw, print or train for a later cell are left out; tests stay where they are.
    """
    wanted: set[str] = set()
    kept: list[tuple[str, str, str | None]] = []
    for kind, source, name in reversed(cells):
        if name in tests:
            kept.append((kind, source, name))
            continue
        try:
            tree = ast.parse(source if kind == "code" else "")
        except SyntaxError:
            continue
        if "### BEGIN SOLUTION" in source:
            continue
        lines = []
        for node in reversed(tree.body):
            text = ast.unparse(node)
            definition = isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))
            stored = {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
            if definition or stored & wanted:
                lines.append(text)
                wanted |= names_from_elsewhere(text)
        if lines:
            kept.append((kind, "\n".join(reversed(lines)), name))
    return list(reversed(kept))


def _notebook(cells: list[tuple[str, str, str | None]]) -> Submission:
    made: list[dict[str, Any]] = []
    for kind, source, name in cells:
        told = {"nbgrader": {"grade_id": name}} if name else {}
        made.append({"cell_type": kind, "source": source, "metadata": told})
    return Submission(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode())


def table(earned: list[Earned]) -> str:
    """The findings as text, and a line with their sum."""
    width = max((len(one.grade_id) for one in earned), default=0)
    lines = []
    for one in earned:
        said = f"{one.grade_id:<{width}}  {one.points:g} of {one.max_points:g}  ({one.tried} guesses)"
        lines += [said, *(f"    {line}" for line in one.guess.splitlines())]
    total, most = sum(one.points for one in earned), sum(one.max_points for one in earned)
    return "\n".join([*lines, f"guesses earn {total:g} of {most:g} points"])
