"""How a student's JupyterLab is started: the settings that travel with the course are those that Jupyter reads."""

import json
import os
import subprocess
import sys

from course_utils.lab import CONFIG, environment


def test_the_students_own_settings_come_first():
    assert environment({})["JUPYTER_CONFIG_PATH"] == str(CONFIG)
    given = environment({"JUPYTER_CONFIG_PATH": "/mine", "OMP_NUM_THREADS": "4"})
    assert given["JUPYTER_CONFIG_PATH"] == os.pathsep.join(["/mine", str(CONFIG)]) and given["OMP_NUM_THREADS"] == "4"


def test_validate_waits_for_long_cells_and_no_side_bar_of_instructors_is_open():
    """Asked of nbgrader's and JupyterLab's own readers, in a process with these settings."""
    ask = (
        "import json, logging\n"
        "from nbgrader.server_extensions.validate_assignment.handlers import ValidateAssignmentHandler as Handler\n"
        "from jupyterlab_server.config import get_static_page_config\n"
        "page = get_static_page_config(level='all')['disabledExtensions']\n"
        "print(json.dumps([Handler.load_config(None)['Execute']['timeout'], page]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask], env=environment(dict(os.environ)), capture_output=True, text=True, check=True
    )
    timeout, disabled = json.loads(done.stdout.splitlines()[-1])
    assert timeout >= 600
    assert disabled["@jupyter/nbgrader:formgrader"] and "@jupyter/nbgrader:validate-assignment" not in disabled
