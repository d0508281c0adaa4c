import pytest

from course_utils import checks


def test_info_prints_a_version_for_every_package_the_labs_use(capsys):
    checks.info()
    printed = capsys.readouterr().out
    assert all(name in printed for name in checks.PACKAGES)
    assert ("All there." in printed) == ("missing" not in printed)


def test_info_names_what_is_missing_and_where_the_cure_is(capsys, monkeypatch):
    monkeypatch.setitem(checks.PACKAGES, "no-such-package", "nothing")
    checks.info()
    printed = capsys.readouterr().out
    assert "Missing: no-such-package" in printed
    assert "python -m course_utils.doctor" in printed


def test_mine_or_prefers_what_the_student_made(capsys):
    assert checks.mine_or(lambda: 3, lambda: 4, "number") == 3
    assert capsys.readouterr().out == ""


def unfinished() -> int:
    raise NotImplementedError


@pytest.mark.parametrize(("mine", "reason"), [(unfinished, "gave NotImplementedError"), (lambda: None, "is None")])
def test_mine_or_takes_the_courses_and_says_so(mine, reason, capsys):
    assert checks.mine_or(mine, lambda: 4, "number") == 4
    assert f"number {reason}" in capsys.readouterr().out
