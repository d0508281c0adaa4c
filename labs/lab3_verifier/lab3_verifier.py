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
# # Lab 3: Build your own verifier
#
# **What you will learn.** How a verifier works, by writing one: interval arithmetic through a whole network, ReLU
# between two straight lines, CROWN's backward pass, a search that splits what is too large, an attack that finds
# counterexamples. At the end yours runs against auto-LiRPA and against `verify()`.
#
# **What you need.** Lab 1, and a little linear algebra: matrix times vector. All the numbers are tensors of float64.
#
# **Time.** 90 to 120 minutes. Seven parts, 40 points. No cell takes longer than half a minute.
#
# Run the cells from top to bottom. Where a cell says `# YOUR CODE HERE`, replace that line and the one below it. A
# check cell follows every exercise and answers at once; hidden tests with other numbers follow when the lab is
# graded. If you skip an exercise, its cell and its check end with an error: go on with the cell below them. The next
# part then goes on with numbers from the library, and says so.
#
# Some cells ask you to **commit to a guess** first: write a number where it says `None`. It is not graded. A guess
# that was wrong is remembered better than a fact that was read.
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

from course_utils.checks import mine_or, start_lab

start_lab(points=36)  # and 4 for the written question

# %% [markdown]
# ## 0. Why build one?
# In lab 1 you asked `verify()` whether $y \ge 0.5$ for every point of a box, and believed the answer. A verifier is
# a program like any other, so why believe it? Because its argument is short enough to be checked by a person. At the
# end of this lab you will have written that argument yourself, in about a hundred lines.
#
# The questions are those of lab 1: a network with two inputs and one output, a box, a limit. All of them have the
# form "for all $x$ in the box, $y \ge$ limit". The network is the course's, so that your numbers are those of the text.

# %%
import torch
from torch import nn

from course_utils.data import circle_network
from course_utils.own_verifier import layers_of

network = circle_network().double()
layers = layers_of(network)
for place, (weight, bias) in enumerate(layers, start=1):
    print(f"layer {place}: weight {tuple(weight.shape)}, bias {tuple(bias.shape)}")

# %% [markdown]
# `layers` is all that a verifier needs to know: the weight and the bias of each Linear layer. Between each two of them
# stands a ReLU, and none after the last. With $z$ for what a Linear layer gives (the *pre-activations*) and $h$ for
# what ReLU makes of it (the *activations*):
#
# $$z^{(1)} = W_1 x + b_1, \quad h^{(1)} = \max(z^{(1)}, 0), \quad z^{(2)} = W_2 h^{(1)} + b_2, \quad \ldots$$

# %% [markdown]
# ## 1. Intervals through a whole network
# Lab 1 bounded one Linear layer: a positive weight takes the upper end of its input for the largest value, a negative
# weight the lower end. What comes out are intervals again. ReLU turns $[l, u]$ into $[\max(l, 0), \max(u, 0)]$. So the
# intervals can be handed on from layer to layer, to the output.
#
# **Exercise (4 points).** Write `interval_bounds(layers, lower, upper)`. It gives a list with one pair `(lower,
# upper)` for each Linear layer: the bounds of its pre-activations $z$, two tensors of shape (neurons,). The last
# pair bounds the output. Bring `interval_linear` from lab 1 or write it again: it is the inside of your loop.


# %% nbgrader={"grade": false, "grade_id": "interval_bounds", "locked": false, "schema_version": 3, "solution": true, "task": false}
def interval_bounds(layers, lower, upper):
    """Bounds on the pre-activations behind every Linear layer, for all inputs between lower and upper."""
    ### BEGIN SOLUTION
    bounds = []
    for weight, bias in layers:
        positive, negative = weight.clamp(min=0), weight.clamp(max=0)
        z_lower = positive @ lower + negative @ upper + bias
        z_upper = positive @ upper + negative @ lower + bias
        bounds.append((z_lower, z_upper))
        lower, upper = z_lower.clamp(min=0), z_upper.clamp(min=0)
    return bounds
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "interval_bounds_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: interval_bounds
def check():
    import torch

    from course_utils.checks import passed
    from course_utils.own_verifier import pairs

    tried = [
        (torch.tensor([[1.0, -2.0], [3.0, 1.0]]).double(), torch.tensor([0.0, -1.0]).double()),
        (torch.tensor([[1.0, -1.0]]).double(), torch.tensor([2.0]).double()),
    ]
    found = pairs(interval_bounds(tried, torch.tensor([0.0, -1.0]).double(), torch.tensor([2.0, 1.0]).double()), 2)
    for name, (below, above), by_hand in [("1", found[0], ([-2, -2], [4, 6])), ("2", found[1], ([-4], [6]))]:
        # all numbers here are whole, so nothing is rounded
        assert (below.tolist(), above.tolist()) == by_hand, (
            f"layer {name}: your bounds are {below.tolist()} and {above.tolist()}; work it out by hand, weight by weight"
        )
    passed("interval_bounds", 4)
    ### BEGIN HIDDEN TESTS
    import itertools

    import numpy as np

    drawn = np.random.RandomState(1)
    for sizes in [(2, 3, 1), (3, 4, 4, 2), (1, 5, 3, 2, 1)]:
        tried = [
            (torch.tensor(drawn.randint(-3, 4, (m, n))).double(), torch.tensor(drawn.randint(-3, 4, m)).double())
            for n, m in itertools.pairwise(sizes)
        ]
        low = torch.tensor(drawn.randint(-3, 2, sizes[0])).double()
        high = low + torch.tensor(drawn.randint(0, 4, sizes[0])).double()
        found = pairs(interval_bounds(tried, low, high), len(tried))
        for (weight, bias), (below, above) in zip(tried, found, strict=True):
            assert tuple(below.shape) == tuple(bias.shape), "one bound for each neuron of each layer"
            middle, half = weight @ ((low + high) / 2) + bias, weight.abs() @ ((high - low) / 2)
            assert torch.equal(below, middle - half), "whole numbers, so exact: is each lower bound reached?"
            assert torch.equal(above, middle + half), "whole numbers, so exact: is each upper bound reached?"
            low, high = below.clamp(min=0), above.clamp(min=0)
    ### END HIDDEN TESTS


check()

# %% [markdown]
# The library computes the same with `output_bounds(network, box, method="ibp")`. Will your numbers be the same? And
# what becomes of the width of the intervals from layer to layer: does it grow or shrink?

# %%
from course_utils.own_verifier import library_pairs
from course_utils.plots import draw_widths
from verifier import output_bounds

box = (torch.tensor([0.3, 0.3]).double(), torch.tensor([0.7, 0.7]).double())
intervals = mine_or(
    lambda: [(lower + 0, upper + 0) for lower, upper in interval_bounds(layers, *box)],
    lambda: library_pairs(network, *box, "ibp"),
    "interval_bounds",
)
known = output_bounds(network, torch.stack(box, dim=1), method="ibp")
print(f"yours:       {float(intervals[-1][0]):.6f} to {float(intervals[-1][1]):.6f}")
print(f"the library: {float(known.lower[0]):.6f} to {float(known.upper[0]):.6f}")
picture = draw_widths({"intervals": intervals})

# %% [markdown]
# The same to all printed digits. (The library's interval is wider by about $10^{-12}$, on purpose: float64 rounds each
# sum, and it moves its bounds outwards by as much as the rounding can have cost. Yours trusts the rounding. Keep that
# for part 7.)
#
# The axis is logarithmic, and the widths grow at each layer. That is the price of forgetting: each neuron's interval
# is right on its own, but one neuron may be at its largest only where another is at its smallest.

# %% [markdown]
# ## 2. ReLU between two lines
# To keep track of how neurons move together, we want to write each of them as a *linear function of the inputs*. A
# Linear layer keeps linear functions linear. ReLU does not: it bends at 0. So we enclose it, for $l \le z \le u$, between two lines:
#
# $$a\,z \;\le\; \mathrm{relu}(z) \;\le\; s\,z + t.$$
#
# - If $l \ge 0$, ReLU changes nothing: both lines are $z$ itself. The neuron is **stable active**.
# - If $u \le 0$, it always gives 0: both lines are 0. The neuron is **stable inactive**.
# - Otherwise it is **unstable**. Above, the best line is the *chord* through $(l, 0)$ and $(u, u)$. Below, there is a
#   choice: any line through the origin with a slope $a$ from 0 to 1 stays below the curve.
#
# Which slope is best? Take $l = -1$ and $u = 2$, and the smallest network whose output can be seen through:
# $y = |z| = 2\,\mathrm{relu}(z) - z$. The true least output is 0. Commit to a guess: at which slope will the proved lower bound on $y$ be
# the best?

# %%
guess_slope = None  # your guess, a number from 0 to 1; then run the cell

# %%
from course_utils.plots import draw_slopes, slope_slider

slope_slider()
picture = draw_slopes(guess_slope)

# %% [markdown]
# Drag the slope: the picture on its left shows the area between the lines, the one on its right the bound. (Without
# the slider the curves below it say the same.) The area is smallest at one end, slope 1. The bound on $y$ is best in
# the middle. So the best slope depends on what the network does with the neuron afterwards; a method that searches for
# the best slopes is called $\alpha$-CROWN, and auto-LiRPA is one. CROWN takes a simple rule instead: **the
# smallest area**, which means slope 1 if $u > -l$ and slope 0 if not.
#
# **Exercise (5 points).** Write `relax(lower, upper)` for a whole layer: `lower` and `upper` have shape (neurons,). It
# gives three tensors of that shape: `lower_slope`, `upper_slope` and `upper_offset` ($a$, $s$ and $t$). Mind the
# stable neurons, and do not divide by 0 where $l = u$. `torch.where(condition, x, y)` chooses neuron by neuron.
#
# Graded as a property, on a grid of points: your lines enclose the curve and the upper line is the best there is (3
# points), and so is the lower line (2 points).


# %% nbgrader={"grade": false, "grade_id": "relax", "locked": false, "schema_version": 3, "solution": true, "task": false}
def relax(lower, upper):
    """lower_slope, upper_slope, upper_offset of the lines around relu(z) for lower <= z <= upper."""
    ### BEGIN SOLUTION
    active = (lower >= 0).double()
    crosses = (lower < 0) & (upper > 0)
    width = torch.where(crosses, upper - lower, torch.ones_like(lower))
    upper_slope = torch.where(crosses, upper / width, active)
    upper_offset = torch.where(crosses, -upper_slope * lower, torch.zeros_like(lower))
    lower_slope = torch.where(crosses, (upper > -lower).double(), active)
    return lower_slope, upper_slope, upper_offset
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "relax_check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# uses: relax
def check():
    import torch

    from course_utils.checks import passed
    from course_utils.own_verifier import numbers

    def lines_at(low, high, steps=101):
        """Points of each neuron's interval, ReLU there, the line below and the line above, each (neurons, steps)."""
        got = relax(torch.tensor(low).double(), torch.tensor(high).double())
        assert len(got) == 3, (
            f"{len(got)} things came back; three are asked for: lower_slope, upper_slope, upper_offset"
        )
        below, above, offset = (numbers(one).reshape(-1, 1) for one in got)
        assert len(below) == len(above) == len(offset) == len(low), "each of the three has one number for each neuron"
        share = torch.linspace(0, 1, steps).double()
        z = torch.tensor(low).double()[:, None] * (1 - share) + torch.tensor(high).double()[:, None] * share
        return z, z.clamp(min=0), below * z, above * z + offset

    def how_good(low, high):
        """Whether the lines enclose the curve, whether the upper one is the best, whether the lower one is."""
        z, curve, below, above = lines_at(low, high)
        start, end = z[:, :1], z[:, -1:]
        share = (z - start) / (end - start).clamp(min=1e-300)
        chord = curve[:, :1] * (1 - share) + curve[:, -1:] * share
        least = torch.where(end > -start, z, 0 * z)  # the two lower lines that may be best: z and 0
        least = torch.where(start >= 0, z, torch.where(end <= 0, 0 * z, least))
        room = 1e-6 * (1 + end - start)  # the lines may have come in float32
        encloses = bool((below <= curve + room).all() and (above >= curve - room).all())  # False for NaN, too
        # where l = -u both lines below leave the same area, so the areas are compared
        same_area = (below.mean(dim=1) >= least.mean(dim=1) - room[:, 0]).all()
        return encloses, bool((above <= chord + room).all()), bool(same_area)

    encloses, best_above, best_below = how_good([-1.0, -3.0, 0.5, -2.0], [3.0, 1.0, 2.0, -1.0])
    assert encloses, "a line crosses the curve on one of the intervals [-1, 3], [-3, 1], [0.5, 2], [-2, -1]: draw them"
    assert best_above, "the upper line lies above the curve, but a lower one would, too: through which two points?"
    points = 3 + 2 * best_below
    print(
        f"relax: the lines enclose the curve; the lower one {'leaves' if best_below else 'does not leave'} the least area"
    )
    passed("relax", points)
    ### BEGIN HIDDEN TESTS
    lows = [-1.0, -0.25, -8.0, 0.0, -1.0, 0.0, 1.5, -2.5, -1.0, -0.001]
    highs = [1.0, 4.0, 0.5, 2.0, 0.0, 0.0, 1.5, -2.5, 1.001, 90.0]
    encloses, best_above, best_below = how_good(lows, highs)
    assert encloses, "are there lines on every interval: one that begins or ends at 0, one that is a single point?"
    assert best_above, "is the upper line the best on every interval: one that begins or ends at 0, a single point?"
    points -= 0 if best_below or points < 5 else 2
    ### END HIDDEN TESTS
    return points


check()

# %% [markdown]
# Your lines for one unstable neuron. Change the two ends and look again. At which $u$ does the lower line jump?

# %%
from course_utils.plots import draw_relaxation

ends = (-1.0, 3.0)
lines = mine_or(
    lambda: [float(part) for part in relax(*(torch.tensor([end]).double() for end in ends))],
    lambda: [1.0, 0.75, 0.75],  # numbers of the interval [-1, 3]; they do not follow `ends`
    "relax",
)
picture = draw_relaxation(*lines, *ends)

# %% [markdown]
# ## 3. CROWN: back to the inputs
# Say that we know a lower bound of the output, for all points of the box, in terms of the *activations* of some layer:
#
# $$y \;\ge\; c \cdot h + o, \qquad h = \mathrm{relu}(z).$$
#
# (At the start it is no bound but the last layer itself: $c$ is its weight, $o$ its bias.) One **backward step** makes of
# it a bound in terms of $z$. Where $c_i$ is positive, $c_i h_i$ is least where $h_i$ is least. Where $c_i$ is
# negative, multiplying by it turns the inequality round. So which of the two lines do you need in each case?
#
# **Exercise (4 points).** Write `backward_step(c, offset, lower_slope, upper_slope, upper_offset)`. `c` has shape
# (outputs, neurons): a row for each output; `offset` has shape (outputs,); the three others are a layer's lines. It
# gives the new `c` and `offset`, of the same shapes, with $c' \cdot z + o' \le c \cdot \mathrm{relu}(z) + o$.


# %% nbgrader={"grade": false, "grade_id": "backward_step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def backward_step(c, offset, lower_slope, upper_slope, upper_offset):
    """From a lower bound c @ h + offset to one in terms of z, where the lines enclose h = relu(z)."""
    ### BEGIN SOLUTION
    negative, positive = c.clamp(max=0), c.clamp(min=0)
    return positive * lower_slope + negative * upper_slope, offset + negative @ upper_offset
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "backward_step_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: backward_step
def check():
    import torch

    from course_utils.checks import passed
    from course_utils.own_verifier import numbers

    given = [[[2.0, -4.0]], [1.0], [1.0, 1.0], [0.75, 0.75], [0.75, 0.75]]  # two neurons, each on [-1, 3]
    got = backward_step(*(torch.tensor(part).double() for part in given))
    assert len(got) == 2, f"{len(got)} things came back; two are asked for: c and offset"
    c_found, offset_found = numbers(got[0]), numbers(got[1]).reshape(-1)
    assert tuple(c_found.shape) == (1, 2), f"c has shape {tuple(c_found.shape)}; one output and two neurons"
    for z in [[-1.0, -1.0], [3.0, -1.0], [-1.0, 3.0], [3.0, 3.0], [0.0, 0.0], [1.0, 2.0]]:
        true = 2 * max(z[0], 0) - 4 * max(z[1], 0) + 1
        bound = float(c_found[0] @ torch.tensor(z).double() + offset_found[0])
        assert bound <= true + 1e-9, f"at z = {z} your bound is {bound:g}, above the true value {true:g}"
    assert float(c_found[0] @ torch.tensor([3.0, 3.0]).double() + offset_found[0]) == -5, (
        f"c is {c_found.tolist()}, offset {offset_found.tolist()}: a bound, but z = (3, 3) allows one that is reached there"
    )
    passed("backward_step", 4)
    ### BEGIN HIDDEN TESTS
    import numpy as np

    drawn = np.random.RandomState(2)
    for outputs, neurons in [(1, 3), (3, 5), (2, 1)]:
        c = torch.tensor(drawn.randint(-4, 5, (outputs, neurons))).double()
        offset = torch.tensor(drawn.randint(-4, 5, outputs)).double()
        below, above, start = (torch.tensor(drawn.randint(0, 9, neurons) / 8).double() for _ in range(3))
        new, by = backward_step(c, offset, below, above, start)
        wanted = torch.where(c > 0, c * below, c * above)
        assert numbers(new).shape == c.shape, "is there a row for each output and a column for each neuron?"
        assert torch.allclose(numbers(new), wanted), "which line belongs to a positive entry, which one to a negative?"
        shift = (torch.where(c < 0, c, 0 * c) * start).sum(dim=1)
        assert torch.allclose(numbers(by).reshape(-1), offset + shift), (
            "only the upper line has an offset: who meets it?"
        )
    ### END HIDDEN TESTS


check()

# %% [markdown]
# The Linear layer before it costs nothing: $z = W h + b$ is an equality, so $c \cdot z + o = (c W) \cdot h + (c \cdot b + o)$,
# where this $h$ is now one layer earlier. Step by step the bound arrives at the inputs: $y \ge c \cdot x + o$. The
# inputs lie in a box, so the least value of a linear function is easy: each input at the end that makes its term smallest.
#
# **Exercise (4 points).** Write `crown_lower(layers, pre, lower, upper)`: a lower bound on each output. `pre` is
# a list of `(lower, upper)` pairs: known bounds on the pre-activations of each *hidden* layer, from the first to the
# last, from wherever they come. `lower` and `upper` are the box. Begin with the last layer's weight and bias, and go
# back through the hidden layers: `relax`, `backward_step`, the Linear layer. It gives a tensor of shape (outputs,).


# %% nbgrader={"grade": false, "grade_id": "crown_lower", "locked": false, "schema_version": 3, "solution": true, "task": false}
def crown_lower(layers, pre, lower, upper):
    """A lower bound on each output, from bounds on the hidden pre-activations, carried back to the inputs."""
    ### BEGIN SOLUTION
    c, offset = layers[-1]
    for (weight, bias), (z_lower, z_upper) in zip(reversed(layers[:-1]), reversed(pre), strict=True):
        c, offset = backward_step(c, offset, *relax(z_lower, z_upper))
        c, offset = c @ weight, offset + c @ bias
    return c.clamp(min=0) @ lower + c.clamp(max=0) @ upper + offset
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "crown_lower_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: crown_lower
def check():
    import torch

    from course_utils.checks import passed
    from course_utils.own_verifier import numbers

    # |x| = relu(x) + relu(-x) on [-1, 3], where x is in [-1, 3] and -x in [-3, 1]; and the same upside down
    first = (torch.tensor([[1.0], [-1.0]]).double(), torch.zeros(2).double())
    hidden = [(torch.tensor([-1.0, -3.0]).double(), torch.tensor([3.0, 1.0]).double())]
    low, high = torch.tensor([-1.0]).double(), torch.tensor([3.0]).double()
    for sign, name, true, by_hand in [(1.0, "|x|", 0, -1), (-1.0, "-|x|", -3, -3)]:
        last = (sign * torch.ones(1, 2).double(), torch.zeros(1).double())
        bound = numbers(crown_lower([first, last], hidden, low, high)).reshape(-1)
        assert len(bound) == 1, f"{len(bound)} numbers came back for one output"
        assert float(bound) <= true, (
            f"on [-1, 3] your bound on {name} is {float(bound):g}, but it can be as low as {true}"
        )
        assert float(bound) == by_hand, f"your bound on {name} is {float(bound):g}; do it by hand: which line is where?"
    passed("crown_lower", 4)
    ### BEGIN HIDDEN TESTS
    import itertools

    import numpy as np

    def reference(net, known, below, above):
        """The same with one output at a time."""
        rows = []
        for row, by in zip(*net[-1], strict=True):
            c, o = row, by
            for (weight, bias), (zl, zu) in zip(net[-2::-1], known[::-1], strict=True):
                chord = torch.where(zu <= 0, 0 * zu, torch.where(zl >= 0, 0 * zu + 1, zu / (zu - zl).clamp(min=1e-300)))
                start = torch.where((zl < 0) & (zu > 0), -chord * zl, 0 * zl)
                line = torch.where(zu <= 0, 0 * zu, ((zl >= 0) | (zu > -zl)).double())
                o = o + (torch.where(c < 0, c, 0 * c) * start).sum()
                c = torch.where(c < 0, c * chord, c * line)
                c, o = weight.T @ c, o + c @ bias
            rows.append(o + torch.minimum(c * below, c * above).sum())
        return torch.stack(rows)

    drawn = np.random.RandomState(3)
    for sizes, wider in [((2, 5, 1), 0.0), ((3, 6, 4, 2), 0.5), ((2, 4, 4, 4, 3), 1.0)]:
        net = [(torch.tensor(drawn.randn(m, n)), torch.tensor(drawn.randn(m))) for n, m in itertools.pairwise(sizes)]
        low = torch.tensor(drawn.randn(sizes[0]))
        high = low + torch.tensor(drawn.rand(sizes[0]))
        known, below, above = [], low, high
        for weight, bias in net[:-1]:
            middle, half = weight @ (below + above) / 2 + bias, weight.abs() @ (above - below) / 2 + wider
            known.append((middle - half, middle + half))
            below, above = (middle - half).clamp(min=0), (middle + half).clamp(min=0)
        bound = numbers(crown_lower(net, known, low, high)).reshape(-1)
        h = low + (high - low) * torch.tensor(drawn.rand(2000, sizes[0]))
        for weight, bias in net[:-1]:
            h = (h @ weight.T + bias).clamp(min=0)
        outputs = h @ net[-1][0].T + net[-1][1]
        assert bound.shape == outputs.shape[1:], "is there one number for each output?"
        assert (bound <= outputs.amin(dim=0) + 1e-5).all(), (
            "a sampled output lies below your bound: is each line on its side?"
        )
        wanted = reference(net, known, low, high)
        assert torch.allclose(bound, wanted, atol=1e-5), (
            "sound, but the bound of CROWN with the `pre` that it is given is another"
        )
    ### END HIDDEN TESTS


check()

# %% [markdown]
# Where does `pre` come from? Interval bounds would do. CROWN does better: the bounds of hidden layer 1 are those of
# a network that ends there, the bounds of hidden layer 2 those of a network that ends there, and so on. And an upper bound of $z$ is minus a
# lower bound of $-z$: the same network with its last weight and bias negated.
#
# **Exercise (3 points).** Write `crown_bounds(layers, lower, upper)`: a list of `(lower, upper)` pairs, one for each
# Linear layer, as in part 1. Each pair comes from two calls of `crown_lower`, with the pairs before it as `pre`.


# %% nbgrader={"grade": false, "grade_id": "crown_bounds", "locked": false, "schema_version": 3, "solution": true, "task": false}
def crown_bounds(layers, lower, upper):
    """Bounds on the pre-activations behind every Linear layer, each carried back to the inputs."""
    ### BEGIN SOLUTION
    pre = []
    for depth, (weight, bias) in enumerate(layers):
        before = layers[:depth]
        z_lower = crown_lower([*before, (weight, bias)], pre, lower, upper)
        z_upper = -crown_lower([*before, (-weight, -bias)], pre, lower, upper)
        pre.append((z_lower, z_upper))
    return pre
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "crown_bounds_check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# uses: crown_bounds
def check():
    import torch

    from course_utils.checks import passed
    from course_utils.data import circle_network
    from course_utils.own_verifier import layers_of, pairs
    from verifier import output_bounds

    absolute = [
        (torch.tensor([[1.0], [-1.0]]).double(), torch.zeros(2).double()),
        (torch.ones(1, 2).double(), torch.zeros(1).double()),
    ]
    found = pairs(crown_bounds(absolute, torch.tensor([-1.0]).double(), torch.tensor([3.0]).double()), 2)
    for name, (below, above), by_hand in [("1", found[0], ([-1, -3], [3, 1])), ("2", found[1], ([-1], [3]))]:
        # every number here is a quarter or a half, so nothing is rounded
        assert (below.tolist(), above.tolist()) == by_hand, (
            f"|x| on [-1, 3], layer {name}: your bounds are {below.tolist()} and {above.tolist()}; do it by hand"
        )
    for side in [[[0.3, 0.7], [0.3, 0.7]], [[0.7, 0.85], [0.1, 0.6]]]:
        low, high = torch.tensor(side).double().T
        below, above = pairs(crown_bounds(layers_of(circle_network()), low, high), 3)[-1]
        library = output_bounds(circle_network(), torch.tensor(side).double(), method="crown")
        apart = max(abs(float(below) - float(library.lower[0])), abs(float(above) - float(library.upper[0])))
        assert apart < 1e-6, (
            f"on {side} your bounds are {float(below):.6f} and {float(above):.6f}, {apart:.1e} off; float32?"
        )
    print("crown_bounds: equal to the library's CROWN to 1e-6")
    passed("crown_bounds", 3)
    ### BEGIN HIDDEN TESTS
    import itertools

    import numpy as np
    from torch import nn

    drawn = np.random.RandomState(4)
    for sizes in [(2, 6, 2), (3, 5, 5, 1), (2, 4, 4, 4, 2)]:
        drawn_layers = [
            (torch.tensor(drawn.randn(m, n)), torch.tensor(drawn.randn(m))) for n, m in itertools.pairwise(sizes)
        ]
        low = torch.tensor(drawn.randn(sizes[0]))
        high = low + 0.8 * torch.tensor(drawn.rand(sizes[0]))
        found = pairs(crown_bounds(drawn_layers, low, high), len(drawn_layers))
        modules = []
        for (weight, bias), (below, above) in zip(drawn_layers, found, strict=True):
            affine = nn.Linear(*reversed(weight.shape), dtype=torch.float64)
            affine.load_state_dict({"weight": weight, "bias": bias})
            modules.append(affine)
            library = output_bounds(nn.Sequential(*modules), torch.stack([low, high], dim=1), method="crown")
            modules.append(nn.ReLU())
            assert np.allclose(below, library.lower, atol=1e-6), (
                "a lower bound of a hidden layer or of the output is off"
            )
            assert np.allclose(above, library.upper, atol=1e-6), (
                "an upper bound of a hidden layer or of the output is off"
            )
    ### END HIDDEN TESTS


check()

# %% [markdown]
# Intervals and CROWN on the same box: first layer by layer, then at the output, against samples. What do you expect
# behind layer 1, where there is no ReLU yet?

# %%
from types import SimpleNamespace

from course_utils.plots import draw_bounds

crown = mine_or(
    lambda: [(lower + 0, upper + 0) for lower, upper in crown_bounds(layers, *box)],
    lambda: library_pairs(network, *box, "crown"),
    "crown_bounds",
)
picture = draw_widths({"intervals": intervals, "CROWN": crown})

# %%
torch.manual_seed(0)
with torch.no_grad():
    outputs = network(box[0] + (box[1] - box[0]) * torch.rand(10_000, 2).double())
both = {
    name: SimpleNamespace(lower=found[-1][0], upper=found[-1][1])
    for name, found in [("interval", intervals), ("CROWN", crown)]
}
picture = draw_bounds(both, outputs, limit=0.5)
for name, bound in both.items():
    print(f"{name}: {float(bound.lower):.3f} to {float(bound.upper):.3f}")
print(f"10,000 samples: {float(outputs.min()):.3f} to {float(outputs.max()):.3f}")

# %% [markdown]
# Behind layer 1 both are the same: a linear function of a box needs no lines. From layer 2 on CROWN wins. At the output
# its lower bound is above 0.5, which is a proof; that of the intervals is not.
#
# ### Why it is right
# Samples cannot tell you that the bound holds for *every* point. This proof can. Fill the blanks A to F.
#
# 1. The last layer is $y = c \cdot h + o$, an equality. So $y \ge c \cdot h + o$ for every $x$ in the box.
# 2. For every $x$ in the box $l_i \le z_i \le u_i$, so $a_i z_i \le h_i \le s_i z_i + t_i$: the lines hold **A**.
# 3. Where $c_i \ge 0$, $c_i h_i$ is at least $c_i$ times **B**. Where $c_i < 0$, it is at least $c_i$ times **C**.
# 4. Adding the terms up gives $y \ge c' \cdot z + o'$. Put $z = W h + b$ into it: $y \ge (c' W) \cdot h + (c' \cdot b + o')$.
#    That step makes the bound **D**.
# 5. Repeat 2 to 4 until $h$ is $x$ itself: $y \ge c \cdot x + o$. On the box, $c_i x_i$ is at least $c_i$ times
#    **E** where $c_i \ge 0$, and $c_i$ times **F** where $c_i < 0$.
# 6. The sum of these least terms, plus $o$, is what `crown_lower` gives. Nothing was sampled, so it holds for every $x$. $\square$
#
# **Exercise (2 points).** Write `blanks`, a dict from each letter to one of these texts: `"the line above"`, `"the
# line below"`, `"the lower end of x_i"`, `"the upper end of x_i"`, `"for every z_i"`, `"for z_i between l_i and u_i"`, `"looser"`,
# `"neither looser nor tighter"`, `"tighter"`.

# %% nbgrader={"grade": false, "grade_id": "blanks", "locked": false, "schema_version": 3, "solution": true, "task": false}
# blanks = {"A": "...", "B": "...", "C": "...", "D": "...", "E": "...", "F": "..."}
### BEGIN SOLUTION
blanks = {
    "A": "for z_i between l_i and u_i",
    "B": "the line below",
    "C": "the line above",
    "D": "neither looser nor tighter",
    "E": "the lower end of x_i",
    "F": "the upper end of x_i",
}
### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "blanks_check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# uses: blanks
def check():
    from course_utils.checks import passed

    texts = [
        "the line above",
        "the line below",
        "the lower end of x_i",
        "the upper end of x_i",
        "for every z_i",
        "for z_i between l_i and u_i",
        "looser",
        "neither looser nor tighter",
        "tighter",
    ]
    assert isinstance(blanks, dict) and sorted(blanks) == list("ABCDEF"), "blanks is a dict with the keys A to F"
    for letter in "ABCDEF":
        assert blanks[letter] in texts, f"{letter}: {blanks[letter]!r} is not one of the nine texts"
    print("blanks: each one holds one of the texts; whether the right one, you learn when the lab is graded")
    passed("blanks", 2)
    ### BEGIN HIDDEN TESTS
    assert [texts.index(blanks[letter]) for letter in "BC"] == [1, 0], "B and C: try c_i = 2 and c_i = -2, by hand"
    assert [texts.index(blanks[letter]) for letter in "EF"] == [2, 3], "E and F: try c_i = 2 and c_i = -2, by hand"
    assert texts.index(blanks["A"]) == 5, "A: is the chord above the curve to the right of u_i?"
    assert texts.index(blanks["D"]) == 7, "D: what does putting in an equality cost?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# ## 4. Attack and split
# A bound that reaches across the limit decides nothing. Then there are two ways on: look for a counterexample, or
# **split** the box and bound its parts, which are smaller, so that their bounds are tighter.
#
# ### An attack
# The gradient of the output says in which direction it grows. We want it *small*, so we go the other way. The
# **fast gradient sign method** (FGSM, Goodfellow et al. 2015) takes one step: from the middle of the box straight to one
# of its corners. Each input goes to its lower end where its gradient is positive, to its upper end where it is negative.
#
# **Exercise (2 points).** Write `fgsm(net, lower, upper)`: that corner, a tensor of shape (inputs,). `net` takes a batch, of shape (num,
# inputs). `torch.autograd.grad(y, x)` gives the gradient of one number `y`, in a tuple, if `x.requires_grad_()` was called first.


# %% nbgrader={"grade": false, "grade_id": "fgsm", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fgsm(net, lower, upper):
    """The corner of the box towards which the output falls, as the gradient at the middle sees it."""
    ### BEGIN SOLUTION
    x = ((lower + upper) / 2).requires_grad_()
    (gradient,) = torch.autograd.grad(net(x.reshape(1, -1)).sum(), x)
    return torch.where(gradient > 0, lower, upper)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "fgsm_check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# uses: fgsm
def check():
    import torch
    from torch import nn

    from course_utils.checks import passed
    from course_utils.own_verifier import numbers

    plane = nn.Sequential(nn.Linear(2, 1)).double()  # its output is 3 x1 - x2
    plane.load_state_dict({"0.weight": torch.tensor([[3.0, -1.0]]), "0.bias": torch.zeros(1)})
    corner = numbers(fgsm(plane, torch.tensor([0.0, 1.0]).double(), torch.tensor([2.0, 5.0]).double())).reshape(-1)
    assert len(corner) == 2, f"{len(corner)} numbers came back for two inputs"
    assert corner.tolist() != [2.0, 1.0], "your corner is the one where the output is largest"
    assert corner.tolist() == [0.0, 5.0], (
        f"your point is {corner.tolist()}; where is 3 x1 - x2 least on [0, 2] x [1, 5]?"
    )
    passed("fgsm", 2)
    ### BEGIN HIDDEN TESTS
    import numpy as np

    drawn = np.random.RandomState(5)
    for inputs in [1, 3, 6]:
        net = nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, 1)).double()
        state = {name: torch.tensor(drawn.randn(*value.shape)) for name, value in net.state_dict().items()}
        net.load_state_dict(state)
        low = torch.tensor(drawn.randn(inputs))
        high = low + torch.tensor(drawn.rand(inputs))
        active = state["0.weight"] @ (low + high) / 2 + state["0.bias"] > 0
        slope = (state["2.weight"][0] * active) @ state["0.weight"]
        corner = numbers(fgsm(net, low, high)).reshape(-1)
        assert corner.shape == low.shape, "is there a number for each input?"
        clear = slope.abs() > 1e-9
        wanted = torch.where(slope > 0, low, high)
        assert torch.equal(corner[clear], wanted[clear]), (
            "the gradient at the middle of the box, and each input by its sign"
        )
    bend = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1)).double()  # |x - 0.3|, which falls, then rises
    bend.load_state_dict(
        {
            "0.weight": torch.tensor([1.0, -1.0])[:, None],
            "0.bias": torch.tensor([-0.3, 0.3]),
            "2.weight": torch.ones(1, 2),
            "2.bias": torch.zeros(1),
        }
    )
    for low, high, wanted in [(0.0, 1.0, 0.0), (-1.0, 1.0, 1.0)]:
        corner = numbers(fgsm(bend, torch.tensor([low]).double(), torch.tensor([high]).double())).reshape(-1)
        assert corner.tolist() == [wanted], "the gradient is the one at the middle of the box"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# FGSM jumps to a corner, but the least output need not be at a corner. **Projected gradient descent** (PGD, Madry et
# al. 2018) takes many steps, each shorter than the one before, and after each step puts the point back into the box (it
# *projects* it) if it has left. The answer is the best point that was met on the way.
#
# **Exercise (3 points).** Write `pgd(net, lower, upper, steps=40)`: a point of the box, of shape (inputs,), at which the
# output is as small as you can make it. A step goes against the sign of the gradient, by a share of each side of the box:
# half of it at first (that is FGSM), then less and less, such as $0.85$ times the step before.


# %% nbgrader={"grade": false, "grade_id": "pgd", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pgd(net, lower, upper, steps=40):
    """The point with the smallest output that projected gradient descent meets in the box."""
    ### BEGIN SOLUTION
    x, share = (lower + upper) / 2, 0.5
    best, least = x, float("inf")
    for _ in range(steps):
        x = x.clone().detach().requires_grad_()
        y = net(x.reshape(1, -1)).sum()
        if y.item() < least:
            best, least = x.detach(), y.item()
        (gradient,) = torch.autograd.grad(y, x)
        x = x - share * (upper - lower) * gradient.sign()
        x = torch.minimum(torch.maximum(x, lower), upper)
        share *= 0.85
    return best
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "pgd_check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# uses: pgd
def check():
    import torch
    from torch import nn

    from course_utils.checks import passed
    from course_utils.own_verifier import numbers

    def valley(middle, steep):
        """A network whose output is the sum of steep * |x - middle| over its inputs: 0 at the middle, above it elsewhere."""
        inputs = len(middle)
        net = nn.Sequential(nn.Linear(inputs, 2 * inputs), nn.ReLU(), nn.Linear(2 * inputs, 1)).double()
        turn = torch.cat([torch.eye(inputs), -torch.eye(inputs)]).double()
        rows = {"0.weight": turn, "0.bias": -turn @ torch.tensor(middle).double()}
        net.load_state_dict(
            {**rows, "2.weight": torch.tensor([steep + steep]).double(), "2.bias": torch.zeros(1).double()}
        )
        return net

    def fall(net, low, high):
        """The output at the point that pgd gives, which must lie in the box."""
        low, high = torch.tensor(low).double(), torch.tensor(high).double()
        point = numbers(pgd(net, low, high)).reshape(-1)
        assert point.shape == low.shape, "is there a number for each input?"
        assert bool(((point >= low - 1e-9) & (point <= high + 1e-9)).all()), "the point has left the box: put it back"
        with torch.no_grad():
            return float(net(point.reshape(1, -1)))

    low_point = fall(valley([0.3, 0.6], [1.0, 2.0]), [0.0, 0.0], [1.0, 1.0])
    assert low_point < 0.05, f"the output at your point is {low_point:.3f}; this valley goes down to 0, not at a corner"
    print(f"pgd: {low_point:.4f}, where 0 is the least there is")
    passed("pgd", 3)
    ### BEGIN HIDDEN TESTS
    assert fall(valley([0.9, 0.2, 0.45], [1.0, 1.0, 1.0]), [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]) < 0.08, (
        "how low in a valley?"
    )
    assert fall(valley([0.37, 0.81], [1.0, 2.0]), [0.0, 0.0], [1.0, 1.0]) < 0.06, "how low, with the valley elsewhere?"
    assert fall(valley([12.0, -3.0], [1.0, 2.0]), [10.0, -4.0], [20.0, 4.0]) < 0.5, "is each step a share of each side?"
    edge = fall(valley([5.0, -1.0], [1.0, 1.0]), [0.0, 0.0], [1.0, 2.0])
    assert abs(edge - 5.0) < 0.02, "when the least output is at the edge of the box, is it reached?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# ### The search
# Now the loop that puts it together: **branch and bound**. It keeps a list of *parts* that are still open; at first
# that is the whole. It takes one of them, and there are three cases:
#
# - its lower bound is at least the limit: this part is **proved**;
# - the attack finds a point in it below the limit: the whole question is **falsified**;
# - neither: **split** it, and put its parts back into the list.
#
# When the list is empty, every part is proved, and so is the whole. When as many parts were bounded as we are willing
# to bound, the answer is **unknown**.
#
# The loop does not need to know what a part *is*. It gets three functions as arguments: `bound(part)` gives a lower bound,
# `attack(part)` gives a pair `(point, value)`, `split(part)` gives a list of parts that cover it together, or an empty
# list when it cannot be split. A part that cannot be split is never proved, so the answer cannot be verified any more.
#
# **Exercise (7 points).** Write `split_box(part)` for `part = (lower, upper)`: the two halves of the box, cut in the
# middle of its longest side. Then write `branch_and_bound(bound, attack, split, whole, limit, max_parts)`. It
# gives three things: `"verified"`, `"falsified"` or `"unknown"`; the counterexample or `None`; and the list of all parts
# that were proved. It calls `bound` at most `max_parts` times. Thirty lines are plenty.
#
# Graded are the answers on hidden networks and on *bowls*, which are functions that no verifier of networks can read, and
# the proofs: do the proved parts cover the box? 3 points for verified, 2 for falsified, 2 for unknown where the work is
# limited and verified where it is not. A wrong "verified" or "falsified" costs all of them.

# %%
from course_utils.own_verifier import Bowl, attack_from, from_layers, from_library, random_attack

interval_bound = mine_or(lambda: from_layers(interval_bounds), lambda: from_library("ibp"), "interval_bounds")
crown_bound = mine_or(lambda: from_layers(crown_bounds), lambda: from_library("crown"), "crown_bounds")
attack_on = mine_or(lambda: attack_from(pgd), lambda: random_attack, "pgd")


# %% nbgrader={"grade": false, "grade_id": "branch_and_bound", "locked": false, "schema_version": 3, "solution": true, "task": false}
def split_box(part):
    """The two halves of a box, cut in the middle of its longest side."""
    ### BEGIN SOLUTION
    lower, upper = part
    side = int((upper - lower).argmax())
    left, right = upper.clone(), lower.clone()
    left[side] = right[side] = (lower[side] + upper[side]) / 2
    return [(lower, left), (right, upper)]
    ### END SOLUTION


def branch_and_bound(bound, attack, split, whole, limit, max_parts):
    """The verdict on "never below limit", a counterexample or None, and the parts that were proved."""
    ### BEGIN SOLUTION
    waiting, proved, stuck = [whole], [], False
    for _ in range(max_parts):
        if not waiting:
            break
        part = waiting.pop()
        if bound(part) >= limit:
            proved.append(part)
            continue
        point, value = attack(part)
        if value < limit:
            return "falsified", point, proved
        parts = split(part)
        stuck = bool(stuck or not parts)
        waiting += parts
    return "unknown" if waiting or stuck else "verified", None, proved
    ### END SOLUTION


# the rest of this cell puts your functions to use; leave it as it is
def my_verify(net, box, limit, method="crown", max_parts=1000):
    """Your verifier: is the one output of net at least limit on the box, a [lower, upper] pair for each input?"""
    bound = {"ibp": interval_bound, "crown": crown_bound}[method](net)
    lower, upper = (torch.tensor(side, dtype=torch.float64) for side in zip(*box, strict=True))
    return branch_and_bound(bound, attack_on(net), split_box, (lower, upper), limit, max_parts)


def search_bowl(bowl, box, limit, max_parts=1000):
    """The same search for a function that is not a network."""
    lower, upper = (torch.tensor(side, dtype=torch.float64) for side in zip(*box, strict=True))
    return branch_and_bound(Bowl(bowl).bound, Bowl(bowl).attack, split_box, (lower, upper), limit, max_parts)


# %% nbgrader={"grade": true, "grade_id": "branch_and_bound_check", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
# uses: my_verify, search_bowl
def check():
    import numpy as np
    import torch
    from torch import nn

    from course_utils.checks import passed
    from course_utils.data import circle_network
    from course_utils.own_verifier import Bowl, numbers
    from verifier import output_bounds

    def answer(got):
        """The verdict, the point and the proved parts, whatever form they have."""
        assert isinstance(got, list | tuple) and len(got) == 3, "three things come back: verdict, point, proved parts"
        assert str(got[0]) in ("verified", "falsified", "unknown"), f"the verdict is {got[0]!r}"
        return str(got[0]), got[1], [(numbers(low).reshape(-1), numbers(high).reshape(-1)) for low, high in got[2]]

    def covers(proved, region):
        """Whether boxes cover another one: their volumes add up to its volume, and no random point of it lies in none."""
        low, high = np.array(region).T
        inside = all((a.numpy() >= low - 1e-9).all() and (b.numpy() <= high + 1e-9).all() for a, b in proved)
        volume = sum(float((b - a).prod()) for a, b in proved)
        spots = low + (high - low) * np.random.RandomState(6).rand(300, len(low))
        near = all(any((a.numpy() <= x).all() and (x <= b.numpy()).all() for a, b in proved) for x in spots)
        return inside and near and abs(volume - float((high - low).prod())) < 1e-6 * volume

    def is_counterexample(point, value, region, limit):
        """Whether a point of the box has a value below the limit."""
        at = numbers(point).reshape(-1)
        low, high = torch.tensor(region, dtype=torch.float64).T
        return bool(((at >= low - 1e-9) & (at <= high + 1e-9)).all()) and value(at) < limit

    def network_value(net):
        return lambda at: float(net(at.reshape(1, -1).to(next(net.parameters()).dtype)).detach().reshape(-1)[0])

    square = [[0.0, 1.0], [0.0, 1.0]]
    bowl = {"steep": [1.0, 2.0], "middle": [0.25, 0.5], "offset": 1.0}  # least at (0.25, 0.5), where it is 1
    verdict, _, proved = answer(search_bowl(bowl, square, 0.9))
    assert verdict == "verified", f"a bowl that is never below 1, asked for 0.9: your verdict is {verdict}"
    assert covers(proved, square), f"your {len(proved)} proved parts do not cover the box once"
    verdict, point, _ = answer(search_bowl(bowl, square, 1.05))
    assert verdict == "falsified", f"a bowl that goes down to 1, asked for 1.05: your verdict is {verdict}"
    assert is_counterexample(point, Bowl(bowl).value, square, 1.05), "at your counterexample the bowl is not below 1.05"
    verdict, _, _ = answer(search_bowl(bowl, square, 0.9, 3))
    assert verdict == "unknown", (
        f"three parts are too few for a proof, and there is no counterexample; you say {verdict}"
    )
    verdict, _, proved = answer(my_verify(circle_network().double(), [[0.2, 0.8], [0.2, 0.8]], 0.5, "ibp"))
    assert verdict == "verified" and covers(proved, [[0.2, 0.8], [0.2, 0.8]]), (
        f"lab 1's network, [0.2, 0.8]^2: {verdict}"
    )
    points = 7
    passed("branch_and_bound", points)
    ### BEGIN HIDDEN TESTS
    import itertools

    def drawn_net(seed, sizes):
        """A network of quarters, the same everywhere."""
        drawn = np.random.RandomState(seed)
        modules = []
        for n, m in itertools.pairwise(sizes):
            affine = nn.Linear(n, m, dtype=torch.float64)
            weight, bias = (torch.tensor(drawn.randint(-6, 7, shape) / 4).double() for shape in ((m, n), (m,)))
            affine.load_state_dict({"weight": weight, "bias": bias})
            modules += [affine, nn.ReLU()]
        return nn.Sequential(*modules[:-1])

    # each with the least value that it takes on its box, which is known exactly
    bowls = [
        ({"steep": [1.0, -1.0], "middle": [0.5, 0.5], "offset": 0.0}, square, -0.25),
        ({"steep": [3.0, 0.5], "middle": [0.2, 2.0], "offset": -2.0}, square, -1.5),
        ({"steep": [-2.0], "middle": [1.0], "offset": 4.0}, [[0.0, 3.0]], -4.0),
    ]
    nets = [
        (11, (2, 6, 1), [[-1.0, 1.0], [-1.0, 1.0]], -1.1875),
        (12, (2, 5, 5, 1), [[0.0, 1.0], [-1.0, 0.5]], -2.90625),
        (13, (3, 6, 1), [[-0.5, 0.5]] * 3, -3.25),
        (14, (1, 8, 1), [[-2.0, 2.0]], -1.025),
    ]
    right = {"verified": True, "falsified": True, "unknown": True}
    for shape, region, least in bowls:
        verdict, _, proved = answer(search_bowl(shape, region, least - 0.1, 5000))
        assert verdict != "falsified", "a true statement about a bowl was called falsified"
        right["verified"] &= verdict == "verified" and covers(proved, region)
        right["verified"] &= all(Bowl(shape).bound(part) >= least - 0.1 - 1e-9 for part in proved)
        verdict, point, _ = answer(search_bowl(shape, region, least + 0.3, 5000))
        assert verdict != "verified", "a false statement about a bowl was called verified"
        right["falsified"] &= verdict == "falsified" and is_counterexample(
            point, Bowl(shape).value, region, least + 0.3
        )
        verdict, _, _ = answer(search_bowl(shape, region, least - 0.1, 1))
        right["unknown"] &= verdict == "unknown"
    for seed, sizes, region, least in nets:
        net = drawn_net(seed, sizes)
        verdict, _, proved = answer(my_verify(net, region, least - 0.1, "ibp", 4000))
        assert verdict != "falsified", "a true statement about a network was called falsified"
        right["verified"] &= verdict == "verified" and covers(proved, region)
        for part in proved[:: max(1, len(proved) // 40)]:
            known = output_bounds(net, torch.stack(list(part), dim=1), method="ibp")
            right["verified"] &= float(known.lower[0]) >= least - 0.1 - 1e-9
        verdict, point, _ = answer(my_verify(net, region, least + 0.1, "crown", 4000))
        assert verdict != "verified", "a false statement about a network was called verified"
        right["falsified"] &= verdict == "falsified" and is_counterexample(
            point, network_value(net), region, least + 0.1
        )
        verdict, _, _ = answer(my_verify(net, region, least - 0.1, "ibp", 1))
        right["unknown"] &= verdict == "unknown"
    points -= 3 * (not right["verified"]) + 2 * (not right["falsified"])
    points -= 2 * (not right["unknown"] or not right["verified"])
    print(
        "hidden networks and bowls:", ", ".join(f"{name} {'right' if fine else 'not'}" for name, fine in right.items())
    )
    ### END HIDDEN TESTS
    return points


check()

# %% [markdown]
# Lab 1 asked how many boxes a search needs for $[0.2, 0.8]^2$ and $y \ge 0.5$. Now the search is yours. In how many
# proved parts will it end with interval bounds, in how many with CROWN? Commit to a guess.

# %%
guess_intervals, guess_crown = None, None  # your two guesses, whole numbers; then run the next cell

# %% tags=["only-shows"]
from course_utils.plots import draw_parts
from verifier import split_trace

question = [[0.2, 0.8], [0.2, 0.8]]


def library_parts(method):
    """The proved boxes of the library's own search, to go on with."""
    boxes = split_trace(network, question, [[0.5, None]], method=method).boxes
    return [(one.lower, one.upper) for one in boxes if one.status == "verified"]


searches = {
    method: mine_or(
        lambda method=method: my_verify(network, question, 0.5, method)[2],
        lambda method=method: library_parts(method),
        "my_verify",
    )
    for method in ["ibp", "crown"]
}
picture = draw_parts(["interval bounds", "CROWN bounds"], list(searches.values()), list(zip(*question, strict=True)))
for (method, proved), guess in zip(searches.items(), [guess_intervals, guess_crown], strict=True):
    # who halves until there are n proved parts has bounded 2 n - 1 parts altogether
    guessed = "" if guess is None else f"; you guessed {guess}"
    print(f"{method}: {2 * len(proved) - 1} parts were bounded, {len(proved)} of them proved{guessed}")

# %% [markdown]
# The loop was the same, and so was the question: only `bound` was exchanged. A tighter bound costs more each time and
# is needed far less often. Nearly all progress in verifiers has been about that trade.
#
# Is the search **complete**, does it always come to an answer? Halved often enough, every side becomes as short
# as you like, the bounds come as close to the outputs as you like, and each part falls on one side of the limit, unless the least output is
# *exactly* the limit. With 2 inputs that takes a moment. With $n$ inputs, halving each side once makes $2^n$ parts.

# %% [markdown]
# ## 5. What else can be split?
# That was the open question of lab 1: an image has 784 inputs. Here is a 4, read by a network with one hidden layer of
# 40 neurons. Each pixel may move by 0.07 (black is 0, white is 1). The spec: the score of 4 minus the score of 9 is at least 0.

# %%
from course_utils.own_verifier import split_digit
from course_utils.plots import draw_image_box

digit = split_digit()
around = digit.box(0.07)
rivals = digit.against(9)  # layers of a network with one output: the score of 4 minus score of 9
first_layer = library_pairs(digit.net, *around, "ibp")[:1]  # bounds on the 40 hidden neurons, exact on a box
unstable = (first_layer[0][0] < 0) & (first_layer[0][1] > 0)
picture = draw_image_box(around[0], digit.image, around[1])
print(
    f"784 inputs; of 40 hidden neurons {int(unstable.sum())} are unstable, the others keep their sign on the whole box"
)

# %% [markdown]
# Why was the bound loose? Because unstable neurons stand between two lines that are apart. So do not split the
# inputs: split a *neuron*. Either $z_j \le 0$ or $z_j \ge 0$, and in each of the two cases ReLU $j$ is a straight line. In
# terms of `pre`, the first case sets the upper bound of $z_j$ to 0, the second sets its lower bound to 0. Your
# `crown_lower` takes `pre` from wherever it comes, so it already knows what to do with that.
#
# **Exercise (2 points).** Write `split_relu(pre, layer, neuron)`. It gives two lists like `pre`: first the case $z \le
# 0$ of that neuron, then the case $z \ge 0$. `layer` counts from 0. `pre` itself must stay as it is.


# %% nbgrader={"grade": false, "grade_id": "split_relu", "locked": false, "schema_version": 3, "solution": true, "task": false}
def split_relu(pre, layer, neuron):
    """The bounds in the two cases z <= 0 and z >= 0 of one neuron."""
    ### BEGIN SOLUTION
    lower, upper = pre[layer]
    inactive, active = list(pre), list(pre)
    upper_inactive, lower_active = upper.clone(), lower.clone()
    upper_inactive[neuron] = lower_active[neuron] = 0
    inactive[layer], active[layer] = (lower, upper_inactive), (lower_active, upper)
    return inactive, active
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "split_relu_check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# uses: split_relu
def check():
    import torch

    from course_utils.checks import passed
    from course_utils.own_verifier import pairs

    def known_bounds():
        """Two hidden layers of three and two neurons."""
        sides = [([-1.0, -2.0, -3.0], [1.0, 2.0, 3.0]), ([-4.0, -5.0], [4.0, 5.0])]
        return [(torch.tensor(low).double(), torch.tensor(high).double()) for low, high in sides]

    def halves(layer, neuron):
        """What split_relu gives, with each of its bounds as a list."""
        got = split_relu(known_bounds(), layer, neuron)
        assert len(got) == 2, f"{len(got)} things came back; two cases are asked for"
        return [[(low.tolist(), high.tolist()) for low, high in pairs(case, 2)] for case in got]

    inactive, active = halves(0, 1)
    assert inactive[0][1][1] == 0, (
        f"in the first case z <= 0, but the upper bound of that neuron is {inactive[0][1][1]:g}"
    )
    assert active[0][0][1] == 0, f"in the second case z >= 0, but the lower bound of that neuron is {active[0][0][1]:g}"
    assert inactive[0][0][1] == -2 and active[0][1][1] == 2, "the other bound of that neuron stays as it is"
    passed("split_relu", 2)
    ### BEGIN HIDDEN TESTS
    for layer, neuron in [(0, 0), (0, 2), (1, 0), (1, 1)]:
        inactive, active = halves(layer, neuron)
        for case, side in [(inactive, 1), (active, 0)]:
            wanted = [(low.tolist(), high.tolist()) for low, high in known_bounds()]
            wanted[layer][side][neuron] = 0.0
            assert case == wanted, "only one bound of one neuron of one layer changes in each case"
    before = known_bounds()
    split_relu(before, 1, 0)
    same = all(
        torch.equal(one, other)
        for a, b in zip(before, known_bounds(), strict=True)
        for one, other in zip(a, b, strict=True)
    )
    assert same, "pre itself has changed: make copies first"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# One split by hand. Which neuron? The line above costs most where $|c_j|$ is large and the triangle is high, among
# those with negative $c_j$. (Where $c_j$ is positive, the line below was used. Splitting replaces its slope by 0 and by 1, which CROWN could have chosen before;
# so nothing is gained.) What do you expect of the two halves?


# %%
# which neuron to split, and your functions put together; nothing to write here
def worst_neuron(pre):
    """The unstable neuron whose line above costs most, or None."""
    lower, upper = pre[0]
    c = rivals[1][0][0]
    bends = (lower < 0) & (upper > 0) & (c < 0)
    cost = torch.where(bends, c * lower * upper / (upper - lower).clamp(min=1e-12), torch.zeros_like(c))
    return int(cost.argmax()) if bends.any() else None


def split_worst(pre, split_relu):
    """The two cases of the worst neuron, or no parts."""
    neuron = worst_neuron(pre)
    return [] if neuron is None else list(split_relu(pre, 0, neuron))


def by_hand(crown_lower, split_relu):
    """The bound before, and in the two cases, by your functions."""
    cases = [first_layer, *split_worst(first_layer, split_relu)]
    return [float(crown_lower(rivals, pre, *around)) for pre in cases]


margins = mine_or(lambda: by_hand(crown_lower, split_relu), lambda: [-0.244, 0.130, 0.022], "crown_lower or split_relu")
for name, margin in zip(["whole", "z <= 0", "z >= 0"], margins, strict=True):
    print(f"{name:>7}: score of 4 minus score of 9 is at least {margin:+.3f}" + (", proved" if margin >= 0 else ""))

# %% [markdown]
# One neuron, two cases, both proved. Together they cover the box of all $784$ pixels, since $z_j$ is either $\le 0$ or $\ge 0$.
#
# Now a larger box, radius 0.08, with 20 unstable neurons: at most $2^{20}$ cases, and certainly not $2^{784}$. Your
# `branch_and_bound` takes parts of any kind, so hand it lists of bounds. How many parts will it need?

# %%
guess_parts = None  # your guess, a whole number; then run the next cell

# %%
from course_utils.plots import draw_part_bounds

around = digit.box(0.08)
first_layer = library_pairs(digit.net, *around, "ibp")[:1]
print(f"radius 0.08: {int(((first_layer[0][0] < 0) & (first_layer[0][1] > 0)).sum())} unstable neurons")


COURSE_BOUNDS = [
    -0.876, -0.59, -0.362, -0.292, -0.083, 0.041, 0.13, -0.041, 0.082, 0.17, 0.402, -0.166, -0.099,
    0.141, 0.127, 0.605, -0.422, -0.194, -0.132, 0.088, 0.108, 0.574, -0.013, 0.046, 0.762,
]  # fmt: skip


def split_search(branch_and_bound, crown_lower, split_relu):
    """Your search over the cases of neurons: the verdict and the bound of each part in turn."""
    met = []

    def bound(pre):
        met.append(float(crown_lower(rivals, pre, *around)))
        return met[-1]

    def split(pre):
        return split_worst(pre, split_relu)

    # no attack: any point of the box would do for each part, and none was found before
    return branch_and_bound(bound, lambda pre: (None, float("inf")), split, first_layer, 0.0, 2000)[0], met


verdict, met = mine_or(
    lambda: split_search(branch_and_bound, crown_lower, split_relu),
    lambda: ("verified", COURSE_BOUNDS),
    "branch_and_bound, crown_lower or split_relu",
)
picture = draw_part_bounds(met, guess_parts)
print(f"4 against 9 within 0.08: {verdict}")

# %% [markdown]
# So this is the answer to lab 1's open question: **split neurons**, since what makes a bound loose is not the number of
# inputs but the ReLUs that bend. Pixels matter only as far as they make neurons unstable.
#
# It is *not* complete as you have it, and four lines show it. $y = |x| = \mathrm{relu}(x) + \mathrm{relu}(-x)$ is never below
# 0. Split both of its neurons, on $[-1, 3]$: either $x \le 0$, or $x \ge 0$. What will the two bounds be?

# %%
ends = (torch.tensor([-1.0]).double(), torch.tensor([3.0]).double())
both_ways = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False)).double()
both_ways.load_state_dict({"0.weight": torch.tensor([[1.0], [-1.0]]), "2.weight": torch.ones(1, 2)})
zeros = torch.zeros(2).double(), torch.zeros(1).double()
absolute = [(part.weight.detach(), zero) for part, zero in zip(both_ways[::2], zeros, strict=True)]


def two_cases(crown_lower, split_relu):
    """The bounds on |x| for x <= 0 and for x >= 0: one neuron inactive, the other active, and the other way round."""
    start = library_pairs(both_ways, *ends, "ibp")[:1]
    left = split_relu(split_relu(start, 0, 0)[0], 0, 1)[1]
    right = split_relu(split_relu(start, 0, 0)[1], 0, 1)[0]
    return [float(crown_lower(absolute, case, *ends)) for case in (left, right)]


for case, bound in zip(
    ["x <= 0", "x >= 0"],
    mine_or(lambda: two_cases(crown_lower, split_relu), lambda: [-3.0, -1.0], "crown_lower or split_relu"),
    strict=True,
):
    print(f"{case}: |x| is at least {bound:g}, says the bound; at least 0, say you")

# %% [markdown]
# In the first case the bound is that of $-x$ on all of $[-1, 3]$. It has *forgotten* the condition $x \le 0$. Keeping
# the condition, with a multiplier for each split neuron, makes the search complete: that is
# $\beta$-CROWN (Wang et al. 2021), and `verify()` does it. What does it say about the digit, and about a larger radius?

# %% tags=["only-shows"]
from verifier import linear, verify

four_above_nine = [0.0] * 10
four_above_nine[4], four_above_nine[9] = 1.0, -1.0
print(f"|x| >= 0 on [-1, 3]: {verify(both_ways, [[-1, 3]], [[0, None]]).verdict.value}")
for radius in [0.08, 0.09]:
    pixels = torch.stack(digit.box(radius), dim=1)
    result = verify(digit.net, pixels, linear(four_above_nine), max_subdomains=2000, progress=False)
    print(f"4 against 9 within {radius}: {result.verdict.value}")

# %% [markdown]
# ## 6. The race
# Twenty questions about lab 1's network: ten boxes, and for each of them a limit a little below the least output and
# one a little above it. (The least outputs come from a fine grid, so the first ten are true, and the others false.) Four
# runners: your search with CROWN, your search with intervals, auto-LiRPA's optimised bounds, which do not split, and
# `verify()`. The cell takes about half a minute. Who settles all twenty, and who is the fastest?

# %% tags=["only-shows"]
import time

from course_utils.own_verifier import Stopwatch

centres = [
    (0.5, 0.5),
    (0.5, 0.5),
    (0.3, 0.6),
    (0.7, 0.3),
    (0.8, 0.8),
    (0.4, 0.4),
    (1.0, 0.5),
    (1.2, 1.2),
    (0.6, 0.9),
    (0.75, 0.75),
]
halves_of_sides = [0.1, 0.3, 0.2, 0.15, 0.1, 0.4, 0.3, 0.25, 0.5, 0.75]
least_outputs = [1.01, 0.958, 0.304, 0.599, 0.033, -0.313, 0.003, -0.011, -0.055, -0.313]
questions = [
    ([[centre - half, centre + half] for centre in middle], round(least + shift, 3))
    for shift in (-0.02, 0.02)
    for middle, half, least in zip(centres, halves_of_sides, least_outputs, strict=True)
]


def mine(my_verify, method, max_parts):
    return lambda box, limit: my_verify(network, box, limit, method, max_parts)[0]


def library(**options):
    return lambda box, limit: verify(network, box, [[limit, None]], progress=False, **options).verdict.value


def race(ask):
    """The verdict and the CPU seconds of each question; the first is asked twice, since some libraries warm up."""
    ask(*questions[0])
    entries = []
    for box, limit in questions:
        started = time.process_time()
        entries.append((ask(box, limit), time.process_time() - started))
    return entries


def library_split(method):
    def ask(box, limit):
        return split_trace(network, box, [[limit, None]], method=method, max_subdomains=1000).result.verdict.value

    return ask


runners = {}
for name, method, max_parts in [("CROWN", "crown", 1000), ("intervals", "ibp", 200)]:
    label, entries = mine_or(
        lambda name=name, method=method, most=max_parts: (f"yours, {name}", race(mine(my_verify, method, most))),
        lambda name=name, method=method: (f"the library's, {name}", race(library_split(method))),
        "my_verify",
    )
    runners[label] = entries
runners["auto-LiRPA, no split"] = race(library(method="auto_lirpa_optimized"))
runners["verify()"] = race(library(max_subdomains=2000))

# %% tags=["only-shows"]
from course_utils.plots import draw_race

picture = draw_race(runners)

# %% [markdown]
# Look at the columns. Questions 11 to 20 are false, so only an attack settles them: bounds alone never say
# "falsified". Where CROWN's bound is too loose, auto-LiRPA stops and yours goes on splitting. Intervals need so many
# parts that 200 are often too few. `verify()` runs from cheap to expensive: intervals, CROWN, an attack, a search in compiled code.
#
# Where does your time go? The stopwatch counts the ten true questions, with CROWN.

# %% tags=["only-shows"]
from course_utils.plots import draw_where_time_goes


def time_of_parts(branch_and_bound, split_box):
    """CPU seconds of your search on the true questions, by what they were spent on."""
    watch = Stopwatch()
    started = time.process_time()
    for box, limit in questions[:10]:
        lower, upper = (torch.tensor(side, dtype=torch.float64) for side in zip(*box, strict=True))
        bound, attack = watch.timed("bound", crown_bound(network)), watch.timed("attack", attack_on(network))
        split = watch.timed("split", split_box)
        branch_and_bound(bound, attack, split, (lower, upper), limit, 1000)
    seconds = dict(watch.seconds)
    return {**seconds, "the loop itself": max(0.0, time.process_time() - started - sum(seconds.values()))}


spent = mine_or(
    lambda: time_of_parts(branch_and_bound, split_box),
    lambda: {"bound": 0.20, "attack": 1.21, "split": 0.01, "the loop itself": 0.01},  # measured on one machine
    "branch_and_bound",
)
picture = draw_where_time_goes(spent)

# %% [markdown]
# An attack on *every* part is the expensive way: most of the parts hold no counterexample. What would you change? (Fewer
# steps inside parts; an attack at the start only; all open parts in one batch, as `verify()` does. Try one: how much
# faster does your search become, and does any verdict change?)

# %% [markdown]
# ## 7. Sound and complete
# A verifier is **sound** if what it claims is right: "verified" and "falsified" are never wrong. It is **complete** if,
# given time, it always comes to a claim.
#
# **Written question (4 points, graded by hand).** In six to ten sentences: is your verifier sound, and what does that
# rest on? (Think of the bounds, of the loop, of the counterexample, and of what a computer does to real numbers.) Is it complete with `split_box`, and is it
# with `split_relu`? Which would you give up first if you had to, soundness or completeness, and why?

# %% [markdown] nbgrader={"grade": true, "grade_id": "sound_complete", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# Sound in exact arithmetic (1 point): every bound encloses all outputs of its part (the proof of part 3), the parts cover the box, so
# if all are proved the whole is; a counterexample was evaluated in the network itself and lies in the box. Not quite sound in floats (1 point):
# sums are rounded and the bounds are not moved outwards, so a margin of about $10^{-14}$ may be decided wrongly; the network
# that is run in float32 is another function than the one bounded in float64. Completeness (1 point): with `split_box`
# it comes to an answer for every question except where the least output is exactly the limit, though the number of parts grows exponentially with
# the inputs; with `split_relu` it is not complete, since the bound forgets the condition of its part ($|x|$).
# Giving up (1 point for a reason): completeness, because "unknown" is honest and can be followed by more work, while a wrong
# "verified" is believed; or an argument about what the answer is used for.
# ### END SOLUTION

# %% [markdown]
# ## What to take away
# - Interval arithmetic is a forward pass with two numbers for each neuron. It is cheap, sound and loose.
# - ReLU fits between two lines. Carried backwards, lines become one linear function of the input: CROWN.
# - **Branch and bound** is one loop. What it splits and how it bounds are arguments.
# - An attack cannot prove, and a bound cannot falsify. A verifier needs both.
# - With few inputs, split boxes. With many, split the neurons that bend.
#
# ### To read
# - Goodfellow, Shlens, Szegedy: [Explaining and Harnessing Adversarial Examples](https://arxiv.org/abs/1412.6572). 2015. FGSM.
# - Madry et al.: [Towards Deep Learning Models Resistant to Adversarial Attacks](https://arxiv.org/abs/1706.06083). 2018. PGD.
# - Zhang et al.: [Efficient Neural Network Robustness Certification with General Activation Functions](https://arxiv.org/abs/1811.00866). 2018. CROWN, parts 2 and 3.
# - Singh et al.: [An Abstract Domain for Certifying Neural Networks](https://doi.org/10.1145/3290354). 2019. DeepPoly, the same bounds found independently.
# - Bunel et al.: [Branch and Bound for Piecewise Linear Neural Network Verification](https://arxiv.org/abs/1909.06588). 2020. Part 4, and part 5 in general form.
# - Xu et al.: [Fast and Complete](https://arxiv.org/abs/2011.13824). 2021. Optimised slopes ($\alpha$-CROWN).
# - Wang et al.: [Beta-CROWN](https://arxiv.org/abs/2103.06624). 2021. Splits as constraints with multipliers.
# - Katz et al.: [Reluplex](https://arxiv.org/abs/1702.01135). 2017. How it began: ReLUs split inside a solver.
#
# **An open question.** Your lines know one neuron at a time. Two neurons of a layer depend on the same inputs, so
# not every pair of their values can occur. What would you enclose, if not each ReLU by itself?
