"""The parts of the demo that need no training and no nbgrader."""

import matplotlib as mpl
import pytest

from course_utils.data import circle_network
from grading.course import Course
from grading.demo import LAB, SPECS, draw, grade, verify_specs


def test_demo_prints_a_verdict_for_each_spec_and_replays_a_counterexample(capsys, tmp_path):
    mpl.use("agg")
    net = circle_network()
    counterexamples = verify_specs(net)
    said = capsys.readouterr().out
    assert sum(said.count(name) for name in ("VERIFIED", "FALSIFIED", "UNKNOWN")) == len(SPECS)
    assert counterexamples and "replayed: x = (" in said
    picture = draw(net, counterexamples, tmp_path / "circle.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("lacking", ["", "bubblewrap is missing; add it with: apt install bubblewrap"])
def test_demo_grades_its_own_submissions_without_a_sandbox_and_says_so(lacking, monkeypatch, tmp_path, capsys):
    """Releasing and grading are replaced: here only what the demo asks for and says is looked at."""
    asked = []

    def grade_one(course, lab, student, **options):
        asked.append((student, options))

    def release(course, lab):
        course.released_notebook(lab).parent.mkdir(parents=True)
        course.released_notebook(lab).write_text("{}")

    monkeypatch.setattr("grading.demo.lacking", lambda: lacking)
    monkeypatch.setattr("grading.book.autograde.grade_one", grade_one)
    monkeypatch.setattr("grading.book.nbgrader.release", release)
    monkeypatch.setattr("grading.book.nbgrader.points", lambda *_: {})
    grade(Course.here(), tmp_path / "demo")
    assert asked == [(student, {"unsafe": bool(lacking)}) for student in ("solved", "untouched")]
    said = capsys.readouterr().out
    assert (f"WITHOUT A SANDBOX, since both submissions are the course's own: {lacking}" in said) == bool(lacking)
    assert Course(tmp_path / "demo").submitted("solved", LAB).is_dir()
