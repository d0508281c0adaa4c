"""The doctor of grading names what is missing; a sandbox is missed only where others' work is to be graded."""

import pytest

from grading.__main__ import main
from grading.office.doctor import main as doctor
from tests.grading.conftest import needs_sandbox


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("grading.office.doctor.trouble", lambda: "bubblewrap is missing", "WRONG  sandbox"),
        ("grading.office.doctor.shutil.which", lambda _: None, "WRONG  alembic"),
        ("grading.office.doctor.importlib.util.find_spec", lambda _: None, "WRONG  nbgrader"),
        ("grading.office.doctor.os.access", lambda *_: False, "WRONG  course"),
    ],
)
def test_the_doctor_names_what_is_missing(course, monkeypatch, capsys, name, value, said):
    monkeypatch.setattr(name, value)
    assert doctor(course) == 1
    assert said in capsys.readouterr().out


@needs_sandbox
def test_the_doctor_finds_a_sound_course_sound(course, capsys):
    assert main(["--course", str(course.root), "doctor"]) == 0, capsys.readouterr().out  # it finds the programs, too


def test_who_never_grades_is_told_of_a_missing_sandbox_and_has_all_that_it_takes(course, monkeypatch, capsys):
    monkeypatch.setattr("grading.sandbox.bubblewrap.bubblewrap", lambda: None)
    command = ["--course", str(course.root), "doctor"]
    assert main([*command, "--without-sandbox"]) == 0
    left_out, *findings = capsys.readouterr().out.splitlines()
    assert left_out.startswith("LEFT OUT") and "apt install bubblewrap" in left_out
    assert findings and all(line.startswith("ok ") for line in findings)
    assert main(command) == 1
    assert "WRONG  sandbox" in capsys.readouterr().out


def test_what_else_is_missing_is_wrong_without_a_sandbox_too(course, monkeypatch):
    monkeypatch.setattr("grading.office.doctor.shutil.which", lambda _: None)
    monkeypatch.setattr("grading.office.doctor.lacking", lambda: "bubblewrap is missing")
    assert doctor(course, sandbox=False) == 1
