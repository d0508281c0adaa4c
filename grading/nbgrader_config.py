"""nbgrader's settings, read by `python -m grading` and by plain `nbgrader` commands run from this folder."""

import os
import sys
from pathlib import Path

from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbgrader.preprocessors import GetGrades

from grading.book.feedback_pages import FitPictures, HideTests
from grading.book.formgrader import EscapeNames, escape_names
from grading.book.nbgrader_autograde import Refuse, replace_autograde
from grading.lab.files import NOT_RELEASED
from grading.run.sanitise import safe_markdown

c = get_config()  # type: ignore[name-defined]  # noqa: F821  traitlets defines it where this file is read

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "gradebook"
BOOK.mkdir(exist_ok=True)

# nbgrader starts alembic by name when it makes the gradebook, also where the environment was not activated
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

# the labs' networks are small: several threads on a busy machine made lab 1 six times slower
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Labs are written in labs/; everything that grading makes stays below gradebook/ and out of git.
c.CourseDirectory.course_id = "nn-verification"
c.CourseDirectory.root = str(ROOT)
c.CourseDirectory.source_directory = "labs"
c.CourseDirectory.source_with_tests_directory = "gradebook/source_with_tests"
c.CourseDirectory.release_directory = "gradebook/release"
c.CourseDirectory.submitted_directory = "gradebook/submitted"
c.CourseDirectory.autograded_directory = "gradebook/autograded"
c.CourseDirectory.feedback_directory = "gradebook/feedback"
c.CourseDirectory.solution_directory = "gradebook/solution"
c.CourseDirectory.db_url = f"sqlite:///{(BOOK / 'gradebook.db').as_posix()}"

# nbgrader copies every other file of a lab's folder to the students: not the text source, which holds the solutions.
c.CourseDirectory.ignore = [*NOT_RELEASED, *(f"{folder.name}.py" for folder in (ROOT / "labs").glob("*"))]

# What a student finds in the place of a solution; run as it is, the cell says what to do.
c.ClearSolutions.code_stub = {
    "python": '# YOUR CODE HERE\nraise NotImplementedError("not done yet: write your code instead of these two lines")'
}

# Without an exchange of the course's own, the assignment list looks for one below /usr/local and complains.
EXCHANGE = BOOK / "exchange"
EXCHANGE.mkdir(exist_ok=True)
c.Exchange.root = str(EXCHANGE)

# nbgrader's own autograde, also from formgrader's button, runs submissions in the sandbox; nothing else runs them.
replace_autograde()
escape_names()
c.Autograde.autograde_preprocessors = [Refuse]

# What a student wrote is looked at by instructors with a gradebook open: Markdown is shown without scripts, and the
# feedback page without hidden tests.
c.HTMLExporter.filters = {"markdown2html": safe_markdown}
c.HTMLExporter.preprocessors = [EscapeNames]
c.GenerateFeedback.preprocessors = [GetGrades, HideTests, CSSHTMLHeaderPreprocessor, FitPictures]
