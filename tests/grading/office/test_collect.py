"""Downloads of two labs: one person is one student, and no time of handing in is made up."""

import io
import json
import shutil
import zipfile

import pytest

from grading.__main__ import main
from grading.book.origin import read_origins
from grading.course import CourseError
from grading.lab.submission import read_submission
from grading.office.collect import collect
from grading.office.roster import import_roster, known_people, read_roster
from tests.grading.attacks.attack_lab import small_lab
from tests.grading.conftest import LAB, make_course

pytestmark = pytest.mark.filterwarnings("default")
NOTEBOOK = json.dumps(small_lab(solved=True)).encode()
SHEET = (
    "Identifier,Full name,Email address,Status,Grade,Maximum Grade,Grade can be changed,Last modified (submission)\n"
    'Participant 501,Ann Lee,ann@x.org,Submitted,,10,Yes,"Friday, 27 November 2026, 10:13 PM"\n'
    "Participant 502,Bob Ray,bob@x.org,No submission,,10,Yes,-\n"
    "Participant 503,Ann Lee,lee@x.org,Submitted,,10,Yes,01/12/26\n"
)


@pytest.fixture(scope="module")
def with_gradebook(tmp_path_factory):
    """Making an empty gradebook takes seconds."""
    course = make_course(tmp_path_factory.mktemp("made"))
    known_people(course)
    return course


@pytest.fixture
def course(with_gradebook, tmp_path):
    shutil.copytree(with_gradebook.root, tmp_path / "course")
    return type(with_gradebook)(tmp_path / "course")


def download(tmp_path, *names, name="download.zip", content=NOTEBOOK):
    path = tmp_path / name
    with zipfile.ZipFile(path, "w") as made:
        for entry in names:
            made.writestr(entry, content)
    return path


def students(course, lab=LAB):
    return sorted(folder.parent.name for folder in (course.gradebook / "submitted").glob(f"*/{lab}"))


def roster(course, tmp_path, text):
    (tmp_path / "roster.csv").write_text(text, encoding="utf-8")
    return import_roster(course, tmp_path / "roster.csv")


def test_moodles_number_and_group_make_no_other_student(course, tmp_path):
    collect(course, "lab_a", download(tmp_path, "Ann Lee_101_assignsubmission_file_/lab.ipynb"))
    collect(course, "lab_b", download(tmp_path, "Group 7-Ann Lee_733_assignsubmission_file_/lab.ipynb"))
    collect(course, "lab_c", download(tmp_path, "Red Foxes-Ann Lee_812_assignsubmission_file_lab.ipynb"))
    assert students(course, "*") == ["Ann-Lee"] * 3
    assert [read_origins(course, f"lab_{one}")["Ann-Lee"].number for one in "abc"] == ["101", "733", "812"]


def test_two_of_one_name_are_told_apart_by_the_worksheets_addresses(course, tmp_path):
    roster(course, tmp_path, "name,email\nAnn Lee,ann@x.org\nAnn Lee,lee@x.org\nBob Ray,bob@x.org\n")
    by_email = {person.email: person.student for person in read_roster(course)}
    one, other, bob = (by_email[f"{name}@x.org"] for name in ("ann", "lee", "bob"))
    (tmp_path / "sheet.csv").write_text(SHEET)
    entries = [f"{who}_assignsubmission_file_/lab.ipynb" for who in ("Ann Lee_501", "Ann Lee_503", "Bob Ray_502")]
    lines = collect(course, LAB, download(tmp_path, *entries), tmp_path / "sheet.csv")
    assert students(course) == sorted([one, other, bob]) and one != other
    assert read_origins(course, LAB)[other].number == "503"
    assert (course.submitted(one, LAB) / "timestamp.txt").read_text() == "2026-11-27 22:13:00 UTC\n"
    assert not (course.submitted(bob, LAB) / "timestamp.txt").exists()
    assert not (course.submitted(other, LAB) / "timestamp.txt").exists()  # 1 December, or 12 January?
    assert any("'01/12/26'" in line for line in lines)


def test_two_of_one_name_without_a_worksheet_stay_apart_and_that_is_said(course, tmp_path):
    roster(course, tmp_path, "name,email\nAnn Lee,ann@x.org\n")
    entries = [f"Ann Lee_{number}_assignsubmission_file_/lab.ipynb" for number in (501, 503)]
    lines = collect(course, LAB, download(tmp_path, *entries))
    assert students(course) == ["Ann-Lee_501", "Ann-Lee_503"]
    assert sum("--worksheet" in line for line in lines) == 2
    assert any(line.startswith("not on the roster: Ann-Lee_501") for line in lines)


def test_canvas_is_collected_by_id_and_its_mark_is_kept(course, tmp_path):
    roster(
        course, tmp_path,
        "Student,ID,SIS User ID,SIS Login ID,Section,Lab 1\n    Points Possible,,,,,10\n"
        '"Doe, Jo",44444,s1,jo@x.org,A,\n"One, Team",22222,s2,t1,A,\n"Student, Test",99,,,A,\n',
    )  # fmt: skip
    names = [
        "team_1_22222_67892_lab.ipynb", "hopper_2_LATE_55555_67895_lab.ipynb", "j_doe_44444_67894_lab.ipynb",
        "LATE_anon_Zk9Qw_67897_lab.ipynb",
    ]  # fmt: skip
    lines = collect(course, LAB, download(tmp_path, *names))
    assert students(course) == ["Jo-Doe", "Team-One", "anon_Zk9Qw", "hopper_2_55555"]
    late = {student: origin.late for student, origin in read_origins(course, LAB).items()}
    assert late == {"Jo-Doe": False, "Team-One": False, "anon_Zk9Qw": True, "hopper_2_55555": True}
    assert not list((course.gradebook / "submitted").rglob("timestamp.txt"))
    assert "not on the roster: anon_Zk9Qw, hopper_2_55555" in lines and not any("left out" in one for one in lines)


def test_a_roster_without_canvas_ids_is_matched_by_how_canvas_writes_names(course, tmp_path):
    roster(course, tmp_path, "student;name;email\nalee;Ann Lee;ann@x.org\nbob;Bob Ray;\n")
    collect(course, LAB, download(tmp_path, "leeann_101_9001_lab.ipynb", "rayb_102_9002_lab.ipynb"))
    assert students(course) == ["alee", "rayb_102"]


def zipped(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name in names:
            made.writestr(name, NOTEBOOK if "._" not in name else b"junk")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("small_lab.ipynb.txt", NOTEBOOK),
        ("small_lab.ipynb.json", NOTEBOOK),
        ("SMALL_LAB.IPYNB", NOTEBOOK),
        ("answers/small_lab.ipynb", NOTEBOOK),
        ("answers/Lab One.IPYNB.txt", NOTEBOOK),
        ("answers.zip", zipped("small_lab.ipynb")),
        ("answers.ZIP", zipped("lab/small_lab.ipynb", "__MACOSX/lab/._small_lab.ipynb")),
    ],
)
def test_a_notebook_under_another_name_is_taken_with_a_note(course, tmp_path, name, content):
    entry = f"Ann Lee_101_assignsubmission_file_/{name}"
    lines = collect(course, LAB, download(tmp_path, entry, content=content))
    submission = read_submission(course.submitted("Ann-Lee", LAB), LAB, set())
    assert submission.notebook == NOTEBOOK and not submission.files
    assert submission.notes or any("taken for" in line or "zip within" in line for line in lines)


def test_a_folder_copied_by_hand_is_looked_through_too(tmp_path):
    folder = tmp_path / "ann" / LAB
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / f"{LAB}.ipynb.txt").write_bytes(NOTEBOOK)
    (folder / "deep" / "data.csv").write_bytes(b"1")
    submission = read_submission(folder, LAB, set())
    assert submission.notebook == NOTEBOOK and [name for name, _ in submission.files] == ["data.csv"]
    assert submission.notes == [f"the notebook is called 'deep/{LAB}.ipynb.txt'"]


def test_where_there_is_no_notebook_the_message_says_what_was_found(tmp_path):
    folder = tmp_path / "ann" / LAB
    folder.mkdir(parents=True)
    with pytest.raises(CourseError, match="the folder is empty"):
        read_submission(folder, LAB, set())
    (folder / "answers.pdf").write_bytes(b"")
    (folder / "lab.py").write_bytes(b"")
    with pytest.raises(CourseError, match=r"found 'answers\.pdf', 'lab\.py'; a submission is"):
        read_submission(folder, LAB, set())


def test_a_worksheet_that_is_none_is_refused(course, tmp_path):
    (tmp_path / "sheet.csv").write_text("a,b\n1,2\n")
    archive = download(tmp_path, "Ann Lee_501_assignsubmission_file_/lab.ipynb")
    with pytest.raises(CourseError, match="no column Identifier"):
        collect(course, LAB, archive, tmp_path / "sheet.csv")


def test_the_commands_of_a_term_say_what_they_did(course, tmp_path, capsys):
    def said(*arguments, status=0):
        assert main(["--course", str(course.root), *map(str, arguments)]) == status
        return "".join(capsys.readouterr())

    (tmp_path / "people.csv").write_text("student,name\nalee,Ann Lee\n")
    assert "1 students in" in said("roster", "import", tmp_path / "people.csv")
    assert said("roster", "list") == "alee  Ann Lee\n"
    archive = download(tmp_path, "Ann Lee_1_assignsubmission_file_/x.ipynb")
    assert "alee: small_lab.ipynb" in said("collect", archive, "--lab", LAB)
    assert "due 2026-12-01T12:00:00+00:00" in said("due", LAB, "2026-12-01T12:00+00:00", "--penalty-per-day", "0.1")
    assert "alee: small_lab is due" in said("extend", "alee", LAB, "2026-12-02T12:00+00:00")
    assert "  alee: 2026-12-02T12:00:00+00:00" in said("due") and "10% per started day" in said("due", LAB)
    assert "nobody is called 'bob'" in said("extend", "bob", LAB, "2026-12-02", status=1)
    assert "no pair shares" in said("equal-work", LAB)
    assert "no lab was graded yet" in said("term", status=1)
    assert "was not graded yet" in said("return-feedback", LAB, "--format", "moodle", status=1)
    assert "next: python -m grading release lab9" in said("new", "lab9")
