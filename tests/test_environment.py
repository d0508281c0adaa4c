"""The places that name what the course needs: pyproject.toml, environment.yml, Makefile, doctor and README agree."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import verifier
from course_utils import doctor

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
AUTO_LIRPA = PROJECT["tool"]["course"]["auto-lirpa"]

NAME = PROJECT["project"]["name"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
NAME_ON_CONDA_FORGE = {"torch": "pytorch", "matplotlib": "matplotlib-base", "ortools": "ortools-python"}
ONLY_ON_CONDA = {"pip", "pytorch-cpu"}  # pip itself, and the choice of the build without CUDA


def split(requirement):
    """("numpy", ">=1.26") of "numpy>=1.26"."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)[0]
    return name, requirement[len(name) :]


def needed(*extras):
    """What `pip install '.[EXTRA,...]'` asks for; an extra may take in others, by the project's own name."""
    waiting, found = [*PROJECT["project"]["dependencies"], *(f"{NAME}[{extra}]" for extra in extras)], {}
    while waiting:
        line = waiting.pop()
        if line.startswith(f"{NAME}["):
            for extra in line[len(NAME) + 1 : -1].split(","):
                waiting += EXTRAS[extra]
        else:
            found[line] = None
    return list(found)


def conda_parts():
    """The packages from conda-forge and those from pip, each as {name: range}."""
    listed = CONDA["dependencies"]
    by_pip = next(part["pip"] for part in listed if isinstance(part, dict))
    return dict(split(part) for part in listed if isinstance(part, str)), by_pip


def test_conda_environment_names_what_pyproject_names_with_the_same_ranges():
    wanted = dict(map(split, needed("labs")))
    conda, by_pip = conda_parts()
    found = {name: versions for name, versions in conda.items() if name not in ONLY_ON_CONDA | {"python"}}
    found |= dict(split(part) for part in by_pip if not part.startswith("--editable"))
    assert found == {NAME_ON_CONDA_FORGE.get(name, name): versions for name, versions in wanted.items()}


def test_conda_environment_asks_for_the_same_python():
    assert conda_parts()[0]["python"] == PROJECT["project"]["requires-python"]


def test_conda_environment_installs_the_course_by_pip_and_uses_conda_forge_alone():
    assert "--editable ." in conda_parts()[1]
    assert CONDA["channels"] == ["conda-forge", "nodefaults"]


@pytest.mark.parametrize("name", ["environment.yml", "README.md", "Makefile", "docs/student.md"])
def test_auto_lirpa_is_a_step_of_its_own_with_one_range_everywhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert AUTO_LIRPA in text and "--no-deps" in text
    assert not re.search(r"auto-LiRPA(?!>=0\.3,<1)[<>=~!]", text)


def test_the_doctor_wants_the_auto_lirpa_of_pyproject():
    assert doctor.AUTO_LIRPA == AUTO_LIRPA


def test_auto_lirpa_is_in_no_list_of_dependencies():
    """Its metadata asks for torch < 1.13, so any list with it would make an installation impossible."""
    everything = [*needed(*EXTRAS), *conda_parts()[1]]
    assert not [line for line in everything if "lirpa" in line.lower()]


@pytest.mark.parametrize("name", ["README.md", "Makefile", "docs/student.md"])
def test_torch_and_torchvision_are_installed_together_with_the_declared_ranges(name):
    wanted = {line for line in needed("lirpa") if line.startswith("torch")}
    assert len(wanted) == 2
    lines = [line for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if "torchvision>=" in line]
    assert lines and all(requirement in line for line in lines for requirement in wanted)


def test_every_dependency_and_every_ignored_rule_has_its_reason_beside_it():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.pytest")[0]
    entries = [line for line in text.splitlines() if re.match(r'  "[A-Za-z]', line) and " :: " not in line]
    bare = [line for line in entries if "#" not in line]
    assert entries and not bare


def test_the_verifier_alone_needs_three_libraries():
    """`pip install .` brings what intervals, CROWN, the attack and input splitting need."""
    assert [split(line)[0] for line in PROJECT["project"]["dependencies"]] == ["numpy", "scipy", "tqdm"]


def test_all_takes_in_every_extra_but_the_developers_tools():
    assert set(needed("all")) == set(needed(*(EXTRAS.keys() - {"dev"})))


def test_every_extra_that_the_code_names_exists():
    named = {
        extra
        for package in ("verifier", "course_utils", "grading")
        for path in (ROOT / package).rglob("*.py")
        for found in re.findall(rf"{NAME}\[([a-z,]+)\]|\bmissing\(.*\"([a-z]+)\"\)", path.read_text(encoding="utf-8"))
        for extra in "".join(found).split(",")
    }
    assert named <= EXTRAS.keys() and {"torch", "fast", "exact", "onnx", "batch", "lirpa"} <= named


def test_the_version_is_the_same_everywhere():
    assert verifier.__version__ == PROJECT["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == verifier.__version__ and citation["license"] == PROJECT["project"]["license"]


def test_extras_that_overlap_ask_for_the_same():
    ranges: dict[str, set[str]] = {}
    for line in needed(*EXTRAS):
        name, versions = split(line)
        ranges.setdefault(name, set()).add(versions)
    assert {name: found for name, found in ranges.items() if len(found) > 1} == {}
