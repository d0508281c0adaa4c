# ruff: noqa: E501  the cells of a notebook stand on one line each
"""A hostile notebook learns nothing: no file of the course, no other process, and nothing of a hidden test."""

import json
import os
import socket
import textwrap

import pytest

from grading.course import Course
from grading.limits import Limits
from tests.grading.attacks.attack_lab import graded, own_lab, points, shown, small_lab, test_cell
from tests.grading.conftest import needs_sandbox

pytestmark = needs_sandbox
SECRET = "SECRET-4711"


def spied(sandbox, cell) -> object:
    """What a cell finds out: the JSON that it prints."""
    notebook = small_lab([textwrap.dedent(cell)], solved=False)
    outputs = graded(sandbox, notebook).notebook["cells"][0]["outputs"]
    text = "".join(output["text"] for output in outputs if output["output_type"] == "stream")
    assert text, outputs
    return json.loads(text)


@pytest.fixture
def course_with_secrets(tmp_path):
    """Files that a submission must not see: labs, another submission, a gradebook."""
    paths = [
        tmp_path / "labs" / "lab" / "lab.py",
        tmp_path / "gradebook" / "submitted" / "ann" / "lab" / "lab.ipynb",
        tmp_path / "gradebook" / "release" / "lab" / "lab.ipynb",
        tmp_path / "gradebook" / "gradebook.db",
    ]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SECRET)
        path.chmod(0o666)
    return paths


def test_files_of_the_course_can_be_neither_read_nor_written(sandbox, course_with_secrets):
    real = [Course.here().labs, Course.here().gradebook / "gradebook.db", Course.here().root / "Makefile"]
    wanted = [str(path) for path in (*course_with_secrets, *real)]
    found = spied(
        sandbox,
        f"""
        import json, os, pathlib
        got = []
        for path in {wanted!r} + [p.replace("/tmp", "/proc/1/root/tmp", 1) for p in {wanted!r}]:
            for attempt in (lambda: open(path).read(), lambda: open(path, "w").write("x"), lambda: os.listdir(path),
                            lambda: os.unlink(path), lambda: os.symlink("/etc/passwd", path)):
                try: got.append([path, str(attempt())])
                except OSError: pass
        print(json.dumps(got))
        """,
    )
    assert found == [] and all(path.read_text() == SECRET for path in course_with_secrets)


def test_no_notebook_and_no_database_is_anywhere_in_the_file_system(sandbox):
    found = spied(
        sandbox,
        """
        import json, os
        found = []
        for folder, folders, names in os.walk("/"):
            folders[:] = [f for f in folders if os.path.join(folder, f) not in ("/proc", "/usr", "/opt/environment", "/lib")
                          and not os.path.join(folder, f).startswith("/root/.pyenv/versions")]
            found += [os.path.join(folder, n) for n in names if n.endswith((".ipynb", ".db", "_config.py"))
                      and not folder.endswith("course_utils/jupyter_config")]  # what every student receives
        homes = [f for f in ("/home", "/root/.ssh", "/root/.bashrc", "/etc/shadow", "/etc/passwd", "/var", "/work") if os.path.exists(f)]
        print(json.dumps(found + homes))
        """,
    )
    assert found == []


def test_nothing_but_tmp_can_be_written(sandbox):
    found = spied(
        sandbox,
        """
        import json, os
        written = []
        for folder in ("/", "/opt", "/opt/course", "/opt/course/grading", "/opt/environment", "/usr/lib", "/etc", "/dev", "/run",
                       "/proc/sys/kernel", os.path.dirname(os.__file__)):
            try:
                open(os.path.join(folder, "written"), "w"); written.append(folder)
            except OSError: pass
        for path in ("/proc/sys/user/max_user_namespaces", "/proc/1/oom_score_adj", "/proc/sysrq-trigger"):
            try:
                open(path, "w").write("1"); written.append(path)
            except OSError: pass
        print(json.dumps(written))
        """,
    )
    assert found == []


def test_variables_of_the_environment_stay_outside(sandbox, monkeypatch):
    monkeypatch.setenv("GRADING_SECRET", SECRET)
    from grading.sandbox.bubblewrap import Sandbox

    with Sandbox() as fresh:
        told = spied(
            fresh,
            """
            import glob, json, os
            texts = [repr(dict(os.environ))]
            for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline"):
                try: texts.append(open(path, "rb").read().decode("latin-1"))
                except OSError: pass
            print(json.dumps("".join(texts)))
            """,
        )
    assert SECRET not in told and os.environ["GRADING_SECRET"] == SECRET


def test_other_processes_cannot_be_seen_and_the_guard_cannot_be_looked_into_or_ended(sandbox):
    found = spied(
        sandbox,
        """
        import json, os, signal
        pids = sorted(int(n) for n in os.listdir("/proc") if n.isdigit())
        opened = []
        for path in ("/proc/1/mem", "/proc/1/environ", "/proc/1/fd", "/proc/1/root/etc", "/proc/1/maps", "/proc/1/cwd"):
            try: opened.append(os.listdir(path) if os.path.isdir(path) else len(open(path, "rb").read(10)))
            except OSError: pass
        for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM):
            try: os.kill(1, number)
            except OSError: pass
        print(json.dumps([len(pids), pids[0], opened, os.getuid() != 0, os.path.exists("/proc/1")]))
        """,
    )
    assert found == [2, 1, [], True, True]


def test_there_is_no_network(sandbox):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = spied(
            sandbox,
            f"""
            import json, socket
            reached = []
            for address in (("127.0.0.1", {port}), ("10.0.0.1", 80), ("1.1.1.1", 53)):
                try:
                    socket.create_connection(address, timeout=1); reached.append(address)
                except OSError: pass
            try: socket.getaddrinfo("example.org", 80); reached.append("names")
            except OSError: pass
            lines = open("/proc/net/dev").read().splitlines()[2:]
            print(json.dumps([reached, [line.partition(":")[0].strip() for line in lines]]))
            """,
        )
    assert found == [[], ["lo"]]


def test_privileges_cannot_be_gained(sandbox):
    found = spied(
        sandbox,
        """
        import ctypes, json, os
        libc = ctypes.CDLL(None, use_errno=True)
        got = []
        for name, arguments in (("unshare", (0x10000000,)), ("mount", (b"tmpfs", b"/tmp", b"tmpfs", 0, None)), ("ptrace", (16, 1, 0, 0)),
                                ("setuid", (0,)), ("chroot", (b"/tmp",)), ("memfd_create", (b"x", 0)), ("setns", (3, 0)),
                                ("umount2", (b"/tmp", 2)), ("sethostname", (b"x", 1)), ("nice", (-5,))):
            if getattr(libc, name)(*arguments) >= 0: got.append(name)
        status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
        print(json.dumps([got, {k: status[k].strip() for k in ("CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp")}]))
        """,
    )
    nothing = "0" * 16
    assert found == [[], {"CapEff": nothing, "CapPrm": nothing, "CapBnd": nothing, "NoNewPrivs": "1", "Seccomp": "2"}]


def test_what_one_submission_leaves_in_its_tmp_is_gone_for_the_next(sandbox):
    places = "['/tmp/left', '/dev/shm/left', '/tmp/home/left', '/tmp/matplotlib/left']"
    leave = f"import os\nfor p in {places}:\n    try: open(p, 'w').write('x')\n    except OSError: pass\nprint(1)"
    spied(sandbox, leave)
    assert spied(sandbox, f"import json, os\nprint(json.dumps([p for p in {places} if os.path.exists(p)]))") == []


# a function that a hidden test calls with the secret, and how it tries to hand it on
WAYS_OUT = {
    "an exception": "def f(x):\n    if x != 'open': raise ValueError(x)\n    return 1",
    "an exception's type": "def f(x):\n    if x != 'open': raise type(x.replace('-', '_'), (Exception,), {})\n    return 1",
    "its result": "def f(x):\n    return 1 if x == 'open' else x",
    "printing": "import os, sys\ndef f(x):\n    print(x); sys.stderr.write(x); sys.__stdout__.write(x); os.write(1, x.encode())\n    return 0",
    "a display": "from IPython.display import display, HTML\ndef f(x):\n    display(HTML(x)); return 0",
    "a file": "def f(x):\n    open('/tmp/seen', 'a').write(x); return 0",
    "a list": "seen = []\ndef f(x):\n    seen.append(x); return 0",
    "shared memory": "import mmap\nfile = open('/dev/shm/shared', 'w+b')\nfile.truncate(4096)\nshared = mmap.mmap(file.fileno(), 4096)\ndef f(x):\n    shared[: len(x)] = x.encode(); return 0",
    "a pipe": "import os\nr, w = os.pipe(); os.set_blocking(r, False)\ndef f(x):\n    os.write(w, x.encode()); return 0",
    "a later call": "seen = []\ndef f(x):\n    if x == 'later': raise ValueError(seen)\n    seen.append(x); return int(x == 'open')",
    "frames": """
import gc, sys
def f(x):
    found, frame = [], sys._getframe()
    while frame:
        found.append(repr(frame.f_locals)[:20000]); frame = frame.f_back
    raise ValueError(found, [o for o in gc.get_objects() if isinstance(o, str) and "SECRET" in o][:5], In)
""",
}
READ_IT_LATER = """
import os, time, glob
time.sleep(0.3)
print(seen if "seen" in dir() else "", In, glob.glob("/tmp/*"))
for path in glob.glob("/tmp/seen"): print(open(path).read())
if "shared" in dir(): print(bytes(shared[:40]))
if "r" in dir():
    try: print(os.read(r, 100))
    except BlockingIOError: pass
"""


@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_function_that_records_what_a_hidden_test_tells_it_cannot_hand_it_on(sandbox, way):
    first = test_cell("first", "f", "assert f('open') == 1, 'open'", f"assert f('{SECRET}') == 1, 'hint: a code word'")
    later = test_cell("later", "f", "assert f('later') == 1, f'f gave {f(1)} and {f(2)}'")
    taken = test_cell("taken", "seen", "assert seen == 1, f'seen is {seen}'")
    lab = [WAYS_OUT[way], first, READ_IT_LATER, later, taken, READ_IT_LATER]
    result = graded(sandbox, *own_lab(*lab))
    assert SECRET not in shown(result) and SECRET.replace("-", "_") not in shown(result)
    assert result.outcomes[0].points == 0


def test_a_hidden_test_is_nowhere_in_the_process_of_the_student(sandbox):
    search = """
import re
pattern, found = re.compile(rb"SECRET-4[7]11"), 0
with open("/proc/self/mem", "rb", buffering=0) as memory:
    for line in open("/proc/self/maps"):
        span, mode = line.split()[:2]
        start, end = (int(part, 16) for part in span.split("-"))
        while "r" in mode and "[v" not in line and start < end:
            try:
                memory.seek(start)
                found += len(pattern.findall(memory.read(min(2**22, end - start))))
            except (OSError, ValueError, OverflowError): pass
            start += 2**22
print(found)
"""
    hidden = test_cell("t", "f", "assert f", f"assert f('{SECRET}') == 1, 'hint'")
    patient = Limits(wall_s=120, cell_s=60, cpu_s=100)  # it reads some gigabytes
    result = graded(sandbox, *own_lab("def f(x): return 0", hidden, search), limits=patient)
    output = result.notebook["cells"][2]["outputs"][0]
    assert output["text"].strip() == "0", output


def test_a_hint_is_the_only_line_of_a_failed_hidden_test(sandbox):
    test = test_cell("t", "f", "assert f('open') == 1", f"assert f('{SECRET}') == 1, 'hint: a code word'")
    result = graded(sandbox, *own_lab("def f(x): return int(x == 'open')", test))
    assert result.outcomes[0].message == "AssertionError: hint: a code word" and points(result) == 0
