"""What students receive: every file of the release and of the archive is read, for solutions and hidden tests."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import nbformat
import pytest

from grading.book.nbgrader import release
from grading.course import Course, CourseError
from grading.lab.archive import build_archive, copy_once, student_pyproject
from tests.grading.conftest import LAB as SMALL_LAB
from tests.grading.conftest import make_course

ROOT = Path(__file__).parents[1]
REGION = re.compile(r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END (?:SOLUTION|HIDDEN TESTS)", re.DOTALL)
MARKERS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN", "END HIDDEN", "hidden test:")
LONG_ENOUGH = 25  # characters; shorter lines, such as `return points`, say nothing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("archive"),
    pytest.mark.filterwarnings("default"),  # nbgrader and nbconvert remark on themselves
]


def secrets(course, lab):
    """Lines that stand in a lab's solutions and hidden tests, and nowhere that a student may read."""
    sources = [cell.source for cell in nbformat.read(course.source_notebook(lab), as_version=4).cells]
    visible = {line.strip() for source in sources for line in REGION.sub("", source).splitlines()}
    hidden = {line.strip() for source in sources for region in REGION.findall(source) for line in region.splitlines()}
    return {line for line in hidden - visible if len(line) >= LONG_ENOUGH}


def texts(files):
    """(name, content) of what a student can read in files; a notebook's cells as they read, not as JSON quotes them."""
    for name, content in files:
        if name.endswith(".ipynb"):
            cells = nbformat.reads(content.decode("utf-8"), as_version=4).cells
            yield name, "\n".join(cell.source for cell in cells) + content.decode("utf-8")
        else:
            yield name, content.decode("utf-8", errors="replace")


def leaks(course, lab, files):
    """(file, what leaked) for every secret that a file holds."""
    told = secrets(course, lab)
    assert told, "a lab without secrets tests nothing"
    return [
        (name, part)
        for name, text in texts(files)
        for part in (*MARKERS, *told)
        # what the library itself says is no secret, and a marker may be named where its meaning is explained
        if part in text and not (name.endswith(".py") and part not in told)
    ]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of this course with every lab released in it."""
    copy = Course(tmp_path_factory.mktemp("course"))
    ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for name in ("labs", "verifier", "course_utils"):
        shutil.copytree(ROOT / name, copy.root / name, ignore=ignore)
    alone = ("pyproject.toml", "environment.yml", "LICENSE", "docs/student.md", "docs/glossary.md")
    for name in (*alone, "grading/nbgrader_config.py"):
        (copy.root / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, copy.root / name)
    for lab in copy.lab_names():
        release(copy, lab)
    return copy


@pytest.fixture(scope="module")
def archive(course):
    """The archive's files, {name: content}, without the folder that all are in."""
    path = build_archive(course, course.root / "dist")
    with zipfile.ZipFile(path) as opened:
        names = opened.namelist()
        assert all(name.startswith(f"{path.stem}/") and ".." not in name for name in names)
        return {name.partition("/")[2]: opened.read(name) for name in names}


@pytest.mark.parametrize("lab", Course.here().lab_names())
def test_no_file_of_the_release_holds_a_solution_or_a_hidden_test(course, lab):
    paths = [path for path in course.released.rglob("*") if path.is_file()]
    assert paths and leaks(course, lab, [(path.name, path.read_bytes()) for path in paths]) == []


@pytest.mark.parametrize("lab", Course.here().lab_names())
def test_no_file_of_the_archive_holds_a_solution_or_a_hidden_test(course, archive, lab):
    assert leaks(course, lab, archive.items()) == []


def test_a_leak_would_be_found(course):
    lab = course.lab_names()[0]
    source = course.source_notebook(lab)
    assert leaks(course, lab, [(source.name, source.read_bytes())])
    one = max(secrets(course, lab), key=len)
    assert leaks(course, lab, [("hints.txt", f"try this: {one}".encode())]) == [("hints.txt", one)]


def test_archive_holds_what_a_student_needs_and_nothing_of_grading(archive):
    top = {name.partition("/")[0] for name in archive}
    files = {"README.md", "LICENSE", "environment.yml", "pyproject.toml"}
    assert top == files | {"labs", "verifier", "course_utils", "docs"}
    assert {"verifier/py.typed", "course_utils/doctor.py", "labs/lab1_circle/lab1_circle.ipynb"} <= set(archive)
    data = {path.relative_to(ROOT).as_posix() for path in (ROOT / "course_utils" / "data_files").iterdir()}
    assert data <= set(archive)
    assert "docs/glossary.md" in archive and "course_utils/jupyter_config/nbgrader_config.py" in archive


def test_no_file_of_the_archive_imports_grading(archive):
    code = {name: content.decode() for name, content in archive.items() if name.endswith((".py", ".ipynb"))}
    assert [
        name for name, text in code.items() if re.search(r"^\W*(?:from|import) grading\b", text, re.MULTILINE)
    ] == []


def test_equal_content_gives_equal_bytes(course, tmp_path):
    first, second = (build_archive(course, tmp_path / name).read_bytes() for name in "ab")
    assert first == second


def test_pyproject_of_the_archive_declares_the_same_dependencies(archive):
    given = tomllib.loads(archive["pyproject.toml"].decode())["project"]
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert given["dependencies"] == wanted["dependencies"]
    extras = given["optional-dependencies"]
    assert set(extras) == {"labs", "torch", "fast", "exact", "lirpa", "synthesis"}  # labs, and what it names
    assert extras == {name: wanted["optional-dependencies"][name] for name in extras}
    assert "grading" not in student_pyproject((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_archive_installs_and_its_verifier_answers(archive, tmp_path):
    """Without dependencies, which are installed already, and without a network."""
    for name, content in archive.items():
        path = tmp_path / "given" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    target = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*install, "--target", target, tmp_path / "given"], check=True)
    ask = (
        "import verifier, course_utils.data as data\n"
        "print(verifier.__file__)\n"
        "print(verifier.verify(data.circle_network(), [[0.45, 0.55]] * 2, [[0.5, None]]).verdict.name)\n"
        "print(len(data.mnist('test', subset=True)))"
    )
    command = [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = [{str(target)!r}, *{sys.path!r}[1:]]\n{ask}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    path, verdict, said, digits = done.stdout.splitlines()[-4:]
    assert path.startswith(str(target)) and verdict == "VERIFIED"
    assert said.startswith("MNIST: the project's own 1,000") and digits == "1000"


def test_labs_are_copied_once_and_never_over_a_students_work(tmp_path):
    small = make_course(tmp_path)
    with pytest.raises(CourseError, match="holds no lab yet"):
        copy_once(small)
    release(small, SMALL_LAB)
    name = f"work/{SMALL_LAB}/{SMALL_LAB}.ipynb"
    assert copy_once(small) == [f"{name}: copied"]
    assert copy_once(small) == [f"{name}: already there"]
    (small.root / name).write_text("my own work")
    assert copy_once(small) == [f"{name}: kept as it is: your own work"]
    assert (small.root / name).read_text() == "my own work"
