# ruff: noqa: E501  nbgrader's part of a cell stands on one line
"""Write the text of a new lab: one exercise of each kind, which keeps the contract and earns every point."""

import re
from pathlib import Path

from grading.course import Course, CourseError

NAME = re.compile(r"[a-z][a-z0-9_]*")
TEMPLATE = '''# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # {title}
# **You will learn** ... **You need** ... **Time**: 60 minutes.

# %% [markdown]
# ## 1. A function that is tested
# Students see everything of a cell but its solution, which two comments enclose.

# %% nbgrader={{"grade": false, "grade_id": "width", "locked": false, "schema_version": 3, "solution": true, "task": false}}
def width(lower, upper):
    """Length of the interval from lower to upper."""
    ### BEGIN SOLUTION
    if lower > upper:
        raise ValueError("lower exceeds upper")
    return upper - lower
    ### END SOLUTION


# %% [markdown]
# A test cell names in its first line what it takes from the student. It uses nothing else of the notebook, imports what
# it needs, and its hidden assertions carry a hint in one plain string.

# %% nbgrader={{"grade": true, "grade_id": "width_check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}}
# uses: width
assert abs(width(1.0, 3.0) - 2.0) < 1e-9, "the width of an interval is how far its ends lie apart"
### BEGIN HIDDEN TESTS
for lower, upper, expected in [(-2.5, 4.0, 6.5), (0.25, 0.25, 0.0), (-8.0, -1.5, 6.5)]:
    assert abs(width(lower, upper) - expected) < 1e-9, "try ends of both signs, and two equal ones"
try:
    width(3.0, 1.0)
    swapped_is_refused = False
except ValueError:
    swapped_is_refused = True
assert swapped_is_refused, "what should happen when the ends are swapped?"
### END HIDDEN TESTS

# %% [markdown]
# ## 2. A written answer
# It is graded by hand. The solution and the rubric are shown to whoever grades, and to no student.

# %% [markdown] nbgrader={{"grade": true, "grade_id": "meaning", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}}
# What does the width of an output interval tell about a network?
#
# ### BEGIN SOLUTION
# A wide interval may be a loose bound; it does not show that the network takes all these values.
#
# Rubric: 1 point for "an upper bound on the spread of outputs", 1 point for "it may be loose".
# ### END SOLUTION

# %% [markdown]
# ## What to take away
# ... **An open question**: ...
'''


def write_new_lab(course: Course, lab: str) -> Path:
    """Write `labs/LAB/LAB.py`.

    Raises:
        CourseError: The name is not one, or there is such a lab already.
    """
    if not NAME.fullmatch(lab):
        raise CourseError(f"{lab!r} cannot name a lab: write it as lab8_attacks")
    path = course.text_source(lab)
    if path.parent.exists():
        raise CourseError(f"{path.parent} exists already")
    path.parent.mkdir(parents=True)
    path.write_text(TEMPLATE.format(title=lab.replace("_", " ").capitalize()), encoding="utf-8")
    return path
