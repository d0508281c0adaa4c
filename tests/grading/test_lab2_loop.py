"""Lab 2 through release, autograde and judge: a solved, a wrong and an untouched submission."""

from tests.grading.lab_loop import Below, LabLoop, full_points, marks, points_without, solutions

LAB = "lab2_digits"
pytestmark = marks(LAB)

# Each is wrong in a way that the visible part lets pass, or half right; what is not named here is left untouched.
WRONG = {
    # cuts only the lower image to the valid range
    "perturb_one_pixel": (
        "def perturb_one_pixel(x, pixel_pos, delta, clip=None):\n"
        "    lower, upper = x.clone(), x.clone()\n"
        "    lower[pixel_pos] -= delta\n"
        "    upper[pixel_pos] += delta\n"
        "    if clip is not None:\n"
        "        lower[pixel_pos] = lower[pixel_pos].clamp(*clip)\n"
        "    return lower, upper"
    ),
    # the output at the middle of the box, not the average of the outputs
    "y_specs_around": (
        "def y_specs_around(net, lower, upper, epsilon):\n"
        "    with torch.no_grad():\n"
        "        middle = net(((lower + upper) / 2).reshape(1, -1))[0]\n"
        "    return [[value - epsilon, value + epsilon] for value in middle.tolist()]"
    ),
    # an attack is no proof
    "proves_label": (
        "def proves_label(net, x, pixel_pos, delta, label, clip=None):\n"
        "    both = torch.stack(one_pixel(x, pixel_pos, delta, clip))\n"
        "    return bool((net(both).argmax(dim=1) == label).all())"
    ),
    # counts images that were misread before the attack as withstanding it
    "attacked_accuracy": (
        "from course_utils.attacks import pgd\n\n\n"
        "def attacked_accuracy(net, images, labels, radius):\n"
        "    before = net(images).argmax(dim=1)\n"
        "    after = net(pgd(net, images, before, radius, clip=VALID_RANGE)).argmax(dim=1)\n"
        "    return (after == before).float().mean().item()"
    ),
    "robust_claim": "It is robust everywhere.",
}
# trained as usual: some of the digits can be proved, so some of the points are earned
HALF = {"nn_proof": "nn_proof = network"}
FULL = full_points(LAB)
SUBMISSIONS = {"solved": solutions(LAB), "wrong": solutions(LAB) | WRONG | HALF, "untouched": {}}
EXPECTED = {
    "solved": FULL,
    "wrong": points_without(LAB, WRONG, nn_proof_check=Below(FULL["nn_proof_check"])),
    "untouched": dict.fromkeys(FULL, 0.0),
}


class TestLab2(LabLoop):
    written = "robust_claim"
