"""The contract of a test cell, read from its text.

A test cell runs in the student's kernel and in the judge, where none of the notebook's other cells were run. So its
first line names what it takes from the student, `# uses: nn_circle, x_specs`, and it relies on nothing else. A network
whose layers do not tell the shape of its input has it there, without the batch: `# uses: conv_net (1, 28, 28)`.
"""

import ast
import builtins
import re
import symtable
from dataclasses import dataclass
from pathlib import Path

HIDDEN_BEGIN, HIDDEN_END = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
_USES = re.compile(r"# uses:\s*(.*)")
_NAME_AND_SHAPE = re.compile(r"([^\W\d]\w*)(?:\s*\(\s*(\d+(?:\s*,\s*\d+)*)\s*,?\s*\))?\s*(?:,|$)\s*")
_PEEKING = {"inspect", "dis", "IPython", "sys._getframe", "gc"}  # modules that look into a student's objects


@dataclass(frozen=True)
class TestCell:
    """One automatically graded cell of an instructor's notebook.

    Args:
        grade_id: Its name in the gradebook.
        source: Its whole text, hidden tests included.
        max_points: What it is worth.
    """

    __test__ = False  # not a class of tests, whatever its name suggests to pytest

    grade_id: str
    source: str
    max_points: float

    @property
    def uses(self) -> tuple[str, ...]:
        """The names that it takes from the student."""
        return uses(self.source)


def uses(source: str) -> tuple[str, ...]:
    """The names in a test cell's first line.

    Raises:
        ValueError: The first line is not `# uses: name, name (shape)`.

    Example:
        >>> uses("# uses: nn_circle, x_specs\\nassert x_specs")
        ('nn_circle', 'x_specs')
    """
    return tuple(uses_with_shapes(source))


def uses_with_shapes(source: str) -> dict[str, tuple[int, ...] | None]:
    """The names in a test cell's first line, each with the input's shape that stands behind it, or None.

    Raises:
        ValueError: The first line is not `# uses: name, name (shape)`.

    Example:
        >>> uses_with_shapes("# uses: net (1, 28, 28), image")
        {'net': (1, 28, 28), 'image': None}
    """
    match = _USES.fullmatch(source.partition("\n")[0].strip())
    text = match[1] if match else ""
    found: dict[str, tuple[int, ...] | None] = {}
    end = 0
    while part := _NAME_AND_SHAPE.match(text, end):
        found[part[1]] = tuple(int(size) for size in part[2].split(",")) if part[2] else None
        end = part.end()
    if not found or end != len(text) or text.endswith(","):
        raise ValueError(
            "the first line of a test cell is `# uses: ` and the student's names that it takes, comma between them"
        )
    return found


def read_test_cells(notebook: Path) -> list[TestCell]:
    """The automatically graded cells of an instructor's notebook, in order."""
    import nbformat

    cells = nbformat.read(notebook, as_version=4).cells
    found = []
    for cell in cells:
        told = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and told.get("grade") and not told.get("solution"):
            found.append(TestCell(told["grade_id"], cell.source, float(told["points"])))
    return found


def violations(source: str) -> list[str]:
    """What a test cell does that the contract does not allow; an empty list for a good one."""
    try:
        taken = set(uses(source))
    except ValueError as error:
        return [str(error)]
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        return [f"line {error.lineno}: not plain Python ({error.msg}); magics do not run in the judge"]
    names = _global_names(source)
    bound = _bound_names(source)
    found = [
        f"uses {name}, which its first line does not name"
        for name in sorted(names - taken - bound - set(dir(builtins)))
    ]
    found += [f"names {name} in its first line and does not use it" for name in sorted(taken - names)]
    found += [f"assigns to {name}, which belongs to the student" for name in sorted(taken & bound)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            found.append(f"line {node.lineno}: looks at the private attribute {node.attr}")
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [
                f"line {node.lineno}: imports {module}" for module in modules if module.partition(".")[0] in _PEEKING
            ]
    return found + _hidden_violations(source, tree)


def without_hidden(source: str) -> str:
    """A test cell without its hidden tests, as it was released."""
    kept, hidden = [], False
    for line in source.splitlines():
        if HIDDEN_BEGIN.strip("# ") in line:  # as nbgrader looks for it
            hidden = True
        if not hidden:
            kept.append(line)
        if HIDDEN_END.strip("# ") in line:
            hidden = False
    return "\n".join(kept)


def names_from_elsewhere(source: str) -> set[str]:
    """Names that a cell reads and does not make itself: those that it takes from the cells before it.

    Lines that are IPython's own, such as `%matplotlib inline`, are left out.
    """
    plain = "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines())
    return _global_names(plain) - _bound_names(plain) - set(dir(builtins))


def assigned_names(source: str) -> set[str]:
    """Names that a test cell leaves behind with a value of its own; an imported module is the same anywhere."""
    table = symtable.symtable(source, "test cell", "exec")
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() and not s.is_imported()}


def _hidden_violations(source: str, tree: ast.Module) -> list[str]:
    """A hidden test that fails shows one hint line and no values."""
    lines = source.splitlines()
    begins = [number for number, line in enumerate(lines, 1) if line.strip() == HIDDEN_BEGIN]
    ends = [number for number, line in enumerate(lines, 1) if line.strip() == HIDDEN_END]
    if len(begins) != len(ends) or any(end <= begin for begin, end in zip(begins, ends, strict=True)):
        return ["a region of hidden tests is not closed"]
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assert):
            continue
        if not any(begin < node.lineno < end for begin, end in zip(begins, ends, strict=True)):
            continue
        if not (isinstance(node.msg, ast.Constant) and isinstance(node.msg.value, str)):
            found.append(
                f"line {node.lineno}: a hidden assert wants a hint that is a plain string, so that no value shows"
            )
        elif "\n" in node.msg.value:
            found.append(f"line {node.lineno}: the hint of a hidden assert is longer than one line")
    return found


def _global_names(source: str) -> set[str]:
    """Names that the cell, or a function in it, reads from the cell's own level."""
    names: set[str] = set()

    def visit(table: symtable.SymbolTable, top: bool) -> None:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (top or symbol.is_global()):
                names.add(symbol.get_name())
        for child in table.get_children():
            visit(child, False)

    visit(symtable.symtable(source, "test cell", "exec"), True)
    return names


def _bound_names(source: str) -> set[str]:
    """Names that the cell gives a value at its own level: assigned, imported, defined."""
    table = symtable.symtable(source, "test cell", "exec")
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
