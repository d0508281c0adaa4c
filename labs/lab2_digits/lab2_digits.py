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
# **Time.** 90 to 120 minutes. Nine parts, 40 points.
#
# Run the cells from top to bottom. Where a cell says `# YOUR CODE HERE`, replace that line and the one below it. A
# check cell follows every exercise and answers at once; hidden tests with other numbers follow when the lab is
# graded. If you skip an exercise, its cell and its check end with an error: go on with the cell below them. The next
# part then takes the course's own version and says so.

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
# An image is a row of 784 numbers, line by line: pixel 0 is the upper left corner, pixel 27 the upper right one. Grey
# values from 0 (black) to 1 (white) are *normalised* before the network sees them:
#
# $$x = \frac{\text{grey} - 0.1307}{0.3081}.$$
#
# So black is about -0.42, white is about 2.82, and a change of 0.1 in grey is one of about 0.32 in normalised units.
# Three helpers do the arithmetic. Which value will appear most often in an image?

# %%
import torch

from course_utils.data import VALID_RANGE, grey_radius, normalised_radius

print(f"black and white, normalised: {VALID_RANGE[0]:.4f} and {VALID_RANGE[1]:.4f}")
print(f"a grey radius of 0.1 is {normalised_radius(0.1):.4f} normalised; 1 normalised is {grey_radius(1.0):.4f} grey")
values, counts = test_set.images[0].unique(return_counts=True)
print(f"most frequent value in the first test image: {values[counts.argmax()]:.4f}, {counts.max()} times of 784")

# %% [markdown]
# Most of an image is background, and the value of the background lies at the very end of the valid range. Keep that in
# mind for part 3.
#
# ### A classic trap
# A classifier gives ten numbers, one a digit, and the largest wins. The numbers of the last Linear layer are the
# **logits**. *Softmax* turns them into probabilities, *LogSoftmax* into logarithms of probabilities.
# `nn.NLLLoss` ("negative log likelihood") wants the **logarithms**. Nothing stops you from feeding it the
# probabilities: no error, no warning. What will the loss look like, and how much will the network learn?

# %%
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
# **Exercise (4 points).** Build `nn_digits` with `nn.Sequential` from `nn.Linear` and `nn.ReLU` layers: 784 inputs,
# hidden layers of 128 and 64 neurons, 10 outputs. Make a model of it with `classification_model` and train that with
# `losses = train(...)` for 12 epochs on `train_set`. How many of 100 new digits do you expect it to read?

# %% nbgrader={"grade": false, "grade_id": "nn_digits", "locked": false, "schema_version": 3, "solution": true, "task": false}
from course_utils.models import classification_model

torch.manual_seed(SEED)
### BEGIN SOLUTION
nn_digits = nn.Sequential(
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
import torch

from course_utils.data import mnist

exam = mnist("test", subset=True)
with torch.no_grad():
    answered = nn_digits(exam.images[:400].to(next(nn_digits.parameters()).dtype))
assert tuple(answered.shape) == (400, 10), f"outputs of shape {tuple(answered.shape)} for 400 images; ten outputs each"
part_right = (answered.argmax(dim=1) == exam.labels[:400]).float().mean().item()
assert part_right >= 0.88, f"{part_right:.1%} of 400 test digits are right; did the loss still fall at the end?"
### BEGIN HIDDEN TESTS
with torch.no_grad():
    answered = nn_digits(exam.images[400:].to(next(nn_digits.parameters()).dtype)).argmax(dim=1)
for digit in range(10):
    shown = exam.labels[400:] == digit
    assert (answered[shown] == digit).float().mean() >= 0.6, "is every digit read, and not only the easy ones?"
assert (answered == exam.labels[400:]).float().mean() >= 0.87, "how good is the network on digits it was not shown?"
### END HIDDEN TESTS

# %% [markdown]
# From here on, `network` is your trained network, or the course's if you skipped the exercise.
#
# ## 2. What testing says
# The first twenty test digits with what the network reads, and the share of all of them that it reads rightly. One test
# digit is our example for the rest of the lab: `x`, with its `label`.

# %%
import copy

from course_utils.checks import mine_or, two_images
from course_utils.models import classification_model


def course_network():
    """The course's own, trained as the exercise says."""
    net = digit_net(128, 64, seed=SEED)
    train(classification_model(net), train_set, epochs=12, live=False)
    return net


network = mine_or(lambda: copy.deepcopy(nn_digits).eval().float(), course_network, "nn_digits")
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
import torch

flat = torch.linspace(-0.4, 2.8, 784)
before = flat.clone()
down, up = (torch.as_tensor(part) for part in perturb_one_pixel(flat, 5, 0.5))
assert tuple(down.shape) == (784,) and tuple(up.shape) == (784,), "two images of 784 pixels each"
assert torch.equal(flat, before), "x itself has changed; make copies (clone) first"
assert abs(float(up[5] - down[5]) - 1.0) < 1e-6, (
    f"pixel 5 moves from {float(down[5]):.3f} to {float(up[5]):.3f}; by 0.5 each way?"
)
down, up = (torch.as_tensor(part) for part in perturb_one_pixel(flat, 0, 0.5, (-0.42, 2.82)))
assert float(down[0]) >= -0.4201, "with clip, no pixel leaves the valid range"
### BEGIN HIDDEN TESTS
spots = torch.Generator().manual_seed(4)
for pixel, delta in [(0, 0.25), (783, 1.5), (404, 3.0)]:
    flat = torch.rand(784, generator=spots)
    down, up = (torch.as_tensor(part) for part in perturb_one_pixel(flat, pixel, delta))
    others = torch.arange(784) != pixel
    assert torch.equal(down[others], flat[others]) and torch.equal(up[others], flat[others]), (
        "does any other pixel move?"
    )
    assert abs(float(flat[pixel] - down[pixel]) - delta) < 1e-5, "how far down does the pixel go?"
    assert abs(float(up[pixel] - flat[pixel]) - delta) < 1e-5, "how far up does the pixel go?"
    down, up = (torch.as_tensor(part) for part in perturb_one_pixel(flat, pixel, delta, (-0.1, 1.1)))
    assert abs(float(down[pixel]) - max(float(flat[pixel]) - delta, -0.1)) < 1e-5, (
        "clip: what is the lowest valid value?"
    )
    assert abs(float(up[pixel]) - min(float(flat[pixel]) + delta, 1.1)) < 1e-5, "clip: what is the highest valid value?"
    down, up = (torch.as_tensor(part) for part in perturb_one_pixel(flat, pixel, delta, (0.3, 0.6)))
    assert torch.equal(down[others], flat[others]) and torch.equal(up[others], flat[others]), (
        "which pixels are cut to clip?"
    )
### END HIDDEN TESTS

# %% [markdown]
# We begin with pixel 5, in the upper margin, and delta 0.5. Look at the two ends of the box, without clipping and with
# it. Which of the four images is no image at all?

# %%
from course_utils.data import grey_values


def course_perturb_one_pixel(x, pixel_pos, delta, clip=None):
    """The course's own: one pixel moves, the others stay."""
    moved = torch.zeros(784)
    moved[pixel_pos] = delta
    pair = (x - moved, x + moved)
    return pair if clip is None else tuple(torch.where(moved > 0, part.clamp(*clip), part) for part in pair)


one_pixel = mine_or(
    lambda: two_images(perturb_one_pixel, x, 5, 0.5), lambda: course_perturb_one_pixel, "perturb_one_pixel"
)
ends = torch.stack([*one_pixel(x, 5, 0.5), *one_pixel(x, 5, 0.5, VALID_RANGE)])
names = ["lower, unclipped", "upper, unclipped", "lower, clipped", "upper, clipped"]
picture = plot_mnist(ends, titles=names, pixel=5, inches=2.3)
for name, end in zip(names, ends, strict=True):
    print(f"{name:>16}: pixel 5 has grey value {grey_values(end)[5]:+.4f}")

# %% [markdown]
# Pixel 5 is background: black already. "Darker than black" (the grey value is below 0) is no image, so clipping makes
# the box *one-sided*. Unclipped, the first picture is drawn as black all the same. A proof for the larger, unclipped
# box is also one for the clipped box; a counterexample in it may be no image. Here we first take the unclipped one.
#
# **Exercise (3 points).** Write the box as `x_specs`, for pixel 5 and delta 0.5, unclipped: a Python list with one
# `(lower, upper)` pair of numbers for each of the 784 pixels, in order.

# %% nbgrader={"grade": false, "grade_id": "x_specs", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
lower, upper = one_pixel(x, 5, 0.5)
x_specs = list(zip(lower.tolist(), upper.tolist(), strict=True))
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "x_specs_check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# uses: x_specs
assert isinstance(x_specs, list), "x_specs is another kind of object; wanted is a Python list"
assert len(x_specs) == 784, f"x_specs has {len(x_specs)} entries; one a pixel"
assert all(len(pair) == 2 for pair in x_specs), "every entry is a pair: lower and upper"
assert all(float(low) <= float(high) for low, high in x_specs), "lower comes first, in every pair"
wide = [place for place, (low, high) in enumerate(x_specs) if float(low) < float(high)]
assert wide == [5], f"the pixels that may move are {wide[:5]}; only pixel 5 should"
### BEGIN HIDDEN TESTS
from course_utils.data import mnist

picture = mnist("test", subset=True).images[0].tolist()
assert abs(float(x_specs[5][0]) - (picture[5] - 0.5)) < 1e-5, "where does pixel 5 begin?"
assert abs(float(x_specs[5][1]) - (picture[5] + 0.5)) < 1e-5, "where does pixel 5 end?"
stays = [abs(float(low) - value) < 1e-5 for (low, high), value in zip(x_specs, picture, strict=True)]
assert all(stays[:5] + stays[6:]), "what values have the pixels that do not move?"
### END HIDDEN TESTS

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
import torch
from torch import nn

sums = nn.Sequential(nn.Linear(784, 10))
sums.load_state_dict({"0.weight": torch.full((10, 784), 1 / 784), "0.bias": torch.arange(10.0)})
limits = y_specs_around(sums, torch.zeros(784), torch.ones(784), 0.01)
assert len(limits) == 10 and all(len(pair) == 2 for pair in limits), "ten pairs, one an output"
assert abs(float(limits[0][0]) - 0.49) < 1e-4, f"output 0 is 0 at one end and 1 at the other; its pair is {limits[0]}"
assert abs(float(limits[9][1]) - 9.51) < 1e-4, f"output 9 is 9 at one end and 10 at the other; its pair is {limits[9]}"
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
    wanted = curved(ends_tried).mean(dim=0)
for epsilon in (0.01, 0.3):
    limits = torch.tensor([[float(low), float(high)] for low, high in y_specs_around(curved, *ends_tried, epsilon)])
    assert torch.allclose(limits.mean(dim=1), wanted, atol=1e-4), (
        "the average of the outputs, or the output of an average?"
    )
    assert torch.allclose(limits[:, 1] - limits[:, 0], torch.full((10,), 2 * epsilon), atol=1e-4), "how wide is a pair?"
### END HIDDEN TESTS

# %% [markdown]
# Will the network keep within 0.01 of that average, for every value of pixel 5 in the box?

# %%
from verifier import argmax_is, output_bounds, verify

x_specs_5 = mine_or(
    lambda: x_specs if len(x_specs) == 784 else None,
    lambda: torch.stack(one_pixel(x, 5, 0.5), dim=1).tolist(),
    "x_specs",
)


def course_y_specs_around(net, lower, upper, epsilon):
    """The course's own."""
    both = net(torch.stack([lower, upper])).detach()
    return torch.stack([both.mean(dim=0) - epsilon, both.mean(dim=0) + epsilon], dim=1).tolist()


first_y_specs = mine_or(
    lambda: y_specs_around(network, *one_pixel(x, 5, 0.5), 0.01),
    lambda: course_y_specs_around(network, *one_pixel(x, 5, 0.5), 0.01),
    "y_specs_around",
)
cases = []
result = verify(network, x_specs_5, first_y_specs, counterexamples=cases)
result

# %% [markdown]
# The table shows, for each output, the bounds that were proved beside your limits. If it is *falsified* (it is for
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
# **Exercise (5 points).** Choose `y_specs_tuned` by hand: ten pairs such that
#
# 1. `verify(network, x_specs_5, y_specs_tuned)` is verified, and
# 2. the lower limit of class `label` is larger than the upper limit of every other class.
#
# Then every image in the box is read as `label`: proved. Start from `first_y_specs` and move the limits that the
# picture shows to be broken; `output_bounds` and the table of a result say how far. `None` is no limit: for which of
# the twenty limits would it do no harm?

# %% nbgrader={"grade": false, "grade_id": "y_specs_tuned", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
bounds = verify(network, x_specs_5, argmax_is(label)).output_bounds
y_specs_tuned = [
    [low - 0.01, high + 0.01] for low, high in zip(bounds.lower.tolist(), bounds.upper.tolist(), strict=True)
]
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "y_specs_tuned_check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# uses: network, x_specs_5, y_specs_tuned, label
from verifier import verify

assert len(y_specs_tuned) == 10 and all(len(pair) == 2 for pair in y_specs_tuned), "ten [lower, upper] pairs"
least = y_specs_tuned[label][0]
assert least is not None, f"class {label} needs a lower limit, or nothing keeps it on top"
for rival in range(10):
    most = y_specs_tuned[rival][1]
    assert rival == label or most is not None, f"class {rival} needs an upper limit, or it could win"
    assert rival == label or float(most) < float(least), (
        f"class {rival} may reach {most}, and class {label} begins at {least}"
    )
tuned = verify(network, x_specs_5, y_specs_tuned, max_subdomains=2000, timeout_s=None)
assert tuned, f"not verified but {tuned.verdict.value}: widen a limit that is broken"
### BEGIN HIDDEN TESTS
import torch

from course_utils.data import mnist

shown = mnist("test", subset=True)
pairs = torch.tensor([[float(low), float(high)] for low, high in x_specs_5])
inside = ((pairs[:, 0] <= shown.images[0] + 1e-4) & (shown.images[0] - 1e-4 <= pairs[:, 1])).all()
assert inside and label == int(shown.labels[0]), "is it still the box around the first test digit, with its label?"
assert float(pairs[5, 1] - pairs[5, 0]) > 0.99, "is it still the whole box, from -0.5 to +0.5 at pixel 5?"
with torch.no_grad():
    read = network(shown.images.to(next(network.parameters()).dtype)).argmax(dim=1)
assert (read == shown.labels).float().mean() >= 0.7, "is the network still one that reads digits?"
### END HIDDEN TESTS

# %% [markdown]
# **Verified**, and so is the label, for this image and this pixel. The detour shows what such a spec is: a proof about
# ten intervals that belong to *this* network and *this* image. Train again with another seed, and the numbers mean
# nothing. And a box cannot say "output 7 is the largest" as such: it fences each output by itself. Where a rival and
# the label rise together, the rival may even pass the label's *lower limit* and never catch up with the label.
#
# ## 5. The spec we wanted
# `argmax_is(label)` says it directly: this output is strictly larger than every other one, at every input of the box.
#
# **Exercise (4 points).** Write `proves_label(net, x, pixel_pos, delta, label, clip=None)`: True if `verify` proves
# that moving this one pixel by up to `delta` leaves `label` the strictly largest output, else False. Mind that
# "unknown" is no proof.


# %% nbgrader={"grade": false, "grade_id": "proves_label", "locked": false, "schema_version": 3, "solution": true, "task": false}
def proves_label(net, x, pixel_pos, delta, label, clip=None):
    """Whether it is proved that one pixel, moved by up to delta, cannot change the label."""
    ### BEGIN SOLUTION
    lower, upper = one_pixel(x, pixel_pos, delta, clip)
    return bool(verify(net, torch.stack([lower, upper], dim=1), argmax_is(label), progress=False))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "proves_label_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: proves_label
import torch
from torch import nn

# output 1 is pixel 3, output 0 is the constant 1: the answer is 1 where pixel 3 is larger than 1, else 0
one_rule = nn.Sequential(nn.Linear(784, 2))
rule = torch.zeros(2, 784)
rule[1, 3] = 1.0
one_rule.load_state_dict({"0.weight": rule, "0.bias": torch.tensor([1.0, 0.0])})
blank = torch.zeros(784)
told = proves_label(one_rule, blank, 3, 0.5, 0)
assert told in (True, False), "True or False itself, not an object that counts as one of them"
assert told, "pixel 3 stays below 1, so the answer stays 0"
assert not proves_label(one_rule, blank, 3, 1.5, 0), "pixel 3 can pass 1, and then the answer is 1"
assert proves_label(one_rule, blank, 4, 1.5, 0), "pixel 4 has no influence here"
### BEGIN HIDDEN TESTS
assert not proves_label(one_rule, blank, 3, 0.5, 1), "is the label that is asked for the one that is proved?"
assert not proves_label(one_rule, blank, 3, 1.0, 0), "what if two outputs can be equal?"
assert proves_label(one_rule, blank, 3, 1.5, 0, (-0.5, 0.75)), "what does clip change?"
bright = torch.full((784,), 2.0)
assert proves_label(one_rule, bright, 3, 0.9, 1) and not proves_label(one_rule, bright, 3, 1.1, 1), "try other images"
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

# %% [markdown]
# Now all 784 pixels, one by one, for one image. Our example is too clear a case, so we take a closer call: an image that
# the network reads rightly, but only just. For each pixel we ask with delta 3 first (nearly the whole valid range,
# clipped); only where that is not proved do we ask for 2, then 1. Why is it enough to ask in this order? And which
# pixels do you expect to matter: those of the digit, or those beside it?

# %%
import numpy as np
from tqdm.auto import tqdm

from course_utils.plots import draw_pixel_map
from verifier import Verdict

with torch.no_grad():
    best = network(test_set.images).topk(2, dim=1).values
lead = (best[:, 0] - best[:, 1]).where(answers == test_set.labels, torch.tensor(torch.inf))
close = int(lead.where(lead > 0.4, torch.tensor(torch.inf)).argmin())
close_image, close_label = test_set.images[close], int(test_set.labels[close])
print(f"test digit {close}: a {close_label}, ahead of the next class by {float(lead[close]):.3f}")

deltas = [3, 2, 1]
smallest = np.full(784, np.nan)  # of the deltas at which a counterexample was met; NaN: proved at all
for pixel in tqdm(range(784), desc="pixels"):
    for delta in deltas:
        box = torch.stack(course_perturb_one_pixel(close_image, pixel, delta, VALID_RANGE), dim=1)
        answer = verify(network, box, argmax_is(close_label), progress=False)
        if answer:
            break
        smallest[pixel] = delta if answer.verdict is Verdict.FALSIFIED else np.inf
draw_pixel_map(smallest, deltas, close_image)
black = (close_image < VALID_RANGE[0] + 1e-3).numpy()
for where, there in [("black background", black), ("of the digit", ~black)]:
    harmless, harmful = int(np.isnan(smallest[there]).sum()), int(np.isfinite(smallest[there]).sum())
    print(f"{there.sum()} pixels {where}: {harmless} proved harmless, {harmful} can change the label by themselves")

# %% [markdown]
# Each of the 784 colours is an answer for infinitely many images: green is a proof, red is a counterexample that exists.
# A box with delta 1 lies inside the one with delta 2, so what is proved for the larger holds for the smaller. And the
# digit's own pixels are not the only ones that matter: a white dot on the background beside it can be read as a stroke.
#
# ## 6. Many pixels at once
# One pixel is little. Now every pixel may move, each by itself.
#
# **Exercise (3 points).** Write `perturb_all_pixels(x, delta, count=784, clip=None)`: the lower and the upper image, as
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


# %% nbgrader={"grade": true, "grade_id": "perturb_all_pixels_check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# uses: perturb_all_pixels
import torch

ramp = torch.linspace(-0.4, 2.8, 784)
bottom, top = (torch.as_tensor(part) for part in perturb_all_pixels(ramp, 0.5))
assert torch.allclose(bottom, ramp - 0.5) and torch.allclose(top, ramp + 0.5), "every pixel moves by 0.5 each way"
bottom, top = (torch.as_tensor(part) for part in perturb_all_pixels(ramp, 0.5, 392))
assert torch.equal(bottom[392:], ramp[392:]), "with count=392 the second half stays"
### BEGIN HIDDEN TESTS
for moving in (1, 28, 700):
    bottom, top = (torch.as_tensor(part) for part in perturb_all_pixels(ramp, 0.75, moving, (-0.42, 2.82)))
    assert torch.allclose(bottom[:moving], (ramp[:moving] - 0.75).clamp(min=-0.42), atol=1e-5), (
        "which pixels go down, and how far?"
    )
    assert torch.allclose(top[:moving], (ramp[:moving] + 0.75).clamp(max=2.82), atol=1e-5), (
        "which pixels go up, and how far?"
    )
    assert torch.equal(bottom[moving:], ramp[moving:]) and torch.equal(top[moving:], ramp[moving:]), (
        "which pixels stay?"
    )
    bottom, top = (torch.as_tensor(part) for part in perturb_all_pixels(ramp, 0.75, moving, (0.0, 1.0)))
    assert bottom[:moving].min() >= 0 and top[:moving].max() <= 1, "is clip the range that is given?"
    assert torch.equal(bottom[moving:], ramp[moving:]) and torch.equal(top[moving:], ramp[moving:]), (
        "which pixels are cut to clip?"
    )
assert torch.equal(ramp, torch.linspace(-0.4, 2.8, 784)), "is x itself left as it is?"
### END HIDDEN TESTS

# %% [markdown]
# The upper half of our example, each pixel by up to 1 (about 0.31 in grey, unclipped): will it stay a 7?

# %%
from verifier import verify_robust


def course_perturb_all_pixels(x, delta, count=784, clip=None):
    """The course's own: the first pixels move, the others stay."""
    moving = torch.arange(784) < count
    pair = (x - delta * moving, x + delta * moving)
    return pair if clip is None else tuple(torch.where(moving, part.clamp(*clip), part) for part in pair)


all_pixels = mine_or(
    lambda: two_images(perturb_all_pixels, x, 1.0, 392), lambda: course_perturb_all_pixels, "perturb_all_pixels"
)
half_cases = []
half_result = verify(network, torch.stack(all_pixels(x, 1.0, 392), dim=1), argmax_is(label), counterexamples=half_cases)
print(half_result.verdict.value)
if half_cases:
    half_read = int(network(half_cases[0].reshape(1, 784)).argmax())
    draw_counterexample_image(
        x, half_cases[0], [f"the network reads {int(answers[0])}", f"the network reads {half_read}"]
    )

# %% [markdown]
# Falsified. You would still read a 7, the network does not. (Where your network withstood this, ask for delta 2.) Note
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


for radius in [0.05, 0.4]:
    plain = verify_robust(network, x, label, radius, clip=VALID_RANGE)
    dressed = verify_robust(Reader(network), x.reshape(28, 28), label, radius, clip=VALID_RANGE, input_shape=(28, 28))
    print(f"radius {radius}: {plain.verdict.value} as a Sequential, {dressed.verdict.value} as a Reader")

# %% [markdown]
# LogSoftmax changes the outputs and not their order, so `argmax_is` means the same, and the verifier knows.
#
# Before we use the bounds, a second opinion: **auto-LiRPA** is a library of its own for such bounds, written by other
# people. `verify` begins with it; then the course's own CROWN takes over. On the same network and box, how far
# apart will the two be?

# %%
box = torch.stack(all_pixels(x, 0.05, 784, VALID_RANGE), dim=1)
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
# Now the largest radius, by bisection: prove half of it, or attack half of it, and so on. `pointwise_robustness` gives
# two numbers: up to `lower` it is *proved* that the label stays; at `upper` there *is* a counterexample. Each method
# gets its turn on three images. Which will reach further, and what can lie between `lower` and `upper`?

# %%
from course_utils.plots import draw_robustness_gaps
from verifier import pointwise_robustness

# how closely to look: the two bounds are cheap, and verify() takes seconds a radius
tolerances = {"interval": 0.002, "CROWN": 0.002, "verify": 0.02}
gaps = {"interval": [], "CROWN": [], "verify": []}
some = [i for i in range(20) if int(answers[i]) == int(test_set.labels[i])][:3]
for name, method in [("interval", "ibp"), ("CROWN", "crown"), ("verify", "auto")]:
    for i in tqdm(some, desc=name):
        found = pointwise_robustness(
            network,
            test_set.images[i],
            0.5,
            method=method,
            clip=VALID_RANGE,
            tolerance=tolerances[name],
            max_subdomains=100,
            timeout_s=None,
            progress=False,
        )
        gaps[name].append(found)
draw_robustness_gaps(gaps, [f"digit {i}, a {int(test_set.labels[i])}" for i in some])
for i, found in zip(some, gaps["verify"], strict=True):
    print(f"digit {i}: {found}")

# %% [markdown]
# Read a row from the left. Intervals give up first, CROWN goes several times as far, and `verify`, which splits as
# well, further still. From the right, the attack comes down to its nearest counterexample. In the **gap** between,
# nobody knows yet: the bisection stops at a gap of 0.02, and the search was cut off after 100 subdomains a radius. With
# more time the gap closes from both sides, in principle to a single number.
#
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
import torch
from torch import nn

# class 1 where pixel 0 is above 0.5, else class 0
step_rule = nn.Sequential(nn.Linear(784, 2))
weights = torch.zeros(2, 784)
weights[1, 0] = 1.0
step_rule.load_state_dict({"0.weight": weights, "0.bias": torch.tensor([0.5, 0.0])})
dots = torch.zeros(4, 784)
dots[:, 0] = torch.tensor([0.0, 0.4, 0.9, 1.6])
truth = torch.tensor([0, 0, 1, 1])
share = attacked_accuracy(step_rule, dots, truth, 0.05)
assert abs(share - 1.0) < 1e-6, f"{share}: no image is within 0.05 of the border, so all four withstand"
share = attacked_accuracy(step_rule, dots, truth, 0.2)
assert abs(share - 0.75) < 1e-6, (
    f"{share}: only the image at 0.4 is within 0.2 of the border, so three of four withstand"
)
### BEGIN HIDDEN TESTS
assert abs(attacked_accuracy(step_rule, dots, truth, 0.45) - 0.5) < 1e-6, "who withstands where more images can cross?"
assert abs(attacked_accuracy(step_rule, dots, 1 - truth, 0.05)) < 1e-6, (
    "an image that is misread before counts as what?"
)
dots[:, 0] = torch.tensor([-0.4, -0.4, 2.8, 2.8])
assert abs(attacked_accuracy(step_rule, dots, truth, 0.6) - 1.0) < 1e-6, "how far must these go to cross?"
assert abs(attacked_accuracy(step_rule, dots, truth, 9.0) - 0.0) < 1e-6, (
    "is the valid range, and no smaller one, the clip?"
)
# the border lies beyond white, where no image is
step_rule.load_state_dict({"0.weight": weights, "0.bias": torch.tensor([3.0, 0.0])})
assert abs(attacked_accuracy(step_rule, dots, 0 * truth, 0.6) - 1.0) < 1e-6, "does an attack stay in the valid range?"
### END HIDDEN TESTS

# %% [markdown]
# The curves on the first 100 test digits, for radii in grey values, where black to white is 1. `verified_accuracy` asks
# `verify_robust` of every image, the cheap bounds of many at once, and keeps every verdict in a table. Here CROWN has to
# do (`method="crown"`), which takes about a second a radius; without that it would go on splitting for every digit that
# is left. At which radius will the verified accuracy be half of the clean one?

# %%
from course_utils.attacks import pgd
from course_utils.plots import draw_accuracy_curves
from verifier import verified_accuracy

exam_images, exam_labels = test_set.images[:100], test_set.labels[:100]


def course_attacked_accuracy(net, images, labels, radius):
    """The course's own."""
    wrong = net(pgd(net, images, labels, radius, clip=VALID_RANGE)).argmax(dim=1) != labels
    return 1 - (wrong | (net(images).argmax(dim=1) != labels)).float().mean().item()


attacked_share = mine_or(
    lambda: attacked_accuracy if 0 <= attacked_accuracy(network, exam_images, exam_labels, 0.01) <= 1 else None,
    lambda: course_attacked_accuracy,
    "attacked_accuracy",
)
grey_radii = [0.01, 0.02, 0.03, 0.04, 0.06]


def curves_of(net):
    """Clean, attacked and verified accuracy at every radius."""
    curves = {"clean": [], "attacked": [], "verified": []}
    for grey in tqdm(grey_radii, desc="radii"):
        table = verified_accuracy(
            net, exam_images, exam_labels, normalised_radius(grey), clip=VALID_RANGE,
            method="crown", progress=False,
        )  # fmt: skip
        attacked = attacked_share(net, exam_images, exam_labels, normalised_radius(grey))
        shares = {"clean": table.clean, "attacked": attacked, "verified": table.verified}
        for meaning, share in shares.items():
            curves[meaning].append(share)
        text = ", ".join(f"{share:.0%} {meaning}" for meaning, share in shares.items())
        print(f"grey radius {grey} (normalised {normalised_radius(grey):.3f}): {text}")
    return curves


curves = {"trained as usual": curves_of(network)}
picture = draw_accuracy_curves(grey_radii, curves)

# %% [markdown]
# Between the pink and the green curve lies what this much work left open. Both fall with the radius. The truth must:
# a larger box holds the smaller one and all its counterexamples. It runs somewhere through the shaded part.
#
# ## 8. Training for proofs
# Can a network be trained so that more can be *proved* of it? The idea is to put the bounds into the loss: instead of the
# outputs at the image, take the *worst* outputs that the bounds cannot exclude in the box, and train on those. With
# interval bounds this is **IBP** training (Gowal et al. 2018); **CROWN-IBP** (Zhang et al. 2020) begins with tighter
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
# and `ramp=8` epochs in which the radius grows. You choose the radius, in the unit of the images: `normalised_radius`
# makes it from one in grey. Graded is the verified accuracy on test digits
# at a grey radius of 0.04 (visible, up to 3 points) and at a hidden one nearby (up to 2): the more, the better.
# Larger is not always better: what will happen to the clean accuracy?

# %% nbgrader={"grade": false, "grade_id": "nn_proof", "locked": false, "schema_version": 3, "solution": true, "task": false}
torch.manual_seed(SEED)
### BEGIN SOLUTION
nn_proof = digit_net(128, 64, seed=SEED)
losses = train_for_proofs(
    classification_model(nn_proof), train_set.first(6500), normalised_radius(0.06), clip=VALID_RANGE, epochs=16, ramp=8
)
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "nn_proof_check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# uses: nn_proof
from course_utils.data import VALID_RANGE, mnist, normalised_radius
from verifier import verified_accuracy

judged = mnist("test", subset=True)
proof = verified_accuracy(
    nn_proof,
    judged.images[:100],
    judged.labels[:100],
    normalised_radius(0.04),
    clip=VALID_RANGE,
    method="crown",
    progress=False,
)
points = sum(proof.verified >= wanted for wanted in (0.5, 0.6, 0.7))
points += 2 if points > 0 else 0  # for the hidden part, which may take them away again
print(
    f"verified at 0.04: {proof.verified:.0%} of 100 digits, clean {proof.clean:.0%}; 50, 60 and 70 % give a point each"
)
### BEGIN HIDDEN TESTS
proof = verified_accuracy(
    nn_proof,
    judged.images[100:300],
    judged.labels[100:300],
    normalised_radius(0.05),
    clip=VALID_RANGE,
    method="crown",
    progress=False,
)
points -= sum(proof.verified < wanted for wanted in (0.6, 0.7)) if points > 0 else 0
print("a hidden radius and other digits: is more proved of them, too?")
### END HIDDEN TESTS
points

# %% [markdown]
# The same three curves, for both networks. What was gained, what was paid?


# %%
def course_proof_network():
    """The course's own, trained as the exercise says."""
    net = digit_net(128, 64, seed=SEED)
    model = classification_model(net)
    train_for_proofs(
        model, train_set.first(6500), normalised_radius(0.06), clip=VALID_RANGE, epochs=16, ramp=8, live=False
    )
    return net


proof_network = mine_or(lambda: copy.deepcopy(nn_proof).eval().float(), course_proof_network, "nn_proof")
curves["trained for proofs"] = curves_of(proof_network)
picture = draw_accuracy_curves(grey_radii, curves)
for name, net in [("trained as usual", network), ("trained for proofs", proof_network)]:
    unstable = robust_training.unstable_neurons(net, exam_images, normalised_radius(0.04), clip=VALID_RANGE)
    print(f"{name}: at a grey radius of 0.04, {unstable:.0f} hidden neurons are unstable, in the mean")

# %% [markdown]
# At the larger radii far more is proved of the network trained for proofs, by bounds that cost milliseconds, and the gap
# to the attack is small. The attacked accuracy is higher there as well: the robustness is real, not an artefact of the
# method. One reason can be counted: a neuron is **unstable** where its bounds lie on both sides of 0, so that ReLU's
# bend is in play, and each such neuron costs tightness. Training for proofs leaves few of them.
#
# What does it cost? With a radius of 0.06 the clean accuracy hardly moves. Two more networks, half a minute of training: one with
# interval bounds alone (`crown=False`), one with CROWN-IBP and a far larger radius. What do you expect of each?

# %%
variants = {"trained as usual": network, "trained for proofs": proof_network}
for name, options in [("IBP alone, radius 0.06", {"crown": False}), ("CROWN-IBP, radius 0.25", {})]:
    net = digit_net(128, 64, seed=SEED)
    grey = float(name.split()[-1])
    print(name)
    train_for_proofs(
        classification_model(net), train_set.first(6500), normalised_radius(grey), clip=VALID_RANGE, epochs=16, ramp=8, **options
    )  # fmt: skip
    variants[name] = net

asked = [(0.04, "ibp"), (0.04, "crown"), (0.1, "crown")]
print(f"{'':<24} {'clean':>7}   verified: 0.04 by intervals, 0.04 by CROWN, 0.1 by CROWN")
for name, net in variants.items():
    clean = class_accuracy(net, test_set.images, test_set.labels)
    row = f"{name:<24} {clean:>7.1%}"
    for (grey, method), width in zip(asked, (26, 15, 14), strict=True):
        table = verified_accuracy(
            net, exam_images, exam_labels, normalised_radius(grey), clip=VALID_RANGE, method=method, progress=False
        )
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
# **An open question.** A digit moved by one pixel to the right is the same digit to us, and far outside every box of
# this lab. What would a spec look like that allows shifts, and how could it be verified?
