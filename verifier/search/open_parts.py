"""The open parts of a search: the most promising first, and none of them lost to an interrupt."""

from __future__ import annotations

import contextlib
import heapq
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from verifier.search.events import Event, Observer


@dataclass(order=True)
class Part:
    """An open part of a search; searches add what it is a part of.

    Args:
        priority: The smallest comes first.
        number: Its number in the search, which decides between equals.
        parent: The number of the part that it was split from, or None.
        depth: How many splits lie above it.
        margin: What is proved of its worst margin.
    """

    priority: float
    number: int
    parent: int | None = field(compare=False)
    depth: int = field(compare=False)
    margin: float = field(compare=False)


P = TypeVar("P", bound=Part)


@dataclass(eq=False)
class InHand(Generic[P]):
    """Parts taken out for one step, and what the step makes of them.

    Args:
        parts: What was taken.
        children: What is to be opened in their place.
        stuck: Those that can be neither settled nor split.
        events: What an observer is to be told.
        finished: To be set at the end of the step; otherwise the step counts for nothing.
    """

    parts: list[P]
    children: list[P] = field(default_factory=list)
    stuck: list[P] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    finished: bool = False


class OpenParts(Generic[P]):
    """A heap of open parts.

    Args:
        observe: Told what became of parts, once the step that decided it has finished.
    """

    def __init__(self, observe: Observer | None = None) -> None:
        """Nothing is open yet."""
        self.observe = observe
        self.stuck: list[P] = []
        self.whole = True  # False while parts are in hand: an interrupt could lose some
        self._heap: list[P] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._heap)

    def __iter__(self) -> Iterator[P]:
        """All of them, in no order."""
        return iter(self._heap)

    def number(self) -> int:
        """A number for another part."""
        return next(self._numbers)

    def replace(self, parts: Iterable[P]) -> None:
        """Hold these parts instead, and none that is stuck."""
        self._heap, self.stuck = list(parts), []
        heapq.heapify(self._heap)

    @property
    def margin(self) -> float:
        """The least of the margins that are proved of parts open or stuck; inf where there are none."""
        return min((part.margin for part in itertools.chain(self._heap, self.stuck)), default=float("inf"))

    @property
    def settled(self) -> bool:
        """Whether nothing is open, stuck or lost."""
        return self.whole and not self._heap and not self.stuck

    def push(self, part: P) -> None:
        """Open a part."""
        heapq.heappush(self._heap, part)

    @contextlib.contextmanager
    def in_hand(self, count: int) -> Iterator[InHand[P]]:
        """Take parts out for one step; whatever ends it before it has finished, they are open again."""
        self.whole = False
        step = InHand([heapq.heappop(self._heap) for _ in range(count)])
        try:
            yield step
        finally:
            for part in step.children if step.finished else step.parts:
                heapq.heappush(self._heap, part)
            if step.finished:
                self.stuck += step.stuck
            self.whole = True
            if step.finished and self.observe is not None:
                for event in step.events:
                    self.observe(event)
