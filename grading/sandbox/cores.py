"""A processor core for each submission that runs beside others, so that a greedy one cannot take its neighbours' time.

The kernel shares a core among processes: 60 busy ones get 60 parts of it, and a neighbour one. Submissions pinned to
different cores do not share any. A core is taken by binding an abstract socket of its name: that holds on the whole
machine, whoever grades, and the kernel lets go of it when the process ends. Groups of the kernel's (cgroups) would do
it too, but need rights that whoever grades rarely has.
"""

import itertools
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_NAME = "\0nn-verification-grading-core-{}"
_turn = itertools.count()


@contextmanager
def own_core() -> Iterator[int | None]:
    """A core that no other submission has, or, where all are taken, one in turn; None where there is only one."""
    if not hasattr(os, "sched_getaffinity"):
        yield None
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        yield None
        return
    for core in cores:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as taken:
            try:
                taken.bind(_NAME.format(core))
            except OSError:
                continue
            yield core
            return
    yield cores[next(_turn) % len(cores)]
