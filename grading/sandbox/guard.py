"""Process 1 of a submission's own namespaces: it sets the limits, starts the process that is watched, and ends
everything.

It is forked from the zygote and runs only code of ours. What it starts sees a private /tmp and /proc, no other process,
no network, and has no privileges; when the guard ends, the kernel ends every process of the namespace with it.
"""

import contextlib
import functools
import itertools
import json
import os
import resource
import select
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from grading.limits import Ended, Limits
from grading.sandbox import kernel_calls

HOME = Path("/tmp/home")  # in the namespace's own /tmp
UID_INSIDE = 65534
SECONDS_BETWEEN_LOOKS = 0.05
LOOKS_BETWEEN_COUNTS = 20  # of what takes longer to count
MAPPING_BYTES = 256  # of the kernel's memory, for each mapping of a process
MIB = 2**20
FREE_SOCKETS, SOCKET_BYTES = 64, 2**19  # what a socket can hold in the kernel, where no other limit counts it
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
TERMINALS = "newinstance,ptmxmode=0666,mode=620,max=16"
_TICKS = os.sysconf("SC_CLK_TCK")


def confine_and_run(
    lifeline: socket.socket,
    sockets: tuple[socket.socket, socket.socket],
    limits: Limits,
    core: int | None,
    main: Callable[[], None],
    isolated: bool,
) -> None:
    """Run `main` in namespaces of its own, watched; never returns.

    Args:
        lifeline: From whoever asked: one end of a socket. When the other end closes, everything is ended; when
            everything has ended, one line of JSON says how.
        sockets: What `main` talks through: to the other process of the submission, and to whoever asked.
        limits: What may be used.
        core: The one processor core that may be used, or None for all.
        main: What the watched process does.
        isolated: Whether to make namespaces; without them only the limits hold (for `--unsafe-no-sandbox`).
    """
    os.setsid()
    if isolated:
        kernel_calls.enter_own_namespaces(UID_INSIDE)
        if os.fork():
            os._exit(0)
        _furnish(limits)
    watched = os.fork()
    if watched == 0:
        with contextlib.suppress(BaseException):
            lifeline.close()
            if core is not None:
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(0, {core})  # for good: the filter of system calls refuses another
            _limit(limits, isolated)
            main()
        os._exit(0)
    if isolated:
        kernel_calls.set_hidden(True)
    peer, job = sockets
    job.close()
    said: dict[str, Any] = {"ended": Ended.LOST}
    with contextlib.suppress(Exception):
        said = _watch(watched, lifeline, peer, limits, isolated)
    with contextlib.suppress(OSError):
        lifeline.sendall(json.dumps(said).encode() + b"\n")
    if not isolated:
        with contextlib.suppress(OSError):
            os.killpg(os.getpgid(watched), signal.SIGKILL)
    os._exit(0)  # with process 1, the kernel ends all others


def _furnish(limits: Limits) -> None:
    """Private mounts, made while there are still privileges to make them."""
    kernel_calls.make_mounts_private()
    flags = kernel_calls.MS_NOSUID | kernel_calls.MS_NODEV
    kernel_calls.mount("proc", "/proc", flags | kernel_calls.MS_NOEXEC)
    for folder, size in (("/tmp", limits.tmp_mb), ("/dev/shm", min(limits.tmp_mb, 64))):
        kernel_calls.mount("tmpfs", folder, flags, f"size={size}m,nr_inodes=20000,mode=777")
    # terminals of its own: those of the sandbox are one table, which any submission could fill, write to and read
    kernel_calls.mount("devpts", "/dev/pts", kernel_calls.MS_NOSUID | kernel_calls.MS_NOEXEC, TERMINALS)
    for device in DEVICES:  # else the time of a device's last change, which anyone may set, would be a message
        kernel_calls.make_read_only(f"/dev/{device}")
    # a nested user namespace would give back the privileges that are taken away below
    Path("/proc/sys/user/max_user_namespaces").write_text("0")


def _limit(limits: Limits, isolated: bool) -> None:
    """Limits of the one process, which its children inherit, and no way back."""
    os.setsid()
    _own_null_device()
    data = _status(os.getpid()).get("VmData", 0)
    files = min(limits.open_files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    for what, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, int(limits.cpu_s) + 1),
        (resource.RLIMIT_FSIZE, limits.file_mb * MIB),
        (resource.RLIMIT_NOFILE, files),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 1024),  # signals that wait, and timers, which are memory of the kernel's
        (resource.RLIMIT_DATA, data + limits.memory_mb * MIB),
    ):
        resource.setrlimit(what, (value, value))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that grows too large is an OSError, not the end
    Path("/proc/self/oom_score_adj").write_text("1000")
    if isolated:
        resource.setrlimit(resource.RLIMIT_NPROC, (limits.processes, limits.processes))
        kernel_calls.give_up_privileges()
        kernel_calls.refuse_system_calls()
    os.environ["HOME"] = str(HOME) if isolated else str(Path.cwd())


def _own_null_device() -> None:
    """Open /dev/null again: forked processes share an open file, and its flags would carry a message among them."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def _watch(
    watched: int, lifeline: socket.socket, peer: socket.socket, limits: Limits, isolated: bool
) -> dict[str, Any]:
    """Look now and then, until everything has ended or must end."""
    started, cpu_s, peak, waited, mappings = time.monotonic(), 0.0, 0, 0.0, 0
    mapped = _mappings([watched])  # these it has in common with the zygote
    looks = itertools.count()
    ended: Ended | None = None
    shared = _status(watched)  # it still has its pages in common with the zygote
    poll = select.poll()
    poll.register(lifeline, select.POLLIN | select.POLLHUP)
    while not ended:
        if poll.poll(1000 * SECONDS_BETWEEN_LOOKS):
            ended = Ended.STOPPED
        alive = _reap(watched)
        if not alive:  # children that hold its socket cannot make the other end wait for an answer
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        pids = list(_others()) if isolated else [watched] if alive else []
        if next(looks) % LOOKS_BETWEEN_COUNTS == 0:
            mappings = max(0, _mappings(pids) - mapped * len(pids)) * MAPPING_BYTES
            waited = max([waited, *map(_waited, pids)])
        used, computing = _used(pids, shared) + mappings, _computing(pids)
        if used > limits.memory_mb * MIB:
            used = sum(_proportional(pid, shared) for pid in pids) + _elsewhere() + mappings if isolated else used
        cpu_s, peak = max(cpu_s, computing), max(peak, used)
        if not pids:
            ended = ended or Ended.ENDED
        elif time.monotonic() - started > limits.wall_s:
            ended = Ended.TIME
        elif computing > limits.cpu_s:
            ended = Ended.CPU
        elif used > limits.memory_mb * MIB:
            ended = Ended.MEMORY
    if isolated:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    return {
        "ended": ended, "cpu_s": round(cpu_s, 3), "peak_mb": round(peak / MIB, 1), "waited_s": round(waited, 3)
    }  # fmt: skip


def _reap(watched: int) -> bool:
    """Bury the dead; false once the watched process is among them."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
    return Path(f"/proc/{watched}").exists()


def _others() -> Iterator[int]:
    own = os.getpid()
    for name in os.listdir("/proc"):  # noqa: PTH208  names are what is wanted, twenty times a second
        if name.isdigit() and int(name) != own:
            yield int(name)


def _status(pid: int) -> dict[str, int]:
    """Sizes from /proc/PID/status, in bytes."""
    sizes = {}
    with (
        contextlib.suppress(OSError, ValueError),
        Path(f"/proc/{pid}/status").open(encoding="utf-8", errors="replace") as file,
    ):
        for line in file:
            if line.startswith(("VmData", "VmPTE", "RssAnon", "RssShmem")):
                name, value = line.split(":")
                sizes[name] = int(value.split()[0]) * 1024
    return sizes


def _used(pids: list[int], shared: dict[str, int]) -> int:
    """An upper bound on the memory of these processes, counting what they have in common with each other again."""
    total = 0
    for pid in pids:
        status = _status(pid)
        total += sum(max(0, status.get(name, 0) - shared.get(name, 0)) for name in ("RssAnon", "VmPTE"))
        total += status.get("RssShmem", 0)
    return total + _elsewhere()


def _elsewhere() -> int:
    """Memory that is no process's own: files of the private folders, and what waits in sockets."""
    total = 0
    for folder in ("/tmp", "/dev/shm"):
        with contextlib.suppress(OSError):
            usage = shutil.disk_usage(folder)
            total += usage.used if usage.total < 2**33 else 0  # only the private ones are this small
    with contextlib.suppress(OSError), Path("/proc/net/unix").open("rb") as file:
        total += max(0, sum(1 for _ in file) - 1 - FREE_SOCKETS) * SOCKET_BYTES
    return total


def _proportional(pid: int, shared: dict[str, int]) -> int:
    """Memory of a process, its part only of what it shares; dearer to read."""
    total = max(0, _status(pid).get("VmPTE", 0) - shared.get("VmPTE", 0))
    with contextlib.suppress(OSError, ValueError), Path(f"/proc/{pid}/smaps_rollup").open(encoding="ascii") as file:
        for line in file:
            if line.startswith(("Pss_Anon", "Pss_Shmem")):
                total += int(line.split()[1]) * 1024
    return total


def _mappings(pids: list[int]) -> int:
    """How many mappings these processes have together, each of which costs memory of the kernel's."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), Path(f"/proc/{pid}/maps").open("rb") as file:
            total += sum(part.count(b"\n") for part in iter(functools.partial(file.read, 2**16), b""))
    return total


def _waited(pid: int) -> float:
    """Seconds that a process was ready to run, but others did; 0 where the kernel does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    return 0.0


def _computing(pids: list[int]) -> float:
    """Seconds of computing of all processes, those that have ended included."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError), Path(f"/proc/{pid}/stat").open("rb") as file:
            fields = file.read().rpartition(b")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ticks / _TICKS + ended.ru_utime + ended.ru_stime
