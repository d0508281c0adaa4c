"""Who takes the course, from lists of three kinds."""

import shutil

import pytest

from grading.course import CourseError
from grading.office.roster import Person, import_roster, known_people, read_roster
from tests.grading.conftest import make_course

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def with_gradebook(tmp_path_factory):
    course = make_course(tmp_path_factory.mktemp("made"))
    known_people(course)
    return course


@pytest.fixture
def course(with_gradebook, tmp_path):
    shutil.copytree(with_gradebook.root, tmp_path / "course")
    return type(with_gradebook)(tmp_path / "course")


def imported(course, text, encoding="utf-8"):
    (course.root / "list.csv").write_bytes(text.encode(encoding))
    return import_roster(course, course.root / "list.csv")


def test_lists_of_three_platforms_name_the_same_people(course):
    imported(course, "student,name,email\nalee,Ann Lee,ann@x.org\nbob,Bob Ray,bob@x.org\n")
    imported(
        course,
        "Student,ID,SIS User ID,SIS Login ID,Section\n    Points Possible,,,,\n"
        '"Lee, Ann",101,s1,ann@x.org,A\n"Ray, Bob",102,s2,bray,A\n"Student, Test",99,,,\n',
    )
    imported(
        course,
        "\ufeffFirst name;Surname;Email address\nAnn;Lee;ann@x.org\nBob;Ray;bob@x.org\nZoë;Ünal;z@x.org\n",
    )
    assert {one.student: one for one in read_roster(course)} == {
        "Zoë-Ünal": Person("Zoë-Ünal", "Zoë Ünal", "z@x.org"),
        "alee": Person("alee", "Ann Lee", "ann@x.org", "101", "ann@x.org", "s1", "A"),
        "bob": Person("bob", "Bob Ray", "bob@x.org", "102", "bray", "s2", "A"),
    }
    assert {one.student for one in known_people(course)} == {"alee", "bob", "Zoë-Ünal"}


def test_two_of_one_name_are_two_and_that_is_said(course):
    lines = imported(course, "name,email\nAnn Lee,ann@x.org\nAnn Lee,lee@x.org\n")
    assert [one.student for one in read_roster(course)] == ["Ann-Lee", "Ann-Lee_lee"] and "worksheet" in lines[1]
    imported(course, "name,email\nAnn Lee,lee@x.org\nAnn Lee,ann@x.org\n")
    assert {one.email: one.student for one in read_roster(course)} == {
        "ann@x.org": "Ann-Lee",
        "lee@x.org": "Ann-Lee_lee",
    }


def test_who_left_is_told_and_kept_in_the_gradebook(course):
    imported(course, "name\nAnn Lee\nBob Ray\n")
    assert "kept in the gradebook: Bob-Ray" in imported(course, "name\nAnn Lee\n")[1]
    assert [one.student for one in read_roster(course)] == ["Ann-Lee"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16"])
def test_spreadsheets_encodings_are_read(course, encoding):
    imported(course, "name\temail\nZoë Ünal\tz@x.org\n", encoding)
    assert read_roster(course) == [Person("Zoë-Ünal", "Zoë Ünal", "z@x.org")]


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "names nobody"), ("a,b\n1,2\n", "no column of names; its columns are a, b"), ("name\n", "names nobody")],
)
def test_what_is_no_list_is_refused(course, text, said):
    with pytest.raises(CourseError, match=said):
        imported(course, text)


def test_a_name_is_only_a_name(course):
    imported(course, 'name,email\n"../../<script>",x\n"=1+1",y\n')
    for person in read_roster(course):
        assert "/" not in person.student and "<" not in person.name and not person.student.startswith(".")
