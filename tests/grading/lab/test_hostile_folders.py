"""What may stand in a folder that was handed in: nothing there ends the run, waits for ever or is read without end."""

import json
import os
import socket
import stat
import time
from pathlib import Path

import pytest

from grading.book.autograde import Row, table
from grading.book.record import _stamp
from grading.course import CourseError
from grading.lab.submission import MAX_FILES, read_submission
from grading.office.export import NUMBER, harmless
from tests.grading.attacks.attack_lab import blueprint, small_lab


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "submitted" / "ann" / "lab"
    made.mkdir(parents=True)
    (made / "lab.ipynb").write_text(json.dumps(small_lab(solved=True)))
    return made


def read(folder):
    started = time.monotonic()
    submission = read_submission(folder, "lab", set(blueprint()))
    assert time.monotonic() - started < 10
    return submission


def test_folders_within_folders_without_end_are_read(folder):
    at = os.open(folder, os.O_RDONLY)
    for _ in range(1900):
        os.mkdir("d", dir_fd=at)
        at, above = os.open("d", os.O_RDONLY, dir_fd=at), at
        os.close(above)
    os.close(at)
    try:
        assert json.loads(read(folder).notebook) == small_lab(solved=True)
    finally:  # deeper than shutil.rmtree goes
        os.system(f"rm -rf '{folder}'")


def test_a_sparse_file_of_a_terabyte_is_left_out(folder):
    for k in range(100):
        with (folder / f"sparse{k}").open("wb") as file:
            file.truncate(2**40)
    submission = read(folder)
    assert submission.files == [] and len(submission.notes) == 100


def test_a_notebook_of_a_terabyte_is_refused(folder):
    with (folder / "lab.ipynb").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(CourseError, match="larger than 20 MiB"):
        read(folder)


@pytest.mark.parametrize("name", ["lab.ipynb", "data"])
def test_pipes_sockets_and_devices_are_not_opened(folder, name, monkeypatch):
    monkeypatch.chdir(folder)  # a socket's path has at most 107 characters, fewer than some temporary folders
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        if os.geteuid() == 0:
            os.mknod(folder / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        if name == "lab.ipynb":
            with pytest.raises(CourseError, match="does not exist"):
                read(folder)
        else:
            submission = read(folder)
            assert submission.files == [] and {note.rpartition(": ")[2] for note in submission.notes} == {"not a file"}


def test_what_cannot_be_read_is_left_out(folder, monkeypatch):
    """Root reads everything, so what the system would say is said here."""
    (folder / "locked.csv").write_text("1")
    (folder / "locked").mkdir()
    (folder / "open.csv").write_text("2")

    def refusing(function):
        def call(path, *arguments, **named):
            if Path(path).name.startswith("locked"):
                raise PermissionError(13, "Permission denied", path)
            return function(path, *arguments, **named)

        return call

    monkeypatch.setattr("grading.lab.submission.os.open", refusing(os.open))
    monkeypatch.setattr("grading.lab.submission.os.scandir", refusing(os.scandir))
    submission = read(folder)
    assert [name for name, _ in submission.files] == ["open.csv"]
    assert sorted(submission.notes) == [
        "left out 'locked': it cannot be read (Permission denied)",
        "left out 'locked.csv': it cannot be read (Permission denied)",
    ]


def test_the_notebook_is_found_among_any_number_of_files(folder):
    for k in range(MAX_FILES + 100):
        (folder / f"a{k:04}").touch()
    submission = read(folder)
    assert json.loads(submission.notebook) == small_lab(solved=True)
    assert len(submission.files) == MAX_FILES and len(submission.notes) == 1


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"yesterday", b"2026-02-31 00:00:00 UTC", b"9" * 100, b"x" * 2000, b"", b"1 2 99999999999"]
)
def test_a_time_that_is_none_is_not_taken_for_one(tmp_path, content):
    (tmp_path / "timestamp.txt").write_bytes(content)
    assert _stamp(tmp_path / "timestamp.txt") in (None, "9" * 100) and _stamp(tmp_path / "absent") is None


def test_a_time_is_read(tmp_path):
    (tmp_path / "timestamp.txt").write_text("2026-01-10 13:00:00 UTC\n")
    assert _stamp(tmp_path / "timestamp.txt") == "2026-01-10 13:00:00 UTC"


@pytest.mark.parametrize(
    "name",
    ["=1+1", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", " =1", "\t=1", "\r=1", "\n=1", "\uff1d1+1", "%0A=1", "|cmd"],
)
def test_a_name_is_no_formula(name):
    assert harmless(name).startswith("'") and not NUMBER.fullmatch(name)


@pytest.mark.parametrize("cell", ["-0.5", "7", "", "Ann Lee", "zoë@example.org", "1-2"])
def test_what_is_no_formula_stays_as_it_is(cell):
    assert harmless(cell) == cell


def test_a_table_shows_nothing_that_a_terminal_obeys():
    row = Row("ann\x1b[2J\nbob", 1.0, 2.0, "graded", 0.1, "left out '\x07'\r\n")
    lines = table([row]).split("\n")
    assert len(lines) == 3 and all(line.isprintable() for line in lines) and "ann?[2J?bob" in lines[1]
