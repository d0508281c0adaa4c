# ruff: noqa: E501  the cells of a notebook stand on one line each
"""A hostile notebook that runs at the same time costs no other student a point."""

import json
import os
import threading
import time
from dataclasses import replace

import pytest

from grading.lab.submission import Submission
from grading.limits import Limits
from grading.run.many import Job, in_parallel
from tests.grading.attacks.attack_lab import FULL, blueprint, graded, own_lab, points, small_lab, test_cell
from tests.grading.conftest import needs_sandbox

pytestmark = needs_sandbox
LIMITS = Limits(wall_s=12, cell_s=8, cpu_s=10, memory_mb=256, processes=32, file_mb=8, tmp_mb=16, output_kb=64)
READY = "\nprint('at work', flush=True)\nimport time\nend = time.monotonic() + 6\nwhile time.monotonic() < end: "

# each takes something that all processes of one user share, and keeps it while others are graded
ATTACKS = {
    "descriptors under way in a socket": (
        "import socket\nfirst, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\ntry:\n"
        "    while True: socket.send_fds(first, [b'x'], [0] * 200)\nexcept OSError: pass" + READY + "time.sleep(0.1)"
    ),
    "all processes": (
        "import os, time\ntry:\n    while os.fork(): pass\n    time.sleep(60)\nexcept OSError: pass" + READY + "time.sleep(0.1)"
    ),
    "pages of pipes": (
        "import fcntl, os\nkept = []\ntry:\n    while True:\n        kept += os.pipe()\n        os.set_blocking(kept[-1], False)\n"
        "        try:\n            while True: os.write(kept[-1], b'x' * 4096)\n        except BlockingIOError: pass\n"
        "except OSError: [os.close(fd) for fd in kept[:20]]" + READY + "time.sleep(0.1)"
    ),
    "signals to everyone": "import os, signal" + READY + "\n    try: os.kill(-1, signal.SIGUSR1)\n    except OSError: pass",
    "priority": "import os\ntry: os.nice(-20)\nexcept OSError: pass" + READY + "pass",
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_another_submission_keeps_its_points_meanwhile(sandbox, name):
    results = {}

    def attack():
        results["hostile"] = graded(sandbox, small_lab([ATTACKS[name]], solved=False), limits=LIMITS)

    thread = threading.Thread(target=attack)
    thread.start()
    time.sleep(1.5)
    try:
        honest = graded(sandbox, small_lab(solved=True), limits=Limits(wall_s=60, cell_s=30))
        assert thread.is_alive(), "the attack was over before the other submission was graded"
    finally:
        thread.join()
    assert (honest.status, points(honest)) == ("graded", FULL)
    assert points(results["hostile"]) == 0


def test_one_submission_finds_no_trace_of_another_that_runs_beside_it(sandbox):
    hide = (
        "import os, socket, time\nopen('/tmp/mark', 'w').write('x'); open('/dev/shm/mark', 'w').write('x')\n"
        "server = socket.socket(socket.AF_UNIX); server.bind('\\0mark'); server.listen()\ntime.sleep(5)"
    )
    seek = (
        "import json, os, socket\nfound = [p for p in ('/tmp/mark', '/dev/shm/mark') if os.path.exists(p)]\n"
        "try:\n    socket.socket(socket.AF_UNIX).connect('\\0mark'); found.append('socket')\nexcept OSError: pass\n"
        "found += [n for n in os.listdir('/proc') if n.isdigit() and int(n) not in (1, os.getpid())]\nprint(json.dumps(found))"
    )
    thread = threading.Thread(target=graded, args=(sandbox, small_lab([hide], solved=False)), kwargs={"limits": LIMITS})
    thread.start()
    time.sleep(1)
    outputs = graded(sandbox, small_lab([seek], solved=False)).notebook["cells"][0]["outputs"]
    thread.join()
    assert json.loads(outputs[0]["text"]) == []


def test_the_worker_inherits_one_socket_and_nothing_else(sandbox):
    cell = (
        "import os\nheld = []\nfor fd in range(256):\n    try: held.append(os.readlink(f'/proc/self/fd/{fd}').partition(':')[0])\n"
        "    except OSError: pass"
    )
    lab = own_lab(
        cell,
        test_cell("t", "held", "assert set(held) == {'/dev/null', 'socket'} and held.count('socket') == 1, str(held)"),
    )
    result = graded(sandbox, *lab)
    assert points(result) == 1, result.outcomes[0].message


# what all submissions of one sandbox share unless each is given its own, and how one could say something with it
SAY = """
import ctypes, fcntl, glob, os, time
held = open("/usr/bin/env", "rb")
def attempt(function, *arguments):
    try: return function(*arguments)
    except OSError: return None
attempt(fcntl.flock, held, fcntl.LOCK_EX)
attempt(fcntl.fcntl, held, 37, __import__("struct").pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0))  # F_OFD_SETLK
attempt(fcntl.fcntl, 0, fcntl.F_SETFL, os.O_APPEND | os.O_NONBLOCK)
end = time.monotonic() + 40
while time.monotonic() < end:
    for name in glob.glob("/dev/pts/[0-9]*"):
        def tell():
            terminal = os.open(name, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
            os.write(terminal, b"told\\n")
            os.close(terminal)
        attempt(tell)
    attempt(os.utime, "/dev/null")
    attempt(open("/usr/bin/env", "rb").read)
    time.sleep(0.05)
"""
HEAR = """
import ctypes, fcntl, os, struct, time
libc, found = ctypes.CDLL(None, use_errno=True), set()
main, terminal = os.openpty()
os.set_blocking(main, False)
changed = os.stat("/dev/null").st_mtime_ns
watch = libc.inotify_init1(os.O_NONBLOCK)
if watch >= 0: libc.inotify_add_watch(watch, b"/usr/bin/env", 0x21)
end = time.monotonic() + 5
while time.monotonic() < end:
    for name, descriptor in (("terminal", main), ("watch", watch)):
        try:
            if descriptor >= 0 and os.read(descriptor, 99): found.add(name)
        except OSError: pass
    held = open("/usr/bin/env", "rb")
    try: fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError: found.add("lock of a file")
    except OSError: pass
    try:
        asked = fcntl.fcntl(held, 36, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_GETLK
        if struct.unpack("hhqqi4x", asked)[0] != fcntl.F_UNLCK: found.add("lock of a range")
    except OSError: pass
    if fcntl.fcntl(0, fcntl.F_GETFL) & os.O_APPEND: found.add("open file")
    if os.stat("/dev/null").st_mtime_ns != changed: found.add("time of a file")
    held.close()
    time.sleep(0.02)
print(sorted(found))
"""


def test_one_submission_can_say_nothing_to_another(sandbox):
    """Through terminals, locks and watches on files of the system, open files, times: all that they had in common."""
    limits = replace(LIMITS, wall_s=60, cell_s=50)
    talking = threading.Thread(target=graded, args=(sandbox, small_lab([SAY], solved=False)), kwargs={"limits": limits})
    talking.start()
    time.sleep(1.5)
    heard = graded(sandbox, small_lab([HEAR], solved=False), limits=limits)
    assert talking.is_alive(), "the one that talks was over before the other listened"
    talking.join()
    assert heard.notebook["cells"][0]["outputs"][0]["text"] == "[]\n"


def test_a_submission_has_few_terminals_of_its_own(sandbox):
    cell = "import os\nkept = []\ntry:\n    while len(kept) < 200: kept.append(os.openpty())\nexcept OSError: pass\ncount = len(kept)"
    assert points(graded(sandbox, *own_lab(cell, test_cell("t", "count", "assert 1 <= count <= 16, count")))) == 1


def test_submissions_side_by_side_have_different_cores_and_cannot_leave_them(sandbox):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core only")
    cell = (
        "import json, os, time\ntry: os.sched_setaffinity(0, range(64))\nexcept OSError: pass\n"
        "if os.fork() == 0:\n    try: os.sched_setaffinity(0, range(64))\n    finally: os._exit(0)\n"
        "print(json.dumps(sorted(os.sched_getaffinity(0)))); time.sleep(5)"
    )
    results = {}

    def run(name):
        results[name] = graded(sandbox, small_lab([cell], solved=True), limits=LIMITS, beside_others=True)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cores = [json.loads(one.notebook["cells"][0]["outputs"][0]["text"]) for one in results.values()]
    assert [len(one) for one in cores] == [1, 1] and cores[0] != cores[1]


def test_sockets_lead_nowhere_but_to_the_submissions_own_namespaces(sandbox):
    cell = (
        "import socket\nmade = []\nfor family in range(1, 46):\n    try: socket.socket(family, socket.SOCK_STREAM).close(); made.append(family)\n"
        "    except OSError as error: errno = error.errno\nmade"
    )
    lab = own_lab(cell, test_cell("t", "made", "assert set(made) <= {1}, str(made)"))
    assert points(graded(sandbox, *lab)) == 1
    vsock = own_lab(
        "import socket\ntry: socket.socket(40, socket.SOCK_STREAM)\nexcept OSError as error: number = error.errno",
        test_cell("t", "number", "assert number == 97"),
    )
    assert points(graded(sandbox, *vsock)) == 1


@pytest.mark.slow
def test_an_honest_submission_keeps_its_points_beside_two_with_sixty_busy_processes():
    """Graded in one run: what ran out of time while it waited for a processor is graded again by itself."""
    busy = "import os\nfor _ in range(59):\n    if os.fork() == 0:\n        while True: pass\nwhile True: pass"
    work = "import time\nwhile time.process_time() < 3: pass"
    limits = replace(LIMITS, wall_s=10, cell_s=9, cpu_s=10, processes=64)
    hog, honest = small_lab([busy], solved=False), small_lab([work], solved=True)
    jobs = {
        name: Job(Submission(json.dumps(notebook).encode()), blueprint(), limits)
        for name, notebook in {"hog": hog, "honest": honest, "other hog": hog}.items()
    }
    results = dict(in_parallel(jobs, ("numpy", "torch"), workers=3))
    assert {name: points(one) for name, one in results.items()} == {"hog": 0, "honest": FULL, "other hog": 0}
