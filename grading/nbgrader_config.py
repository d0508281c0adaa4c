"""nbgrader's settings, read by `python -m grading` and by plain `nbgrader` commands run from this folder."""

import os
import sys
from pathlib import Path

from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute

from grading.execution import EXECUTE

c = get_config()  # type: ignore[name-defined]  # noqa: F821  traitlets defines it where this file is read

GRADING = Path(__file__).resolve().parent

# nbgrader starts alembic by name when it makes the gradebook, also where the environment was not activated
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

# the labs' networks are small: several threads on a busy machine made lab 1 six times slower
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Labs are written in labs/; everything that grading makes stays below grading/ and out of git.
c.CourseDirectory.course_id = "nn-verification"
c.CourseDirectory.root = str(GRADING.parent)
c.CourseDirectory.source_directory = "labs"
c.CourseDirectory.source_with_tests_directory = "grading/source_with_tests"
c.CourseDirectory.release_directory = "grading/release"
c.CourseDirectory.submitted_directory = "grading/submitted"
c.CourseDirectory.autograded_directory = "grading/autograded"
c.CourseDirectory.feedback_directory = "grading/feedback"
c.CourseDirectory.solution_directory = "grading/solution"
c.CourseDirectory.db_url = f"sqlite:///{(GRADING / 'gradebook.db').as_posix()}"

# nbgrader copies every other file of a lab's folder to the students: not the text source, which holds the solutions.
c.CourseDirectory.ignore = ["*.py", "*.pyc", "__pycache__", ".ipynb_checkpoints", ".*", "*~", "feedback", "solution*"]

# Without an exchange of the course's own, the assignment list looks for one below /usr/local and complains.
EXCHANGE = GRADING / "exchange"
EXCHANGE.mkdir(exist_ok=True)
c.Exchange.root = str(EXCHANGE)

# nbgrader's own steps, with the execution of this course in the place of nbgrader's.
c.Autograde.autograde_preprocessors = [
    EXECUTE if step is Execute else step for step in Autograde.class_traits()["autograde_preprocessors"].default()
]
c.Execute.timeout = 300  # seconds a cell; ten times what a whole solved lab takes
# Each kernel would otherwise remark on standard error that it talks over a local port.
c.Execute.extra_arguments = ["--HistoryManager.hist_file=:memory:", "--log-level=ERROR"]
