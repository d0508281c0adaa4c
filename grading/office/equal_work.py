"""Pairs of submissions that share text beyond the release: a table to look at, never a verdict.

Code is read as tokens, with the names that a student chose taken for one another; answers are read as words. Of every
K tokens a fingerprint is taken, and of every W fingerprints in a row the smallest is kept. What stands in the release,
in the instructor's solutions or in most submissions tells nothing and is left out.

Source:
    Schleimer, Wilkerson, Aiken. Winnowing: Local Algorithms for Document Fingerprinting. SIGMOD 2003.
"""

import hashlib
import keyword
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from grading.book.nbgrader import submissions
from grading.course import Course, CourseError, shown
from grading.lab.submission import read_blueprint, read_cells, read_submission

K, W = 12, 6  # shorter runs of tokens are shared by chance; a shared run of K + W - 1 is always found
FEWEST = 3  # shared fingerprints of a pair that is listed
COMMON_SHARE, COMMON_FEWEST = 0.5, 6  # a fingerprint of half of at least so many submissions is the lab's own
MAX_TOKENS = 50_000  # of one submission
TOKEN = re.compile(r"[^\W\d]\w*|\d[\w.]*|[^\w\s]")
# a string's content or a comment is not code
NOT_CODE = re.compile(r"#[^\n]*|'''.*?'''|\"\"\".*?\"\"\"|'[^'\n]*'|\"[^\"\n]*\"", re.DOTALL)
Tokens = list[str]


@dataclass(frozen=True)
class Pair:
    """Two submissions.

    Args:
        one: A student.
        other: Another.
        shared: Fingerprints that both have.
        share: Of the fingerprints of the one that has fewer.
    """

    one: str
    other: str
    shared: int
    share: float


def code_tokens(source: str) -> Tokens:
    """Code as tokens; a name is kept where it is a keyword, is called or stands behind a point."""
    found = TOKEN.findall(NOT_CODE.sub(lambda match: "" if match[0].startswith("#") else " 0 ", source))
    kept = []
    for before, token, after in zip(["", *found], found, [*found[1:], ""], strict=False):
        if token[0].isdigit():
            kept.append("0")
        elif token.isidentifier() and not keyword.iskeyword(token) and before != "." and after != "(":
            kept.append("v")
        else:
            kept.append(token)
    return kept


def fingerprints(tokens: Tokens) -> set[int]:
    """The fingerprints that winnowing keeps."""
    hashes = []
    for start in range(len(tokens) - K + 1):
        digest = hashlib.blake2b("\0".join(tokens[start : start + K]).encode("utf-8", "replace"), digest_size=8)
        hashes.append(int.from_bytes(digest.digest(), "big"))
    return {min(hashes[start : start + W]) for start in range(max(1, len(hashes) - W + 1)) if hashes}


def notebook_fingerprints(cells: Iterable[tuple[str, str, str | None]]) -> set[int]:
    """Fingerprints of each cell of a notebook, together."""
    found: set[int] = set()
    left = MAX_TOKENS
    for kind, source, _ in cells:
        source = source[: 20 * left]
        tokens = (code_tokens(source) if kind == "code" else re.findall(r"\w+", source.casefold()))[:left]
        left -= len(tokens)
        found |= fingerprints(tokens)
    return found


def pairs(works: dict[str, set[int]], known: set[int]) -> list[Pair]:
    """Every pair that shares enough, the largest share first.

    Args:
        works: Fingerprints by student.
        known: Those that tell nothing.
    """
    counts = Counter(one for work in works.values() for one in work)
    limit = COMMON_SHARE * len(works) if len(works) >= COMMON_FEWEST else len(works)
    own = {name: {one for one in work - known if counts[one] <= limit} for name, work in works.items()}
    owners: dict[int, list[str]] = defaultdict(list)
    for name in sorted(own):
        for one in own[name]:
            owners[one].append(name)
    shared = Counter(pair for names in owners.values() for pair in combinations(names, 2))
    found = [
        Pair(one, other, count, count / min(len(own[one]), len(own[other])))
        for (one, other), count in shared.items()
        if count >= FEWEST
    ]
    return sorted(found, key=lambda pair: (-pair.share, -pair.shared, pair.one, pair.other))


def equal_work(course: Course, lab: str) -> tuple[list[Pair], int]:
    """The pairs of a lab, and how many submissions were read; one that cannot be read is left out."""
    source, released = course.source_notebook(lab), course.released_notebook(lab)
    names, known = set(read_blueprint(source)), notebook_fingerprints(read_cells(source.read_bytes()))
    if released.is_file():
        known |= notebook_fingerprints(read_cells(released.read_bytes()))
    works = {}
    for student in submissions(course, lab):
        try:
            submission = read_submission(course.submitted(student, lab), lab, names)
            works[student] = notebook_fingerprints(read_cells(submission.notebook))
        except (CourseError, OSError):
            continue
    return pairs(works, known), len(works)


def write_equal_work(course: Course, lab: str, output: Path | None = None) -> tuple[Path, str]:
    """Write the table to `gradebook/reports/LAB-equal-work.txt`, and give its text."""
    found, read = equal_work(course, lab)
    width = max([7, *(len(shown(name)) for pair in found for name in (pair.one, pair.other))])
    lines = [
        f"{lab}: text that two submissions share beyond the release and the solutions; {read} were read.",
        "Alike is not copied: look at both. Small exercises have few ways to be solved.",
        "",
        f"{'student':<{width}}  {'student':<{width}}  share  shared",
        *(f"{shown(p.one):<{width}}  {shown(p.other):<{width}}  {p.share:>5.0%}  {p.shared:>6}" for p in found),
    ]
    text = "\n".join(lines if found else [*lines[:3], "no pair shares anything to speak of"])
    path = output or course.gradebook / "reports" / f"{lab}-equal-work.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8", errors="replace")
    return path, text
