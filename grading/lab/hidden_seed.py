"""Other numbers in the hidden tests for each term: a seed that is mixed into every seed that hidden tests draw from.

The seed stands in `gradebook/hidden_seed.txt`, out of git, and is 0 unless set: then tests are as they are written. A
hidden test that writes `np.random.RandomState(3)`, `np.random.default_rng(3)`, `random.Random(3)` or
`torch.Generator().manual_seed(3)` draws from another seed in each term. The visible part stays as students see it.
"""

import hashlib
import re
from contextlib import suppress
from dataclasses import replace

from grading.course import Course, CourseError
from grading.lab.contract import HIDDEN_BEGIN, HIDDEN_END
from grading.lab.submission import GradedCell, read_blueprint

DRAWS = re.compile(r"\b((?:RandomState|default_rng|manual_seed|Random)\()\s*(\d+)\s*\)")
LARGEST = 2**32 - 1  # NumPy's RandomState takes no more


def read_seed(course: Course) -> int:
    """The seed of the term; 0 where none is set.

    Raises:
        CourseError: The file holds something else than a whole number.
    """
    path = course.gradebook / "hidden_seed.txt"
    text = "0"
    with suppress(FileNotFoundError):
        text = path.read_text(encoding="utf-8").strip()
    if not (text.isascii() and text.isdigit()):
        raise CourseError(
            f"{path}: found {text[:20]!r}, expected a whole number; `python -m grading seed NUMBER` sets it"
        )
    return int(text)


def write_seed(course: Course, seed: int) -> None:
    """Set the seed of the term; 0 takes it back.

    Raises:
        CourseError: It is below 0.
    """
    if seed < 0:
        raise CourseError(f"the seed is a whole number of at least 0, found {seed}")
    course.gradebook.mkdir(exist_ok=True)
    (course.gradebook / "hidden_seed.txt").write_text(f"{seed}\n", encoding="utf-8")


def term_blueprint(course: Course, lab: str) -> dict[str, GradedCell]:
    """The cells of an instructor's notebook that nbgrader knows, their hidden tests with the term's seed.

    Raises:
        CourseError: The notebook is missing, or the seed is not a number.
    """
    seed, cells = read_seed(course), read_blueprint(course.source_notebook(lab))
    return {name: replace(cell, source=with_seed(cell.source, seed)) for name, cell in cells.items()}


def with_seed(source: str, seed: int) -> str:
    """A test cell whose hidden tests draw other numbers; the cell as it is for 0.

    Example:
        >>> cell = "f(RandomState(3))\\n### BEGIN HIDDEN TESTS\\nf(RandomState(3))\\n### END HIDDEN TESTS"
        >>> [line for line in with_seed(cell, 7).splitlines() if line != "f(RandomState(3))"][1]
        'f(RandomState(1698595815))'
    """
    lines, hidden = [], False
    for line in source.split("\n") if seed else [source]:
        hidden = (hidden or line.strip() == HIDDEN_BEGIN) and line.strip() != HIDDEN_END
        lines.append(DRAWS.sub(lambda found: f"{found[1]}{_mixed(int(found[2]), seed)})", line) if hidden else line)
    return "\n".join(lines)


def _mixed(number: int, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big") % LARGEST
