"""Lab 3's test cells, hidden parts included, on plausible wrong answers and on right ones in an unusual form."""

import ast
from fractions import Fraction

import numpy as np
import pytest
import torch

from judges.enumeration import exact_range
from tests.lab_answers import LabAnswers, cases

# what a student has by then: right functions, written in another way than the lab's solutions
BEFORE = """
import numpy as np
import torch
from torch import nn

from course_utils.attacks import pgd as course_pgd
from course_utils.own_verifier import (
    Bowl, attack_from, from_layers, from_library, layers_of, library_pairs, random_attack,
)
from verifier import Bounds, output_bounds, split_trace, verify


def rebuilt(layers):
    modules = []
    for weight, bias in layers:
        affine = nn.Linear(*reversed(weight.shape), dtype=torch.float64)
        affine.load_state_dict({"weight": weight, "bias": bias})
        modules += [affine, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def chain(layers, lower, upper, relu=True, signs=True):
    bounds = []
    for weight, bias in layers:
        middle, half = (lower + upper) / 2, (upper - lower) / 2
        spread = (weight.abs() if signs else weight) @ half
        bounds.append((weight @ middle + bias - spread, weight @ middle + bias + spread))
        lower, upper = (part.clamp(min=0) if relu else part for part in bounds[-1])
    return bounds


def lines(l, u, slope=lambda l, u: float(u > -l)):
    if u <= 0:
        return 0.0, 0.0, 0.0
    if l >= 0:
        return 1.0, 1.0, 0.0
    return slope(l, u), u / (u - l), -l * u / (u - l)


def layer(lower, upper, **options):
    rows = [lines(l, u, **options) for l, u in zip(lower.tolist(), upper.tolist())]
    return torch.tensor(rows).double().T


def back(layers, pre, lower, upper, swap=False, lost=False, box=True, **options):
    c, o = layers[-1]
    for (weight, bias), known in zip(layers[-2::-1], pre[::-1]):
        below, above, start = layer(*known, **options)
        below, above = (above, below) if swap else (below, above)
        o = o + (c.clamp(max=0) @ start if not lost else 0)
        c = torch.where(c > 0, c * below, c * above)
        c, o = c @ weight, o + c @ bias
    ends = torch.where(c > 0, lower, upper) if box else (lower + upper) / 2 + 0 * c
    return (c * ends).sum(dim=1) + o


def crowned(layers, lower, upper, **options):
    pre = []
    for k in range(len(layers)):
        weight, bias = layers[k]
        low = back(layers[: k + 1], pre, lower, upper, **options)
        high = -back([*layers[:k], (-weight, -bias)], pre, lower, upper, **options)
        pre.append((low, high))
    return pre


def slope_at(net, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(net(x[None]).sum(), x)[0]


def descend(net, lower, upper, steps=60, project=True, sign=-1, size=None, last=False):
    x, met = (lower + upper) / 2, []
    for k in range(steps):
        met.append((float(net(x[None]).detach()), x))
        x = x + sign * (0.5 * 0.88**k * (upper - lower) if size is None else size) * slope_at(net, x).sign()
        x = torch.minimum(torch.maximum(x, lower), upper) if project else x
    return x if last else min(met, key=lambda one: one[0])[1]


def cut(part, side=None):
    lower, upper = part
    side = int((upper - lower).argmax()) if side is None else side
    one, other = upper.clone(), lower.clone()
    one[side] = other[side] = (lower[side] + upper[side]) / 2
    return [(lower, one), (other, upper)]


def search(bound, attack, split, whole, limit, most, order=-1, trust=False, give_up="unknown"):
    waiting, proved, count = [whole], [], 0
    while waiting:
        if count == most:
            return give_up, None, proved
        part = waiting.pop(order)
        count += 1
        if bound(part) >= limit:
            proved.append(part)
        else:
            point, value = attack(part)
            if value < limit or trust:
                return "falsified", point, proved
            waiting += split(part)
    return "verified", None, proved


interval_bound, crown_bound = from_layers(chain), from_layers(crowned)
attack_on = attack_from(descend)
"""
ANSWERS = LabAnswers("lab3_verifier", BEFORE)

INTERVALS = "def interval_bounds(layers, lower, upper):\n    "
RELAX = "def relax(lower, upper):\n    "
STEP = "def backward_step(c, offset, lower_slope, upper_slope, upper_offset):\n    "
LOWER = "def crown_lower(layers, pre, lower, upper):\n    "
CROWN = "def crown_bounds(layers, lower, upper):\n    "
FGSM = "def fgsm(net, lower, upper):\n    "
PGD = "def pgd(net, lower, upper, steps=40):\n    "
RELU = "def split_relu(pre, layer, neuron):\n    "
LOOP = "def branch_and_bound(bound, attack, split, whole, limit, max_parts):\n    "
BLANKS = {
    "A": "for z_i between l_i and u_i", "B": "the line below", "C": "the line above",
    "D": "neither looser nor tighter", "E": "the lower end of x_i", "F": "the upper end of x_i",
}  # fmt: skip
SPLIT = "def split_box(part):\n    return cut(part)\n\n\n"


def with_tail(code):
    """An answer to the search, with the end of its cell, which the lab gives."""
    tail = ANSWERS.given_end("branch_and_bound", "def my_verify(")
    return SPLIT + code + "\n\n\n" + tail


WRONG = {
    "interval_bounds": {
        "signs of weights forgotten": INTERVALS + "return chain(layers, lower, upper, signs=False)",
        "no ReLU between": INTERVALS + "return chain(layers, lower, upper, relu=False)",
        "output only": INTERVALS + "return chain(layers, lower, upper)[-1]",
        "after the ReLU": INTERVALS + "return [(l.relu(), u.relu()) for l, u in chain(layers, lower, upper)]",
        "upper first": INTERVALS + "return [(u, l) for l, u in chain(layers, lower, upper)]",
        "infinite": INTERVALS + "return [(0 * b - torch.inf, 0 * b + torch.inf) for _, b in layers]",
        "nothing": INTERVALS + "return []",
        "the library's": INTERVALS + "return library_pairs(rebuilt(layers), lower, upper, 'ibp')",
        "the visible answer": INTERVALS + "return [([-2, -2], [4, 6]), ([-4], [6])]",
        "sampled corners": INTERVALS + "return [(l / 2, u / 2) for l, u in chain(layers, lower, upper)]",
    },
    "backward_step": {
        "lines swapped": STEP + "return torch.where(c > 0, c * upper_slope, c * lower_slope), offset",
        "offset of every line": STEP
        + "return torch.where(c > 0, c * lower_slope, c * upper_slope), offset + c @ upper_offset",
        "offset forgotten": STEP + "return torch.where(c > 0, c * lower_slope, c * upper_slope), offset",
        "unchanged": STEP + "return c, offset",
        "first row only": STEP + "d = torch.where(c > 0, c * lower_slope, c * upper_slope)[:1]\n"
        "    return d, (offset + c.clamp(max=0) @ upper_offset)[:1]",
        "far below": STEP + "return 0 * c, offset - 1000",
    },
    "crown_lower": {
        "lines swapped": LOWER + "return back(layers, pre, lower, upper, swap=True)",
        "offset forgotten": LOWER + "return back(layers, pre, lower, upper, lost=True)",
        "middle of the box": LOWER + "return back(layers, pre, lower, upper, box=False)",
        "slope 0": LOWER + "return back(layers, pre, lower, upper, slope=lambda l, u: 0.0)",
        "pre computed again": LOWER + "return back(layers, chain(layers, lower, upper)[:-1], lower, upper)",
        "the library's": LOWER + "return output_bounds(rebuilt(layers), torch.stack([lower, upper], 1)).lower",
        "intervals": LOWER + "return chain(layers, lower, upper)[-1][0]",
        "by heart": LOWER + "return [-1.0] if layers[-1][0][0, 0] > 0 else [-3.0]",
    },
    "crown_bounds": {
        "intervals": CROWN + "return chain(layers, lower, upper)",
        "hidden from intervals": CROWN + "pre = chain(layers, lower, upper)[:-1]\n    weight, bias = layers[-1]\n"
        "    last = back(layers, pre, lower, upper), -back([*layers[:-1], (-weight, -bias)], pre, lower, upper)\n"
        "    return [*pre, last]",
        "the library's": CROWN + "return library_pairs(rebuilt(layers), lower, upper, 'crown')",
        "upper bounds not negated": CROWN + "return [(l, -u) for l, u in crowned(layers, lower, upper)]",
        "output only": CROWN + "return crowned(layers, lower, upper)[-1:]",
    },
    "fgsm": {
        "uphill": FGSM + "return torch.where(slope_at(net, (lower + upper) / 2) > 0, upper, lower)",
        "middle": FGSM + "return (lower + upper) / 2",
        "a corner": FGSM + "return torch.stack([lower[0], *upper[1:]])",
        "gradient at the lower corner": FGSM + "return torch.where(slope_at(net, lower) > 0, lower, upper)",
    },
    "pgd": {
        "fgsm": PGD + "return torch.where(slope_at(net, (lower + upper) / 2) > 0, lower, upper)",
        "not put back": PGD + "return descend(net, lower, upper, project=False, size=0.9)",
        "uphill": PGD + "return descend(net, lower, upper, sign=1)",
        "long steps": PGD + "return descend(net, lower, upper, size=(upper - lower) / 2)",
        "short steps of one length": PGD + "return descend(net, lower, upper, size=0.01, steps=40)",
        "a random point": PGD + "return random_attack(lambda x: x.sum(dim=1))((lower, upper))[0]",
    },
    "split_relu": {
        "cases exchanged": RELU + "l, u = pre[layer]\n    one, other = u.clone(), l.clone()\n"
        "    one[neuron] = other[neuron] = 0\n"
        "    return [*pre[:layer], (other, u), *pre[layer + 1:]], [*pre[:layer], (l, one), *pre[layer + 1:]]",
        "in place": RELU + "one = [(l, u.clone()) for l, u in pre]\n    one[layer][1][neuron] = 0\n"
        "    pre[layer][0][neuron] = 0\n    return one, pre",
        "the whole layer": RELU + "l, u = pre[layer]\n"
        "    return [*pre[:layer], (l, 0 * u), *pre[layer + 1:]], [*pre[:layer], (0 * l, u), *pre[layer + 1:]]",
        "unchanged": RELU + "return pre, pre",
        "first layer always": RELU + "l, u = pre[0]\n    one, other = u.clone(), l.clone()\n"
        "    one[neuron] = other[neuron] = 0\n    return [(l, one), *pre[1:]], [(other, u), *pre[1:]]",
    },
    "branch_and_bound": {
        "unproved is falsified": with_tail(
            LOOP + "return search(bound, attack, split, whole, limit, max_parts, trust=True)"
        ),
        "giving up is proving": with_tail(
            LOOP + "return search(bound, attack, split, whole, limit, max_parts, give_up='verified')"
        ),
        "always unknown": with_tail(LOOP + "return 'unknown', None, []"),
        "always verified": with_tail(LOOP + "return 'verified', None, [whole]"),
        "one half only": with_tail(
            LOOP + "return search(bound, attack, lambda part: split(part)[:1], whole, limit, max_parts)"
        ),
        "verify() instead": with_tail(LOOP + "return 'unknown', None, []")
        + "\n\ndef my_verify(net, box, limit, method='crown', max_parts=1000):\n"
        "    found = verify(net, box, [[limit, None]], max_subdomains=max_parts)\n"
        "    whole = tuple(torch.tensor(box).double().T)\n"
        "    return found.verdict.value, getattr(found.counterexample, 'x', None), [whole]\n",
    },
    "blanks": {
        "lines exchanged": f"blanks = {BLANKS | {'B': BLANKS['C'], 'C': BLANKS['B']}}",
        "ends exchanged": f"blanks = {BLANKS | {'E': BLANKS['F'], 'F': BLANKS['E']}}",
        "everywhere": f"blanks = {BLANKS | {'A': 'for every z_i'}}",
        "all the same": f"blanks = dict.fromkeys('ABCDEF', {BLANKS['B']!r})",
        "looser": f"blanks = {BLANKS | {'D': 'looser'}}",
    },
}  # fmt: skip
RIGHT = {
    "interval_bounds": {
        "numpy": INTERVALS + "return [(l.numpy(), u.numpy()) for l, u in chain(layers, lower, upper)]",
        "lists": INTERVALS + "return tuple([l.tolist(), u.tolist()] for l, u in chain(layers, lower, upper))",
        "rows of a tensor": INTERVALS + "return [torch.stack(pair) for pair in chain(layers, lower, upper)]",
    },
    "backward_step": {
        "numpy": STEP + "lines = (lower_slope, upper_slope, upper_offset)\n"
        "    c, offset, a, s, t = (np.asarray(x) for x in (c, offset, *lines))\n"
        "    up, down = np.maximum(c, 0), np.minimum(c, 0)\n    return up * a + down * s, offset + down.dot(t)",
        "float32": STEP + "parts = [x.float() for x in (c, offset, lower_slope, upper_slope, upper_offset)]\n"
        "    c, offset, a, s, t = parts\n    return torch.where(c > 0, c * a, c * s), offset + c.clamp(max=0) @ t",
    },
    "crown_lower": {
        "list": LOWER + "return back(layers, pre, lower, upper).tolist()",
        "numpy": LOWER + "return back(layers, pre, lower, upper).numpy()",
    },
    "crown_bounds": {
        "numpy pairs": CROWN + "return tuple((l.numpy(), u.numpy()) for l, u in crowned(layers, lower, upper))",
    },
    "fgsm": {
        "list with a gradient": FGSM + "x = ((lower + upper) / 2).requires_grad_()\n    net(x).sum().backward()\n"
        "    return [l if g > 0 else u for l, u, g in zip(lower, upper, x.grad)]",
        "a row": FGSM + "return torch.where(slope_at(net, (lower + upper) / 2) > 0, lower, upper)[None]",
    },
    "pgd": {
        "numpy": PGD + "return descend(net, lower, upper).numpy()",
        "many short steps": PGD + "return descend(net, lower, upper, steps=500, size=(upper - lower) / 200)",
    },
    "split_relu": {
        "lists": RELU + "cases = []\n    for side in (1, 0):\n"
        "        case = [[l.tolist(), u.tolist()] for l, u in pre]\n"
        "        case[layer][side][neuron] = 0\n        cases.append(case)\n    return cases",
    },
    "branch_and_bound": {
        "oldest part first": with_tail(LOOP + "return search(bound, attack, split, whole, limit, max_parts, order=0)"),
        "side by side": with_tail(LOOP + "return list(search(bound, attack, split, whole, limit, max_parts))").replace(
            "return cut(part)", "return tuple(cut(part))"
        ),
    },
    "blanks": {"another order": f"blanks = {dict(reversed(BLANKS.items()))}"},
}  # fmt: skip


@pytest.mark.parametrize(("name", "code"), cases(WRONG))
def test_a_plausible_but_wrong_answer_earns_nothing(name, code):
    with pytest.raises(AssertionError):
        ANSWERS.earned(name, code)


@pytest.mark.parametrize(("name", "code"), cases(RIGHT))
def test_a_right_answer_in_an_unusual_form_earns_every_point(name, code):
    assert ANSWERS.earned(name, code) == ANSWERS.max_points[f"{name}_check"]


@pytest.mark.parametrize(
    ("how", "points"),
    [
        ("return layer(lower, upper)", 5),
        ("return [part.numpy() for part in layer(lower, upper)]", 5),
        ("return layer(lower, upper).float().tolist()", 5),
        ("return layer(lower, upper, slope=lambda l, u: float(u >= -l))", 5),
        ("return layer(lower, upper, slope=lambda l, u: 0.0)", 3),
        ("return layer(lower, upper, slope=lambda l, u: u / (u - l))", 3),
        ("return layer(lower, upper, slope=lambda l, u: float(u > -l) if u - l < 50 else 0.0)", 3),
    ],
)
def test_lines_that_enclose_the_curve_earn_three_points_and_two_more_with_the_least_area(how, points):
    assert ANSWERS.earned("relax", RELAX + how) == points


@pytest.mark.parametrize(
    "how",
    [
        "return 0 * lower, 0 * lower, upper.clamp(min=0)",
        "return 0 * lower, 0 * lower, 0 * lower + 1e9",
        "chord = upper / (upper - lower)\n    return (upper > -lower).double(), chord, -chord * lower",
        "a, s, t = layer(lower, upper)\n    return s, a, t",
        "width = upper - lower\n    return 0 * lower, upper.clamp(min=0) / width, -lower.clamp(max=0)",
        "return []",
    ],
    ids=["a box", "far above", "stable neurons as unstable", "exchanged", "loose offset", "empty"],
)
def test_lines_that_cross_the_curve_or_are_far_from_it_earn_nothing(how):
    with pytest.raises(AssertionError):
        ANSWERS.earned("relax", RELAX + how)


@pytest.mark.parametrize(
    ("loop", "points"),
    [
        ("return search(bound, attack, split, whole, limit, 10**5)", "unknown"),
        ("verdict, point, proved = search(bound, attack, split, whole, limit, max_parts)\n"
         "    return ('unknown' if verdict == 'falsified' and len(whole[0]) == 1 else verdict), point, proved", 5),
        ("verdict, point, proved = search(bound, attack, split, whole, limit, max_parts)\n"
         "    return ('unknown' if verdict == 'verified' and len(whole[0]) == 3 else verdict), point, proved", 2),
    ],
    ids=["no limit of work", "no counterexample with one input", "nothing with three inputs"],
)  # fmt: skip
def test_the_search_earns_its_points_by_verdict(loop, points):
    if points == "unknown":
        with pytest.raises(AssertionError, match="three parts are too few"):
            ANSWERS.earned("branch_and_bound", with_tail(LOOP + loop))
    else:
        assert ANSWERS.earned("branch_and_bound", with_tail(LOOP + loop)) == points


def test_a_wrong_verdict_on_a_hidden_question_costs_every_point():
    loop = (
        "found = search(bound, attack, split, whole, limit, max_parts)\n"
        "    return ('falsified', whole[0], []) if len(whole[0]) == 3 else found"
    )
    with pytest.raises(AssertionError, match="was called falsified"):
        ANSWERS.earned("branch_and_bound", with_tail(LOOP + loop))


def test_the_hidden_networks_take_the_least_values_that_the_check_believes():
    """Against exact enumeration of every activation pattern, which shares nothing with the verifier."""
    tree = ast.parse(ANSWERS.source["branch_and_bound_check"])
    (made,) = (
        node.value for node in ast.walk(tree) if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "nets"
    )
    nets = eval(compile(ast.Expression(made), "nets", "eval"))
    assert len(nets) == 4
    for seed, sizes, box, least in nets:
        drawn = np.random.RandomState(seed)
        layers = []
        for n, m in zip(sizes[:-1], sizes[1:], strict=True):  # noqa: RUF007 - beside the drawing in the cell
            weight, bias = (drawn.randint(-6, 7, shape) / 4 for shape in ((m, n), (m,)))
            layers.append((weight, bias))
        found = exact_range(layers, *np.array(box).T)[0][0]
        assert abs(found - Fraction(least)) < Fraction(1, 10**9), seed


def test_the_hidden_bowls_take_the_least_values_that_the_check_believes():
    """By hand: each input on its own, at its middle or at an end of its side."""
    assert min(x**2 for x in (0.0,)) - max((y - 0.5) ** 2 for y in (0.0, 1.0)) == -0.25
    assert 3 * 0.0 + 0.5 * (1 - 2) ** 2 - 2 == -1.5
    assert -2 * max((x - 1) ** 2 for x in (0.0, 3.0)) + 4 == -4


def test_float32_networks_and_lists_go_through_the_search():
    torch.manual_seed(0)
    names = ANSWERS.names(with_tail(LOOP + "return search(bound, attack, split, whole, limit, max_parts)"))
    net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)).double()
    verdict, point, proved = names["my_verify"](net, ((0, 1), (0, 1)), -100)
    assert (verdict, point, len(proved)) == ("verified", None, 1)
