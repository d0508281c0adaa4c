"""Cells of the course's own that only show something: a picture, a race of methods. No answer depends on them, so
grading leaves them out.

An instructor gives such a cell the tag "only-shows". It is left out of a submission that has it as it was released, and
that has no other cell in which a name stands that this one binds: whatever a student changed or builds on runs.
"""

import ast
import json
import symtable
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grading.lab.submission import Part, cell_text

TAG = "only-shows"
SAID = "not run when it is graded: this cell of the course only shows something"


def cells_that_only_show(source: Path) -> tuple[str, ...]:
    """The text of each cell of an instructor's notebook that has the tag."""
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    return tuple(cell_text(cell["source"]) for cell in cells if TAG in cell["metadata"].get("tags", []))


def leave_out(parts: Sequence[Part], only_show: Sequence[str]) -> list[Part]:
    """The parts of a submission, with those marked that only show something and on which nothing else builds.

    Args:
        parts: Of the submission.
        only_show: Texts of the course's cells that only show something.

    Returns:
        The same parts; `left_out` is set where a cell need not run.
    """
    texts = {text.strip() for text in only_show}
    cells = {index: _read(part.source) for index, part in enumerate(parts) if part.cell_type == "code"}
    left = {index for index in cells if parts[index].name is None and parts[index].source.strip() in texts}
    while needed := {index for index in left if _needed(index, left, cells)}:
        left -= needed  # what runs after all may take its names from another one
    return [replace(part, left_out=index in left) for index, part in enumerate(parts)]


@dataclass(frozen=True)
class _Cell:
    """What a cell leaves in the notebook, and what it takes.

    Args:
        binds: Names that it binds outside functions, or declares global inside one.
        imports: What it imports outside functions, each as (name, text of the import): the same again changes nothing.
        reads: Names that it may take from an earlier cell; None for what is not Python.
    """

    binds: frozenset[str] = frozenset()
    imports: frozenset[tuple[str, str]] = frozenset()
    reads: frozenset[str] | None = None


def _needed(index: int, left: set[int], cells: Mapping[int, _Cell]) -> bool:
    """Whether a cell that runs may take something from this one."""
    runs = [number for number in cells if number not in left]
    known = {one for number in runs if number < index for one in cells[number].imports}
    binds = cells[index].binds | {name for name, text in cells[index].imports if (name, text) not in known}
    later = [cells[number].reads for number in runs if number > index]
    return any(reads is None or binds & reads for reads in later)


def _read(source: str) -> _Cell:
    """What a cell binds and reads."""
    try:
        tree, table = ast.parse(source), symtable.symtable(source, "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _Cell()
    imports = {one for node in tree.body for one in _imports(node)}
    top = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    inner = [symbol for scope in _inner(table) for symbol in scope.get_symbols()]
    set_inside = {symbol.get_name() for symbol in inner if symbol.is_declared_global()}
    binds = frozenset(top - {name for name, _ in imports} | set_inside)
    taken = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    taken |= {symbol.get_name() for symbol in inner if symbol.is_global()}
    own = list(_own(tree))
    reads = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and (
            isinstance(node.ctx, ast.Del) or (isinstance(node.ctx, ast.Load) and node.id in taken)
        ):
            name = node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            name = node.value  # it may stand in globals()["name"]
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        else:
            continue
        if not any(name == bound and first <= node.lineno <= last for bound, first, last in own):
            reads.add(name)
    return _Cell(binds, frozenset(imports), frozenset(reads))


def _inner(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    """The scopes of functions, classes and comprehensions in a cell."""
    for child in table.get_children():
        yield child
        yield from _inner(child)


def _own(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    """(name, first line, last line) between which a name is surely the cell's own, since it has just bound it."""
    end = 10**9
    for node in tree.body:
        after = (node.end_lineno or node.lineno) + 1
        for name, _ in _imports(node):
            yield name, after, end
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, after, end
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign | ast.For) else targets
        last = after - 1 if isinstance(node, ast.For) else end
        first = node.lineno + 1 if isinstance(node, ast.For) else after
        if isinstance(node, ast.With):
            targets = [item.optional_vars for item in node.items if item.optional_vars]
            first = node.lineno + 1
        for target in targets:
            for one in ast.walk(target):
                if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                    yield one.id, first, last


def _imports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(name that is bound, text) for each name that an import binds."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.asname or alias.name).partition(".")[0], f"import {alias.name} as {alias.asname}"
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name, f"from {'.' * node.level}{node.module} import {alias.name}"
