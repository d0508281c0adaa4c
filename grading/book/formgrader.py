"""nbgrader's formgrader, whose pages show names as they stand: a folder's name or a name from a zip could hold a script
that would run in the session of whoever grades."""

from html import escape
from typing import Any

from nbconvert.preprocessors import Preprocessor

from grading.run.sanitise import begin_page

NAMES = ("student", "first_name", "last_name", "notebook_id", "assignment_id", "filename", "notebook_path")


class EscapeNames(Preprocessor):  # type: ignore[misc]
    """Write every name that a page of a submission shows as text; its Markdown may cost what one page may."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Change the names, and nothing of the notebook."""
        begin_page()
        for name in NAMES:
            if isinstance(resources.get(name), str):
                resources[name] = escape(resources[name])
        return nb, resources


def escape_names() -> None:
    """Let formgrader's lists escape what they show, as they do not by themselves."""
    from jinja2 import Environment
    from nbgrader.server_extensions.formgrader import formgrader

    class EscapingEnvironment(Environment):
        """Jinja's environment, with its escaping switched on."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **{**named, "autoescape": True})

    formgrader.Environment = EscapingEnvironment
