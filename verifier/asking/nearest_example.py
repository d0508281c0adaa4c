"""The nearest adversarial example that is met: candidates are pulled towards the image until the label is back.

A point where the label only ties is a violation, and the network still gives the label there where its index is the
lower one. So beyond a border that is reached but not crossed the example is looked for a little further on the ray; a
tie counts only where no point of another class was met.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from verifier.answer.replay import Counterexample, check_counterexample, into_box
from verifier.asking.ball import Ball
from verifier.attack import attack, thorough_attack
from verifier.enclosure import Array, Mask
from verifier.narrowed import MANY_OUTPUTS
from verifier.question.question import Question
from verifier.question.spec import argmax_is
from verifier.subject import Subject

STEPS = 32  # points on each ray, among which the first crossing is looked for
HALVINGS = 45  # of the part that holds it
OUTWARD = (0.0, 1e-12, 1e-9, 1e-7, 1e-6, 1e-5, 1e-4)  # shares of the radius: at a crossing rounding decides
TIE_COST = 2e-4  # share of the radius by which an example of another class may be farther off than a tie
RAYS = 64  # at most, of a bundle of candidates
FEW_INPUTS = 64  # along each of which a ray is worth a look


class NearestExample:
    """Keeps the nearest example that was replayed.

    Attributes:
        distance: Its distance, rounded up; infinite where none was met.
        x: It, a value of the caller's dtype in float64, (inputs,); None where none was met.
        tie: Whether it is a tie at which the network still gives the label.
    """

    def __init__(self, subject: Subject, label: int, ball: Ball) -> None:
        """Know none yet.

        Args:
            subject: The network.
            label: The class of the ball's centre.
            ball: Where examples count.
        """
        self._subject, self._label, self._ball = subject, label, ball
        self.question: Question | None = None
        if subject.network.outputs <= MANY_OUTPUTS:  # the question as a whole would take too much memory
            self.question = Question.ask(subject, ball.box(), argmax_is(label))
        self.distance = math.inf
        self.x: Array | None = None
        self.tie = False

    @property
    def label_found(self) -> int | None:
        """The class that the network gives the example; None where there is none."""
        return None if self.x is None else int(np.argmax(self._subject.run(self.x[None].copy())[0]))

    def accept(self, x: Array) -> None:
        """Take a counterexample that was replayed elsewhere, (inputs,), and look at its ray."""
        distance = float(self._ball.distances(x))
        if distance < self.distance:
            self.distance, self.x, self.tie = distance, x, False
            self.tie = self.label_found == self._label
        self.offer(x)

    @property
    def reach(self) -> float:
        """Beyond this distance no example is of interest: the radius, or a little more than that of the nearest one."""
        return min(self._ball.radius, self.distance + self._tie_cost * self.tie)

    @property
    def _tie_cost(self) -> float:
        return TIE_COST * self._ball.radius

    def look(self, seed: int = 0, thorough: bool = False, stop: Callable[[], bool] = lambda: False) -> None:
        """Attack in the box around what is of interest, and pull in what is met."""
        ball = self._ball.of_radius(self.reach)
        if ball.radius <= 0:
            return
        if self.question is None:
            return
        question = Question.ask(self._subject, ball.box(), argmax_is(self._label))
        run = thorough_attack if thorough else attack
        self.offer(run(question, wanted=RAYS, seed=seed, stop=stop))
        if ball.norm != "inf" and ball.centre.size <= FEW_INPUTS:  # the corners of such a ball
            units = np.eye(ball.centre.size)
            self.offer(ball.centre + ball.radius * np.concatenate([units, -units]))

    def offer(self, candidates: Array) -> None:
        """Keep the nearest example among points (points, inputs), and on the rays through them."""
        points = np.atleast_2d(candidates)
        distances = self._ball.distances(points)
        order = np.flatnonzero(np.isfinite(distances) & (distances > 0))
        order = order[np.argsort(distances[order], kind="stable")][:RAYS]
        if not order.size or self.reach <= 0 or self.question is None:
            return
        for index in order:
            self._keep(points[index])
        centre, reach = self._ball.centre, self.reach
        directions = (points[order] - centre) / distances[order, None]
        shares = np.linspace(0.0, 1.0, STEPS + 1)
        crossed = self._other(centre + reach * shares[1:, None] * directions[:, None, :])
        rays = np.flatnonzero(crossed.any(axis=1))
        if not rays.size:
            return
        first = crossed[rays].argmax(axis=1)
        low, high = reach * shares[first], reach * shares[first + 1]
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            other = self._other(centre + middle[:, None] * directions[rays])
            low, high = np.where(other, low, middle), np.where(other, middle, high)
        for number in np.argsort(high, kind="stable"):
            if high[number] >= self.reach:
                break
            for share in OUTWARD:
                length = high[number] + share * self._ball.radius
                if self._keep(centre + length * directions[rays[number]]):
                    break

    def _other(self, points: Array) -> Mask:
        """At which points (..., inputs), moved into the box in the caller's dtype, the class is another one.

        The Network is asked, many points at once; what is kept is replayed in the caller's own object.
        """
        assert self.question is not None
        inside = into_box(self.question, points)
        logits = self._subject.network.logits(inside.reshape(-1, inside.shape[-1]))
        return np.asarray(logits.argmax(axis=1) != self._label).reshape(points.shape[:-1])

    def _keep(self, point: Array) -> bool:
        """Replay a point and keep it if none so far is nearer; whether its class is confirmed to be another."""
        assert self.question is not None
        x = into_box(self.question, point)
        distance = float(self._ball.distances(x))
        if (distance >= self.reach and self.x is not None) or not self._ball.contains(x):
            return False
        found = check_counterexample(self.question, x)
        if not isinstance(found, Counterexample):
            return False
        tie = int(np.argmax(found.y)) == self._label
        if distance + self._tie_cost * tie < self.distance + self._tie_cost * self.tie:
            self.distance, self.x, self.tie = distance, found.x, tie
        return not tie
