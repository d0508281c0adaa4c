"""Small helpers of the labs' cells: is the environment right, what a check says, and how to go on after a skipped one.

Nothing but Python itself is imported here at first, so that the first cell of a lab can say what is missing.
"""

from __future__ import annotations

import html
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

# what a lab uses: the name it is installed under, and what for
PACKAGES = {
    "torch": "networks and training",
    "numpy": "arrays",
    "matplotlib": "pictures",
    "tqdm": "progress bars",
    "ipywidgets": "sliders, and progress bars in a notebook",
    "auto-LiRPA": "bounds at the root of verify()",
    "z3-solver": "the exact method of last resort",
    "highspy": "linear and mixed-integer programs",
    "ortools": "CP-SAT, which finds the weights of networks",
}
# white on these grounds has a contrast of at least 4.5, in a light and in a dark notebook
GROUNDS = {"good": "#117733", "bad": "#b2182b", "note": "#8a6d00"}
MARKS = {"good": "\N{CHECK MARK}", "bad": "\N{BALLOT X}", "note": "\N{BLACK RIGHTWARDS ARROWHEAD}"}

T = TypeVar("T")
Images = Callable[..., tuple[Any, Any]]

_total = 0.0  # points that the open lab gives for its checks; 0 where no lab was started, as in the judge
_passed: dict[str, float] = {}  # points by exercise


def start_lab(points: float) -> None:
    """Print the version of all that a lab uses, or that it is missing, and let errors show their message first.

    Args:
        points: What the lab's checks give together.
    """
    global _total
    _total = points
    _passed.clear()
    info()
    if "torch" in sys.modules or _installed("torch"):
        import torch

        from course_utils.notebook import describe_pictures, show_errors_briefly

        torch.set_num_threads(1)  # the labs' networks are small: a second thread costs more than it gives
        show_errors_briefly()
        describe_pictures()


def info() -> None:
    """Print the version of all that a lab uses, or that it is missing."""
    print(f"{'python':<12} {platform.python_version():<10} runs the notebook")
    missing = []
    for name, purpose in PACKAGES.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "MISSING"
            missing.append(name)
        print(f"{name:<12} {found:<10} {purpose}")
    if missing:
        say(f"Missing: {', '.join(missing)}. What to do: python -m course_utils.doctor", "bad")
    else:
        say("All there.", "good")


def say(text: str, kind: str = "note") -> None:
    """Show one line: "good", "bad" or a "note". In a notebook it has a coloured ground, elsewhere it is plain text."""
    line = f"{MARKS[kind]} {text}"
    if _in_notebook():
        from IPython.display import display

        style = f"color:#ffffff;background:{GROUNDS[kind]};padding:0.2em 0.6em;display:inline-block"
        display({"text/plain": line, "text/html": f'<div style="{style}">{html.escape(line)}</div>'}, raw=True)
    else:
        print(line)


def passed(exercise: str, points: float) -> None:
    """Say in one line that the visible part of a check has passed, and how many points that makes so far.

    Args:
        exercise: Its name.
        points: What the visible part gives; where it gave part of them, that part.
    """
    if not _total:  # nobody reads it
        return
    _passed[exercise] = points
    say(
        f"{exercise}: {points:g} point{'' if points == 1 else 's'}; so far {sum(_passed.values()):g} of {_total:g}, "
        "before the hidden tests",
        "good" if points else "note",
    )


def as_tensor(value: Any) -> Tensor:
    """What a student's function gave, in whatever form, as a tensor of float64.

    Args:
        value: A number, a tensor, an array, or lists of these, nested as one likes; an empty list is an empty tensor.

    Raises:
        ValueError: Its rows differ in length.
        TypeError: It is something else, such as None.
    """
    import torch

    if value is None:
        raise TypeError("found None; does the function end with `return`?")
    if isinstance(value, (list, tuple)):
        parts = [as_tensor(part) for part in value]
        shapes = {tuple(part.shape) for part in parts}
        if len(shapes) > 1:
            raise ValueError(f"found rows of different shapes: {sorted(shapes)}")
        return torch.stack(parts) if parts else torch.empty(0, dtype=torch.float64)
    # a Python float holds more than torch's default dtype
    return torch.as_tensor(value, dtype=torch.float64 if isinstance(value, float) else None).detach().double()


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
        lower, upper = (as_tensor(part).to(image.dtype) for part in found)
        if not lower.shape == upper.shape == image.shape:
            raise ValueError(f"expected two images of shape {tuple(image.shape)}, found {tuple(lower.shape)}")
        return lower, upper

    safe(x, *example)
    return safe


def mine_or(mine: Callable[[], T], course: Callable[[], T], name: str) -> T:
    """What the student made or, when that cannot be used, the course's; says so, with the reason.

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
    except (NameError, NotImplementedError):
        value, reason = None, "is not there yet"
    except Exception as error:  # an unfinished exercise may fail in any way
        first = str(error).strip().partition("\n")[0]
        value, reason = None, f"cannot be used ({type(error).__name__}{': ' if first else ''}{first})"
    if value is not None:
        return value
    say(f"{name} {reason}: this part goes on with the course's own.")
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
        >>> import numpy as np
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


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _in_notebook() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return type(shell).__name__ == "ZMQInteractiveShell"
