"""Many submissions at once: what goes wrong is a sentence, and a hog's neighbour gets a second run."""

import dataclasses
import json
import logging

import pytest

from grading.course import CourseError
from grading.run import many
from grading.run.many import Job, in_parallel, run_job
from grading.run.one import Graded, Status
from tests.grading.attacks.attack_lab import LIMITS, blueprint, small_lab
from tests.grading.conftest import needs_sandbox

pytestmark = [pytest.mark.xdist_group("recording"), pytest.mark.filterwarnings("default")]


def job(content=None):
    content = json.dumps(small_lab(solved=True)).encode() if content is None else content
    return Job(many.Submission(content), blueprint(), LIMITS)


@needs_sandbox
def test_a_damaged_notebook_is_an_answer_and_no_exception_of_dasks(caplog):
    with caplog.at_level(logging.WARNING):
        results = dict(in_parallel({"ann": job(b"{"), "bob": job(b"[]")}, (), workers=2))
    assert all(isinstance(one, CourseError) and "not a notebook" in str(one) for one in results.values())
    assert "Traceback" not in caplog.text
    assert "not a notebook" in json.loads(run_job(job(b"{").to_data(), ()))["refused"]
    many.close_sandboxes()


def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(many, "SECONDS_TO_CONNECT", 1)
    with pytest.raises(CourseError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        list(in_parallel({"ann": job()}, (), scheduler="tcp://127.0.0.1:9"))


def test_a_cluster_without_workers_is_named(monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(many, "SECONDS_TO_CONNECT", 1)
    cluster = LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", processes=False, protocol="tcp")
    with cluster, pytest.raises(CourseError, match="has no workers"):
        list(in_parallel({"ann": job()}, (), scheduler=cluster.scheduler_address))


def graded(status, waited_s):
    return Graded(status, [], {}, [], seconds=10.0, waited_s=waited_s)


def test_what_ran_out_of_time_while_others_had_the_processor_is_graded_again_alone(monkeypatch):
    """ann waited half of her time for a processor, bob was only slow; cleo waited and was in time all the same."""
    asked = []

    def answers(job, imports):
        asked.append((job.submission.notebook, job.beside_others))
        late = job.submission.notebook != b"cleo" and not (job.submission.notebook == b"ann" and not job.beside_others)
        return graded(Status.TIME if late else Status.GRADED, 0.1 if job.submission.notebook == b"bob" else 5.0)

    monkeypatch.setattr(many, "grade_here", answers)
    jobs = {name: dataclasses.replace(job(name.encode())) for name in ("ann", "bob", "cleo")}
    results = dict(in_parallel(jobs, (), workers=2))
    assert {name: one.status for name, one in results.items()} == {"ann": "graded", "bob": "time", "cleo": "graded"}
    assert sorted(asked) == [(b"ann", False), (b"ann", True), (b"bob", True), (b"cleo", True)]
    assert "second time" in results["ann"].notes[0] and not results["bob"].notes
