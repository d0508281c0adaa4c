"""What Result writes: numbers as text and as data, and the table of a notebook page."""

from __future__ import annotations

import html
import math
from typing import Any

import numpy as np

from verifier.enclosure import Bounds
from verifier.question.inequality import Clause

MOST_ROWS = 20  # of a table
MOST_NUMBERS = 8  # of a point


def bounds_table(bounds: Bounds, clauses: tuple[Clause, ...]) -> str:
    """Show bounds on the first outputs as an HTML table, beside what the spec says of each."""
    count = bounds.lower.size
    limits = _limits(clauses, count)
    rows = "".join(
        f"<tr><td>{i}</td><td>{_number(bounds.lower[i])}</td><td>{_number(bounds.upper[i])}</td>"
        f"<td>{html.escape(limits[i])}</td></tr>"
        for i in range(min(count, MOST_ROWS))
    )
    return "<table><tr><th>output</th><th>lower bound</th><th>upper bound</th><th>spec</th></tr>" + rows + "</table>"


def _limits(clauses: tuple[Clause, ...], outputs: int) -> list[str]:
    """Describe, for each output, what the spec's single inequalities say of it."""
    found: list[list[str]] = [[] for _ in range(outputs)]
    for clause in clauses:
        for inequality in clause:
            used = [i for i, c in enumerate(inequality.coefficients) if c]
            sign = (
                ("> " if inequality.strict else ">= ")
                if used and inequality.coefficients[used[0]] > 0
                else ("< " if inequality.strict else "<= ")
            )
            joint = " (or another)" if len(clause) > 1 else ""
            if inequality.inputs:
                for i in used:
                    found[i].append(f"compared with the input{joint}")
                continue
            if len(used) == 1:
                limit = -inequality.offset / inequality.coefficients[used[0]]
                found[used[0]].append(f"{sign}{limit:.6g}{joint}")
            elif len(used) == 2 and not inequality.offset:
                found[used[0]].append(f"{sign}y{used[1]}{joint}")
    return [", ".join(parts[:4]) + (", ..." if len(parts) > 4 else "") for parts in found]


def plain(values: Any) -> list[float | None]:
    """Numbers as a list that JSON can hold."""
    flat = values.reshape(-1) if hasattr(values, "reshape") else [values]
    return [float(value) if math.isfinite(value) else None for value in flat]


def _number(value: Any) -> str:
    return f"{float(value):.6g}"


def numbers(value: Any) -> str:
    """The first numbers of a point as text."""
    array = value.detach().cpu().double() if hasattr(value, "detach") else value
    flat = np.asarray(array, dtype=np.float64).reshape(-1)
    shown = ", ".join(f"{v:.6g}" for v in flat[:MOST_NUMBERS])
    return f"[{shown}{', ...' if flat.size > MOST_NUMBERS else ''}]"
