"""Driving nbgrader: where it keeps what it makes."""

import pytest

from grading.book.nbgrader import load_config
from grading.course import CourseError


def test_nbgrader_keeps_everything_in_the_gradebooks_folder(course):
    settings = load_config(course).CourseDirectory
    names = ("release", "submitted", "autograded", "feedback")
    assert {settings[f"{name}_directory"] for name in names} == {f"gradebook/{name}" for name in names}
    assert settings.db_url == f"sqlite:///{course.gradebook.as_posix()}/gradebook.db"


def test_a_gradebook_in_its_earlier_place_is_not_passed_over(course):
    (course.config.parent / "gradebook.db").write_bytes(b"")
    with pytest.raises(CourseError, match=r"gradebook\.db belongs in .*gradebook now"):
        load_config(course)
