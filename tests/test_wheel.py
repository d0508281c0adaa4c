"""A wheel holds the three packages with their data and commands, and works from another folder."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("verifier", "course_utils", "grading")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("archive")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built without a network, from a copy, since a build leaves a folder behind."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, folder / "source" / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", folder / "dist", folder / "source"], check=True)
    (path,) = (folder / "dist").glob("*.whl")
    return path


def test_it_holds_every_module_every_data_file_and_nothing_else(wheel):
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file()]
    data = {ROOT / "course_utils" / name for name in ("data_files", "jupyter_config/labconfig")} | {ROOT / "verifier"}
    assert found == {
        path.relative_to(ROOT).as_posix()
        for path in files
        if path.suffix == ".py" or (path.parent in data and path.suffix != ".pyc")
    }


def test_its_commands_answer_from_another_folder(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "installed")
    (points,) = (tmp_path / "installed").glob("*.dist-info/entry_points.txt")
    assert points.read_text().split() == [
        "[console_scripts]", "nnv", "=", "verifier.__main__:main", "nnv-grade", "=", "grading.__main__:main",
    ]  # fmt: skip
    run = "import sys; sys.path[:0] = [{path!r}]; sys.argv = {argv!r}; from {module} import main; sys.exit(main())"

    def said(module, *argv):
        code = run.format(path=str(tmp_path / "installed"), argv=list(argv), module=module)
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert said("verifier.__main__", "nnv", "--version") == (0, "nnv 0.1.0\n")
    status, line = said("grading.__main__", "nnv-grade", "build", "--check")
    assert status == 1 and "is not the folder of a course; name it: --course FOLDER" in line
    status, line = said("grading.__main__", "nnv-grade", "--course", str(ROOT), "build", "--check", "lab1_circle")
    assert status == 0 and line == "lab1_circle: up to date\n"
