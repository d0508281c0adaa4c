# ruff: noqa: E501  the cells of a notebook stand on one line each
"""A hostile notebook breaks nothing: limits hold, nothing outlives the run, and the next submission is graded as ever."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from grading.limits import Limits
from tests.grading.attacks.attack_lab import FULL, graded, points, small_lab
from tests.grading.conftest import needs_sandbox

pytestmark = needs_sandbox
LIMITS = Limits(wall_s=4, cell_s=2, cpu_s=3, memory_mb=256, processes=16, file_mb=4, tmp_mb=8, output_kb=64)

HAND_BACK = "    x[k : k + part] = b'x' * part; x.madvise(mmap.MADV_DONTNEED, k, part)"
# (what a cell before the lab does, status of the run, whether a solved lab keeps its points)
ATTACKS = {
    "fork bomb": ("import os\ntry:\n    while True: os.fork()\nexcept OSError: pass", {"graded", "time", "cpu", "ended"}, None),
    "thread bomb": (
        "import threading, time\ntry:\n    while True: threading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n"
        "except RuntimeError: pass",
        {"graded"},
        None,
    ),
    "memory hog": ("x = bytearray(10**9)", {"graded"}, True),
    "memory hog in small pieces": (
        "x = []\ntry:\n    while True: x.append(bytearray(10**6))\nexcept MemoryError: pass",
        {"graded", "memory"},
        None,
    ),
    "memory hog in several processes": (
        "import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n        x = bytearray(80 * 10**6); time.sleep(60)\n"
        "time.sleep(1)",
        {"memory"},
        None,
    ),
    "memory hog in a file of shared memory": (
        "import os\nwith open('/dev/shm/x', 'wb') as f:\n    while True: f.write(b'x' * 10**6)", {"graded"}, True
    ),
    "memory hog in a shared mapping": (
        "import mmap\nx = mmap.mmap(-1, 10**9)\nfor k in range(0, 10**9, 4096): x[k] = 1", {"graded"}, True
    ),
    "a shared mapping whose pages are handed back": (
        f"import mmap\nx, part = mmap.mmap(-1, 2**30), 2**24\nfor k in range(0, len(x), part):\n{HAND_BACK}", {"graded"}, True
    ),
    "a shared mapping of /dev/zero": (
        "import mmap\nf, part = open('/dev/zero', 'r+b'), 2**24\nx = mmap.mmap(f.fileno(), 2**30)\n"
        f"for k in range(0, len(x), part):\n{HAND_BACK}",
        {"graded"},
        True,
    ),
    "memory of System V that no process holds": (
        "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.shmat.restype = ctypes.c_void_p\n"
        "for k in range(16):\n    at = libc.shmat(libc.shmget(0, 2**26, 0o1600), None, 0)\n"
        "    ctypes.memset(at, 1, 2**26)\n    libc.shmdt(ctypes.c_void_p(at))",
        {"ended"},
        False,
    ),
    "page tables": (
        "import ctypes, numpy, time\nlibc = ctypes.CDLL(None)\nlibc.mmap.restype = ctypes.c_void_p\n"
        "size = ctypes.c_size_t(2**38)\nat = libc.mmap(None, size, 1, 0x4022, -1, ctypes.c_long(0))\n"
        "numpy.frombuffer((ctypes.c_char * size.value).from_address(at), numpy.uint8)[:: 2**21].sum()\ntime.sleep(1)",
        {"memory"},
        False,
    ),
    "what waits in sockets": (
        "import os, socket, time\nfor _ in range(9):\n    if os.fork() == 0: break\nkept = []\ntry:\n    while True:\n"
        "        kept += socket.socketpair()\n        for end in kept[-2:]:\n            end.setblocking(False)\n"
        "            try:\n                while True: end.send(b'x' * 4096)\n            except BlockingIOError: pass\n"
        "except OSError: time.sleep(60)",
        {"memory"},
        False,
    ),
    "disk filler": ("with open('/tmp/x', 'wb') as f:\n    while True: f.write(b'x' * 10**6)", {"graded"}, True),
    "disk filler in many files": (
        "for k in range(10**9): open(f'/tmp/{k}', 'wb').write(b'x' * 10**6)", {"graded", "memory"}, None
    ),
    "many empty files": ("for k in range(10**6): open(f'/tmp/{k}', 'wb').close()", {"graded"}, True),
    "100 MB on one line": ("print('x' * 10**8)", {"graded"}, True),
    "a million lines": ("for k in range(10**6): print(k)", {"graded"}, True),
    "infinite loop": ("while True: pass", {"graded"}, True),
    "loop that swallows every exception": (
        "while True:\n    try:\n        while True: sum(range(9))\n    except BaseException: pass", {"time", "cpu"}, False
    ),
    "exit": ("import os; os._exit(0)", {"ended"}, False),
    "sys.exit": ("import sys; sys.exit(3)", {"graded"}, True),
    "SIGSTOP to itself": ("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", {"time"}, False),
    "SIGKILL to all": ("import os, signal; os.kill(-1, signal.SIGKILL)", {"graded", "ended"}, None),
    "segfault": ("import ctypes; ctypes.string_at(0)", {"ended"}, False),
    "recursion": ("def f(): f()\nf()", {"graded"}, True),
    "closed descriptors": ("import os; os.closerange(0, 256)", {"ended"}, False),
    "limits taken away": (
        "import resource\nfor what in (resource.RLIMIT_NPROC, resource.RLIMIT_DATA, resource.RLIMIT_CPU):\n"
        "    resource.setrlimit(what, (resource.RLIM_INFINITY,) * 2)",
        {"graded"},
        True,
    ),
}  # fmt: skip

PATIENT = {
    "recursion",
    "100 MB on one line",
    "a million lines",
}  # they end, on a busy machine later than on a quiet one


@pytest.mark.parametrize("solved", [False, True], ids=["unsolved", "solved"])
@pytest.mark.parametrize("name", ATTACKS)
def test_attack_costs_its_own_points_at_most(sandbox, name, solved):
    cell, statuses, keeps = ATTACKS[name]
    limits = replace(LIMITS, wall_s=30, cell_s=20, cpu_s=20) if name in PATIENT else LIMITS
    started = time.monotonic()
    result = graded(sandbox, small_lab([cell], solved=solved), limits=limits)
    assert time.monotonic() - started < limits.wall_s + 20  # the machine may be busy
    assert result.status in statuses
    assert result.peak_mb < 4 * LIMITS.memory_mb
    if not solved:
        assert points(result) == 0
    elif keeps is not None:
        assert points(result) == (FULL if keeps else 0)


def test_the_next_submission_is_graded_as_ever(sandbox):
    graded(sandbox, small_lab(["import os; os._exit(0)"], solved=True), limits=LIMITS)
    assert points(graded(sandbox, small_lab(solved=True))) == FULL and sandbox.alive


def test_no_process_outlives_its_submission(sandbox):
    mark = f"outlives-{os.getpid()}"
    cell = (
        f"import os, signal, subprocess, threading, time\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n"
        f"subprocess.Popen(['/bin/sh', '-c', 'sleep 300; : {mark}'], start_new_session=True)\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(300)\n    os._exit(0)\n"
        "threading.Thread(target=time.sleep, args=(300,)).start()"
    )
    result = graded(sandbox, small_lab([cell], solved=True), limits=LIMITS)
    assert points(result) == FULL
    time.sleep(0.3)
    assert not any(mark in text for text in _command_lines())


def _command_lines():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue


def test_mappings_are_memory_that_counts(sandbox):
    """Each is a piece of the kernel's memory, though nothing is ever written to it."""
    cell = (
        "import ctypes, os, time\nlibc = ctypes.CDLL(None)\nlibc.mmap.restype = ctypes.c_void_p\n"
        "for _ in range(9):\n    if os.fork() == 0: break\n"
        "size, none = ctypes.c_size_t(4096), ctypes.c_long(0)\n"
        "for k in range(64_000): libc.mmap(None, size, 1 + k % 2, 0x4022, -1, none)\ntime.sleep(99)"
    )
    limits = Limits(wall_s=90, cell_s=80, cpu_s=80, memory_mb=128, processes=16)
    assert graded(sandbox, small_lab([cell], solved=False), limits=limits).status == "memory"


def test_output_is_cut_and_says_so(sandbox):
    result = graded(sandbox, small_lab(["print('x' * 10**8)\nprint('the end')"], solved=False), limits=LIMITS)
    (output,) = result.notebook["cells"][0]["outputs"]
    assert len(output["text"]) < 70_000 and "cut" in output["text"]


def test_ten_thousand_cells(sandbox):
    cells = [f"x{k} = {k}" for k in range(10_000)]
    limits = Limits(wall_s=120, cell_s=60, cpu_s=60, memory_mb=512)
    assert points(graded(sandbox, small_lab(cells, solved=True), limits=limits)) == FULL


def test_a_student_is_told_why_the_notebook_was_ended(sandbox):
    cell = ATTACKS["memory hog in several processes"][0]
    result = graded(sandbox, small_lab([cell], solved=True), limits=LIMITS)
    said = [output for cell in result.notebook["cells"] for output in cell.get("outputs", [])]
    assert any("more than 256 MiB of memory" in output.get("evalue", "") for output in said)


def test_too_little_time_is_told_to_the_instructor(sandbox):
    loop = "def width(a, b):\n    while True:\n        try:\n            while True: sum(range(9))\n        except BaseException: pass"
    notebook = small_lab(solved=True)
    (cell,) = [c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == "width"]
    cell["source"] = "x_specs = [[0.7, 0.85]] * 2\n" + loop
    result = graded(sandbox, notebook, limits=LIMITS)
    assert result.status in ("time", "cpu") and result.outcomes[0].out_of_time
