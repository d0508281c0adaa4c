"""What a function of the notebook returned last while a check ran: a check that fails can then say what came back."""

from __future__ import annotations

import functools
import re
import reprlib
from collections.abc import Callable
from types import FunctionType
from typing import Any

CHECK = "# uses:"  # how the cell of a check begins

LONGEST_TERM = 300  # characters of a Z3 term that is shown as Z3 prints it, which takes a second for a few thousand


class _Short(reprlib.Repr):
    """Cuts what is long, and never asks Z3 to print a large term."""

    def repr_instance(self, x: Any, level: int) -> str:
        """A value of a class that `reprlib` does not know."""
        if type(x).__module__.partition(".")[0] == "z3" and hasattr(x, "sexpr"):
            characters = len(x.sexpr())
            if characters > LONGEST_TERM:
                return f"<Z3 {type(x).__name__} of {characters:,} characters>"
        return super().repr_instance(x, level)


_SHORT = _Short()
_SHORT.maxother = _SHORT.maxstring = 100
_SHORT.maxlevel = 4


class LastReturn:
    """Watches the functions that a notebook's cells define, in check cells only.

    `begin` and `end` are called before and after each cell. In between, the names of a notebook hold functions that do
    the same and note what they return; afterwards they hold what they held.

    Args:
        names: The notebook's names.

    """

    def __init__(self, names: dict[str, Any]) -> None:
        self._last: tuple[str, Any] | None = None  # the function's name, and what it returned
        self._names = names
        self._own: dict[str, tuple[Any, Any]] = {}  # by name: the notebook's function, and the one that watches it

    @property
    def words(self) -> str:
        """What came back last in the check that runs, as "f() returned 3"; empty where nothing did.

        Made only when it is asked for: a check may call a function hundreds of times, and its value may be long.
        """
        if self._last is None:
            return ""
        name, value = self._last
        missing = " (as a function without `return` does)" if value is None else ""
        return f"{name}() returned {_SHORT.repr(value)}{missing}"

    def begin(self, info: Any) -> None:
        """Watch, if this cell is a check; `info.raw_cell` is its text."""
        self.end()
        self._last = None
        if not info.raw_cell.lstrip().startswith(CHECK):
            return
        for name, value in list(self._names.items()):
            if isinstance(value, FunctionType) and is_cell(value.__code__.co_filename):
                self._own[name] = value, self._watched(value)
                self._names[name] = self._own[name][1]

    def end(self, *_: Any) -> None:
        """Give each name back the function that it had, unless the cell has defined it again."""
        for name, (own, watched) in self._own.items():
            if self._names.get(name) is watched:
                self._names[name] = own
        self._own.clear()

    def _watched(self, own: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(own)
        def watched(*args: Any, **kwargs: Any) -> Any:
            value = own(*args, **kwargs)
            self._last = own.__name__, value
            return value

        return watched


def is_cell(filename: str) -> bool:
    """Whether code comes from a notebook's cell: ipykernel's temporary names, or IPython's own."""
    return bool(re.search(r"ipykernel_\d+|<ipython-input|<cell", filename))
