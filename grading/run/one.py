"""One submission from beginning to end: worker and judge are started in the sandbox, and what they say becomes a
notebook.

This part runs outside, with the rights of whoever grades. It reads only what the judge says, as plain data, and takes
from it texts for a notebook and points that cannot exceed those of the cell.
"""

import ast
import contextlib
import json
import math
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from grading.lab.differences import differences
from grading.lab.shown import SAID, leave_out
from grading.lab.submission import GradedCell, Part, Submission, job_of, lay_out, read_cells
from grading.limits import JUDGES_SPARE_MB, Ended, Limits
from grading.run.cleaner import Budget
from grading.run.sanitise import cut, error, sanitise_outputs, stream
from grading.sandbox.bubblewrap import Sandbox
from grading.sandbox.cores import own_core
from grading.wire.arrays import WireError
from grading.wire.channel import Channel
from grading.wire.outcome import Loss, Outcome, read_loss

# The kernel counts descriptors under way in sockets over all processes of a user, other submissions' included, and
# refuses to send one where there are more than the sender may have open: so the judge may have more than they can send.
JUDGES_FILES = 2**20
STARVED = 0.2  # share of its time that a submission waited for a processor: more is not its own doing
MAX_SHOWN_CELLS = 500  # from there on only those with a grade
NOTED_CELLS = 5  # interrupted cells that the instructor is told of one by one


class Status(StrEnum):
    """What became of one submission."""

    GRADED = "graded"
    TIME = "time"  # the notebook's process did not reach its end, for want of time, computing or memory
    CPU = "cpu"
    MEMORY = "memory"
    ENDED = "ended"  # it ended by itself
    NOT_JUDGED = "not judged"  # the judge did not reach its end, which says more of the machine than of the submission


REASONS = {
    Status.TIME: "it took longer than {wall_s:g} s",
    Status.CPU: "it computed for more than {cpu_s:g} s",
    Status.MEMORY: "it used more than {memory_mb} MiB of memory",
    Status.ENDED: "it ended by itself",
}
BY_THE_GUARD = {Ended.TIME: Status.TIME, Ended.CPU: Status.CPU, Ended.MEMORY: Status.MEMORY}


@dataclass(frozen=True)
class Graded:
    """What came of one submission.

    Args:
        status: Whether the notebook and its tests reached their end, or what kept them from it.
        outcomes: One a test cell.
        notebook: The notebook with its outputs, as nbformat's JSON; None where nothing was judged.
        notes: For the instructor.
        seconds: On the clock.
        cpu_s: Of computing, in the worker.
        peak_mb: Memory of the worker.
        judge_cpu_s: Of computing, in the judge.
        waited_s: That one of its processes was ready to run while others ran.
        interrupted: Cells that took too long.
    """

    status: Status
    outcomes: list[Outcome]
    notebook: dict[str, Any] | None
    notes: list[str]
    seconds: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    judge_cpu_s: float = 0.0
    waited_s: float = 0.0
    interrupted: int = 0

    @property
    def starved(self) -> bool:
        """Whether time ran out, and may not have if others had not run at the same time."""
        late = self.status is Status.TIME or self.interrupted > 0 or any(one.out_of_time for one in self.outcomes)
        return late and self.waited_s > STARVED * self.seconds

    def to_json(self) -> str:
        """Everything, for another process."""
        return json.dumps({**vars(self), "outcomes": [outcome.to_data() for outcome in self.outcomes]})

    @classmethod
    def from_json(cls, text: str) -> "Graded":
        """What to_json() wrote."""
        data = json.loads(text)
        outcomes = [Outcome.from_data(outcome) for outcome in data["outcomes"]]
        return cls(**{**data, "status": Status(data["status"]), "outcomes": outcomes})


def grade(
    sandbox: Sandbox,
    submission: Submission,
    blueprint: dict[str, GradedCell],
    limits: Limits,
    *,
    beside_others: bool = False,
    lab_files: Sequence[list[str]] = (),
    only_show: Sequence[str] = (),
) -> Graded:
    """Run and judge one submission.

    Args:
        sandbox: Where.
        submission: What was handed in.
        blueprint: The instructor's cells.
        limits: What it may use.
        beside_others: Others run at the same time, so it gets a processor core of its own, and no other.
        lab_files: (path, content as base64) of what the lab has beside its notebook; they count before a student's.
        only_show: Texts of the course's cells that only show something, which need not run.

    Raises:
        CourseError: It is not a notebook, or the sandbox has ended.
    """
    started = time.monotonic()
    handed_in = read_cells(submission.notebook)
    parts = leave_out(lay_out(handed_in, blueprint), only_show)
    to_judge, to_work = socket.socketpair()
    judge_limits = replace(
        limits, wall_s=2 * limits.wall_s + 60, cpu_s=2 * limits.cpu_s + 60, processes=64, tmp_mb=16,
        open_files=JUDGES_FILES, memory_mb=limits.memory_mb + JUDGES_SPARE_MB,
    )  # fmt: skip
    said: Any = None
    with own_core() if beside_others else contextlib.nullcontext() as core:
        worker = sandbox.launch("worker", limits, to_work, core)
        judge = sandbox.launch("judge", judge_limits, to_judge, core)
        try:
            own = {name for name, _ in lab_files}
            handed_files = [one for one in submission.files if one[0] not in own]
            Channel(worker.job).send([*handed_files, *lab_files], 60.0)
            channel = Channel(judge.job)
            channel.send([*({"file": one} for one in lab_files), *job_of(parts, blueprint)], 60.0)
            said = channel.receive(judge_limits.wall_s + 30)
        except (OSError, EOFError, WireError):
            pass
        finally:
            judged, worked = judge.end(), worker.end()
    cells, outcomes = _read(said, parts, blueprint)
    status, reason = _status(said, cells, worked["ended"], limits)
    if status in (Status.TIME, Status.CPU):
        outcomes = [replace(one, out_of_time=True) if one.lost is not None else one for one in outcomes]
    notes = [*submission.notes, *differences(handed_in, blueprint), *_notes(status, reason, parts, cells, limits)]
    if status is Status.NOT_JUDGED:
        notes.append(f"the judge did not finish: {judged['why'] or judged['ended']}")
    notebook = _notebook(parts, cells, outcomes, blueprint, reason) if said is not None else None
    return Graded(
        status, outcomes, notebook, notes, round(time.monotonic() - started, 2), worked["cpu_s"], worked["peak_mb"],
        judged["cpu_s"], max(worked["waited_s"], judged["waited_s"]), sum(map(_interrupted, cells)),
    )  # fmt: skip


def _status(said: Any, cells: list[Any], ended: Ended, limits: Limits) -> tuple[Status, str]:
    """What became of the submission, and in words why its notebook did not reach its end."""
    if said is None:
        return Status.NOT_JUDGED, ""
    if ended in BY_THE_GUARD:
        status = BY_THE_GUARD[ended]
    elif all(cell is not None for cell in cells):
        return Status.GRADED, ""
    elif isinstance(said, dict) and read_loss(said.get("lost")) is Loss.TIME:
        return Status.TIME, f"one cell took longer than {limits.cell_s:g} s and could not be interrupted"
    else:
        status = Status.ENDED
    return status, REASONS[status].format(**limits.to_data())


def _notes(status: Status, reason: str, parts: list[Part], cells: list[Any], limits: Limits) -> list[str]:
    """What the instructor should know of the run: where the notebook was ended, which cells were interrupted."""
    numbers = [number for number, part in enumerate(parts, 1) if part.runs]
    lost = [number for number, cell in zip(numbers, cells, strict=True) if cell is None]
    late = [number for number, cell in zip(numbers, cells, strict=True) if _interrupted(cell)]
    notes = []
    if late:
        more = f" and {len(late) - NOTED_CELLS} more" if len(late) > NOTED_CELLS else ""
        which = f"cell {', '.join(map(str, late[:NOTED_CELLS]))}{more}"
        notes.append(f"{which} took longer than {limits.cell_s:g} s and was interrupted")
    if reason:
        notes.append(f"the notebook was ended in cell {lost[0]}: {reason}" if lost else f"a test did not end: {reason}")
    return notes


def _interrupted(cell: Any) -> bool:
    return isinstance(cell, list) and len(cell) == 3 and cell[2] is True


def modules_of(sources: Iterable[str]) -> list[str]:
    """Modules that code imports, for the zygote to import once; what is not plain Python is skipped."""
    found: dict[str, None] = {}
    for source in sources:
        try:
            tree = ast.parse(
                "\n".join(line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))
            )
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found.update(dict.fromkeys(alias.name for alias in node.names))
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found[node.module] = None
    return list(found)


def _read(said: Any, parts: list[Part], blueprint: dict[str, GradedCell]) -> tuple[list[Any], list[Outcome]]:
    """The judge's answer, brought into the form that it must have."""
    runs = sum(part.runs for part in parts)
    cells = said.get("cells") if isinstance(said, dict) else None
    told = said.get("outcomes") if isinstance(said, dict) else None
    cells = cells if isinstance(cells, list) and len(cells) == runs else [None] * runs
    by_name: dict[Any, Any] = {}
    if isinstance(told, list):
        by_name = {one.get("grade_id"): one for one in told if isinstance(one, dict)}
    outcomes = []
    for name, cell in blueprint.items():
        if not cell.is_test:
            continue
        most, one = float(cell.metadata["points"]), by_name.get(name, {})
        points = one.get("points", 0.0)
        points = float(points) if isinstance(points, (int, float)) and math.isfinite(points) else 0.0
        if not one:
            one = {"message": "this test was not judged", "detail": "the judge did not finish", "out_of_time": True}
        texts = {key: cut(str(one.get(key, "")), 200, 10_000) for key in ("message", "detail", "printed")}
        outcomes.append(
            Outcome(
                name, min(max(points, 0.0), most), most, **texts, out_of_time=bool(one.get("out_of_time")),
                lost=read_loss(one.get("lost")),
            )
        )  # fmt: skip
    return cells, outcomes


def _notebook(
    parts: list[Part], cells: list[Any], outcomes: list[Outcome], blueprint: dict[str, GradedCell], reason: str
) -> dict[str, Any]:
    """The graded notebook, as nbformat's JSON."""
    by_name = {outcome.grade_id: outcome for outcome in outcomes}
    ran = iter(cells)
    first_lost, left_out, budget = True, 0, Budget()
    made: list[dict[str, Any]] = []
    for index, part in enumerate(parts):
        if part.name is None and len(made) >= MAX_SHOWN_CELLS:  # a page of many thousands would keep a browser busy
            left_out += 1
            if part.runs:
                first_lost = next(ran, None) is not None and first_lost
            continue
        cell: dict[str, Any] = {
            "id": f"cell-{index}", "cell_type": part.cell_type, "metadata": {},
            "source": cut(part.source, 20_000, 500_000),
        }  # fmt: skip
        if part.cell_type == "raw":  # pages show it as HTML as it is
            cell |= {"cell_type": "markdown", "source": _as_code(cell["source"])}
        if part.name is not None:
            cell["metadata"]["nbgrader"] = dict(blueprint[part.name].metadata)
        if part.cell_type == "code":
            cell |= {"execution_count": None, "outputs": []}
            if part.test and part.name is not None:
                outcome = by_name[part.name]
                cell["outputs"] = test_outputs(outcome, for_instructor=True)
                cell["metadata"]["grading"] = {"message": outcome.message, "points": outcome.points}
            elif part.left_out:
                cell["outputs"] = [stream(SAID)]
            else:
                result = next(ran, None)
                if isinstance(result, (list, tuple)) and result:
                    cell["outputs"] = sanitise_outputs(result[0], budget)
                else:
                    text = f"the notebook was ended in this cell: {reason}" if first_lost else "this cell was not run"
                    cell["outputs"], first_lost = [error(text, "Ended")], False
        made.append(cell)
    if left_out:
        text = f"{left_out} cells without a grade are left out of this page."
        made.append({"id": "left-out", "cell_type": "markdown", "metadata": {}, "source": text})
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return {
        "cells": made,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _as_code(text: str) -> str:
    """Markdown that shows a text as it is."""
    return "\n".join(f"    {line}" for line in text.split("\n"))


def test_outputs(outcome: Outcome, *, for_instructor: bool) -> list[dict[str, Any]]:
    """A test cell's outputs, from which nbgrader reads its points."""
    shown: list[dict[str, Any]] = []
    if for_instructor and outcome.printed:
        shown.append(stream(outcome.printed))
    if for_instructor and outcome.detail and outcome.detail != outcome.message:
        shown.append(stream(f"for the instructor: {outcome.detail}"))
    if outcome.message:
        return [*shown, error(outcome.message, "Failed")]
    if outcome.points < outcome.max_points:
        data = {"text/plain": repr(outcome.points)}
        shown.append({"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": None})
    return shown
