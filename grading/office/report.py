"""A page on a graded lab: how points are distributed, where they are lost, what was slow and what failed."""

from collections import Counter
from html import escape
from pathlib import Path
from statistics import mean, median

from grading.course import Course
from grading.office.results import Result, read_results

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; width: 100% } th, td { padding: .25rem .6rem; text-align: left; vertical-align: top }
th { border-bottom: 2px solid #888 } td { border-bottom: 1px solid #ddd } .n { text-align: right; white-space: nowrap }
.bar { background: #4878a8; height: .8rem; display: inline-block } .lost { background: #c8603c }
.numbers b { font-size: 1.5rem; display: block } .numbers div { display: inline-block; margin-right: 2.5rem }
@media (prefers-color-scheme: dark) { body { background: #1b1b1b; color: #ddd } td { border-color: #444 } }
"""
SLOWEST, HINTS = 10, 3


def write_report(course: Course, lab: str, output: Path | None = None) -> Path:
    """Write the page, which needs no other file, to `output` or `gradebook/reports/LAB.html`.

    Raises:
        CourseError: The lab was not graded yet.
    """
    exercises, results = read_results(course, lab)
    path = output or course.gradebook / "reports" / f"{lab}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report_page(lab, exercises, results), encoding="utf-8", errors="replace")
    return path


def report_page(lab: str, exercises: dict[str, float], results: list[Result]) -> str:
    """The page as HTML."""
    body = [f"<h1>{escape(lab)}</h1>", _numbers(exercises, results), _distribution(results, sum(exercises.values()))]
    body += [_by_exercise(exercises, results), _to_look_at(lab, results), _slowest(results), _all(results)]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(lab)}: report</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
        f"<body>{''.join(body)}</body></html>\n"
    )


def _numbers(exercises: dict[str, float], results: list[Result]) -> str:
    points = [one.points for one in results if one.points is not None]
    told = [("handed in", str(sum(one.handed_in for one in results))), ("graded", str(len(points)))]
    if points:
        told += [("mean", f"{mean(points):.1f}"), ("median", f"{median(points):.1f}")]
    told += [("points at most", f"{sum(exercises.values()):g}")]
    if missing := sum(not one.handed_in for one in results):
        told += [("not handed in", str(missing))]
    told += [("answers to grade by hand", str(sum(len(one.waiting) for one in results)))]
    return '<div class="numbers">' + "".join(f"<div><b>{value}</b>{name}</div>" for name, value in told) + "</div>"


def _distribution(results: list[Result], most: float) -> str:
    points = [one.points for one in results if one.points is not None]
    bins = 10
    counts = Counter(min(bins - 1, int(bins * value / most)) if most and value > 0 else 0 for value in points)
    highest = max(counts.values(), default=1)
    rows = [
        [f"{most * k / bins:g} to {most * (k + 1) / bins:g}", _bar(counts[k] / highest), str(counts[k])]
        for k in range(bins)
    ]
    return "<h2>Points</h2>" + _table(["points", "", "students"], rows, numbers={2})


def _by_exercise(exercises: dict[str, float], results: list[Result]) -> str:
    rows = []
    for name, most in exercises.items():
        points = [one.cells[name] for one in results if name in one.cells]
        hints = Counter(
            outcome["message"]
            for one in results
            for outcome in one.about.get("outcomes", [])
            if outcome["grade_id"] == name and outcome["message"]
        )
        share = mean(points) / most if points and most else 0.0
        common = "<br>".join(f"{count}: {escape(text)}" for text, count in hints.most_common(HINTS))
        full = sum(value >= most for value in points)
        rows.append([escape(name), f"{share:.0%}", _bar(share), f"{full} of {len(points)}", common])
    return "<h2>Exercises</h2>" + _table(["exercise", "mean", "", "full points", "most frequent failures"], rows, {1})


def _to_look_at(lab: str, results: list[Result]) -> str:
    rows = []
    for one in results:
        status = str(one.about.get("status", "not graded"))
        late = [outcome["grade_id"] for outcome in one.about.get("outcomes", []) if outcome["out_of_time"]]
        notes = [*one.about.get("notes", []), *([f"not enough time for {', '.join(late)}"] if late else [])]
        if one.about.get("late_at_least"):
            notes.append("marked as late; by how much is not known")
        if not one.handed_in:
            continue
        if one.points is None and not notes:
            notes = [f"python -m grading autograde {lab} --student ... says why"]
        if one.points is None or status != "graded" or notes:
            rows.append([escape(one.student), escape(status), escape("; ".join(notes))])
    return "<h2>To look at</h2>" + (_table(["student", "status", "note"], rows) if rows else "<p>Nothing.</p>")


def _slowest(results: list[Result]) -> str:
    timed = sorted((one for one in results if one.about), key=lambda one: -float(one.about["seconds"]))[:SLOWEST]
    rows = [
        [escape(one.student), f"{one.about['seconds']:.1f}", f"{one.about['cpu_s']:.1f}", f"{one.about['peak_mb']:.0f}"]
        for one in timed
    ]
    return "<h2>Slowest</h2>" + _table(["student", "seconds", "computing", "MiB"], rows, {1, 2, 3})


def _all(results: list[Result]) -> str:
    rows = [
        [
            escape(one.student), escape(one.name), "-" if one.points is None else f"{one.points:g}",
            f"-{one.penalty:g}" if one.penalty else "",
            escape(one.status), escape(", ".join(one.waiting)),
        ]
        for one in results
    ]  # fmt: skip
    head = ["student", "name", "points", "late", "status", "to grade by hand"]
    return "<h2>Students</h2>" + _table(head, rows, {2, 3})


def _bar(share: float) -> str:
    return f'<span class="bar" style="width: {12 * max(0.0, min(1.0, share)):.1f}rem"></span>'


def _table(head: list[str], rows: list[list[str]], numbers: set[int] = frozenset()) -> str:  # type: ignore[assignment]
    """A table; its cells are HTML."""

    def row(cells: list[str], tag: str) -> str:
        made = (f'<{tag} class="n">' if k in numbers else f"<{tag}>" for k in range(len(cells)))
        return "<tr>" + "".join(f"{start}{cell}</{tag}>" for start, cell in zip(made, cells, strict=True)) + "</tr>"

    return f"<table>{row(head, 'th')}{''.join(row(cells, 'td') for cells in rows)}</table>"
