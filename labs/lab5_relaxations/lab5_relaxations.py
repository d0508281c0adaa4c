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
# # Lab 5: Convex relaxations, and the nearest adversarial example
#
# **What you will learn.** How far an input is from the nearest one of another class, and why that distance need not be
# attained; how a triangle around each ReLU turns a network into a linear program; what such a program proves and what it
# does not; how its answer is made good against rounding; and what tighter relaxations cost.
#
# **What you need.** Labs 1 and 2. What "linear program" means is said here.
#
# **Time.** 90 minutes. Seven parts and a written question, 40 points. No cell takes longer than half a minute.
#
# Run the cells from top to bottom. Where a cell says `# YOUR CODE HERE`, replace that line and the one below it. A
# check cell follows every exercise and answers at once; hidden tests with other numbers follow when the lab is
# graded. If you skip an exercise, its cell and its check end with an error: go on with the cell below them. The next
# part then goes on with numbers or a library call, and says so.
#
# One cell asks you to **commit to a guess** first: write a number where it says `None`. It is not graded.
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
# ## 1. Pointwise robustness, by hand
# A classifier reads an input $x_0$ as some class. How far is the nearest input of another class? Within a **radius**
# $\epsilon$ of $x_0$ the network is *robust at this point* if every input there has the same class. Distance needs a norm:
# $\|x - x_0\|_\infty$ is the largest change of any input, $\|x - x_0\|_1$ the sum of all changes.
#
# Two inputs, two hidden neurons, two outputs, small enough for paper:
#
# $$h = \mathrm{relu}\left(x + \begin{pmatrix}1\\1\end{pmatrix}\right), \qquad
# y = \begin{pmatrix}0 & 1\\1 & 0\end{pmatrix} h + \begin{pmatrix}2\\2\end{pmatrix}, \qquad x_0 = \begin{pmatrix}1\\2\end{pmatrix}.$$
#
# The class is the place of the largest output, counted from 0; of several that are equal, the **lowest** place. Work it
# out on paper before you go on: what is the class of $x_0$, and where is the nearest point of the other class?
#
# **Exercise (4 points).** Write `classify(weights, biases, x)`: the class of one input. `weights` and `biases` are lists
# with one entry per layer, a weight being a list of rows. There is a ReLU between each two layers, none after the last.
# Compute with the numbers as they come. A float holds about 16 digits, so a tie in floats need not be a tie.


# %% nbgrader={"grade": false, "grade_id": "classify", "locked": false, "schema_version": 3, "solution": true, "task": false}
def classify(weights, biases, x):
    """The class of one input: the place of the largest output, the lowest of several that are equal."""
    ### BEGIN SOLUTION
    h = list(x)
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True), start=1):
        z = [sum(w * value for w, value in zip(row, h, strict=True)) + b for row, b in zip(weight, bias, strict=True)]
        h = z if number == len(weights) else [max(value, 0) for value in z]
    return h.index(max(h))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "classify_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: classify
def check():
    from course_utils.checks import passed

    weights, biases = [[[1, 0], [0, 1]], [[0, 1], [1, 0]]], [[1, 1], [2, 2]]
    assert int(classify(weights, biases, [1.0, 2.0])) == 0, "at (1, 2) the outputs are 5 and 4"
    assert int(classify(weights, biases, [3.0, 2.0])) == 1, "at (3, 2) the outputs are 5 and 6"
    assert int(classify(weights, biases, [1.5, 1.5])) == 0, "at (1.5, 1.5) the outputs are equal: the lowest place"
    assert int(classify([[[1], [-1]]], [[0, -5]], [-3.0])) == 1, "an output may be negative: is there a ReLU after it?"
    close = [[[1, 0], [0, 1]], [[0, 1], [1, 0]]], [[1, 1], [2**60, 2**60]]
    assert int(classify(*close, [3, 2])) == 1, "2^60 + 3 and 2^60 + 4 are one float: compute with whole numbers here"
    passed("classify", 4)
    ### BEGIN HIDDEN TESTS
    import itertools

    import numpy as np

    drawn = np.random.RandomState(3)
    for sizes in [(2, 3, 3), (1, 4, 2), (3, 3, 3, 4), (2, 5), (2, 2, 2, 2, 2)]:
        net = [
            (drawn.randint(-3, 4, (m, n)).tolist(), drawn.randint(-3, 4, m).tolist())
            for n, m in itertools.pairwise(sizes)
        ]
        for shift in [0] * 8 + [2**60] * 4:
            net[-1] = (net[-1][0], [b + shift for b in net[-1][1]])
            point = drawn.randint(-3, 4, sizes[0]).tolist()
            h = np.array(point)
            for place, (weight, bias) in enumerate(net):
                h = np.array(weight) @ h + np.array(bias)
                h = h if place == len(net) - 1 else np.maximum(h, 0)
            got = int(classify([w for w, _ in net], [b for _, b in net], point))
            assert got == int(np.argmax(h)), "try networks with one layer, with many, with ties and negative outputs"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# The library takes such arrays as a network. `pointwise_robustness` encloses the distance from both sides.

# %% tags=["only-shows"]
from course_utils.plots.relaxations import draw_regions
from course_utils.relaxations import WORKED_EXAMPLE
from verifier import Network, pointwise_robustness

by_hand = Network.from_arrays(*WORKED_EXAMPLE)
x0 = [1.0, 2.0]
worked = pointwise_robustness(by_hand, x0, 1.5)
print(worked)
print(f"the example: ({worked.counterexample[0]:.5f}, {worked.counterexample[1]:.5f}), class {worked.label_found}")


def class_at_of(classify):
    """The student's function for the worked example, tried once."""
    int(classify(*WORKED_EXAMPLE, x0))
    return lambda x: int(classify(*WORKED_EXAMPLE, x))


class_at = mine_or(lambda: class_at_of(classify), lambda: by_hand.classify, "classify")
picture = draw_regions(class_at, x0, 1.5, worked)

# %% [markdown]
# Near $x_0$ both ReLUs are active, so $y_0 = x_2 + 3$ and $y_1 = x_1 + 3$: the border is the line $x_1 = x_2$, and the
# nearest point of it, in the largest change, is $(1.5, 1.5)$, half a unit away. But *there* the outputs tie, and a tie is
# class 0. A point $(1.5 + t, 1.5 - t)$ is class 1 for every $t > 0$, however small. So 0.5 is the **infimum** of the
# distances, and no adversarial example attains it. What can be claimed are two ends:
#
# - `lower`: below it there is provably no other class;
# - `upper`: the distance of an example that exists, that was run, and that has another class.
#
# Five decimals of both are 0.50000. A tie is not robust either: at the smallest change of a weight it may tip over. So the
# library calls $\epsilon = 0.5$ "not robust", although no point of that ball is of class 1:

# %% tags=["only-shows"]
for radius in (0.49, 0.5):
    print(f"radius {radius}: {pointwise_robustness(by_hand, x0, radius)}")
picture = draw_regions(class_at, x0, 1.5, pointwise_robustness(by_hand, x0, 1.5, norm=1), norm="1")

# %% [markdown]
# With the sum of all changes as the distance, the ball is a diamond, and the same border is 1 away.

# %% [markdown]
# ## 2. A triangle around ReLU
# On paper we could follow the ReLUs. With a hundred neurons there are $2^{100}$ cases. A **relaxation** gives up to follow them:
# it replaces the graph of each ReLU by a *convex set* around it, so that all of them together can be handled by a linear program.
#
# Suppose we know $l \le z \le u$ for the input $z$ of a ReLU, and $l < 0 < u$: the neuron is *unstable*. The smallest convex
# set around the graph of $h = \mathrm{relu}(z)$ on $[l, u]$ is a triangle. A neuron with $l \ge 0$ or $u \le 0$ is *stable*:
# it is a line, and needs no relaxation.
#
# **Exercise (5 points).** Write `triangle(lower, upper)`: a list of rows $(a, b, c)$, each of which means $a z + b h \le c$,
# that describe the set: 3 points for unstable neurons, 2 points for stable ones, where the rows must leave nothing but the
# line. Rows need not say $l \le z \le u$, which we know anyway. An equation is two rows.


# %% nbgrader={"grade": false, "grade_id": "triangle", "locked": false, "schema_version": 3, "solution": true, "task": false}
def triangle(lower, upper):
    """Rows (a, b, c), each for a z + b h <= c, around h = relu(z) on lower <= z <= upper."""
    ### BEGIN SOLUTION
    if lower >= 0:
        return [(1, -1, 0), (-1, 1, 0)]
    if upper <= 0:
        return [(0, 1, 0), (0, -1, 0)]
    slope = upper / (upper - lower)
    return [(0, -1, 0), (1, -1, 0), (-slope, 1, -slope * lower)]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "triangle_check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# uses: triangle
def check():
    import numpy as np

    from course_utils.checks import passed

    def allows(lower, upper, z, h):
        rows = np.array([[float(part) for part in row] for row in triangle(lower, upper)])
        assert rows.ndim == 2 and rows.shape[1] == 3, f"expected rows (a, b, c), found an array of shape {rows.shape}"
        return bool((rows[:, 0] * z + rows[:, 1] * h <= rows[:, 2] + 1e-9).all())

    def around(lower, upper, z):
        """The least and the greatest h that belong at z."""
        if lower < 0 < upper:
            return max(z, 0.0), upper * (z - lower) / (upper - lower)
        return max(z, 0.0), max(z, 0.0)

    def right(lower, upper):
        for z in np.linspace(lower, upper, 9):
            low, high = around(lower, upper, z)
            if not (allows(lower, upper, z, low) and allows(lower, upper, z, high)):
                return False
            if allows(lower, upper, z, low - 1e-3) or allows(lower, upper, z, high + 1e-3):
                return False
        return True

    for z, h in [(-1.0, 0.0), (0.0, 0.0), (3.0, 3.0), (0.0, 0.75), (1.0, 1.25)]:
        assert allows(-1.0, 3.0, z, h), f"on [-1, 3] the point z = {z}, h = {h} belongs to the triangle"
    for z, h in [(2.0, 1.5), (-0.5, -0.1), (0.0, 0.9), (-1.0, 0.1)]:
        assert not allows(-1.0, 3.0, z, h), f"on [-1, 3] the point z = {z}, h = {h} is outside: is a side missing?"
    stable = right(1.0, 2.0) and right(-2.0, -1.0)
    points = 5 if stable else 3
    if not stable:
        print("unstable neurons: right. On [1, 2] and on [-2, -1] a line is all that belongs there")
    passed("triangle", points)
    ### BEGIN HIDDEN TESTS
    drawn = np.random.RandomState(5)
    for _ in range(40):
        low, high = -(10 ** drawn.uniform(-1, 1)), 10 ** drawn.uniform(-1, 1)
        assert right(low, high), "unstable: three sides, no point of the graph cut off, for narrow and wide intervals"
    ends = [(0.0, 1.0), (-1.0, 0.0), (0.5, 4.0), (-3.0, -0.25)]
    points -= 2 * bool(points == 5 and not all(right(low, high) for low, high in ends))
    ### END HIDDEN TESTS
    return points


check()

# %%
from course_utils.plots.relaxations import draw_triangle

course_rows = [(0, -1, 0), (1, -1, 0), (0, 1, 3)]  # a box: 0 <= h <= 3 and h >= z
rows = mine_or(lambda: [tuple(map(float, row)) for row in triangle(-1.0, 3.0)], lambda: course_rows, "triangle")
picture = draw_triangle(rows, -1.0, 3.0)

# %% [markdown]
# The triangle has area $-l\,u/2$, here 1.5. (The course's own set, if you see it, is larger: it only knows $h \le u$.) The wider the interval, the more
# is lost, and it is lost for each unstable neuron. So everything depends on good bounds $l$, $u$.
#
# ## 3. A network as a linear program
# The inputs, the pre-activations and the activations all become **variables**, and everything that is known of them becomes
# a **row**: a sum of variables with coefficients that stays below a limit. A Linear layer is exact, $z = W h + b$, two rows for each neuron;
# a ReLU is the rows of its triangle. A solver then finds the least value of any output under all rows: a *linear program*.
#
# Variables have names: `"x0"`, `"x1"`, ... are the inputs, `"z0_2"` and `"h0_2"` stand before and after the ReLU of neuron 2
# in hidden layer 0, and `"y0"`, `"y1"`, ... are the outputs. A row is a pair: a dict of coefficients by name, and the
# limit from above. So $h - 2 z \le 3$ is `({"h0_0": 1, "z0_0": -2}, 3)`.
#
# **Exercise (7 points).** Write `network_rows(layers, known)`: the list of all rows. `layers` is a list of `(weight, bias)` pairs as lists,
# `known[k]` is `(lower, upper)`, two lists with bounds on the pre-activations of hidden layer `k`. Use `triangle`. Limits on the
# inputs need no rows, the solver knows them. Bounds on `z` need rows only where your triangle needs them: it does not.


# %% nbgrader={"grade": false, "grade_id": "network_rows", "locked": false, "schema_version": 3, "solution": true, "task": false}
def network_rows(layers, known):
    """All that is known of a network's values as rows (coefficients by name, limit)."""
    ### BEGIN SOLUTION
    rows, before = [], [f"x{i}" for i in range(len(layers[0][0][0]))]
    for k, (weight, bias) in enumerate(layers):
        last = k == len(layers) - 1
        names = [f"y{j}" if last else f"z{k}_{j}" for j in range(len(bias))]
        for name, row, b in zip(names, weight, bias, strict=True):
            affine = {name: 1.0} | {other: -w for other, w in zip(before, row, strict=True)}
            rows += [(affine, b), ({other: -w for other, w in affine.items()}, -b)]
        if not last:
            before = [f"h{k}_{j}" for j in range(len(bias))]
            for z, h, lower, upper in zip(names, before, *known[k], strict=True):
                rows += [({z: a, h: b}, c) for a, b, c in triangle(lower, upper)]
    return rows
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "network_rows_check", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
# uses: network_rows
def check():
    import itertools

    import numpy as np

    from course_utils.checks import passed
    from course_utils.relaxations import hidden_bounds, least_value, library_least

    def values_at(layers, point):
        found, h = {f"x{i}": v for i, v in enumerate(point)}, np.array(point, dtype=float)
        for k, (weight, bias) in enumerate(layers):
            z = np.array(weight) @ h + np.array(bias)
            h = np.maximum(z, 0)
            last = k == len(layers) - 1
            found |= {f"y{j}" if last else f"z{k}_{j}": v for j, v in enumerate(z)}
            found |= {} if last else {f"h{k}_{j}": v for j, v in enumerate(h)}
        return found

    def rows_of(layers, known):
        return [
            ({str(n): float(v) for n, v in row.items()}, float(limit)) for row, limit in network_rows(layers, known)
        ]

    def holds(layers, known, point):
        values = values_at(layers, point)
        return all(sum(v * values[n] for n, v in row.items()) <= limit + 1e-7 for row, limit in rows_of(layers, known))

    def least(layers, known, lower, upper):
        found = least_value(rows_of(layers, known), {"y0": 1.0}, lower, upper)
        return None if found is None else found[0]

    tent = [([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [-0.25])]  # |x| - 1/4
    known = [([-1.0, -2.0], [2.0, 1.0])]
    for x in (-1.0, -0.3, 0.0, 1.7):
        assert holds(tent, known, [x]), f"|x| - 1/4 at x = {x}: a row cuts off the values that the network takes there"
    got = least(tent, known, [-1.0], [2.0])
    assert got is not None, "no values satisfy all rows: does every row point the right way?"
    assert abs(got + 0.25) < 1e-6, f"the least y0 is {got}, by hand -0.25: are all rows there?"
    greatest = least([tent[0], ([[-1.0, -1.0]], [0.25])], known, [-1.0], [2.0])
    assert abs(greatest + 1.75) < 1e-6, f"the greatest y0 is {-greatest}, by hand 1.75, at x = 2: is every side there?"
    passed("network_rows", 7)
    ### BEGIN HIDDEN TESTS
    drawn = np.random.RandomState(6)
    for sizes in [(2, 4, 1), (1, 3, 3, 2), (3, 2), (2, 4, 4, 4, 1)]:
        layers = [(drawn.randn(m, n).tolist(), drawn.randn(m).tolist()) for n, m in itertools.pairwise(sizes)]
        lower, upper = [-0.7] * sizes[0], [0.9] * sizes[0]
        bounds = hidden_bounds(layers, lower, upper)
        for _ in range(10):
            point = drawn.uniform(-0.7, 0.9, sizes[0]).tolist()
            assert holds(layers, bounds, point), "a relaxation encloses the network: no forward pass may break a row"
        plain_rows, before = [], [f"x{i}" for i in range(sizes[0])]
        for k, (weight, bias) in enumerate(layers):
            last = k == len(layers) - 1
            after = [f"y{j}" if last else f"z{k}_{j}" for j in range(len(bias))]
            for z, row, by in zip(after, weight, bias, strict=True):
                sums = {z: 1.0} | {name: -w for name, w in zip(before, row, strict=True)}
                plain_rows += [(sums, by), ({name: -w for name, w in sums.items()}, -by)]
            before = [f"h{k}_{j}" for j in range(len(bias))]
            for z, h, low, high in zip(after, before, *bounds[k], strict=True) if not last else ():
                if low >= 0:
                    plain_rows += [({z: 1, h: -1}, 0), ({z: -1, h: 1}, 0)]
                elif high <= 0:
                    plain_rows += [({h: 1}, 0), ({h: -1}, 0)]
                else:
                    plain_rows += [({h: -1}, 0), ({z: 1, h: -1}, 0)]
                    plain_rows += [({h: 1, z: -high / (high - low)}, -low * high / (high - low))]
        loosest = least_value(plain_rows, {"y0": 1.0}, lower, upper)[0]  # who adds rows for l <= z <= u may be tighter
        got, tightest = least(layers, bounds, lower, upper), library_least(layers, bounds, lower, upper)
        assert got is not None, "deeper networks: do your rows contradict each other?"
        assert loosest - 1e-5 <= got <= tightest + 1e-5, "deeper networks, more outputs: is every neuron there?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# Now a real network, still small: digits of 7 by 7 pixels, each the average of 4 by 4 of the MNIST images.
#
# **Exercise (4 points).** Build `nn_small` with `nn.Sequential`: 49 inputs, two hidden layers of 12 to 16 neurons with ReLU, 10 outputs.
# Train it with `classification_model` and `train(model, dataset, epochs=...)`. Twenty epochs are enough for 80 of 100
# test digits, which earns all points. Small is right here: you will see what each neuron costs.

# %%
import torch
from torch import nn

from course_utils.models import classification_model
from course_utils.relaxations import small_digits
from course_utils.training import train

dataset, test_digits = small_digits("train"), small_digits("test")

# %% nbgrader={"grade": false, "grade_id": "nn_small", "locked": false, "schema_version": 3, "solution": true, "task": false}
torch.manual_seed(1)
### BEGIN SOLUTION
nn_small = nn.Sequential(nn.Linear(49, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 10))
losses = train(classification_model(nn_small, learning_rate=3e-3), dataset, epochs=20)
### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "nn_small_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: nn_small
def check():
    import torch

    from course_utils.checks import passed
    from course_utils.relaxations import is_small_digit_network, small_digits
    from verifier import layers

    found = layers(nn_small)
    kinds = [step.kind for step in found]
    assert set(kinds) <= {"Linear", "ReLU"}, (
        f"found {sorted(set(kinds) - {'Linear', 'ReLU'})}; Linear and ReLU are enough"
    )
    wanted = ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert kinds == wanted, f"the layers are {kinds}; two hidden layers with ReLU were asked for"
    assert not is_small_digit_network(nn_small), "this is the course's own network: train one yourself"
    images, labels = small_digits("test").tensors
    with torch.no_grad():
        accuracy = float((nn_small(images).argmax(dim=1) == labels).float().mean())
    sizes = [len(parameter) for parameter in nn_small.parameters() if parameter.ndim == 2][:-1]
    assert all(12 <= size <= 16 for size in sizes), f"the hidden layers have {sizes} neurons; 12 to 16 were asked for"
    assert accuracy >= 0.6, f"{accuracy:.1%} of the test digits are read rightly; does the loss still fall at the end?"
    points = 4 if accuracy >= 0.8 else 2
    print(f"nn_small: {accuracy:.1%} of the test digits are read rightly")
    passed("nn_small", points)
    return points


check()

# %%
from course_utils.relaxations import right_digit, runner_up, small_digit_network

network = mine_or(lambda: (right_digit(nn_small.eval(), test_digits, 3), nn_small)[1], small_digit_network, "nn_small")
digit = right_digit(network, test_digits, 3)
other = runner_up(network, digit, 3)
print(f"a 3; next to it the network thinks of {other}")

# %% [markdown]
# ## 4. What the program tells, and what it does not
# Is the 3 still a 3 wherever every pixel changes by at most 0.04? We ask for the least **margin** $y_3 - y_{other}$: a network with one output more, the
# difference of two. If the least margin under the rows is above 0, the true one is, too, since the rows **enclose** the network:
# every forward pass satisfies them. That is a proof, and the same as to say: the program with the extra row "margin $\le 0$" is *infeasible*, so no adversarial example exists.
#
# If it is not above 0, the solver gives a point where the rows allow such a margin. That is a **candidate**. Its $h$ may lie
# inside the triangles, where the network never is. Only its *input* can be used: run the network there and see.
#
# **Exercise (4 points).** Write `what_lp_says(least, candidate, label, weights, biases)`. `least` is a lower bound on the
# margin that was made good, `candidate` an input or `None`. It gives `"verified"`, `"falsified"` or `"unknown"`. Use `classify`. At a
# tie the label keeps its class if its place is lower, but a margin of exactly 0 proves nothing.


# %% nbgrader={"grade": false, "grade_id": "what_lp_says", "locked": false, "schema_version": 3, "solution": true, "task": false}
def what_lp_says(least, candidate, label, weights, biases):
    """The verdict from a lower bound on the margin and an unchecked candidate."""
    ### BEGIN SOLUTION
    if least > 0:
        return "verified"
    if candidate is not None and classify(weights, biases, candidate) != label:
        return "falsified"
    return "unknown"
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "what_lp_says_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: what_lp_says
def check():
    from course_utils.checks import passed

    weights, biases = [[[1, 0], [0, 1]], [[0, 1], [1, 0]]], [[1, 1], [2, 2]]

    def said(least, candidate, label=0):
        return str(what_lp_says(least, candidate, label, weights, biases))

    assert said(0.25, None) == "verified", "the least margin is above 0: no input has another class"
    assert said(-0.5, [3.0, 2.0]) == "falsified", "the network calls (3, 2) class 1: replayed, it is an example"
    assert said(-0.5, [1.0, 2.0]) == "unknown", "the network calls (1, 2) class 0: the candidate is none"
    assert said(-0.5, None) == "unknown", "no proof, and nothing to replay"
    passed("what_lp_says", 4)
    ### BEGIN HIDDEN TESTS
    assert said(0.0, None) == "unknown", "a margin of exactly 0 allows a tie"
    assert said(0.0, [1.5, 1.5]) == "unknown", "at a tie the lower place keeps its class"
    assert said(0.0, [1.5, 1.5], 1) == "falsified", "at a tie the higher place loses its class"
    assert said(-2.0, [1.0, 2.0], 1) == "falsified", "is the candidate compared with the label?"
    assert said(1e-9, [3.0, 2.0]) == "verified", "a bound that was made good needs no candidate"
    assert said(-1e-9, [2.0, 1.0], 1) == "unknown", "a bound below 0 proves nothing, however close to 0 it is"
    ### END HIDDEN TESTS


check()

# %%
from course_utils.relaxations import hidden_bounds, least_value, library_least, margin_layers

radius = 0.04
lower, upper = (digit - radius).tolist(), (digit + radius).tolist()
layers = margin_layers(network, 3, other)
known = hidden_bounds(layers, lower, upper)
unstable = sum(low < 0 < high for pair in known for low, high in zip(*pair, strict=True))
least = mine_or(
    lambda: least_value(network_rows(layers, known), {"y0": 1.0}, lower, upper)[0],
    lambda: library_least(layers, known, lower, upper),
    "network_rows",
)
print(f"{unstable} unstable neurons; the least margin y3 - y{other} that the rows allow: {least:.6f}")

# %% [markdown]
# ### Made good against rounding
# A solver computes in floats and stops at a tolerance. Its "optimal" and its "infeasible" are words. But they come with evidence
# that can be checked: one **multiplier** $y_i \ge 0$ for each row. For a program
#
# $$\min\ c \cdot v \quad \text{where} \quad A v \le b,\ \ l \le v \le u$$
#
# and *any* multipliers $y \ge 0$, every $v$ that satisfies all rows has $y \cdot (b - A v) \ge 0$, so
#
# $$c \cdot v \;\ge\; c \cdot v - y \cdot (b - A v) \;=\; -\,y \cdot b + (c + A^T y) \cdot v \;\ge\; -\,y \cdot b + \sum_j \min\{r_j l_j,\ r_j u_j\}, \qquad r = c + A^T y.$$
#
# Nothing on the right depends on the solver being right. Good multipliers make it tight; bad ones make it loose; none make it wrong.
#
# **Exercise (7 points).** Write `safe_bound(cost, matrix, right, lower, upper, y)`: the right-hand side in exact fractions. Python's
# `Fraction(0.1)` is the float 0.1 exactly. A multiplier below 0, which rounding may give, counts as 0.


# %% nbgrader={"grade": false, "grade_id": "safe_bound", "locked": false, "schema_version": 3, "solution": true, "task": false}
from fractions import Fraction


def safe_bound(cost, matrix, right, lower, upper, y):
    """A lower bound on the program's least cost that holds for any multipliers, as a Fraction."""
    ### BEGIN SOLUTION
    y = [max(Fraction(value), Fraction(0)) for value in y]
    reduced = [Fraction(c) for c in cost]
    bound = Fraction(0)
    for multiplier, row, limit in zip(y, matrix, right, strict=True):
        if multiplier:
            bound -= multiplier * Fraction(limit)
            for j, a in enumerate(row):
                if a:
                    reduced[j] += multiplier * Fraction(a)
    return bound + sum(min(r * Fraction(a), r * Fraction(b)) for r, a, b in zip(reduced, lower, upper, strict=True))
    ### END SOLUTION


# the rest of this cell puts your function to use; leave it as it is
def safe_bound_text(cost, matrix, right, lower, upper, y):
    """Your bound, written as a fraction."""
    return str(Fraction(safe_bound(cost, matrix, right, lower, upper, y)))


# %% nbgrader={"grade": true, "grade_id": "safe_bound_check", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
# uses: safe_bound_text
def check():
    from fractions import Fraction

    from course_utils.checks import passed

    def bound(*program):
        return Fraction(safe_bound_text(*program))

    # least v0 + v1 where v0 + v1 >= 1, that is -v0 - v1 <= -1, on [0, 2]^2: it is 1, with the multiplier 1
    small = ([1.0, 1.0], [[-1.0, -1.0]], [-1.0], [0.0, 0.0], [2.0, 2.0])
    assert bound(*small, [1.0]) == 1, "with the multiplier 1 the bound is the least cost, 1"
    assert bound(*small, [0.0]) == 0, "without multipliers only the limits of v are left: 0"
    assert bound(*small, [0.5]) == Fraction(1, 2), "with 1/2: 1/2 from the row, and 1/2 v0 + 1/2 v1 is at least 0"
    assert bound(*small, [2.0]) == -2, "with 2: 2 from the row, and -v0 - v1 is at least -4"
    passed("safe_bound", 7)
    ### BEGIN HIDDEN TESTS
    import numpy as np

    assert bound(*small, [-1.0]) == 0, "a multiplier below 0 counts as 0, or it would prove what is not true"
    drawn = np.random.RandomState(9)
    for _ in range(25):
        n, m = int(drawn.randint(1, 5)), int(drawn.randint(1, 5))
        cost, matrix, y = drawn.randn(n), drawn.randn(m, n), drawn.randn(m)
        lower = drawn.randn(n)
        upper = lower + np.abs(drawn.randn(n))
        inside = lower + drawn.rand(n) * (upper - lower)
        right = matrix @ inside + np.abs(drawn.randn(m))
        got = bound(*(part.tolist() for part in (cost, matrix, right, lower, upper, y)))
        assert float(got) <= float(cost @ inside) + 1e-12, "a point that satisfies all rows costs less than the bound"
        exact = sum(
            -max(Fraction(v), Fraction(0)) * Fraction(b) for v, b in zip(y.tolist(), right.tolist(), strict=True)
        )
        for j in range(n):
            r = Fraction(float(cost[j]))
            for i in range(m):
                r += max(Fraction(float(y[i])), Fraction(0)) * Fraction(float(matrix[i, j]))
            exact += min(r * Fraction(float(lower[j])), r * Fraction(float(upper[j])))
        assert got == exact, "exactly: Fractions of all numbers, and for each v the worse of its two limits"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# The same for the digit: HiGHS proposes the multipliers, your function says what they prove. Then noise is added to them.

# %%
import numpy as np

from course_utils.relaxations import with_multipliers


def made_good(network_rows, safe_bound):
    """The solver's word and what its multipliers prove, as proposed and with noise."""
    program = with_multipliers(network_rows(layers, known), {"y0": 1.0}, lower, upper)
    proved = [safe_bound(**program)]
    noise = np.random.default_rng(0)
    for size in (1e-9, 1e-6):
        y = [value + size * abs(noise.normal()) for value in program["y"]]
        proved.append(safe_bound(**program | {"y": y}))
    return [float(value) for value in proved]


proved = mine_or(lambda: made_good(network_rows, safe_bound), lambda: [least - 1e-9], "network_rows or safe_bound")
print(f"the solver's word: {least:.9f}")
for text, value in zip(("its multipliers prove", "with noise of 1e-9", "with noise of 1e-6"), proved, strict=False):
    print(f"{text:<22} {value:.9f}")

# %% [markdown]
# The last bounds are much looser: variables without a limit of their own were given one of a million here, and every error in a multiplier is multiplied by it. Tight limits
# on all variables, such as the `known` bounds, make a bound robust. The library does that, in floats with their rounding accounted for (Neumaier and Shcherbina).
#
# ### From both sides
# The distance itself can stand in the program: minimise $d$ where $-d \le x_i - x_{0,i} \le d$ and "margin $\le 0$". With triangles that gives a **lower** bound on the
# distance. An attack gives an **upper** one. With a whole number $\delta \in \{0, 1\}$ for each unstable ReLU the program is exact:
#
# $$h \ge 0, \quad h \ge z, \quad h \le z - l\,(1 - \delta), \quad h \le u\,\delta.$$
#
# That is a *mixed-integer* program, MILP. It takes longer: solvers split on the $\delta$. Which methods know how much?

# %% tags=["only-shows"]
from course_utils.plots.relaxations import draw_distances
from course_utils.relaxations import distances

asked = [("inf", "crown"), ("inf", "lp"), ("inf", "attack"), ("inf", "milp"), (1, "crown"), (1, "lp"), (2, "crown")]
found = distances(network, digit, 0.2, asked, timeout_s=20)
picture = draw_distances(found, 0.2)

# %% [markdown]
# Read each bar from both ends. What is green is proved, and the cross is an example that was run. CROWN meets no example, the attack proves nothing, the LP does a bit of
# both, and MILP closes the gap: the library splits on the $\delta$ itself, and the multipliers of each part's LP are made good like those above. In the sum of all changes (norm 1) an attacker
# may change a single pixel by much, but all pixels together no more than that: in the same network the numbers are larger. In norm 2 the ball is round, so it does
# not fit into a linear program; linear functions such as CROWN's still have a least value on it.

# %% [markdown]
# ## 5. The ladder
# Now all relaxations on one question: the least margin within 0.05 of the digit. Interval arithmetic, CROWN with fixed slopes, CROWN with slopes found by gradient, the LP, and one more:
#
# **SDP.** A ReLU is three quadratic facts: $h \ge 0$, $h \ge z$, $h\,(h - z) = 0$. Put all values into one vector $v$ and all their products into the matrix $V = v v^T$. In $V$ the facts are
# *linear*. What is relaxed is only that $V$ has rank one: a **semidefinite program** asks for any $V$ without negative eigenvalues. It sees how neurons move *together*, and no triangle can.
# Example: $\mathrm{relu}(x_1 + x_2) + \mathrm{relu}(x_1 - x_2)$ on $[-1, 1]^2$. Each ReLU can be 2, but not both: the sum is at most 2. Triangles allow 3.
#
# How much of the way from interval arithmetic to the exact value will the LP have gone? Commit to the LP's bound on the margin, a number:

# %%
guess_lp = None  # your guess, a number; then run the next cell

# %% tags=["only-shows"]
from course_utils.plots.relaxations import draw_ladder
from course_utils.relaxations import ladder
from verifier import output_bounds

pair = Network.from_arrays([[[1, 1], [1, -1]], [[1, 1]]], [[0, 0], [0]])
for method in ("lp", "sdp"):
    print(
        f"two neurons on [-1, 1]^2, {method}: at most {output_bounds(pair, [[-1, 1]] * 2, method=method).upper[0]:.4f}"
    )
rungs = ladder(layers, (digit - 0.05).tolist(), (digit + 0.05).tolist())
picture = draw_ladder(rungs, guess_lp)

# %% [markdown]
# Each rung lies within the one before. Optimised CROWN and the LP nearly agree: CROWN's slopes *are* multipliers of the LP, so at its best it solves the same program. This is the **convex barrier**:
# no method that looks at neurons one by one gets past the LP. The SDP does. It may prove what the LP leaves open, and it takes many times as long: with $n$ values its matrix has $n^2$ entries. Splitting gets past the barrier, too,
# and that is how complete verifiers go on: on a network as small as this one even the exact value costs less than the SDP. (The library's SDP bound is made good like an LP's: the multipliers give a matrix, and its least eigenvalue says what they prove.)

# %% [markdown]
# ## 6. Convolutions are affine, too
# A convolution slides a small kernel over an image and adds up products. That is a sum of inputs with coefficients: a Linear layer with a large, sparse weight in which the same few numbers appear again and again. So all of this
# holds for convolutional networks as it is.
#
# **Exercise (5 points).** Write `conv_matrix(kernel, side)`. `kernel` is a square of numbers, k by k, a list of rows; the image is `side` by `side`, flattened row by row. The matrix has a row for each place where the kernel fits,
# row by row, and a column for each pixel: as `nn.Conv2d` computes it with stride 1, no padding and one channel. (It does not flip the kernel.)


# %% nbgrader={"grade": false, "grade_id": "conv_matrix", "locked": false, "schema_version": 3, "solution": true, "task": false}
def conv_matrix(kernel, side):
    """The weight, a list of rows, with which a Linear layer does what a convolution with this kernel does."""
    ### BEGIN SOLUTION
    size = len(kernel)
    places = range(side - size + 1)
    rows = []
    for top in places:
        for left in places:
            row = [0.0] * (side * side)
            for i in range(size):
                for j in range(size):
                    row[(top + i) * side + left + j] = kernel[i][j]
            rows.append(row)
    return rows
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "conv_matrix_check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# uses: conv_matrix
def check():
    import torch

    from course_utils.checks import as_tensor, passed

    def same(size, side, seed):
        generator = torch.Generator().manual_seed(seed)
        kernel = torch.randint(-3, 4, (size, size), generator=generator)
        image = torch.randint(-3, 4, (side * side,), generator=generator).double()
        matrix = as_tensor(conv_matrix(kernel.tolist(), side))
        shape = ((side - size + 1) ** 2, side * side)
        assert tuple(matrix.shape) == shape, f"the shape is {tuple(matrix.shape)}; places by pixels are {shape}"
        wanted = torch.nn.functional.conv2d(image.reshape(1, 1, side, side), kernel.double()[None, None]).reshape(-1)
        return torch.equal(matrix @ image, wanted)

    matrix = as_tensor(conv_matrix([[1, 2], [3, 4]], 3))
    assert tuple(matrix.shape) == (4, 9), (
        f"a 2 by 2 kernel fits at 4 places of 3 by 3 pixels, found {tuple(matrix.shape)}"
    )
    assert matrix[0].tolist() == [1, 2, 0, 3, 4, 0, 0, 0, 0], "the first row: the kernel in the upper left corner"
    assert same(2, 3, 0), "the product with a random image is not what conv2d computes"
    passed("conv_matrix", 5)
    ### BEGIN HIDDEN TESTS
    for size, side in [(1, 2), (2, 2), (3, 5), (2, 6), (4, 5)]:
        assert all(same(size, side, seed) for seed in range(3)), "other sizes, and kernels that are not symmetric"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# The course's convolutional network reads the same small digits: 4 kernels of 3 by 3, ReLU, Linear.

# %% tags=["only-shows"]
from course_utils.relaxations import small_conv_network

conv = small_conv_network()
picture_of_3 = right_digit(conv, test_digits, 3)
asked = [("inf", "crown"), ("inf", "lp"), ("inf", "milp"), (1, "lp")]
found_conv = distances(conv, picture_of_3, 0.3, asked, input_shape=(49,), timeout_s=20)
picture = draw_distances(found_conv, 0.3)

# %% [markdown]
# ## 7. What does it mean?
# **Written question (4 points, graded by hand).** A colleague shows you one LP for the whole ball: "The solver says *infeasible*, so the network is robust. For the next image it says *feasible*, so there the
# network is not robust, and here is the adversarial example: the solver's point." In six to ten sentences: which of the two conclusions may be drawn, and what is missing in each? What would you do with the solver's point? Your colleague's
# lower and upper ends of the distance are 0.012 and 0.019: what could be done to bring them together, and what does each way cost? And why can the distance 0.5 of part 1 not be attained?

# %% [markdown] nbgrader={"grade": true, "grade_id": "what_it_means", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# "Infeasible" is a proof, since the relaxation encloses the network: a real example would satisfy all rows (1 point). But a solver's word rests on floats and a tolerance; its multipliers (a Farkas ray) have to be evaluated again,
# exactly or with rounding accounted for. "Feasible" shows nothing: the point may use values inside the triangles that the network never takes; only its input can be run through the network, and it is an example if and only if the class
# there is another one (1 point). The gap closes from below by tighter bounds on the hidden neurons, a smaller ball, an SDP, or by splitting and MILP, which are exact and exponential in the number of unstable neurons; from above by a better attack, or by
# the points that the programs propose (1 point). At distance 0.5 the outputs tie and the tie goes to the class of x0: the set of inputs of the other class is open there, so its distance is an infimum that no point attains (1 point).
# ### END SOLUTION

# %% [markdown]
# ## What to take away
# - The distance to the nearest other class has two ends: a proof from below, an example from above. Report both.
# - A relaxation encloses the network. What it rules out is ruled out; what it allows is a candidate.
# - A solver's answer becomes a proof when its multipliers are evaluated again, and any multipliers will do.
# - No method that looks at neurons one by one passes the triangle LP. Looking at them together (SDP) or splitting does.
# - Convolutions, averages and batch norms are affine: nothing changes.
#
# ### To read
# - Ehlers: [Formal Verification of Piece-Wise Linear Feed-Forward Neural Networks](https://arxiv.org/abs/1705.01320). 2017. The triangle.
# - Raghunathan, Steinhardt, Liang: [Semidefinite relaxations for certifying robustness](https://arxiv.org/abs/1811.01057). 2018.
# - Salman et al.: [A Convex Relaxation Barrier to Tight Robustness Verification](https://arxiv.org/abs/1902.08722). 2019.
# - Tjeng, Xiao, Tedrake: [Evaluating Robustness of Neural Networks with Mixed Integer Programming](https://arxiv.org/abs/1711.07356). 2019.
# - Neumaier, Shcherbina: [Safe bounds in linear and mixed-integer linear programming](https://doi.org/10.1007/s10107-003-0433-3). 2004.
#
# **An open question.** The LP treats each neuron by itself, the SDP all together. What would a set around *two* neurons look like, and which pairs of neurons would be worth it?
