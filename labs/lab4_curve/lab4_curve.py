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
# # Lab 4: Proving a curve fit
#
# **What you will learn.** How to turn a network into a formula and hand it to an exact solver, Z3; how to read a proof, a
# counterexample and "unknown" there; how to find the smallest error that can be proved; why the plain formula becomes
# slow and what bounds do about it; and what a proof over the reals says about a program that computes in floats.
#
# **What you need.** Lab 1, and the ReLU network of lab 3: Linear layers with ReLU between them.
#
# **Time.** 60 to 90 minutes. Eight parts and a written question, 40 points. No cell takes longer than half a minute.
#
# Run the cells from top to bottom. Where a cell says `# YOUR CODE HERE`, replace that line and the one below it. A
# check cell follows every exercise and answers at once; hidden tests with other numbers follow when the lab is
# graded. If you skip an exercise, its cell and its check end with an error: go on with the cell below them. The next
# part then goes on with numbers or a library call, and says so.
#
# Some cells ask you to **commit to a guess** first: write a number where it says `None`. It is not graded.
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
# ## 1. A question with a formula in it
# Does a network recognise a cat? Nobody can write down what a cat is, so nobody can prove the answer. Here the truth is a
# formula: the Chebyshev polynomial
#
# $$T_4(x) = 8x^4 - 8x^2 + 1 \qquad \text{on } [-1, 1].$$
#
# A network learns it from samples, and then we ask: is the network within 0.1 of $T_4$ *everywhere* on $[-1, 1]$? Both
# sides of that question are formulas, so a program that reasons about formulas can answer it. No sampling, no rounding.
#
# `sympy` knows the polynomial, and `lambdify` makes a Python function of it. A function of `*` and `**` takes
# whatever can be multiplied: a number, a tensor, or a variable of a solver.

# %%
import sympy
import torch
import z3

formula = sympy.chebyshevt(4, sympy.Symbol("x"))
t4 = sympy.lambdify(sympy.Symbol("x"), formula)

print("a number:  ", t4(0.5))
print("a tensor:  ", t4(torch.tensor([-1.0, 0.0, 1.0])))
print("a variable:", t4(z3.Real("x")))

# %% [markdown]
# The last line is not a number but a *term*: Z3 keeps it as it is and can reason about all real $x$ at once. Let us try
# a question whose answer you know. Is there a real $x$ with $T_4(x) = 0$, and is there one in $[-1, 1]$ with $T_4(x) > 1$?

# %%
x = z3.Real("x")
solver = z3.Solver()
solver.add(x >= 0, t4(x) == 0)
print("T4(x) = 0, x >= 0:", solver.check())
print("                  x =", solver.model()[x])

solver = z3.Solver()
solver.add(x >= -1, x <= 1, t4(x) > 1)
print("T4(x) > 1 on [-1, 1]:", solver.check())

# %% [markdown]
# `sat` means: there is such an $x$, and the model holds one. The question mark behind the digits says that it is irrational:
# Z3 knows it exactly, as a root of a polynomial, and prints the first digits. `unsat` means that there is none. That
# is a proof that $T_4 \le 1$ on all of $[-1, 1]$. (`unknown` is the third answer: Z3 gave up or ran out of time.)

# %% [markdown]
# ## 2. Fit it, twice
# The data are 500 random points of $[-1, 1]$ and the values of $T_4$ there.
#
# **Exercise (4 points).** Build `nn_curve` with `nn.Sequential`: 1 input, hidden layers of 20 and 25 neurons with ReLU,
# 1 output. Train it with `regression_model` (squared error, Adam) and `train(model, dataset, epochs=...)`, as in lab 1.
# A hundred epochs take a few seconds. Where do you expect the largest error: in the middle, at the hills, or at the ends?

# %%
from torch import nn
from torch.utils.data import TensorDataset

from course_utils.models import regression_model
from course_utils.training import train

torch.manual_seed(0)
samples = 2 * torch.rand(500, 1) - 1
dataset = TensorDataset(samples, t4(samples))

# %% nbgrader={"grade": false, "grade_id": "nn_curve", "locked": false, "schema_version": 3, "solution": true, "task": false}
torch.manual_seed(4)
### BEGIN SOLUTION
nn_curve = nn.Sequential(nn.Linear(1, 20), nn.ReLU(), nn.Linear(20, 25), nn.ReLU(), nn.Linear(25, 1))
losses = train(regression_model(nn_curve), dataset, epochs=100)
### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "nn_curve_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: nn_curve
def check():
    import torch

    from course_utils.checks import passed
    from course_utils.curve import is_curve_network
    from verifier import layers

    found = layers(nn_curve)
    kinds = {layer.kind for layer in found}
    assert kinds <= {"Linear", "ReLU"}, f"found {sorted(kinds - {'Linear', 'ReLU'})}; Linear and ReLU are enough here"
    sizes = [layer.arrays["weight"].shape for layer in found if layer.kind == "Linear"]
    assert [int(size[0]) for size in sizes] == [20, 25, 1], f"the Linear layers have weights of shapes {sizes}"
    assert not is_curve_network(nn_curve), "this is the course's own network: train one yourself"
    grid = torch.linspace(-1, 1, 2001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        fitted = nn_curve(grid.to(next(nn_curve.parameters()).dtype)).double()
    error = (fitted - (8 * grid**4 - 8 * grid**2 + 1)).abs()
    mean = float(error.mean())
    assert mean < 0.2, f"the mean error on a grid is {mean:.3f}; does the loss still fall when the training ends?"
    points = 4 if mean < 0.1 else 2
    print(f"nn_curve: mean error {mean:.4f} on a grid" + ("" if points == 4 else "; below 0.1 earns all the points"))
    passed("nn_curve", points)
    ### BEGIN HIDDEN TESTS
    points -= 2 * bool(points == 4 and float(error.max()) > 1.2)
    ### END HIDDEN TESTS
    return points


check()

# %% [markdown]
# From here on, `network` is your network, or the course's if you skipped the exercise.

# %%
from course_utils.curve import curve_network
from course_utils.plots.curve_fit import draw_fit

network = mine_or(lambda: nn_curve.eval(), curve_network, "nn_curve")
picture = draw_fit(t4, network)

# %% [markdown]
# A broken line over a smooth curve. The error below it is small in the middle and largest at the ends: beyond $\pm 1$ there is
# no data, and there the curve is steepest. The dotted line shows the largest error on a grid of 2,001 points. The true largest error may lie
# *between* two of them. So far nothing is proved.
#
# ### The same in Keras
# Colleagues use Keras. It is an optional extra of this course: `python -m pip install "nn-verification-course[keras]"` (or
# `python -m pip install keras`). Without it the next cell takes the weights of a Keras model that the course has stored, and everything
# goes on as with it.

# %%
import os

from course_utils.curve import fit_in_keras, stored_keras_weights

os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras runs on torch, TensorFlow or JAX
try:
    import keras
except ImportError:
    print("No Keras here, or not the backend that it asks for: the weights are those that the course stored.")
    keras_model, keras_weights = None, stored_keras_weights()
else:
    keras_model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(20, activation="relu"),
            keras.layers.Dense(25, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    keras_weights = fit_in_keras(keras_model, samples, t4(samples))
for place, array in enumerate(keras_weights):
    print(f"array {place}: shape {array.shape}")

# %% [markdown]
# `keras_weights` is one flat list: the weight and the bias of the first Dense layer, then of the second, and so on. Now
# put it into a torch network of the same sizes, weight by weight:

# %%
from course_utils.curve import empty_network

target = empty_network(1, 20, 25, 1)
for place, array in enumerate(keras_weights):
    name = f"{place // 2 * 2}.{'weight' if place % 2 == 0 else 'bias'}"
    found, wanted = tuple(array.shape), tuple(target.state_dict()[name].shape)
    print(f"{name:<9} Keras {found!s:<9} torch {wanted!s:<9}" + ("" if found == wanted else " does not fit"))

# %% [markdown]
# Torch computes $W h + b$ with a weight of shape (outputs, inputs). Keras computes $h W + b$ with a weight of shape
# (inputs, outputs). The layers have *different* sizes, so the mistake is visible. With two layers of 20 neurons the weight
# between them would be 20 by 20: it would fit either way, nothing would complain, and the network would be a different one.
#
# **Exercise (3 points).** Write `from_keras(weights)`: from such a flat list to a list of `(weight, bias)` pairs, one for each
# layer, in torch's order. The arrays are numpy arrays; there may be any number of layers.


# %% nbgrader={"grade": false, "grade_id": "from_keras", "locked": false, "schema_version": 3, "solution": true, "task": false}
def from_keras(weights):
    """A (weight, bias) pair for each layer, in torch's order, from the flat list of a Keras model."""
    ### BEGIN SOLUTION
    return [(weight.T, bias) for weight, bias in zip(weights[::2], weights[1::2], strict=True)]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "from_keras_check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# uses: from_keras
def check():
    import numpy as np

    from course_utils.checks import passed
    from course_utils.own_verifier import pairs

    sizes = (1, 3, 2)
    given = [np.array([[1.0, 2.0, 3.0]]), np.zeros(3), np.array([[1.0, -1.0], [0.0, 2.0], [4.0, 1.0]]), np.ones(2)]
    found = pairs([(np.ravel(weight), bias) for weight, bias in from_keras(given)], 2)
    assert found[0][0].tolist() == [1.0, 2.0, 3.0], "the first layer has one input: its three weights stay in order"
    shape = np.shape(from_keras(given)[1][0])
    assert shape == (2, 3), f"the second weight has shape {shape}; torch has (outputs, inputs)"
    h = np.array([1.0, 10.0, 100.0])
    got = (
        np.asarray(from_keras(given)[1][0], dtype=float) @ h + np.asarray(from_keras(given)[1][1], dtype=float)
    ).tolist()
    assert got == [402.0, 120.0], f"the second layer gives {got} for (1, 10, 100); Keras computes h W + b, by hand?"
    passed("from_keras", 3)
    ### BEGIN HIDDEN TESTS
    import itertools

    drawn = np.random.RandomState(1)
    for sizes in [(1, 3, 3, 1), (2, 2, 2), (4, 1, 4, 4, 2)]:
        given = []
        for n, m in itertools.pairwise(sizes):
            given += [drawn.randint(-4, 5, (n, m)).astype(float), drawn.randint(-4, 5, m).astype(float)]
        layers_found = [(np.asarray(w, dtype=float), np.asarray(b, dtype=float)) for w, b in from_keras(given)]
        assert len(layers_found) == len(sizes) - 1, "one pair for each layer, however many there are"
        for (w, b), kernel, by in zip(layers_found, given[::2], given[1::2], strict=True):
            h = drawn.randint(-9, 10, len(kernel)).astype(float)
            assert w.shape == kernel.shape[::-1], "torch has (outputs, inputs), Keras (inputs, outputs)"
            assert (w @ h + b.reshape(-1)).tolist() == (h @ kernel + by).tolist(), (
                "a square weight fits either way, too"
            )
    ### END HIDDEN TESTS


check()

# %% [markdown]
# The library reads Keras models as they are; `verify(keras_model, ...)` works. How far from $T_4$ is each of the two, on a grid?

# %%
from course_utils.curve import largest_on_grid, network_of

as_torch = mine_or(lambda: network_of(from_keras(keras_weights)), curve_network, "from_keras")
print(f"torch: at most {largest_on_grid(network, t4):.4f} from T4 on a grid")
print(f"Keras: at most {largest_on_grid(as_torch, t4):.4f} from T4 on a grid")

# %% [markdown]
# ## 3. The network as a formula
# Z3 takes terms over exact rationals. A float *is* a rational: a whole number times a power of two. But which one?

# %%
print("0.1 is written", 0.1, "but it is", "{}/{}".format(*(0.1).as_integer_ratio()))
print("z3.RealVal(0.1) is", z3.RealVal(0.1))

# %% [markdown]
# `z3.RealVal` reads the *decimal digits* that Python prints, and takes 1/10. The float 0.1 is a little more. The difference is
# tiny, yet whoever proves something about 1/10 has proved it about another network than the one that runs.
#
# **Exercise (3 points).** Write `exact(value)`: the Z3 rational that is exactly this number, a float or a whole number. Python's
# `as_integer_ratio()` and Z3's `z3.Q(numerator, denominator)` help.


# %% nbgrader={"grade": false, "grade_id": "exact", "locked": false, "schema_version": 3, "solution": true, "task": false}
def exact(value):
    """The Z3 rational that is exactly this float."""
    ### BEGIN SOLUTION
    return z3.Q(*float(value).as_integer_ratio())
    ### END SOLUTION


# the rest of this cell puts your function to use; leave it as it is
def exact_text(value):
    """Your Z3 rational, written as a fraction."""
    return str(z3.simplify(exact(value)).as_fraction())


# %% nbgrader={"grade": true, "grade_id": "exact_check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# uses: exact_text
def check():
    from fractions import Fraction

    from course_utils.checks import passed

    assert isinstance(exact_text(0.5), str), "leave exact_text as it is: it writes your Z3 rational as text"
    for value in [0.375, -2.5, 0.0, 3]:
        assert Fraction(exact_text(value)) == Fraction(value), f"{value} becomes {exact_text(value)}"
    assert Fraction(exact_text(0.1)) != Fraction(1, 10), "the float 0.1 becomes 1/10; which rational is it exactly?"
    passed("exact", 3)
    ### BEGIN HIDDEN TESTS
    for value in [0.1, 1 / 3, -0.7, 1e-9, 123456.789, 2.0**-60, -1e17, 0.30000001192092896]:
        assert Fraction(str(exact_text(value))) == Fraction(value), (
            "is it exact for every float, small or large or negative?"
        )
    ### END HIDDEN TESTS


check()

# %% [markdown]
# Now the network. ReLU bends, and Z3 has a term for that: `z3.If(condition, then, otherwise)`. A Linear layer is a sum of
# products, and `z3.Sum` adds up a list.
#
# **Exercise (5 points).** Write `net_z3(layers, inputs)`. `layers` is a list of `(weight, bias)` pairs, where `weight` is a
# list of rows of numbers and `bias` a list of numbers; there is a ReLU between each two layers, and none after the last.
# `inputs` is a list of Z3 terms. It gives the list of output terms. Use `exact` for the numbers.
#
# Your formula is compared with the forward pass at random rational points, exactly: 4 points with weights such as 0.25, and
# 1 point for weights that take all their digits.


# %% nbgrader={"grade": false, "grade_id": "net_z3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def net_z3(layers, inputs):
    """The network's outputs as Z3 terms in its inputs."""
    ### BEGIN SOLUTION
    h = inputs
    for number, (weight, bias) in enumerate(layers, start=1):
        z = [
            z3.Sum([exact(w) * one for w, one in zip(row, h, strict=True)]) + exact(b)
            for row, b in zip(weight, bias, strict=True)
        ]
        h = z if number == len(layers) else [z3.If(one >= 0, one, z3.RealVal(0)) for one in z]
    return h
    ### END SOLUTION


# the rest of this cell puts your function to use; leave it as it is
def outputs_at(layers, point):
    """What your formula gives at a point of rationals such as ["1/3"]: a fraction for each output."""
    variables = [z3.Real(f"x{place}") for place in range(len(point))]
    outputs = net_z3(layers, variables)
    asked = z3.Solver()
    asked.add([variable == z3.RealVal(text) for variable, text in zip(variables, point, strict=True)])
    asked.check()
    return [str(asked.model().eval(z3.RealVal(0) + y, model_completion=True).as_fraction()) for y in outputs]


# %% nbgrader={"grade": true, "grade_id": "net_z3_check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# uses: outputs_at
def check():
    from fractions import Fraction

    from course_utils.checks import passed

    def by_hand(layers, point):
        """The forward pass in fractions."""
        h = [Fraction(text) for text in point]
        for place, (weight, bias) in enumerate(layers):
            z = [
                sum(Fraction(w) * v for w, v in zip(row, h, strict=True)) + Fraction(b)
                for row, b in zip(weight, bias, strict=True)
            ]
            h = z if place == len(layers) - 1 else [max(v, Fraction(0)) for v in z]
        return h

    def same(layers, point):
        """Whether the formula gives exactly what the forward pass gives."""
        return [Fraction(text) for text in outputs_at(layers, point)] == by_hand(layers, point)

    tent = [([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [-0.25])]  # |x| - 1/4
    for point in ["1/3", "-5/7", "0"]:
        got, wanted = outputs_at(tent, [point]), by_hand(tent, [point])
        assert len(got) == 1, f"{len(got)} outputs came back; the last layer has one row"
        assert Fraction(got[0]) == wanted[0], f"|x| - 1/4 at {point}: your formula gives {got[0]}, by hand {wanted[0]}"
    below = [([[1.0]], [0.0]), ([[1.0]], [-2.0])]
    assert same(below, ["1/2"]), "an output may be negative: is there a ReLU after the last layer?"
    points = 5
    passed("net_z3", points)
    ### BEGIN HIDDEN TESTS
    import itertools

    import numpy as np

    drawn = np.random.RandomState(2)

    def drawn_net(sizes, digits):
        """A network of quarters, or of floats that take all their digits."""
        made = []
        for n, m in itertools.pairwise(sizes):
            weight, bias = drawn.randint(-6, 7, (m, n)) / 4, drawn.randint(-6, 7, m) / 4
            if digits:
                weight, bias = weight + 0.1, bias / 3
            made.append((weight.tolist(), bias.tolist()))
        return made

    right = {False: True, True: True}
    for sizes in [(1, 4, 1), (2, 3, 3, 2), (1, 3, 3, 3, 1), (3, 2)]:
        for digits in (False, True):
            net = drawn_net(sizes, digits)
            for _ in range(4):
                point = [str(Fraction(int(drawn.randint(-30, 31)), int(drawn.randint(1, 12)))) for _ in range(sizes[0])]
                right[digits] &= same(net, point)
    assert right[False], (
        "compare with the forward pass by hand on a network with three layers, two inputs or two outputs"
    )
    points -= not right[True]
    ### END HIDDEN TESTS
    return points


check()

# %% [markdown]
# ## 4. Ask
# Is there an $x \in [-1, 1]$ with $|\mathrm{net}(x) - T_4(x)| \ge 0.5$? If there is, Z3 gives it. If there is none, we have
# proved that the error is *below* 0.5 everywhere.
#
# The $x$ that Z3 gives is a rational, or an **algebraic** number: a root of a polynomial such as $\sqrt 2$, which no fraction
# is. `z3.is_algebraic_value(number)` tells, `number.approx(20)` gives a rational very close to it, and `.as_fraction()` makes a
# Python fraction of a rational.
#
# **Exercise (5 points).** Write `ask(layers, tolerance, lower=-1.0, upper=1.0)`: is $|\mathrm{net}(x) - T_4(x)| <$
# `tolerance` for all $x$ between `lower` and `upper`? It gives two things: `"verified"`, `"falsified"` or `"unknown"`, and the
# counterexample as a float, or `None`. It uses `net_z3`, `exact` and `t4`. Z3's own answers are
# `z3.sat`, `z3.unsat` and `z3.unknown`; mind which is which.


# %% nbgrader={"grade": false, "grade_id": "ask", "locked": false, "schema_version": 3, "solution": true, "task": false}
def ask(layers, tolerance, lower=-1.0, upper=1.0):
    """The verdict on |net(x) - T4(x)| < tolerance for lower <= x <= upper, and a counterexample or None."""
    ### BEGIN SOLUTION
    x = z3.Real("x")
    error = net_z3(layers, [x])[0] - t4(x)
    solver = z3.Solver()
    solver.add(x >= exact(lower), x <= exact(upper))
    solver.add(z3.Or(error >= exact(tolerance), error <= -exact(tolerance)))
    answer = solver.check()
    if answer == z3.unsat:
        return "verified", None
    if answer != z3.sat:
        return "unknown", None
    number = solver.model().eval(x, model_completion=True)
    if z3.is_algebraic_value(number):
        number = number.approx(20)
    return "falsified", float(number.as_fraction())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ask_check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# uses: ask
def check():
    import numpy as np

    from course_utils.checks import passed

    def error_of(layers, at):
        """|net(x) - T4(x)| at one number or at many, in float64."""
        h = np.atleast_1d(np.asarray(at, dtype=float))[:, None]
        for place, (weight, bias) in enumerate(layers):
            h = h @ np.array(weight, dtype=float).T + np.array(bias, dtype=float)
            h = h if place == len(layers) - 1 else np.maximum(h, 0)
        at = np.atleast_1d(np.asarray(at, dtype=float))
        return np.abs(h[:, 0] - (8 * at**4 - 8 * at**2 + 1))

    def answer(layers, tolerance, *ends):
        """The verdict and the counterexample, checked as far as they can be without the truth."""
        got = ask(layers, tolerance, *ends)
        assert isinstance(got, list | tuple) and len(got) == 2, "two things come back: the verdict, and x or None"
        verdict, at = str(got[0]), got[1]
        assert verdict in ("verified", "falsified", "unknown"), f"the verdict is {verdict!r}"
        if verdict == "falsified":
            low, high = ends or (-1.0, 1.0)
            at = float(at)
            assert low - 1e-9 <= at <= high + 1e-9, "the counterexample lies outside the interval"
            assert error_of(layers, at)[0] >= tolerance - 1e-6, "at the counterexample the error is below the tolerance"
        return verdict

    tent = [([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])]  # |x|; its largest error is 1.7226, near x = 0.74
    assert answer(tent, 1.5) == "falsified", "|x| is 1.72 away from T4 at x = 0.74, so 1.5 has a counterexample"
    assert answer(tent, 1.8) == "verified", "|x| is never 1.8 away from T4"
    assert answer(tent, 0.9, 0.0, 0.25) == "falsified", "at 0, |x| is 1 away from T4: the error may have either sign"
    passed("ask", 5)
    ### BEGIN HIDDEN TESTS
    import itertools

    half = [([[1.0]], [0.0]), ([[0.0]], [0.5])]  # 1/2 everywhere; T4 is between -1 and 1 on [-1, 1]
    assert answer(half, 1.5) == "falsified", (
        "the largest error is reached: an error of exactly the tolerance is no proof"
    )
    assert answer(half, 1.5001) == "verified", "a little above the largest error there is a proof"
    assert answer(half, 0.6, -0.25, 0.25) == "verified", "is the interval the one that was asked for?"
    drawn = np.random.RandomState(4)
    for sizes in [(1, 3, 1), (1, 4, 3, 1), (1, 6, 1)]:
        net = []
        for n, m in itertools.pairwise(sizes):
            net.append(((drawn.randint(-6, 7, (m, n)) / 4).tolist(), (drawn.randint(-6, 7, m) / 4).tolist()))
        low, high = -1.0, float(drawn.randint(-3, 5)) / 4
        largest = float(error_of(net, np.linspace(low, high, 4001)).max())
        assert answer(net, largest + 0.05, low, high) == "verified", "a true statement about a network was not verified"
        assert answer(net, largest - 0.05, low, high) == "falsified", (
            "a false statement about a network was not falsified"
        )
    ### END HIDDEN TESTS


check()

# %% [markdown]
# Now your network. We start at 0.5 and move the tolerance until the answer changes: up while there is a counterexample,
# down while there is a proof. Commit to a guess: the smallest tolerance that can be proved.

# %%
guess_tolerance = None  # your guess, a number; then run the next cell

# %%
from course_utils.curve import judge_tolerance
from course_utils.own_verifier import layers_of
from course_utils.plots.curve_fit import draw_counterexample

layers = [(weight.tolist(), bias.tolist()) for weight, bias in layers_of(network)]


def first_answers(ask_one):
    """Verdict and counterexample for one tolerance after another, until one is proved and one is not."""
    answers, tolerance = [], 0.5
    factor = 1.5 if ask_one(tolerance)[0] == "falsified" else 0.6
    while len({verdict for _, verdict, _ in answers}) < 2 and len(answers) < 12:
        answers.append((tolerance, *ask_one(tolerance)))
        tolerance *= factor
    return answers


answers = mine_or(
    lambda: first_answers(lambda tolerance: ask(layers, tolerance)),
    lambda: first_answers(lambda tolerance: judge_tolerance(network, t4, tolerance)),
    "ask",
)
for tolerance, verdict, at in answers:
    replayed = (
        "" if at is None else f" at x = {at:.6f}, where the network's error is {largest_on_grid(network, t4, at):.4f}"
    )
    print(f"tolerance {tolerance:.4f}: {verdict}{replayed}")
picture = draw_counterexample(t4, network, answers)

# %% [markdown]
# Each counterexample was **replayed**: the network itself was run at that $x$, and its error is as large as Z3 says. The proof
# cannot be replayed. You trust Z3, your formula, and the exact weights.
#
# Z3 has a shorter way to say the same. A statement is proved by showing that its opposite has no model:

# %% tags=["only-shows"]


def prove_it(net_z3, tolerance):
    """The same question as an implication."""
    x = z3.Real("x")
    error = net_z3(layers, [x])[0] - t4(x)
    z3.prove(z3.Implies(z3.And(x >= -1, x <= 1), z3.And(error < tolerance, error > -tolerance)))
    return True


proved_tolerance = max(tolerance for tolerance, _, _ in answers)
print(f"Implies(-1 <= x <= 1, |net(x) - T4(x)| < {proved_tolerance:.4f}):")
done = mine_or(
    lambda: prove_it(net_z3, proved_tolerance),
    lambda: judge_tolerance(network, t4, proved_tolerance)[0],
    "net_z3",
)

# %% [markdown]
# ## 5. The smallest tolerance
# Between a tolerance with a counterexample and one with a proof lies the largest error. **Bisection** asks in the middle, again and
# again, until the two are close. Both ends are certain at any time: that is what makes an *enclosure* of it.
#
# **Exercise (4 points).** Write `enclose(ask_one, low, high, gap)`. `ask_one(tolerance)` gives one of the three verdicts. At
# `low` there is a counterexample, at `high` a proof. It gives `(low, high)` with the largest tolerance known to have a
# counterexample and the smallest one known to be proved, at most `gap` apart. Where the answer is "unknown", neither end may
# move there, and it must still come to an end: 3 points without "unknown", 1 point with it.


# %% nbgrader={"grade": false, "grade_id": "enclose", "locked": false, "schema_version": 3, "solution": true, "task": false}
def enclose(ask_one, low, high, gap):
    """The largest tolerance known to have a counterexample, and the smallest one known to be proved."""
    ### BEGIN SOLUTION
    while high - low > gap:
        middle = low + (high - low) / 2
        verdict = ask_one(middle)
        if verdict == "unknown":
            break
        low, high = (low, middle) if verdict == "verified" else (middle, high)
    return low, high
    ### END SOLUTION


# the rest of this cell puts your function to use; leave it as it is
def enclose_number(largest, blind, low, high, gap):
    """Your bisection where the largest error is known: "unknown" within `blind` of it. Gives both ends and the calls."""
    calls = []

    def ask_one(tolerance):
        calls.append(tolerance)
        if len(calls) > 300:
            raise RuntimeError("more than 300 questions: it does not come to an end")
        if abs(tolerance - largest) < blind:
            return "unknown"
        return "verified" if tolerance > largest else "falsified"

    found = enclose(ask_one, low, high, gap)
    return [float(found[0]), float(found[1]), len(calls)]


# %% nbgrader={"grade": true, "grade_id": "enclose_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: enclose_number
def check():
    from course_utils.checks import passed

    low, high, calls = enclose_number(0.3, 0.0, 0.0, 1.0, 0.001)
    assert low <= 0.3 < high, f"the largest error is 0.3, your ends are {low} and {high}: which end moves at a proof?"
    assert high - low <= 0.001, f"your ends are {high - low:g} apart; 0.001 was asked for"
    assert calls <= 12, f"{calls} questions; halving takes 10 from a gap of 1 to one of 0.001"
    points = 4
    passed("enclose", points)
    ### BEGIN HIDDEN TESTS
    for largest, low, high, gap in [(0.7001, 0.5, 2.0, 1e-4), (0.25, 0.0, 1.0, 1e-3), (3.0, 2.9, 3.5, 1e-6)]:
        below, above, calls = enclose_number(largest, 0.0, low, high, gap)
        assert below <= largest < above, "do both ends stay certain, wherever the largest error lies?"
        assert above - below <= gap, "are the ends as close as asked for?"
        assert calls <= 24, "how many questions does halving need?"
    certain = True
    for largest in (0.5, 0.52, 0.3):
        try:
            below, above, calls = enclose_number(largest, 0.05, 0.0, 1.0, 0.001)
            certain &= below <= largest - 0.05 + 1e-12 and above >= largest + 0.05 - 1e-12 and calls <= 100
        except Exception:
            certain = False
    points -= not certain
    ### END HIDDEN TESTS
    return points


check()

# %% [markdown]
# Your bisection with your question, to three digits. Each step asks Z3 once.

# %% tags=["only-shows"]
from course_utils.curve import library_enclosure, shown_progress
from course_utils.plots.curve_fit import draw_band

at_most, at_least = answers[-1][0], answers[-2][0]
start = min(at_most, at_least), max(at_most, at_least)
lowest, highest = mine_or(
    lambda: enclose(shown_progress(lambda tolerance: ask(layers, tolerance)[0]), *start, 0.0005),
    lambda: library_enclosure(network, t4, 0.0005),
    "enclose or ask",
)
guessed = "" if guess_tolerance is None else f"; you guessed {guess_tolerance}"
print(f"a counterexample at {lowest:.4f}, a proof at {highest:.4f}{guessed}")
picture = draw_band(t4, network, highest)

# %% [markdown]
# The band is a promise for *every* real $x$ in $[-1, 1]$. The sampled error below it almost touches the green line of the proof: nothing
# was given away. That is what exact solving is for. CROWN bounds would have left a gap.

# %% [markdown]
# ## 6. Why it slows down, and what bounds do
# Each `If` is a case to decide, and Z3 may have to try both. How does the time grow with the width, the depth, and a second input? The cell fits
# small networks and asks for a proof of 1.3 times the largest error on a grid. Z3 may spend as much work on each as takes about 8 seconds. (With two inputs the formula is $x_1^2 + x_2^2$.) Commit to a
# guess first: which of the three hurts most?

# %%
guess_slowest = None  # your guess: "width", "depth" or "inputs"; then run the next cell

# %% tags=["only-shows"]
from course_utils.curve import SIZES, STORED_TIMES, measure
from course_utils.plots.curve_fit import draw_times

times = mine_or(lambda: measure(net_z3, exact, SIZES), lambda: STORED_TIMES, "net_z3 or exact")
picture = draw_times(times)
print(f"your guess: {guess_slowest}" if guess_slowest else "no guess made")

# %% [markdown]
# The axis of times is logarithmic. Width is harmless: with one input and one layer each neuron bends once, at one place. Depth hurts, since the
# bends of a layer are bent again by the next. Two inputs hurt as well: the bends are lines in a plane, and a dozen of them cut it into many cells.
#
# **Bounds help.** On a short piece of $[-1, 1]$ most neurons do not bend at all: their pre-activation $z$ has one sign on all of it. CROWN
# (lab 3) proves which. Such a ReLU is $z$ itself or 0, and needs no `If`.
#
# **Exercise (6 points).** Write `net_z3_on(layers, known, inputs)`: as `net_z3`, but `known` holds a pair `(lower, upper)` of
# lists for each *hidden* layer, with bounds on its pre-activations. Use `If` only for neurons that are unstable, $l < 0 < u$.
#
# Graded: the formula is equivalent where the bounds hold (3 points), and it has no more `If`s than there are unstable neurons (3 points).


# %% nbgrader={"grade": false, "grade_id": "net_z3_on", "locked": false, "schema_version": 3, "solution": true, "task": false}
def net_z3_on(layers, known, inputs):
    """The network's outputs as Z3 terms, right wherever the known bounds hold; If only for unstable neurons."""
    ### BEGIN SOLUTION
    h = inputs
    for place, (weight, bias) in enumerate(layers):
        z = [
            z3.Sum([exact(w) * one for w, one in zip(row, h, strict=True)]) + exact(b)
            for row, b in zip(weight, bias, strict=True)
        ]
        if place == len(layers) - 1:
            return z
        zero = z3.RealVal(0)
        h = [
            one if low >= 0 else zero if high <= 0 else z3.If(one >= 0, one, zero)
            for one, low, high in zip(z, *known[place], strict=True)
        ]
    return h
    ### END SOLUTION


# the rest of this cell puts your function to use; leave it as it is
def outputs_on(layers, known, point):
    """What your formula gives at a point of rationals such as ["1/3"], a fraction for each output, and its Ifs."""
    variables = [z3.Real(f"x{place}") for place in range(len(point))]
    outputs = [z3.RealVal(0) + y for y in net_z3_on(layers, known, variables)]
    asked = z3.Solver()
    asked.add([variable == z3.RealVal(text) for variable, text in zip(variables, point, strict=True)])
    asked.check()
    values = [str(asked.model().eval(y, model_completion=True).as_fraction()) for y in outputs]
    met, waiting, ifs = set(), list(outputs), 0
    while waiting:
        term = waiting.pop()
        if term.get_id() not in met:
            met.add(term.get_id())
            ifs += term.decl().kind() == z3.Z3_OP_ITE
            waiting += term.children()
    return values, ifs


# %% nbgrader={"grade": true, "grade_id": "net_z3_on_check", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
# uses: outputs_on
def check():
    from fractions import Fraction

    from course_utils.checks import passed

    def by_hand(layers, point):
        """The forward pass in fractions."""
        h = [Fraction(text) for text in point]
        for place, (weight, bias) in enumerate(layers):
            z = [
                sum(Fraction(w) * v for w, v in zip(row, h, strict=True)) + Fraction(b)
                for row, b in zip(weight, bias, strict=True)
            ]
            h = z if place == len(layers) - 1 else [max(v, Fraction(0)) for v in z]
        return h

    def same(layers, known, point):
        """Whether the formula gives what the forward pass gives, and its number of Ifs."""
        values, ifs = outputs_on(layers, known, point)
        return [Fraction(text) for text in values] == by_hand(layers, point), int(ifs)

    three = [([[1.0], [-1.0], [1.0]], [0.0, 0.0, -2.0]), ([[1.0, 2.0, 4.0]], [0.5])]
    for side, known, point in [
        ("[1, 3]", [([1, -3, -1], [3, -1, 1])], "5/2"),
        ("[-3, -1]", [([-3, 1, -5], [-1, 3, -3])], "-2"),
    ]:
        right, ifs = same(three, known, [point])
        assert right, f"at {point}, inside {side}, your formula gives another value than the network"
        unstable = sum(low < 0 < high for low, high in zip(*known[0], strict=True))
        assert ifs >= unstable, f"{ifs} Ifs on {side}, where {unstable} of the three neurons are unstable"
    points = 6 if ifs == 0 else 3
    print("net_z3_on: equivalent here" + ("" if points == 6 else f", but {ifs} Ifs where no neuron is unstable"))
    passed("net_z3_on", points)
    ### BEGIN HIDDEN TESTS
    import itertools

    import numpy as np

    drawn = np.random.RandomState(6)
    few = True
    for sizes in [(1, 5, 1), (2, 4, 3, 2), (1, 4, 4, 4, 1)]:
        for _ in range(3):
            net = []
            for n, m in itertools.pairwise(sizes):
                net.append(((drawn.randint(-6, 7, (m, n)) / 4).tolist(), (drawn.randint(-6, 7, m) / 4).tolist()))
            below = drawn.randint(-4, 4, sizes[0]) / 4
            above, known, count = below + 0.5, [], 0
            low, high = below, above
            for weight, bias in net[:-1]:
                weight = np.array(weight)
                middle, half = weight @ (low + high) / 2 + bias, np.abs(weight) @ (high - low) / 2
                known.append(((middle - half).tolist(), (middle + half).tolist()))
                count += int(((middle - half < 0) & (middle + half > 0)).sum())
                low, high = np.maximum(middle - half, 0), np.maximum(middle + half, 0)
            for _ in range(3):
                share = [Fraction(int(drawn.randint(0, 8)), 7) for _ in below]
                point = [str(Fraction(b) + s / 2) for b, s in zip(below.tolist(), share, strict=True)]
                right, ifs = same(net, known, point)
                assert right, (
                    "inside the bounds the formula must equal the network: which neurons are z, and which are 0?"
                )
                few &= ifs <= count
    wide = [([-9.0, -9.0, -9.0], [9.0, 9.0, 9.0])]
    assert same(three, wide, ["1/3"])[0] and same(three, wide, ["-7/3"])[0], "unstable neurons must keep both cases"
    points -= 3 if points == 6 and not few else 0
    ### END HIDDEN TESTS
    return points


check()

# %% [markdown]
# Now take the slowest network with one input from above, 1-10-10-10-10-1. Cut $[-1, 1]$ into 16 pieces, bound each with CROWN, and ask Z3 piece
# by piece. How many of the 40 hidden neurons will still be unstable on a piece, on average?

# %%
guess_unstable = None  # your guess, a whole number; then run the next cell

# %% tags=["only-shows"]
from course_utils.curve import STORED_PIECES, ask_in_pieces, fit_formula
from course_utils.plots.curve_fit import draw_pieces

deep = fit_formula(t4, 1, 10, 10, 10, 10)
pieces = mine_or(
    lambda: ask_in_pieces(net_z3_on, exact, t4, deep, 1.3 * largest_on_grid(deep, t4), 16),
    lambda: STORED_PIECES,
    "net_z3_on or exact",
)
picture = draw_pieces(pieces, guess_unstable)
whole = next(one.seconds for one in times if one.sizes == "1-10-10-10-10-1")
print(f"all of [-1, 1] at once, without bounds: {whole:.2f} CPU s")

# %% [markdown]
# On most pieces only a handful of neurons bend, so there is hardly anything left to decide, and the pieces are independent of each
# other: they could run in parallel. The sixteen questions together are several times faster than the one.
#
# Special solvers go further. **Reluplex** and its successor Marabou keep the Linear part in a simplex solver and split a ReLU only when they
# must. **MILP** encodings give each unstable ReLU one 0/1 variable, and a "big-M" that comes from the same bounds. Both take the bounds first, as you did.

# %% [markdown]
# ## 7. Reals are not floats
# All of this was proved over the real numbers. The program that runs computes in float32, and rounds after every operation. Take a network of two neurons:
#
# $$y = \mathrm{relu}(1048576\,x + 0.1) - \mathrm{relu}(1048576\,x), \qquad x \in [0, 1].$$
#
# Over the reals that is 0.1 for every $x$ in $[0, 1]$, since both ReLUs are active. What will float32 give? To say exactly what the program
# does we must state the **order** of its operations. Ours is, for each neuron: start with the bias; for each input from first to last,
# multiply it by its weight, round, add the product, round. Then ReLU. No matrix product (a library may add in another order), and no
# fused multiply-add (which rounds once instead of twice).
#
# **Exercise (3 points).** Write `run_float32(layers, point)`: the outputs, a list, in scalar `np.float32` operations in that order.
# `layers` as before; `point` is a list of numbers. An operation of two `np.float32` rounds to `np.float32`.


# %% nbgrader={"grade": false, "grade_id": "run_float32", "locked": false, "schema_version": 3, "solution": true, "task": false}
import numpy as np


def run_float32(layers, point):
    """The outputs of the network in float32, each operation rounded, in the stated order."""
    ### BEGIN SOLUTION
    h = [np.float32(value) for value in point]
    for number, (weight, bias) in enumerate(layers, start=1):
        z = []
        for row, b in zip(weight, bias, strict=True):
            total = np.float32(b)
            for w, value in zip(row, h, strict=True):
                total = total + np.float32(w) * value
            z.append(total)
        h = z if number == len(layers) else [max(value, np.float32(0)) for value in z]
    return h
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "run_float32_check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# uses: run_float32
def check():
    import numpy as np

    from course_utils.checks import passed

    two = [([[1048576.0], [1048576.0]], [0.1, 0.0]), ([[1.0, -1.0]], [0.0])]
    got = run_float32(two, [0.0])
    assert len(got) == 1, f"{len(got)} outputs came back; the last layer has one row"
    assert float(got[0]) == float(np.float32(0.1)), f"at x = 0 the output is 0.1 as a float32, yours is {got[0]}"
    got = float(run_float32(two, [0.7])[0])
    assert abs(got - 0.1) > 1e-3, (
        f"at x = 0.7 yours gives {got}; a float32 near 734003 is a multiple of 1/16: rounded where?"
    )
    passed("run_float32", 3)
    ### BEGIN HIDDEN TESTS
    import itertools

    drawn = np.random.RandomState(7)

    def rounded(value):
        """Float64 holds a product of two float32 exactly, and rounding a sum of two twice changes nothing."""
        return float(np.float32(value))

    for sizes in [(1, 2, 1), (3, 4, 2), (2, 3, 3, 1), (5, 1)]:
        net = []
        for n, m in itertools.pairwise(sizes):
            net.append((drawn.randn(m, n).astype(np.float32).tolist(), drawn.randn(m).astype(np.float32).tolist()))
        for _ in range(5):
            h = [rounded(v) for v in drawn.randn(sizes[0])]
            got = [float(v) for v in run_float32(net, h)]
            for place, (weight, bias) in enumerate(net):
                z = []
                for row, total in zip(weight, bias, strict=True):
                    for w, v in zip(row, h, strict=True):
                        total = rounded(total + rounded(w * v))
                    z.append(total)
                h = z if place == len(net) - 1 else [max(v, 0.0) for v in z]
            assert got == h, "bit for bit: bias first, then one product after the other, each operation rounded"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# Z3 has a theory of floats. `z3.FPVal(value, z3.Float32())` is a constant, `z3.fpMul(z3.RNE(), a, b)` and `z3.fpAdd(z3.RNE(), a, b)` round to nearest,
# ties to even, as a processor does, and `z3.fpGEQ(a, b)` compares.
#
# **Exercise (3 points).** Write `net_fp(layers, inputs)`: the outputs as Z3 terms of float32, in the same order of operations. `inputs` is a list of
# Z3 floats.


# %% nbgrader={"grade": false, "grade_id": "net_fp", "locked": false, "schema_version": 3, "solution": true, "task": false}
def net_fp(layers, inputs):
    """The network's outputs as Z3 terms of float32, each operation rounded, in the stated order."""
    ### BEGIN SOLUTION
    nearest, zero = z3.RNE(), z3.FPVal(0.0, z3.Float32())
    h = inputs
    for number, (weight, bias) in enumerate(layers, start=1):
        z = []
        for row, b in zip(weight, bias, strict=True):
            total = z3.FPVal(b, z3.Float32())
            for w, value in zip(row, h, strict=True):
                total = z3.fpAdd(nearest, total, z3.fpMul(nearest, z3.FPVal(w, z3.Float32()), value))
            z.append(total)
        h = z if number == len(layers) else [z3.If(z3.fpGEQ(value, zero), value, zero) for value in z]
    return h
    ### END SOLUTION


# the rest of this cell puts your function to use; leave it as it is
def fp_outputs_at(layers, point):
    """What your formula gives at a point of float32 numbers."""
    outputs = net_fp(layers, [z3.FPVal(value, z3.Float32()) for value in point])
    return [float(z3.simplify(z3.fpToReal(y)).as_fraction()) for y in outputs]


def float_counterexample(layers, limit):
    """An x in [0, 1] at which your formula gives more than limit, as Z3 finds it, or None."""
    x = z3.FP("x", z3.Float32())
    zero, one, most = (z3.FPVal(value, z3.Float32()) for value in (0.0, 1.0, limit))
    asked = z3.Solver()
    asked.add(z3.fpGEQ(x, zero), z3.fpLEQ(x, one), z3.fpGT(net_fp(layers, [x])[0], most))
    if asked.check() != z3.sat:
        return None
    return float(z3.simplify(z3.fpToReal(asked.model().eval(x, model_completion=True))).as_fraction())


# %% nbgrader={"grade": true, "grade_id": "net_fp_check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# uses: fp_outputs_at
def check():
    import numpy as np

    from course_utils.checks import passed

    two = [([[1048576.0], [1048576.0]], [0.1, 0.0]), ([[1.0, -1.0]], [0.0])]
    got = list(fp_outputs_at(two, [0.0]))
    assert got == [float(np.float32(0.1))], f"at x = 0 the output is 0.1 as a float32, yours is {got}"
    got = list(fp_outputs_at(two, [float(np.float32(0.7))]))
    assert abs(got[0] - 0.1) > 1e-3, f"at x = 0.7 yours gives {got}; are the terms of the sort Float32?"
    passed("net_fp", 3)
    ### BEGIN HIDDEN TESTS
    import itertools

    drawn = np.random.RandomState(8)

    def rounded(value):
        """Float64 holds a product of two float32 exactly, and rounding a sum of two twice changes nothing."""
        return float(np.float32(value))

    for sizes in [(1, 2, 1), (3, 3, 2), (2, 3, 2, 1)]:
        net = []
        for n, m in itertools.pairwise(sizes):
            net.append((drawn.randn(m, n).astype(np.float32).tolist(), drawn.randn(m).astype(np.float32).tolist()))
        for _ in range(4):
            h = [rounded(v) for v in drawn.randn(sizes[0])]
            got = [float(v) for v in fp_outputs_at(net, h)]
            for place, (weight, bias) in enumerate(net):
                z = []
                for row, total in zip(weight, bias, strict=True):
                    for w, v in zip(row, h, strict=True):
                        total = rounded(total + rounded(w * v))
                    z.append(total)
                h = z if place == len(net) - 1 else [max(v, 0.0) for v in z]
            assert got == h, "bit for bit: the same order as in the exercise before, to nearest, ties to even"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# The spec is $y \le 0.12$. Over the reals $y = 0.1$, so it holds, and the library proves it in a moment. Over the floats Z3 is asked
# for an $x$ that breaks it, and the answer is replayed in your scalar operations. What do you expect?

# %% tags=["only-shows"]
import numpy as np

from course_utils.curve import STORED_FLOAT_X
from course_utils.plots.curve_fit import draw_floats
from verifier import verify

two_layers = [([[1048576.0], [1048576.0]], [0.1, 0.0]), ([[1.0, -1.0]], [0.0])]
two_neurons = network_of(two_layers)
print("over the reals:", verify(two_neurons, [[0, 1]], [[None, 0.12]]).verdict.value)

at = mine_or(lambda: float_counterexample(two_layers, 0.12), lambda: STORED_FLOAT_X, "net_fp")
y = mine_or(
    lambda: float(run_float32(two_layers, [at])[0]), lambda: float(two_neurons(torch.tensor([[at]]))), "run_float32"
)
print(f"in float32: x = {at!r} (bits {np.float32(at).view(np.uint32):#010x}) gives y = {y!r}")
picture = draw_floats(two_neurons)

# %% [markdown]
# Both are right. The proof speaks of the real function, the counterexample of the program. Here the weights are huge and the errors of
# rounding large; in a network such as `network` they are about $10^{-6}$, and a proof with a margin of $10^{-4}$ covers them. But a margin of 0 covers nothing. A proof in the theory of floats
# would cover the program itself, and costs far more: each multiplication becomes a circuit of a thousand gates. That is why this network had two neurons.

# %% [markdown]
# ## 8. The same in one line
# The library takes the formula itself. With one input it needs no solver: the network is a broken line, so on each piece the
# error is a polynomial, and a polynomial's largest value on an interval can be enclosed exactly.

# %% tags=["only-shows"]
from verifier import max_error, verify_function

print(verify_function(network, formula, [[-1, 1]], tolerance=highest))
if keras_model is not None:
    print("the Keras model:", max_error(keras_model, formula, [[-1, 1]]))
largest_error = max_error(network, formula, [[-1, 1]], tolerance=1e-6)
largest_error

# %% [markdown]
# How many digits did your bisection have right? With two inputs, where the plain formula gave up, the library splits the box:

# %% tags=["only-shows"]
bowl = fit_formula(lambda points: (points**2).sum(dim=1, keepdim=True), 2, 12)
x0, x1 = sympy.symbols("x0 x1")
verify_function(bowl, x0**2 + x1**2, [[-1, 1], [-1, 1]], tolerance=0.5, max_subdomains=20_000, progress=False)

# %% [markdown]
# ## 9. What is proved about the program?
# **Written question (4 points, graded by hand).** A colleague wants to replace the slow computation of $T_4$ in a controller by your network, in float32, on a machine
# whose library adds in another order than yours. You have the proof of part 5. In six to ten sentences: what exactly does the proof say, and about what object? What must be true, or must be added,
# before it says something about the controller? What would you do about inputs slightly outside $[-1, 1]$? And why was it possible here to *prove* the fit, but not in lab 2 that a network reads digits correctly?

# %% [markdown] nbgrader={"grade": true, "grade_id": "what_is_proved", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# The proof says that for every real $x$ in $[-1, 1]$ the real function with exactly the stored weights differs from $T_4$ by less than the tolerance (1 point). It says nothing about floats: the
# controller's result differs from the real function by rounding, which depends on the order of operations; a bound on the rounding error (about the number of operations times $2^{-24}$ times the magnitudes)
# has to be added to the tolerance, or the float program itself has to be verified (1 point). The inputs must lie in the interval: outside it nothing is proved and the error grows quickly; clip them,
# check them, or prove a wider interval (1 point). It was possible because the truth is a formula that the solver can be given; for digits there is no formula of what a 4 is, only
# examples, so that only robustness around examples can be stated (1 point).
# ### END SOLUTION

# %% [markdown]
# ## What to take away
# - Where the truth is a formula, "correct everywhere" is a question that a solver can answer.
# - `unsat` is a proof, `sat` is a counterexample, and `unknown` is neither. Replay the second.
# - A float is a rational. Give the solver that rational, not its printed digits.
# - Each ReLU is a case. Bounds decide most cases in advance, and small pieces have tight bounds.
# - A proof over the reals is not a proof about floats, unless rounding fits into the margin.
#
# ### To read
# - de Moura, Bjørner: [Z3: An Efficient SMT Solver](https://doi.org/10.1007/978-3-540-78800-3_24). 2008.
# - Jovanović, de Moura: [Solving Non-linear Arithmetic](https://doi.org/10.1007/978-3-642-31365-3_27). 2012. How Z3 decides polynomials.
# - Katz et al.: [Reluplex](https://arxiv.org/abs/1702.01135). 2017. ReLUs split inside a simplex solver.
# - Tjeng, Xiao, Tedrake: [Evaluating Robustness of Neural Networks with Mixed Integer Programming](https://arxiv.org/abs/1711.07356). 2019.
# - Jia, Rinard: [Exploiting Verified Neural Networks via Floating Point Numerical Error](https://arxiv.org/abs/2003.03021). 2021. Part 7, in earnest.
#
# **An open question.** Your error is largest at the ends. Could you use each counterexample as a new training point, as in lab 1, and how small could the
# proved error become with 45 neurons? Is there a limit that no training can beat?
