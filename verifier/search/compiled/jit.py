"""The one file that knows Numba: how a function of the compiled search becomes machine code, and where it is kept.

A sum of products may be contracted to fused multiply-adds, each of which rounds once instead of twice; nothing else of
floating point is relaxed. Sums keep their order, NaN and infinity keep their meaning, so that a bound that overflows
compares as false and settles nothing.
"""

from __future__ import annotations

import hashlib
import inspect
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from verifier.enclosure import gamma
from verifier.errors import missing

try:
    import numba
except ImportError as error:
    raise missing("the compiled search needs Numba, which is not installed", "fast") from error

# every file whose functions and constants become part of the machine code; tests/.../compiled/test_jit.py checks it
SOURCES = (*sorted(Path(__file__).parent.glob("*.py")), Path(inspect.getfile(gamma)))

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}


def compiled(function: F) -> F:
    """Compile a function that other compiled functions call; it is kept as a part of the entry that calls it."""
    return cast(F, numba.njit(**_OPTIONS)(function))


compiled_gamma = compiled(gamma)


def compiled_entry(function: F) -> F:
    """Compile a function that Python calls, and keep its machine code for the next process.

    Numba renews what it kept when the entry's own file has changed, but not when a file that the entry calls has. An
    entry must therefore hold source_digest() as a variable of an enclosing function, which is part of Numba's key.
    Where no folder can be written the code is compiled again in every process.
    """
    try:
        return cast(F, numba.njit(cache=True, **_OPTIONS)(function))
    except RuntimeError:  # Numba found no folder for its cache
        return cast(F, numba.njit(**_OPTIONS)(function))


def source_digest() -> int:
    """A number that changes with any file of the compiled search, and with the rounding terms that it uses."""
    digest = hashlib.sha256()
    for path in SOURCES:
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:7], "big")


def bring_kept(entry: Any) -> None:
    """Copy machine code that is kept beside the sources to this process's own folder for it, if that is another.

    For processes that may not write beside the sources, and name a folder of their own by NUMBA_CACHE_DIR. Numba checks
    what it finds there, as always, by the source's time and size, the processor and the entry's own key.
    """
    beside, folder = Path(__file__).parent / "__pycache__", entry.stats.cache_path
    if folder is None or Path(folder) == beside:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path in beside.glob(f"*{entry.py_func.__name__}*.nb[ci]"):
        shutil.copy2(path, folder)


def is_kept(entry: Any) -> bool:
    """Whether an entry was compiled in this process, or code of these sources seems to be kept by an earlier one."""
    if entry.signatures:
        return True
    newest = max(path.stat().st_mtime for path in SOURCES)
    folder = entry.stats.cache_path
    kept = Path(folder).glob(f"*{entry.py_func.__name__}*.nbc") if folder else []
    return any(path.stat().st_mtime >= newest for path in kept)
