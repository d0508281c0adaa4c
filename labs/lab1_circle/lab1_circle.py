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
# # Lab 1: The circle
#
# **What you will learn.** What a specification of a neural network is; why tests that pass prove little; how to ask a
# verifier for a proof or a counterexample, and how to read its answer; how a counterexample helps to repair a
# network.
#
# **What you need.** A little Python and PyTorch (tensors, `nn.Sequential`, a training loop). Nothing of verification.
#
# **Time.** 90 to 120 minutes. Eight short parts and a written question, 40 points.
#
# Run the cells from top to bottom. Where a cell says `# YOUR CODE HERE`, replace that line and the one below it. A
# check cell follows every exercise and answers at once; hidden tests with other numbers follow when the lab is
# graded. If you skip an exercise, its cell and its check end with an error: go on with the cell below them. The next
# part then takes the course's own version and says so. `guess = ...` asks for your own guess before a cell runs; it
# is not graded, and a wrong guess teaches more than none.
#
# ## Is my environment right?
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
# Is something missing? Open a terminal in the course's folder and run `python -m course_utils.doctor`; it names the
# command that cures each problem. Then choose *Kernel > Restart* and run this cell again. If a name that you defined
# earlier seems to be gone, restart the kernel and run the cells from the top.

# %% [markdown]
# ## 0. Why
# Networks steer, land and diagnose. ACAS Xu, a family of networks that advises aircraft how to avoid each other, was
# among the first to be verified, and networks that read medical images are tested far more often than proved. In 2013
# Szegedy and others showed that a change too small to see makes an image classifier wrong
# ([Intriguing properties of neural networks](https://arxiv.org/abs/1312.6199)); in 2017 Katz and others proved
# properties of ACAS Xu for every input of a box ([Reluplex](https://arxiv.org/abs/1702.01135)). This course goes
# that way.
#
# Here is a handwritten 9 which a small network reads correctly. Next to it stands the same picture after noise was
# added: no pixel changed by more than 8 of 255 grey levels. Before you run the cell: will the network still read a 9?

# %%
import torch

from course_utils.data import noisy_digit
from course_utils.plots import draw_image_pair

digit = noisy_digit()
pictures = torch.stack([digit.image, digit.noisy]).reshape(2, 784)
answers = digit.net(pictures).argmax(dim=1).tolist()
titles = [f"the network reads {answer}" for answer in answers]
guess = None  # what will the network read in the noisy picture? guess = 9, or another digit
if guess is not None:
    titles[1] += f" (your guess: {guess})"
picture = draw_image_pair(digit.image, digit.noisy, titles)

# %% [markdown]
# You see the same digit twice; the network does not. The noise is not random: it was *searched for*, by following the
# network's gradient. So testing some random noise would not have found it. What we would like to know is a statement
# about *all* noise up to some radius $r$. With $f_k(x)$ for the network's score of digit $k$ on image $x$:
#
# $$\forall x':\quad \max_i |x'_i - x_i| \le r \;\;\Longrightarrow\;\; f_9(x') > f_k(x') \text{ for all } k \ne 9.$$
#
# A *verifier* answers that question:
#
# - **pass** (*verified*) is a proof. No image in that box, not one of infinitely many, is read as another digit.
# - **fail** (*falsified*) comes with one image in the box that is read as another digit: a *counterexample*.
#
# Let us ask it for noise of 1 grey level, and of 8.

# %%
from verifier import argmax_is, verify

for levels in [1, 8]:
    radius = levels / 255
    box = [[max(grey - radius, 0.0), min(grey + radius, 1.0)] for grey in digit.image.reshape(784).tolist()]
    result = verify(digit.net, box, argmax_is(digit.label))
    print(f"noise of up to {levels} of 255 grey levels: {result.verdict.value}")

# %% [markdown]
# One grey level is proved harmless, eight are not. Where between them does it turn? Move the slider. (At some radius
# you may see *unknown*: the search was stopped after a few hundred parts, with neither a proof nor a counterexample.)

# %% tags=["only-shows"]
from course_utils.interact import change_noise

change_noise(digit)

# %% [markdown]
# In this lab you do the same for a problem so small that you can
# see everything: two inputs, one output.

# %% [markdown]
# ## 1. The problem
# A point $(x_1, x_2)$ is **inside** the circle with centre $(0.5, 0.5)$ and radius $0.5$, or it is not; points on the
# circle itself count as inside. Nobody needs a network for this, and that is the point: we know the truth everywhere,
# so we can see where a network is wrong.
#
# **Exercise (2 points).** Write `inside_circle(x)`, which gives 1 when the point is inside and 0 when it is not.


# %% nbgrader={"grade": false, "grade_id": "inside_circle", "locked": false, "schema_version": 3, "solution": true, "task": false}
def inside_circle(x):
    """1 when the point x = (x1, x2) is inside the circle or on it, else 0."""
    ### BEGIN SOLUTION
    return 1 if (x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2 <= 0.5**2 else 0
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "inside_circle_check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# uses: inside_circle
def check():
    from course_utils.checks import passed

    assert inside_circle([0.5, 0.5]) == 1, "the centre of the circle is inside"
    assert inside_circle([1.4, 1.4]) == 0, "the far corner of the plane is outside"
    assert inside_circle([0.05, 0.05]) == 0, "in the square around the circle, yet outside: measure the distance"
    assert inside_circle([1.0, 0.5]) == 1, "this point lies on the circle itself, which counts as inside"
    passed("inside_circle", 2)
    ### BEGIN HIDDEN TESTS
    import math

    import torch

    on_the_circle = [[1.0, 0.5], [0.5, 0.0], [0.0, 0.5]]
    assert all(inside_circle(point) == 1 for point in on_the_circle), "what about points exactly on the circle?"
    for step in range(60):
        angle = 2 * math.pi * step / 60
        for distance, expected in [(0.2, 1), (0.498, 1), (0.502, 0), (0.7, 0)]:
            point = [0.5 + distance * math.cos(angle), 0.5 + distance * math.sin(angle)]
            assert inside_circle(point) == expected, "try points at several distances, in every direction"
    assert inside_circle(torch.tensor([0.9, 0.9])) == 0, "a point may also come as a tensor"
    assert inside_circle(torch.tensor([0.8, 0.8])) == 1, "a point may also come as a tensor"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# A network learns from examples: points with their labels. We draw them uniformly from the square $[0, 1.5]^2$, which
# holds the circle and some room around it.
#
# **Exercise (2 points).** Write `gen_data(num)`. It gives two tensors: the points, of shape `(num, 2)`, and their
# labels (1.0 or 0.0), of shape `(num, 1)`. `torch.rand` gives numbers between 0 and 1.


# %% nbgrader={"grade": false, "grade_id": "gen_data", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gen_data(num):
    """num points, uniform on [0, 1.5]^2, shape (num, 2), and their labels, shape (num, 1)."""
    ### BEGIN SOLUTION
    points = 1.5 * torch.rand(num, 2)
    labels = torch.tensor([[float(inside_circle(point))] for point in points])
    return points, labels
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "gen_data_check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# uses: gen_data
def check():
    import torch

    from course_utils.checks import as_tensor, passed

    found = gen_data(300)
    assert len(found) == 2, f"gen_data returns {len(found)} values; expected two, the points and their labels"
    points, labels = map(as_tensor, found)
    assert tuple(points.shape) == (300, 2), f"points have shape {tuple(points.shape)}; expected (300, 2)"
    assert tuple(labels.shape) == (300, 1), f"labels have shape {tuple(labels.shape)}; expected (300, 1)"
    assert points.min() >= 0 and points.max() <= 1.5, "every coordinate lies between 0 and 1.5"
    assert points.max() > 1.2, "no point comes near 1.5: do the points fill the whole square?"
    assert 0 < labels.sum() < 300, "some of the points are inside, some outside"
    passed("gen_data", 2)
    ### BEGIN HIDDEN TESTS
    points, labels = map(as_tensor, gen_data(3600))
    assert points.shape == (3600, 2) and labels.shape == (3600, 1), "does num decide how many points there are?"
    cells = (points / 0.5).floor().clamp(0, 2)
    counts = torch.bincount((cells[:, 0] * 3 + cells[:, 1]).long(), minlength=9)
    assert counts.min() > 280 and counts.max() < 520, "uniform: equal parts of the square get about as many points"
    distance = torch.linalg.vector_norm(points - 0.5, dim=1)
    clear = (distance - 0.5).abs() > 1e-5
    assert ((distance <= 0.5) == (labels[:, 0] == 1))[clear].all(), "is every label what inside_circle says?"
    assert not torch.equal(points, as_tensor(gen_data(3600)[0])), "two calls should draw different points"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# Two thousand points to begin with. Roughly which part of them do you expect inside? (The circle's area over the
# square's.)

# %%
import torch

from course_utils.checks import mine_or
from course_utils.data import CircleDataset, circle_points
from course_utils.plots import draw_circle, draw_data

SEED = 0  # another seed gives other data and another network: try one when you are done
torch.manual_seed(SEED)
dataset = mine_or(lambda: CircleDataset(*gen_data(2000)), lambda: CircleDataset(*circle_points()), "gen_data(2000)")

draw_circle()
draw_data(dataset.points, dataset.labels)
guess = None  # which share of the points is inside? guess = 0.5, say
print("" if guess is None else f"your guess: {guess:.0%}")
print(f"{dataset.labels.mean():.1%} of the points are inside; the areas say {torch.pi * 0.5**2 / 1.5**2:.1%}")

# %% [markdown]
# Look at the edge of the circle. Between two neighbouring points there is room in which the data says nothing.

# %% [markdown]
# ## 2. Train a network
# The course brings a dataset class (you just used it), a model that joins a network with its loss and optimiser, and
# a trainer with a progress bar and a live loss curve. The trainer is short enough to read:

# %%
import inspect

from torch import nn

from course_utils.models import accuracy, regression_model
from course_utils.training import train

print(inspect.getsource(regression_model))
print(inspect.getsource(train))

# %% [markdown]
# The network's output $y$ is pulled towards the label, 1 inside and 0 outside. So we read $y \ge 0.5$ as "inside".
#
# **Exercise (5 points).** Build `nn_circle` with `nn.Sequential`, from `nn.Linear` and `nn.ReLU` layers only: 2
# inputs, two hidden layers of 64 neurons, 1 output. Then make a model of it with `regression_model` and train that
# for 60 epochs on `dataset`: `losses = train(...)` keeps the mean loss of each epoch. Will a few seconds of training be
# enough to get 95 of 100 points right?

# %% nbgrader={"grade": false, "grade_id": "nn_circle", "locked": false, "schema_version": 3, "solution": true, "task": false}
from torch import nn

torch.manual_seed(SEED)
### BEGIN SOLUTION
nn_circle = nn.Sequential(
    nn.Linear(2, 64),
    nn.ReLU(),
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Linear(64, 1),
)
model = regression_model(nn_circle)
losses = train(model, dataset, epochs=60)
### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "nn_circle_layers", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# uses: nn_circle
def check():
    import torch
    from torch import nn

    from course_utils.checks import passed
    from course_utils.stand_ins import is_courses_own

    parts = [part for part in nn_circle.modules() if not list(part.children())]
    others = [str(part) for part in parts if not isinstance(part, (nn.Linear, nn.ReLU))]
    assert not others, f"found {', '.join(others)}; Linear and ReLU are enough here"
    linear = [part for part in nn_circle.modules() if isinstance(part, nn.Linear)]
    assert linear, "no Linear layer was found"
    assert linear[0].in_features == 2, f"the first layer takes {linear[0].in_features} inputs; a point has two numbers"
    assert linear[-1].out_features == 1, f"the last layer gives {linear[-1].out_features} outputs; wanted is one"
    corners = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]]).to(linear[0].weight.dtype)
    with torch.no_grad():
        first, second, middle = nn_circle(corners).reshape(-1).tolist()
    assert abs((first + second) / 2 - middle) > 1e-4, "without ReLU, several Linear layers are no more than one"
    sizes = [(layer.in_features, layer.out_features) for layer in linear]
    assert sizes == [(2, 64), (64, 64), (64, 1)], f"the layers are {sizes}; asked are two hidden layers of 64 neurons"
    assert not is_courses_own(nn_circle), "this is the course's own network; train one of your own"
    passed("nn_circle, its layers", 2)
    ### BEGIN HIDDEN TESTS
    points = 1.5 * torch.rand(200, 2, generator=torch.Generator().manual_seed(4)).to(linear[0].weight.dtype)
    with torch.no_grad():
        answers = nn_circle(points)
    assert tuple(answers.shape) == (200, 1), "how many outputs does the last layer give?"
    assert (answers < 0).any() or (answers == 0).sum() < 50, "which kind of layer gives the output?"
    ### END HIDDEN TESTS


check()


# %% nbgrader={"grade": true, "grade_id": "nn_circle_accuracy", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# uses: nn_circle
def check():
    import torch

    from course_utils.checks import passed
    from course_utils.stand_ins import is_courses_own

    def right(count, seed):
        points = 1.5 * torch.rand(count, 2, generator=torch.Generator().manual_seed(seed))
        inside = torch.linalg.vector_norm(points - 0.5, dim=1) <= 0.5
        with torch.no_grad():
            answers = nn_circle(points.to(next(nn_circle.parameters()).dtype)).reshape(-1) >= 0.5
        return answers == inside, inside

    found = right(2000, 7)[0].float().mean().item()
    assert found >= 0.95, f"{found:.1%} of new points are right; did the loss still fall when the training ended?"
    assert not is_courses_own(nn_circle), "this is the course's own network; train one of your own"
    passed("nn_circle, its accuracy", 3)
    ### BEGIN HIDDEN TESTS
    correct, inside = right(20000, 2026)
    for part in (inside, ~inside):
        assert correct[part].float().mean() >= 0.9, "is the network good on both sides of the circle?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# **If you like** (ungraded): write the trainer yourself. Below stand loss, optimiser and the loop; change one of them, or
# give the network a class with a `forward` of its own, and see what the verifier says to it later.

# %%
my_net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
my_loss = nn.MSELoss()
my_optimizer = torch.optim.SGD(my_net.parameters(), lr=0.2)
for _ in range(200):
    loss = my_loss(my_net(dataset.points), dataset.labels)
    my_optimizer.zero_grad()
    loss.backward()
    my_optimizer.step()
print(f"loss {loss.item():.4f}, right on {accuracy(my_net, dataset.points, dataset.labels):.1%} of the points")

# %% [markdown]
# From here on, `network` is your trained network, or the course's if you skipped the exercise. Where will its border,
# the points with $y = 0.5$, leave the circle?

# %%
from course_utils.data import circle_network
from course_utils.plots import draw_network
from verifier import output_bounds


def usable(net):
    """A network as the next parts need it: two inputs, one output, layers that the verifier reads."""
    output_bounds(net.eval().float(), [[0.0, 1.0], [0.0, 1.0]])
    if tuple(net(torch.zeros(3, 2)).shape) != (3, 1):
        raise ValueError(f"three points give outputs of shape {tuple(net(torch.zeros(3, 2)).shape)}, not (3, 1)")
    return net


network = mine_or(lambda: usable(nn_circle), circle_network, "nn_circle")
draw_network(network)
draw_circle()
print(f"right on {accuracy(network, dataset.points, dataset.labels):.1%} of the training points")

# %% [markdown]
# The border is made of straight pieces: a ReLU network is linear piece by piece. It follows the circle closely, but
# not exactly. Is that good enough? That depends on what we ask for, so we have to say it.

# %% [markdown]
# ## 3. What a spec is
# What we want is "inside implies $y \ge 0.5$, and outside implies $y < 0.5$". For the points exactly at the edge that
# is too much to ask of any network made of straight pieces. So we state *partial* specs: what must hold for all
# inputs in a box.
#
# - **Property 1.** For all $(x_1, x_2) \in [0.7, 0.85]^2$: $y \ge 0.5$. This box is inside the circle.
# - **Property 2.** For all $(x_1, x_2) \in [0.86, 0.9]^2$: $y < 0.5$. This box is outside.
#
# A box of inputs and a condition on the output: that pair is a **spec**. How close are the two boxes to the circle?

# %%
import math

from course_utils.plots import draw_points, draw_spec, zoom

for corner in [0.85, 0.86]:
    distance = math.dist((corner, corner), (0.5, 0.5))
    print(f"({corner}, {corner}) is {distance:.3f} away from the centre; the circle is at 0.500")

zoom([0.68, 0.92], [0.68, 0.92])
draw_spec([0.7, 0.85], [0.7, 0.85], name="property 1: y >= 0.5")
draw_spec([0.86, 0.9], [0.86, 0.9], name="property 2: y < 0.5")
picture = draw_circle()

# %% [markdown]
# The corners that face each other are 0.01 apart in each input, and the circle passes between them. The network must
# come down from above 0.5 to below 0.5 within that gap. Some networks will, many will not; it depends on the seed.
#
# Change the numbers in the cell above and draw other boxes. Which box is the largest square inside the circle?

# %% [markdown]
# ## 4. Testing
# The usual way to check a property: take some random inputs and look. We take 10 points a property.
#
# **Exercise (2 points).** Write `gen_test(num, x1_bound, x2_bound)`: a tensor of shape `(num, 2)` with random points,
# uniform in the box whose sides are `x1_bound = [lower, upper]` and `x2_bound = [lower, upper]`. The last lines draw
# your points; do they look as random as you expect?


# %% nbgrader={"grade": false, "grade_id": "gen_test", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gen_test(num, x1_bound, x2_bound):
    """num random points in the box x1_bound times x2_bound, shape (num, 2)."""
    ### BEGIN SOLUTION
    x1 = x1_bound[0] + (x1_bound[1] - x1_bound[0]) * torch.rand(num)
    x2 = x2_bound[0] + (x2_bound[1] - x2_bound[0]) * torch.rand(num)
    return torch.stack([x1, x2], dim=1)
    ### END SOLUTION


zoom([0.68, 0.92], [0.68, 0.92])
draw_spec([0.7, 0.85], [0.7, 0.85], name="property 1: y >= 0.5")
draw_spec([0.86, 0.9], [0.86, 0.9], name="property 2: y < 0.5")
draw_circle()
testing_points = torch.cat([gen_test(10, [0.7, 0.85], [0.7, 0.85]), gen_test(10, [0.86, 0.9], [0.86, 0.9])])
picture = draw_points(testing_points)


# %% nbgrader={"grade": true, "grade_id": "gen_test_check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# uses: gen_test
def check():
    import torch

    from course_utils.checks import as_tensor, passed

    found = as_tensor(gen_test(200, [0.2, 0.4], [1.0, 1.1]))
    assert tuple(found.shape) == (200, 2), f"shape {tuple(found.shape)}; expected (200, 2), one row for each point"
    x1, x2 = found[:, 0], found[:, 1]
    assert x1.min() >= 0.2 - 1e-6 and x1.max() <= 0.4 + 1e-6, (
        f"x1 runs from {x1.min():.3f} to {x1.max():.3f}; it should stay between 0.2 and 0.4"
    )
    assert x2.min() >= 1.0 - 1e-6 and x2.max() <= 1.1 + 1e-6, (
        f"x2 runs from {x2.min():.3f} to {x2.max():.3f}; it should stay between 1.0 and 1.1"
    )
    assert x1.max() - x1.min() > 0.15 and x2.max() - x2.min() > 0.07, "do the points fill the box, not only a part?"
    passed("gen_test", 2)
    ### BEGIN HIDDEN TESTS
    found = as_tensor(gen_test(4000, [0.5, 1.5], [0.0, 0.2]))
    assert found.shape == (4000, 2), "does num decide how many points there are?"
    scaled = (found - torch.tensor([0.5, 0.0])) / torch.tensor([1.0, 0.2])
    assert scaled.min() >= -1e-6 and scaled.max() <= 1 + 1e-6, "do the points stay in the box, whatever the box?"
    quarters = (scaled * 2).floor().clamp(0, 1) @ torch.tensor([2.0, 1.0]).double()
    counts = torch.bincount(quarters.long(), minlength=4)
    assert counts.min() > 800, "uniform: each quarter of the box gets about a quarter of the points"
    assert abs(torch.corrcoef(scaled.T)[0, 1]) < 0.2, "are x1 and x2 drawn independently of each other?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# To know whether the network is wrong at a point, we need the truth there.
#
# **Exercise (1 point).** Write `check_ground_truth(x)`: for points `x` of shape `(num, 2)`, a tensor of shape
# `(num,)` with 1 where the point is inside the circle, else 0. A single point `[0.85, 0.85]` works too, with one answer.


# %% nbgrader={"grade": false, "grade_id": "check_ground_truth", "locked": false, "schema_version": 3, "solution": true, "task": false}
def check_ground_truth(x):
    """For each row of x: 1 inside the circle, 0 outside."""
    ### BEGIN SOLUTION
    return torch.tensor([inside_circle(point) for point in torch.as_tensor(x).reshape(-1, 2)])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check_ground_truth_check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
# uses: check_ground_truth
def check():
    import torch

    from course_utils.checks import as_tensor, passed

    truth = as_tensor(check_ground_truth(torch.tensor([[0.5, 0.5], [1.4, 0.1], [0.5, 0.9]])))
    assert tuple(truth.shape) == (3,), f"found shape {tuple(truth.shape)}; three points have three answers in one row"
    assert truth.tolist() == [1, 0, 1], f"found {truth.tolist()}; the truth is what inside_circle says of each row"
    passed("check_ground_truth", 1)
    ### BEGIN HIDDEN TESTS
    x = 1.5 * torch.rand(500, 2, generator=torch.Generator().manual_seed(11))
    distance = torch.linalg.vector_norm(x - 0.5, dim=1)
    clear = (distance - 0.5).abs() > 1e-5
    truth = as_tensor(check_ground_truth(x))
    assert truth.shape == (500,) and ((truth == 1) == (distance <= 0.5))[clear].all(), "each row gets its own answer"
    assert tuple(as_tensor(check_ground_truth(x[:1])).shape) == (1,), "what comes back for a single row?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# Probe the corners by hand: what is true there, and what does the network say? Try other points too.

# %%
probes = [[0.85, 0.85], [0.86, 0.86], [0.7, 0.85], [0.9, 0.86]]
truths = mine_or(
    lambda: [int(truth) for truth in check_ground_truth(torch.tensor(probes))],
    lambda: [int(math.dist(probe, (0.5, 0.5)) <= 0.5) for probe in probes],
    "check_ground_truth",
)
for probe, truth in zip(probes, truths, strict=True):
    y = network(torch.tensor([probe])).item()
    print(f"{probe}: the truth is {truth}; the network's y = {y:.4f}, so it says {int(y >= 0.5)}")

# %% [markdown]
# **Exercise (3 points).** Write `net_test(net, testing_data)`. It gives those rows of `testing_data` at which the
# network's answer ($y \ge 0.5$ means inside) differs from the ground truth: the failing points, of shape `(failing,
# 2)`. Mind the usual case, in which none fails: `torch.stack([])` is an error, whereas `testing_data[mask]` with a mask
# of truth values gives zero rows.
#
# The last lines of the cell run your tests on both properties. What do you expect: how many of 10 will fail?


# %% nbgrader={"grade": false, "grade_id": "net_test", "locked": false, "schema_version": 3, "solution": true, "task": false}
def net_test(net, testing_data):
    """The rows of testing_data, shape (num, 2), that net gets wrong."""
    ### BEGIN SOLUTION
    with torch.no_grad():
        answers = net(testing_data).reshape(-1) >= 0.5
    return testing_data[answers != (check_ground_truth(testing_data) == 1)]
    ### END SOLUTION


torch.manual_seed(SEED)
for name, bound in [("property 1", [0.7, 0.85]), ("property 2", [0.86, 0.9])]:
    failing = net_test(network, gen_test(10, bound, bound))
    print(f"{name}: {len(failing)} of 10 random points fail")


# %% nbgrader={"grade": true, "grade_id": "net_test_check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# uses: net_test
def check():
    import torch
    from torch import nn

    from course_utils.checks import as_tensor, passed

    first_input = nn.Sequential(nn.Linear(2, 1, bias=False))  # its output is x1: "inside" wherever x1 >= 0.5
    first_input.load_state_dict({"0.weight": torch.tensor([[1.0, 0.0]])})
    asked = torch.tensor([[0.6, 0.5], [0.2, 0.5], [1.2, 0.5], [0.2, 1.4]])
    failing = as_tensor(net_test(first_input, asked)).reshape(-1, 2)
    assert len(failing) == 2, f"{len(failing)} points came back; this network is wrong at two of the four"
    assert torch.equal(failing, asked[1:3].double()), "a point fails where the network and the truth disagree"
    assert len(net_test(first_input, asked[:1])) == 0, "no point fails here; what comes back then?"
    passed("net_test", 3)
    ### BEGIN HIDDEN TESTS
    asked = 1.5 * torch.rand(400, 2, generator=torch.Generator().manual_seed(5))
    inside = torch.linalg.vector_norm(asked - 0.5, dim=1) <= 0.5
    failing = as_tensor(net_test(first_input, asked)).reshape(-1, 2)
    wanted = asked[(asked[:, 0] >= 0.5) != inside].double()
    assert torch.equal(failing, wanted), "every failing point, and no other"
    always_half = nn.Sequential(nn.Linear(2, 1))
    always_half.load_state_dict({"0.weight": torch.zeros(1, 2), "0.bias": torch.tensor([0.5])})
    failing = as_tensor(net_test(always_half, torch.tensor([[0.5, 0.5], [1.4, 1.4]]))).reshape(-1, 2)
    assert torch.equal(failing, torch.tensor([[1.4, 1.4]]).double()), "which side does an output of 0.5 mean?"
    assert len(net_test(first_input, torch.tensor([[0.6, 0.5]]))) == 0, "what comes back when no point fails?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# Most likely all 20 points passed. (If one failed, you were lucky: you hold a counterexample already. Run the cell
# again.) And yet: ten points are few. If one point in a hundred of the box is wrong, ten random points miss it with
# probability $0.99^{10} \approx 0.90$, and a thousandth of the box escapes even a hundred tests nine times in ten. No
# number of passed tests says "for all".

# %% [markdown]
# ## 5. Verifying
# The verifier takes the network, one `[lower, upper]` pair for each input (`x_specs`), and what must hold of the
# output (`y_specs`):
#
# ```python
# result = verify(net, x_specs, y_specs, counterexamples=cases)
# ```
#
# | `y_specs` | means |
# | --- | --- |
# | `[[0.5, None]]` | $0.5 \le y$; `None` is "no limit" |
# | `[[None, 0.5]]` | $y \le 0.5$ |
# | `[[0.2, 0.8]]` | $0.2 \le y \le 0.8$ |
# | `less_than(0.5)` | $y < 0.5$, strictly; import it from `verifier` |
# | `greater_than(0.5)` | $y > 0.5$, strictly; import it from `verifier` |
#
# A first spec, around the centre of the circle: for all $x \in [0.45, 0.55]^2$, $y \ge 0.5$. Which answer do you
# expect?

# %%
from verifier import less_than, verify

result = verify(network, [[0.45, 0.55], [0.45, 0.55]], [[0.5, None]])
result

# %% [markdown]
# **Verified.** This is not "we tried and saw no failure": it holds for each of the infinitely many points of the box.
# The result also says which stage settled it, and between which bounds the output stays.
#
# Try to break it: draw as many points of the box as you like and look for an output below 0.5. Then move a box of your
# own over the plane; the verdict and the bounds of two methods (part 6 explains them) follow.

# %%
outputs = network(0.45 + 0.1 * torch.rand(100_000, 2))
print(f"smallest of {len(outputs):,} outputs in the verified box: {outputs.min().item():.6f}")

# %% tags=["only-shows"]
from course_utils.interact import move_box

move_box(network)

# %% [markdown]
# **Exercise (5 points).** Now write the two properties of part 3 as `x_specs_1`, `y_specs_1` and `x_specs_2`,
# `y_specs_2`. Several forms mean the same, and all of them count. Mind where a limit itself is allowed, and where it
# is not.

# %% nbgrader={"grade": false, "grade_id": "specs", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
x_specs_1 = [[0.7, 0.85], [0.7, 0.85]]
y_specs_1 = [[0.5, None]]
x_specs_2 = [[0.86, 0.9], [0.86, 0.9]]
y_specs_2 = less_than(0.5)
### END SOLUTION

from course_utils.plots import draw_x_specs

# your own boxes, to be looked at: one side for each input, from the first number to the second
for name, own in [("your property 1", x_specs_1), ("your property 2", x_specs_2)]:
    draw_x_specs(own, name=name)
zoom([0.68, 0.92], [0.68, 0.92])
picture = draw_circle()


# %% nbgrader={"grade": true, "grade_id": "specs_1_check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# uses: x_specs_1, y_specs_1
def check():
    import torch
    from torch import nn

    from course_utils.checks import passed
    from verifier import verify

    def always(value):
        """A network whose output is the same everywhere."""
        net = nn.Sequential(nn.Linear(2, 1))
        net.load_state_dict({"0.weight": torch.zeros(1, 2), "0.bias": torch.tensor([value])})
        return net

    assert verify(always(0.75), x_specs_1, y_specs_1, max_subdomains=100), (
        "an output of 0.75 everywhere is allowed by property 1"
    )
    assert not verify(always(0.25), x_specs_1, y_specs_1, max_subdomains=100), (
        "an output of 0.25 everywhere is not allowed by property 1"
    )
    assert verify(always(50.0), x_specs_1, y_specs_1, max_subdomains=100), (
        "an output of 50 everywhere is at least 0.5, and your spec forbids it: is 10 really infinity?"
    )
    passed("property 1", 2)
    ### BEGIN HIDDEN TESTS
    from verifier import same_box, same_output_spec

    assert same_box(x_specs_1, [[0.7, 0.85], [0.7, 0.85]]), "compare x_specs_1 with the box of property 1, side by side"
    assert same_output_spec(y_specs_1, [[0.5, None]], 1), "which outputs, also at the limit, are allowed?"
    ### END HIDDEN TESTS


check()


# %% nbgrader={"grade": true, "grade_id": "specs_2_check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# uses: x_specs_2, y_specs_2
def check():
    import torch
    from torch import nn

    from course_utils.checks import passed
    from verifier import verify

    def always(value):
        """A network whose output is the same everywhere."""
        net = nn.Sequential(nn.Linear(2, 1))
        net.load_state_dict({"0.weight": torch.zeros(1, 2), "0.bias": torch.tensor([value])})
        return net

    assert verify(always(0.25), x_specs_2, y_specs_2, max_subdomains=100), (
        "an output of 0.25 everywhere is allowed by property 2"
    )
    assert not verify(always(0.75), x_specs_2, y_specs_2, max_subdomains=100), (
        "an output of 0.75 everywhere is not allowed by property 2"
    )
    assert not verify(always(0.5), x_specs_2, y_specs_2, max_subdomains=100), (
        "an output of exactly 0.5 is read as inside, so property 2 forbids it: is your limit strict?"
    )
    passed("property 2", 3)
    ### BEGIN HIDDEN TESTS
    from verifier import less_than, same_box, same_output_spec

    assert same_box(x_specs_2, [[0.86, 0.9], [0.86, 0.9]]), "compare x_specs_2 with the box of property 2, side by side"
    assert same_output_spec(y_specs_2, less_than(0.5), 1), "which outputs, also at the limit, are allowed?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# Corners of the two boxes, closer and closer to the circle, which passes both at 0.85355:

# %%
LADDER = [(0.85, 0.86), (0.852, 0.855), (0.853, 0.854), (0.8533, 0.8538), (0.8535, 0.8536)]

# %% [markdown]
# Will the two properties hold for your network, which passed every test? If both do, the lower cell moves the corners
# closer to the circle until one property fails: the network's output is continuous, so it cannot jump from one side
# of 0.5 to the other in no space at all.
#
# **Exercise (4 points).** Write `find_counterexamples(net, inner, outer)`. It verifies two specs, "for all $x \in
# [0.7, \text{inner}]^2$, $y \ge 0.5$" and "for all $x \in [\text{outer}, 0.9]^2$, $y < 0.5$", and gives all
# counterexamples met, of both, as one list. Hand the same empty list to `verify` twice, as `counterexamples=`: every
# counterexample is appended to it. (Hand over a list that has a name, `cases = []`; the class `list` is refused.)


# %% nbgrader={"grade": false, "grade_id": "find_counterexamples", "locked": false, "schema_version": 3, "solution": true, "task": false}
def find_counterexamples(net, inner, outer):
    """Counterexamples to y >= 0.5 on [0.7, inner]^2 and to y < 0.5 on [outer, 0.9]^2, in one list."""
    ### BEGIN SOLUTION
    cases = []
    verify(net, [[0.7, inner], [0.7, inner]], [[0.5, None]], counterexamples=cases)
    verify(net, [[outer, 0.9], [outer, 0.9]], less_than(0.5), counterexamples=cases)
    return cases
    ### END SOLUTION


for corners in LADDER:
    cases = find_counterexamples(network, *corners)
    print(f"corners at {corners[0]} and {corners[1]}: {len(cases)} counterexamples")
    if cases:
        break


# %% nbgrader={"grade": true, "grade_id": "find_counterexamples_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: find_counterexamples, network
def check():
    import torch
    from torch import nn

    from course_utils.checks import as_tensor, passed

    def always(value):
        """A network whose output is the same everywhere."""
        net = nn.Sequential(nn.Linear(2, 1))
        net.load_state_dict({"0.weight": torch.zeros(1, 2), "0.bias": torch.tensor([value])})
        return net

    found = find_counterexamples(network, 0.8535, 0.8536)
    assert isinstance(found, list), "the counterexamples of both specs come back as one list"
    for case in found:
        point = as_tensor(case).reshape(1, 2)
        inside = torch.linalg.vector_norm(point - 0.5) <= 0.5
        with torch.no_grad():
            says_inside = network(point.to(next(network.parameters()).dtype)).item() >= 0.5
        assert says_inside != inside, "a counterexample is a point at which the network contradicts the truth"
    found = find_counterexamples(always(0.2), 0.8, 0.88)
    assert len(found) > 0, "a network that says outside everywhere breaks property 1, and your list is empty"
    passed("find_counterexamples", 4)
    ### BEGIN HIDDEN TESTS
    for value, lower, upper in [(0.2, 0.7, 0.8), (0.9, 0.88, 0.9), (0.5, 0.88, 0.9)]:
        found = find_counterexamples(always(value), 0.8, 0.88)
        assert len(found) > 0, "both specs should be verified, each with its own condition"
        for case in found:
            point = as_tensor(case).reshape(2)
            in_its_box = (point >= lower - 1e-6).all() and (point <= upper + 1e-6).all()
            assert in_its_box, "is each condition asked of its own box?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# Look at them: are they really where the network is wrong? First in the picture, then by asking the network itself.

# %%
from course_utils.plots import draw_counterexamples


def course_cases():
    """Counterexamples to either property, where part 5's exercise gave none."""
    met = []
    for upper, lower in LADDER:
        for box, y_specs in [([[0.7, upper]] * 2, [[0.5, None]]), ([[lower, 0.9]] * 2, less_than(0.5))]:
            verify(network, box, y_specs, met, max_counterexamples=3)
        if met:
            break
    return met


found = mine_or(lambda: [torch.as_tensor(case) for case in cases] or None, course_cases, "cases")
zoom([0.835, 0.875], [0.835, 0.875])
draw_spec([0.7, 0.85], [0.7, 0.85], name="property 1: y >= 0.5")
draw_spec([0.86, 0.9], [0.86, 0.9], name="property 2: y < 0.5")
draw_network(network)
draw_circle()
draw_counterexamples(found)
for case in found:
    x1, x2 = case.reshape(2).tolist()
    distance = math.dist((x1, x2), (0.5, 0.5))
    y = network(case.reshape(1, 2)).item()
    side = "inside" if distance <= 0.5 else "outside"
    print(f"({x1:.6f}, {x2:.6f}): {distance:.6f} from the centre, so {side}; the network's y = {y:.6f}")

# %% [markdown]
# Every point is on one side of the circle by its distance and on the other side by the network's output. Each was
# confirmed in the network that you trained before it was reported; a verifier that is wrong about a counterexample is
# caught at once.
#
# ### What an answer means
# There are three answers, not two.
#
# - **verified**: proved for every point of the box.
# - **falsified**: there is a counterexample, and you have it in hand.
# - **unknown**: neither was reached, and the result says why. It is *not* a weak "verified".
#
# To see the third, ask a weaker method for its opinion on property 1, by name. What will it say?

# %%
verify(network, [[0.7, 0.85], [0.7, 0.85]], [[0.5, None]], method="ibp")

# %% [markdown]
# The bounds reach across 0.5. The true output may or may not; this method cannot tell. `verify` without a method's
# name would have gone on to a stronger one. Write `if result:`, because a result counts as true only when verified, or
# compare the verdict: `result.verdict == "falsified"`.
#
# ### A limit that belongs, and one that does not
# A network whose output is exactly 0.5 everywhere: which of the three specs will hold?

# %% tags=["only-shows"]
from torch import nn

always_half = nn.Sequential(nn.Linear(2, 1))
always_half.load_state_dict({"0.weight": torch.zeros(1, 2), "0.bias": torch.tensor([0.5])})
for name, y_specs in [("y >= 0.5", [[0.5, None]]), ("y <= 0.5", [[None, 0.5]]), ("y < 0.5", less_than(0.5))]:
    print(f"{name}: {verify(always_half, [[0.0, 1.0], [0.0, 1.0]], y_specs).verdict.value}")

# %% [markdown]
# `[[None, 0.5]]` lets the limit in, `less_than(0.5)` keeps it out. For property 2 that matters: an output of exactly
# 0.5 is read as "inside".
#
# ### Why 10 is not infinity
# It is tempting to write `[[0.5, 10]]` for "at least 0.5", since the outputs are near 0 and 1 anyway. Take the same
# network and make its output 20 times as large: it is still at least 0.5 around the centre. What will the two specs
# say?

# %%
louder = nn.Sequential(network, nn.Linear(1, 1))
louder[1].load_state_dict({"weight": torch.tensor([[20.0]]), "bias": torch.tensor([0.0])})
for y_specs in [[[0.5, 10]], [[0.5, None]]]:
    print(f"{y_specs}: {verify(louder, [[0.45, 0.55], [0.45, 0.55]], y_specs).verdict.value}")

# %% [markdown]
# An upper limit of 10 is a demand of its own, and a network may break it. Say what you mean: `None` is no limit.

# %% [markdown]
# ## 6. How it works, seen
# How can a program speak about infinitely many points? It computes **bounds**: numbers between which the output stays
# for every point of the box. If the bounds lie on the right side of 0.5, so does every output.
#
# The simplest way is **interval arithmetic**. Every input is known as an interval, and each layer turns intervals
# into intervals. For one neuron of a Linear layer, $z = \sum_i w_i x_i + b$: the largest value is reached by taking
# the upper end of $x_i$ where $w_i > 0$, and the lower end where $w_i < 0$. The smallest value the other way round.
#
# **Exercise (4 points).** Write `interval_linear(weight, bias, lower, upper)` for a Linear layer: `weight` has shape
# (outputs, inputs), `bias` (outputs,), `lower` and `upper` (inputs,). It gives the two vectors that bound the
# outputs. (`weight.clamp(min=0)` keeps the positive weights and sets the others to 0. NumPy arrays or lists of floats
# are fine as well.)


# %% nbgrader={"grade": false, "grade_id": "interval_linear", "locked": false, "schema_version": 3, "solution": true, "task": false}
def interval_linear(weight, bias, lower, upper):
    """The smallest and the largest value of weight @ x + bias for lower <= x <= upper."""
    ### BEGIN SOLUTION
    positive, negative = weight.clamp(min=0), weight.clamp(max=0)
    return positive @ lower + negative @ upper + bias, positive @ upper + negative @ lower + bias
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "interval_linear_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: interval_linear
def check():
    import torch

    from course_utils.checks import as_tensor, passed

    def bounds(weight, bias, low, high):
        """Both bounds as vectors, from whatever form they come in."""
        found = interval_linear(weight, bias, low, high)
        assert len(found) == 2, f"interval_linear returns {len(found)} values; expected two, lower and upper"
        lower, upper = (as_tensor(part).reshape(-1) for part in found)
        assert len(lower) == len(upper) == len(bias), (
            f"found {len(lower)} lower and {len(upper)} upper bounds for {len(bias)} outputs"
        )
        return lower, upper

    sample = (torch.tensor([[1.0, -2.0]]), torch.tensor([0.5]), torch.tensor([0.0, 1.0]), torch.tensor([2.0, 3.0]))
    lower, upper = bounds(*sample)
    assert lower <= upper, "the lower bounds should lie below the upper bounds"
    assert abs(float(lower) + 5.5) < 1e-5, f"lower is {float(lower)}; a negative weight is least at the upper end"
    assert abs(float(upper) - 0.5) < 1e-5, f"upper is {float(upper)}; a negative weight is most at the lower end"
    passed("interval_linear", 4)
    ### BEGIN HIDDEN TESTS
    import itertools

    generator = torch.Generator().manual_seed(3)
    for columns, rows in [(1, 1), (3, 2), (5, 4)]:
        weight = torch.randn(rows, columns, generator=generator)
        bias = torch.randn(rows, generator=generator)
        low = torch.randn(columns, generator=generator)
        high = low + torch.rand(columns, generator=generator)
        lower, upper = bounds(weight, bias, low, high)
        vertices = torch.tensor(list(itertools.product(*torch.stack([low, high], 1).tolist())))
        values = (vertices @ weight.T + bias).double()
        enclosed = (values >= lower - 1e-4).all() and (values <= upper + 1e-4).all()
        assert enclosed, "at some corner of the box the output lies outside the bounds"
        assert torch.allclose(values.amin(0), lower, atol=1e-4), "bounds may be tighter: corners reach them"
        assert torch.allclose(values.amax(0), upper, atol=1e-4), "bounds may be tighter: corners reach them"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# ReLU is easy: $\max(l, 0)$ and $\max(u, 0)$. Layer by layer, that gives bounds on the output. Below they are drawn
# for the box $[0.3, 0.7]^2$, against the outputs at 10,000 random points of it. Will the bounds be tight?

# %%
from course_utils.plots import draw_bounds
from verifier import output_bounds

box = [[0.3, 0.7], [0.3, 0.7]]
with torch.no_grad():
    outputs = network(0.3 + 0.4 * torch.rand(10_000, 2))
interval = output_bounds(network, box, method="ibp")


def by_hand(layer_bounds):
    """The same bounds by your own function: through every layer of `network`, ReLU in between."""
    lower, upper = torch.tensor([0.3, 0.3]), torch.tensor([0.7, 0.7])
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            found = layer_bounds(layer.weight.detach(), layer.bias.detach(), lower, upper)
            lower, upper = (torch.as_tensor(part).float().reshape(-1) for part in found)
        elif isinstance(layer, nn.ReLU):
            lower, upper = lower.clamp(min=0), upper.clamp(min=0)
    return f"by your interval_linear: {lower.item():.5f} to {upper.item():.5f}"


print(mine_or(lambda: by_hand(interval_linear), lambda: "only the verifier's bounds:", "interval_linear"))
print(f"by output_bounds(method='ibp'): {interval.lower[0]:.5f} to {interval.upper[0]:.5f}")
picture = draw_bounds({"interval": interval}, outputs, limit=0.5)

# %% [markdown]
# All samples lie between the bounds, as they must: the bounds are **sound**. But they are loose. An interval forgets
# how two neurons move together: it lets one be at its largest while the other is at its smallest, though no single
# input does both.
#
# **CROWN** keeps that link. It encloses each ReLU between two straight lines and carries *linear functions of the
# input* backwards through the network, instead of numbers forwards. How much closer will it come?

# %%
crown = output_bounds(network, box, method="crown")
picture = draw_bounds({"interval": interval, "CROWN": crown}, outputs, limit=0.5)

# %% [markdown]
# CROWN's bounds are close to the samples, and on the right side of 0.5: that is the whole proof for this box. The
# interval bounds reach across 0.5, so they prove nothing here. Now let the box grow around the centre, from nothing
# to this size and a little beyond.

# %% tags=["only-shows"]
from course_utils.plots import draw_bounds_by_size

widths = [0.02 * step for step in range(1, 21)]
boxes = [[[0.5 - width / 2, 0.5 + width / 2]] * 2 for width in widths]
bounds = {
    "interval": [output_bounds(network, box, method="ibp") for box in boxes],
    "CROWN": [output_bounds(network, box, method="crown") for box in boxes],
}
picture = draw_bounds_by_size(widths, bounds, limit=0.5)

# %% [markdown]
# Smaller boxes have tighter bounds. That suggests what to do when the bounds of a large box reach across 0.5:
# **split** the box in two and ask again for each half. If both halves are verified, so is the whole; if a half
# contains a counterexample, so does the whole. The pictures show the boxes with which a search ends that splits as
# long as it must, for $[0.2, 0.8]^2$ and $y \ge 0.5$. How many boxes will interval bounds need, and how many CROWN?

# %%
from course_utils.plots import draw_search, planes
from verifier import split_trace

guess = None  # how many boxes will interval bounds need? guess = 30, say
print("" if guess is None else f"your guess for interval bounds: {guess} boxes")
for ax, method in zip(planes("interval bounds", "CROWN bounds"), ["ibp", "crown"], strict=True):
    search = split_trace(network, [[0.2, 0.8], [0.2, 0.8]], [[0.5, None]], method=method)
    zoom([0.0, 1.0], [0.0, 1.0], ax)
    draw_circle(ax)
    draw_search(search.boxes, ax)

# %% [markdown]
# Both searches prove the same, but tighter bounds need far fewer boxes. The boxes are smallest where the bounds are
# loosest compared with the distance of the output from 0.5. Now property 1, whose corner almost touches the circle,
# with interval bounds so that there is something to see:

# %%
search = split_trace(network, [[0.7, 0.85], [0.7, 0.85]], [[0.5, None]], method="ibp")
zoom([0.68, 0.87], [0.68, 0.87])
draw_spec([0.7, 0.85], [0.7, 0.85], name="property 1: y >= 0.5")
draw_search(search.boxes)
draw_network(network)
draw_circle()
print(f"property 1, interval bounds: {search.result.verdict.value}")

# %% [markdown]
# Watch the same search step by step: the slider is the number of boxes after which it stops.

# %%
from course_utils.interact import step_through_search

step_through_search(network, [[0.7, 0.85], [0.7, 0.85]], [[0.5, None]])

# %% [markdown]
# If your network has the property, the whole box is verified. If not, the search stops at the first counterexample,
# in the box that is marked as falsified, and boxes that it had not yet settled stay unknown. `verify` does the same
# with CROWN bounds, after a quick search for counterexamples along the gradient.

# %% [markdown]
# ## 7. Repair
# A counterexample is more than bad news: it is a training point, with a label that we know, exactly where the network
# needs one. So: verify, add the counterexamples to the data, train a little, verify again, until both properties
# hold.
#
# **Exercise (8 points).** Make `nn_repaired`, a network for which both properties are verified, with the corners at
# which your network failed in part 5: `inner` and `outer`. (If your network had both properties from the start, these
# corners are closer to the circle; what is verified there is verified for properties 1 and 2 too, as their boxes are
# smaller.) Start from a copy of `network`. In each round, add the counterexamples of the inner box (label 1) and of
# the outer box (label 0) to the points, about 10 copies of each so that the training does not overlook them, and
# train for 10 epochs with a learning rate of 0.001. Keep the counterexamples of earlier rounds: why? Five rounds are
# usual, thirty are possible; a round takes some seconds. A round may meet counterexamples of one box only:
# `torch.stack([])` is an error, so put both lists together first.
#
# `train(..., live=False)` trains quietly. Graded are the two boxes with these corners, 2 points each, and, once both
# are verified, hidden boxes on every side of the circle, inside and outside, 4 points. They count for a network that is
# still right on 95 of 100 points, and only if a box is verified that was not verified before.

# %% nbgrader={"grade": false, "grade_id": "repair", "locked": false, "schema_version": 3, "solution": true, "task": false}
import copy

# the first corners of the ladder at which `network` fails; the last but one at most, since closer takes many rounds
inner, outer = next(
    (
        corners
        for corners in LADDER[:-2]
        if not verify(network, [[0.7, corners[0]]] * 2, [[0.5, None]])
        or not verify(network, [[corners[1], 0.9]] * 2, less_than(0.5))
    ),
    LADDER[-2],
)
print(f"corners: inner = {inner}, outer = {outer}")
### BEGIN SOLUTION
nn_repaired = copy.deepcopy(network)
model = regression_model(nn_repaired, learning_rate=0.001)
points, labels = dataset.points, dataset.labels
for repair_round in range(40):
    too_low, too_high = [], []
    result_1 = verify(nn_repaired, [[0.7, inner], [0.7, inner]], [[0.5, None]], counterexamples=too_low)
    result_2 = verify(nn_repaired, [[outer, 0.9], [outer, 0.9]], less_than(0.5), counterexamples=too_high)
    print(f"round {repair_round}: inner box {result_1.verdict.value}, outer box {result_2.verdict.value}")
    if result_1 and result_2:
        break
    new_points = torch.stack([case.reshape(2) for case in too_low + too_high] * 10)
    new_labels = torch.tensor([[1.0]] * len(too_low) + [[0.0]] * len(too_high)).repeat(10, 1)
    points, labels = torch.cat([points, new_points]), torch.cat([labels, new_labels])
    train(model, CircleDataset(points, labels), epochs=10, seed=repair_round, live=False)
### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "repair_check", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
# uses: nn_repaired, network
def check():
    import torch

    from course_utils.checks import passed
    from course_utils.stand_ins import is_courses_own
    from verifier import less_than, verify

    def verified(net, *spec):
        # the work is limited by subdomains and not by time, so that points do not depend on how fast this machine is
        return bool(verify(net, *spec, max_subdomains=20_000, timeout_s=None, progress=False))

    def boxes(inner, outer):
        return [([[0.7, inner]] * 2, [[0.5, None]]), ([[outer, 0.9]] * 2, less_than(0.5))]

    ladder = [(0.85, 0.86), (0.852, 0.855), (0.853, 0.854), (0.8533, 0.8538)]
    for corners in ladder:
        before = [verified(network, *spec) for spec in boxes(*corners)]
        if not all(before):
            break
    after = [verified(nn_repaired, *spec) for spec in boxes(*corners)]
    for name, was, now in zip(
        (f"inner box to {corners[0]}", f"outer box from {corners[1]}"), before, after, strict=True
    ):
        print(f"{name}: {'verified' if was else 'not verified'} before, {'verified' if now else 'not verified'} after")
    assert all(before) or any(now and not was for was, now in zip(before, after, strict=True)), (
        "nothing was repaired: no box is verified that was not verified before"
    )
    points = 1.5 * torch.rand(2000, 2, generator=torch.Generator().manual_seed(7))
    inside = torch.linalg.vector_norm(points - 0.5, dim=1) <= 0.5
    with torch.no_grad():
        answers = nn_repaired(points.to(next(nn_repaired.parameters()).dtype)).reshape(-1) >= 0.5
    right = (answers == inside).float().mean().item()
    assert right >= 0.95, f"the repaired network is right on {right:.1%} of new points: it has forgotten the circle"
    assert not is_courses_own(nn_repaired), "this is the course's own network; repair yours"
    earned = 8 if all(after) else 2
    passed("nn_repaired", earned)
    ### BEGIN HIDDEN TESTS
    hidden = [
        ([[0.4, 0.6], [0.4, 0.6]], [[0.5, None]]),
        ([[0.1, 0.2], [0.45, 0.55]], [[0.5, None]]),
        ([[0.45, 0.55], [0.1, 0.2]], [[0.5, None]]),
        ([[0.25, 0.35], [0.6, 0.7]], [[0.5, None]]),
        ([[1.1, 1.4], [0.9, 1.4]], less_than(0.5)),
        ([[0.0, 0.05], [0.0, 0.05]], less_than(0.5)),
        ([[0.0, 0.2], [1.1, 1.4]], less_than(0.5)),
        ([[1.15, 1.4], [0.1, 0.3]], less_than(0.5)),
    ]
    kept = sum(verified(nn_repaired, *spec) for spec in hidden)
    earned -= min(4, len(hidden) - kept) if all(after) else 0
    print(f"{kept} of {len(hidden)} hidden boxes are verified; is the network still good elsewhere?")
    ### END HIDDEN TESTS
    return earned


check()

# %% [markdown]
# What did the repair change, and where? The picture shows the corner before and after.

# %%
from course_utils.data import repaired_circle_network


def course_repair():
    """The course's network after two rounds of repair, drawn here only."""
    print("what you see below is the course's network, before and after its own repair")
    return circle_network(), repaired_circle_network()


before_net, repaired = mine_or(lambda: (network, usable(nn_repaired)), course_repair, "nn_repaired")
nets = [("before", before_net), ("after", repaired)]
titles = [f"{when}: right on {accuracy(net, dataset.points, dataset.labels):.1%} of the data" for when, net in nets]
for ax, (_, net) in zip(planes(*titles), nets, strict=True):
    zoom([0.82, 0.89], [0.82, 0.89], ax)
    draw_spec([0.7, 0.85], [0.7, 0.85], ax, name="property 1: y >= 0.5")
    draw_spec([0.86, 0.9], [0.86, 0.9], ax, name="property 2: y < 0.5")
    draw_network(net, ax)
    draw_circle(ax)

# %% [markdown]
# The border was moved between the two boxes; elsewhere little changed. Nothing was said about the rest of the circle,
# and nothing was proved there.

# %% [markdown]
# ## 8. What was proved, and what was not
# **Written question (4 points, graded by hand).** A friend reads your results and says: "So your network is now
# verified: it knows the circle." In five to eight sentences: what exactly was proved about the repaired network, for
# which inputs, and by what kind of argument? Name at least two things that your friend might believe and that were
# *not* proved.

# %% [markdown] nbgrader={"grade": true, "grade_id": "proved", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# Proved: for every real point of the box $[0.7, 0.85]^2$ the output is at least 0.5, and for every real point of
# $[0.86, 0.9]^2$ it is below 0.5 (2 points). The argument encloses the outputs of whole boxes between bounds,
# splitting boxes until every part lies on the right side; it does not sample. Not proved (1 point each, at most 2):
# anything about inputs outside the two boxes, not even in the gap between them; that the network is right at every
# point inside the circle; that a network trained with another seed has the properties; that the spec says what we
# want; anything about the earlier network, which had failed; that the floating-point program rounds as the exact
# reals do everywhere.
# ### END SOLUTION

# %% [markdown]
# ## What to take away
# - A **spec** is a box of inputs and a condition on the outputs; it says what is meant, and no more than that.
# - Tests look at points. A **proof** covers the box, because bounds hold for all its points at once.
# - **Verified**, **falsified**, **unknown**: the second comes with a counterexample, the third with a reason.
# - Loose bounds cost proofs; CROWN's are tighter than intervals, and smaller boxes have tighter bounds.
# - A counterexample is a training point. Verifying again afterwards is what makes the repair trustworthy.
#
# **To read on.** [Szegedy et al. 2013](https://arxiv.org/abs/1312.6199) on changes too small to see;
# [Katz et al. 2017, Reluplex](https://arxiv.org/abs/1702.01135), the first verifier for real networks;
# [Zhang et al. 2018, CROWN](https://arxiv.org/abs/1811.00866), the bounds of part 6. The words of this lab are in the
# course's `docs/glossary.md`.
#
# **An open question.** We split two inputs. Part 0's image has 784 of them. Halving each side once would already give
# $2^{784}$ boxes. What else could a verifier split?
