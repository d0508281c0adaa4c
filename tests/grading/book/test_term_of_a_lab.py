# ruff: noqa: E501  nbgrader's part of a cell stands on one line
"""A lab with a manually graded task, from a change of its due date to a change of its exercises."""

import shutil
import zipfile

import nbformat
import pytest

from grading.book.autograde import autograde
from grading.book.deadlines import extend, set_due
from grading.book.nbgrader import feedback, release
from grading.book.origin import Origin, add_origins
from grading.book.record import autograded, read_mark
from grading.book.rubric import is_rubric
from grading.course import CourseError
from grading.limits import Limits
from grading.office.export import open_matters, write_export
from grading.office.lms_names import Platform
from grading.office.report import write_report
from grading.office.results import read_results
from grading.office.return_feedback import return_feedback, write_comments
from grading.office.roster import import_roster
from grading.office.term import term_table, write_term
from grading.run import many
from tests.grading.attacks.attack_lab import small_lab
from tests.grading.book.test_recording import book, hand_in
from tests.grading.conftest import LAB, make_course, needs_sandbox

pytestmark = [needs_sandbox, pytest.mark.xdist_group("recording"), pytest.mark.filterwarnings("default")]
LIMITS = Limits(wall_s=30, cell_s=15, memory_mb=512)
TASK = '\n# %% [markdown] nbgrader={"grade": false, "grade_id": "essay", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": true}\n# Draw a network and explain it.\n'
MORE = '\n# %% nbgrader={"grade": true, "grade_id": "more_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}\n# uses: width\nassert width(0, 4) == 4, "a hint"\n'


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Ann handed in late; Zoe is on the roster and did not."""
    course = make_course(tmp_path_factory.mktemp("graded"))
    with course.text_source(LAB).open("a") as text:
        text.write(TASK)
    release(course, LAB)
    (course.root / "people.csv").write_text("student,name,email\nann,Ann Lee,ann@x.org\nzoe,Zoe Ray,zoe@x.org\n")
    import_roster(course, course.root / "people.csv")
    hand_in(course, "ann", small_lab(solved=True), "2026-01-10 13:00:00 UTC")
    (row,) = autograde(course, LAB, limits=LIMITS)
    assert (row.points, row.max_points, row.by_hand) == (7, 15, 2)
    return course


@pytest.fixture
def course(graded, tmp_path):
    shutil.copytree(graded.root, tmp_path / "course")
    return type(graded)(tmp_path / "course")


def test_a_task_counts_in_report_exports_and_in_what_waits(course):
    with book(course) as gradebook:
        gradebook.find_grade("essay", LAB, LAB, "ann").manual_score = 5
        gradebook.find_grade("meaning", LAB, LAB, "ann").manual_score = 3
        gradebook.db.commit()
    exercises, results = read_results(course, LAB)
    assert exercises["essay"] == 5 and sum(exercises.values()) == 15
    ann, zoe = results
    assert (ann.points, ann.max_points, ann.cells["essay"]) == (15, 15, 5) and ann.waiting == ("meaning", "essay")
    assert (zoe.points, zoe.handed_in, zoe.status) == (None, False, "not handed in")
    rows = {form: write_export(course, LAB, form).read_text().splitlines() for form in ("csv", "canvas", "moodle")}
    assert rows["csv"][1].startswith("ann,Ann Lee,ann@x.org,small_lab,15,15,") and "essay" in rows["csv"][0]
    assert "zoe,Zoe Ray,zoe@x.org,small_lab,,15,0,not handed in" in rows["csv"][2]
    assert rows["canvas"][1] == "Points Possible,,,,,15" and rows["canvas"][2].endswith(",15")
    assert ",15,15,Yes" in rows["moodle"][1] and "No submission,,15" in rows["moodle"][2]
    page = write_report(course, LAB).read_text()
    assert "essay" in page and "Zoe Ray" in page and "not handed in" in page and "<b>1</b>handed in" in page
    (row,) = autograde(course, LAB, limits=LIMITS)  # what the gradebook has, given by hand since it was graded
    assert (row.status, row.points, row.max_points) == ("unchanged", 15, 15)
    waits, missing = open_matters(results)
    assert waits.startswith("2 answers of 1 students wait") and missing == "not handed in: zoe"


def test_the_rubric_stands_beside_the_answer_and_no_student_sees_it(course):
    answer = "Nothing at all: a verified box is silent"
    cells = nbformat.read(autograded(course, "ann", LAB) / f"{LAB}.ipynb", as_version=4).cells
    names = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in cells]
    beside = cells[names.index("meaning") + 1]
    assert answer in beside.source and "BEGIN SOLUTION" not in beside.source
    assert sum(is_rubric(cell) for cell in cells) == 1  # not beside what a test grades
    hand_in(course, "bob", small_lab(solved=False))
    autograde(course, LAB, ["bob"], limits=LIMITS)
    feedback(course, LAB, "bob")
    page = (course.gradebook / "feedback" / "bob" / LAB / f"{LAB}.html").read_text()
    assert "silent" not in page and "the one who grades" not in page and "essay" in page


@pytest.mark.parametrize(
    ("platform", "folder", "name"),
    [
        (
            "moodle",
            "Group 1-Ann Lee_501_assignsubmission_file_",
            "Group 1-Ann Lee_501_assignsubmission_file_/small_lab.html",
        ),
        ("canvas", "leeann_LATE_101_9001_", "leeann_LATE_101_9001_small_lab.html"),
    ],
)
def test_feedback_goes_back_under_the_names_of_the_download(course, platform, folder, name):
    add_origins(course, LAB, {"ann": Origin(platform, "501", folder)})
    with pytest.raises(CourseError, match="ann: left out, since there is no page"):
        return_feedback(course, LAB, Platform(platform))
    feedback(course, LAB, "ann")
    path, lines = return_feedback(course, LAB, Platform(platform))
    with zipfile.ZipFile(path) as made:
        assert made.namelist() == [name] and b"<html" in made.read(name)
    assert lines == []
    assert "width_check: 2 of 2" in write_comments(course, LAB).read_text()


def test_the_term_shows_every_lab_and_totals(course):
    lines = term_table(course).splitlines()
    assert (
        lines[1].split() == ["ann", "7*", "7"]
        and lines[2].split() == ["zoe", "-", "0"]
        and lines[3].split() == ["of", "15", "15"]
    )
    assert write_term(course).read_text().splitlines()[1] == "ann,Ann Lee,7,7,15,2"


def test_a_due_date_and_an_extension_charge_again_without_running(course, monkeypatch):
    monkeypatch.setattr(many, "grade_here", lambda *_: pytest.fail("a notebook was run"))
    set_due(course, LAB, "2026-01-10 12:00:00 UTC", penalty_per_day=0.5)
    (row,) = autograde(course, LAB, limits=LIMITS)
    assert (row.status, row.points) == ("rescored", 3.5)
    (row,) = autograde(course, LAB, limits=LIMITS)
    assert (row.status, row.points) == ("unchanged", 3.5)
    extend(course, "ann", LAB, "2026-01-11 12:00:00 UTC")
    (row,) = autograde(course, LAB, limits=LIMITS)
    assert (row.status, row.points) == ("rescored", 7)
    (course.submitted("ann", LAB) / "timestamp.txt").write_text("2026-01-11 13:00:00 UTC")
    (row,) = autograde(course, LAB, limits=LIMITS)
    assert (row.status, row.points) == ("rescored", 3.5) and read_mark(course, "ann", LAB)["late_s"] == 3600
    (course.submitted("ann", LAB) / "timestamp.txt").unlink()
    (row,) = autograde(course, LAB, limits=LIMITS)
    assert (row.status, row.points) == ("rescored", 7)  # the time is not known now


def test_a_changed_text_is_noticed_before_it_is_released(course):
    with course.text_source(LAB).open("a") as text:
        text.write("\n# %% [markdown]\n# One word more.\n")
    with pytest.raises(CourseError, match=r"small_lab\.py has changed since .* make release"):
        autograde(course, LAB, limits=LIMITS)


def test_exercises_can_change_after_hand_ins_when_that_is_said(course):
    text = course.text_source(LAB).read_text()
    course.text_source(LAB).write_text(text.replace(TASK, "") + MORE)
    with pytest.raises(CourseError, match=r"added: more_check; removed: essay.*--change-exercises"):
        release(course, LAB)
    release(course, LAB, change_exercises=True)
    (row,) = autograde(course, LAB, limits=LIMITS)
    assert (row.status, row.points, row.max_points, row.by_hand) == ("graded", 11, 14, 1)
    exercises, results = read_results(course, LAB)
    assert "essay" not in exercises and results[0].cells["more_check"] == 4
    release(course, LAB)
