"""A lab on its way to students: written, checked, judged once, released with its files, graded with them."""

import json

import pytest

from grading.__main__ import main
from grading.book.autograde import autograde
from grading.book.nbgrader import release
from grading.course import CourseError
from grading.lab.files import lab_files
from grading.lab.new import write_new_lab
from grading.limits import Limits
from grading.office import authoring
from grading.office.authoring import check_contract, check_own_notebook
from tests.grading.conftest import make_course, needs_sandbox

pytestmark = [pytest.mark.xdist_group("recording"), pytest.mark.filterwarnings("default")]
LIMITS = Limits(wall_s=30, cell_s=15, memory_mb=512)
NEW = "lab9_widths"


@pytest.fixture
def course(tmp_path):
    made = make_course(tmp_path)
    write_new_lab(made, NEW)
    return made


def edit(course, old, new):
    path = course.text_source(NEW)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@needs_sandbox
def test_a_new_lab_with_files_of_its_own_passes_all_checks_and_is_graded(course, capsys):
    edit(course, "    return upper - lower\n", "    import ruler\n\n    return ruler.between(lower, upper)\n")
    edit(
        course, "# uses: width\n", "# uses: width\nimport ruler\n\nassert ruler.ONE == float(open('one.txt').read())\n"
    )
    (course.labs / NEW / "ruler.py").write_text("ONE = 1.0\ndef between(a, b):\n    return b - a\n")
    (course.labs / NEW / "one.txt").write_text("1.0")
    (course.labs / NEW / "solution_sketch.txt").write_text("secret")
    said = []
    check_contract(course, NEW)
    check_own_notebook(course, NEW, LIMITS, told=said.append)
    check_own_notebook(course, NEW, LIMITS, told=said.append)
    assert len(said) == 1 and "once for each change" in said[0]
    release(course, NEW)
    files = {path.name for path in (course.released / NEW).iterdir()}
    assert files == {f"{NEW}.ipynb", "ruler.py", "one.txt"}
    folder = course.submitted("ann", NEW)
    folder.mkdir(parents=True)
    (folder / f"{NEW}.ipynb").write_bytes(course.source_notebook(NEW).read_bytes())
    (folder / "ruler.py").write_text("ONE = 1.0\ndef between(a, b):\n    raise SystemExit\n")  # the lab's own counts
    (row,) = autograde(course, NEW, limits=LIMITS)
    assert (row.points, row.max_points, row.by_hand) == (2, 4, 1)
    capsys.readouterr()
    assert main(["--course", str(course.root), "judge", "--lab", NEW, "--json", str(folder / f"{NEW}.ipynb")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["points"], told["max_points"], told["status"]) == (2, 2, "graded")
    assert told["tests"] == [{"name": "width_check", "points": 2, "max_points": 2, "message": ""}]


@needs_sandbox
def test_solutions_that_do_not_earn_every_point_are_told_by_cell(course):
    edit(course, "return upper - lower", "return upper - lower + 1")
    check_contract(course, NEW)
    with pytest.raises(CourseError, match=r"not released.*\nwidth_check: 0 of 2 points"):
        check_own_notebook(course, NEW, LIMITS, told=lambda _: None)


def test_a_test_cell_that_breaks_the_contract_is_told_by_cell(course):
    edit(course, "# uses: width\n", "# uses: width\nassert upper_limit > 3\n")
    with pytest.raises(CourseError, match=r"width_check: uses upper_limit, which its first line does not name"):
        check_contract(course, NEW)


def test_without_a_sandbox_the_notebook_is_not_judged_and_that_is_said(course, monkeypatch):
    monkeypatch.setattr(authoring, "trouble", lambda: "bubblewrap is missing")
    said = []
    check_contract(course, NEW)
    check_own_notebook(course, NEW, told=said.append)
    assert said == [f"{NEW}: the notebook with its solutions was not judged: bubblewrap is missing"]


def test_a_new_lab_takes_no_others_place(course):
    with pytest.raises(CourseError, match="exists already"):
        write_new_lab(course, NEW)
    with pytest.raises(CourseError, match="cannot name a lab"):
        write_new_lab(course, "../lab")


def test_the_text_source_is_not_among_a_labs_files(course):
    assert lab_files(course, NEW) == []
