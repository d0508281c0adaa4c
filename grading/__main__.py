"""The command line of grading: `nnv-grade COMMAND`, from anywhere inside a course; `python -m grading` is the same."""

import argparse
import io
import json
import os
import sys
from pathlib import Path

from grading.course import Course, CourseError, shown
from grading.limits import Limits
from verifier.errors import MissingDependencyError, missing

OURS = ("grading", "course_utils", "verifier")

# Each command imports what it needs when it runs, so that `--help` and `judge` do not wait for nbgrader.


def _labs(course: Course, lab: str | None) -> list[str]:
    return [course.check_lab(lab)] if lab else course.lab_names()


def _build(course: Course, options: argparse.Namespace) -> int:
    from grading.lab.build import build_lab, build_notebook

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
    from grading.book.nbgrader import release
    from grading.office.authoring import check_contract, check_own_notebook

    failed = 0
    for lab in _labs(course, options.lab):
        try:
            check_contract(course, lab)
            if not options.quick:
                check_own_notebook(course, lab)
            release(course, lab, change_exercises=options.change_exercises)
            print(f"released {lab}: {course.released_notebook(lab)}")
        except CourseError as error:  # the other labs are released
            print("\n".join(map(shown, f"grading: {error}".split("\n"))), file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def _new(course: Course, options: argparse.Namespace) -> int:
    from grading.lab.new import write_new_lab

    print(f"wrote {write_new_lab(course, options.lab)}; next: python -m grading release {options.lab}")
    return 0


def _work(course: Course, options: argparse.Namespace) -> int:
    from grading.lab.archive import copy_once

    for line in copy_once(course):
        print(line)
    return 0


def _student(course: Course, options: argparse.Namespace) -> int:
    from grading.lab.archive import build_archive

    archive = build_archive(course, options.output or course.root / "dist")
    print(f"wrote {archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    return 0


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
            course, lab, students, workers=options.workers, scheduler=options.scheduler, limits=_limits(options),
            force=options.force, unsafe=options.unsafe_no_sandbox, told=told,
        )  # fmt: skip
    print(table(rows))
    return 1 if any(row.failed for row in rows) else 0


def _limits(options: argparse.Namespace) -> Limits:
    seconds = options.time_limit
    return Limits(wall_s=seconds, cell_s=seconds / 2, cpu_s=seconds, memory_mb=options.memory)


def _feedback(course: Course, options: argparse.Namespace) -> int:
    from grading.book.nbgrader import feedback, submissions

    lab = course.check_lab(options.lab)
    failed = 0
    for student in [options.student] if options.student else submissions(course, lab):
        try:
            feedback(course, lab, student)
            print(shown(f"feedback: {course.gradebook / 'feedback' / student / lab / f'{lab}.html'}"))
        except CourseError as error:
            print(shown(f"{student}: no feedback. {str(error).splitlines()[-1]}"), file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def _report(course: Course, options: argparse.Namespace) -> int:
    from grading.office.report import write_report

    print(f"report: {write_report(course, course.check_lab(options.lab), options.output)}")
    return 0


def _export(course: Course, options: argparse.Namespace) -> int:
    from grading.office.export import open_matters, write_export
    from grading.office.results import read_results

    lab = course.check_lab(options.lab)
    print(f"exported: {write_export(course, lab, options.format, options.output)}")
    for line in open_matters(read_results(course, lab)[1]):
        print(shown(f"note: {line}"), file=sys.stderr)
    return 0


def _term(course: Course, options: argparse.Namespace) -> int:
    from grading.office.term import term_table, write_term

    print(term_table(course))
    print(f"written: {write_term(course, options.output)}")
    return 0


def _return_feedback(course: Course, options: argparse.Namespace) -> int:
    from grading.office.lms_names import Platform
    from grading.office.return_feedback import return_feedback, write_comments

    lab, platform = course.check_lab(options.lab), Platform(options.format)
    path, lines = return_feedback(course, lab, platform, options.output)
    print(f"written: {path}")
    if platform is Platform.CANVAS:
        print(f"written: {write_comments(course, lab)}")
    for line in lines:
        print(shown(f"note: {line}"), file=sys.stderr)
    return 0


def _equal_work(course: Course, options: argparse.Namespace) -> int:
    from grading.office.equal_work import write_equal_work

    path, text = write_equal_work(course, course.check_lab(options.lab), options.output)
    print(text)
    print(f"written: {path}")
    return 0


def _roster(course: Course, options: argparse.Namespace) -> int:
    from grading.office.roster import import_roster, read_roster

    if options.file is not None:
        lines = import_roster(course, options.file)
    else:
        lines = [f"{one.student}  {one.name}  {one.email}  {one.number}".rstrip() for one in read_roster(course)]
    for line in lines or ["no roster yet: python -m grading roster import FILE"]:
        print(shown(line))
    return 0


def _due(course: Course, options: argparse.Namespace) -> int:
    from grading.book.deadlines import read_deadlines, set_due

    lab = course.check_lab(options.lab) if options.lab else None
    if lab and (options.date or options.penalty_per_day is not None or options.grace is not None):
        set_due(course, lab, options.date, penalty_per_day=options.penalty_per_day, grace_minutes=options.grace)
        print("points change with the next `python -m grading autograde LAB`, which runs no notebook again for it")
    for name, one in read_deadlines(course).items():
        if lab in (None, name):
            cost = "nbgrader's plugin" if one.penalty_per_day is None else f"{one.penalty_per_day:.0%} per started day"
            print(f"{name}: due {one.due or 'never'}, grace {one.grace_minutes:g} min, late: {cost}")
            for student, until in sorted(one.extensions.items()):
                print(shown(f"  {student}: {until}"))
    return 0


def _extend(course: Course, options: argparse.Namespace) -> int:
    from grading.book.deadlines import extend
    from grading.book.nbgrader import submissions
    from grading.office.roster import known_people

    lab = course.check_lab(options.lab)
    if options.student not in {person.student for person in known_people(course)} | set(submissions(course, lab)):
        raise CourseError(f"nobody is called {options.student!r}; `python -m grading roster list` lists the students")
    extend(course, options.student, lab, options.until)
    print(shown(f"{options.student}: {lab} is due {options.until}; grade again to charge it"))
    return 0


def _collect(course: Course, options: argparse.Namespace) -> int:
    from grading.office.collect import collect

    lab = course.check_lab(options.lab)
    for line in collect(course, lab, options.zip, options.worksheet):
        print(shown(line))
    return 0


def _doctor(course: Course, options: argparse.Namespace) -> int:
    from grading.office.doctor import main as doctor

    return doctor(course)


def _judge(course: Course, options: argparse.Namespace) -> int:
    from grading.lab.files import lab_files
    from grading.run.many import run_notebook

    source = course.source_notebook(course.check_lab(options.lab))
    graded = run_notebook(
        source, options.notebook, limits=_limits(options), unsafe=options.unsafe_no_sandbox,
        lab_files=lab_files(course, options.lab),
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


def _probe(course: Course, options: argparse.Namespace) -> int:
    from grading.office.probe import probe, table

    earned = probe(course, course.check_lab(options.lab), _limits(options), unsafe=options.unsafe_no_sandbox)
    print(table(earned))
    return 1 if any(one.points > 0 for one in earned) else 0


def _demo(course: Course, options: argparse.Namespace) -> int:
    from grading.demo import main as demo

    return demo(course, options.output or course.root / "build" / "demo")


def _add_limits(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--time-limit", type=float, default=Limits.wall_s, metavar="S",
        help=f"seconds for one submission (default: {Limits.wall_s:g}); a cell may take half of it",
    )  # fmt: skip
    command.add_argument(
        "--memory", type=int, default=Limits.memory_mb, metavar="MB",
        help=f"MiB of memory for one submission (default: {Limits.memory_mb})",
    )  # fmt: skip
    command.add_argument(
        "--unsafe-no-sandbox",
        action="store_true",
        help="run submissions with your own rights; never do this with others' code",
    )


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    root = argparse.ArgumentParser(
        prog="nnv-grade" if Path(sys.argv[0]).stem == "nnv-grade" else "python -m grading",
        description="Build, release and grade the labs of the course.",
    )
    root.add_argument("--course", type=Path, default=None, help="folder of the course (default: the one you are in)")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="build each lab's notebook from its text source")
    build.add_argument("lab", nargs="?")
    build.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a notebook is not what its text builds"
    )
    build.set_defaults(run=_build)

    release = commands.add_parser("release", help="make the students' version of every lab, or of one")
    release.add_argument("lab", nargs="?")
    release.add_argument(
        "--quick", action="store_true", help="do not judge the notebook with its solutions, which is done once a change"
    )
    release.add_argument(
        "--change-exercises", action="store_true",
        help="also where submissions were recorded with other exercises; removed ones lose their points",
    )  # fmt: skip
    release.set_defaults(run=_release)

    new = commands.add_parser("new", help="write the text of a new lab, to start from")
    new.add_argument("lab")
    new.set_defaults(run=_new)

    work = commands.add_parser("work", help="copy each released lab once to work/, never over a student's own")
    work.set_defaults(run=_work)

    student = commands.add_parser("student", help="make the archive that students receive, from the released labs")
    student.add_argument("--output", type=Path, help="folder for the archive (default: dist)")
    student.set_defaults(run=_student)

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
    _add_limits(autograde)
    autograde.set_defaults(run=_autograde)

    feedback = commands.add_parser("feedback", help="write the feedback pages of a lab")
    feedback.add_argument("lab")
    feedback.add_argument("--student", help="this student's only")
    feedback.set_defaults(run=_feedback)

    report = commands.add_parser("report", help="write a page on a graded lab: distribution, exercises, failures")
    report.add_argument("lab")
    report.add_argument("--output", type=Path, help="file (default: gradebook/reports/LAB.html)")
    report.set_defaults(run=_report)

    export = commands.add_parser("export", help="write the points of a lab as a table that other systems import")
    export.add_argument("lab")
    export.add_argument("--format", choices=["csv", "canvas", "moodle"], default="csv")
    export.add_argument("--output", type=Path, help="file (default: gradebook/exports/LAB-FORMAT.csv)")
    export.set_defaults(run=_export)

    collect = commands.add_parser("collect", help="unpack a download of Moodle or Canvas into gradebook/submitted/")
    collect.add_argument("zip", type=Path)
    collect.add_argument("--lab", required=True)
    collect.add_argument(
        "--worksheet", type=Path, metavar="CSV",
        help="Moodle's grading worksheet of the assignment: who each participant is, and when they handed in",
    )  # fmt: skip
    collect.set_defaults(run=_collect)

    back = commands.add_parser(
        "return-feedback", help="write the feedback pages of a lab as Moodle or Canvas takes them"
    )
    back.add_argument("lab")
    back.add_argument("--format", choices=["canvas", "moodle"], required=True)
    back.add_argument("--output", type=Path, help="file (default: gradebook/exports/LAB-feedback-FORMAT.zip)")
    back.set_defaults(run=_return_feedback)

    equal = commands.add_parser("equal-work", help="list pairs of submissions that share text beyond the release")
    equal.add_argument("lab")
    equal.add_argument("--output", type=Path, help="file (default: gradebook/reports/LAB-equal-work.txt)")
    equal.set_defaults(run=_equal_work)

    term = commands.add_parser("term", help="print everyone's points in all labs, and write them as a csv")
    term.add_argument("--output", type=Path, help="file (default: gradebook/exports/term.csv)")
    term.set_defaults(run=_term)

    roster = commands.add_parser("roster", help="say who takes the course")
    actions = roster.add_subparsers(dest="action", required=True, metavar="ACTION")
    imported = actions.add_parser("import", help="read a csv: one of your own, Moodle's or Canvas's")
    imported.add_argument("file", type=Path)
    imported.set_defaults(run=_roster)
    listed = actions.add_parser("list", help="print the roster")
    listed.set_defaults(run=_roster, file=None)

    due = commands.add_parser("due", help="set or print due dates, and what lateness costs")
    due.add_argument("lab", nargs="?")
    due.add_argument("date", nargs="?", help='"2026-12-01 23:59" in local time, with an offset, or "never"')
    due.add_argument("--penalty-per-day", type=float, metavar="SHARE", help="share of the points for each started day")
    due.add_argument("--grace", type=float, metavar="MINUTES", help="lateness that costs nothing")
    due.set_defaults(run=_due)

    extend = commands.add_parser("extend", help="give one student another due date")
    extend.add_argument("student")
    extend.add_argument("lab")
    extend.add_argument("until", help='as for `due`; "none" takes it back')
    extend.set_defaults(run=_extend)

    doctor = commands.add_parser("doctor", help="say what grading lacks on this machine, and the cure")
    doctor.set_defaults(run=_doctor)

    judge = commands.add_parser("judge", help="print a notebook's points by test cell; nothing is recorded")
    judge.add_argument("--lab", required=True)
    judge.add_argument("notebook", type=Path)
    judge.add_argument("--json", action="store_true", help="as one line of JSON, with what a student may read")
    _add_limits(judge)
    judge.set_defaults(run=_judge)

    probe = commands.add_parser(
        "probe", help="print what a lab gives for answers that need no understanding; exit 1 if it gives anything"
    )
    probe.add_argument("lab")
    _add_limits(probe)
    probe.set_defaults(run=_probe)

    demo = commands.add_parser("demo", help="the course's main job in one go: train, verify, draw, release, grade")
    demo.add_argument("--output", type=Path, help="folder for what it makes (default: build/demo)")
    demo.set_defaults(run=_demo)
    return root


def main(arguments: list[str] | None = None) -> int:
    """Run one command; an error of the course is one line on standard error and exit status 1; Ctrl-C gives 130."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    for stream in (sys.stdout, sys.stderr):  # a folder's name may hold what is no text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    course = Course(options.course.resolve()) if options.course else Course.nearest(Path.cwd())
    try:
        there = course.labs.is_dir() and course.config.is_file()
        if not there and options.command != "doctor":  # the doctor says it among all else
            raise CourseError(f"{course.root} is not the folder of a course; name it: --course FOLDER")
        return int(options.run(course, options))
    except CourseError as error:
        print("\n".join(map(shown, f"grading: {error}".split("\n"))), file=sys.stderr)
        return 1
    except MissingDependencyError as error:
        print(f"grading: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in OURS:
            raise
        print(f"grading: {missing(f'{error.name} is not installed', 'grading')}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("grading: stopped; what is done is kept, and the same command goes on from there", file=sys.stderr)
        return 130  # as shells report Ctrl-C


if __name__ == "__main__":
    sys.exit(main())
