# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 2: Digits
#
# **What you will learn.** What robustness of an image classifier is, and how to prove it for one pixel and for many;
# what box specs can and cannot say; how far proofs and attacks reach, and what lies between them; how to train a
# network so that more can be proved.
#
# **What you need.** Lab 1, and a little PyTorch. Some words come back from there: spec, box, verified, falsified,
# counterexample.
#
# **Time.** 120 to 150 minutes. Nine parts, 40 points. A cell that takes longer than five seconds says so.
#
# Run the cells from top to bottom. Where a cell says `# YOUR CODE HERE`, replace that line and the one below it. A
# check cell follows every exercise and answers at once; hidden tests with other numbers follow when the lab is
# graded. If you skip an exercise, its cell and its check end with an error: go on with the cell below them. The next
# part then takes the course's own version and says so. `guess = ...` asks for your own guess; it is not graded.
#
# The first cell prints the version of everything the lab uses. In Google Colab, upload the course's archive to the
# session first; the cell then installs it, which takes about two minutes.

# %%
import importlib.util
import subprocess
import sys
from pathlib import Path

if importlib.util.find_spec("course_utils") is None and Path("/content").is_dir():  # Google Colab
    archive = "nn-verification-course-student"
    if not Path(f"{archive}.zip").is_file():
        raise FileNotFoundError(f"upload {archive}.zip (folder icon on the left, then the arrow), and run this cell again")
    subprocess.run(["unzip", "-qo", f"{archive}.zip"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", f"./{archive}[labs]"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "auto-LiRPA>=0.3,<1"], check=True)

from course_utils.checks import start_lab

start_lab(points=36)  # and 4 for the written question

# %% [markdown]
# ## 1. Data and a network
# MNIST is the oldest of the well-known image sets: handwritten digits, 28 x 28 pixels, grey. The cell prints which of
# them you have: the whole set if the environment variable `NNV_MNIST` names a folder for it, else some thousand real
# ones that came with the course. The test digits are the same for everybody.

# %%
from course_utils.data import mnist
from course_utils.plots import plot_mnist

train_set = mnist("train")
test_set = mnist("test", subset=True)
picture = plot_mnist(test_set.images[:20], test_set.labels[:20])

# %% [markdown]
# An image is a row of 784 numbers, line by line: pixel 0 is the upper left corner, pixel 27 the upper right one. Each is
# a **grey value** from 0 (black) to 1 (white), and every box, radius and counterexample of this lab is in that unit.
# Networks learn better from numbers around 0, so the first layer of each network, `Normalise`, shifts and scales:
# $(\text{grey} - 0.1307) / 0.3081$. It belongs to the network, and the verifier reads it like any other layer.
#
# Which grey value will appear most often in an image?

# %%
from course_utils.data import VALID_RANGE

print(f"black and white: {VALID_RANGE}")
values, counts = test_set.images[0].unique(return_counts=True)
print(f"most frequent grey value in the first test image: {values[counts.argmax()]:.4f}, {counts.max()} times of 784")

# %% [markdown]
# Most of an image is background, and its value lies at the very end of the valid range. Keep that in mind for part 3.
#
# ### A classic trap
# A classifier gives ten numbers, one a digit, and the largest wins. The numbers of the last Linear layer are the
# **logits**. *Softmax* turns them into probabilities, *LogSoftmax* into logarithms of probabilities.
# `nn.NLLLoss` ("negative log likelihood") wants the **logarithms**. Nothing stops you from feeding it the
# probabilities: no error, no warning. What will the loss look like, and how much will the network learn?

# %%
import torch
from torch import nn

from course_utils.models import Model, class_accuracy, digit_net
from course_utils.training import train

SEED = 0
for head, loss in [
    (nn.Softmax(dim=1), nn.NLLLoss()),
    (nn.LogSoftmax(dim=1), nn.NLLLoss()),
    (None, nn.CrossEntropyLoss()),
]:
    trial = digit_net(30, seed=SEED)
    if head is not None:
        trial.append(head)
    losses = train(
        Model(trial, loss, torch.optim.Adam(trial.parameters(), lr=1e-3)), train_set.first(2000), 3, live=False
    )
    right = class_accuracy(trial, test_set.images, test_set.labels)
    name = type(head).__name__ if head is not None else "no head"
    print(f"{name:>10} with {type(loss).__name__:<16}: loss {losses[0]:6.3f} to {losses[-1]:6.3f}, {right:.1%} right")

# %% [markdown]
# On probabilities the loss is *negative*: it is minus the probability of the right class, never below -1, and its slope
# fades where the network is badly wrong, which is where it should learn most. `LogSoftmax` with `NLLLoss` is right;
# so is `CrossEntropyLoss` on the logits, which does both at once, number for number.
#
# We train on logits. The course's `classification_model` joins a network with that loss and an optimiser.
#
# **Exercise (4 points).** Build `nn_digits` with `nn.Sequential`: `Normalise()` first, then `nn.Linear` and `nn.ReLU`
# layers: 784 inputs, hidden layers of 128 and 64 neurons, 10 outputs. Make a model of it with `classification_model` and train that with
# `losses = train(...)` for 12 epochs on `train_set`. How many of 100 new digits do you expect it to
# read? (Training takes about ten seconds.)

# %% nbgrader={"grade": false, "grade_id": "nn_digits", "locked": false, "schema_version": 3, "solution": true, "task": false}
from course_utils.models import Normalise, classification_model

torch.manual_seed(SEED)
### BEGIN SOLUTION
nn_digits = nn.Sequential(
    Normalise(),
    nn.Linear(784, 128),
    nn.ReLU(),
    nn.Linear(128, 64),
    nn.ReLU(),
    nn.Linear(64, 10),
)
losses = train(classification_model(nn_digits), train_set, epochs=12)
### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "nn_digits_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: nn_digits
def check():
    import torch

    from course_utils.checks import passed
    from course_utils.data import mnist
    from course_utils.stand_ins import is_courses_own

    exam = mnist("test", subset=True)
    with torch.no_grad():
        answered = nn_digits(exam.images.to(next(nn_digits.parameters()).dtype))
    assert tuple(answered.shape) == (1000, 10), f"outputs of shape {tuple(answered.shape)} for 1000 images"
    right = answered.argmax(dim=1) == exam.labels
    found = right[:400].float().mean().item()
    assert found >= 0.88, f"{found:.1%} of 400 test digits are right; did the loss still fall at the end?"
    assert not is_courses_own(nn_digits), "this is the course's own network; train one of your own"
    passed("nn_digits", 4)
    ### BEGIN HIDDEN TESTS
    for digit in range(10):
        shown = exam.labels[400:] == digit
        assert right[400:][shown].float().mean() >= 0.6, "is every digit read, and not only the easy ones?"
    assert right[400:].float().mean() >= 0.87, "how good is the network on digits it was not shown?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# From here on, `network` is your trained network, or the course's if you skipped the exercise.
#
# ## 2. What testing says
# The first twenty test digits with what the network reads, and the share of all of them that it reads rightly. One test
# digit is our example for the rest of the lab: `x`, with its `label`.

# %%
import copy

from course_utils.checks import mine_or, two_images
from course_utils.stand_ins import digit_network
from verifier import output_bounds


def usable(net):
    """A copy as the next parts need it: 784 inputs, ten outputs, layers that the verifier reads."""
    net = copy.deepcopy(net).eval().float()
    output_bounds(net, [[0.0, 1.0]] * 784, method="ibp")
    if tuple(net(test_set.images[:3]).shape) != (3, 10):
        raise ValueError(f"three images give outputs of shape {tuple(net(test_set.images[:3]).shape)}, not (3, 10)")
    return net


network = mine_or(lambda: usable(nn_digits), lambda: digit_network("usual"), "nn_digits")
x, label = test_set.images[0], int(test_set.labels[0])
with torch.no_grad():
    answers = network(test_set.images).argmax(dim=1)
print(f"right on {class_accuracy(network, test_set.images, test_set.labels):.1%} of the {len(test_set):,} test digits")
print(f"our example shows a {label}; the network reads a {int(answers[0])}")
picture = plot_mnist(test_set.images[:20], test_set.labels[:20], answers[:20])

# %% [markdown]
# Good numbers, on these images. What would it read if an image were a little different? Lab 1 began with noise that
# turned a 9 into something else, so test accuracy cannot be the whole answer.
#
# ## 3. Robustness
# A classifier is **robust** at an image $x$ for a set of changes if every changed image gets the same label. The set
# must be said, or the word means nothing. In this lab it is always a box: each pixel may move within an interval of
# its own.
#
# The smallest such box moves a single pixel.
#
# **Exercise (4 points).** Write `perturb_one_pixel(x, pixel_pos, delta, clip=None)`. It gives two images of shape
# (784,), `lower` and `upper`: copies of `x`, except that the pixel at `pixel_pos` is `delta` lower in the first and
# `delta` higher in the second. Where `clip = (lowest, highest)` is given, that pixel is cut to it. `x` itself must stay
# as it is.


# %% nbgrader={"grade": false, "grade_id": "perturb_one_pixel", "locked": false, "schema_version": 3, "solution": true, "task": false}
def perturb_one_pixel(x, pixel_pos, delta, clip=None):
    """The lower and the upper image of the box in which one pixel of x moves by up to delta."""
    ### BEGIN SOLUTION
    lower, upper = x.clone(), x.clone()
    lower[pixel_pos] -= delta
    upper[pixel_pos] += delta
    if clip is not None:
        lower[pixel_pos] = lower[pixel_pos].clamp(*clip)
        upper[pixel_pos] = upper[pixel_pos].clamp(*clip)
    return lower, upper
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "perturb_one_pixel_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: perturb_one_pixel
def check():
    import torch

    from course_utils.checks import as_tensor, passed

    def moved(image, *rest):
        """Both images as tensors, from whatever form they come in."""
        before = image.clone()
        found = perturb_one_pixel(image, *rest)
        assert len(found) == 2, f"{len(found)} values came back; expected two images"
        low, high = map(as_tensor, found)
        assert low.shape == high.shape == (784,), f"images of shape {tuple(low.shape)}; expected (784,)"
        assert torch.equal(image, before), "x itself has changed; make copies (clone) first"
        return low, high

    flat = torch.linspace(0.0, 1.0, 784)
    down, up = moved(flat, 5, 0.5)
    assert abs(float(up[5] - down[5]) - 1.0) < 1e-6, (
        f"pixel 5 moves from {float(down[5]):.3f} to {float(up[5]):.3f}; by 0.5 each way?"
    )
    down, up = moved(flat, 0, 0.5, (0.0, 1.0))
    assert float(down[0]) >= 0.0, f"with clip, pixel 0 still goes down to {float(down[0]):.3f}"
    down, up = moved(flat, 783, 0.5, (0.0, 1.0))
    assert float(up[783]) <= 1.0, f"with clip, pixel 783 still goes up to {float(up[783]):.3f}"
    passed("perturb_one_pixel", 4)
    ### BEGIN HIDDEN TESTS
    spots = torch.Generator().manual_seed(4)
    for pixel, delta in [(0, 0.25), (783, 1.5), (404, 3.0)]:
        flat = torch.rand(784, generator=spots)
        others = torch.arange(784) != pixel
        same = flat.double()
        down, up = moved(flat, pixel, delta)
        stays = torch.allclose(down[others], same[others]) and torch.allclose(up[others], same[others])
        assert stays, "does any other pixel move?"
        assert abs(float(same[pixel] - down[pixel]) - delta) < 1e-5, "how far down does the pixel go?"
        assert abs(float(up[pixel] - same[pixel]) - delta) < 1e-5, "how far up does the pixel go?"
        down, up = moved(flat, pixel, delta, (-0.1, 1.1))
        lowest, highest = max(float(same[pixel]) - delta, -0.1), min(float(same[pixel]) + delta, 1.1)
        assert abs(float(down[pixel]) - lowest) < 1e-5, "clip: what is the lowest valid value?"
        assert abs(float(up[pixel]) - highest) < 1e-5, "clip: what is the highest valid value?"
        down, up = moved(flat, pixel, delta, (0.3, 0.6))
        stays = torch.allclose(down[others], same[others]) and torch.allclose(up[others], same[others])
        assert stays, "which pixels are cut to clip?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# We begin with pixel 5, in the upper margin, and delta 0.15. Look at the two ends of the box, without clipping and with
# it. Which of the four images is no image at all?

# %%
from course_utils.plots import plot_mnist


def ends_without_clip_and_with(perturb):
    """Four images: lower and upper, unclipped and clipped."""
    return torch.stack([*perturb(x, 5, 0.15), *perturb(x, 5, 0.15, VALID_RANGE)])


def course_ends():
    """The course's four images, as data."""
    ends = x.repeat(4, 1)
    ends[:, 5] = torch.tensor([-0.15, 0.15, 0.0, 0.15])
    return ends


ends = mine_or(
    lambda: ends_without_clip_and_with(two_images(perturb_one_pixel, x, 5, 0.15)), course_ends, "perturb_one_pixel"
)
names = ["lower, unclipped", "upper, unclipped", "lower, clipped", "upper, clipped"]
picture = plot_mnist(ends, titles=names, pixel=5, inches=2.3)
with torch.no_grad():
    read = network(ends).argmax(dim=1).tolist()
for name, end, answer in zip(names, ends, read, strict=True):
    print(f"{name:>16}: pixel 5 has grey value {end[5]:+.4f}, and the network reads a {answer}")

# %% [markdown]
# Pixel 5 is background: black already. "Darker than black" (the grey value is below 0) is no image, so clipping makes
# the box *one-sided*. Unclipped, the first picture is drawn as black all the same. A proof for the larger, unclipped
# box is also one for the clipped box; a counterexample in it may be no image. Here we first take the unclipped one.
#
# **Exercise (2 points).** Write the box as `x_specs`, for pixel 5 and delta 0.15, unclipped: a Python list with one
# `(lower, upper)` pair of numbers for each of the 784 pixels, in order.

# %% nbgrader={"grade": false, "grade_id": "x_specs", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
lower, upper = perturb_one_pixel(x, 5, 0.15)
x_specs = list(zip(lower.tolist(), upper.tolist(), strict=True))
### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "x_specs_check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# uses: x_specs
def check():
    from course_utils.checks import passed

    assert isinstance(x_specs, list), f"x_specs is {type(x_specs)}; wanted is a Python list"
    assert len(x_specs) == 784, f"x_specs has {len(x_specs)} entries; expected one for each pixel"
    assert all(len(pair) == 2 for pair in x_specs), "every entry is a pair: lower and upper"
    pairs = [(float(low), float(high)) for low, high in x_specs]
    assert all(low <= high for low, high in pairs), "lower comes first, in every pair"
    wide = [place for place, (low, high) in enumerate(pairs) if low < high]
    assert wide == [5], f"the pixels that may move are {wide[:5]}; only pixel 5 should"
    passed("x_specs", 2)
    ### BEGIN HIDDEN TESTS
    from course_utils.data import mnist

    picture = mnist("test", subset=True).images[0].tolist()
    assert abs(pairs[5][0] - (picture[5] - 0.15)) < 1e-5, "where does pixel 5 begin?"
    assert abs(pairs[5][1] - (picture[5] + 0.15)) < 1e-5, "where does pixel 5 end?"
    stays = [abs(low - value) < 1e-5 for (low, _), value in zip(pairs, picture, strict=True)]
    assert all(stays[:5] + stays[6:]), "what values have the pixels that do not move?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# ## 4. Box specs on ten outputs
# Now the other half of the spec: `y_specs`, one `[lower, upper]` pair for each of the ten outputs. Which limits? A
# first idea: the outputs at the two ends of the box, averaged, plus or minus a little.
#
# **Exercise (3 points).** Write `y_specs_around(net, lower, upper, epsilon)`. It runs `net` on the two images, takes
# the average of the two outputs, and gives a list of ten `[average - epsilon, average + epsilon]` pairs of numbers.


# %% nbgrader={"grade": false, "grade_id": "y_specs_around", "locked": false, "schema_version": 3, "solution": true, "task": false}
def y_specs_around(net, lower, upper, epsilon):
    """Ten [lower, upper] pairs around the average of the outputs at the two images."""
    ### BEGIN SOLUTION
    with torch.no_grad():
        average = net(torch.stack([lower, upper])).mean(dim=0)
    return [[value - epsilon, value + epsilon] for value in average.tolist()]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "y_specs_around_check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# uses: y_specs_around
def check():
    import torch
    from torch import nn

    from course_utils.checks import as_tensor, passed

    def limits(*asked):
        """Ten pairs as a tensor, from whatever form they come in."""
        found = as_tensor(y_specs_around(*asked))
        assert tuple(found.shape) == (10, 2), f"limits of shape {tuple(found.shape)}; expected ten pairs"
        return found

    sums = nn.Sequential(nn.Linear(784, 10))
    sums.load_state_dict({"0.weight": torch.full((10, 784), 1 / 784), "0.bias": torch.arange(10.0)})
    found = limits(sums, torch.zeros(784), torch.ones(784), 0.01)
    assert abs(float(found[0, 0]) - 0.49) < 1e-4, f"output 0 is 0 at one end and 1 at the other; found {found[0]}"
    assert abs(float(found[9, 1]) - 9.51) < 1e-4, f"output 9 is 9 at one end and 10 at the other; found {found[9]}"
    passed("y_specs_around", 3)
    ### BEGIN HIDDEN TESTS
    draws = torch.Generator().manual_seed(8)
    curved = nn.Sequential(nn.Linear(784, 6), nn.ReLU(), nn.Linear(6, 10))
    ends_tried = torch.randn(2, 784, generator=draws)
    curved.load_state_dict(
        {
            "0.weight": torch.randn(6, 784, generator=draws) / 10,
            "0.bias": torch.randn(6, generator=draws),
            "2.weight": torch.randn(10, 6, generator=draws),
            "2.bias": torch.randn(10, generator=draws),
        }
    )
    with torch.no_grad():
        wanted = curved(ends_tried).mean(dim=0).double()
    for epsilon in (0.01, 0.3):
        found = limits(curved, *ends_tried, epsilon)
        assert torch.allclose(found.mean(dim=1), wanted, atol=1e-4), "the average of the outputs, or of the inputs?"
        assert torch.allclose(found[:, 1] - found[:, 0], 2 * epsilon + 0 * wanted, atol=1e-4), "how wide is a pair?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# Will the network keep within 0.01 of that average, for every value of pixel 5 in the box?

# %%
from course_utils.stand_ins import limits_at, pixel_box
from verifier import argmax_is, output_bounds, verify

x_specs_5 = mine_or(lambda: x_specs if len(x_specs) == 784 else None, lambda: pixel_box(x, 5, -0.15, 0.15), "x_specs")

first_y_specs = mine_or(
    lambda: y_specs_around(network, *two_images(perturb_one_pixel, x, 5, 0.15)(x, 5, 0.15), 0.01),
    lambda: limits_at(network, x),
    "y_specs_around",
)
cases = []
result = verify(network, x_specs_5, first_y_specs, counterexamples=cases)
result

# %% [markdown]
# The table shows, for each output, the bounds that were proved next to your limits. If it is *falsified* (it is for
# nearly every network), some outputs move by more than 0.01. Let us see the limits, the bounds, and the outputs at the
# counterexample: on the left as they are, on the right each output by itself, counted from the middle of its limits.

# %%
from course_utils.plots import draw_counterexample_image, draw_output_limits

bounds = output_bounds(network, x_specs_5)
outputs = network(cases[0].reshape(1, 784)).detach() if cases else None
draw_output_limits(bounds, first_y_specs, outputs, label=label)
if cases:
    read = int(outputs.argmax())
    draw_counterexample_image(x, cases[0], [f"the network reads {int(answers[0])}", f"the network reads {read}"])
    print(f"pixel 5 moved by {float(cases[0].reshape(-1)[5] - x[5]):+.4f}; label {label}, still read as {read}")

# %% [markdown]
# The counterexample breaks the *spec*, and the label is the same! The spec asked for something nobody needs: that no
# output moves by more than 0.01. It was too tight. Far too wide limits would be proved and would say nothing. What we
# need lies between: limits so wide that the network keeps them, and so tight that no other class can win.
#
# For the rest of this part we take a closer call: an image that the network reads rightly, but only just, and a pixel
# that may take (nearly) any grey value, delta 0.9, clipped. The cell looks for a pixel that makes it interesting.

# %%
from course_utils.telling import telling_pixel

close, pixel, close_box = telling_pixel(network, test_set.images, test_set.labels)
close_image, close_label = test_set.images[close], int(test_set.labels[close])
around = output_bounds(network, close_box)
middle = (around.lower + around.upper) / 2
close_limits = [[round(float(value) - 0.1, 2), round(float(value) + 0.1, 2)] for value in middle]
row, column = divmod(pixel, 28)
print(f"test digit {close}: a {close_label}; the pixel is number {pixel}, in row {row}, column {column}")
picture = plot_mnist(close_image[None], [close_label], pixel=pixel, inches=2.3)

# %% [markdown]
# **Exercise (6 points).** Choose `y_specs_tuned`: ten pairs such that
#
# 1. `verify(network, close_box, y_specs_tuned)` is verified, and
# 2. the lower limit of class `close_label` is larger than the upper limit of every other class.
#
# Then every image in the box is read as `close_label`: proved. One width for all ten does not do here: an output that
# moves a lot needs room, and a rival's upper limit none to spare. Move the sliders; triangles are the proved bounds,
# bars your limits. The line above the picture says what `verify` answers and ends with the list: copy it into the cell
# below. (Or write the list by hand.) `None` is no limit: for which of the twenty limits would it do no harm?

# %%
from course_utils.interact import move_limits

move_limits(network, close_box, close_limits, close_label)

# %% nbgrader={"grade": false, "grade_id": "y_specs_tuned", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
bounds = verify(network, close_box, argmax_is(close_label)).output_bounds
y_specs_tuned = [
    [low - 0.001, high + 0.001] for low, high in zip(bounds.lower.tolist(), bounds.upper.tolist(), strict=True)
]
### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "y_specs_tuned_check", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
# uses: network, y_specs_tuned
def check():
    import contextlib
    import io
    import math

    from course_utils.checks import passed
    from course_utils.data import mnist
    from course_utils.telling import telling_pixel
    from verifier import verify

    with contextlib.redirect_stdout(io.StringIO()):
        exam = mnist("test", subset=True)
    close, _, box = telling_pixel(network, exam.images, exam.labels)
    label = int(exam.labels[close])
    pairs = [list(pair) for pair in y_specs_tuned]
    assert len(pairs) == 10 and all(len(pair) == 2 for pair in pairs), "ten [lower, upper] pairs"
    least = pairs[label][0]
    assert least is not None and math.isfinite(least), f"class {label} needs a lower limit, or nothing keeps it on top"
    for rival in range(10):
        most = pairs[rival][1]
        assert rival == label or most is not None, f"class {rival} needs an upper limit, or it could win"
        assert rival == label or float(most) < float(least), (
            f"class {rival} may reach {float(most):.3f}, and class {label} begins at {float(least):.3f}"
        )
    tuned = verify(network, box, pairs, max_subdomains=2000, timeout_s=None, progress=False)
    assert tuned, f"not verified but {tuned.verdict}: widen a limit that is broken"
    passed("y_specs_tuned", 6)
    ### BEGIN HIDDEN TESTS
    import torch

    with torch.no_grad():
        read = network(exam.images.to(next(network.parameters()).dtype)).argmax(dim=1)
    assert (read == exam.labels).float().mean() >= 0.7, "is the network still one that reads digits?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# **Verified**, and so is the label, for this image and this pixel. The detour shows what such a spec is: a proof about
# ten intervals that belong to *this* network and *this* image. Train again with another seed, and the numbers mean
# nothing. And a box cannot say "output 7 is the largest" as such: it fences each output by itself. Where a rival and
# the label rise together, the rival may even pass the label's *lower limit* and never catch up with the label.
#
# ## 5. The spec we wanted
# `argmax_is(label)` says it directly: this output is strictly larger than every other one, at every input of the box.
#
# **Exercise (5 points).** Write `proves_label(net, x, pixel_pos, delta, label, clip=None)`: True if `verify` proves
# that moving this one pixel by up to `delta` leaves `label` the strictly largest output, else False. Mind that
# "unknown" is no proof.


# %% nbgrader={"grade": false, "grade_id": "proves_label", "locked": false, "schema_version": 3, "solution": true, "task": false}
def proves_label(net, x, pixel_pos, delta, label, clip=None):
    """Whether it is proved that one pixel, moved by up to delta, cannot change the label."""
    ### BEGIN SOLUTION
    lower, upper = perturb_one_pixel(x, pixel_pos, delta, clip)
    return bool(verify(net, torch.stack([lower, upper], dim=1), argmax_is(label), progress=False))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "proves_label_check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# uses: proves_label
def check():
    import torch
    from torch import nn

    from course_utils.checks import passed

    # output 1 is pixel 3, output 0 is the constant 1: the answer is 1 where pixel 3 is larger than 1, else 0
    one_rule = nn.Sequential(nn.Linear(784, 2))
    rule = torch.zeros(2, 784)
    rule[1, 3] = 1.0
    one_rule.load_state_dict({"0.weight": rule, "0.bias": torch.tensor([1.0, 0.0])})
    blank = torch.zeros(784)
    told = proves_label(one_rule, blank, 3, 0.5, 0)
    assert told is not None, "None came back; does the function end with `return`?"
    assert told in (True, False), f"{type(told)} came back; write bool(result) to make True or False of it"
    assert told, "pixel 3 stays below 1, so the answer stays 0"
    assert not proves_label(one_rule, blank, 3, 1.5, 0), "pixel 3 can pass 1, and then the answer is 1"
    assert proves_label(one_rule, blank, 4, 1.5, 0), "pixel 4 has no influence here"
    passed("proves_label", 5)
    ### BEGIN HIDDEN TESTS
    assert not proves_label(one_rule, blank, 3, 0.5, 1), "is the label that is asked for the one that is proved?"
    assert not proves_label(one_rule, blank, 3, 1.0, 0), "what if two outputs can be equal?"
    assert proves_label(one_rule, blank, 3, 1.5, 0, (-0.5, 0.75)), "what does clip change?"
    bright = torch.full((784,), 2.0)
    assert proves_label(one_rule, bright, 3, 0.9, 1), "try other images"
    assert not proves_label(one_rule, bright, 3, 1.1, 1), "try other images"
    # output 1 wins only where pixel 3 is near 0.7: at the image and at both ends of the box it does not
    bump_rule = nn.Sequential(nn.Linear(784, 3), nn.ReLU(), nn.Linear(3, 2))
    steep = torch.zeros(3, 784)
    steep[:, 3] = 10.0
    bump_rule.load_state_dict(
        {
            "0.weight": steep,
            "0.bias": torch.tensor([-6.0, -7.0, -8.0]),
            "2.weight": torch.tensor([[0.0, 0.0, 0.0], [1.0, -2.0, 1.0]]),
            "2.bias": torch.tensor([0.5, 0.0]),
        }
    )
    assert proves_label(bump_rule, blank, 3, 0.5, 0), "is what can be proved reported as proved?"
    assert not proves_label(bump_rule, blank, 3, 1.5, 0), "what lies between the ends of the box?"
    # numbers so large that verify() answers "unknown"
    huge_rule = nn.Sequential(nn.Linear(784, 2)).double()
    huge = torch.zeros(2, 784, dtype=torch.float64)
    huge[1, 3] = 1e200
    huge_rule.load_state_dict({"0.weight": huge, "0.bias": torch.tensor([1e201, 0.0], dtype=torch.float64)})
    assert not proves_label(huge_rule, blank, 3, 0.5, 0), "is every answer but one no proof?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# Now pixel by pixel, every second one in every second row, for the close call. For each your `proves_label` is asked with delta 0.9, clipped
# (nearly the whole valid range); only where that is not proved is it asked for 0.6, then 0.3. Why is it enough to ask in
# this order? And which pixels do you expect to matter: those of the digit, or those next to it? (About ten seconds.)

# %% tags=["only-shows"]
import numpy as np
from tqdm.auto import tqdm

from course_utils.plots import draw_pixel_map
from course_utils.stand_ins import pixel_map

deltas = [0.9, 0.6, 0.3]
asked = [28 * row + column for row in range(0, 28, 2) for column in range(0, 28, 2)]


def my_map():
    """For each pixel that is asked, the smallest delta at which your function proves nothing; NaN where it proves all."""
    smallest = np.full(784, np.nan)
    for place in tqdm(asked, desc="pixels"):
        for delta in deltas:
            if proves_label(network, close_image, place, delta, close_label, VALID_RANGE):
                break
            smallest[place] = delta
    return close_image, smallest


map_image, smallest = mine_or(my_map, pixel_map, "proves_label")
draw_pixel_map(smallest, deltas, map_image, asked=asked)
black, smallest = np.asarray(map_image < 1e-3)[asked], np.asarray(smallest)[asked]
for where, there in [("black background", black), ("of the digit", ~black)]:
    harmless = int(np.isnan(smallest[there]).sum())
    print(f"{there.sum()} pixels {where}: {harmless} proved harmless, {int(there.sum()) - harmless} not")

# %% [markdown]
# Each of the 196 cells is an answer for infinitely many images: light is a proof, dark with a mark is none. A box with
# delta 0.3 lies inside the one with 0.6, so what is proved for the larger holds for the smaller. And the digit's own
# pixels are not the only ones that matter: a white dot on the background next to it can be read as a stroke.
#
# ## 6. Many pixels at once
# One pixel is little. Now every pixel may move, each by itself.
#
# **Exercise (2 points).** Write `perturb_all_pixels(x, delta, count=784, clip=None)`: the lower and the upper image, as
# before, but the first `count` pixels all move by up to `delta` (all of them, unless `count` says otherwise). Where
# `clip` is given, the pixels that move are cut to it.


# %% nbgrader={"grade": false, "grade_id": "perturb_all_pixels", "locked": false, "schema_version": 3, "solution": true, "task": false}
def perturb_all_pixels(x, delta, count=784, clip=None):
    """The lower and the upper image of the box in which the first `count` pixels of x move by up to delta."""
    ### BEGIN SOLUTION
    lower, upper = x.clone(), x.clone()
    lower[:count] -= delta
    upper[:count] += delta
    if clip is not None:
        lower[:count] = lower[:count].clamp(*clip)
        upper[:count] = upper[:count].clamp(*clip)
    return lower, upper
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "perturb_all_pixels_check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# uses: perturb_all_pixels
def check():
    import torch

    from course_utils.checks import as_tensor, passed

    def moved(*rest):
        """Both images as tensors, from whatever form they come in."""
        ramp = torch.linspace(0.0, 1.0, 784)
        found = perturb_all_pixels(ramp, *rest)
        assert len(found) == 2, f"{len(found)} values came back; expected two images"
        assert torch.equal(ramp, torch.linspace(0.0, 1.0, 784)), "x itself has changed; make copies (clone) first"
        return map(as_tensor, found)

    ramp = torch.linspace(0.0, 1.0, 784).double()
    bottom, top = moved(0.5)
    assert bottom.shape == top.shape == (784,), f"images of shape {tuple(bottom.shape)}; expected (784,)"
    assert torch.allclose(bottom, ramp - 0.5), "every pixel of the lower image is 0.5 lower"
    assert torch.allclose(top, ramp + 0.5), "every pixel of the upper image is 0.5 higher"
    bottom, top = moved(0.5, 392)
    assert torch.allclose(bottom[392:], ramp[392:]), "with count=392 the second half stays"
    passed("perturb_all_pixels", 2)
    ### BEGIN HIDDEN TESTS
    for moving in (1, 28, 700):
        bottom, top = moved(0.75, moving, (-0.1, 1.1))
        down, up = (ramp[:moving] - 0.75).clamp(min=-0.1), (ramp[:moving] + 0.75).clamp(max=1.1)
        assert torch.allclose(bottom[:moving], down, atol=1e-5), "which pixels go down, and how far?"
        assert torch.allclose(top[:moving], up, atol=1e-5), "which pixels go up, and how far?"
        stays = torch.allclose(bottom[moving:], ramp[moving:]) and torch.allclose(top[moving:], ramp[moving:])
        assert stays, "which pixels stay?"
        bottom, top = moved(0.75, moving, (0.2, 0.8))
        inside = bottom[:moving].min() >= 0.2 - 1e-6 and top[:moving].max() <= 0.8 + 1e-6
        assert inside, "is clip the range that is given?"
        stays = torch.allclose(bottom[moving:], ramp[moving:]) and torch.allclose(top[moving:], ramp[moving:])
        assert stays, "which pixels are cut to clip?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# The upper half of our example, each pixel by up to 0.3, unclipped: will it stay a 7?

# %%
from course_utils.stand_ins import box_around, upper_half_box
from verifier import Box, verify_robust


def box_of(images):
    """A Box from its two ends."""
    return Box(*images)


half_box = mine_or(
    lambda: box_of(two_images(perturb_all_pixels, x, 0.3, 392)(x, 0.3, 392)),
    lambda: upper_half_box(x),
    "perturb_all_pixels",
)
half_cases = []
half_result = verify(network, half_box, argmax_is(label), counterexamples=half_cases)
print(half_result.verdict.value)
if half_cases:
    half_read = int(network(half_cases[0].reshape(1, 784)).argmax())
    draw_counterexample_image(
        x, half_cases[0], [f"the network reads {int(answers[0])}", f"the network reads {half_read}"]
    )

# %% [markdown]
# Falsified. You would still read a 7, the network does not. (Where your network withstood this, ask for 0.6.) Note
# how the difference looks: not like a digit, but like a plan. Every pixel pushes its own way, many as far as they may.
#
# So, how far *can* it be proved? From here on a **radius** is the largest change of any pixel, all 784 may move, and
# boxes are clipped. `verify_robust` asks about one radius. The same network may come in any form: here one whose
# forward flattens (28, 28) images itself and ends in LogSoftmax. Must the answer be the same?


# %%
class Reader(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return nn.functional.log_softmax(self.net(images.reshape(-1, 784)), dim=1)


for radius in [0.015, 0.12]:
    plain = verify_robust(network, x, label, radius, clip=VALID_RANGE)
    dressed = verify_robust(Reader(network), x.reshape(28, 28), label, radius, clip=VALID_RANGE, input_shape=(28, 28))
    print(f"radius {radius}: {plain.verdict.value} as a Sequential, {dressed.verdict.value} as a Reader")

# %% [markdown]
# LogSoftmax changes the outputs and not their order, so `argmax_is` means the same, and the verifier knows.
#
# Before we use the bounds, a second opinion: **auto-LiRPA** is a library of its own for such bounds, written by other
# people. `verify` begins with it; then the course's own CROWN takes over. On the same network and box, how far
# apart will the two be?

# %% tags=["only-shows"]
box = box_around(x, 0.015)
ours = output_bounds(network, box, method="crown")
theirs = output_bounds(network, box, method="auto_lirpa")
loose = output_bounds(network, box, method="ibp")
print("class   auto-LiRPA's CROWN      our CROWN               interval")
for k in range(10):
    columns = [f"[{one.lower[k]:8.4f}, {one.upper[k]:8.4f}]" for one in (theirs, ours, loose)]
    print(f"{k:>5}   " + "    ".join(columns))
apart = max(np.abs(ours.lower - theirs.lower).max(), np.abs(ours.upper - theirs.upper).max())
print(f"largest difference between the two CROWNs: {apart:.1e}")

# %% [markdown]
# Two programs, one mathematics: they agree to many digits. The interval bounds of lab 1 are much wider.
#
# Now the largest radius, by bisection: prove half of it, or attack half of it, and so on. (About ten seconds.) `pointwise_robustness` gives
# two numbers: up to `lower` it is *proved* that the label stays; at `upper` there *is* a counterexample. Each method
# gets its turn on three images. Which will reach further, and what can lie between `lower` and `upper`?

# %% tags=["only-shows"]
from course_utils.plots import draw_robustness_gaps
from verifier import pointwise_robustness

# how closely to look: the two bounds are cheap, and verify() takes seconds a radius
tolerances = {"interval": 0.001, "CROWN": 0.001, "verify": 0.01}
gaps = {"interval": [], "CROWN": [], "verify": []}
some = [i for i in range(20) if int(answers[i]) == int(test_set.labels[i])][:3]
for name, method in [("interval", "ibp"), ("CROWN", "crown"), ("verify", "auto")]:
    for i in tqdm(some, desc=name):
        found = pointwise_robustness(
            network,
            test_set.images[i],
            0.15,
            method=method,
            clip=VALID_RANGE,
            tolerance=tolerances[name],
            max_subdomains=20,
            timeout_per_radius_s=None,
            progress=False,
        )
        gaps[name].append(found)
draw_robustness_gaps(gaps, [f"digit {i}, a {int(test_set.labels[i])}" for i in some])
for i, found in zip(some, gaps["verify"], strict=True):
    print(f"digit {i}: {found}")

# %% [markdown]
# Read a row from the left. Intervals give up first, CROWN goes several times as far, and `verify`, which splits as
# well, further still. From the right, the attack comes down to its nearest counterexample. In the **gap** between,
# nobody knows yet: the bisection stops at a gap of 0.01, and the search was cut off after 20 subdomains for each radius. With

# ## 7. Three accuracies
# Over a whole set of images this gives three numbers for each radius:
#
# - **clean** accuracy: the share that is read rightly as it is.
# - **attacked** accuracy: the share that is still read rightly after an attack. A better attack may lower it.
# - **verified** accuracy: the share for which *no* attack within the radius can succeed: proved.
#
# The truth, the accuracy under the best possible attack, lies between the last two. As attack we take projected
# gradient descent (PGD) from `course_utils.attacks`: `pgd(net, images, labels, radius, clip=...)` gives one image for
# each, within the radius, wrong where it could find a wrong one.
#
# **Exercise (5 points).** Write `attacked_accuracy(net, images, labels, radius)`: the share (between 0 and 1) of images
# that are read rightly as they are *and* after `pgd` with the clip `VALID_RANGE`.


# %% nbgrader={"grade": false, "grade_id": "attacked_accuracy", "locked": false, "schema_version": 3, "solution": true, "task": false}
from course_utils.attacks import pgd


def attacked_accuracy(net, images, labels, radius):
    """The share of images that net reads rightly before and after the attack."""
    ### BEGIN SOLUTION
    attacked = pgd(net, images, labels, radius, clip=VALID_RANGE)
    with torch.no_grad():
        right_before = net(images).argmax(dim=1) == labels
        right_after = net(attacked).argmax(dim=1) == labels
    return (right_before & right_after).float().mean().item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "attacked_accuracy_check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# uses: attacked_accuracy
def check():
    import torch
    from torch import nn

    from course_utils.checks import as_tensor, passed

    # class 1 where pixel 0 is above 0.5, else class 0
    step_rule = nn.Sequential(nn.Linear(784, 2))
    weights = torch.zeros(2, 784)
    weights[1, 0] = 1.0
    step_rule.load_state_dict({"0.weight": weights, "0.bias": torch.tensor([0.5, 0.0])})
    dots = torch.zeros(4, 784)
    dots[:, 0] = torch.tensor([0.0, 0.4, 0.7, 0.9])
    truth = torch.tensor([0, 0, 1, 1])

    def share(labels, radius):
        return float(as_tensor(attacked_accuracy(step_rule, dots, labels, radius)))

    found = share(truth, 0.05)
    assert abs(found - 1.0) < 1e-6, f"{found}: no image is within 0.05 of the border, so all four withstand"
    found = share(truth, 0.15)
    assert abs(found - 0.75) < 1e-6, f"{found}: only the image at 0.4 is within 0.15 of the border; three withstand"
    assert abs(share(1 - truth, 0.05)) < 1e-6, "every image is misread before the attack; none of them counts"
    passed("attacked_accuracy", 5)
    ### BEGIN HIDDEN TESTS
    assert abs(share(truth, 0.3) - 0.5) < 1e-6, "who withstands where more images can cross?"
    dots[:, 0] = torch.tensor([0.1, 0.1, 0.9, 0.9])
    assert abs(share(truth, 0.2) - 1.0) < 1e-6, "how far must these go to cross?"
    assert abs(share(truth, 9.0)) < 1e-6, "is the valid range, and no smaller one, the clip?"
    # the border lies beyond white, where no image is
    step_rule.load_state_dict({"0.weight": weights, "0.bias": torch.tensor([1.2, 0.0])})
    assert abs(share(0 * truth, 0.6) - 1.0) < 1e-6, "does an attack stay in the valid range?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# The curves on the first 100 test digits, for radii in grey values, where black to white is 1. `verified_accuracy` asks
# `verify_robust` of every image, the cheap bounds of many at once, and keeps every verdict in a table. Here CROWN has to
# do (`method="crown"`), which takes about a second a radius; without that it would go on splitting for every digit that
# is left. At which radius will the verified accuracy be half of the clean one? (About five seconds. Where you skipped the
# exercise, the attacked accuracy is that of the course's own network, as measured.)

# %% tags=["only-shows"]
from course_utils.plots import draw_accuracy_curves
from course_utils.stand_ins import attacked_shares
from verifier import verified_accuracy

exam_images, exam_labels = test_set.images[:100], test_set.labels[:100]
grey_radii = [0.01, 0.02, 0.03, 0.04, 0.06]


def shares_of(net):
    """Your attacked accuracy at every radius."""
    shares = [float(attacked_accuracy(net, exam_images, exam_labels, radius)) for radius in grey_radii]
    if not 0 <= min(shares) <= max(shares) <= 1:
        raise ValueError(f"shares between {min(shares)} and {max(shares)}; expected 0 to 1")
    return shares


def curves_of(net, stored):
    """Clean, attacked and verified accuracy at every radius."""
    attacked = mine_or(lambda: shares_of(net), lambda: attacked_shares(stored), "attacked_accuracy")
    curves = {"clean": [], "attacked": attacked, "verified": []}
    for radius, share in zip(grey_radii, attacked, strict=True):
        table = verified_accuracy(
            net, exam_images, exam_labels, radius, clip=VALID_RANGE, method="crown", progress=False
        )
        curves["clean"].append(table.clean)
        curves["verified"].append(table.verified)
        print(f"radius {radius}: {table.clean:.0%} clean, {share:.0%} attacked, {table.verified:.0%} verified")
    return curves


curves = {"trained as usual": curves_of(network, "usual")}
picture = draw_accuracy_curves(grey_radii, curves)

# %% [markdown]
# Between the pink and the green curve lies what this much work left open. Both fall with the radius. The truth must:
# a larger box holds the smaller one and all its counterexamples. It runs somewhere through the shaded part.
#
# ## 8. Training for proofs
# Can a network be trained so that more can be *proved* of it? The idea is to put the bounds into the loss: instead of the
# outputs at the image, take the *worst* outputs that the bounds cannot exclude in the box, and train on those. With
# interval bounds this is **IBP** training
# ([Gowal et al. 2018](https://arxiv.org/abs/1810.12715)); **CROWN-IBP**
# ([Zhang et al. 2020](https://arxiv.org/abs/1906.06316)) begins with tighter
# bounds and hands over to intervals. The radius grows from 0 to its full size while the network learns. The heart of
# it is a few lines:

# %%
import inspect

from course_utils import robust_training
from course_utils.robust_training import train_for_proofs

print(inspect.getsource(robust_training.worst_margins))

# %% [markdown]
# `worst_margins` is lab 1's interval arithmetic, written so that gradients flow through it, and (where `crown_share` is
# above 0) a backward pass of CROWN.
#
# **Exercise (5 points).** Make `nn_proof`: a network as before (784-128-64-10; `digit_net(128, 64)` builds one), trained
# with `train_for_proofs(model, dataset, radius, clip=VALID_RANGE, epochs=...)`. Use `train_set.first(6500)`, 16 epochs,
# and `ramp=8` epochs in which the radius grows. You choose the radius, in grey values. (About twenty seconds.) Graded is the verified accuracy on test digits
# at a grey radius of 0.04 (visible, up to 3 points) and at a hidden one nearby (up to 2): the more, the better.
# Larger is not always better: what will happen to the clean accuracy?

# %% nbgrader={"grade": false, "grade_id": "nn_proof", "locked": false, "schema_version": 3, "solution": true, "task": false}
torch.manual_seed(SEED)
### BEGIN SOLUTION
nn_proof = digit_net(128, 64, seed=SEED)
losses = train_for_proofs(
    classification_model(nn_proof), train_set.first(6500), 0.06, clip=VALID_RANGE, epochs=16, ramp=8
)
### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "nn_proof_check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# uses: nn_proof
def check():
    from torch import nn

    from course_utils.checks import passed
    from course_utils.data import VALID_RANGE, mnist
    from course_utils.stand_ins import is_courses_own
    from verifier import verified_accuracy

    exam = mnist("test", subset=True)
    assert not is_courses_own(nn_proof), "this is the course's own network; train one of your own"
    sizes = [(part.in_features, part.out_features) for part in nn_proof.modules() if isinstance(part, nn.Linear)]
    assert sizes == [(784, 128), (128, 64), (64, 10)], f"the layers are {sizes}; asked is a network of 784-128-64-10"

    def proved(first, last, radius):
        return verified_accuracy(
            nn_proof, exam.images[first:last], exam.labels[first:last], radius,
            clip=VALID_RANGE, method="crown", progress=False,
        )  # fmt: skip

    proof = proved(0, 100, 0.04)
    earned = sum(proof.verified >= wanted for wanted in (0.5, 0.6, 0.7))
    print(
        f"verified at 0.04: {proof.verified:.0%} of 100 digits, clean {proof.clean:.0%}; 50, 60, 70 % give a point each"
    )
    earned += 2 if earned > 0 else 0  # for the hidden part, which may take them away again
    passed("nn_proof", earned)
    ### BEGIN HIDDEN TESTS
    proof = proved(100, 300, 0.05)
    earned -= sum(proof.verified < wanted for wanted in (0.6, 0.7)) if earned > 0 else 0
    print("a hidden radius and other digits: is more proved of them, too?")
    ### END HIDDEN TESTS
    return earned


check()

# %% [markdown]
# The same three curves, for both networks. What was gained, what was paid?


# %% tags=["only-shows"]
proof_network = mine_or(lambda: usable(nn_proof), lambda: digit_network("proof"), "nn_proof")
curves["trained for proofs"] = curves_of(proof_network, "proof")
picture = draw_accuracy_curves(grey_radii, curves)
for name, net in [("trained as usual", network), ("trained for proofs", proof_network)]:
    unstable = robust_training.unstable_neurons(net, exam_images, 0.04, clip=VALID_RANGE)
    print(f"{name}: at a grey radius of 0.04, {unstable:.0f} hidden neurons are unstable on average")

# %% [markdown]
# At the larger radii far more is proved of the network trained for proofs, by bounds that cost milliseconds, and the gap
# to the attack is small. The attacked accuracy is higher there as well: the robustness is real, not an artefact of the
# method. One reason can be counted: a neuron is **unstable** where its bounds lie on both sides of 0, so that ReLU's
# bend is in play, and each such neuron costs tightness. Training for proofs leaves few of them.
#
# What does it cost? At a moderate radius the clean accuracy hardly moves. Two more networks came with the course: one
# trained with interval bounds alone (`crown=False`), one with CROWN-IBP and a far larger radius, 0.25. What do you
# expect of each?

# %% tags=["only-shows"]
variants = {
    "trained as usual": network,
    "trained for proofs": proof_network,
    "IBP alone": digit_network("interval"),
    "CROWN-IBP, radius 0.25": digit_network("wide"),
}
asked = [(0.04, "ibp"), (0.04, "crown"), (0.1, "crown")]
print(f"{'':<24} {'clean':>7}   verified: 0.04 by intervals, 0.04 by CROWN, 0.1 by CROWN")
for name, net in variants.items():
    clean = class_accuracy(net, test_set.images, test_set.labels)
    row = f"{name:<24} {clean:>7.1%}"
    for (grey, method), width in zip(asked, (26, 15, 14), strict=True):
        table = verified_accuracy(net, exam_images, exam_labels, grey, clip=VALID_RANGE, method=method, progress=False)
        row += f"{table.verified:>{width}.0%}"
    print(row)

# %% [markdown]
# Look at the first column of proofs: on the network trained as usual intervals prove next to nothing, on the others almost
# as much as CROWN. Training for proofs makes networks on which even loose bounds are tight; so IBP alone comes close to
# CROWN-IBP here. The larger training radius has its price: many more digits are misread, and what is misread cannot be
# verified at any radius. The loss weighs the worst case of a large box as much as the digit itself, and the digit pays.
#
# ## 9. What was proved, and what was not
# **Written question (4 points, graded by hand).** A company writes: "Our digit reader is 75 % robust." In six to ten
# sentences: what would you have to ask before the sentence means something? Which of your results could stand
# behind such a sentence, what exactly does that result say, and of which images? Name at least two things that somebody
# might believe after reading it and that were *not* proved.

# %% [markdown] nbgrader={"grade": true, "grade_id": "robust_claim", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# To ask (2 points for three of these): robust against which changes (every pixel within a radius, in which unit, clipped
# or not; one pixel; anything else), at which radius, for which images, verified or only attacked, by which network. What
# could stand behind it (1 point): the verified accuracy at one radius, i.e. the share of *these* 100 test images for
# which every image in the clipped box is read as the label, proved with rounding accounted for. Not proved (1 point for
# two): anything about other images, or about images far from the test set; changes outside the box such as a shift or a
# rotation by a pixel, though it looks harmless; that the label itself is right; that the other 25 % are not robust (some
# are merely unknown, between attack and proof); another network, or this one trained with another seed.
# ### END SOLUTION

# %% [markdown]
# ## What to take away
# - **Robust** means: the same label for every image of a stated set. Without the set the word says nothing.
# - Box specs on outputs fence each output by itself; `argmax_is` says what is meant.
# - An attack bounds robustness from above, a proof from below. What lies between is unknown, not safe.
# - Clean, attacked and verified accuracy are three numbers; a report should give all of them, with the radius and its
#   unit.
# - Training with bounds in the loss makes networks of which more can be proved, for a price in accuracy.
#
# **To read on.** [Madry et al. 2018](https://arxiv.org/abs/1706.06083) on projected gradient descent;
# [Xu et al. 2020](https://arxiv.org/abs/2002.12920), auto-LiRPA. The words of this lab are in the course's
# `docs/glossary.md`.
#
# **An open question.** A digit moved by one pixel to the right is the same digit to us, and far outside every box of
# this lab. What would a spec look like that allows shifts, and how could it be verified?
