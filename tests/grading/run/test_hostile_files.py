# ruff: noqa: E501  the cells of a notebook stand on one line each
"""What may be handed in: files that are no notebook, broken cells, links, and names that a page would run."""

import json
import os

import pytest

from grading.course import CourseError
from grading.lab.contract import without_hidden
from grading.lab.submission import lay_out, read_cells, read_submission
from grading.limits import Limits
from grading.run.sanitise import safe_html, safe_markdown, sanitise_outputs
from tests.grading.attacks.attack_lab import FULL, blueprint, code, graded, points, small_lab
from tests.grading.conftest import needs_sandbox


def cell_named(notebook, name):
    return next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == name)


NOT_NOTEBOOKS = {
    "not JSON": b"not json",
    "empty": b"",
    "a list": b"[]",
    "no cells": b"{}",
    "cells that are none": b'{"cells": 3}',
    "deep": b'{"cells":' + b"[" * 100_000,
    "not text": b"\xff\xfe\x00\x01",
    "too many cells": json.dumps({"cells": [{}] * 20_001}).encode(),
}


@pytest.mark.parametrize("name", NOT_NOTEBOOKS)
def test_what_is_no_notebook_is_named(name):
    with pytest.raises(CourseError, match=r"it (is not a notebook|has 20001 cells)"):
        read_cells(NOT_NOTEBOOKS[name])


def _copied(notebook):
    notebook["cells"].insert(0, json.loads(json.dumps(cell_named(notebook, "width_check"))))


def _deleted(notebook):
    notebook["cells"] = [
        c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") != "width_check"
    ]


def _every_test_deleted(notebook):
    notebook["cells"] = [c for c in notebook["cells"] if not c["metadata"].get("nbgrader", {}).get("grade")]


def _changed(name, **told):
    def change(notebook):
        cell_named(notebook, "middle_check")["metadata"]["nbgrader"][name] = told["value"]

    return change


def _retyped(notebook):
    cell_named(notebook, "width_check")["cell_type"] = "markdown"
    cell_named(notebook, "corner_check")["cell_type"] = "raw"
    cell_named(notebook, "middle")["cell_type"] = "markdown"


def _rewritten(notebook):
    for name in ("width_check", "middle_check", "corner_check"):
        cell_named(notebook, name)["source"] = ["4\n", "import os; os._exit(0)"]


def _swapped(notebook):
    cell_named(notebook, "middle_check")["metadata"]["nbgrader"]["grade_id"] = "corner_check"


def _broken(value):
    def change(notebook):
        for cell in notebook["cells"]:
            if "nbgrader" not in cell["metadata"]:
                cell["metadata"] = value
        notebook["cells"].append({"cell_type": "code", "metadata": {"nbgrader": value}, "source": "x = 1"})
        notebook["metadata"] = value

    return change


CHANGES = {
    "a test cell copied to the front": _copied,
    "a test cell deleted": _deleted,
    "every test cell deleted": _every_test_deleted,
    "more points": _changed("points", value=10_000),
    "points that are no number": _changed("points", value={"a": 1}),
    "no longer a test": _changed("grade", value=False),
    "a test that is a solution": _changed("solution", value=True),
    "a grade_id that is no text": _changed("grade_id", value=[1]),
    "a grade_id with a path": _changed("grade_id", value="../../x"),
    "an old schema": _changed("schema_version", value=1),
    "a schema of the future": _changed("schema_version", value="9" * 100),
    "a false checksum": _changed("checksum", value="0"),
    "cells of another type": _retyped,
    "tests rewritten": _rewritten,
    "tests pointing at each other": _swapped,
    "metadata that is a list": _broken([1]),
    "metadata that is a text": _broken("x"),
    "metadata that is deep": _broken({"a": {"b": {"c": [None]}}}),
    "metadata that is nothing": _broken(None),
}


@needs_sandbox
@pytest.mark.parametrize("solved", [False, True], ids=["unsolved", "solved"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_notebook_earns_what_its_answers_are_worth(sandbox, name, solved):
    notebook = small_lab(solved=solved)
    CHANGES[name](notebook)
    result = graded(sandbox, notebook, limits=Limits(wall_s=60))
    assert points(result) == (FULL if solved else 0)
    tests = [
        c["metadata"]["nbgrader"] for c in result.notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade")
    ]
    assert {t["grade_id"]: t["points"] for t in tests} == {
        "width_check": 2, "middle_check": 4, "corner_check": 1, "meaning": 3,
    }  # fmt: skip


def test_of_a_copied_test_cell_the_last_counts_and_the_first_runs_nowhere():
    notebook = small_lab(solved=True)
    _copied(notebook)
    parts = lay_out(read_cells(json.dumps(notebook).encode()), blueprint())
    assert [part.cell_type for part in parts if "width(1.0, 3.0)" in part.source] == ["raw", "code"]


def folder_with(tmp_path, name="lab.ipynb"):
    folder = tmp_path / "submitted" / "ann" / "lab"
    folder.mkdir(parents=True)
    (folder / name).write_text(json.dumps(small_lab(solved=True)))
    return folder


def test_links_are_not_followed(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    folder = folder_with(tmp_path)
    (folder / "link.txt").symlink_to(secret)
    (folder / "folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    (folder / "data.csv").write_text("1,2")
    submission = read_submission(folder, "lab", set(blueprint()))
    assert [name for name, _ in submission.files] == ["data.csv"]
    assert [note.partition(": ")[2] for note in submission.notes] == [
        "a symbolic link",
        "a symbolic link",
        "not a file",
    ]


def test_a_notebook_that_is_a_link_is_no_notebook(tmp_path):
    folder = folder_with(tmp_path, "elsewhere.txt")
    (folder / "lab.ipynb").symlink_to(folder / "elsewhere.txt")
    with pytest.raises(CourseError, match=r"lab\.ipynb does not exist"):
        read_submission(folder, "lab", set(blueprint()))


def test_a_folder_that_is_a_link_is_refused(tmp_path):
    folder = folder_with(tmp_path)
    (tmp_path / "submitted" / "bob").mkdir()
    (tmp_path / "submitted" / "bob" / "lab").symlink_to(folder)
    with pytest.raises(CourseError, match="is a symbolic link"):
        read_submission(tmp_path / "submitted" / "bob" / "lab", "lab", set(blueprint()))


def test_files_without_end_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("grading.lab.submission.MAX_FILES_BYTES", 1000)
    folder = folder_with(tmp_path)
    (folder / "large.bin").write_bytes(b"x" * 2000)
    submission = read_submission(folder, "lab", set(blueprint()))
    assert submission.files == [] and "large.bin" in submission.notes[0]


SCRIPTS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "<a href='javascript:alert(1)'>x</a>",
    "<iframe src='//x'></iframe>", "<form action='//x'><input></form>", "<math><mtext><style><img src=x onerror=alert(1)>",
    "<object data='x'></object>", "<link rel=stylesheet href='//x'>", "<meta http-equiv=refresh content='0;//x'>",
    "<div style='background:url(javascript:alert(1))'>x</div>", "<img src='https://example.org/seen.png'>",
    "<base href='//x'>", "<a href='data:text/html,<script>alert(1)</script>'>x</a>", "<img src='data:text/html,x'>",
)  # fmt: skip
FORBIDDEN = ("<script", "onerror=", "onload=", "javascript:alert(1)\"", "<iframe", "<form", "<object", "<link", "<meta", "<base",
             "<svg", "url(", "https://example.org/seen", 'href="data:', 'src="data:text', "<input", "<style")  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_html_and_markdown_lose_what_runs_submits_or_loads(script):
    for page in (
        safe_html(script),
        safe_markdown(f"# Title\n\n{script}\n\n[x](javascript:alert(1)) ![y](https://example.org/seen.png)"),
    ):
        assert not [bad for bad in FORBIDDEN if bad in page], page


@pytest.mark.parametrize(
    "names", ["navbar-fixed-top", "modal-backdrop", "pull-right score", "dataframe modal", "nbgrader_cell"]
)
def test_html_cannot_cover_the_page_around_it(names):
    covering = f'<div class="{names}" id="score" name="score" style="position: fixed; top: 0; z-index: 9"><h1>Score: 10</h1></div>'
    for page in (safe_html(covering), safe_markdown(covering)):
        assert not [bad for bad in ("class=", "id=", "name=", "position", "z-index") if bad in page], page


def test_html_keeps_what_isharmless():
    table = '<table class="dataframe"><thead><tr><th style="color: red">a</th></tr></thead></table>'
    assert safe_html(table) == '<table class="dataframe"><thead><tr><th style="color: red;">a</th></tr></thead></table>'
    page = safe_markdown("**bold** `x < y` [l](https://example.org)\n\n```\na<b\n```")
    assert "<strong>bold</strong>" in page and 'href="https://example.org"' in page and "a&lt;b" in page


@pytest.mark.parametrize(
    "output",
    [
        {"output_type": "display_data", "data": {"application/javascript": "alert(1)"}},
        {"output_type": "display_data", "data": {"application/vnd.jupyter.widget-view+json": "{}"}},
        {"output_type": "display_data", "data": {"image/png": '"><script>alert(1)</script>'}},
        {"output_type": "display_data", "data": {"image/png": "QUJD"}},
        {"output_type": "display_data", "data": {"text/latex": "$\\href{javascript:alert(1)}{x}$"}},
        {"output_type": "display_data", "data": {"image/svg+xml": "<svg><script>alert(1)</script></svg>"}},
        {"output_type": "display_data", "data": {"text/html": "<script>alert(1)</script>"}, "metadata": {"w": '"><script>'}},
        {"output_type": "stream", "name": "<script>", "text": "x"},
        {"output_type": "stream", "name": "stdout", "text": 3},
        {"output_type": "error", "ename": 3, "evalue": None, "traceback": "x"},
        {"output_type": "execute_result", "data": {"text/plain": "1"}, "execution_count": "<script>"},
        {"output_type": "<script>"},
        "text",
        None,
    ],
)  # fmt: skip
def test_outputs_lose_what_runs(output):
    kept = json.dumps(sanitise_outputs([output]))
    assert "<script" not in kept and "javascript" not in kept.replace("application/javascript is not shown", "")


def test_outputs_are_cut():
    long = [{"output_type": "stream", "name": "stdout", "text": "x\n" * 10**6}] * 1000
    kept = sanitise_outputs(long)
    assert len(kept) == 201 and all(len(output["text"]) < 110_000 for output in kept)


def test_hidden_tests_are_cut_out_of_a_cell():
    source = "# uses: x\nassert x\n### BEGIN HIDDEN TESTS\nassert x == 4711, 'hint'\n### END HIDDEN TESTS\nx"
    assert without_hidden(source) == "# uses: x\nassert x\nx"


@needs_sandbox
def test_ids_and_metadata_of_cells_are_the_courses(sandbox):
    notebook = small_lab([], solved=True)
    bad = '"><script>alert(1)</script>'
    notebook["cells"].insert(0, {**code("1"), "id": bad, "metadata": {"tags": [bad], "nbgrader": {"grade_id": bad}}})
    notebook["metadata"] = {"title": bad, "widgets": bad}
    assert bad not in json.dumps(graded(sandbox, notebook).notebook)
