"""The course's main job in one go: train, verify, look at a counterexample, draw, release a lab, grade two submissions.

Everything that it makes goes below one folder, with a course of its own in it, so that no real gradebook is touched.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from termcolor import colored
from torch import nn

from course_utils.data import CircleDataset, circle_points
from course_utils.models import accuracy, regression_model
from course_utils.plots import draw_circle, draw_counterexamples, draw_network, draw_search, draw_spec
from course_utils.training import train
from grading.course import Course
from grading.sandbox.bubblewrap import lacking
from verifier import OutputSpec, Result, less_than, split_trace, verify

LAB = "lab1_circle"
SEED = 0
MAX_SUBDOMAINS = 20_000  # limits the work, so that a slow machine gets the same verdicts
COLOURS = {"VERIFIED": "green", "FALSIFIED": "red", "UNKNOWN": "yellow"}

# what should hold: name, box of the inputs, condition on the output
INSIDE, OUTSIDE = [[0.5, None]], less_than(0.5)
SPECS: tuple[tuple[str, list[list[float]], list[list[float | None]] | OutputSpec], ...] = (
    ("[0.45, 0.55]^2   y >= 0.5", [[0.45, 0.55]] * 2, INSIDE),
    ("[0.7, 0.85]^2    y >= 0.5", [[0.7, 0.85]] * 2, INSIDE),
    ("[0.86, 0.9]^2    y <  0.5", [[0.86, 0.9]] * 2, OUTSIDE),
    # the circle passes between these two, 0.0001 apart: true of the circle, and of hardly any network
    ("[0.7, 0.8535]^2  y >= 0.5", [[0.7, 0.8535]] * 2, INSIDE),
    ("[0.8536, 0.9]^2  y <  0.5", [[0.8536, 0.9]] * 2, OUTSIDE),
)


def main(course: Course, folder: Path) -> int:
    """Run the demo.

    Args:
        course: Its lab 1 is the one that is released and graded.
        folder: Where everything goes that the demo makes.

    Returns:
        0, or 1 when the two submissions did not get the points that they should.
    """
    mpl.use("agg")
    start = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    net = train_network()
    counterexamples = verify_specs(net)
    picture = draw(net, counterexamples, folder / "circle.png")
    print(f"   picture: {picture}")
    well = grade(course, folder / "course")
    print(f"\nThe demo took {time.perf_counter() - start:.0f} s. Next: make lab")
    return 0 if well else 1


def train_network() -> nn.Sequential:
    """A network that tells points inside the circle from points outside it."""
    print("1. Train a classifier of the circle: 2-64-64-1, Linear and ReLU")
    points, labels = circle_points()
    torch.manual_seed(SEED)
    net = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    train(regression_model(net), CircleDataset(points, labels), epochs=60, seed=SEED)
    print(f"   right on {accuracy(net, points, labels):.1%} of {len(points)} training points")
    return net


def verify_specs(net: nn.Module) -> list[torch.Tensor]:
    """Ask for each spec, print the verdicts, and replay the counterexamples in the network itself."""
    print("\n2. Verify: for every point of the box")
    counterexamples: list[torch.Tensor] = []
    for name, x_specs, y_specs in SPECS:
        found: list[torch.Tensor] = []
        result = verify(net, x_specs, y_specs, found, max_subdomains=MAX_SUBDOMAINS, timeout_s=float("inf"), seed=SEED)
        print(
            f"   {name}  {verdict(result):<20} {1000 * result.seconds:7.1f} ms, settled by {result.stage}", flush=True
        )
        for x in found[:1]:
            y = net(x).item()
            print(f"      replayed: x = ({x[0]:.6f}, {x[1]:.6f}) is in the box, and the network says y = {y:.6f}")
        counterexamples += found
    return counterexamples


def verdict(result: Result) -> str:
    """The verdict in its colour, where the terminal shows colours."""
    name = result.verdict.name
    return colored(f"{name:<9}", COLOURS[name], attrs=["bold"])


def draw(net: nn.Module, counterexamples: list[torch.Tensor], path: Path) -> Path:
    """Save the picture: the corner where the specs' boxes meet the circle, and the boxes of a whole search."""
    from matplotlib import pyplot as plt

    figure, (corner, search) = plt.subplots(1, 2, figsize=(13, 4.4), layout="constrained")
    draw_circle(corner)
    corner.set(xlim=(0.69, 0.91), ylim=(0.69, 0.91))
    for name, box, _ in SPECS[1:3]:
        draw_spec(box[0], box[1], corner, name=" ".join(name.split()))
    draw_network(net, corner)
    draw_counterexamples(counterexamples, corner)
    corner.set_title("inside for the network, and two specs")
    # interval bounds are loose, so that there are boxes to see; CROWN's would need a handful
    wide = split_trace(net, [[0.16, 0.84]] * 2, INSIDE, method="ibp", max_subdomains=MAX_SUBDOMAINS)
    draw_circle(search)
    search.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    draw_search(wide.boxes, search)
    draw_network(net, search)
    search.set_title(f"[0.16, 0.84]^2 y >= 0.5 by intervals: {wide.result.verdict.value}")
    figure.savefig(path, dpi=100, bbox_inches="tight")
    plt.close(figure)
    return path


def grade(course: Course, folder: Path) -> bool:
    """Release lab 1, hand in one solved and one untouched notebook, grade both and print the points.

    Both are this course's own, so where no sandbox works they are graded without one, and that is said; nobody else's
    submission ever is, unless `--unsafe-no-sandbox` asks for it.
    """
    print("\n3. Release and grade lab 1 (loading nbgrader takes some seconds)", flush=True)
    with _step("released, without solutions and hidden tests"):
        from grading.book.autograde import grade_one
        from grading.book.nbgrader import points, release

        small = _copy(course, folder)
        release(small, LAB)
    handed_in = {"solved": small.source_notebook(LAB), "untouched": small.released_notebook(LAB)}
    earned: dict[str, float] = {}
    if without := lacking():
        print(f"   WITHOUT A SANDBOX, since both submissions are the course's own: {without}")
    for student, notebook in handed_in.items():
        target = small.submitted(student, LAB) / f"{LAB}.ipynb"
        target.parent.mkdir(parents=True)
        shutil.copyfile(notebook, target)
        with _step(f"autograded the {student} submission"):
            grade_one(small, LAB, student, unsafe=bool(without))
        scores = points(small, LAB, student).values()
        by_machine: list[Any] = [score for score in scores if not score.by_hand]
        waiting = sum(score.max_points for score in scores if score.by_hand)
        earned[student] = sum(score.points for score in by_machine)
        print(
            f"      {colored(student, attrs=['bold'])}: {earned[student]:g} of "
            f"{sum(score.max_points for score in by_machine):g} points"
            + (f", and an answer worth {waiting:g} to be graded by hand" if waiting else "")
        )
    full = sum(score.max_points for score in points(small, LAB, "solved").values() if not score.by_hand)
    return earned == {"solved": full, "untouched": 0.0}


def _copy(course: Course, folder: Path) -> Course:
    """A course that holds lab 1 and this course's settings, and nothing from an earlier run."""
    shutil.rmtree(folder, ignore_errors=True)
    small = Course(folder)
    small.labs.mkdir(parents=True)
    small.config.parent.mkdir()
    shutil.copytree(course.labs / LAB, small.labs / LAB, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    shutil.copyfile(course.config, small.config)
    return small


@contextmanager
def _step(name: str) -> Iterator[None]:
    """Print what was done and how long it took."""
    start = time.perf_counter()
    yield
    print(f"   {name} ({time.perf_counter() - start:.1f} s)", flush=True)
