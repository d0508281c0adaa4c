"""Say what is missing or mismatched in an environment, and the command that cures it: `python -m course_utils.doctor`.

It looks at the running Python, at every library's version against the ranges that the course declares, at auto-LiRPA
(which has to be installed by a step of its own), at the kernel that JupyterLab would start and at nbgrader's
extensions. It changes nothing. The exit status is 1 when something is wrong.
"""

import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "nn-verification-course"
AUTO_LIRPA = (
    "auto-LiRPA>=0.3,<1"  # as in pyproject.toml, which an installed course does not carry; a test holds them equal
)
LAB_EXTENSIONS = ("@jupyter/nbgrader", "@jupyter-widgets/jupyterlab-manager")
SERVER_EXTENSION = "nbgrader.server_extensions.validate_assignment"
PIP = "python -m pip install"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        what: Its name.
        found: What is there, in a few words.
        cure: The command that mends it; empty where nothing is wrong.
    """

    what: str
    found: str
    cure: str = ""

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.cure


def examine() -> list[Finding]:
    """Look at everything, in the order in which a cure helps."""
    try:
        python, requirements = declared()
    except LookupError as error:
        return [Finding(DISTRIBUTION, str(error), f"{PIP} --editable '.[labs]'")]
    findings = [check_python(python, sys.version_info[:3])]
    findings += [check_package(requirement, installed_version) for requirement in requirements]
    if not all(finding.well for finding in findings):
        return findings  # what follows would fail for the same reasons, and say it less clearly
    checks: Sequence[Callable[[], Finding]] = (check_auto_lirpa, check_z3, check_kernel, check_server_extension)
    findings += [check() for check in checks]
    findings += [check_lab_extension(name, jupyter_folders()) for name in LAB_EXTENSIONS]
    return [*findings, check_verify()]


def declared() -> tuple[str, list[str]]:
    """The range of Python versions and the requirements that the course declares, those of its `labs` extra included.

    Returns:
        (">=3.11", ["numpy>=1.26", ...]), from pyproject.toml beside this package, else from the installed metadata.

    Raises:
        LookupError: There is neither: the course is not installed.
    """
    pyproject = Path(__file__).resolve().parent.parent / "pyproject.toml"
    if pyproject.is_file():
        project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
        extras = {"": project["dependencies"], **project["optional-dependencies"]}
        return project["requires-python"], _with_extras(["", "labs"], extras)
    try:
        told = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise LookupError("the course is not installed in this environment") from None
    extras = {}
    for line in told.get_all("Requires-Dist") or []:
        requirement, _, condition = line.partition(";")
        extra = re.search(r"extra == ['\"]([^'\"]+)['\"]", condition)
        extras.setdefault(extra[1] if extra else "", []).append(requirement.strip())
    return told["Requires-Python"], _with_extras(["", "labs"], extras)


def _with_extras(names: Sequence[str], extras: Mapping[str, Sequence[str]]) -> list[str]:
    """The requirements of some extras, "" for those that always hold, each once; an extra may name others."""
    found: list[str] = []
    for name in names:
        for line in extras[name]:
            own = re.fullmatch(rf"{DISTRIBUTION}\[(.*)\]", line)
            found += _with_extras(re.split(r"\s*,\s*", own[1]), extras) if own else [line]
    return list(dict.fromkeys(found))


def installed_version(name: str) -> str | None:
    """The version of an installed distribution; None where there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_python(wanted: str, version: Sequence[int]) -> Finding:
    """Whether this Python is one that the course runs on."""
    found = ".".join(map(str, version))
    lowest = tuple(int(part) for part in re.findall(r"\d+", wanted))
    cure = f"install Python {wanted} and make the environment again: python3 -m venv .venv"
    return Finding("Python", found) if tuple(version) >= lowest else Finding("Python", f"{found}, not {wanted}", cure)


def check_package(requirement: str, version_of: Callable[[str], str | None]) -> Finding:
    """Whether a distribution is installed in the range declared.

    Args:
        requirement: Such as "numpy>=1.26".
        version_of: Gives an installed distribution's version, or None.
    """
    name = re.match(r"[A-Za-z0-9._-]+", requirement)[0]  # type: ignore[index]  # a requirement begins with a name
    found = version_of(name)
    cure = f"{PIP} '{requirement}'"
    if name in ("torch", "torchvision"):
        cure = f"{PIP} {' '.join(_torch_pair())}"  # each fits only certain versions of the other
    if name.lower() == "auto-lirpa":
        cure = f"{PIP} --no-deps '{requirement}'"
    if found is None:
        return Finding(name, "not installed", cure)
    wanted = requirement[len(name) :]
    if not _in_range(found, wanted):
        return Finding(name, f"{found}, not {wanted}", cure)
    return Finding(name, found)


def check_auto_lirpa() -> Finding:
    """Whether auto-LiRPA is installed and the verifier's adapter can import it."""
    from verifier.bounds.lirpa_compat import import_auto_lirpa
    from verifier.errors import MissingDependencyError

    finding = check_package(AUTO_LIRPA, installed_version)
    if not finding.well:
        return finding
    try:
        import_auto_lirpa()
    except MissingDependencyError as error:
        cure = f"{PIP} --no-deps --force-reinstall '{AUTO_LIRPA}'"
        return Finding("auto-LiRPA", f"{finding.found} does not import: {_first_line(error)}", cure)
    return Finding("auto-LiRPA", f"{finding.found}, imported by the verifier")


def check_z3() -> Finding:
    """Whether Z3's library loads and answers."""
    try:
        import z3

        solver = z3.Solver()
        x = z3.Real("x")
        solver.add(x * 2 == 1)
        answer = str(solver.check())
    except Exception as error:  # a missing shared library shows as one of several errors
        return Finding("Z3 answers", _first_line(error), f"{PIP} --force-reinstall z3-solver")
    return Finding("Z3 answers", answer, "" if answer == "sat" else f"{PIP} --force-reinstall z3-solver")


def check_kernel() -> Finding:
    """Whether the kernel named python3, which the labs ask for, is this Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    cure = "python -m ipykernel install --sys-prefix"
    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return Finding("kernel python3", "not installed", cure)
    # the specification may name a Python by a bare name, which JupyterLab then reads as its own
    same = program.startswith("python") or Path(program).absolute() == Path(sys.executable).absolute()
    if same or Path(program).absolute().parent == Path(sys.executable).absolute().parent:
        return Finding("kernel python3", program)
    return Finding("kernel python3", f"starts {program}, not {sys.executable}", cure)


def jupyter_folders() -> list[Path]:
    """Where JupyterLab looks for extensions, first come first served."""
    from jupyter_core.paths import jupyter_path

    return [Path(folder) for folder in jupyter_path("labextensions")]


def check_lab_extension(name: str, folders: Sequence[Path]) -> Finding:
    """Whether a JupyterLab extension is in one of the folders and not disabled."""
    what = f"extension {name}"
    package = "nbgrader" if "nbgrader" in name else "ipywidgets jupyterlab_widgets"
    if not any((folder / name / "package.json").is_file() for folder in folders):
        return Finding(what, "not installed", f"{PIP} --force-reinstall --no-deps {package}")
    if any(_switched_off(settings, name) for settings in _page_configs(folders)):
        return Finding(what, "disabled", f"jupyter labextension enable {name}")
    return Finding(what, "installed")


def check_server_extension() -> Finding:
    """Whether nbgrader's half of the Validate button, which runs in the server, is switched on."""
    from jupyter_core.paths import jupyter_config_path
    from jupyter_server.extension.config import ExtensionConfigManager

    what = f"server extension {SERVER_EXTENSION}"
    enabled = ExtensionConfigManager(read_config_path=jupyter_config_path()).get_jpserver_extensions()
    if enabled.get(SERVER_EXTENSION):
        return Finding(what, "enabled")
    return Finding(what, "not enabled", f"jupyter server extension enable --sys-prefix {SERVER_EXTENSION}")


def check_verify() -> Finding:
    """Whether the verifier answers a question whose answer is known."""
    try:
        import torch

        from verifier import verify

        net = torch.nn.Linear(1, 1)
        with torch.no_grad():
            net.weight.fill_(2.0)
            net.bias.fill_(1.0)
        verdict = verify(net, [[0.0, 1.0]], [[0.5, 3.5]]).verdict.name
    except Exception as error:  # whatever is wrong, its message is what helps
        return Finding("verify()", f"{type(error).__name__}: {_first_line(error)}", f"{PIP} --editable '.[labs]'")
    return Finding("verify()", verdict, "" if verdict == "VERIFIED" else f"{PIP} --editable '.[labs]'")


def main() -> int:
    """Print every finding, then the cures; the exit status is 1 when something is wrong."""
    findings = examine()
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark = _colored("ok     ", "green") if finding.well else _colored("WRONG  ", "red")
        print(f"{mark}{finding.what:<{width}}  {finding.found}")
    cures = list(dict.fromkeys(finding.cure for finding in findings if not finding.well))
    if not cures:
        print("\nEverything that the course needs is here.")
        return 0
    print("\nTo mend it, run in this environment, in this order, and then the doctor again:")
    for cure in cures:
        print(f"  {cure}")
    return 1


def _torch_pair() -> list[str]:
    _, requirements = declared()
    return [f"'{line}'" for line in requirements if re.match(r"torch(vision)?\b", line)]


def _in_range(version: str, wanted: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:  # itself one of the findings; until then the lowest version is what can be told
        numbers = [tuple(map(int, re.findall(r"\d+", text)[:3])) for text in (version, wanted)]
        return numbers[0] >= numbers[1]
    return SpecifierSet(wanted).contains(version, prereleases=True)


def _page_configs(folders: Sequence[Path]) -> Iterator[dict[str, object]]:
    """JupyterLab's settings of what is switched off: beside the extensions, and in the folders of its configuration."""
    from jupyter_core.paths import jupyter_config_path

    places = [folder.parent / "lab" / "settings" for folder in folders]
    places += [Path(folder) / "labconfig" for folder in jupyter_config_path()]
    for place in places:
        path = place / "page_config.json"
        if path.is_file():
            try:
                yield json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                continue


def _switched_off(settings: dict[str, object], name: str) -> bool:
    off = settings.get("disabledExtensions", {})
    return bool(off.get(name)) if isinstance(off, dict) else isinstance(off, list) and name in off


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:160]


def _colored(text: str, color: str) -> str:
    try:
        from termcolor import colored
    except ImportError:
        return text
    return colored(text, color, attrs=["bold"])


if __name__ == "__main__":
    sys.exit(main())
