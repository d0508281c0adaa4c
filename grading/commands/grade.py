"""Commands that run submissions: autograde, judge, demo, and the doctor of what they need."""

import argparse
import json
import os
import sys
from pathlib import Path

from grading.commands.shared import add_limits, limits
from grading.course import Course, shown

# Each command imports what it needs when it runs, so that `--help` and `judge` do not wait for nbgrader.


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add these commands to the parser."""
    autograde = commands.add_parser(
        "autograde", help="run and grade the submissions of a lab, isolated and in parallel"
    )
    autograde.add_argument("lab")
    autograde.add_argument("--student", help="this student's only")
    autograde.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="submissions at once (default: one a processor)"
    )
    autograde.add_argument("--scheduler", metavar="ADDRESS", help="use a running Dask cluster, e.g. tcp://host:8786")
    autograde.add_argument("--force", action="store_true", help="also grade what has not changed since the last time")
    add_limits(autograde)
    autograde.set_defaults(run=_autograde)

    judge = commands.add_parser("judge", help="print a notebook's points by test cell; nothing is recorded")
    judge.add_argument("--lab", required=True)
    judge.add_argument("notebook", type=Path)
    judge.add_argument("--json", action="store_true", help="as one line of JSON, with what a student may read")
    add_limits(judge)
    judge.set_defaults(run=_judge)

    demo = commands.add_parser("demo", help="the course's main job in one go: train, verify, draw, release, grade")
    demo.add_argument("--output", type=Path, help="folder for what it makes (default: build/demo)")
    demo.set_defaults(run=_demo)

    doctor = commands.add_parser("doctor", help="say what grading lacks on this machine, and the cure")
    doctor.add_argument(
        "--without-sandbox", action="store_true", help="nobody's work is graded here: a missing sandbox is not wrong"
    )
    doctor.set_defaults(run=_doctor)


def _autograde(course: Course, options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from grading.book.autograde import Row, autograde, table
    from grading.book.nbgrader import submissions

    lab = course.check_lab(options.lab)
    students = [options.student] if options.student else submissions(course, lab)
    if not students:
        print(f"no submissions: put each into {course.submitted('STUDENT', lab)}/", file=sys.stderr)
        return 1
    if options.unsafe_no_sandbox:
        print(
            "grading: WITHOUT A SANDBOX: submissions run with your rights and can change their own points",
            file=sys.stderr,
        )
    with tqdm(total=len(students), desc=f"grading {lab}", unit="submission", file=sys.stderr) as bar:

        def told(row: Row) -> None:
            bar.update()
            bar.set_postfix_str(shown(f"{row.student}: {row.status}"))

        rows = autograde(
            course, lab, students, workers=options.workers, scheduler=options.scheduler, limits=limits(options),
            force=options.force, unsafe=options.unsafe_no_sandbox, told=told,
        )  # fmt: skip
    print(table(rows))
    return 1 if any(row.failed for row in rows) else 0


def _judge(course: Course, options: argparse.Namespace) -> int:
    from grading.lab.files import lab_files
    from grading.lab.hidden_seed import term_blueprint
    from grading.run.many import run_notebook

    source = course.source_notebook(course.check_lab(options.lab))
    graded = run_notebook(
        source, options.notebook, limits=limits(options), unsafe=options.unsafe_no_sandbox,
        lab_files=lab_files(course, options.lab), blueprint=term_blueprint(course, options.lab),
    )  # fmt: skip
    outcomes = graded.outcomes
    if options.json:
        told = {
            "lab": options.lab, "status": graded.status, "notes": graded.notes,
            "points": sum(one.points for one in outcomes), "max_points": sum(one.max_points for one in outcomes),
            "tests": [
                {"name": one.grade_id, "points": one.points, "max_points": one.max_points, "message": one.message}
                for one in outcomes
            ],
        }  # fmt: skip
        print(json.dumps(told))
        return 0
    width = max((len(outcome.grade_id) for outcome in outcomes), default=0)
    for one in outcomes:
        said = shown(one.detail or one.message)
        print(f"{one.grade_id:<{width}}  {one.points:g} of {one.max_points:g}  {said}".rstrip())
    print(f"total: {sum(one.points for one in outcomes):g} of {sum(one.max_points for one in outcomes):g} points")
    return 0


def _demo(course: Course, options: argparse.Namespace) -> int:
    from grading.demo import main as demo

    return demo(course, options.output or course.root / "build" / "demo")


def _doctor(course: Course, options: argparse.Namespace) -> int:
    from grading.office.doctor import main as doctor

    return doctor(course, sandbox=not options.without_sandbox)
