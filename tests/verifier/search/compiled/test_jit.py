"""Machine code that is kept between processes: who finds it, and that it is renewed with what it was made of."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")
from course_utils.warm_up import compile_search
from verifier.search.compiled import jit as compiled_jit

ASK = """
import sys
from course_utils.warm_up import compile_search
from verifier.search.compiled.loop import is_compiled, run_slice, use_kept_code
if sys.argv[1] == "brought":
    use_kept_code()
print(is_compiled())
if is_compiled():
    compile_search()
    print(sum(run_slice.stats.cache_hits.values()), sum(run_slice.stats.cache_misses.values()))
"""

COMPILED = sorted(Path(compiled_jit.__file__).parent.glob("*.py"))


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    """The functions of a file that are compiled."""
    return [
        node for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(one, ast.Name) and one.id in ("compiled", "compiled_entry") for one in node.decorator_list)
    ]  # fmt: skip


def taken_from(path: Path) -> set[Path]:
    """The files of the verifier whose values a file's compiled functions use; their types are not part of the code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {
        name.id for function in functions(tree) for statement in function.body for name in ast.walk(statement)
        if isinstance(name, ast.Name)
    }  # fmt: skip
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("verifier"):
            for name in node.names:
                if name.name in used:
                    found.add(Path(importlib.import_module(node.module or "").__file__ or ""))
    return found


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.stem)
def test_every_file_that_compiled_functions_take_values_from_is_in_the_digest(path: Path) -> None:
    assert taken_from(path) <= set(compiled_jit.SOURCES)


def test_the_reading_of_compiled_functions_sees_the_rounding_terms() -> None:
    """bounds.py takes UNDERFLOW from enclosure.py, and jit.py compiles its gamma."""
    bounds = next(path for path in COMPILED if path.stem == "bounds")
    assert "enclosure" in {path.stem for path in taken_from(bounds)}
    assert compiled_jit.compiled_gamma.py_func.__code__.co_filename in {str(path) for path in compiled_jit.SOURCES}


def test_a_change_of_any_source_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiled_jit.source_digest()
    for index, source in enumerate(compiled_jit.SOURCES):
        changed = tmp_path / source.name
        changed.write_bytes(source.read_bytes() + b"#")
        sources = (*compiled_jit.SOURCES[:index], changed, *compiled_jit.SOURCES[index + 1 :])
        monkeypatch.setattr(compiled_jit, "SOURCES", sources)
        assert compiled_jit.source_digest() != before
        monkeypatch.undo()


@pytest.mark.slow
def test_a_process_with_a_folder_of_its_own_can_bring_what_is_kept_beside_the_sources(tmp_path: Path) -> None:
    """As a sandbox does, which may not write beside the sources."""
    compile_search()

    def ask(how: str) -> list[str]:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-c", ASK, how]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()

    assert ask("not brought") == ["False"]
    assert ask("brought") == ["True", "1", "0"]
