"""Budget: how much time and how many subdomains a question may still cost, and the progress bar that shows it."""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from verifier.answer.reason import Reason, Why, time_is_up

PROGRESS_DELAY_S = 1.0  # a call that is over sooner shows no bar


@dataclass
class Budget:
    """Counts what a question costs; every stage of one call shares one.

    Args:
        timeout_s: Wall time allowed, in seconds; infinite for no limit.
        max_subdomains: Subdomains allowed, or None for no limit.
        show: True or False for a progress bar or none, None for one that appears after a second where someone can
            see it (see somebody_watches()).
    """

    timeout_s: float = math.inf
    max_subdomains: int | None = None
    show: bool | None = None
    subdomains: int = 0
    started: float = field(default_factory=time.perf_counter)
    parent: Budget | None = field(default=None, repr=False)
    _bar: Any = field(default=None, repr=False)

    def share(self, time: float = 1.0, max_subdomains: int | None = None, *, at_most_s: float = math.inf) -> Budget:
        """A part of what is left, for a step after which there is more to try; what it costs is booked here as well.

        Args:
            time: Its part of the seconds that are left, from 0 to 1.
            max_subdomains: Its subdomains at most, of those that are left; None for all of them.
            at_most_s: Its seconds at most, where the part would be more.
        """
        left = self.subdomains_left if max_subdomains is None else min(max_subdomains, self.subdomains_left)
        limit = None if math.isinf(left) else int(left)
        return Budget(min(self.seconds_left * time, at_most_s), limit, False, parent=self)

    @property
    def seconds(self) -> float:
        """Wall time used so far."""
        return time.perf_counter() - self.started

    @property
    def seconds_left(self) -> float:
        """Wall time left; 0 when there is none."""
        return max(0.0, self.timeout_s - self.seconds)

    @property
    def subdomains_left(self) -> float:
        """Subdomains left; infinite without a limit."""
        return math.inf if self.max_subdomains is None else max(0, self.max_subdomains - self.subdomains)

    def exhausted(self) -> Why | None:
        """Say which limit is reached, or None."""
        if self.seconds_left <= 0:
            return time_is_up(self.timeout_s)
        if self.subdomains_left <= 0:
            return Why(Reason.WORK_LIMIT, f"limit of {self.max_subdomains:,} subdomains reached")
        return None

    def time_is_up(self) -> bool:
        """Whether no time is left: what long steps are handed as `stop`, and ask now and then."""
        return self.seconds_left <= 0

    def count(self, subdomains: int, note: Callable[[], str] | None = None) -> None:
        """Book subdomains as bounded; a search that goes on passes a note for the progress bar."""
        self.subdomains += subdomains
        if self.parent is not None:
            self.parent.count(subdomains, note)
        if note is None or not _shows(self.show, self.seconds):
            return
        if self._bar is None:
            self._bar = _open_bar()
        self._bar.n = self.subdomains
        self._bar.set_postfix_str(note(), refresh=False)
        self._bar.update(0)

    def close(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def somebody_watches() -> bool:
    """Whether a progress bar would be seen: in a terminal or a notebook, not in a log file or a pipe."""
    stream = sys.stderr
    if stream is None or stream.closed:
        return False
    if stream.isatty():
        return True
    shell = sys.modules.get("IPython")  # a notebook's bar is a widget, whatever its streams are
    return shell is not None and getattr(shell.get_ipython(), "kernel", None) is not None


def _shows(asked: bool | None, seconds: float) -> bool:
    """Whether a bar is drawn by now: as asked, or after a second where somebody watches."""
    if asked is not None:
        return asked
    return seconds >= PROGRESS_DELAY_S and somebody_watches()


def _open_bar(what: str = "verify", unit: str = " subdomains", total: int | None = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a notebook without ipywidgets falls back to text; that is fine
        from tqdm.auto import tqdm
    return tqdm(desc=what, unit=unit, total=total, leave=False, mininterval=0.2)


class ImageBar:
    """A progress bar over images, under the same rule: one that appears after a second unless asked for.

    Args:
        images: How many there are.
        show: As in Budget.
    """

    def __init__(self, images: int, show: bool | None) -> None:
        """Draw nothing yet."""
        self._images, self._show, self._done = images, show, 0
        self._started = time.perf_counter()
        self._bar: Any = None

    def step(self, verified: int) -> None:
        """One image more is done; so many are verified by now."""
        self._done += 1
        if not _shows(self._show, time.perf_counter() - self._started):
            return
        if self._bar is None:
            self._bar = _open_bar("images", " images", self._images)
        self._bar.n = self._done
        self._bar.set_postfix_str(f"{verified} verified", refresh=False)
        self._bar.update(0)

    def close(self) -> None:
        """Remove it."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class BestBar:
    """A bar for a search that improves: it counts what was found, and shows the best, its bound and the seconds.

    Args:
        what: What is searched for.
        show: As in Budget.
    """

    def __init__(self, what: str, show: bool | None) -> None:
        """Draw nothing yet."""
        self._what, self._show = what, show
        self._bar: Any = None
        self._started = time.perf_counter()

    def step(self, best: float, bound: float) -> None:
        """Something better was found."""
        if not _shows(self._show, time.perf_counter() - self._started):
            return
        if self._bar is None:
            self._bar = _open_bar(self._what, " found")
        self._bar.set_postfix_str(f"best {best:g}, bound {bound:g}", refresh=False)
        self._bar.update()

    def close(self) -> None:
        """Remove it."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
