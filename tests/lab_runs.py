"""The labs as notebooks, and what several tests need of one run of them."""

import ast
import functools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions

from grading.lab.build import build_notebook
from grading.lab.contract import uses_with_shapes
from grading.office.probe import telling

ROOT = Path(__file__).resolve().parent.parent
LABS = sorted(path for path in (ROOT / "labs").glob("*/*.py") if path.stem == path.parent.name)

each_lab = pytest.mark.parametrize("lab", LABS, ids=lambda path: path.stem)
# One process runs the notebook for all tests that look at the run.
each_solved_lab = pytest.mark.parametrize(
    "lab", [pytest.param(lab, id=lab.stem, marks=pytest.mark.xdist_group(f"{lab.stem}_solved")) for lab in LABS]
)

# A judge receives networks as data, and makes modules of them that know the shape of their input.
ASK = """from grading.wire.values import decode as _decode, encode as _encode
_given = {{name: globals()[name] for name in {shapes!r}}}
for _name, _shape in {shapes!r}.items():
    if hasattr(_given[_name], "forward"):
        _given[_name] = _decode(_encode(_given[_name], None, _name, _shape))
exec({code!r}, _given)"""


def read(lab: Path) -> NotebookNode:
    return nbformat.reads(build_notebook(lab.read_text(encoding="utf-8")), as_version=4)


def released(lab: Path) -> NotebookNode:
    notebook = read(lab)
    for preprocessor in (ClearSolutions(), ClearHiddenTests()):
        notebook, _ = preprocessor.preprocess(notebook, {})
    return notebook


def run(notebook: NotebookNode, folder: Path, allow_errors: bool, seconds: int = 300) -> NotebookNode:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        NotebookClient(
            notebook,
            timeout=seconds,
            kernel_name="python3",
            allow_errors=allow_errors,
            resources={"metadata": {"path": str(folder)}},
        ).execute()
    return notebook


def nbgrader(cell: NotebookNode) -> dict:
    return cell.metadata.get("nbgrader", {})


def is_test(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and nbgrader(cell).get("grade", False)


def errors(cell: NotebookNode) -> list[str]:
    return [output.ename for output in cell.get("outputs", []) if output.output_type == "error"]


def printed(cell: NotebookNode) -> str:
    return "".join(output.text for output in cell.get("outputs", []) if output.get("name") == "stdout")


def bound_outside_functions(source: str) -> set[str]:
    """Names that a cell leaves in the notebook; what its functions bind is their own."""
    waiting, found = list(ast.parse(source).body), set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif not isinstance(node, ast.Lambda):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            waiting.extend(ast.iter_child_nodes(node))
    return found


@dataclass(frozen=True)
class Solved:
    """A lab after its run with solutions, and what kind of value each name has that its tests take."""

    notebook: NotebookNode
    kinds: dict[str, dict[str, object]]


@functools.cache
def solved(lab: Path) -> Solved:
    """Run a lab with its solutions, once in a process; a cell that raises ends it."""
    notebook, asking = read(lab), []
    for cell in filter(is_test, list(notebook.cells)):
        shapes = uses_with_shapes(cell.source)
        ask = new_code_cell(ASK.format(code=telling(shapes), shapes=shapes))
        notebook.cells.insert(notebook.cells.index(cell) + 1, ask)
        asking.append(ask)
    with TemporaryDirectory() as folder:
        run(notebook, Path(folder), allow_errors=False)
    kinds = {name: kind for ask in asking for name, kind in json.loads(printed(ask)).items()}
    notebook.cells = [cell for cell in notebook.cells if not any(cell is ask for ask in asking)]
    return Solved(notebook, kinds)
