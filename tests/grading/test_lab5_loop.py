"""Lab 5 through release, autograde and judge: a solved, a wrong and an untouched submission."""

from tests.grading.lab_loop import LabLoop, full_points, marks, points_without, solutions

LAB = "lab5_relaxations"
pytestmark = marks(LAB)

# Each is wrong in a way that the visible part lets pass, or half right; what is not named here is left as solved.
WRONG = {
    # two layers, however many there are
    "classify": (
        "def classify(weights, biases, x):\n"
        "    h = list(x)\n"
        "    for k, (weight, bias) in enumerate(zip(weights[:2], biases[:2])):\n"
        "        z = [sum(w * v for w, v in zip(row, h)) + b for row, b in zip(weight, bias)]\n"
        "        h = z if k == len(weights) - 1 else [max(v, 0) for v in z]\n"
        "    return h.index(max(h))"
    ),
    # floats, which are exact in the visible part's halves
    "safe_bound": (
        "from fractions import Fraction\n\n\n"
        "def safe_bound(cost, matrix, right, lower, upper, y):\n"
        "    reduced = [c + sum(v * row[j] for v, row in zip(y, matrix)) for j, c in enumerate(cost)]\n"
        "    ends = sum(min(r * a, r * b) for r, a, b in zip(reduced, lower, upper))\n"
        "    return Fraction(ends - sum(v * b for v, b in zip(y, right)))\n\n\n"
        "def safe_bound_text(cost, matrix, right, lower, upper, y):\n"
        '    """Your bound, written as a fraction."""\n'
        "    return str(Fraction(safe_bound(cost, matrix, right, lower, upper, y)))"
    ),
    # a margin of 0 taken for a proof
    "what_lp_says": (
        "def what_lp_says(least, candidate, label, weights, biases):\n"
        "    if least >= 0:\n"
        "        return 'verified'\n"
        "    if candidate is not None and classify(weights, biases, candidate) != label:\n"
        "        return 'falsified'\n"
        "    return 'unknown'"
    ),
    "what_it_means": "Infeasible is a proof, feasible is a counterexample.",
}
FULL = full_points(LAB)
SUBMISSIONS = {"solved": solutions(LAB), "wrong": solutions(LAB) | WRONG, "untouched": {}}
EXPECTED = {"solved": FULL, "wrong": points_without(LAB, WRONG), "untouched": dict.fromkeys(FULL, 0.0)}


class TestLab5(LabLoop):
    written = "what_it_means"
