"""A submission as it was handed in, which may be anything: read as plain data, and laid beside the instructor's
notebook.

Of what a student's file says, the texts of cells and their grade_ids are used, and nothing else: points, types, locks
and the text of test cells are the instructor's.
"""

import base64
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grading.course import CourseError
from grading.lab.contract import TestCell

MAX_NOTEBOOK_BYTES = 20 * 2**20
MAX_FILES, MAX_FILES_BYTES = 500, 32 * 2**20
MAX_CELLS = 20_000
MISSING = "This cell was missing from the submission; the course added it."
WHERE = "a submission is gradebook/submitted/STUDENT/{lab}/{lab}.ipynb"
LEFT_OUT = {".ipynb_checkpoints", "__pycache__", ".git", "__MACOSX"}
NOTEBOOK = re.compile(r"\.ipynb(\.txt|\.json)?$", re.IGNORECASE)  # browsers add an ending, and some write in capitals
MAX_LOOKED_AT, MAX_COMPARED = 5000, 50  # entries among which a notebook is looked for; notebooks that are compared
FOUND = 5  # names that a message lists


@dataclass(frozen=True)
class GradedCell:
    """A cell of the instructor's notebook that nbgrader knows by a name.

    Args:
        metadata: nbgrader's, as the instructor wrote it.
        cell_type: "code" or "markdown".
        source: Its text, solutions and hidden tests included.
    """

    metadata: dict[str, Any]
    cell_type: str
    source: str

    @property
    def is_test(self) -> bool:
        """Whether it is graded by running it."""
        return self.cell_type == "code" and bool(self.metadata.get("grade")) and not self.metadata.get("solution")

    @property
    def keeps_its_text(self) -> bool:
        """Whether the student's version of it does not count."""
        return self.is_test or (bool(self.metadata.get("locked")) and not self.metadata.get("solution"))


@dataclass(frozen=True)
class Part:
    """A cell of the notebook that is graded.

    Args:
        cell_type: "code", "markdown" or "raw".
        source: Its text.
        name: The grade_id, where the instructor's notebook knows it.
        test: Whether the judge runs it.
        left_out: Whether it need not run: the course's own, and only shows something.
    """

    cell_type: str
    source: str
    name: str | None = None
    test: bool = False
    left_out: bool = False

    @property
    def runs(self) -> bool:
        """Whether it runs among the student's cells."""
        return self.cell_type == "code" and not self.test and not self.left_out


@dataclass
class Submission:
    """What was handed in.

    Args:
        notebook: Content of the notebook.
        files: (path, content as base64) of the other files.
        notes: What was left out or corrected, for the instructor.
    """

    notebook: bytes
    files: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_blueprint(source: Path) -> dict[str, GradedCell]:
    """The cells of an instructor's notebook that nbgrader knows, in order."""
    if not source.is_file():
        raise CourseError(f"{source} does not exist; build the labs first (make build), or correct the path")
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    found = {}
    for cell in cells:
        told = cell["metadata"].get("nbgrader")
        if told and told.get("grade_id"):
            found[told["grade_id"]] = GradedCell(told, cell["cell_type"], cell_text(cell["source"]))
    return found


def read_submission(folder: Path, lab: str, names: set[str]) -> Submission:
    """Read a folder that a student handed in, following no links.

    Args:
        folder: The folder.
        lab: Name of the notebook that belongs in it; if it was renamed, it is recognised by its cells.
        names: The grade_ids of the lab.

    Raises:
        CourseError: There is no notebook, or it is too large.
    """
    if folder.is_symlink() or folder.parent.is_symlink():
        raise CourseError(f"{folder} is a symbolic link; a submission is a folder")
    if not folder.is_dir():
        raise CourseError(f"{folder} does not exist; {WHERE.format(lab=lab)}")
    submission, budget, notebooks = Submission(b""), MAX_FILES_BYTES, []
    every: list[str] = []
    for number, (path, refused) in enumerate(_files(folder)):  # those of the folder itself come first
        name = path.relative_to(folder).as_posix()
        every = [*every[:FOUND], name]
        if NOTEBOOK.search(path.name) and not path.name.startswith("._") and not refused and number < MAX_LOOKED_AT:
            notebooks.append(path)
            if path.parent == folder:
                continue
        if number == MAX_FILES:
            submission.notes.append(f"left out {name!r} and what comes after it: more than {MAX_FILES} files")
        if number >= MAX_FILES:
            if path.parent != folder:
                break
            continue
        if refused:
            submission.notes.append(f"left out {name!r}: {refused}")
            continue
        try:
            content = _read(path, budget)
        except OSError as error:
            submission.notes.append(f"left out {name!r}: it cannot be read ({error.strerror})")
            continue
        if content is None:
            submission.notes.append(f"left out {name!r}: with it the files are larger than {MAX_FILES_BYTES >> 20} MiB")
            continue
        budget -= len(content)
        submission.files.append([name, base64.b64encode(content).decode("ascii")])
    chosen = _choose(notebooks, folder, lab, names)
    if chosen is None:
        found = f"found {', '.join(map(repr, every[:FOUND]))}{' and more' if len(every) > FOUND else ''}"
        found = found if every else "the folder is empty"
        raise CourseError(f"{folder / f'{lab}.ipynb'} does not exist; {found}; {WHERE.format(lab=lab)}")
    if chosen != folder / f"{lab}.ipynb":
        submission.notes.append(f"the notebook is called {chosen.relative_to(folder).as_posix()!r}")
    _move_up(submission, chosen.parent.relative_to(folder).as_posix(), chosen.relative_to(folder).as_posix())
    content = _read(chosen, MAX_NOTEBOOK_BYTES)
    if content is None:
        raise CourseError(
            f"{chosen} is larger than {MAX_NOTEBOOK_BYTES >> 20} MiB; take its outputs away and try again"
        )
    submission.notebook = content
    return submission


def read_cells(notebook: bytes) -> list[tuple[str, str, str | None]]:
    """(type, text, grade_id or None) of a notebook's cells; everything else in it is ignored.

    Raises:
        CourseError: It is not a notebook; the message says why.
    """
    try:
        told = json.loads(notebook.decode("utf-8-sig"))
        if isinstance(told, dict) and isinstance(told.get("worksheets"), list):  # the format of 2013
            told = {"cells": [cell for sheet in told["worksheets"] for cell in sheet.get("cells", [])]}
        cells = told["cells"]
        if not isinstance(cells, list):
            raise TypeError("its cells are not a list")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CourseError(f"it is not a notebook: {type(error).__name__}: {str(error)[:200]}") from None
    if len(cells) > MAX_CELLS:
        raise CourseError(f"it has {len(cells)} cells, of at most {MAX_CELLS}")
    return [_read_cell(cell) for cell in cells]


def lay_out(cells: list[tuple[str, str, str | None]], blueprint: dict[str, GradedCell]) -> list[Part]:
    """The notebook that is graded: the student's cells, with what belongs to the instructor put right.

    Of a graded cell that was copied the last one counts, as in nbgrader; one that is missing stands at the end.
    """
    last = {name: index for index, (_, _, name) in enumerate(cells) if name in blueprint}
    parts = []
    for index, (cell_type, source, name) in enumerate(cells):
        known = blueprint.get(name) if name is not None and last.get(name) == index else None
        copied = blueprint.get(name) if known is None and name is not None else None
        if copied is not None and copied.is_test:
            parts.append(Part("raw", source))  # an earlier copy of a test cell is not run anywhere
        elif known is None:
            parts.append(Part(cell_type, source))
        else:
            parts.append(Part(known.cell_type, known.source if known.keeps_its_text else source, name, known.is_test))
    for name, known in blueprint.items():
        if name not in last:
            comment = MISSING if known.cell_type == "markdown" else f"# {MISSING}"
            parts.append(Part(known.cell_type, known.source if known.keeps_its_text else comment, name, known.is_test))
    return parts


def job_of(parts: list[Part], blueprint: dict[str, GradedCell]) -> list[dict[str, Any]]:
    """What the judge is asked to do: cells to run and tests, in order."""
    job: list[dict[str, Any]] = []
    for part in parts:
        if part.test and part.name is not None:
            test = TestCell(part.name, part.source, float(blueprint[part.name].metadata["points"]))
            job.append({"test": {"grade_id": test.grade_id, "source": test.source, "max_points": test.max_points}})
        elif part.runs:
            job.append({"cell": part.source})
    return job


def _read_cell(cell: Any) -> tuple[str, str, str | None]:
    if not isinstance(cell, dict):
        return "raw", "", None
    kind = cell.get("cell_type")
    kind = kind if kind in ("code", "markdown", "raw") else "raw"
    try:
        source = cell_text(cell.get("source", cell.get("input", "")))
    except TypeError:
        source = ""
    told: Any = cell.get("metadata")
    told = told.get("nbgrader") if isinstance(told, dict) else None
    name = told.get("grade_id") if isinstance(told, dict) else None
    return kind, source, name if isinstance(name, str) else None


def cell_text(source: Any) -> str:
    """A cell's text, with line ends of one kind and no half of a character."""
    text = source if isinstance(source, str) else "".join(source)
    return text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode("utf-8")


def _move_up(submission: Submission, inner: str, chosen: str) -> None:
    """Put files beside the notebook that counts where it will run, and leave that notebook out of them."""
    files = [one for one in submission.files if one[0] != chosen]
    taken = {name for name, _ in files}
    for one in files:
        name = one[0].removeprefix(f"{inner}/")
        if inner != "." and name not in taken:
            one[0] = name
            taken.add(name)
    submission.files[:] = files


def _choose(notebooks: list[Path], folder: Path, lab: str, names: set[str]) -> Path | None:
    """The notebook of the right name; else that of the folder itself, then of those within, which knows most cells."""
    if folder / f"{lab}.ipynb" in notebooks:
        return folder / f"{lab}.ipynb"
    notebooks = [path for path in notebooks if path.parent == folder] or notebooks
    if len(notebooks) < 2:
        return (notebooks or [None])[0]  # type: ignore[list-item]

    def known(path: Path) -> int:
        try:
            content = _read(path, MAX_NOTEBOOK_BYTES)
            return len({name for _, _, name in read_cells(content)} & names) if content else 0
        except (CourseError, OSError):
            return 0

    named = [path for path in notebooks if path.name == f"{lab}.ipynb"]
    return max(sorted(named or notebooks)[:MAX_COMPARED], key=known)


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every entry below a folder, and why it is not to be read, or the empty string."""
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as opened:
                entries = sorted(opened, key=lambda entry: entry.name)
        except OSError as error:
            yield folder, f"it cannot be read ({error.strerror})"
            continue
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry.path), "a symbolic link"
            elif entry.is_dir(follow_symlinks=False):
                if entry.name not in LEFT_OUT:
                    waiting.append(Path(entry.path))
            elif not entry.is_file(follow_symlinks=False):
                yield Path(entry.path), "not a file"
            else:
                yield Path(entry.path), ""


def _read(path: Path, limit: int) -> bytes | None:
    """A regular file's content, or None if it is larger than the limit or is exchanged for something else meanwhile.

    Raises:
        OSError: It cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_size > limit:
            return None
        content = file.read(limit + 1)
    return content if len(content) <= limit else None
