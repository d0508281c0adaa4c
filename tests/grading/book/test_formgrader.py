"""formgrader shows what students chose, names and cells, to an instructor who is logged in."""

from pathlib import Path

from jinja2 import FileSystemLoader

from grading.book.formgrader import EscapeNames, escape_names
from grading.office.safe_names import harmless_name

SCRIPT = "<script>alert(1)</script>"


def test_lists_of_students_escape_a_folders_name():
    from nbgrader.server_extensions.formgrader import formgrader, handlers

    escape_names()
    pages = formgrader.Environment(loader=FileSystemLoader([handlers.template_path]))
    page = pages.get_template("manage_students_assignments.tpl").render(
        student_id=f'"{SCRIPT}', base_url="/", url_prefix="", windows=False
    )
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_the_page_of_a_submission_escapes_names():
    from nbconvert.exporters import HTMLExporter
    from nbformat.v4 import new_notebook
    from nbgrader.server_extensions.formgrader import handlers
    from traitlets.config import Config

    config = Config()
    config.HTMLExporter.template_name = "formgrade"
    config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    config.HTMLExporter.preprocessors = [EscapeNames]
    resources = {"base_url": "/", "student": SCRIPT, "first_name": SCRIPT, "last_name": f"x{SCRIPT}", "total": 1,
                 "submission_id": "1", "notebook_id": "lab", "assignment_id": "lab", "index": 0,
                 "mathjax_url": ""}  # fmt: skip
    page, _ = HTMLExporter(config=config).from_notebook_node(new_notebook(), resources=resources)
    assert "<script>alert" not in page and "x&lt;script&gt;" in page


def test_a_full_name_from_a_zip_is_only_a_name():
    assert harmless_name('<img src=x onerror="a">\x1b[2J Ann') == "img src=x onerror= a   [2J Ann"
    assert harmless_name("Zoë O'Neil-Łukasz") == "Zoë O'Neil-Łukasz"


def test_the_configuration_switches_both_on(course):
    from grading.book.nbgrader import load_config

    config = load_config(course)
    assert config.HTMLExporter.preprocessors == [EscapeNames]
    assert Path(course.config).read_text(encoding="utf-8").count("escape_names()") == 1
