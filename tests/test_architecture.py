"""The import rules of the project, read from its source: a question moves one way through the verifier."""

import ast
from pathlib import Path

import pytest

from grading.sandbox.bubblewrap import SEEN

ROOT = Path(__file__).parents[1]

# A file of the verifier imports only from stages before its own; files of one folder are one stage and may import each
# other, but not in a circle. A new file or folder takes its place in this list.
STAGES = (
    "version",
    "errors",
    "enclosure",
    "matrix",
    "affine",
    "folding",
    "network",
    "subject",
    "question",
    "answer",
    "frontends",
    "solvers",
    "bounds",
    "attack",
    "search",
    "exact",
    "method_table",
    "stages",
    "narrowed",
    "pipeline",
    "asking",
    "synthesis",
    "command",
    "__init__",
    "__main__",
)
# the only file that may import each of these
HOME_OF_LIBRARY = {
    "z3": "verifier/solvers/z3_solver.py",
    "clarabel": "verifier/solvers/clarabel_solver.py",
    "highspy": "verifier/solvers/highs_solver.py",
    "ortools": "verifier/solvers/cpsat_solver.py",
    "auto_LiRPA": "verifier/bounds/lirpa_compat.py",
    "onnx": "verifier/frontends/onnx/file.py",
    "onnxruntime": "verifier/frontends/onnx/file.py",
    "distributed": "verifier/command/batch.py",
    "scipy": "verifier/matrix.py",
    "numba": "verifier/search/compiled/jit.py",
}
MAY_IMPORT = {
    "verifier": {"verifier"},
    "course_utils": {"verifier", "course_utils"},
    "grading": {"verifier", "course_utils", "grading"},
    # what tests and benchmarks share; neither imports the other
    "judges": {"verifier", "judges"},
    "benchmarks": {"verifier", "course_utils", "grading", "judges", "benchmarks"},
    "tests": {"verifier", "course_utils", "grading", "judges", "tests"},
}
# What each room of grading may import of grading, besides its own files. `inside` runs in the sandbox, where it finds
# only what stands here; nothing outside imports it.
ROOMS = {
    "course": set(),
    "limits": set(),
    "wire": set(),
    "lab": {"course"},
    "sandbox": {"course", "limits"},
    "inside": {"limits", "wire", "lab.contract", "sandbox.guard", "sandbox.kernel_calls"},
    "run": {"course", "limits", "wire", "lab", "sandbox"},
    "book": {"course", "limits", "wire", "lab", "sandbox", "run"},
    "office": {"course", "limits", "lab", "sandbox", "run", "book"},
    "demo": {"course", "sandbox", "book"},
    "nbgrader_config": {"lab", "run", "book"},
    "commands": {"course", "limits", "lab", "run", "book", "office", "demo"},
    "__main__": {"course", "commands"},
    "__init__": set(),
}
ROOM_NAMES = ("wire", "lab", "sandbox", "inside", "run", "book", "office", "commands")
ROOMS_AS_MODULES = {f"grading.{room}" for room in ROOM_NAMES}

VERIFIER_FILES = sorted((ROOT / "verifier").rglob("*.py"))
GRADING_FILES = sorted((ROOT / "grading").rglob("*.py"))
OUR_FILES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def module_of(path):
    """The dotted name of a file, without `.__init__` for a folder's."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def imports(path):
    """Dotted names of what a file imports, inside functions too, and by importlib with a plain string."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = module_of(path).split(".")
            base = package[: len(package) - node.level + (path.name == "__init__.py")] if node.level else []
            found.add(".".join(filter(None, [*base, node.module])))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            found |= {str(argument.value) for argument in node.args if isinstance(argument, ast.Constant)}
    return found


def names_imported(path, package):
    """What a file imports of a package, `from a import b` as `a.b`."""
    found = imports(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names if f"{node.module}" in ROOMS_AS_MODULES}
    return {name for name in found if name.partition(".")[0] == package and name not in ROOMS_AS_MODULES}


def stage(module):
    """Position of a module of the verifier in STAGES."""
    return STAGES.index(module.split(".")[1] if "." in module else "__init__")


@pytest.mark.parametrize("path", VERIFIER_FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_verifier_file_has_a_stage_and_imports_only_from_those_before_it(path):
    assert module_of(path).split(".")[1] in STAGES, f"give {path.relative_to(ROOT)} its place in STAGES"
    own = stage(module_of(path))
    later = {name for name in imports(path) if name.partition(".")[0] == "verifier" and stage(name) > own}
    same = {name for name in imports(path) if name.startswith("verifier.") and stage(name) == own}
    assert not later, f"{path.relative_to(ROOT)} imports {sorted(later)} from a later stage"
    assert path.parent != ROOT / "verifier" or not same, f"{path.relative_to(ROOT)} imports {sorted(same)}"


@pytest.mark.parametrize("path", GRADING_FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_grading_file_has_a_room_and_imports_only_from_rooms_that_it_may(path):
    room = module_of(path).split(".")[1] if "." in module_of(path) else "__init__"
    assert room in ROOMS, f"give {path.relative_to(ROOT)} its place in ROOMS"
    allowed = {f"grading.{name}" for name in {room, *ROOMS[room]}}
    others = {
        name
        for name in names_imported(path, "grading")
        if name not in ("grading", *allowed) and not any(name.startswith(f"{one}.") for one in allowed)
    }
    assert not others, f"{path.relative_to(ROOT)} imports {sorted(others)}"


def test_the_sandbox_holds_what_runs_inside_and_what_that_imports_and_nothing_else_of_grading():
    needed, waiting = set(), [path for path in GRADING_FILES if path.parent == ROOT / "grading" / "inside"]
    while waiting:
        path = waiting.pop()
        if path in needed:
            continue
        folders = (folder for folder in path.parents if folder.is_relative_to(ROOT / "grading"))
        needed |= {path, *(folder / "__init__.py" for folder in folders)}
        files = (ROOT / Path(*name.split(".")) for name in names_imported(path, "grading"))
        waiting += [file.with_suffix(".py") for file in files if file.with_suffix(".py").is_file()]
    seen = [ROOT / path for path in SEEN if path.startswith("grading/")]
    held = {file for path in seen for file in (path.rglob("*.py") if path.is_dir() else [path])}
    assert held == needed


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_files_of_one_package_do_not_import_each_other_in_a_circle(package):
    files = sorted((ROOT / package).rglob("*.py"))
    graph = {
        module_of(path): {name for name in imports(path) if name.startswith(f"{package}.")} - {module_of(path)}
        for path in files
    }
    finished: set[str] = set()

    def visit(module, trail):
        assert module not in trail, f"a circle: {' -> '.join([*trail[trail.index(module) :], module])}"
        if module not in finished:
            for name in sorted(graph.get(module, ())):
                visit(name, [*trail, module])
            finished.add(module)

    for module in sorted(graph):
        visit(module, [])


@pytest.mark.parametrize("path", OUR_FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_packages_import_only_the_packages_they_may(path):
    ours = {name.partition(".")[0] for name in imports(path)} & {*MAY_IMPORT, "labs"}
    assert ours <= MAY_IMPORT[path.relative_to(ROOT).parts[0]]


@pytest.mark.parametrize("path", GRADING_FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_grading_decides_nothing_by_the_words_of_a_message(path):
    """`"..." in str(error)` and the like; what decides travels as an enum or an attribute."""
    texts = {"message", "detail", "note", "reason", "printed"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            words = isinstance(node.left, ast.Constant) and isinstance(node.left.value, str)
            right = node.comparators[0]
            said = isinstance(right, ast.Call) and getattr(right.func, "id", "") in ("str", "repr")
            assert not (words and (said or getattr(right, "attr", "") in texts)), f"{path}: line {node.lineno}"


@pytest.mark.parametrize(("library", "home"), HOME_OF_LIBRARY.items())
def test_only_one_file_of_the_verifier_knows_a_solver_by_name(library, home):
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in VERIFIER_FILES
        if any(name.partition(".")[0] == library for name in imports(path))
    }
    assert importers <= {home}


def test_the_reading_of_imports_sees_what_hides_in_a_function(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_architecture.ROOT", tmp_path)
    path = tmp_path / "verifier" / "spec.py"
    path.parent.mkdir()
    path.write_text(
        "def f():\n    from . import pipeline\n    import z3.z3util\n    importlib.import_module('labs.x')\n"
    )
    assert imports(path) == {"verifier", "z3.z3util", "labs.x"}


def test_methods_bound_the_network_that_the_question_gives():
    """question.network has further logits where the spec speaks of the input; the subject's own network lacks them."""
    rooms = ("answer", "bounds", "search", "exact", "attack", "stages")
    methods = [path for path in VERIFIER_FILES if module_of(path).split(".")[1] in rooms]
    assert [path.name for path in methods if "question.subject.network" in path.read_text(encoding="utf-8")] == []
