"""A download of all submissions: whatever one student put into it, the others' are unpacked, each to its own folder."""

import io
import time
import zipfile

import pytest

from grading.lab.submission import MAX_FILES
from grading.office.collect import _sort, _unpack

LAB = "lab"
ANN, BOB = "Ann Lee_101_assignsubmission_file_/", "Bob Ray_102_assignsubmission_file_/"


def unpacked(tmp_path, entries):
    """Files that come of entries, (name or ZipInfo, bytes) pairs, by student; and what was said."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in [*entries, (f"{BOB}lab.ipynb", b"{}")]:
            made.writestr(name, content)
    lines: list[str] = []
    with zipfile.ZipFile(stream) as opened:
        for student, handed in sorted(_sort(opened, lines).items()):
            _unpack(opened, handed, tmp_path / student / LAB, LAB, lines)
    files = {
        folder.name: sorted(
            path.relative_to(folder / LAB).as_posix() for path in (folder / LAB).rglob("*") if path.is_file()
        )
        for folder in tmp_path.iterdir()
    }
    assert files["Bob-Ray"] == ["lab.ipynb"]
    return files, lines


def dated(name, *date):
    return zipfile.ZipInfo(name, date)


HOSTILE = {
    "a thousand folders": [(ANN + "a/" * 1000 + "x", b"")],
    "a name as long as a zip allows": [(ANN + "x" * 60_000 + ".csv", b"")],
    "a long name of wide letters": [(ANN + "数" * 120 + ".ipynb", b"{}")],
    "a file and a folder of one name": [(ANN + "x", b""), (ANN + "x/y", b"")],
    "a folder and a file of one name": [(ANN + "x/y", b""), (ANN + "x", b"")],
    "one name twice": [(ANN + "a b.csv", b"1"), (ANN + "a-b.csv", b"2")],
    "names that differ in upper case": [(ANN + "a.csv", b"1"), (ANN + "A.CSV", b"2"), (ANN + "LAB.ipynb", b"{}")],
    "no name": [(ANN + "...", b""), (ANN + "./.", b"")],
    "letters that a terminal obeys": [(ANN + "\x1b[2J\r\n.csv", b"")],
    "names of devices": [(ANN + "CON", b""), (ANN + "lab.ipynb:stream", b"")],
    "a date that is none": [(dated(ANN + "lab.ipynb", 2026, 2, 31, 25, 61, 0), b"{}")],
    "many files": [(f"{ANN}{k}", b"") for k in range(MAX_FILES + 50)],
    "a zip bomb": [(f"{ANN}{k}", b"\0" * 60 * 2**20) for k in range(4)],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", HOSTILE)
def test_one_students_files_keep_no_other_from_being_unpacked(tmp_path, name):
    files, lines = unpacked(tmp_path, HOSTILE[name])
    paths = files.get("Ann-Lee", [])
    assert len(paths) == len({path.casefold() for path in paths}) <= MAX_FILES + 1
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 10_000
    assert all(line.isprintable() for line in lines)


def inner_zip(count, size=0):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for k in range(count):
            made.writestr(f"{k}.ipynb", b"0" * size)
    return stream.getvalue()


def test_zips_within_the_zip_have_limits(tmp_path):
    many = [(f"{ANN}{k}.zip", inner_zip(1, 1000)) for k in range(30)]
    large = [(f"{ANN}large{k}.zip", b"\0" * 30 * 2**20) for k in range(3)]
    _, lines = unpacked(tmp_path, [(ANN + "full.zip", inner_zip(6000)), *large, *many])
    assert sum("was in" in line for line in lines) < 10
    assert any("'full.zip' cannot be read as a zip: more than 5000 entries" in line for line in lines)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 40 * 2**20


def test_what_was_left_out_is_said(tmp_path):
    _, lines = unpacked(
        tmp_path, [*HOSTILE["one name twice"], *HOSTILE["a thousand folders"], (ANN + "large", b"\0" * 60 * 2**20)]
    )
    assert [line.rpartition(": ")[2] for line in lines] == [
        "another file has its name",
        "more than 20 folders deep",
        "too large",
    ]


def test_a_zip_bomb_is_not_unpacked_to_be_measured(tmp_path):
    entries = [(f"{ANN}{k}", b"\0" * 60 * 2**20) for k in range(20)]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries:
            made.writestr(name, content)
    with zipfile.ZipFile(stream) as opened:
        ((_, handed),) = _sort(opened, []).items()
        started = time.process_time()
        assert _unpack(opened, handed, tmp_path / "ann" / LAB, LAB, []) == []
        assert time.process_time() - started < 0.5  # measured: 1.5 s where each is read


def test_a_damaged_entry_is_left_out(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(ANN + "lab.ipynb", b"{}")
        made.writestr(ANN + "x.csv", bytes(range(256)) * 40)
    damaged = bytearray(stream.getvalue())
    at = damaged.index(b"x.csv") + 20
    damaged[at : at + 8] = b"\xff" * 8
    lines: list[str] = []
    with zipfile.ZipFile(io.BytesIO(bytes(damaged))) as opened:
        ((_, handed),) = _sort(opened, lines).items()
        assert _unpack(opened, handed, tmp_path / "ann" / LAB, LAB, lines) == ["lab.ipynb"]
    assert "x.csv" in lines[0]


@pytest.mark.parametrize(
    "name",
    [
        "leeann_101_9001_assignsubmission_file_lab.ipynb",
        "leeann_101_9001_rayb_102_assignsubmission_file_lab.ipynb",
        "leeann_LATE_101_9001_102_9002_lab.ipynb",
    ],
)
def test_a_files_name_does_not_make_another_student_of_the_one_who_chose_it(tmp_path, name):
    files, _ = unpacked(tmp_path, [(name, b"{}")])
    assert set(files) == {"leeann_101", "Bob-Ray"}


def test_of_two_attempts_the_later_counts(tmp_path):
    unpacked(tmp_path, [("leeann_101_9001_lab.ipynb", b"1"), ("leeann_101_9002_lab-1.ipynb", b"2")])
    assert (tmp_path / "leeann_101" / LAB / "lab.ipynb").read_bytes() == b"2"
