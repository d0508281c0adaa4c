"""How a notebook shows what went wrong, and what a picture says: the message first, and words beside each image."""

from __future__ import annotations

import linecache
import sys
import traceback
from types import TracebackType
from typing import Any

from matplotlib.figure import Figure

from course_utils.plots.style import described
from course_utils.returned import LastReturn, is_cell

MOST_LINES = 6  # of a notebook's own lines in an error; recursion would fill pages

_last: LastReturn | None = None  # one for the kernel, once a lab has started


def show_errors_briefly() -> None:
    """From now on an error shows its message first, then the lines of the notebook that led there, and no more.

    In a check it also shows what the student's function returned last.

    `%tb` in a cell of its own still shows everything. Outside a notebook nothing changes.
    """
    global _last
    shell = _shell()
    if shell is None:
        return
    shell.set_custom_exc((Exception,), _show)
    if _last is None:  # the first cell may run again
        _last = LastReturn(shell.user_ns)
        shell.events.register("pre_run_cell", _last.begin)
        shell.events.register("post_run_cell", _last.end)


def brief(kind: type[BaseException], error: BaseException, tb: TracebackType | None, came_back: str = "") -> list[str]:
    """The lines of an error as a student reads them; in a check, with what came back last from a student's function."""
    text = str(error).strip() or "no message"
    lines = [f"\033[1m{kind.__name__}\033[0m: {text}"]
    if came_back:
        lines.append(f"  before that, {came_back}")
    own = [
        (frame.f_code.co_name, number, linecache.getline(frame.f_code.co_filename, number).strip())
        for frame, number in traceback.walk_tb(tb)
        if is_cell(frame.f_code.co_filename)
    ]
    for name, number, line in own[-MOST_LINES:]:
        where = "this cell" if name == "<module>" else f"{name}()"
        lines.append(f"  in {where}, line {number}: {line}")
    return [*lines, "  (%tb in a new cell shows every step)"]


def describe_pictures() -> None:
    """From now on a picture carries its description as alternative text, and the same words are printed beside it."""
    shell = _shell()
    if shell is None:
        return
    formatter = shell.display_formatter.formatters["image/png"]
    from IPython.core.pylabtools import print_figure

    def with_words(figure: Figure) -> Any:
        words = described(figure)
        data = print_figure(figure, fmt="png", base64=True)
        if not words:
            return data
        print(f"In words: {words}")
        return data, {"alt": words}

    shell.run_line_magic("matplotlib", "inline")  # else it would set a formatter of its own at the first picture
    formatter.for_type(Figure, with_words)


def _show(shell: Any, kind: type[BaseException], error: BaseException, tb: Any, tb_offset: int | None = None) -> None:
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, tb  # what %tb reads
    shell._showtraceback(kind, error, brief(kind, error, tb, _last.words if _last else ""))


def _shell() -> Any:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell if type(shell).__name__ == "ZMQInteractiveShell" else None
