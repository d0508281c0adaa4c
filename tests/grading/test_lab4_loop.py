"""Lab 4 through release, autograde and judge: a solved, a wrong and an untouched submission."""

from tests.grading.lab_loop import LabLoop, full_points, marks, points_without, solutions

LAB = "lab4_curve"
pytestmark = marks(LAB)

# Each is wrong in a way that the visible part lets pass, or half right; what is not named here is left as solved.
WRONG = {
    # transposes only where the sizes would not fit
    "from_keras": (
        "def from_keras(weights):\n"
        "    pairs = zip(weights[::2], weights[1::2])\n"
        "    return [(w if w.shape[0] == w.shape[1] else w.T, b) for w, b in pairs]"
    ),
    # rounds the digits that Python prints away, but only beyond the fifteenth
    "exact": (
        "def exact(value):\n"
        "    return z3.RealVal(f'{value:.20f}')\n\n\n"
        "def exact_text(value):\n"
        '    """Your Z3 rational, written as a fraction."""\n'
        "    return str(z3.simplify(exact(value)).as_fraction())"
    ),
    # fused: rounds the sum once
    "run_float32": (
        "import numpy as np\n\n\n"
        "def run_float32(layers, point):\n"
        "    h = [float(np.float32(v)) for v in point]\n"
        "    for k, (weight, bias) in enumerate(layers):\n"
        "        z = []\n"
        "        for row, total in zip(weight, bias):\n"
        "            total = float(np.float32(total))\n"
        "            for w, v in zip(row, h):\n"
        "                total = float(np.float32(total + w * v))\n"
        "            z.append(total)\n"
        "        h = z if k == len(layers) - 1 else [max(v, 0.0) for v in z]\n"
        "    return h"
    ),
    "what_is_proved": "It is proved that the network is T4.",
}
FULL = full_points(LAB)
SUBMISSIONS = {"solved": solutions(LAB), "wrong": solutions(LAB) | WRONG, "untouched": {}}
EXPECTED = {
    "solved": FULL,
    # exactness lost for weights that take all their digits: the exercise that uses `exact` loses its point for that
    "wrong": points_without(LAB, WRONG, net_z3_check=4.0),
    "untouched": dict.fromkeys(FULL, 0.0),
}


class TestLab4(LabLoop):
    written = "what_is_proved"
