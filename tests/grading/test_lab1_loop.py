"""Lab 1 through release, autograde and judge: a solved, a half-solved and an untouched submission."""

from tests.grading.lab_loop import LabLoop, full_points, marks, solutions

LAB = "lab1_circle"
pytestmark = marks(LAB)

# exercises that the half-solved submission answers; the first is wrong on the circle itself, which hidden tests notice
HALF = ("gen_data", "gen_test", "specs", "interval_linear")
WRONG = {
    "inside_circle": "def inside_circle(x):\n    return 1 if (x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2 < 0.24 else 0",
    "proved": "It was proved that the network is right everywhere.",
}
FULL = full_points(LAB)
SUBMISSIONS = {"solved": solutions(LAB), "half": solutions(LAB, *HALF) | WRONG, "untouched": {}}
EXPECTED = {
    "solved": FULL,
    "half": {name: FULL[name] if name.partition("_check")[0].rstrip("_12") in HALF else 0.0 for name in FULL}
    # its labels come from the wrong inside_circle
    | {"gen_data_check": 0.0},
    "untouched": dict.fromkeys(FULL, 0.0),
}


class TestLab1(LabLoop):
    written = "proved"
