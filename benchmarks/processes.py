"""A program as a process of its own: what it printed, and what it cost."""

import gzip
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GRACE_S = 10.0  # beyond the limit a tool may still be starting or writing; then it is ended and has not answered


@dataclass(frozen=True)
class Ran:
    """What a process printed, and what it cost."""

    printed: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run_process(command: list[str], limit_s: float, threads: int = 1) -> Ran:
    """Run a program on so many threads; its CPU time is that of the process and its children."""
    environment = os.environ | dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)
    )
    with tempfile.TemporaryFile("w+") as printed:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=printed, stderr=subprocess.DEVNULL)
        usage = None
        while usage is None:
            pid, _, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                usage = used
                break
            if time.perf_counter() - started > limit_s + GRACE_S:
                os.kill(process.pid, signal.SIGKILL)  # not process.kill(), which might wait for it before wait4() can
            time.sleep(0.002)
        process.returncode = 0  # it was waited for here
        seconds = time.perf_counter() - started
        printed.seek(0)
        return Ran(printed.read(), seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def plain(path: Path, folder: Path) -> Path:
    """The file, unpacked where only its compressed form is there, so that every tool can read it."""
    if path.exists():
        return path
    unpacked = folder / path.name
    unpacked.write_bytes(gzip.decompress(path.with_name(path.name + ".gz").read_bytes()))
    return unpacked
