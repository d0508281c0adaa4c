"""The sandbox seen from outside: start a zygote in bubblewrap, and ask it for processes.

In the sandbox there are the system's libraries, the Python environment, `verifier`, `course_utils` and the part of
`grading` that runs inside, all read-only. There is no network, no submission, no lab, no gradebook, no home folder, no
variable of the caller's environment, and no process of outside.
"""

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grading.course import CourseError
from grading.limits import Ended, Limits

COURSE_INSIDE, ENVIRONMENT_INSIDE = "/opt/course", "/opt/environment"
SECONDS_TO_WARM_UP = 300.0
# what of the course the sandbox holds: what runs inside, and what that imports
SEEN = (
    "verifier", "course_utils", "grading/__init__.py", "grading/limits.py", "grading/wire", "grading/inside",
    "grading/lab/__init__.py", "grading/lab/contract.py",
    "grading/sandbox/__init__.py", "grading/sandbox/guard.py", "grading/sandbox/kernel_calls.py",
)  # fmt: skip
_ROOT = Path(__file__).resolve().parents[2]
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin")
SETTINGS = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/localtime",
)
HOW_TO_GET_BUBBLEWRAP = (
    "bubblewrap (the program bwrap) is missing, and without it a student's code would run with your rights. "
    "Install it (Debian, Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap), or use the container of "
    "grading/Containerfile; docs/instructor.md tells more. `--unsafe-no-sandbox` grades without, for submissions that "
    "you trust as your own code."
)


USED = ("cpu_s", "peak_mb", "waited_s")  # what a guard says of its processes


@dataclass(frozen=True)
class Launched:
    """A process that a zygote forked.

    Args:
        lifeline: Closing it ends the process and everything that it started; one line of JSON comes when it has ended.
        job: Its socket to us.
    """

    lifeline: socket.socket
    job: socket.socket

    def end(self, timeout_s: float = 5.0) -> dict[str, Any]:
        """End it, and say how it ended (`Ended`) and what it used."""
        said = b""
        try:
            self.lifeline.shutdown(socket.SHUT_WR)
            self.lifeline.settimeout(timeout_s)
            while part := self.lifeline.recv(4096):
                said += part
        except OSError:
            pass
        finally:
            self.lifeline.close()
            self.job.close()
        try:
            told = json.loads(said)
            used = {name: float(told.get(name, 0.0)) for name in USED}
            return {**used, "ended": Ended(told["ended"]), "why": str(told.get("why", ""))}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"ended": Ended.LOST, "why": "", **dict.fromkeys(USED, 0.0)}


class Sandbox:
    """A zygote, in bubblewrap or, if that is said explicitly, not.

    Args:
        imports: Modules that submissions will import; imported once, before any submission.
        unsafe: Run without bubblewrap: no isolation at all, only limits.

    Raises:
        CourseError: bubblewrap is missing or does not work here; the message names the cure.
    """

    def __init__(self, imports: Sequence[str] = (), *, unsafe: bool = False) -> None:
        self.isolated = not unsafe
        settings = json.dumps({"isolated": self.isolated, "imports": list(imports)})
        command = unsafe_command(settings) if unsafe else command_in_bubblewrap(settings)
        _allow_many_descriptors()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=_environment(),
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            ours.close()
            raise CourseError(f"the sandbox does not start: {error}. {_cure(str(error))}") from None
        finally:
            theirs.close()
        self._control = ours
        ours.settimeout(SECONDS_TO_WARM_UP)
        try:
            self.told: dict[str, Any] = json.loads(ours.recv(65536))
        except (OSError, ValueError):
            ours.close()
            self._process.kill()
            said = (self._process.communicate()[1] or b"").decode(errors="replace").strip()[-600:]
            raise CourseError(f"the sandbox does not start: {said or 'no reason given'}. {_cure(said)}") from None
        ours.settimeout(30.0)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def launch(self, role: str, limits: Limits, peer: socket.socket, core: int | None = None) -> Launched:
        """Fork one process.

        Args:
            role: "worker" or "judge".
            limits: What it may use.
            peer: Its socket to the other role's process; closed here.
            core: The one processor core that it may use, or None for all.
        """
        lifeline, lifeline_inside = socket.socketpair()
        job, job_inside = socket.socketpair()
        inside = (lifeline_inside, peer, job_inside)
        try:
            request = json.dumps({"role": role, "limits": limits.to_data(), "core": core}).encode()
            socket.send_fds(self._control, [request], [end.fileno() for end in inside])
        except OSError as error:
            lifeline.close()
            job.close()
            raise CourseError(f"the sandbox has ended ({error}); grade again") from None
        finally:
            for end in inside:
                end.close()
        return Launched(lifeline, job)

    def close(self) -> None:
        """End the zygote and every process that came from it."""
        self._control.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()


def _allow_many_descriptors() -> None:
    """Let no submission's descriptors under way keep this process, of the same user, from sending its own."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def bubblewrap() -> str | None:
    """Where bubblewrap's program is, or None."""
    return shutil.which("bwrap")


def trouble() -> str:
    """Why the sandbox would not work on this machine, or the empty string."""
    if not sys.platform.startswith("linux"):
        return f"submissions can be isolated on Linux only, not on {sys.platform}; {HOW_TO_GET_BUBBLEWRAP}"
    if bubblewrap() is None:
        return HOW_TO_GET_BUBBLEWRAP
    try:
        with Sandbox():
            return ""
    except CourseError as error:
        return str(error)


def lacking() -> str:
    """What is missing for a sandbox, and the command that adds it, in one line; the empty string where one works."""
    if not sys.platform.startswith("linux"):
        return f"bubblewrap needs Linux, and this is {sys.platform}; grading/Containerfile describes a container"
    if bubblewrap() is None:
        return "bubblewrap is missing; add it with: apt install bubblewrap (as root; Fedora: dnf install bubblewrap)"
    return "bubblewrap does not work here; `python -m grading doctor` says what to do" if trouble() else ""


def command_in_bubblewrap(settings: str) -> list[str]:
    """bubblewrap's command line for a zygote."""
    program = bubblewrap()
    if program is None or not sys.platform.startswith("linux"):
        raise CourseError(HOW_TO_GET_BUBBLEWRAP)
    root = os.geteuid() == 0
    command = [program, "--die-with-parent", "--new-session", "--clearenv", "--hostname", "grading"]
    command += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    # root needs no user namespace; it gives up being root once it has mounted /proc (see grading/inside/zygote.py)
    if root:
        for name in ("CAP_SETUID", "CAP_SETGID", "CAP_SYS_ADMIN"):
            command += ["--cap-add", name]
    else:
        command += ["--unshare-user"]
    for path in SYSTEM:
        if Path(path).is_symlink():
            command += ["--symlink", os.readlink(path), path]  # noqa: PTH115
        elif Path(path).is_dir():
            command += ["--ro-bind", path, path]
    command += ["--perms", "0755", "--dir", "/etc"]
    for path in SETTINGS:
        command += ["--ro-bind-try", path, path]
    command += ["--dir", "/proc"] if root else ["--proc", "/proc"]
    # a shared mapping of /dev/zero is memory that no limit sees
    command += ["--dev", "/dev", "--dev-bind", "/dev/null", "/dev/zero", "--perms", "1777", "--tmpfs", "/tmp"]
    python = _bind_python(command)
    for path in SEEN:
        command += _bound(_ROOT / path, f"{COURSE_INSIDE}/{path}")
    for name, value in _inner_environment().items():
        command += ["--setenv", name, value]
    command += ["--chdir", "/", "--remount-ro", "/dev", "--remount-ro", "/"]
    return [*command, "--", python, *_start(COURSE_INSIDE), settings]


def unsafe_command(settings: str) -> list[str]:
    """The command line of a zygote that nothing isolates."""
    return [sys.executable, *_start(str(_ROOT)), settings]


def _start(root: str) -> list[str]:
    """Python's arguments: isolated from the environment, with our own packages first."""
    return ["-I", "-c", f"import sys; sys.path.insert(0, {root!r}); from grading.inside.zygote import main; main()"]


def _bind_python(command: list[str]) -> str:
    """Bring the Python environment in; its program's path inside."""
    base, prefix = Path(sys.base_prefix), Path(sys.prefix)
    if not any(base.is_relative_to(path) for path in SYSTEM):
        command += _bound(base, str(base))
        real = Path(os.path.realpath(sys.executable))
        if not real.is_relative_to(base):
            command += _bound(real, str(real))
    if prefix == base:
        return sys.executable
    command += _bound(prefix, ENVIRONMENT_INSIDE)
    return f"{ENVIRONMENT_INSIDE}/bin/{Path(sys.executable).name}"


def _bound(source: Path, target: str) -> list[str]:
    """Bring a file or folder in, in folders that everyone may enter."""
    parents = [str(parent) for parent in reversed(Path(target).parents)][1:]
    folders = [part for parent in parents if parent not in SYSTEM for part in ("--perms", "0755", "--dir", parent)]
    return [*folders, "--ro-bind", str(source), target]


def _inner_environment() -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
        "USER": "student",
        "LOGNAME": "student",
        "LANG": "C.UTF-8",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "NUMBA_CACHE_DIR": "/tmp/numba",
        "IPYTHONDIR": "/tmp/ipython",
        "OMP_NUM_THREADS": "1",  # several threads on a busy machine made lab 1 six times slower
        "KERAS_BACKEND": "torch",  # the backend that the extra keras brings; it is read when Keras is first imported
        "PYTHONHASHSEED": "0",
    }


def _environment() -> dict[str, str]:
    """bubblewrap's own environment; without bubblewrap, the zygote's."""
    return {**_inner_environment(), "PATH": os.environ.get("PATH", "/usr/bin:/bin")}


def _cure(said: str) -> str:
    if "ermission" in said or "not permitted" in said or "namespace" in said:
        return (
            "This machine does not allow user namespaces: as root, `sysctl -w kernel.unprivileged_userns_clone=1 "
            "kernel.apparmor_restrict_unprivileged_userns=0`, or grade as root, or in the container of "
            "grading/Containerfile started with the options that stand in it."
        )
    if "No module named" in said or "not found" in said:
        return f"The Python of {sysconfig.get_paths()['purelib']} cannot be used from outside its own folders."
    return "`python -m grading doctor` looks for the reason."
