"""A course of one small lab in a temporary folder, so that the grading loop is tested in seconds and touches
nothing."""

import shutil
from pathlib import Path

import pytest

from grading.course import Course
from grading.lab.build import build_lab
from grading.run.many import close_sandboxes
from grading.sandbox.bubblewrap import Sandbox
from tests.grading.notebooks import edit as edit

pytest.register_assert_rewrite("tests.grading.lab_loop")  # it holds tests, which labs' files inherit
needs_sandbox = pytest.mark.needs_sandbox  # tests/conftest.py leaves such a test out where no sandbox works

FIXTURE = Path(__file__).parent / "fixture_lab" / "small_lab.py"
LAB = "small_lab"


def make_course(root: Path) -> Course:
    """The small lab with this project's nbgrader settings, its notebook built."""
    course = Course(root)
    course.text_source(LAB).parent.mkdir(parents=True)
    course.config.parent.mkdir()
    shutil.copy(FIXTURE, course.text_source(LAB))
    shutil.copy(Course.here().config, course.config)
    build_lab(course, LAB)
    return course


@pytest.fixture(scope="module")
def graded_lab(request, tmp_path_factory):
    """What became of the SUBMISSIONS to LAB that the test's file names, graded once for all its tests."""
    from tests.grading.lab_loop import grade_lab

    return grade_lab(tmp_path_factory.mktemp("course"), request.module.LAB, request.module.SUBMISSIONS)


@pytest.fixture
def course(tmp_path):
    """A course with one small lab, not yet released."""
    return make_course(tmp_path)


@pytest.fixture(scope="session")
def sandbox():
    """A zygote with torch in bubblewrap, for all tests of this process."""
    with Sandbox(("numpy", "torch")) as started:
        yield started


@pytest.fixture(scope="session", autouse=True)
def _no_sandbox_stays():
    yield
    close_sandboxes()
