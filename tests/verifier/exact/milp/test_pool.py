"""Worker processes: the same answers, a process that dies, and nothing left behind."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import verifier
from tests.verifier.networks import random_network
from verifier import MilpOptions, Reason, Verdict
from verifier.exact.milp import pool as pool_module
from verifier.exact.milp import search as search_module

BOX = [(-0.4, 0.4)] * 3
SPEC = verifier.less_than(1.0, output=1)

DIES = """
import os, sys
sys.argv = ["worker"]
import verifier.exact.milp.worker as worker
settle, folder = worker.settle, {folder!r}
def dying(question, part, *rest):
    if part.depth == 2:
        number = len(os.listdir(folder))
        if number < {times}:
            open(os.path.join(folder, str(number)), "w").close()
            os._exit(9)
    return settle(question, part, *rest)
worker.settle = dying
worker.main()
"""


def children() -> set[int]:
    """The processes that this one has started and that still run."""
    found = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    return {int(one) for one in found.split()}


@pytest.fixture
def dying(tmp_path, monkeypatch):
    """Let worker processes die on sub-problems of depth 2, so many times in all."""

    def arrange(times):
        class Dying(pool_module.Pool):
            def __init__(self, question, options):
                super().__init__(question, options, ("-c", DIES.format(folder=str(tmp_path), times=times)))

        monkeypatch.setattr(search_module, "Pool", Dying)

    return arrange


def verify(**options):
    network = random_network(2, 3, 8, 8, 3)
    return verifier.verify(network, BOX, SPEC, method="milp", milp=MilpOptions(workers=2, **options))


def test_two_workers_give_the_verdict_of_one_and_leave_nothing_behind():
    before = children()
    result = verify()
    assert result.verdict is Verdict.VERIFIED and result.milp.input_splits > 0 and result.milp.restarts == 0
    assert children() == before


def test_the_first_counterexample_ends_all_and_is_replayed_in_the_caller_s_object():
    network = random_network(5, 3, 8, 8, 3)
    cases = []
    result = verifier.verify(
        network, BOX, verifier.argmax_is(0), cases, method="milp", milp=MilpOptions(workers=2)
    )  # fmt: skip
    assert result.verdict is Verdict.FALSIFIED and network(cases[0][None])[0].argmax() != 0


def test_a_sub_problem_whose_process_dies_is_begun_again(dying):
    dying(2)
    result = verify()
    assert result.verdict is Verdict.VERIFIED and result.milp.restarts == 2


def test_after_the_third_death_the_sub_problem_is_reported(dying):
    before = children()
    dying(100)
    result = verify()
    assert result.verdict is Verdict.UNKNOWN and result.cause is Reason.WORKER_DIED
    assert "died 3 times" in result.reason
    assert children() == before


def test_an_error_in_a_worker_is_raised_here(monkeypatch):
    code = """
import verifier.exact.milp.worker as worker
def failing(*given):
    raise verifier.MissingDependencyError("HiGHS is not installed", "exact")
import verifier
worker.settle = failing
worker.main()
"""

    class Failing(pool_module.Pool):
        def __init__(self, question, options):
            super().__init__(question, options, ("-c", code))

    monkeypatch.setattr(search_module, "Pool", Failing)
    before = children()
    with pytest.raises(verifier.MissingDependencyError, match="not installed"):
        verify()
    assert children() == before


def test_a_limit_on_subdomains_keeps_the_work_in_this_process(monkeypatch):
    monkeypatch.setattr(search_module, "Pool", None)
    network = random_network(2, 3, 8, 8, 3)
    counts = [
        verifier.verify(network, BOX, SPEC, method="milp", max_subdomains=40, milp=MilpOptions(workers=workers)).milp
        for workers in (1, 2)
    ]
    assert counts[0].to_dict() == counts[1].to_dict()


def test_ctrl_c_leaves_no_process_behind(tmp_path):
    """A script without a main guard is interrupted while its workers are busy: UNKNOWN, and all are gone."""
    script = tmp_path / "asks.py"
    script.write_text(textwrap.dedent("""
        import os, sys, threading, time, signal, numpy as np, verifier
        from tests.verifier.networks import random_network
        net = random_network(0, 6, 40, 40, 40, 1)
        def interrupt():
            mine = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
            while len(open(mine).read().split()) < 2:
                time.sleep(0.05)
            time.sleep(0.5)
            print("pids", open(mine).read(), flush=True)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt, daemon=True).start()
        r = verifier.verify(net, [(-0.2, 0.2)] * 6, [(None, 1.8)], method="milp", timeout_s=60, progress=False,
                            milp=verifier.MilpOptions(workers=2, favour=1e6))
        print(r.verdict.value, r.interrupted)
    """))  # fmt: skip
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[-1] == "unknown True", done.stdout + done.stderr
    for pid in lines[0].split()[1:]:
        assert not Path(f"/proc/{pid}").exists()
