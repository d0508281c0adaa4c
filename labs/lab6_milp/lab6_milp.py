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
# # Lab 6: Exact verification, up to aircraft
#
# **What you will learn.** How a ReLU network becomes a mixed-integer linear program (MILP); why the constants in it must
# come from bounds; how one ReLU's state can fix another's, and what such dependencies save; when to split the box
# of inputs instead; and how all of this decides properties of a collision avoidance system.
#
# **What you need.** Lab 3: bounds, relaxations, and splitting.
#
# **Time.** 90 to 120 minutes. Seven parts and a written question, 40 points. No cell takes longer than half a minute.
#
# Run the cells from top to bottom. Where a cell says `# YOUR CODE HERE`, replace that line and the one below it. A
# check cell follows every exercise and answers at once; hidden tests with other numbers follow when the lab is
# graded. If you skip an exercise, its cell and its check end with an error: go on with the cell below them. The
# lab then goes on with the library, and says so.
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
# ## 1. A ReLU with a switch
# A solver for MILPs takes linear inequalities and variables that must be whole numbers. ReLU is not linear. But it has only
# two states: **active** ($z > 0$, then $h = z$) and **inactive** ($z \le 0$, then $h = 0$). In each state it *is* linear.
#
# Which states are possible depends on the bounds $l \le z \le u$. If $l \ge 0$ the neuron is *stable active*, if
# $u \le 0$ it is *stable inactive*, and otherwise it is *unstable*. A neuron that is both, $l = u = 0$, counts as active here.
#
# **Exercise (3 points).** Write `states(lower, upper)`: from the lower and upper bounds of some neurons, two lists of
# numbers, to a list with `"active"`, `"inactive"` or `"unstable"` for each of them.


# %% nbgrader={"grade": false, "grade_id": "states", "locked": false, "schema_version": 3, "solution": true, "task": false}
def states(lower, upper):
    """The state of each neuron: "active", "inactive" or "unstable"."""
    ### BEGIN SOLUTION
    return [
        "active" if low >= 0 else "inactive" if high <= 0 else "unstable"
        for low, high in zip(lower, upper, strict=True)
    ]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "states_check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# uses: states
def check():
    from course_utils.checks import passed

    found = [str(one) for one in states([-1.0, 0.5, -3.0], [1.0, 2.0, -1.0])]
    assert found == ["unstable", "active", "inactive"], f"[-1, 1], [0.5, 2], [-3, -1] are {found}"
    found = [str(one) for one in states([0.0, -2.0], [2.0, 0.0])]
    assert found == ["active", "inactive"], f"with a bound of exactly 0 the ReLU never bends, but yours says {found}"
    passed("states", 3)
    ### BEGIN HIDDEN TESTS
    import itertools

    ends = [-2.5, -1.0, 0.0, 1e-9, 3.0]
    pairs = [(a, b) for a, b in itertools.product(ends, ends) if a <= b]
    wanted = ["active" if a >= 0 else "inactive" if b <= 0 else "unstable" for a, b in pairs]
    assert [str(one) for one in states(*map(list, zip(*pairs, strict=True)))] == wanted, "try every pair of signs"
    assert list(states([], [])) == [], "a layer may be empty"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# An unstable neuron gets a **switch** $d \in \{0, 1\}$: 1 for active. Four inequalities say what the switch means:
#
# $$h \ge 0, \qquad h \ge z, \qquad h \le z - l\,(1 - d), \qquad h \le u\,d.$$
#
# With $d = 1$ the third becomes $h \le z$, so that $h = z$, and the fourth, $h \le u$, says nothing new. With $d = 0$ the fourth becomes
# $h \le 0$, and the third says nothing new. The constants $-l$ and $u$ switch an inequality off. They are called **big-M**.
#
# **Exercise (7 points).** Write `layer_rows(weight, bias, lower, upper)` for a whole layer $h = \mathrm{ReLU}(W x + b)$. The variables are
# $x_1 \ldots x_n$, then $h_1 \ldots h_m$, then $d_1 \ldots d_m$, in this order. Give a list of rows; each row is a pair `(coefficients, limit)`
# with $n + 2m$ coefficients, and means `coefficients . variables <= limit`. `weight` is a list of $m$ rows of $n$ numbers, `bias` a list of $m$ numbers,
# `lower` and `upper` are bounds on $z = W x + b$, which is not a variable: put $W x + b$ in its place. Stable neurons may have any switch, but their $h$ must be right.
#
# Your rows go to a solver. With $x$ fixed, they must leave only one value for each $h$: that of the forward pass.


# %% nbgrader={"grade": false, "grade_id": "layer_rows", "locked": false, "schema_version": 3, "solution": true, "task": false}
def layer_rows(weight, bias, lower, upper):
    """Rows (coefficients, limit) over x, h, d that make h = relu(weight x + bias)."""
    ### BEGIN SOLUTION
    n, m, rows = len(weight[0]), len(bias), []
    for j, (w, b, low, high) in enumerate(zip(weight, bias, lower, upper, strict=True)):
        low, high = min(low, 0.0), max(high, 0.0)

        def row(of_z, of_h, of_d, limit, w=w, b=b, j=j):
            coefficients = [of_z * value for value in w] + [0.0] * (2 * m)
            coefficients[n + j], coefficients[n + m + j] = of_h, of_d
            rows.append((coefficients, limit - of_z * b))

        row(0.0, -1.0, 0.0, 0.0)
        row(1.0, -1.0, 0.0, 0.0)
        row(-1.0, 1.0, -low, -low)
        row(0.0, 1.0, -high, 0.0)
    return rows
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "layer_rows_check", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
# uses: layer_rows
def check():
    from course_utils.checks import as_tensor, passed
    from course_utils.milp_lab import layer_range

    def plain(rows, columns):
        """The rows as lists of numbers, from whatever form they come in."""
        made = [(as_tensor(list(row)).reshape(-1).tolist(), float(limit)) for row, limit in rows]
        assert all(len(row) == columns for row, _ in made), f"each row has {columns} coefficients: x, h and d"
        return made

    def right(weight, bias, lower, upper, x):
        """Whether only the forward pass is left at x; the text says what is wrong."""
        rows = plain(layer_rows(weight, bias, lower, upper), len(x) + 2 * len(bias))
        found = layer_range(rows, x, len(bias))
        if found is None:
            return f"at x = {x} your rows leave no point at all"
        for j, ((low, high), w, b) in enumerate(zip(found, weight, bias, strict=True)):
            h = max(sum(a * c for a, c in zip(w, x, strict=True)) + b, 0.0)
            if max(abs(low - h), abs(high - h)) > 1e-4:
                return f"at x = {x} neuron {j} may lie in [{low:.4f}, {high:.4f}]; the forward pass gives {h:.4f}"
        return ""

    weight, bias = [[1.0, -1.0], [2.0, 0.5]], [0.5, -1.0]
    for x in ([1.0, -1.0], [-1.0, 1.0], [0.25, 0.5], [0.5, 0.0]):
        said = right(weight, bias, [-1.5, -3.5], [2.5, 1.5], x)
        assert not said, said
    passed("layer_rows", 7)
    ### BEGIN HIDDEN TESTS
    import numpy as np

    drawn = np.random.RandomState(4)
    for n, m in [(1, 1), (3, 2), (2, 4)]:
        w, b = drawn.randn(m, n), drawn.randn(m)
        reach = np.abs(w).sum(axis=1)
        for _ in range(3):
            x = drawn.uniform(-1, 1, n).tolist()
            said = right(w.tolist(), b.tolist(), (b - reach).tolist(), (b + reach).tolist(), x)
            assert not said, "other sizes: mind the order of the variables, and which bound stands where"
    for w, b, low, high in [([[1.0]], [3.0], [2.0], [4.0]), ([[1.0]], [-3.0], [-4.0], [-2.0])]:
        assert not right(w, b, low, high, [0.5]), "a stable neuron's h must be right, too"
    tight = right([[1.0, 1.0]], [0.0], [-2.0], [2.0], [1.0, 1.0]) or right(
        [[1.0, 1.0]], [0.0], [-2.0], [2.0], [-1.0, -1.0]
    )
    assert not tight, "where z is exactly at its bound the forward pass must still be allowed"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# ### How large is M?
# Many texts write one constant $M$ for every neuron, "large enough". The next cell maximises the output of a small network over $[-1, 1]^3$ by such programs, with $M$ from
# 0.5 to 1,000,000, and once with the bounds of each neuron. Guess first: from which $M$ on is the answer right?

# %%
guess_m = None  # your guess, a number; then run the next cell

# %%
from course_utils.milp_lab import largest_with, small_network
from course_utils.plots.milp import draw_constants

asked = small_network(3, 3, 10, 8, 1)
cube = [(-1.0, 1.0)] * 3
bounded = largest_with(asked, cube, None)
by_constant = [largest_with(asked, cube, m) for m in (0.5, 1.0, 2.0, 5.0, 10.0, 100.0, 1e3, 1e4, 1e6)]
print(f"your guess: {guess_m}" if guess_m else "no guess made")
for one in by_constant:
    print(f"M = {one.m:<9g} largest {one.largest:9.4f}   {one.nodes:4d} nodes   {one.seconds:.2f} s")
print(f"from bounds   largest {bounded.largest:9.4f}   {bounded.nodes:4d} nodes   {bounded.seconds:.2f} s")
picture = draw_constants(by_constant, bounded)

# %% [markdown]
# An $M$ below a true bound cuts off inputs that exist. The program then says that the output cannot be so large, and a "proof" from it is wrong: it is **unsound**.
# A large $M$ is right on paper, but the relaxation becomes loose, and the solver's own tolerance is multiplied by $M$: with $d = 10^{-7}$, "as good as 0", a neuron may give
# $h = M d = 0.1$. That is why the library takes these constants from proved bounds and from nowhere else.

# %% [markdown]
# ## 2. Bounds first
# The better the bounds, the fewer switches. You know intervals and CROWN. Between them stand **symbolic intervals** (ReluVal, Neurify): each neuron keeps
# a linear function of the inputs below it and one above it, carried forward layer by layer. At an unstable ReLU the upper function $f$, with range
# $[l, u]$ over the box, is replaced by the chord of ReLU over that range:
#
# $$\mathrm{ReLU}(f(x)) \;\le\; \frac{u}{u - l}\,\bigl(f(x) - l\bigr).$$
#
# **Exercise (4 points).** Write `relu_above(slope, offset, lower, upper)`. The function is $f(x) = \mathrm{slope} \cdot x + \mathrm{offset}$, with `slope` a list of numbers;
# `lower` and `upper` are the ends of the *input box*. Give `(slope, offset)` of the linear function above $\mathrm{ReLU}(f(x))$: $f$ itself where it is never negative, 0 where it is never
# positive, and the chord otherwise.


# %% nbgrader={"grade": false, "grade_id": "relu_above", "locked": false, "schema_version": 3, "solution": true, "task": false}
def relu_above(slope, offset, lower, upper):
    """Slope and offset of a linear function above relu(slope . x + offset) over the box."""
    ### BEGIN SOLUTION
    ends = [(s * a, s * b) for s, a, b in zip(slope, lower, upper, strict=True)]
    least = offset + sum(min(pair) for pair in ends)
    most = offset + sum(max(pair) for pair in ends)
    if least >= 0:
        return list(slope), offset
    if most <= 0:
        return [0.0 for _ in slope], 0.0
    steep = most / (most - least)
    return [steep * s for s in slope], steep * (offset - least)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "relu_above_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: relu_above
def check():
    from course_utils.checks import as_tensor, passed

    def plain(*given):
        """Slope and offset as a list and a number."""
        slope, offset = relu_above(*given)
        slope = as_tensor(slope).reshape(-1).tolist()
        assert len(slope) == len(given[0]), f"{len(slope)} slopes came back for {len(given[0])} inputs"
        return slope, float(offset)

    slope, offset = plain([1.0, 1.0], 0.0, [-1.0, -1.0], [1.0, 1.0])
    for x in ([-1.0, -1.0], [1.0, 1.0]):
        got = slope[0] * x[0] + slope[1] * x[1] + offset
        wanted = max(x[0] + x[1], 0.0)
        assert abs(got - wanted) < 1e-5, f"x1 + x2 on the square: the chord meets ReLU at {x}, yours is {got} there"
    slope, offset = plain([-2.0], 5.0, [0.0], [1.0])
    assert abs(slope[0] + 2) < 1e-5 and abs(offset - 5) < 1e-5, "5 - 2 x is never negative on [0, 1]: it stays as it is"
    passed("relu_above", 4)
    ### BEGIN HIDDEN TESTS
    import numpy as np

    drawn = np.random.RandomState(6)
    for n in (1, 2, 4):
        for _ in range(8):
            s, c = drawn.randn(n), float(drawn.randn())
            low = drawn.uniform(-2, 1, n)
            high = low + drawn.uniform(0.1, 2, n)
            slope, offset = plain(s.tolist(), c, low.tolist(), high.tolist())
            x = np.concatenate(
                [drawn.uniform(low, high, (200, n)), [np.where(s > 0, low, high), np.where(s > 0, high, low)]]
            )
            f, above = x @ s + c, x @ np.array(slope) + offset
            assert (above >= np.maximum(f, 0) - 1e-5).all(), "is it above ReLU everywhere in the box?"
            assert np.abs(above[-2:] - np.maximum(f[-2:], 0)).max() < 1e-5, (
                "it touches ReLU where f is least and largest"
            )
    ### END HIDDEN TESTS


check()

# %% [markdown]
# The library has all three by name. The picture bounds an ACAS Xu network (part 6 says what it is) on shares of one box.

# %%
from course_utils.acas import acas_network, acas_property
from course_utils.plots.milp import draw_widths
from verifier import output_bounds

aircraft = acas_network("1_1")
box = acas_property(1).box
shares = (0.01, 0.03, 0.1, 0.3, 1.0)
widths = {name: [] for name in ("ibp", "symbolic", "crown")}
for share in shares:
    part = [((a + b) / 2 - share * (b - a) / 2, (a + b) / 2 + share * (b - a) / 2) for a, b in box]
    for name, row in widths.items():
        bounds = output_bounds(aircraft, part, method=name)
        row.append(float((bounds.upper - bounds.lower).mean()))
picture = draw_widths(shares, widths)

# %% [markdown]
# On small boxes the linear methods are far better than intervals and close to each other. On large boxes all are useless for this network: that is what splitting is for.

# %% [markdown]
# ## 3. Dependencies
# With ten unstable neurons there are $2^{10}$ **configurations**: which neurons are active. Most of them never occur. Write $q^+$, $q^-$ for neuron $q$ active, inactive.
# A *dependency* says that one state fixes another, for example $q^- \Rightarrow r^+$.
#
# **Between consecutive layers.** Let $q$ feed $r$ with weight $w$, and let $[l_r, u_r]$ be bounds on $z_r$ by interval arithmetic, in which $q$ contributes
# between 0 and $w\,u_q$. If $q$ is inactive it contributes 0, so we may take its part away:
#
# - $w > 0$: what is left is at most $u_r - w\,u_q$. If that is $\le 0$: $q^- \Rightarrow r^-$.
# - $w < 0$: what is left is at least $l_r - w\,u_q$. If that is $\ge 0$: $q^- \Rightarrow r^+$.
#
# **Exercise (5 points).** Write `next_state(w, u_q, l_r, u_r)`: what does $q^-$ imply for $r$? Give `"+"`, `"-"`, or `None` for nothing.


# %% nbgrader={"grade": false, "grade_id": "next_state", "locked": false, "schema_version": 3, "solution": true, "task": false}
def next_state(w, u_q, l_r, u_r):
    """What an inactive q implies for the neuron r that it feeds with weight w: "+", "-" or None."""
    ### BEGIN SOLUTION
    if w > 0 and u_r - w * u_q <= 0:
        return "-"
    if w < 0 and l_r - w * u_q >= 0:
        return "+"
    return None
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "next_state_check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# uses: next_state
def check():
    from course_utils.checks import passed

    said = next_state(2.0, 1.0, -1.0, 1.0)
    assert said == "-", f"z_r = 2 h_q - 1 with h_q in [0, 1]: without q it is -1, yours says {said!r}"
    said = next_state(-2.0, 1.0, -1.0, 1.0)
    assert said == "+", f"z_r = 1 - 2 h_q with h_q in [0, 1]: without q it is 1, yours says {said!r}"
    said = next_state(0.5, 1.0, -1.0, 1.0)
    assert said is None, f"w = 0.5 takes too little away from [-1, 1] to decide, yours says {said!r}"
    passed("next_state", 5)
    ### BEGIN HIDDEN TESTS
    import numpy as np

    drawn = np.random.RandomState(9)
    for _ in range(300):
        w, other, bias = drawn.randint(-8, 9) / 4, drawn.randint(-8, 9) / 4, drawn.randint(-12, 13) / 4
        u_q, u_p = drawn.randint(1, 9) / 4, drawn.randint(1, 9) / 4
        low = bias + min(w * u_q, 0) + min(other * u_p, 0)
        high = bias + max(w * u_q, 0) + max(other * u_p, 0)
        if not low < 0 < high or w == 0:
            continue
        left = (bias + min(other * u_p, 0), bias + max(other * u_p, 0))  # z_r without q
        wanted = "-" if w > 0 and left[1] <= 0 else "+" if w < 0 and left[0] >= 0 else None
        assert next_state(w, u_q, low, high) == wanted, "take the part of q away from the bound that it widens"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# **Within a layer.** Let $q$ and $r$ be unstable neurons of one layer, both affine on the box that enters it. If $z_q > 0$ on all of the line $z_r = 0$ (as far as it
# lies in the box), then the half $z_q \le 0$ cannot cross that line: it lies on one side, so $q^-$ fixes $r$, to the sign that $z_r$ has at any point of the box with
# $z_q \le 0$. In the same way, if $z_q < 0$ on that line, $q^+$ fixes $r$.
#
# With two inputs the line $z_r = 0$ cuts the box in a segment, and an affine $z_q$ is positive on a segment if it is positive at its two ends. The ends lie on the sides
# of the box.
#
# **Exercise (5 points).** Write `within_layer(q, r, lower, upper)`. A neuron is given as `(w1, w2, b)`, with $z = w_1 x_1 + w_2 x_2 + b$; `lower` and `upper` are the two
# corners of the box. Both neurons are unstable there. Give the pair `(a, b)`: what $q^-$ implies for $r$ and what $q^+$ implies for $r$, each `"+"`, `"-"` or `None`.


# %% nbgrader={"grade": false, "grade_id": "within_layer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def within_layer(q, r, lower, upper):
    """What an inactive and what an active q imply for r: "+", "-" or None each."""
    ### BEGIN SOLUTION
    corners = [(x, y) for x in (lower[0], upper[0]) for y in (lower[1], upper[1])]
    line = []
    for a, b in [(0, 1), (0, 2), (1, 3), (2, 3)]:  # the four sides
        za, zb = (r[0] * corners[k][0] + r[1] * corners[k][1] + r[2] for k in (a, b))
        if za == zb:
            line += [corners[a], corners[b]] if za == 0 else []
        elif min(za, zb) <= 0 <= max(za, zb):
            t = za / (za - zb)
            line.append(tuple(p + t * (s - p) for p, s in zip(corners[a], corners[b], strict=True)))
    z_q = [q[0] * x + q[1] * y + q[2] for x, y in line]

    def state_of_r(sign):
        x, y = max(corners, key=lambda c: sign * (q[0] * c[0] + q[1] * c[1]))
        return "+" if r[0] * x + r[1] * y + r[2] > 0 else "-"

    return (state_of_r(-1) if min(z_q) > 0 else None), (state_of_r(1) if max(z_q) < 0 else None)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "within_layer_check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# uses: within_layer
def check():
    from course_utils.checks import passed

    square = ([-1.0, -1.0], [1.0, 1.0])
    said = tuple(within_layer((1.0, 0.0, 0.5), (1.0, 0.0, -0.5), *square))
    assert said == ("-", None), f"z_q = x + 0.5, z_r = x - 0.5: where q is off r is off, nothing else; yours: {said}"
    said = tuple(within_layer((1.0, 0.0, 0.5), (-1.0, 0.0, 0.5), *square))
    assert said == ("+", None), f"z_q = x + 0.5, z_r = 0.5 - x: they are never both off; yours says {said}"
    said = tuple(within_layer((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), *square))
    assert said == (None, None), f"z_q = x1 and z_r = x2 do not depend on each other; yours says {said}"
    passed("within_layer", 5)
    ### BEGIN HIDDEN TESTS
    import numpy as np

    said = tuple(within_layer((1.0, 0.0, -0.5), (1.0, 0.0, 0.5), *square))
    assert said == (None, "+"), "an active q may fix r as well"
    said = tuple(within_layer((1.0, 0.0, 1 + 2**-26), (1.0, 0.0, 1.0), [-2.0, -1.0], [2.0, 1.0]))
    assert said[0] == "-", "z_q may lie above z_r by very little, in float64: where q is off, so is r"
    drawn, tried = np.random.RandomState(11), 0
    for _ in range(400):
        q, r = (tuple(float(v) for v in drawn.uniform(-1, 1, 3)) for _ in range(2))
        lower = drawn.uniform(-2, 0, 2)
        upper = lower + drawn.uniform(0.5, 2, 2)
        x = np.stack(np.meshgrid(*[np.linspace(a, b, 60) for a, b in zip(lower, upper, strict=True)]), -1).reshape(
            -1, 2
        )
        z_q, z_r = (x @ np.array(one[:2]) + one[2] for one in (q, r))
        if min(-z_q.min(), z_q.max(), -z_r.min(), z_r.max()) < 0.02:
            continue
        tried += 1
        said = within_layer(q, r, lower.tolist(), upper.tolist())
        for claim, half in zip(said, (z_q <= 0, z_q > 0), strict=True):
            if claim is not None:
                assert ((z_r[half] > 0) == (claim == "+")).all(), "a claim must hold at every point of the half"
            else:
                sides = z_r[half]
                clear = sides.min() > 0.1 or sides.max() < -0.1
                assert not clear, "a dependency that is there was not found"
    assert tried > 100, "the drawn neurons are unstable often enough"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# ### Cuts
# A dependency becomes an inequality on the switches that every solver understands. "$q^+ \Rightarrow r^+$" forbids only $d_q = 1, d_r = 0$, which is $d_r - d_q \ge 0$.
#
# **Exercise (4 points).** Write `as_cut(q_state, r_state)` for the dependency "`q_state` implies `r_state`", each `"+"` or `"-"`: numbers `(a, b, c)` such that
# $a\,d_q + b\,d_r \ge c$ forbids the one forbidden pair of switches and no other.


# %% nbgrader={"grade": false, "grade_id": "as_cut", "locked": false, "schema_version": 3, "solution": true, "task": false}
def as_cut(q_state, r_state):
    """(a, b, c) with a d_q + b d_r >= c."""
    ### BEGIN SOLUTION
    a = -1 if q_state == "+" else 1
    b = 1 if r_state == "+" else -1
    forbidden = a * (q_state == "+") + b * (r_state == "-")
    return a, b, forbidden + 1
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "as_cut_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: as_cut
def check():
    from course_utils.checks import passed

    def left(q_state, r_state):
        """The pairs (d_q, d_r) that the cut leaves."""
        a, b, c = (float(value) for value in as_cut(q_state, r_state))
        return {(d, e) for d in (0, 1) for e in (0, 1) if a * d + b * e >= c - 1e-9}

    def middle(q_state, r_state):
        """How far the cut is from the forbidden pair, in units of its own coefficients."""
        a, b, c = (float(value) for value in as_cut(q_state, r_state))
        d, e = int(q_state == "+"), int(r_state == "-")
        return c - a * d - b * e, max(abs(a), abs(b))

    kept = left("+", "+")
    assert kept == {(0, 0), (0, 1), (1, 1)}, f"q+ implies r+ leaves three pairs (d_q, d_r), yours leaves {sorted(kept)}"
    passed("as_cut", 4)
    ### BEGIN HIDDEN TESTS
    for q_state in "+-":
        for r_state in "+-":
            forbidden = (int(q_state == "+"), int(r_state == "-"))
            assert left(q_state, r_state) == {(0, 0), (0, 1), (1, 0), (1, 1)} - {forbidden}, "all four kinds"
            gap, size = middle(q_state, r_state)
            assert gap > 0.99 * size, "is the cut as tight as it can be, through the pairs that stay?"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# The library finds both kinds. Here is a network with two inputs and two hidden layers, and its dependencies as a graph. (Each also holds the other way round: its contrapositive.)

# %%
from course_utils.milp_lab import dependency_links, hidden_bounds, sampled_patterns
from course_utils.plots.milp import draw_dependencies

small = small_network(7, 2, 6, 5, 1)
square = [(-1.0, 1.0)] * 2
links = dependency_links(small, square)
picture = draw_dependencies((6, 5), links)

# %% [markdown]
# How many configurations are left? **Exercise (4 points).** Write `count_left(cuts, switches)`: of all $2^n$ ways to set `switches` $= n$ switches, how many obey every
# cut? A cut is `(q, r, a, b, c)`: the positions of its two switches, and $a\,d_q + b\,d_r \ge c$.


# %% nbgrader={"grade": false, "grade_id": "count_left", "locked": false, "schema_version": 3, "solution": true, "task": false}
def count_left(cuts, switches):
    """How many settings of so many switches obey all cuts."""
    ### BEGIN SOLUTION
    from itertools import product

    return sum(all(a * d[q] + b * d[r] >= c for q, r, a, b, c in cuts) for d in product((0, 1), repeat=switches))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "count_left_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: count_left
def check():
    from course_utils.checks import passed

    found = int(count_left([], 5))
    assert found == 32, f"five switches without cuts have 32 settings, yours counts {found}"
    found = int(count_left([(0, 1, -1, 1, 0), (1, 2, -1, 1, 0)], 3))
    assert found == 4, f"d0 <= d1 <= d2 has 4 settings, yours counts {found}"
    passed("count_left", 4)
    ### BEGIN HIDDEN TESTS
    chain = [(k, k + 1, -1, 1, 0) for k in range(7)]
    assert int(count_left(chain, 8)) == 9, "a chain of eight neurons, each implied by the one before"
    assert int(count_left([(0, 1, -1, -1, -1)], 4)) == 12, "q+ implies r-: never both"
    assert int(count_left([(3, 1, 1, 1, 1), (3, 1, -1, -1, -1)], 4)) == 8, "exactly one of two, whatever the others do"
    assert int(count_left([(0, 1, 1, 1, 3)], 2)) == 0, "a cut may leave nothing"
    assert int(count_left([], 1)) == 2 and int(count_left([], 0)) == 1, "without switches there is one setting"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# The picture counts three things: all settings of the network's unstable neurons; those that the cuts leave, by your function and the library's dependencies; and those that occur at 40,000 random inputs.

# %% tags=["only-shows"]
from course_utils.plots.milp import draw_counts

bounds_by_layer = hidden_bounds(small, square)
unstable = [
    (layer, place)
    for layer, (low, high) in enumerate(bounds_by_layer)
    for place in range(len(low))
    if low[place] < 0 < high[place]
]
position = {neuron: number for number, neuron in enumerate(unstable)}


def counted(links):
    """Settings left, by the student's two functions."""
    cuts = []
    for first, when, second, then in links:
        a, b, c = as_cut("+" if when else "-", "+" if then else "-")
        cuts.append((position[first], position[second], a, b, c))
    return int(count_left(cuts, len(unstable)))


def told(links):
    """The same without them: one bit for each neuron."""
    total = 0
    for bits in range(2 ** len(unstable)):
        on = {neuron: bool(bits >> number & 1) for neuron, number in position.items()}
        total += not any(on[first] == when and on[second] != then for first, when, second, then in links)
    return total


counts = {"all settings": 2 ** len(unstable)}
for kind in ("intra-layer", "consecutive"):
    some = dependency_links(small, square, (kind,))
    counts[f"left by {kind} cuts"] = mine_or(
        lambda some=some: counted(some), lambda some=some: told(some), "count_left"
    )
counts["left by both"] = mine_or(lambda: counted(links), lambda: told(links), "count_left")
counts["occur at samples"] = len(sampled_patterns(small, square))
picture = draw_counts(counts)

# %% [markdown]
# ### Do consecutive pairs suffice?
# The paper looks for dependencies between *consecutive* layers only, and says that this is enough. Do not believe it; try. For $x \in [-1, 1]^2$ let
#
# $$h = \mathrm{ReLU}(x), \qquad a = 5 h_1 + 1.2 h_2 - 1, \qquad c = 0.5 - \mathrm{ReLU}(a).$$
#
# Guess first: if $h_1$ is inactive, what is known of $a$, and what of $c$?

# %%
guess_c = None  # your guess: "+", "-" or "nothing"; then run the next cell

# %%
import numpy as np

from course_utils.milp_lab import network_of

three = network_of(([[1, 0], [0, 1]], [0, 0]), ([[5, 1.2]], [-1]), ([[-1]], [0.5]), ([[1]], [0]))
print(f"your guess: {guess_c}" if guess_c else "no guess made")
x1, x2 = np.meshgrid(np.linspace(-1, 0, 101), np.linspace(-1, 1, 201))  # h1 is inactive here
a = 5 * np.maximum(x1, 0) + 1.2 * np.maximum(x2, 0) - 1
c = 0.5 - np.maximum(a, 0)
print(f"where h1 is inactive: a from {a.min():.2f} to {a.max():.2f}, c from {c.min():.2f} to {c.max():.2f}")
picture = draw_dependencies((2, 1, 1), dependency_links(three, square))

# %% [markdown]
# Where $h_1$ is inactive, $a$ may have either sign, but $c \ge 0.3$ is always active. No chain of arrows in the graph leads from $h_1$ to $c$: each arrow looks at one layer.
# So consecutive pairs are *sound*, every arrow is true, but they do not find everything. A claim of completeness is tested in minutes by enumeration on a small example.

# %% [markdown]
# ## 4. The search
# Now all parts together. `method="milp"` is a branch and bound: at each **node** the states of some neurons are fixed, the bounds are computed again under them, dependencies fix further states
# and become cuts, and a linear program bounds the margin. Each ingredient can be switched off with `MilpOptions`. `search="highs"` hands the whole program to the solver HiGHS instead, as most papers do.

# %% tags=["only-shows"]
from course_utils.milp_lab import small_digit
from verifier import MilpOptions, argmax_is, verify

digit_net, digit, label = small_digit()
radius = 0.08
x_specs = [(max(0.0, value - radius), min(1.0, value + radius)) for value in digit.tolist()]
combinations = {
    "programs alone": MilpOptions(splitting=False, cuts="none"),
    "cuts before the search": MilpOptions(splitting=False, cuts="before"),
    "cuts during the search": MilpOptions(splitting=False, cuts="during"),
    "only intervals as bounds": MilpOptions(splitting=False, cuts="none", bounds="ibp"),
    "HiGHS by itself": MilpOptions(splitting=False, cuts="none", search="highs"),
}
for name, options in combinations.items():
    result = verify(digit_net, x_specs, argmax_is(label), method="milp", milp=options, timeout_s=5, progress=False)
    work = result.milp
    print(
        f"{name:26} {result.verdict.value:9} {work.nodes:4d} nodes, {work.cuts:5d} cuts, {result.seconds:5.2f} s; {result.guarantee}"
    )

# %% [markdown]
# Look at the last column. HiGHS computes in floating point and says "infeasible" only up to its own tolerance, and nothing can be checked of it. The library's own search believes no such word: from each linear
# program it takes only the multipliers, computes by itself what they prove, and rounds down. That is why it says "rounded".
#
# ### Two formulations
# Big-M is not the only way to write a ReLU. The *extended* (Balas) formulation gives each neuron a second copy of its inputs, one for the active and one for the inactive half. It is ideal for one neuron:
# its relaxation is the convex hull. But the hull of each neuron is not the hull of the network, and the copies cost columns.

# %% tags=["only-shows"]
tiny = small_network(2, 3, 8, 8, 1)
top = largest_with(tiny, [(-0.5, 0.5)] * 3, None).largest
for formulation in ("big-M", "balas"):
    options = MilpOptions(splitting=False, cuts="none", formulation=formulation)
    result = verify(tiny, [(-0.5, 0.5)] * 3, [(None, top + 0.01)], method="milp", milp=options, progress=False)
    print(f"{formulation:6} {result.verdict.value}: {result.milp.nodes} nodes, {result.seconds:.2f} s")

# %% [markdown]
# Fewer nodes, but each of them costs more. On networks of the size of part 6 that is a bad bargain.

# %% [markdown]
# ## 5. Split the box instead
# A box can be halved along one input, and the halves are easier: more neurons are stable in them. The **stability ratio** is the share of stable neurons. The method of this lab halves the
# input whose two halves have the highest *mean* ratio, and asks whether that is worth it: one level of depth doubles the work. So it compares scores,
#
# $$\mathrm{score}(\mathrm{ratio}, d) = \mathrm{ratio} / d^{1/m},$$
#
# with depth $d = 1$ for the whole box. It splits only if the score of the mean ratio at depth $d + 1$ *exceeds* the score at depth $d$. A large $m$ favours splitting.
#
# **Exercise (4 points).** Write `choose_input(halves, ratio, depth, m)`. `halves` holds a pair for each input: the ratios of its two halves. `ratio` is that of the box itself, at depth `depth`. Give the
# number of the input to split (the first one where several are best), or `None` where no split is worth it.


# %% nbgrader={"grade": false, "grade_id": "choose_input", "locked": false, "schema_version": 3, "solution": true, "task": false}
def choose_input(halves, ratio, depth, m):
    """The input to halve, or None."""
    ### BEGIN SOLUTION
    means = [(first + second) / 2 for first, second in halves]
    best = max(means)
    if best / (depth + 1) ** (1 / m) <= ratio / depth ** (1 / m):
        return None
    return means.index(best)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "choose_input_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: choose_input
def check():
    from course_utils.checks import passed

    halves = [(0.5, 0.6), (0.9, 0.3), (0.7, 0.7)]
    said = choose_input(halves, 0.5, 1, 20)
    assert said is not None and int(said) == 2, f"means 0.55, 0.6, 0.7: input 2 is best and worth it; yours: {said}"
    said = choose_input(halves, 0.5, 1, 1)
    assert said is None, f"with m = 1 the score falls from 0.5 / 1 to 0.7 / 2: no split; yours says {said}"
    passed("choose_input", 4)
    ### BEGIN HIDDEN TESTS
    said = choose_input([(0.6, 0.6), (0.6, 0.6)], 0.5, 3, 10)
    assert said is not None and int(said) == 0, "the first of several that are best"
    assert choose_input([(0.5, 0.5)], 0.5, 1, 1e9) is None, "no gain, no split"
    said = choose_input([(0.2, 1.0), (0.55, 0.55)], 0.58, 8, 50)
    assert said is not None and int(said) == 0, "the mean counts, not the better half or the worse one"
    assert choose_input([(0.62, 0.62)], 0.6, 1, 8) is None, "0.62 / 2^(1/8) is less than 0.6"
    said = choose_input([(0.62, 0.62)], 0.6, 9, 8)
    assert said is not None and int(said) == 0, "the same gain is worth it deeper down"
    ### END HIDDEN TESTS


check()

# %% [markdown]
# What does one split do where inputs are few, and where they are many?

# %% tags=["only-shows"]
from course_utils.plots.milp import draw_ratios


def ratio_of(net, x_specs):
    """The stability ratio in a box."""
    flat = [pair for below, above in hidden_bounds(net, x_specs) for pair in zip(below, above, strict=True)]
    return sum(not low < 0 < high for low, high in flat) / len(flat)


def halves_of(net, x_specs, inputs):
    """The ratios of the two halves along each of some inputs."""
    found = []
    for place in inputs:
        low, high = x_specs[place]
        parts = [
            [*x_specs[:place], side, *x_specs[place + 1 :]]
            for side in ((low, (low + high) / 2), ((low + high) / 2, high))
        ]
        found.append(tuple(ratio_of(net, part) for part in parts))
    return found


flying = acas_network("2_2")
acas_box = list(acas_property(4).box)
middle = sorted(range(784), key=lambda place: -float(digit_net[0].weight[:, place].detach().abs().sum()))[
    :5
]  # the heaviest pixels
halved = {
    "ACAS Xu, 5 inputs": halves_of(flying, acas_box, range(5)),
    "digit, 5 of 784": halves_of(digit_net, x_specs, middle),
}
roots = {"ACAS Xu, 5 inputs": ratio_of(flying, acas_box), "digit, 5 of 784": ratio_of(digit_net, x_specs)}
for name, pairs in halved.items():
    chosen = mine_or(
        lambda pairs=pairs, name=name: (choose_input(pairs, roots[name], 1, 20),), lambda: ("?",), "choose_input"
    )
    print(f"{name}: split input {chosen[0]}")
picture = draw_ratios({name: [sum(pair) / 2 for pair in pairs] for name, pairs in halved.items()}, roots)

# %% [markdown]
# With five inputs one split moves many neurons; with 784 one pixel moves hardly any, and you would have to split hundreds of them. So: split the box where inputs are few, split neurons where they are many. The library
# does so by itself (`splitting=None`). The parts of a box are independent, so they can go to several processes: `MilpOptions(workers=2)`. The first counterexample ends all of them.

# %% tags=["only-shows"]
from course_utils.milp_lab import acas_question

for options in (MilpOptions(splitting=False), MilpOptions(splitting=True)):
    result = verify(flying, *acas_question(4), method="milp", milp=options, timeout_s=5, progress=False)
    print(f"splitting={options.splitting!s:5} {result.verdict.value:9} {result.seconds:5.2f} s: {result.milp}")

# %% [markdown]
# ## 6. Aircraft
# ACAS Xu tells an unmanned aircraft how to avoid another one. Its tables take gigabytes; 45 small networks were trained to stand in for them. Each of the 45 belongs to one previous advisory and one time until both are at the
# same height. Each has 5 inputs, 6 layers of 50 neurons, and 5 outputs: a score for *clear of conflict*, *weak left*, *weak right*, *strong left*, *strong right*. The **smallest** score wins.
#
# The picture shows which advisory network 1_1 gives for each place of an intruder that comes towards us.

# %% tags=["only-shows"]
from course_utils.plots.milp import draw_advisories

picture = draw_advisories(aircraft, heading=-np.pi, own_speed=1000.0, speed=900.0)

# %% [markdown]
# Ten properties were stated in 2017; these are the first four, and what the library says of three networks. A property is a box of inputs and a condition on the scores.

# %% tags=["only-shows"]
for number in (1, 2, 3, 4):
    print(f"property {number}: {acas_property(number).words}")
questions = [("1_1", 1), ("1_6", 1), ("1_6", 3), ("1_6", 4), ("2_2", 2), ("2_2", 3), ("2_2", 4)]
answers = {}
for name, number in questions:
    result = verify(acas_network(name), *acas_question(number), method="milp", timeout_s=20, progress=False)
    answers[name, number] = result
    print(
        f"network {name}, property {number}: {result.verdict.value:9} {result.seconds:5.2f} s, {result.milp.subproblems} sub-problems"
    )

# %% [markdown]
# One of them is falsified: there is an input for which *clear of conflict* has the worst score of all, although the intruder is far away and slow. Property 2 was not meant to be broken. Let us look at that input and fly it:

# %% tags=["only-shows"]
from course_utils.plots.milp import draw_flight

case = answers["2_2", 2].counterexample
if case is not None:
    picture = draw_flight(flying, case)

# %% [markdown]
# Nothing dangerous: an alert where none is needed. What a counterexample *means* is for those who know the system; the verifier only finds it.
#
# ### Images
# The same method on images of CIFAR-10: a network with two convolutions, 2,560 ReLUs, that tells cats from airplanes.

# %% tags=["only-shows"]
from course_utils.milp_lab import cat_airplane

conv, images, labels = cat_airplane()
small_radius = 2 / 255
for number in (0, 1, 10, 11):
    flat = images[number].reshape(-1).tolist()
    around = [(max(0.0, value - small_radius), min(1.0, value + small_radius)) for value in flat]
    result = verify(
        conv, around, argmax_is(labels[number]), input_shape=(3, 32, 32), method="milp", timeout_s=5, progress=False
    )
    print(
        f"image {number:2d}: {result.verdict.value:9} {result.seconds:5.2f} s; {result.milp.nodes} nodes {result.reason}"
    )

# %% [markdown]
# ## 7. The race
# The methods of the course, Z3 and the public verifier Marabou on twenty questions, ten seconds of CPU time each, run once and stored. A curve that is higher has settled more; one that is further left was faster. Z3 settles nothing: networks of this size are too large for it.

# %%
from course_utils.milp_lab import race_instances, run_race, stored_race
from course_utils.plots.milp import draw_race

picture = draw_race(stored_race())

# %% [markdown]
# Twelve of the twenty are aircraft with five inputs, so the methods that split the box win. The MILP of this lab settles twice as many as the plain one, and half of that is the splitting. Would the
# picture look the same with twenty images?
#
# Run a part of it on your machine: choose a method and some questions.

# %% tags=["only-shows"]
method = "MILP with all"  # or "auto", "plain MILP", "input splitting", "ReLU splitting", "crown"
for lap in run_race(method, race_instances()[4:8], timeout_s=5):
    print(f"{lap.instance:28} {lap.verdict:9} {lap.seconds:5.2f} s")

# %% [markdown]
# ## 8. Which one would you take?
# **Written question (4 points, graded by hand).** A colleague verifies a network with 30 inputs and one hidden layer of 128 neurons, on ten thousand boxes, of which many hold counterexamples. She writes a MILP with $M = 10^6$ for every
# neuron, hands it to a solver, and reads "infeasible" as "verified". In six to ten sentences: name two things that can go wrong, and say what you would change for each. Would you split the box of inputs or the neurons, and why? What would you run *before* the MILP? And what would
# you say about a proof of hers that has a margin of $10^{-8}$?

# %% [markdown] nbgrader={"grade": true, "grade_id": "which_one", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# With $M = 10^6$ a switch that is off by the solver's tolerance lets a neuron give values that it cannot have, and the relaxation is useless, so the search is slow; the constants should come from proved
# bounds of each neuron (1 point). "Infeasible" is what a floating-point solver says up to its tolerance: take the multipliers and recompute with rounding what they prove, or ask a solver that is exact (1 point).
# With 30 inputs a split of one input stabilises few neurons, so split neurons; the single hidden layer makes them affine in the inputs, and dependencies within the layer are exact (1 point). Before
# the MILP run cheap bounds, which settle the easy boxes, and an attack, which finds most counterexamples in milliseconds. A margin of $10^{-8}$ is smaller than the solver's tolerance and than what float32 rounds:
# it proves nothing until it is recomputed with rounding, and nothing about the program that runs in float32 (1 point).
# ### END SOLUTION

# %% [markdown]
# ## What to take away
# - A ReLU is two linear pieces and a switch. Bounds decide most switches in advance.
# - Big-M must come from proved bounds: a smaller one is unsound, a larger one is loose and numerically unsafe.
# - One neuron's state can fix another's. Such dependencies are cuts, and most configurations never occur.
# - Split the box where inputs are few, and neurons where they are many.
# - A solver's "infeasible" is a claim. Its multipliers are an argument, and an argument can be checked.
#
# ### To read
# - Botoeva, Kouvaros, Kronqvist, Lomuscio, Misener: [Efficient Verification of ReLU-based Neural Networks via Dependency Analysis](https://doi.org/10.1609/aaai.v34i04.5729). 2020. The method of this lab.
# - Tjeng, Xiao, Tedrake: [Evaluating Robustness of Neural Networks with Mixed Integer Programming](https://arxiv.org/abs/1711.07356). 2019.
# - Katz, Barrett, Dill, Julian, Kochenderfer: [Reluplex](https://arxiv.org/abs/1702.01135). 2017. The aircraft and their properties.
# - Wang, Pei, Whitehouse, Yang, Jana: [Formal Security Analysis of Neural Networks using Symbolic Intervals](https://arxiv.org/abs/1804.10829). 2018.
# - Anderson, Huchette, Ma, Tjandraatmadja, Vielma: [Strong mixed-integer programming formulations for trained neural networks](https://arxiv.org/abs/1811.01988). 2020.
#
# **An open question.** The dependency that consecutive pairs miss needs a sum over two layers. Could you find such dependencies with the linear functions of part 2, and would they pay?
