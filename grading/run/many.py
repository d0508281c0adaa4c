"""Submissions in parallel, with Dask, each independent of all others; a lost worker's is tried elsewhere."""

import atexit
import base64
import contextlib
import json
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from grading.course import CourseError
from grading.lab.shown import cells_that_only_show
from grading.lab.submission import GradedCell, Submission, read_blueprint
from grading.limits import Limits
from grading.run.one import Graded, grade, modules_of
from grading.sandbox.bubblewrap import Sandbox
from grading.wire.outcome import Outcome

RETRIES = 2
SECONDS_TO_CONNECT = 20
AT_ONCE = 4  # submissions handed to the cluster for each of its workers, so that memory holds only those
_sandboxes: dict[tuple[tuple[str, ...], bool], Sandbox] = {}
_one_at_a_time = threading.Lock()
_stopping = threading.Event()  # no sandbox is started any more


@dataclass(frozen=True)
class Job:
    """What is needed to grade one submission, wherever that happens."""

    submission: Submission
    blueprint: dict[str, GradedCell]
    limits: Limits
    unsafe: bool = False
    beside_others: bool = False
    lab_files: list[list[str]] = field(default_factory=list)
    only_show: Sequence[str] = ()

    def to_data(self) -> dict[str, Any]:
        """The job as plain data."""
        notebook = base64.b64encode(self.submission.notebook).decode("ascii")
        return {**asdict(self), "submission": {**asdict(self.submission), "notebook": notebook}}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "Job":
        """What to_data() wrote."""
        told = data["submission"]
        return cls(
            Submission(base64.b64decode(told["notebook"]), told["files"], told["notes"]),
            {name: GradedCell(**cell) for name, cell in data["blueprint"].items()},
            Limits.from_data(data["limits"]),
            data["unsafe"],
            data["beside_others"],
            data["lab_files"],
            data["only_show"],
        )


def in_parallel(
    jobs: Mapping[str, Job], imports: Sequence[str], *, workers: int = 1, scheduler: str | None = None
) -> Iterator[tuple[str, Graded | Exception]]:
    """Grade submissions, and give each as soon as it is done.

    Args:
        jobs: By student.
        imports: Modules that the submissions import.
        workers: Processes on this machine.
        scheduler: Address of a running Dask cluster, whose workers have this package and bubblewrap.

    Returns:
        (student, what came of it) pairs; an exception where it could not be graded.
    """
    if scheduler is None and min(workers, len(jobs)) < 2:
        try:
            for student, job in jobs.items():
                yield student, _attempt(job, tuple(imports))
        finally:
            close_sandboxes()
        return
    yield from _with_dask(jobs, tuple(imports), workers, scheduler)


def run_job(data: dict[str, Any], imports: tuple[str, ...]) -> str:
    """What a Dask worker does; what cannot be graded is an answer too, since Dask shows an exception as its own."""
    try:
        return grade_here(Job.from_data(data), imports).to_json()
    except CourseError as error:
        return json.dumps({"refused": str(error)})


def grade_here(job: Job, imports: tuple[str, ...]) -> Graded:
    """Grade in this process's own sandbox, which its threads share.

    It is started when first used, and again if it has ended; what it was grading then is graded again.
    """
    came: Graded | CourseError = CourseError("the sandbox has ended")
    for _ in range(RETRIES + 1):
        sandbox = _sandbox(imports, job.unsafe)
        try:
            came = grade(
                sandbox, job.submission, job.blueprint, job.limits,
                beside_others=job.beside_others, lab_files=job.lab_files, only_show=job.only_show,
            )  # fmt: skip
        except CourseError as error:
            came = error
        if sandbox.alive:
            break
    if isinstance(came, CourseError):
        raise came
    return came


def _sandbox(imports: tuple[str, ...], unsafe: bool) -> Sandbox:
    with _one_at_a_time:
        if _stopping.is_set():
            raise CourseError("the run was stopped")
        key = (imports, unsafe)
        sandbox = _sandboxes.get(key)
        if sandbox is None or not sandbox.alive:
            if sandbox is not None:
                sandbox.close()
            sandbox = _sandboxes[key] = Sandbox(imports, unsafe=unsafe)
        return sandbox


def judge_notebook(
    source: Path, notebook: Path, *, limits: Limits | None = None, unsafe: bool = False
) -> list[Outcome]:
    """Points of one notebook by test cell; as run_notebook()."""
    return run_notebook(source, notebook, limits=limits, unsafe=unsafe).outcomes


def run_notebook(
    source: Path,
    notebook: Path,
    *,
    limits: Limits | None = None,
    unsafe: bool = False,
    lab_files: Sequence[list[str]] = (),
    blueprint: dict[str, GradedCell] | None = None,
) -> Graded:
    """What comes of one notebook; nothing is recorded.

    Args:
        source: The instructor's notebook, whose test cells count.
        notebook: The student's notebook, whose other cells run.
        limits: What it may use.
        unsafe: Without a sandbox.
        lab_files: What the lab has beside its notebook.
        blueprint: The cells of the instructor's notebook that count, where they are not as it has them.

    Raises:
        CourseError: One of the two is missing, or is not a notebook.
    """
    blueprint = blueprint or read_blueprint(source)
    if not notebook.is_file():
        raise CourseError(f"{notebook} does not exist")
    job = Job(
        Submission(notebook.read_bytes()), blueprint, limits or Limits(), unsafe,
        lab_files=list(lab_files), only_show=cells_that_only_show(source),
    )  # fmt: skip
    return grade_here(job, imports_of(source))


def imports_of(source: Path) -> tuple[str, ...]:
    """Modules that an instructor's notebook imports, which submissions will import too."""
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    return tuple(modules_of("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))


@atexit.register
def close_sandboxes() -> None:
    """End this process's sandboxes, and with them whatever they are grading."""
    with _one_at_a_time:
        while _sandboxes:
            _sandboxes.popitem()[1].close()


def _attempt(job: Job, imports: tuple[str, ...]) -> Graded | Exception:
    try:
        return grade_here(job, imports)
    except CourseError as error:
        return error
    except Exception as error:  # nothing in one submission may end the run
        return CourseError(f"{type(error).__name__}: {error}")


def _with_dask(
    jobs: Mapping[str, Job], imports: tuple[str, ...], workers: int, scheduler: str | None
) -> Iterator[tuple[str, Graded | Exception]]:
    import dask
    from distributed import Client, LocalCluster, as_completed

    logging.getLogger("distributed").setLevel(logging.ERROR)
    settings = {"distributed.scheduler.allowed-failures": RETRIES, "distributed.worker.daemon": False}
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        if scheduler is None:
            # threads, which wait for processes in one sandbox that they share: each process would start one of its own
            cluster: Any = LocalCluster(
                n_workers=1, threads_per_worker=min(workers, len(jobs)), processes=False, memory_limit=0,
                dashboard_address="127.0.0.1:0",  # Dask serves one in any case: here alone, at a free port
            )  # fmt: skip
            stack.callback(_stopping.clear)
            stack.enter_context(cluster)
            client = stack.enter_context(Client(cluster))
            stack.callback(_stop)
        else:
            client = stack.enter_context(_connected(scheduler))
        waiting = iter(jobs.items())
        students: dict[str, str] = {}

        def submit() -> Any:
            for student, job in waiting:
                data = replace(job, beside_others=True).to_data()
                future = client.submit(run_job, data, imports, pure=False, retries=RETRIES)
                students[future.key] = student
                return future
            return None

        space = AT_ONCE * max(1, sum(client.nthreads().values()) or workers)
        first = [future for _ in range(space) if (future := submit()) is not None]
        running, starved = as_completed(first), []
        for future in running:
            student = students.pop(future.key)
            result = _result(future)
            if isinstance(result, Graded) and result.starved:
                starved.append(student)
            else:
                yield student, result
            future.release()
            following = submit()
            if following is not None:
                running.add(following)
        for student in starved:
            future = client.submit(run_job, jobs[student].to_data(), imports, pure=False, retries=RETRIES)
            result = _result(future)
            if isinstance(result, Graded):
                result.notes.append("graded a second time, by itself: beside others it had too little computing time")
            yield student, result
            future.release()


def _connected(scheduler: str) -> Any:
    """A client of a running cluster.

    Raises:
        CourseError: Nothing listens there, or it has no workers.
    """
    from distributed import Client

    try:
        client = Client(scheduler, timeout=SECONDS_TO_CONNECT)
    except (OSError, ValueError, TypeError) as error:
        raise CourseError(
            f"no Dask scheduler answers at {scheduler} ({type(error).__name__}); start one with `dask scheduler`, and "
            "workers with `dask worker ADDRESS`"
        ) from None
    try:
        client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
    except (OSError, TimeoutError):
        client.close()
        raise CourseError(
            f"the Dask scheduler at {scheduler} has no workers; start some with `dask worker {scheduler}`"
        ) from None
    return client


def _result(future: Any) -> Graded | Exception:
    try:
        said = future.result()
        refused = json.loads(said).get("refused")
        return Graded.from_json(said) if refused is None else CourseError(refused)
    except Exception as error:  # KilledWorker after its retries, or what the submission itself led to
        return error if isinstance(error, CourseError) else CourseError(_reason(error))


def _stop() -> None:
    """End what is being graded here, and start nothing more; a closing cluster would wait for its threads."""
    _stopping.set()
    close_sandboxes()


def _reason(error: Exception) -> str:
    if type(error).__name__ == "KilledWorker":
        return f"its worker was lost {RETRIES + 1} times"
    return f"{type(error).__name__}: {error}"
