import numpy as np
import pytest
import torch

from course_utils import checks


def test_info_prints_a_version_for_every_package_the_labs_use(capsys):
    checks.info()
    printed = capsys.readouterr().out
    assert all(name in printed for name in checks.PACKAGES)
    assert ("All there." in printed) == ("MISSING" not in printed)


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


@pytest.mark.parametrize(
    ("mine", "reason"),
    [
        (unfinished, "is not there yet"),
        (lambda: None, "is None"),
        (lambda: int("x"), "cannot be used (ValueError: invalid literal"),
    ],
)
def test_mine_or_takes_the_courses_and_says_so(mine, reason, capsys):
    assert checks.mine_or(mine, lambda: 4, "number") == 4
    assert f"number {reason}" in capsys.readouterr().out


def moved(image, by, form):
    """Two images in some form, and `image` itself changed, as a student may write it."""
    image += by
    return [form(image - 2 * by), form(image)]


@pytest.mark.parametrize(
    "form", [lambda part: part, lambda part: part.double(), lambda part: part.numpy(), torch.Tensor.tolist]
)
def test_two_images_gives_tensors_and_leaves_the_image_as_it_is(form):
    x = torch.tensor([0.0, 1.0])
    lower, upper = checks.two_images(moved, x, 0.5, form)(x, 0.5, form)
    assert lower.tolist() == [-0.5, 0.5] and upper.tolist() == [0.5, 1.5] and x.tolist() == [0.0, 1.0]
    assert lower.dtype == upper.dtype == torch.float32


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda image: [image] * 3, "expected two images, found 3 values"),
        (lambda image: (image[:1], image[:1]), r"expected two images of shape \(2,\), found \(1,\)"),
    ],
)
def test_two_images_refuses_what_the_next_cells_could_not_use(wrong, message):
    with pytest.raises(ValueError, match=message):
        checks.two_images(wrong, torch.zeros(2))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, torch.tensor(0.5)),
        ([1, 2], torch.tensor([1.0, 2.0])),
        ([torch.tensor([1.0, 2.0]), [3, 4]], torch.tensor([[1.0, 2.0], [3.0, 4.0]])),
        (np.float32(0.5), torch.tensor(0.5)),
        (torch.ones(2, requires_grad=True), torch.ones(2)),
        ([], torch.empty(0)),
    ],
)
def test_as_tensor_reads_what_students_return(value, expected):
    found = checks.as_tensor(value)
    assert found.dtype == torch.float64 and torch.equal(found, expected.double())


def test_as_tensor_keeps_every_digit_of_a_float():
    assert checks.as_tensor([0.1, 1 / 3]).tolist() == [0.1, 1 / 3]


def test_as_tensor_says_when_nothing_came_back():
    with pytest.raises(TypeError, match="does the function end with `return`"):
        checks.as_tensor(None)


def test_passed_counts_each_exercise_once_and_only_in_a_lab_that_was_started(capsys, monkeypatch):
    monkeypatch.setattr(checks, "_total", 0.0)
    checks.passed("first", 2)
    assert capsys.readouterr().out == ""
    checks.start_lab(points=36)
    for exercise, points in [("first", 2), ("second", 3), ("second", 3)]:
        checks.passed(exercise, points)
    assert "second: 3 points; so far 5 of 36" in capsys.readouterr().out


def test_grounds_of_one_line_messages_can_be_read_in_white():
    """Contrast after WCAG 2: at least 4.5, whatever the notebook's own ground is."""
    for ground in checks.GROUNDS.values():
        channels = [int(ground[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert 1.05 / (luminance + 0.05) >= 4.5


@pytest.mark.parametrize("value", [np.zeros((3, 2)), torch.zeros(3, 2)])
def test_expect_array_takes_what_has_the_shape(value):
    assert checks.expect_array(value, (None, 2)) is value and checks.expect_array(value, (3, 2)) is value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.empty(0), r"bounds has shape \(0,\); \(any, 2\) was expected"),
        (np.empty((0, 2)), r"shape \(0, 2\)"),
        (np.zeros((2, 3)), r"shape \(2, 3\)"),
        (torch.zeros(()), r"shape \(\)"),
        ([[1, 2]], "a list"),
        (None, "a NoneType"),
    ],
)
def test_expect_array_names_what_has_another(value, said):
    with pytest.raises(AssertionError, match=said):
        checks.expect_array(value, (None, 2), "bounds")
