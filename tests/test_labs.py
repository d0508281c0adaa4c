"""Labs run with their solutions; released, they hold none; their checks keep the contract."""

import ast
import builtins
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

import verifier
from grading.lab.build import build_notebook
from grading.lab.contract import uses, violations
from grading.lab.shown import TAG, cells_that_only_show, leave_out
from grading.lab.submission import lay_out, read_blueprint, read_cells
from tests.lab_runs import (
    LABS,
    ROOT,
    bound_outside_functions,
    each_lab,
    each_solved_lab,
    is_test,
    nbgrader,
    read,
    released,
    solved,
)

REGION = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)\n(.*?)### END \1", re.DOTALL)
POINTS = {
    "lab1_circle": 40,
    "lab2_digits": 40,
    "lab3_verifier": 40,
    "lab4_curve": 40,
    "lab5_relaxations": 40,
    "lab6_milp": 40,
    "lab7_synthesis": 40,
}


def test_cells(lab: Path) -> list[NotebookNode]:
    return [cell for cell in read(lab).cells if is_test(cell)]


test_cells.__test__ = False  # a helper, in spite of its name


def test_there_is_a_lab():
    assert LABS


@pytest.mark.slow
@each_solved_lab
def test_lab_runs_with_its_solutions_and_earns_every_point(lab):
    for cell in solved(lab).notebook.cells:
        stderr = "".join(output.text for output in cell.get("outputs", []) if output.get("name") == "stderr")
        assert "Warning" not in stderr, f"a cell warns:\n{cell.source}\n{stderr}"
        values = [output.data for output in cell.get("outputs", []) if output.output_type == "execute_result"]
        # a picture as last expression is drawn twice, axes print themselves, and losses are a page of numbers
        assert not [value for value in values if value["text/plain"].startswith(("<", "["))], cell.source
        if is_test(cell):
            given = [output.data["text/plain"] for output in cell.outputs if output.output_type == "execute_result"]
            # nbgrader's rule: a number as last expression is the points; without one, a cell that ran has them all
            assert given in ([], [str(nbgrader(cell)["points"])]), nbgrader(cell)["grade_id"]


@each_lab
def test_released_lab_holds_no_solution_and_no_hidden_test(lab):
    source = lab.read_text(encoding="utf-8")
    visible = REGION.sub("", source)
    text = nbformat.writes(released(lab))
    plain = "\n".join(cell.source for cell in released(lab).cells)
    secret = [line.strip(" #") for match in REGION.finditer(source) for line in match.group(2).splitlines()]
    secret = [line for line in secret if len(line) > 8 and line not in visible]
    assert secret
    assert [line for line in secret if line in plain] == []
    assert not re.search("BEGIN|END (SOLUTION|HIDDEN)", text)


@each_lab
def test_points_and_ids_are_what_nbgrader_wants(lab):
    marked = [nbgrader(cell) for cell in read(lab).cells if nbgrader(cell)]
    ids = [entry["grade_id"] for entry in marked]
    assert len(ids) == len(set(ids))
    assert sum(entry.get("points", 0) for entry in marked) == POINTS[lab.stem]
    assert all(entry["schema_version"] == 3 for entry in marked)
    assert all(entry["locked"] for entry in marked if entry["grade"] and not entry["solution"])


@each_lab
def test_test_cells_keep_the_contract(lab):
    """They name what they take from the student, define the rest, look into nothing, and hidden hints show no value."""
    for cell in test_cells(lab):
        assert violations(cell.source) == [], nbgrader(cell)["grade_id"]


@each_lab
def test_released_test_cells_use_the_names_that_they_state(lab):
    """A student sees in the visible part what each name is taken for."""
    for cell in released(lab).cells:
        if is_test(cell):
            assert all(re.search(rf"\b{name}\b", cell.source.split("\n", 1)[1]) for name in uses(cell.source))


def bound_and_free(source: str) -> tuple[set[str], set[str]]:
    """Names that a cell binds (imports left out, they mean the same everywhere) and those that it takes from others."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    bound |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    inner = {node.arg for node in nodes if isinstance(node, ast.arg)}
    return bound, {node.id for node in names if isinstance(node.ctx, ast.Load)} - bound - inner


@each_lab
def test_test_cells_leave_the_notebooks_own_names_alone(lab):
    """Running a check in the notebook must not change what a later cell reads."""
    cells = [cell for cell in read(lab).cells if cell.cell_type == "code"]
    bound_by_tests = set().union(*(bound_outside_functions(cell.source) for cell in cells if is_test(cell)))
    for cell in cells:
        if not is_test(cell):
            assert bound_and_free(cell.source)[1] & bound_by_tests == set(), cell.source


def names_without_the_students(source: str) -> set[str]:
    """Names that a cell takes, apart from those in `mine_or(lambda: ..., ...)` or `mine_or(function, ...)`."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "mine_or":
            given, node.args[0] = node.args[0], ast.Constant(None)
            own = {one.id for one in ast.walk(given) if isinstance(one, ast.Name)}  # they may fail there
            tree.body = [one for one in tree.body if not (isinstance(one, ast.FunctionDef) and one.name in own)]
    return bound_and_free(ast.unparse(tree))[1]


@each_lab
def test_who_does_not_even_run_an_exercise_has_every_name_that_later_cells_take(lab):
    """A cell of the course's own takes names, imports included, only from other such cells."""
    cells = [cell for cell in read(lab).cells if cell.cell_type == "code" and not nbgrader(cell)]
    known = set(dir(builtins))
    for cell in cells:
        imports = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Import | ast.ImportFrom)]
        known |= {alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names}
        known |= bound_and_free(cell.source)[0]
        assert names_without_the_students(cell.source) <= known, cell.source


@each_lab
def test_test_cells_import_only_what_a_judge_has(lab):
    allowed = {"verifier", "course_utils", "torch", "numpy", "math", "itertools", "fractions", "contextlib", "io"}
    for cell in test_cells(lab):
        for node in ast.walk(ast.parse(cell.source)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed


@each_lab
def test_a_lab_takes_public_names_only(lab):
    """A notebook that was handed out must not break when a file of the verifier moves."""
    for cell in read(lab).cells:
        if cell.cell_type != "code":
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith(("verifier.", "grading")) for alias in node.names), cell.source
            elif isinstance(node, ast.ImportFrom):
                taken = {alias.name for alias in node.names}
                package, _, inner = node.module.partition(".")
                assert package != "grading" and not any(name.startswith("_") for name in taken), cell.source
                if package == "verifier":
                    assert not inner and taken <= set(verifier.__all__), cell.source


@each_lab
def test_a_check_leaves_no_name_and_tells_what_it_gave(lab):
    """One function and its call, which says in one line how many points it gave, of those that the first cell names."""
    cells = read(lab).cells
    automatic = sum(nbgrader(cell)["points"] for cell in cells if is_test(cell))
    assert any(f"start_lab(points={automatic})" in cell.source for cell in cells if cell.cell_type == "code")
    for cell in test_cells(lab):
        function, call = ast.parse(cell.source).body
        assert isinstance(function, ast.FunctionDef) and ast.unparse(call) == "check()"
        visible, _, _ = cell.source.partition("### BEGIN HIDDEN TESTS")
        assert re.search(r"^    passed\(.*\)\s*(return \w+\s*)?(check\(\)\s*)?\Z", visible, re.MULTILINE), visible


@each_lab
def test_a_lab_is_graded_from_release_to_feedback_by_tests_of_its_own(lab):
    """There the judge gives the solved lab every point and the untouched one none, without running a student's code."""
    loop = ROOT / "tests" / "grading" / f"test_{lab.stem.partition('_')[0]}_loop.py"
    assert f'LAB = "{lab.stem}"' in loop.read_text(encoding="utf-8")


@each_lab
def test_grading_leaves_out_what_only_shows(lab):
    """Nothing in the lab itself builds on such a cell, which the course alone fills."""
    texts = cells_that_only_show(lab.with_suffix(".ipynb"))
    tagged = [cell for cell in read(lab).cells if TAG in cell.metadata.get("tags", [])]
    assert len(texts) == len(tagged) and all(cell.cell_type == "code" and not nbgrader(cell) for cell in tagged)
    for notebook in (read(lab), released(lab)):
        cells = read_cells(nbformat.writes(notebook).encode())
        parts = lay_out(cells, read_blueprint(lab.with_suffix(".ipynb")))
        assert [part.source for part in leave_out(parts, texts) if part.left_out] == list(texts)


@each_lab
def test_built_notebook_is_that_of_the_text_source(lab):
    built = lab.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert built == build_notebook(lab.read_text(encoding="utf-8")), "run `python -m grading build`"


@each_lab
def test_graded_checks_limit_work_by_subdomains(lab):
    """Points must not depend on how busy the machine is; verify() on a network of one layer needs no limit."""
    for cell in test_cells(lab):
        if "verify(nn_" in cell.source:
            assert cell.source.count("verify(nn_") == cell.source.count("max_subdomains=")


@each_lab
def test_the_first_cell_installs_the_archive_in_colab_and_nowhere_else(lab, monkeypatch, tmp_path):
    """Colab's session starts in /content, which nothing here has; the upload that is missing is named."""
    source = next(cell.source for cell in read(lab).cells if cell.cell_type == "code")
    install, _, _ = source.partition("from course_utils.checks import")
    calls = []
    monkeypatch.setattr("subprocess.run", lambda words, check: calls.append(" ".join(words[-2:])))
    monkeypatch.chdir(tmp_path)

    exec(install, {})
    assert calls == []

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(Path, "is_dir", lambda self: str(self) == "/content")
    with pytest.raises(FileNotFoundError, match=r"upload nn-verification-course-student\.zip"):
        exec(install, {})
    Path("nn-verification-course-student.zip").touch()
    exec(install, {})
    assert [call.split()[-1] for call in calls] == [
        "nn-verification-course-student.zip",
        "./nn-verification-course-student[labs]",
        "auto-LiRPA>=0.3,<1",
    ]


@each_lab
def test_lab_opens_and_ends_as_every_lab_does(lab):
    cells = read(lab).cells
    assert all(word in cells[0].source for word in ["What you will learn", "What you need", "minutes"])
    assert all(word in cells[-1].source for word in ["What to take away", "open question"])
