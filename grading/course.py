"""Where a course keeps its labs and what grading makes of them."""

from dataclasses import dataclass
from pathlib import Path


class CourseError(Exception):
    """A lab, notebook or folder is not where a course keeps it; the message says what was looked for and what to do."""


def shown(text: str) -> str:
    """A text in one line, without what a terminal would obey: for names and messages that others chose."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@dataclass(frozen=True)
class Course:
    """The folders of one course, all below one root.

    Args:
        root: The folder that holds `labs/` and `grading/nbgrader_config.py`.

    Example:
        >>> Course(Path("course")).text_source("lab1_circle").as_posix()
        'course/labs/lab1_circle/lab1_circle.py'
    """

    root: Path

    @classmethod
    def here(cls) -> "Course":
        """The course that this package belongs to."""
        return cls(Path(__file__).resolve().parent.parent)

    @classmethod
    def nearest(cls, folder: Path) -> "Course":
        """The course that a folder belongs to: its own or that of a folder above; else the one of this package."""
        for root in (folder, *folder.parents):
            if cls(root).labs.is_dir() and cls(root).config.is_file():
                return cls(root)
        return cls.here()

    @property
    def labs(self) -> Path:
        """Labs with their solutions and hidden tests: nbgrader's source folder."""
        return self.root / "labs"

    @property
    def gradebook(self) -> Path:
        """nbgrader's folder: everything that grading makes, and nothing else."""
        return self.root / "gradebook"

    @property
    def config(self) -> Path:
        """nbgrader's configuration file."""
        return self.root / "grading" / "nbgrader_config.py"

    @property
    def released(self) -> Path:
        """Labs as students receive them: no solution, no hidden test."""
        return self.gradebook / "release"

    @property
    def work(self) -> Path:
        """A student's own copies."""
        return self.root / "work"

    def submitted(self, student: str, lab: str) -> Path:
        """The folder that holds one student's submission of one lab."""
        return self.gradebook / "submitted" / student / lab

    def text_source(self, lab: str) -> Path:
        """The text that a lab's notebook is built from."""
        return self.labs / lab / f"{lab}.py"

    def source_notebook(self, lab: str) -> Path:
        """The instructor's notebook, with solutions and hidden tests."""
        return self.labs / lab / f"{lab}.ipynb"

    def released_notebook(self, lab: str) -> Path:
        """The students' notebook."""
        return self.released / lab / f"{lab}.ipynb"

    def lab_names(self) -> list[str]:
        """Every lab that has a text source, in alphabetical order."""
        return sorted(folder.name for folder in self.labs.glob("*") if self.text_source(folder.name).is_file())

    def check_lab(self, lab: str) -> str:
        """The name of an existing lab, unchanged.

        Raises:
            CourseError: The course has no lab of that name. The message lists those that it has.
        """
        names = self.lab_names()
        if lab not in names:
            raise CourseError(
                f"lab {lab!r}: {self.text_source(lab)} does not exist; the labs of this course are: "
                f"{', '.join(names) or 'none yet'}"
            )
        return lab
