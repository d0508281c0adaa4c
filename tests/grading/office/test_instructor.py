"""What an instructor relies on, whatever was handed in: answers left open for want of time are marked, pages and tables
come out for folders of any name."""

import os
import shutil

import pytest

from grading.book.autograde import autograde, table
from grading.book.nbgrader import feedback, release
from grading.course import CourseError
from grading.inside.test_cell import judge_cell
from grading.lab.contract import TestCell
from grading.limits import Limits
from grading.office.export import write_export
from grading.office.report import write_report
from tests.grading.attacks.attack_lab import small_lab
from tests.grading.book.test_recording import book, hand_in
from tests.grading.conftest import LAB, make_course, needs_sandbox

pytestmark = [needs_sandbox, pytest.mark.xdist_group("recording"), pytest.mark.filterwarnings("default")]
LIMITS = Limits(wall_s=30, cell_s=15, memory_mb=512)
LOOP = """
def width(a, b):
    while True:
        try:
            while True: sum(range(9))
        except BaseException: pass
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    made = make_course(tmp_path_factory.mktemp("released"))
    release(made, LAB)
    return made


@pytest.fixture
def course(released, tmp_path):
    shutil.copytree(released.root, tmp_path / "course")
    return type(released)(tmp_path / "course")


def test_an_answer_that_time_left_open_is_marked():
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(6, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)
    )
    asks = "# uses: net\nfrom verifier import verify\nassert verify(net, [[-9.0, 9.0]] * 6, [[-0.9, None]], {}), 'hint'"
    late = judge_cell(TestCell("t", asks.format("timeout_s=1e-6"), 1.0), {"net": net})
    assert late.points == 0 and late.out_of_time
    wrong = judge_cell(TestCell("t", asks.format("timeout_s=None, max_subdomains=1"), 1.0), {"net": net})
    assert wrong.points == 0 and not wrong.out_of_time


def test_what_was_not_judged_for_want_of_time_waits_for_the_instructor(course):
    notebook = small_lab(solved=True)
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "width":
            cell["source"] = f"x_specs = [[0.7, 0.85]] * 2\n{LOOP}"
    hand_in(course, "ann", notebook)
    (row,) = autograde(course, LAB, limits=Limits(wall_s=20, cell_s=2))
    assert row.points == 5 and "look at width_check" in row.note
    with book(course) as gradebook:
        grade = gradebook.find_grade("width_check", LAB, LAB, "ann")
        assert grade.needs_manual_grade and grade.auto_score == 0
        assert not gradebook.find_grade("corner_check", LAB, LAB, "ann").needs_manual_grade
    assert "not enough time for width_check" in write_report(course, LAB).read_text()


NAMES = (
    "mallory\"><script>alert(1)<script>", "two\nlines", "-rf", " spaces ", "%2e%2e", "=1+1", "ß數", "$HOME;id",
)  # fmt: skip


def test_a_folders_name_is_only_a_name(course):
    students = [*NAMES, os.fsdecode(b"no\xfftext")]
    for student in students:
        hand_in(course, student, small_lab(solved=True))
    rows = {row.student: row for row in autograde(course, LAB, limits=LIMITS)}
    assert {name: row.points for name, row in rows.items()} == {name: None if "no" in name else 7 for name in students}
    assert len(table(list(rows.values())).split("\n")) == len(students) + 2
    page = write_report(course, LAB).read_text()
    assert "<script>" not in page and "two\nlines" in page
    for form in ("csv", "canvas", "moodle"):
        assert "'=1+1" in write_export(course, LAB, form).read_text()
    feedback(course, LAB, NAMES[0])
    assert (course.gradebook / "feedback" / NAMES[0] / LAB / f"{LAB}.html").is_file()


def test_a_time_that_is_none_costs_nothing(course):
    hand_in(course, "ann", small_lab(solved=True), "the day before yesterday")
    (course.submitted("bob", LAB) / "timestamp.txt").mkdir(parents=True)
    hand_in(course, "bob", small_lab(solved=True))
    assert [row.points for row in autograde(course, LAB, limits=LIMITS)] == [7, 7]


def test_a_submission_that_waits_for_ever_to_be_read_does_not(course):
    hand_in(course, "ann", small_lab(solved=True))
    os.mkfifo(course.submitted("ann", LAB) / "pipe")
    (course.submitted("bob", LAB)).mkdir(parents=True)
    os.mkfifo(course.submitted("bob", LAB) / f"{LAB}.ipynb")
    rows = {row.student: row for row in autograde(course, LAB, limits=LIMITS)}
    assert rows["ann"].points == 7 and "'pipe': not a file" in rows["ann"].note and rows["bob"].points is None


def test_the_report_says_where_the_reason_is_that_nothing_was_graded(course):
    hand_in(course, "ann", b"no notebook")
    autograde(course, LAB, limits=LIMITS)
    assert f"python -m grading autograde {LAB}" in write_report(course, LAB).read_text()


def test_a_lab_that_was_never_graded_has_no_report(tmp_path):
    with pytest.raises(CourseError, match="was not graded yet"):
        write_report(make_course(tmp_path), LAB)
