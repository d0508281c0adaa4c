"""Lab 4's test cells, hidden parts included, on plausible wrong answers and on right ones in an unusual form."""

import pytest

pytest.importorskip("z3")

from tests.lab_answers import LabAnswers, cases

# what a student has by then: right functions, written in another way than the lab's solutions
BEFORE = """
from fractions import Fraction
import numpy as np
import torch
import z3
from torch import nn
from verifier import verify_function

def t4(x):
    return 8 * x**4 - 8 * x**2 + 1

def exact(value):
    return z3.RealVal(str(Fraction(value)))

def bend(z):
    return z3.If(z > 0, z, 0)

def terms(layers, h, number=exact, relu=bend, last=False, bias=True, turned=False):
    for k in range(len(layers)):
        weight, by = layers[k]
        weight = list(zip(*weight)) if turned and len(weight) == len(weight[0]) else weight
        z = []
        for row, b in zip(weight, by):
            total = number(b) if bias else z3.RealVal(0)
            for w, v in zip(row, h):
                total = total + number(w) * v
            z.append(total)
        h = [relu(v) for v in z] if last or k < len(layers) - 1 else z
    return h

net_z3 = terms

def query(layers, tolerance, lower, upper, strict=False, sides=(1, -1), limit=True, bounds=True, take=None):
    x = z3.Real("x")
    error = terms(layers, [x])[0] - t4(x)
    solver = z3.Solver()
    if bounds:
        solver.add(exact(lower) <= x, x <= exact(upper))
    t = exact(tolerance)
    solver.add(z3.Or([s * error > t if strict else s * error >= t for s in sides]))
    if solver.check() == z3.unsat:
        return "verified", None
    at = solver.model()[x]
    if at is None:
        return "falsified", lower
    return "falsified", float((at.approx(30) if z3.is_algebraic_value(at) else at).as_fraction())

def scalars(layers, point, kind=np.float32, first=True):
    h = [kind(v) for v in point]
    for k, (weight, bias) in enumerate(layers):
        z = []
        for row, b in zip(weight, bias):
            total = kind(b) if first else kind(0)
            for w, v in zip(row, h):
                total = kind(total + kind(kind(w) * v))
            z.append(total if first else kind(total + kind(b)))
        h = [v if v > 0 else kind(0) for v in z] if k < len(layers) - 1 else z
    return h

F, R = z3.Float32(), z3.RNE()

def floats(layers, h, rounding=R, sort=F, fused=False, first=True):
    zero = z3.FPVal(0.0, sort)
    for k, (weight, bias) in enumerate(layers):
        z = []
        for row, b in zip(weight, bias):
            total = z3.FPVal(b if first else 0.0, sort)
            for w, v in zip(row, h):
                w = z3.FPVal(w, sort)
                product = z3.fpMul(rounding, w, v)
                total = z3.fpFMA(rounding, w, v, total) if fused else z3.fpAdd(rounding, product, total)
            z.append(total if first else z3.fpAdd(rounding, total, z3.FPVal(b, sort)))
        h = [z3.If(z3.fpGT(v, zero), v, zero) for v in z] if k < len(layers) - 1 else z
    return h
"""
ANSWERS = LabAnswers("lab4_curve", BEFORE)

KERAS = "def from_keras(weights):\n    "
EXACT = "def exact(value):\n    "
NET = "def net_z3(layers, inputs):\n    "
ASK = "def ask(layers, tolerance, lower=-1.0, upper=1.0):\n    "
ENCLOSE = "def enclose(ask_one, low, high, gap):\n    "
ON = "def net_z3_on(layers, known, inputs):\n    "
RUN = "def run_float32(layers, point):\n    "
FP = "def net_fp(layers, inputs):\n    "
BISECT = "while high - low > gap:\n        m = (low + high) / 2\n        v = ask_one(m)\n        "
KNOWN = (
    "h = inputs\n    for k, (weight, bias) in enumerate(layers):\n"
    "        z = [sum((exact(w) * v for w, v in zip(row, h)), exact(b)) for row, b in zip(weight, bias)]\n"
    "        if k == len(layers) - 1:\n            return z\n        l, u = known[k]\n        h = {}\n"
)
PAIRS = "for w, b in zip(weights[::2], weights[1::2])]"

WRONG = {
    "from_keras": {
        "unchanged": KERAS + f"return [(w, b) {PAIRS}",
        "reshaped": KERAS + f"return [(w.reshape(w.shape[::-1]), b) {PAIRS}",
        "only where it does not fit": KERAS + f"return [(w if w.shape[0] == w.shape[1] else w.T, b) {PAIRS}",
        "flat": KERAS + "return [w.T for w in weights]",
        "three layers always": KERAS + "return [(weights[2 * k].T, weights[2 * k + 1]) for k in range(3)]",
    },
    "exact": {
        "printed digits": EXACT + "return z3.RealVal(value)",
        "limited denominator": EXACT + "return z3.RealVal(str(Fraction(value).limit_denominator(10**6)))",
        "printed with twenty digits": EXACT + "return z3.RealVal(f'{value:.20f}')",
        "float32": EXACT + "return z3.RealVal(str(Fraction(float(np.float32(value)))))",
    },
    "net_z3": {
        "ReLU after the last layer": NET + "return terms(layers, inputs, last=True)",
        "no ReLU": NET + "return terms(layers, inputs, relu=lambda z: z)",
        "no bias": NET + "return terms(layers, inputs, bias=False)",
        "ReLU the wrong way round": NET + "return terms(layers, inputs, relu=lambda z: z3.If(z >= 0, 0 * z, z))",
        "first output only": NET + "return terms(layers, inputs)[:1]",
        "transposed": NET + "return terms(layers, inputs, turned=True)",
    },
    "ask": {
        "sat is a proof": ASK + "found = query(layers, tolerance, lower, upper)\n"
        "    return ('verified', None) if found[0] == 'falsified' else ('falsified', 0.0)",
        "one side": ASK + "return query(layers, tolerance, lower, upper, sides=(1,))",
        "the other side": ASK + "return query(layers, tolerance, lower, upper, sides=(-1,))",
        "strict": ASK + "return query(layers, tolerance, lower, upper, strict=True)",
        "always [-1, 1]": ASK + "return query(layers, tolerance, -1.0, 1.0)",
        "no interval": ASK + "return query(layers, tolerance, lower, upper, bounds=False)",
        "always verified": ASK + "return 'verified', None",
        "always unknown": ASK + "return 'unknown', None",
        "a sample": ASK + "x = np.linspace(lower, upper, 50)\n    e = np.abs(x) * 0 + abs(abs(x) - t4(x))\n"
        "    return ('falsified', x[e.argmax()]) if e.max() >= tolerance else ('verified', None)",
        "an end as counterexample": ASK + "found = query(layers, tolerance, lower, upper)\n"
        "    return found[0], None if found[1] is None else upper",
    },
    "enclose": {
        "ends exchanged": ENCLOSE + BISECT
        + "low, high = (m, high) if v == 'verified' else (low, m)\n    return low, high",
        "one question": ENCLOSE + "m = (low + high) / 2\n    return m - gap / 2, m + gap / 2",
        "steps of the gap": ENCLOSE + "while ask_one(low + gap) == 'falsified':\n        low += gap\n"
        "    return low, low + gap",
        "nothing asked": ENCLOSE + "return low, high",
        "middle twice": ENCLOSE + BISECT + "low = high = m\n    return low, high",
    },
    "net_z3_on": {
        "exchanged": ON + KNOWN + "        h = [v if y <= 0 else exact(0) if x >= 0 else bend(v)"
        " for v, x, y in zip(z, l, u)]\n    return h",
        "always active": ON + "return terms(layers, inputs, relu=lambda z: z)",
        "always inactive": ON + "return terms(layers, inputs, relu=lambda z: z3.RealVal(0))",
        "by the middle": ON + KNOWN
        + "        h = [v if x + y > 0 else exact(0) for v, x, y in zip(z, l, u)]\n    return h",
    },
    "run_float32": {
        "float64, rounded at the end": RUN + "return [np.float32(v) for v in scalars(layers, point, float)]",
        "float64": RUN + "return scalars(layers, point, float)",
        "bias last": RUN + "return scalars(layers, point, first=False)",
        "no order": RUN + "return scalars([(np.flip(w, 1), b) for w, b in layers], point)",
        "matrix product in float64": RUN + "h = np.array(point)\n    for k, (w, b) in enumerate(layers):\n"
        "        h = (np.array(w) @ h + np.array(b)).astype(np.float32)\n"
        "        h = np.maximum(h, 0) if k < len(layers) - 1 else h\n    return list(h)",
    },
    "net_fp": {
        "fused": FP + "return floats(layers, inputs, fused=True)",
        "towards zero": FP + "return floats(layers, inputs, rounding=z3.RTZ())",
        "bias last": FP + "return floats(layers, inputs, first=False)",
        "reals": FP + "x = [z3.fpToReal(v) for v in inputs]\n"
        "    return [z3.fpRealToFP(R, z3.simplify(v), F) for v in terms(layers, x)]",
    },
}  # fmt: skip
RIGHT = {
    "from_keras": {
        "lists": KERAS + f"return [[w.T.tolist(), b.tolist()] {PAIRS}",
        "tensors": KERAS + f"return tuple((torch.tensor(w).T, torch.tensor(b)) {PAIRS}".replace("])]", "]))").replace(
            "[1::2])]", "[1::2]))"
        ),
    },
    "exact": {
        "fraction as text": EXACT + "return z3.RealVal(str(Fraction(value)))",
        "ratio": EXACT + "n, d = float(value).as_integer_ratio()\n    return z3.RealVal(n) / z3.RealVal(d)",
        "mantissa and exponent": EXACT + "m, e = np.frexp(float(value))\n    k = 53 - int(e)\n"
        "    n = int(m * 2**53)\n    return z3.Q(n, 2**k) if k >= 0 else z3.RealVal(n * 2**-k)",
    },
    "net_z3": {
        "tuple": NET + "return tuple(terms(layers, inputs))",
        "maximum": NET + "return terms(layers, inputs, relu=lambda z: z3.If(0 > z, 0, z))",
        "numpy objects": NET + "h = np.array(inputs, dtype=object)\n    for k, (w, b) in enumerate(layers):\n"
        "        w = np.array([[exact(v) for v in row] for row in w], dtype=object)\n"
        "        h = w.dot(h) + np.array([exact(v) for v in b], dtype=object)\n"
        "        h = np.array([bend(v) for v in h], dtype=object) if k < len(layers) - 1 else h\n    return list(h)",
    },
    "ask": {
        "list": ASK + "return list(query(layers, tolerance, lower, upper))",
        "numpy number": ASK + "verdict, at = query(layers, tolerance, lower, upper)\n"
        "    return verdict, None if at is None else np.float64(at)",
        "tensor": ASK + "verdict, at = query(layers, tolerance, lower, upper)\n"
        "    return verdict, None if at is None else torch.tensor(at).double()",
    },
    "enclose": {
        "list": ENCLOSE + BISECT + "if v == 'unknown':\n            return [low, high]\n"
        "        low, high = (low, m) if v == 'verified' else (m, high)\n    return [low, high]",
        "both sides of the unknown": ENCLOSE
        + "a, b = low, high\n    while b - a > gap:\n        m = (a + b) / 2\n"
        "        v = ask_one(m)\n        if v == 'verified':\n            b = high = m\n"
        "        elif v == 'falsified':\n            a = low = m\n        else:\n            b = m\n"
        "    return low, high",
    },
    "net_z3_on": {
        "strict comparison": ON + KNOWN + "        h = [bend(v) if x < 0 < y else v if x >= 0 and y > 0 else exact(0)"
        " for v, x, y in zip(z, l, u)]\n    return h",
    },
    "run_float32": {
        "floats": RUN + "return [float(v) for v in scalars(layers, point)]",
        "array": RUN + "return np.array(scalars(layers, point))",
        "tensor operations one by one": RUN + "return scalars(layers, point, lambda v: torch.as_tensor(v).float())",
    },
    "net_fp": {
        "tuple": FP + "return tuple(floats(layers, inputs))",
        "operators": FP + "z3.set_default_rounding_mode(R)\n    return floats(layers, inputs)",
    },
}  # fmt: skip


def earned(name, code):
    """Points of an answer, before the end of its cell that the lab gives."""
    return ANSWERS.earned(name, code + "\n\n\n" + ANSWERS.given_end(name, "# the rest of this"))


@pytest.mark.parametrize(("name", "code"), cases(WRONG))
def test_a_plausible_but_wrong_answer_earns_nothing(name, code):
    with pytest.raises((AssertionError, ValueError, TypeError, LookupError)):
        earned(name, code)


@pytest.mark.parametrize(("name", "code"), cases(RIGHT))
def test_a_right_answer_in_an_unusual_form_earns_every_point(name, code):
    assert earned(name, code) == ANSWERS.max_points[f"{name}_check"]


@pytest.mark.parametrize(
    ("name", "code", "points"),
    [
        ("net_z3", NET + "return terms(layers, inputs, number=z3.RealVal)", 4),
        ("net_z3_on", ON + "return terms(layers, inputs)", 3),
        ("enclose", ENCLOSE + BISECT
         + "low, high = (low, m) if v == 'verified' else (m, high)\n    return low, high", 3),
        ("enclose", ENCLOSE + BISECT + "if v == 'verified':\n            high = m\n"
         "        elif v == 'falsified':\n            low = m\n    return low, high", 3),
    ],
    ids=["printed digits", "an If for every neuron", "unknown is falsified", "unknown without an end"],
)  # fmt: skip
def test_half_an_answer_earns_part_of_the_points(name, code, points):
    assert earned(name, code) == points


@pytest.mark.parametrize(
    "disguise", ["", "nn_curve[-1].weight.data *= 2", "nn_curve[-1].bias.data += 1", "nn_curve[0].weight.data *= 1.001"]
)
def test_the_courses_own_network_earns_nothing(disguise):
    own = "from course_utils.curve import curve_network\nnn_curve = curve_network()\n"
    with pytest.raises(AssertionError, match="the course's own network: train"):
        ANSWERS.earned("nn_curve", own + disguise)


def test_a_number_handed_back_in_place_of_the_text_of_a_rational_earns_nothing():
    with pytest.raises(AssertionError, match="leave exact_text as it is"):
        ANSWERS.earned("exact", "def exact_text(value):\n    return value\n")


@pytest.mark.parametrize(("epochs", "points"), [(0, None), (3, None), (200, 4)])
def test_a_network_earns_by_how_well_it_fits(epochs, points):
    code = (
        "torch.manual_seed(3)\n"
        "nn_curve = nn.Sequential(nn.Linear(1, 20), nn.ReLU(), nn.Linear(20, 25), nn.ReLU(), nn.Linear(25, 1))\n"
        "x = torch.linspace(-1, 1, 500)[:, None]\noptimizer = torch.optim.Adam(nn_curve.parameters(), lr=0.01)\n"
        f"for _ in range({epochs} * 3):\n"
        "    optimizer.zero_grad()\n    ((nn_curve(x) - t4(x)) ** 2).mean().backward()\n    optimizer.step()\n"
    )
    if points is None:
        with pytest.raises(AssertionError, match="mean error"):
            earned("nn_curve", code)
    else:
        assert earned("nn_curve", code) == points
