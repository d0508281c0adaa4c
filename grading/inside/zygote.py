"""A process with the libraries imported, in a sandbox without files of the course, from which each submission is
forked.

It never runs a student's code and never reads anything that a student wrote: it waits for requests of whoever started
it, and each request brings the sockets that the forked process will talk through. Importing torch costs seconds,
forking milliseconds.

A request is one datagram of JSON, {"role": "worker" or "judge", "limits": {...}, "core": its number or null}, with
three descriptors: the guard's lifeline, the socket between worker and judge, and the socket between the judge and
whoever started it.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
from typing import Any

WORKER_UID = 61000  # when root grades, submissions run as this user, which owns nothing


def main() -> None:
    """Serve until the other end of standard input closes."""
    settings = json.loads(sys.argv[1])
    if settings["isolated"] and os.getuid() == 0:
        _become_another_user()
    sys.stdin = open(os.devnull)  # noqa: SIM115, PTH123  standard input is the socket
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    failed = _warm_up(settings["imports"])
    os.dup2(null, 2)
    os.close(null)
    gc.collect()
    gc.freeze()
    control.sendall(json.dumps({"ready": True, "failed": failed, "uid": os.getuid()}).encode())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 65536, 3)
        if not data:
            return
        if os.fork() == 0:
            control.close()
            with contextlib.suppress(BaseException):
                _serve(json.loads(data), descriptors, settings["isolated"])
            os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)


def _serve(request: dict[str, Any], descriptors: list[int], isolated: bool) -> None:
    """What a forked process does with one request."""
    from grading.inside import judge, worker
    from grading.limits import Ended, Limits
    from grading.sandbox.guard import confine_and_run

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    limits = Limits.from_data(request["limits"])
    lifeline, peer, job = (socket.socket(fileno=descriptor) for descriptor in descriptors)

    def main() -> None:
        if request["role"] == "worker":
            worker.main(peer, job, limits, isolated)
        else:
            judge.main(peer, job, limits, isolated)

    try:
        confine_and_run(lifeline, (peer, job), limits, request["core"], main, isolated)
    except OSError as error:
        lifeline.sendall(json.dumps({"ended": Ended.LOST, "why": f"not isolated: {error}"}).encode())


def _become_another_user() -> None:
    """Root mounts a /proc that nothing covers, as each submission's namespaces need, and is root no more."""
    from grading.sandbox import kernel_calls

    kernel_calls.mount("proc", "/proc", kernel_calls.MS_NOSUID | kernel_calls.MS_NODEV | kernel_calls.MS_NOEXEC)
    with contextlib.suppress(OSError):  # in a container with few users this one may not exist
        os.setgroups([])
        os.setresgid(WORKER_UID, WORKER_UID, WORKER_UID)
        os.setresuid(WORKER_UID, WORKER_UID, WORKER_UID)
    kernel_calls.set_hidden(False)


def _warm_up(imports: list[str]) -> list[str]:
    """Import what submissions will import; give the names of what could not be."""
    failed = []
    for name in imports:
        try:
            importlib.import_module(name)
        except Exception:  # a submission that needs it will say so
            failed.append(name)
    from grading.inside import judge, worker

    worker.prepare()
    judge.prepare()
    if "verifier" in sys.modules and "torch" in sys.modules:
        from course_utils import warm_up

        for step in (warm_up.answer_first_question, _use_kept_code, warm_up.compile_search):
            with contextlib.suppress(Exception), contextlib.redirect_stdout(None):
                step()
    if "matplotlib" in sys.modules:
        with contextlib.suppress(Exception):
            importlib.import_module("matplotlib_inline.backend_inline")
            importlib.import_module("matplotlib.pyplot").close("all")
    return failed


def _use_kept_code() -> None:
    """Set-up has compiled the search beside its sources; compiling it again in the sandbox would take 20 s."""
    from verifier.search.compiled.loop import use_kept_code

    use_kept_code()
