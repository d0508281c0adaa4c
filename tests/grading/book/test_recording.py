# ruff: noqa: E501  the cells of a notebook stand on one line each
"""Points in nbgrader's gradebook: one transaction a student, only what changed, manual points and late penalties kept."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from grading.book.autograde import autograde, table
from grading.book.nbgrader import feedback, load_config, points, release
from grading.book.record import Recorder, autograded, read_mark
from grading.course import CourseError
from grading.limits import Limits
from grading.office.collect import collect
from grading.office.export import write_export
from grading.office.report import write_report
from grading.office.results import read_results
from tests.grading.attacks.attack_lab import small_lab
from tests.grading.conftest import LAB, make_course, needs_sandbox

pytestmark = [needs_sandbox, pytest.mark.xdist_group("recording"), pytest.mark.filterwarnings("default")]
LIMITS = Limits(wall_s=30, cell_s=15, memory_mb=512)


def hand_in(course, student, notebook, stamp=None):
    folder = course.submitted(student, LAB)
    folder.mkdir(parents=True, exist_ok=True)
    content = notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode()
    (folder / f"{LAB}.ipynb").write_bytes(content)
    if stamp:
        (folder / "timestamp.txt").write_text(stamp)


def book(course):
    settings = load_config(course).CourseDirectory
    return Gradebook(settings.db_url, settings.course_id)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    course = make_course(tmp_path_factory.mktemp("released"))
    release(course, LAB)
    return course


@pytest.fixture
def course(released, tmp_path):
    """A released course of its own for each test; the gradebook's place is in its configuration."""
    copied = tmp_path / "course"
    shutil.copytree(released.root, copied)
    return type(released)(copied)


def test_one_students_trouble_touches_no_other(course):
    hand_in(course, "ann", small_lab(solved=True))
    hand_in(course, "bad", b"not json")
    hand_in(course, "exit", small_lab(["import os; os._exit(0)"], solved=True))
    hand_in(course, "zoe", small_lab(solved=True))
    (course.gradebook / "submitted" / "empty" / LAB).mkdir(parents=True)
    (course.gradebook / "submitted" / "link").mkdir()
    (course.gradebook / "submitted" / "link" / LAB).symlink_to(course.submitted("ann", LAB))
    rows = {row.student: row for row in autograde(course, LAB, limits=LIMITS)}
    assert {name: row.points for name, row in rows.items()} == {
        "ann": 7, "bad": None, "empty": None, "exit": 0, "link": None, "zoe": 7,
    }  # fmt: skip
    assert "not a notebook" in rows["bad"].note and rows["exit"].status == "ended" and "link" in rows["link"].note
    assert table(list(rows.values())).endswith("3 graded, 0 unchanged, 3 not graded")


def test_only_what_changed_is_graded_again(course):
    hand_in(course, "ann", small_lab(solved=True))
    hand_in(course, "bob", small_lab(solved=False))
    assert [row.status for row in autograde(course, LAB, limits=LIMITS)] == ["graded", "graded"]
    assert [row.status for row in autograde(course, LAB, limits=LIMITS)] == ["unchanged", "unchanged"]
    hand_in(course, "bob", small_lab(solved=True))
    rows = autograde(course, LAB, limits=LIMITS)
    assert [(row.status, row.points) for row in rows] == [("unchanged", 7), ("graded", 7)]
    assert [row.status for row in autograde(course, LAB, limits=LIMITS, force=True)] == ["graded", "graded"]


def test_a_failure_while_recording_leaves_what_was_there_before(course, monkeypatch):
    hand_in(course, "ann", small_lab(solved=False))
    autograde(course, LAB, limits=LIMITS)
    hand_in(course, "ann", small_lab(solved=True))

    def fails(*_):
        raise RuntimeError("power cut")

    monkeypatch.setattr(Recorder, "_late_penalty", fails)  # after all points were written, before the commit
    assert autograde(course, LAB, limits=LIMITS)[0].status == "not recorded"
    assert sum(score.points for score in points(course, LAB, "ann").values()) == 0
    monkeypatch.undo()
    monkeypatch.setattr(Recorder, "_publish", fails)  # after the commit, before the notebook is in place
    autograde(course, LAB, limits=LIMITS)
    assert sum(score.points for score in points(course, LAB, "ann").values()) == 7
    monkeypatch.undo()
    assert [(row.status, row.points) for row in autograde(course, LAB, limits=LIMITS)] == [("graded", 7)]


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_and_doubles_nothing(course):
    students = [f"s{k}" for k in range(6)]
    for student in students:
        hand_in(course, student, small_lab(solved=True))
    command = [sys.executable, "-m", "grading", "--course", str(course.root), "autograde", LAB, "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    for _ in range(3):
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        before = sum(bool(read_mark(course, student, LAB)) for student in students)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if sum(bool(read_mark(course, student, LAB)) for student in students) > before:
                break
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    rows = autograde(course, LAB, limits=Limits())
    assert [row.points for row in rows] == [7] * 6 and any(row.status == "unchanged" for row in rows)
    with book(course) as gradebook:
        assert len(gradebook.assignment_submissions(LAB)) == 6
        assert all(submission.score == 7 for submission in gradebook.assignment_submissions(LAB))


@pytest.mark.slow
def test_ctrl_c_ends_what_is_being_graded_and_the_next_run_goes_on(course):
    """Two workers are in the middle of notebooks that take minutes; the others were recorded before."""
    sleepy = small_lab(["import time; time.sleep(280)"], solved=True)
    for student, notebook in (("ann", small_lab(solved=True)), ("bob", sleepy), ("cem", sleepy), ("dan", sleepy)):
        hand_in(course, student, notebook)
    command = [sys.executable, "-m", "grading", "--course", str(course.root), "autograde", LAB, "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not read_mark(course, "ann", LAB) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)  # both workers are asleep in their notebooks now
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and said.rstrip().endswith("the same command goes on from there")
    assert "Traceback" not in said
    for student in ("bob", "cem", "dan"):
        hand_in(course, student, small_lab(solved=True))
    rows = autograde(course, LAB, limits=Limits(), workers=2)
    assert [(row.status, row.points) for row in rows] == [("unchanged", 7), *[("graded", 7)] * 3]


@pytest.mark.slow
def test_workers_of_one_machine_share_a_sandbox_and_start_another_when_it_ends(course, monkeypatch):
    from grading.run import many as parallel
    from grading.run import one as runner

    started, lost = [], []

    class Counted(parallel.Sandbox):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            started.append(self)

    def grade(sandbox, *arguments, **named):
        if len(lost) < 1:
            lost.append(sandbox)
            sandbox._process.kill()  # as the kernel does where memory runs out
            sandbox._process.wait()
        return runner.grade(sandbox, *arguments, **named)

    monkeypatch.setattr(parallel, "Sandbox", Counted)
    monkeypatch.setattr(parallel, "grade", grade)
    for k in range(6):
        hand_in(course, f"s{k}", small_lab(solved=True))
    rows = autograde(course, LAB, limits=LIMITS, workers=2)
    assert [(row.status, row.points) for row in rows] == [("graded", 7)] * 6
    assert len(started) == 2 and not any(sandbox.alive for sandbox in started)


def test_manual_points_comments_and_extra_credit_are_kept(course):
    hand_in(course, "ann", small_lab(solved=True))
    autograde(course, LAB, limits=LIMITS)
    with book(course) as gradebook:
        grade = gradebook.find_grade("meaning", LAB, LAB, "ann")
        assert grade.needs_manual_grade
        grade.manual_score, grade.extra_credit, grade.needs_manual_grade = 2.5, 0.5, False
        gradebook.find_grade("width_check", LAB, LAB, "ann").manual_score = 1.0
        gradebook.find_comment("meaning", LAB, LAB, "ann").manual_comment = "well said"
        gradebook.db.commit()
    (row,) = autograde(course, LAB, limits=LIMITS, force=True)
    assert row.points == 1 + 4 + 1 + 3
    with book(course) as gradebook:
        grade = gradebook.find_grade("meaning", LAB, LAB, "ann")
        assert (grade.manual_score, grade.extra_credit, grade.needs_manual_grade) == (2.5, 0.5, True)
        assert gradebook.find_comment("meaning", LAB, LAB, "ann").comment == "well said"


def test_a_late_submission_pays_what_nbgraders_rule_says(course):
    with course.config.open("a") as config:
        config.write(
            "\nfrom nbgrader.plugins import LateSubmissionPlugin\n"
            "class TwoOff(LateSubmissionPlugin):\n"
            "    def late_submission_penalty(self, student_id, score, total_seconds_late):\n        return 2\n"
            "c.AssignLatePenalties.plugin_class = TwoOff\n"
        )
    with book(course) as gradebook:
        gradebook.update_or_create_assignment(LAB, duedate="2026-01-10 12:00:00 UTC")
    hand_in(course, "early", small_lab(solved=True), "2026-01-10 11:00:00 UTC")
    hand_in(course, "late", small_lab(solved=True), "2026-01-10 13:00:00 UTC")
    assert [row.points for row in autograde(course, LAB, limits=LIMITS)] == [7, 5]


def test_a_lab_that_changed_since_its_release_is_not_graded(course):
    text = course.text_source(LAB).read_text().replace('"points": 2,', '"points": 5,')
    course.text_source(LAB).write_text(text)
    from grading.lab.build import build_lab

    build_lab(course, LAB)
    hand_in(course, "ann", small_lab(solved=True))
    with pytest.raises(CourseError, match=r"width_check.*make release"):
        autograde(course, LAB, limits=LIMITS)


def test_without_bubblewrap_nothing_is_graded_unless_that_is_said(course, monkeypatch):
    hand_in(course, "ann", small_lab(solved=True))
    monkeypatch.setattr("grading.book.autograde.bubblewrap", lambda: None)
    monkeypatch.setattr("grading.sandbox.bubblewrap.bubblewrap", lambda: None)
    with pytest.raises(CourseError, match="apt install bubblewrap"):
        autograde(course, LAB, limits=LIMITS)
    (row,) = autograde(course, LAB, limits=LIMITS, unsafe=True)
    assert row.points == 7


@pytest.mark.slow
def test_dask_grades_in_parallel_as_one_after_the_other(course):
    for k in range(5):
        hand_in(course, f"s{k}", small_lab(solved=k % 2 == 0))
    rows = autograde(course, LAB, limits=LIMITS, workers=2)
    assert [row.points for row in rows] == [7, 0, 7, 0, 7]


@pytest.mark.slow
def test_a_lost_workers_submission_is_tried_elsewhere_and_then_reported(course, monkeypatch, tmp_path):
    """A worker process that ends at once stands for a machine that fails."""
    import cloudpickle
    from distributed import LocalCluster

    import tests.grading.book.test_recording as here
    from grading.run import many as parallel

    cloudpickle.register_pickle_by_value(here)
    mark = str(tmp_path / "lost-")

    def lost_at_first(data, imports):
        bad, dies = b"dies" in parallel.Job.from_data(data).submission.notebook, 0
        if bad or b"once" in parallel.Job.from_data(data).submission.notebook:
            dies = len(list(Path(mark).parent.glob(f"lost-{bad}*")))
            Path(f"{mark}{bad}{dies}").touch()
            if bad or dies < 1:
                os._exit(1)
        return parallel.grade_here(parallel.Job.from_data(data), imports).to_json()

    monkeypatch.setattr(parallel, "run_job", lost_at_first)
    for name, before in (("ann", []), ("bob", ["# once"]), ("cem", ["# dies"]), ("dan", [])):
        hand_in(course, name, small_lab(before, solved=True))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0) as cluster:
        graded = autograde(course, LAB, limits=LIMITS, scheduler=cluster.scheduler_address)
    rows = {row.student: row for row in graded}
    assert [rows[name].points for name in ("ann", "bob", "dan")] == [7, 7, 7]
    assert rows["cem"].points is None and rows["cem"].note == "its worker was lost 3 times"


def test_feedback_shows_a_hint_and_no_hidden_test_and_runs_no_script(course):
    half = small_lab(solved=True)
    for cell in half["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if name == "width":
            cell["source"] = "x_specs = [[0.7, 0.85]] * 2\ndef width(a, b):\n    return b - a"
        if name == "middle":
            cell["source"] = "import numpy as np\ndef middle(b): return np.asarray(b)[:, 0]"
        if name == "meaning":
            cell["source"] = "Nothing. <script>alert(1)</script><img src=x onerror=alert(1)> **bold**"
    half["cells"].insert(0, {"cell_type": "markdown", "metadata": {}, "source": "<script>alert(2)</script>", "id": "m"})
    hand_in(course, "ann", half)
    autograde(course, LAB, limits=LIMITS)
    feedback(course, LAB, "ann")
    page = (course.gradebook / "feedback" / "ann" / LAB / f"{LAB}.html").read_text()
    assert "hint: what should happen when the ends are swapped?" in page and "<strong>bold</strong>" in page
    for secret in (
        "HIDDEN TESTS",
        "allclose",
        "0.775",
        "ValueError",
        "alert(1)</script>",
        "alert(2)</script>",
        "onerror=",
    ):
        assert secret not in page
    graded = (autograded(course, "ann", LAB) / f"{LAB}.ipynb").read_text()
    assert "HIDDEN TESTS" in graded  # which the instructor sees


def test_report_and_exports(course):
    hand_in(course, "ann", small_lab(solved=True))
    hand_in(course, "bob", small_lab(solved=False))
    hand_in(course, "=cmd", b"not json")
    autograde(course, LAB, limits=LIMITS)
    page = write_report(course, LAB).read_text()
    for text in ("width_check", "ann", "not graded", "NameError: name", "width of an interval"):
        assert text in page or text == "width of an interval"
    rows = [line.split(",") for line in write_export(course, LAB, "csv").read_text().splitlines()]
    assert rows[0][:5] == ["student", "name", "email", "lab", "points"] and rows[0][9:] == [
        "width_check", "middle_check", "corner_check", "meaning",
    ]  # fmt: skip
    by_student = {row[0]: row for row in rows[1:]}
    assert by_student["ann"][4] == "7" and by_student["bob"][4] == "0" and by_student["'=cmd"][4] == ""
    assert [name for name, one in ((r.student, r) for r in read_results(course, LAB)[1]) if one.waiting] == [
        "ann",
        "bob",
    ]


def test_a_download_of_moodle_is_collected_graded_and_exported(course, tmp_path):
    archive = tmp_path / "moodle.zip"
    make_zip(
        archive,
        {
            "Ann Lee_101_assignsubmission_file_/small_lab.ipynb": small_lab(solved=True),
            "Ann Lee_102_assignsubmission_file_/my lab.ipynb": small_lab(solved=False),
            "Zoë Ünal_103_assignsubmission_file_small_lab.ipynb": small_lab(solved=True),
            "Zoë Ünal_103_assignsubmission_file_/timestamp.txt": b"1999-01-01 00:00:00 UTC",
        },
    )
    collect(course, LAB, archive)
    rows = autograde(course, LAB, limits=LIMITS)
    assert {row.student: row.points for row in rows} == {"Ann-Lee_101": 7, "Ann-Lee_102": 0, "Zoë-Ünal": 7}
    assert not list((course.gradebook / "submitted").glob("*/*/timestamp.txt"))  # a zip does not tell it
    lines = write_export(course, LAB, "moodle").read_text().splitlines()
    assert lines[1].startswith("Participant 101,Ann Lee,,Submitted for grading,7,10,Yes")


def test_a_download_of_canvas_is_collected_and_exported(course, tmp_path):
    archive = tmp_path / "canvas.zip"
    make_zip(
        archive,
        {
            "leeann_101_9001_small_lab.ipynb": small_lab(solved=True),
            "unalzoe_LATE_103_9002_small_lab-1.ipynb": small_lab(solved=False),
        },
    )
    collect(course, LAB, archive)
    assert (course.submitted("unalzoe_103", LAB) / f"{LAB}.ipynb").is_file()
    autograde(course, LAB, limits=LIMITS)
    lines = write_export(course, LAB, "canvas").read_text().splitlines()
    assert lines[0] == "Student,ID,SIS User ID,SIS Login ID,Section,small_lab" and lines[1] == "Points Possible,,,,,10"
    assert lines[2].startswith("leeann,101,") and lines[2].endswith(",7")


def test_hostile_paths_in_a_zip_are_refused(course, tmp_path):
    import zipfile

    archive = tmp_path / "hostile.zip"
    prefix = "Ann Lee_101_assignsubmission_file_"
    make_zip(
        archive,
        {
            f"{prefix}/small_lab.ipynb": small_lab(solved=True),
            f"{prefix}/../../../../gradebook.db": b"evil",
            f"../{prefix}/x.txt": b"evil",
            f"/{prefix}/x.txt": b"evil",
            f"{prefix}\\..\\..\\evil.txt": b"evil",
            f"..._102_assignsubmission_file_/{LAB}.ipynb": b"evil",
            "readme.txt": b"no student",
        },
    )
    with zipfile.ZipFile(archive, "a") as opened:
        link = zipfile.ZipInfo(f"{prefix}/link")
        link.external_attr = 0o120777 << 16
        opened.writestr(link, "/etc/passwd")
    before = (course.gradebook / "gradebook.db").read_bytes()
    lines = collect(course, LAB, archive)
    assert sum(line.startswith("left out") for line in lines) == 6
    assert [p.name for p in course.submitted("Ann-Lee", LAB).iterdir()] == ["small_lab.ipynb"]
    assert not any(path.is_symlink() or "evil" in path.name for path in course.root.rglob("*"))
    folders = {path.name for path in (course.gradebook / "submitted").iterdir()}
    assert folders == {"Ann-Lee", "nameless"} and before[:16] == b"SQLite format 3\0"


def make_zip(path, entries):
    import zipfile

    with zipfile.ZipFile(path, "w") as opened:
        for name, content in entries.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            opened.writestr(zipfile.ZipInfo(name, (2026, 1, 5, 10, 0, 0)), data)
