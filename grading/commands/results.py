"""Commands on what was graded: feedback, report, export, the table of the term, equal work."""

import argparse
import sys
from pathlib import Path

from grading.course import Course, CourseError, shown

# Each command imports what it needs when it runs, so that `--help` and `judge` do not wait for nbgrader.


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add these commands to the parser."""
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


def _term(course: Course, options: argparse.Namespace) -> int:
    from grading.office.term import term_table, write_term

    print(term_table(course))
    print(f"written: {write_term(course, options.output)}")
    return 0
