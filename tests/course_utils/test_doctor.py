"""What the doctor says of good and of bad environments."""

import json
import sys
from importlib import metadata

import pytest

from course_utils import doctor
from course_utils.doctor import Finding, check_kernel, check_lab_extension, check_package, check_python

NBGRADER = "@jupyter/nbgrader"


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 2)])
def test_a_python_in_range_is_well(version):
    assert check_python(">=3.11", version).well


def test_an_old_python_is_told_with_its_cure():
    finding = check_python(">=3.11", (3, 9, 18))
    assert finding.found == "3.9.18, not >=3.11" and finding.cure.startswith("install Python >=3.11")


@pytest.mark.parametrize(
    ("requirement", "version", "found", "cure"),
    [
        ("numpy>=1.26", "2.4.6", "2.4.6", ""),
        ("numpy>=1.26", "1.26.0", "1.26.0", ""),
        ("numpy>=1.26", "1.25.2", "1.25.2, not >=1.26", "python -m pip install 'numpy>=1.26'"),
        ("numpy>=1.26", None, "not installed", "python -m pip install 'numpy>=1.26'"),
        ("torch>=2.6,<3", "2.13.0+cpu", "2.13.0+cpu", ""),
        (
            "torch>=2.6,<3",
            "1.12.1",
            "1.12.1, not >=2.6,<3",
            "python -m pip install 'torch>=2.6,<3' 'torchvision>=0.21,<1'",
        ),
        ("auto-LiRPA>=0.3,<1", None, "not installed", "python -m pip install --no-deps 'auto-LiRPA>=0.3,<1'"),
    ],
)
def test_a_package_is_held_to_its_range(requirement, version, found, cure):
    finding = check_package(requirement, lambda name: version)
    assert (finding.found, finding.cure) == (found, cure)


def test_the_declared_requirements_include_those_of_the_labs():
    python, requirements = doctor.declared()
    assert python == ">=3.11" and "torch>=2.6,<3" in requirements and "jupyterlab>=4.2" in requirements
    assert not any(line.startswith(("pytest", "jupytext")) for line in requirements)


def test_an_installed_course_without_its_pyproject_tells_the_same(monkeypatch, tmp_path):
    from_file = doctor.declared()
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "course_utils" / "doctor.py"))
    if doctor.installed_version(doctor.DISTRIBUTION) is None:
        pytest.skip("the course is run from its folder here, not installed")
    from packaging.requirements import Requirement

    python, requirements = doctor.declared()
    assert python == from_file[0] and {str(Requirement(line)) for line in requirements} == {
        str(Requirement(line)) for line in from_file[1]
    }


def test_a_course_that_is_not_installed_is_the_only_finding(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "course_utils" / "doctor.py"))

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "metadata", missing)
    assert doctor.examine() == [
        Finding(
            "nn-verification-course",
            "the course is not installed in this environment",
            "python -m pip install --editable '.[labs]'",
        )
    ]


def test_auto_lirpa_that_does_not_import_is_told_with_its_reason(monkeypatch):
    from verifier.bounds import lirpa_compat
    from verifier.errors import MissingDependencyError

    def fails():
        raise MissingDependencyError("auto-LiRPA cannot be imported (no module named appdirs)")

    monkeypatch.setattr(doctor, "installed_version", lambda name: "0.3")
    monkeypatch.setattr(lirpa_compat, "import_auto_lirpa", fails)
    finding = doctor.check_auto_lirpa()
    assert "no module named appdirs" in finding.found and "--no-deps --force-reinstall" in finding.cure


def test_auto_lirpa_that_is_missing_is_told(monkeypatch):
    monkeypatch.setattr(doctor, "installed_version", lambda name: None)
    assert doctor.check_auto_lirpa().cure == "python -m pip install --no-deps 'auto-LiRPA>=0.3,<1'"


def test_z3_without_its_library_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "z3", None)
    assert doctor.check_z3().cure == "python -m pip install --force-reinstall z3-solver"


def kernel(folder, program, monkeypatch):
    """A kernel named python3 that starts a program, the only one JupyterLab would find."""
    place = folder / "kernels" / "python3"
    place.mkdir(parents=True)
    told = {
        "argv": [program, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "P",
        "language": "python",
    }
    (place / "kernel.json").write_text(json.dumps(told))
    only(folder / "kernels", monkeypatch)


def only(folder, monkeypatch):
    """Let jupyter look for kernels in this folder alone."""
    from jupyter_client.kernelspec import KernelSpecManager

    monkeypatch.setattr(KernelSpecManager, "_kernel_dirs_default", lambda self: [str(folder)], raising=False)
    monkeypatch.setattr(KernelSpecManager.kernel_dirs, "default", lambda obj=None: [str(folder)])
    monkeypatch.setattr(KernelSpecManager, "ensure_native_kernel", False)


@pytest.mark.parametrize("program", [sys.executable, "python"])
def test_a_kernel_of_this_python_is_well(program, tmp_path, monkeypatch):
    kernel(tmp_path, program, monkeypatch)
    assert check_kernel().well


def test_a_kernel_of_another_python_is_told(tmp_path, monkeypatch):
    kernel(tmp_path, "/elsewhere/bin/python3", monkeypatch)
    finding = check_kernel()
    assert (
        "starts /elsewhere/bin/python3, not" in finding.found
        and finding.cure == "python -m ipykernel install --sys-prefix"
    )


def extension(folder, settings=None):
    """A folder with nbgrader's extension in it, and JupyterLab's settings beside it."""
    (folder / "labextensions" / NBGRADER).mkdir(parents=True)
    (folder / "labextensions" / NBGRADER / "package.json").write_text("{}")
    if settings is not None:
        (folder / "lab" / "settings").mkdir(parents=True)
        (folder / "lab" / "settings" / "page_config.json").write_text(json.dumps(settings))
    return [folder / "labextensions"]


def test_an_extension_that_is_there_is_well(tmp_path):
    assert check_lab_extension(NBGRADER, extension(tmp_path)).well


def test_a_missing_extension_is_told(tmp_path):
    finding = check_lab_extension(NBGRADER, [tmp_path])
    assert finding.found == "not installed" and finding.cure.endswith("--no-deps nbgrader")


@pytest.mark.parametrize("off", [{NBGRADER: True}, [NBGRADER]])
def test_a_disabled_extension_is_told(off, tmp_path):
    finding = check_lab_extension(NBGRADER, extension(tmp_path, {"disabledExtensions": off}))
    assert finding.found == "disabled" and finding.cure == "jupyter labextension enable @jupyter/nbgrader"


def test_the_assignment_list_alone_may_be_off(tmp_path):
    settings = {"disabledExtensions": {f"{NBGRADER}:assignment-list": True}}
    assert check_lab_extension(NBGRADER, extension(tmp_path, settings)).well


def test_a_server_extension_that_is_off_is_told(monkeypatch):
    from jupyter_server.extension.config import ExtensionConfigManager

    monkeypatch.setattr(ExtensionConfigManager, "get_jpserver_extensions", lambda self, **_: {"jupyterlab": True})
    finding = doctor.check_server_extension()
    assert finding.found == "not enabled" and finding.cure.startswith("jupyter server extension enable")


def test_a_verifier_that_fails_is_told(monkeypatch):
    import verifier

    def fails(*_, **__):
        raise RuntimeError("no bounds today")

    monkeypatch.setattr(verifier, "verify", fails, raising=False)
    assert doctor.check_verify().found == "RuntimeError: no bounds today"


def test_a_well_environment_exits_with_0_and_says_so(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("Python", "3.12.1")])
    assert doctor.main() == 0
    assert "Everything that the course needs is here." in capsys.readouterr().out


def test_a_bad_environment_exits_with_1_and_lists_each_cure_once_in_order(monkeypatch, capsys):
    findings = [
        Finding("a", "not installed", "first"),
        Finding("b", "1.0"),
        Finding("c", "x", "second"),
        Finding("d", "y", "first"),
    ]
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    assert doctor.main() == 1
    assert capsys.readouterr().out.splitlines()[-2:] == ["  first", "  second"]


@pytest.mark.slow
def test_the_environment_that_runs_these_tests_is_well():
    assert [finding for finding in doctor.examine() if not finding.well] == []
