"""What students receive: each lab once in `work/`, and the one archive with everything that they need."""

import re
import shutil
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from grading.course import Course, CourseError

ARCHIVE = "nn-verification-course-student"
PACKAGES = ("verifier", "course_utils")  # what the labs import; grading stays with the instructor
NOT_FOR_STUDENTS = ("__pycache__", ".ipynb_checkpoints", "authoring")  # caches, and the scripts that made the data
STUDENT_README = Path("docs") / "student.md"
GLOSSARY = Path("docs") / "glossary.md"
DATE = (2026, 1, 1, 0, 0, 0)  # of every file in the archive, so that equal content gives equal bytes


def copy_once(course: Course) -> list[str]:
    """Copy every released lab to `work/`, leaving alone whatever a student has there already.

    Returns:
        One line a lab, saying what was done.

    Raises:
        CourseError: Nothing was released yet.
    """
    said = []
    for lab in _released(course):
        for source in sorted(path for path in (course.released / lab).rglob("*") if path.is_file()):
            target = course.work / lab / source.relative_to(course.released / lab)
            if target.exists():
                same = target.read_bytes() == source.read_bytes()
                said.append(f"{_shown(target, course)}: {'already there' if same else 'kept as it is: your own work'}")
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)  # without the source's permissions: a student writes to it
            said.append(f"{_shown(target, course)}: copied")
    return said


def build_archive(course: Course, folder: Path) -> Path:
    """Write the students' archive: released labs, the packages that they import with their data, how to install them.

    Args:
        course: With its labs released.
        folder: Where the archive goes.

    Raises:
        CourseError: Nothing was released yet, or a file that belongs in the archive is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{ARCHIVE}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in sorted(_contents(course)):
            entry = zipfile.ZipInfo(f"{ARCHIVE}/{name}", DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            opened.writestr(entry, content)
    return archive


def student_pyproject(text: str) -> str:
    """The project's metadata as students need it: without the package, the extras and the settings of those who teach.

    Args:
        text: pyproject.toml of the project.
    """
    read = tomllib.loads(text)
    project = read["project"]
    lines = [
        "[build-system]",
        f"requires = {_toml(read['build-system']['requires'])}",
        f"build-backend = {_toml(read['build-system']['build-backend'])}",
        "",
        "[project]",
    ]
    kept = ("name", "version", "description", "readme", "requires-python", "license", "license-files", "dependencies")
    lines += [f"{key} = {_toml(project[key])}" for key in kept if key in project]
    extras = project["optional-dependencies"]
    lines += ["", "[project.optional-dependencies]"]
    lines += [f"{name} = {_toml(extras[name])}" for name in _named_by("labs", extras, project["name"])] + [""]
    setuptools = read["tool"]["setuptools"]
    data = {name: globs for name, globs in setuptools["package-data"].items() if name in PACKAGES}
    lines += ["[tool.setuptools.packages.find]", f"include = {_toml([f'{name}*' for name in PACKAGES])}", ""]
    lines += ["[tool.setuptools.package-data]", *(f"{name} = {_toml(globs)}" for name, globs in data.items()), ""]
    return "\n".join(lines)


def _named_by(extra: str, extras: dict[str, list[str]], project: str) -> list[str]:
    """An extra, and those that it takes in by naming the project itself."""
    names = [extra]
    for line in extras[extra]:
        if own := re.fullmatch(rf"{project}\[(.*)\]", line):
            names += [found for name in own[1].split(",") for found in _named_by(name, extras, project)]
    return list(dict.fromkeys(names))


def _contents(course: Course) -> Iterator[tuple[str, bytes]]:
    """Names within the archive, and what stands there."""
    for lab in _released(course):
        for path in (course.released / lab).rglob("*"):
            if path.is_file() and not _left_out(path):
                yield f"labs/{path.relative_to(course.released).as_posix()}", path.read_bytes()
    for package in PACKAGES:
        for path in _existing(course.root / package).rglob("*"):
            if path.is_file() and not _left_out(path):
                yield path.relative_to(course.root).as_posix(), path.read_bytes()
    for name in ("environment.yml", "LICENSE"):
        yield name, _existing(course.root / name).read_bytes()
    yield "pyproject.toml", student_pyproject((course.root / "pyproject.toml").read_text(encoding="utf-8")).encode()
    yield "README.md", _existing(course.root / STUDENT_README).read_bytes()
    yield GLOSSARY.as_posix(), _existing(course.root / GLOSSARY).read_bytes()


def _left_out(path: Path) -> bool:
    return path.suffix == ".pyc" or any(part in NOT_FOR_STUDENTS for part in path.parts)


def _released(course: Course) -> list[str]:
    labs = [lab for lab in course.lab_names() if course.released_notebook(lab).is_file()]
    if not labs:
        raise CourseError(f"{course.released} holds no lab yet; run `make release` (python -m grading release) first")
    return labs


def _existing(path: Path) -> Path:
    if not path.exists():
        raise CourseError(f"{path} does not exist, and the students' archive needs it")
    return path


def _shown(path: Path, course: Course) -> str:
    return path.relative_to(course.root).as_posix()


def _toml(value: str | list[str]) -> str:
    """A string, or a list of strings, as TOML writes it."""
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
