"""What a student may read about a test that failed.

A student's function sees the arguments that a hidden test gives it, and could put them into whatever it returns or
raises. So once a test calls a student's function, only text that stands in the test cell itself is shown. Values of
plain data were all taken before any test ran, and may be shown where the test is not hidden.
"""

import ast
from types import TracebackType

from grading.lab.contract import HIDDEN_BEGIN, HIDDEN_END

MAX_CHARACTERS = 500


def hint(source: str, name: str, error: BaseException, calls_functions: bool) -> str:
    """One line for the student.

    Args:
        source: The test cell.
        name: The file name under which the cell was compiled.
        error: What ended it.
        calls_functions: Whether a function is among the names that the cell takes.
    """
    line, inside = _last_line(error.__traceback__, name)
    hidden = is_hidden(source, line)
    told = _written_message(source, line) if isinstance(error, AssertionError) and inside else None
    if not hidden and not calls_functions:
        return one_line(type(error).__name__, str(error))
    if isinstance(error, AssertionError) and inside:
        return one_line(
            "AssertionError", told or ("a hidden test failed" if hidden else f"see line {line} of the cell")
        )
    where = "a hidden test" if hidden else f"line {line} of the cell"
    return f"{where} raised an exception instead of giving a result"


def is_hidden(source: str, line: int) -> bool:
    """Whether a line stands in a region of hidden tests; a line that is not known counts as hidden."""
    if line < 1:
        return HIDDEN_BEGIN in source
    before = [text.strip() for text in source.splitlines()[:line]]
    return before.count(HIDDEN_BEGIN) > before.count(HIDDEN_END)


def one_line(name: str, text: str) -> str:
    """An exception in one line."""
    first = text.strip().partition("\n")[0][:MAX_CHARACTERS]
    return f"{name}: {first}" if first else name


def _last_line(traceback: TracebackType | None, name: str) -> tuple[int, bool]:
    """The last line of the test cell that was reached, and whether the error was raised there itself."""
    line, inside = 0, False
    while traceback is not None:
        inside = traceback.tb_frame.f_code.co_filename == name
        if inside:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line, inside


def _written_message(source: str, line: int) -> str | None:
    """The message of the assert (or raise AssertionError) at a line as it is written, values left out."""
    found: ast.expr | None = None
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Assert, ast.Raise)) and node.lineno <= line <= (node.end_lineno or node.lineno):
            if isinstance(node, ast.Assert):
                found = node.msg
            elif isinstance(node.exc, ast.Call) and node.exc.args:
                found = node.exc.args[0]
    if isinstance(found, ast.Constant) and isinstance(found.value, str):
        return found.value
    if isinstance(found, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in found.values)
    return None
