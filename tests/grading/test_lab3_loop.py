"""Lab 3 through release, autograde and judge: a solved, a wrong and an untouched submission."""

from tests.grading.lab_loop import LabLoop, full_points, marks, points_without, solutions

LAB = "lab3_verifier"
pytestmark = marks(LAB)

# Each is wrong in a way that the visible part lets pass, or half right; what is not named here is left solved.
WRONG = {
    # only the first row of several outputs is carried back with its offset
    "backward_step": (
        "def backward_step(c, offset, lower_slope, upper_slope, upper_offset):\n"
        "    positive, negative = c.clamp(min=0), c.clamp(max=0)\n"
        "    return positive * lower_slope + negative * upper_slope, offset + (negative @ upper_offset)[:1]"
    ),
    # pre is made again instead of being taken
    "crown_lower": (
        "def crown_lower(layers, pre, lower, upper):\n"
        "    c, offset = layers[-1]\n"
        "    pre = interval_bounds(layers, lower, upper)[:-1]\n"
        "    for (weight, bias), (low, high) in zip(layers[-2::-1], pre[::-1]):\n"
        "        a, s, t = relax(low, high)\n"
        "        offset = offset + c.clamp(max=0) @ t\n"
        "        c = c.clamp(min=0) * a + c.clamp(max=0) * s\n"
        "        c, offset = c @ weight, offset + c @ bias\n"
        "    return c.clamp(min=0) @ lower + c.clamp(max=0) @ upper + offset"
    ),
    # the steps have one length for all inputs and boxes
    "pgd": (
        "def pgd(net, lower, upper, steps=40):\n"
        "    x = (lower + upper) / 2\n"
        "    for _ in range(steps):\n"
        "        x = x.detach().requires_grad_()\n"
        "        (gradient,) = torch.autograd.grad(net(x.reshape(1, -1)).sum(), x)\n"
        "        x = torch.minimum(torch.maximum(x - 0.02 * gradient.sign(), lower), upper)\n"
        "    return x.detach()"
    ),
    # the neuron of the first layer, whichever layer was meant
    "split_relu": (
        "def split_relu(pre, layer, neuron):\n"
        "    lower, upper = pre[0]\n"
        "    one, other = upper.clone(), lower.clone()\n"
        "    one[neuron] = other[neuron] = 0\n"
        "    return [(lower, one), *pre[1:]], [(other, upper), *pre[1:]]"
    ),
    "blanks": 'blanks = dict.fromkeys("ABCDEF", "the line below")',
    "sound_complete": "It is sound because it worked.",
}
# slope 0 below every unstable neuron: three of five points; and CROWN's bounds, which follow from it, are others
HALF = {
    "relax": (
        "def relax(lower, upper):\n"
        "    active = (lower >= 0).double()\n"
        "    bends = (lower < 0) & (upper > 0)\n"
        "    slope = torch.where(bends, upper / (upper - lower).clamp(min=1e-300), active)\n"
        "    return active, slope, torch.where(bends, -slope * lower, 0 * lower)"
    )
}
FULL = full_points(LAB)
SUBMISSIONS = {"solved": solutions(LAB), "wrong": solutions(LAB) | WRONG | HALF, "untouched": {}}
EXPECTED = {
    "solved": FULL,
    "wrong": points_without(LAB, WRONG, relax_check=3.0, crown_bounds_check=0.0),
    "untouched": dict.fromkeys(FULL, 0.0),
}


class TestLab3(LabLoop):
    written = "sound_complete"
