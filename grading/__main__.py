"""The command line of grading: `python -m grading COMMAND`, from anywhere inside the course's environment."""

import argparse
import os
import sys
from pathlib import Path

from grading.course import Course, CourseError

# Each command imports what it needs when it runs, so that `--help` and `judge` do not wait for nbgrader.


def _labs(course: Course, lab: str | None) -> list[str]:
    return [course.check_lab(lab)] if lab else course.lab_names()


def _build(course: Course, options: argparse.Namespace) -> int:
    from grading.build import build_lab, build_notebook

    stale = 0
    for lab in _labs(course, options.lab):
        if options.check:
            path = course.source_notebook(lab)
            built = build_notebook(course.text_source(lab).read_text(encoding="utf-8"))
            fresh = path.is_file() and path.read_text(encoding="utf-8") == built
            print(f"{lab}: {'up to date' if fresh else 'differs from its text source; run make build'}")
            stale += not fresh
        else:
            path, changed = build_lab(course, lab)
            print(f"{lab}: {path} {'written' if changed else 'unchanged'}")
    return 1 if stale else 0


def _release(course: Course, options: argparse.Namespace) -> int:
    from grading.recorder import release

    for lab in _labs(course, options.lab):
        release(course, lab)
        print(f"released {lab}: {course.released_notebook(lab)}")
    return 0


def _work(course: Course, options: argparse.Namespace) -> int:
    from grading.archive import copy_once

    for line in copy_once(course):
        print(line)
    return 0


def _student(course: Course, options: argparse.Namespace) -> int:
    from grading.archive import build_archive

    archive = build_archive(course, options.output or course.root / "dist")
    print(f"wrote {archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    return 0


def _autograde(course: Course, options: argparse.Namespace) -> int:
    from grading.recorder import autograde, points, submissions

    lab = course.check_lab(options.lab)
    students = [options.student] if options.student else submissions(course, lab)
    if not students:
        print(f"no submissions: put each into {course.submitted('STUDENT', lab)}/", file=sys.stderr)
        return 1
    failed = 0
    for number, student in enumerate(students, start=1):
        try:
            autograde(course, lab, student)
        except CourseError as error:
            print(f"[{number}/{len(students)}] {student}: not graded. {error}", file=sys.stderr)
            failed += 1
            continue
        scores = points(course, lab, student).values()
        waiting = sum(score.by_hand for score in scores)
        print(
            f"[{number}/{len(students)}] {student}: {sum(score.points for score in scores):g} of "
            f"{sum(score.max_points for score in scores):g} points"
            + (f", {waiting} answer{'s' if waiting > 1 else ''} to grade by hand" if waiting else ""),
            flush=True,
        )
    return 1 if failed else 0


def _feedback(course: Course, options: argparse.Namespace) -> int:
    from grading.recorder import feedback, submissions

    lab = course.check_lab(options.lab)
    for student in [options.student] if options.student else submissions(course, lab):
        feedback(course, lab, student)
        print(f"feedback: {course.grading / 'feedback' / student / lab / f'{lab}.html'}")
    return 0


def _judge(course: Course, options: argparse.Namespace) -> int:
    from grading.judge import judge_notebook

    source = course.source_notebook(course.check_lab(options.lab))
    outcomes = judge_notebook(source, options.notebook, timeout_s=options.timeout)
    width = max((len(outcome.grade_id) for outcome in outcomes), default=0)
    for outcome in outcomes:
        print(f"{outcome.grade_id:<{width}}  {outcome.points:g} of {outcome.max_points:g}  {outcome.message}".rstrip())
    print(f"total: {sum(o.points for o in outcomes):g} of {sum(o.max_points for o in outcomes):g} points")
    return 0


def _demo(course: Course, options: argparse.Namespace) -> int:
    from grading.demo import main as demo

    return demo(course, options.output or course.root / "build" / "demo")


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    root = argparse.ArgumentParser(
        prog="python -m grading", description="Build, release and grade the labs of the course."
    )
    root.add_argument(
        "--course", type=Path, default=None, help="folder of the course (default: the one of this package)"
    )
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="build each lab's notebook from its text source")
    build.add_argument("lab", nargs="?")
    build.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a notebook is not what its text builds"
    )
    build.set_defaults(run=_build)

    release = commands.add_parser("release", help="make the students' version of every lab, or of one")
    release.add_argument("lab", nargs="?")
    release.set_defaults(run=_release)

    work = commands.add_parser("work", help="copy each released lab once to work/, never over a student's own")
    work.set_defaults(run=_work)

    student = commands.add_parser("student", help="make the archive that students receive, from the released labs")
    student.add_argument("--output", type=Path, help="folder for the archive (default: dist)")
    student.set_defaults(run=_student)

    autograde = commands.add_parser("autograde", help="run and grade the submissions of a lab")
    autograde.add_argument("lab")
    autograde.add_argument("--student", help="this student's only")
    autograde.set_defaults(run=_autograde)

    feedback = commands.add_parser("feedback", help="write the feedback pages of a lab")
    feedback.add_argument("lab")
    feedback.add_argument("--student", help="this student's only")
    feedback.set_defaults(run=_feedback)

    judge = commands.add_parser("judge", help="print a notebook's points by test cell, judged in a process of its own")
    judge.add_argument("--lab", required=True)
    judge.add_argument(
        "--timeout", type=float, default=300.0, help="seconds for any one answer of the notebook (default: 300)"
    )
    judge.add_argument("notebook", type=Path)
    judge.set_defaults(run=_judge)

    demo = commands.add_parser("demo", help="the course's main job in one go: train, verify, draw, release, grade")
    demo.add_argument("--output", type=Path, help="folder for what it makes (default: build/demo)")
    demo.set_defaults(run=_demo)
    return root


def main(arguments: list[str] | None = None) -> int:
    """Run one command; an error of the course is one line on standard error and exit status 1."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    options = parser().parse_args(arguments)
    course = Course(options.course.resolve()) if options.course else Course.here()
    try:
        return int(options.run(course, options))
    except CourseError as error:
        print(f"grading: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
