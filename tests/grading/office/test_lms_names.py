"""Whose an entry of a download is."""

import pytest

from grading.office.lms_names import Platform, alike, read_names, without_group

# as Canvas names them, with the person and the id that are meant
CANVAS = {
    "team_1_22222_67892_lab.ipynb": ("team_1", "22222", "lab.ipynb", False),
    "hopper_2_LATE_55555_67895_lab.ipynb": ("hopper_2", "55555", "lab.ipynb", True),
    "j_doe_44444_67894_lab.ipynb": ("j_doe", "44444", "lab.ipynb", False),
    "LATE_anon_Zk9Qw_67897_lab.ipynb": ("anon", "Zk9Qw", "lab.ipynb", True),
    "anon_ab3De_67898_lab-2.ipynb": ("anon", "ab3De", "lab-2.ipynb", False),
    "anon_12345_67898_lab.ipynb": ("anon", "12345", "lab.ipynb", False),
    "leeann_101_9001_lab.ipynb": ("leeann", "101", "lab.ipynb", False),
    "leeann_101_9001_102_9002_lab.ipynb": ("leeann", "101", "102_9002_lab.ipynb", False),
    "leeann_101_9001_2_answers.ipynb": ("leeann", "101", "2_answers.ipynb", False),
    "leeann_LATE_101_9001_102_9002_lab.ipynb": ("leeann", "101", "102_9002_lab.ipynb", True),
    "leeann_101_9001_rayb_LATE_102_9002_lab.ipynb": ("leeann", "101", "rayb_LATE_102_9002_lab.ipynb", False),
    "doe_44444_67894_20261127_lab.ipynb": ("doe", "44444", "20261127_lab.ipynb", False),
    "a_b_c_2_33333_77777_x_1.ipynb": ("a_b_c_2", "33333", "x_1.ipynb", False),
}


@pytest.mark.parametrize("name", CANVAS)
def test_canvas_names_by_themselves(name):
    owner = read_names([name])[name]
    assert owner.platform is Platform.CANVAS
    assert (owner.name, owner.number, owner.rest, owner.late) == CANVAS[name]


def test_a_known_id_decides_between_two_readings():
    name = "team_12345_67890_99999_lab.ipynb"
    assert read_names([name], known={"12345"})[name].number == "12345"
    owner = read_names([name], known={"67890"})[name]
    assert (owner.name, owner.number, owner.rest) == ("team_12345", "67890", "lab.ipynb")


def test_other_entries_decide_between_two_readings():
    name, other = "team_101_22222_67892_lab.ipynb", "doe_44444_67894_lab.ipynb"
    assert read_names([name, other])[name].name == "team_101"
    name, other = "lee_22_1111111_2222222_lab.ipynb", "doe_23_4444444_lab.ipynb"
    assert read_names([name, other])[name].number == "22"


def test_moodle_names():
    name = "Group 1-Ann Lee_1234567_assignsubmission_file_/sub/lab.ipynb"
    owner = read_names([name])[name]
    assert (owner.name, owner.number, owner.rest) == ("Group 1-Ann Lee", "1234567", "sub/lab.ipynb")
    assert owner.folder == "Group 1-Ann Lee_1234567_assignsubmission_file_" and owner.late is None
    flat = "Ann Lee_1234567_assignsubmission_file_lab.ipynb"
    assert read_names([flat])[flat].rest == "lab.ipynb" and "readme.txt" not in read_names(["readme.txt"])


@pytest.mark.parametrize(
    ("name", "known", "person"),
    [
        ("Group 1-Ann Lee", (), "Ann Lee"),
        ("Team Red-Ann-Marie Lee", (), "Ann-Marie Lee"),
        ("Default group-Ann Lee", (), "Ann Lee"),
        ("Ann-Marie Lee", (), "Ann-Marie Lee"),
        ("Red Foxes-Ann Lee", ("Ann Lee",), "Ann Lee"),
        ("Red-Foxes-Ann-Marie Lee", ("Ann-Marie Lee",), "Ann-Marie Lee"),
        ("Red Foxes_Zoë Ünal", ("Zoe Unal",), "Zoë Ünal"),
        ("Maria Garcia-Lopez Diaz", (), "Maria Garcia-Lopez Diaz"),
    ],
)
def test_a_groups_name_stands_before_a_persons(name, known, person):
    assert without_group(name, {alike(one) for one in known}) == person


def test_names_are_alike_in_other_order_and_without_accents():
    assert alike("Ünal, Zoë") == alike("Zoe UNAL") != alike("Zoe Lee")
