# %% [markdown]
# # A lab small enough for a test
# One exercise of each kind that a lab has: a value, a function with partial credit, a tensor, a written answer.

# %% nbgrader={"grade": false, "grade_id": "width", "locked": false, "schema_version": 3, "solution": true, "task": false}
x_specs = [[0.7, 0.85], [0.7, 0.85]]


def width(lower, upper):
    """Length of the interval from lower to upper."""
    ### BEGIN SOLUTION
    if lower > upper:
        raise ValueError("lower exceeds upper")
    return upper - lower
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "width_check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# uses: width
assert abs(width(1.0, 3.0) - 2.0) < 1e-9, "the width of an interval is how far its ends lie apart"
### BEGIN HIDDEN TESTS
try:
    width(3.0, 1.0)
    raise AssertionError("hint: what should happen when the ends are swapped?")
except ValueError:
    pass
### END HIDDEN TESTS

# %% nbgrader={"grade": false, "grade_id": "middle", "locked": false, "schema_version": 3, "solution": true, "task": false}
import numpy as np


def middle(bounds):
    """Midpoint of each row (lower, upper) of an array of shape (inputs, 2)."""
    ### BEGIN SOLUTION
    return np.asarray(bounds).mean(axis=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "middle_check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# uses: middle, x_specs
import sys

import numpy as np

assert middle(np.array([[0.0, 1.0]])).shape == (1,), "one midpoint an input"
earned = 4
### BEGIN HIDDEN TESTS
sys.stderr.write("a library may say something here; it costs no points\n")
if not np.allclose(middle(x_specs), 0.775):
    earned = 1
### END HIDDEN TESTS
earned

# %% nbgrader={"grade": false, "grade_id": "corner", "locked": false, "schema_version": 3, "solution": true, "task": false}
import torch

# the corner of the box with the largest coordinates, as a float32 tensor of shape (2,)
corner = None
### BEGIN SOLUTION
corner = torch.tensor([upper for lower, upper in x_specs])
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "corner_check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
# uses: corner
import torch

assert torch.is_tensor(corner) and corner.shape == (2,), "a box of two inputs has corners of two coordinates"
### BEGIN HIDDEN TESTS
assert torch.equal(corner, torch.tensor([0.85, 0.85])), "hint: which end of each interval is the larger?"
### END HIDDEN TESTS

# %% [markdown] nbgrader={"grade": true, "grade_id": "meaning", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# What does a box say about the points outside it?
#
# ### BEGIN SOLUTION
# Nothing at all: a verified box is silent about every other point.
# ### END SOLUTION
