"""Lab 7 through release, autograde and judge: a solved, a wrong and an untouched submission."""

from tests.grading.lab_loop import LabLoop, full_points, marks, points_without, solutions

LAB = "lab7_synthesis"
pytestmark = marks(LAB)

# Each is wrong in a way that the visible part lets pass; what is not named here is left as solved.
WRONG = {
    # an empty list of weights is taken for none
    "smallest_shape": (
        "def smallest_shape(shapes, find):\n"
        "    for shape in shapes:\n"
        "        weights = find(shape)\n"
        "        if weights:\n"
        "            return shape, weights\n"
        "    return None, None"
    ),
    # asks on when no error is left
    "cheapest_best": (
        "def cheapest_best(sketches, ask):\n"
        "    best, chosen = 41, None\n"
        "    for _, name in sorted(sketches):\n"
        "        errors = ask(name, best)\n"
        "        if errors is not None:\n"
        "            best, chosen = errors, name\n"
        "    return best, chosen"
    ),
    # an any-tie rule
    "read_class": (
        "def read_class(counts):\n    return counts.index(max(counts)) if len(set(counts)) == len(counts) else -1"
    ),
    "when_solvers": "Solvers are always better.",
}
FULL = full_points(LAB)
SUBMISSIONS = {"solved": solutions(LAB), "wrong": solutions(LAB) | WRONG, "untouched": {}}
EXPECTED = {"solved": FULL, "wrong": points_without(LAB, WRONG), "untouched": dict.fromkeys(FULL, 0.0)}


class TestLab7(LabLoop):
    written = "when_solvers"
