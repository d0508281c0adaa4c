"""Small helpers of the labs' cells: is the environment right, and how to go on after a skipped exercise."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import numpy as np

from verifier.errors import missing

try:
    from termcolor import colored
except ImportError as error:
    raise missing("course_utils.checks needs termcolor, which is not installed", "labs") from error

# what a lab uses: the name it is installed under, and what for
PACKAGES = {
    "torch": "networks and training",
    "numpy": "arrays",
    "matplotlib": "pictures",
    "tqdm": "progress bars",
    "ipywidgets": "progress bars in a notebook",
    "auto-LiRPA": "bounds at the root of verify()",
    "z3-solver": "the exact method of last resort",
}

T = TypeVar("T")
Images = Callable[..., tuple[Any, Any]]


def _line(name: str, found: str, purpose: str, colour: str) -> None:
    print(f"{name:<12} {colored(found.ljust(10), colour)} {purpose}")


def info() -> None:
    """Print the version of all that a lab uses, or that it is missing."""
    _line("python", platform.python_version(), "runs the notebook", "green")
    missing = []
    for name, purpose in PACKAGES.items():
        try:
            _line(name, version(name), purpose, "green")
        except PackageNotFoundError:
            missing.append(name)
            _line(name, "missing", purpose, "red")
    if missing:
        print(colored(f"Missing: {', '.join(missing)}.", "red"), "What to do: python -m course_utils.doctor")
    else:
        print(colored("All there.", "green"))


def two_images(perturb: Images, x: Any, *example: Any) -> Images:
    """A student's function of an image, made safe for what follows: tensors come out of it, and `x` stays as it is.

    Args:
        perturb: Takes an image and more, gives two images in whatever form: tensors, arrays, lists.
        x: An image to try it on, a tensor.
        *example: What else to try it with.

    Returns:
        A function that calls `perturb` on a copy of the image and gives two tensors of the image's shape and dtype.

    Raises:
        ValueError: It gives something else; also anything that `perturb` raises.
    """

    def safe(image: Any, *others: Any) -> tuple[Any, Any]:
        found = perturb(image.clone(), *others)
        if len(found) != 2:
            raise ValueError(f"expected two images, found {len(found)} values")
        lower, upper = (image.new_tensor(np.asarray(part)) for part in found)
        if not lower.shape == upper.shape == image.shape:
            raise ValueError(f"expected two images of shape {tuple(image.shape)}, found {tuple(lower.shape)}")
        return lower, upper

    safe(x, *example)
    return safe


def mine_or(mine: Callable[[], T], course: Callable[[], T], name: str) -> T:
    """What the student made or, when that is not there yet, the course's; says so when it takes the course's.

    Args:
        mine: Gives the student's value; called late, so that a name that does not exist yet is no error.
        course: Gives the course's.
        name: What the student would look for.

    Returns:
        `mine()`, unless it raises or gives None.
    """
    try:
        value = mine()
        reason = "is None"
    except Exception as error:  # an unfinished exercise may fail in any way
        value, reason = None, f"gave {type(error).__name__}"
    if value is not None:
        return value
    print(colored(f"{name} {reason}: this part goes on with the course's own.", "yellow"))
    return course()


def expect_array(value: Any, shape: tuple[int | None, ...], name: str = "the value") -> Any:
    """Fail unless a value is an array or a tensor of numbers of this shape; for test cells.

    Comparisons such as allclose() spread what is too small over what they compare with, and pass where there is nothing
    to compare: an empty array is close to any.

    Args:
        value: A student's.
        shape: Its sizes, None where any size above zero is right.
        name: What the message calls it.

    Returns:
        The value.

    Raises:
        AssertionError: It is something else; the message says what, and what was expected.

    Example:
        >>> expect_array(np.zeros((3, 2)), (None, 2)).sum()
        np.float64(0.0)
    """
    sizes_wanted = ", ".join("any" if size is None else str(size) for size in shape)
    wanted = f"({sizes_wanted}{',' if len(shape) == 1 else ''})"
    found = getattr(value, "shape", None)
    if found is None:
        raise AssertionError(f"{name} is a {type(value).__name__}; an array of shape {wanted} was expected")
    sizes = tuple(int(size) for size in found)
    if len(sizes) != len(shape) or any(
        size == 0 or expected not in (None, size) for size, expected in zip(sizes, shape, strict=True)
    ):
        raise AssertionError(f"{name} has shape {sizes}; {wanted} was expected")
    return value
