"""Open JupyterLab as a student needs it: a Validate button that waits for long cells, no news, nothing of grading.

python -m course_utils.lab [FOLDER] [jupyter lab's own options]
"""

import os
import sys
from pathlib import Path

CONFIG = Path(__file__).parent / "jupyter_config"


def environment(given: dict[str, str]) -> dict[str, str]:
    """The variables of a process with those that Jupyter and torch read; a student's own settings come first."""
    paths = [path for path in (given.get("JUPYTER_CONFIG_PATH", ""), str(CONFIG)) if path]
    return {"OMP_NUM_THREADS": "1", **given, "JUPYTER_CONFIG_PATH": os.pathsep.join(paths)}


def main(arguments: list[str]) -> None:
    """Start JupyterLab in this process's place, in FOLDER where the first argument names one."""
    has_folder = bool(arguments) and not arguments[0].startswith("-")
    folder, options = (arguments[0], arguments[1:]) if has_folder else ("labs", arguments)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options = ["--allow-root", *options]  # as in a container
    if not Path(folder).is_dir():
        raise SystemExit(f"{folder}: no such folder; run this in the course's folder")
    os.chdir(folder)
    os.environ.update(environment(dict(os.environ)))
    from jupyterlab.labapp import main as start

    sys.exit(start(options))


if __name__ == "__main__":
    main(sys.argv[1:])
