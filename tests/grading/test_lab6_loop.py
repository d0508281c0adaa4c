"""Lab 6 through release, autograde and judge: a solved, a wrong and an untouched submission."""

from tests.grading.lab_loop import LabLoop, full_points, marks, points_without, solutions

LAB = "lab6_milp"
pytestmark = marks(LAB)

# Each is wrong in a way that the visible part lets pass; what is not named here is left as solved.
WRONG = {
    # looks at no active q
    "within_layer": (
        "def within_layer(q, r, lower, upper):\n"
        "    import numpy as np\n"
        "    x = np.stack(np.meshgrid(*[np.linspace(a, b, 400) for a, b in zip(lower, upper)]), -1).reshape(-1, 2)\n"
        "    z_q, z_r = (x @ np.array(v[:2]) + v[2] for v in (q, r))\n"
        "    off = z_r[z_q <= 0]\n"
        "    return ('+' if off.min() > 0 else '-' if off.max() < 0 else None), None"
    ),
    # right for the one kind of dependency that is shown
    "as_cut": "def as_cut(q_state, r_state):\n    return -1, 1, 0",
    # takes the half that is better instead of the mean
    "choose_input": (
        "def choose_input(halves, ratio, depth, m):\n"
        "    means = [(a + b) / 2 for a, b in halves]\n"
        "    best = max(means)\n"
        "    return means.index(best) if best / (depth + 1) ** (1 / m) >= ratio / depth ** (1 / m) - 0.03 else None"
    ),
    "which_one": "I would take the method that is called auto.",
}
FULL = full_points(LAB)
SUBMISSIONS = {"solved": solutions(LAB), "wrong": solutions(LAB) | WRONG, "untouched": {}}
EXPECTED = {"solved": FULL, "wrong": points_without(LAB, WRONG), "untouched": dict.fromkeys(FULL, 0.0)}


class TestLab6(LabLoop):
    written = "which_one"
