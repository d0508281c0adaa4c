"""A network and properties small enough for paper, as files that need no library to be written."""

from __future__ import annotations

from pathlib import Path

# y_0 = relu(x_0 + x_1), y_1 = relu(x_0 - x_1), on inputs in [-100, 100], without normalisation
NETWORK = """2, 2, 2, 2,
2, 2, 2,
0,
-100.0, -100.0,
100.0, 100.0,
0.0, 0.0, 0.0,
1.0, 1.0, 1.0,
1.0, 1.0,
1.0, -1.0,
0.0,
0.0,
1.0, 0.0,
0.0, 1.0,
0.0,
0.0,
"""

DECLARED = "".join(f"(declare-const {name}_{i} Real)\n" for name in "XY" for i in range(2))
UNIT_BOX = "".join(f"(assert (>= X_{i} 0))\n(assert (<= X_{i} 1))\n" for i in range(2))


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def network(folder: Path) -> Path:
    return write(folder, "pair.nnet", NETWORK)


def above(folder: Path, limit: float, name: str = "p.vnnlib") -> Path:
    """Unsafe is y_0 >= limit on the unit box, where y_0 reaches 2."""
    return write(folder, name, f"{DECLARED}{UNIT_BOX}(assert (>= Y_0 {limit}))\n")
