"""Due dates, extensions and what lateness costs."""

from datetime import UTC, datetime, timedelta

import pytest

from grading.book.deadlines import Deadline, extend, lateness, parse_time, read_deadlines, set_due
from grading.course import Course, CourseError

DUE = datetime(2026, 12, 1, 12, tzinfo=UTC)
RULE = Deadline(DUE.isoformat(), 0.1, 15, {"zoe": (DUE + timedelta(days=3)).isoformat()})


@pytest.mark.parametrize(
    ("hours", "student", "of_ten"),
    [(-1, "ann", 0), (0.2, "ann", 0), (0.3, "ann", 1), (24, "ann", 1), (24.1, "ann", 2), (2400, "ann", 10),
     (71, "zoe", 0), (73, "zoe", 1)],
)  # fmt: skip
def test_each_started_day_costs_its_share(hours, student, of_ten):
    late = lateness(RULE, student, DUE + timedelta(hours=hours), None)
    assert late.penalty(10.0) == pytest.approx(of_ten)


def test_an_unknown_time_costs_nothing_and_a_mark_the_least():
    assert lateness(RULE, "ann", None, None).seconds == 0 == lateness(RULE, "ann", None, False).seconds
    marked = lateness(RULE, "ann", None, True)
    assert marked.at_least and marked.penalty(10.0) == 1.0
    assert lateness(RULE, "zoe", None, True).seconds == 0  # the platform knows nothing of the extension here


def test_without_a_rule_nbgraders_date_counts_and_its_plugin_decides():
    late = lateness(Deadline(), "ann", DUE, None, DUE - timedelta(hours=2), timedelta(hours=1))
    assert late.seconds == 3600 and late.penalty(10.0) is None


def test_every_change_is_another_digest():
    times = [DUE, DUE + timedelta(hours=1)]
    seen = {lateness(RULE, "ann", time, None).digest() for time in times}
    seen.add(lateness(Deadline(RULE.due, 0.2), "ann", times[1], None).digest())
    seen.add(lateness(RULE, "zoe", times[1], None).digest())
    assert len(seen) == 4


def test_dates_are_kept_and_mistakes_are_told(tmp_path):
    course = Course(tmp_path)
    set_due(course, "lab", "2026-12-01T13:00+01:00", penalty_per_day=0.1)
    set_due(course, "lab", None, grace_minutes=5)
    extend(course, "ann", "lab", "2026-12-03T12:00+00:00")
    assert read_deadlines(course) == {
        "lab": Deadline("2026-12-01T12:00:00+00:00", 0.1, 5, {"ann": "2026-12-03T12:00:00+00:00"})
    }
    assert extend(course, "ann", "lab", "none").extensions == {} and set_due(course, "lab", "never").due == ""
    with pytest.raises(CourseError, match="is not a time"):
        set_due(course, "lab", "next week")
    with pytest.raises(CourseError, match="between 0 and 1, not 10"):
        set_due(course, "lab", None, penalty_per_day=10)
    with pytest.raises(CourseError, match="no due date to extend"):
        extend(course, "ann", "lab", "2026-12-03")
    set_due(course, "lab", "2026-12-04")
    with pytest.raises(CourseError, match="before the due date"):
        extend(course, "ann", "lab", "2026-12-03")
    (course.gradebook / "deadlines.json").write_text("{")
    with pytest.raises(CourseError, match="cannot be read"):
        read_deadlines(course)


def test_a_day_ends_at_its_end():
    assert parse_time("2026-12-01") - parse_time("2026-12-01 00:00") == timedelta(hours=23, minutes=59, seconds=59)
    assert parse_time("2026-12-01 10:00:00 UTC") == datetime(2026, 12, 1, 10, tzinfo=UTC)
