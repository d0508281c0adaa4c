"""What a submission did with the cells that are not the student's: points do not depend on it, but the instructor may
want to know."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence

from grading.lab.contract import without_hidden
from grading.lab.submission import GradedCell

MAX_NAMED = 6  # cells that are named in one note


def differences(cells: Sequence[tuple[str, str, str | None]], blueprint: Mapping[str, GradedCell]) -> list[str]:
    """Notes on cells that were removed, changed, copied or moved.

    Args:
        cells: (type, text, grade_id or None) of the student's notebook.
        blueprint: The instructor's cells, in their order.

    Returns:
        At most one note of each kind. Text counts as changed for tests and locked cells only; a test as it was
        released, without its hidden part, is unchanged.
    """
    counts = Counter(name for _, _, name in cells if name in blueprint)
    last = {name: (index, source) for index, (_, source, name) in enumerate(cells) if name and name in blueprint}
    changed = [
        name
        for name, (_, source) in last.items()
        if blueprint[name].keeps_its_text
        and _plain(source) not in (_plain(blueprint[name].source), _plain(without_hidden(blueprint[name].source)))
    ]
    order = [name for name in blueprint if name in last]
    kinds = {
        "removed": [name for name in blueprint if name not in counts],
        "changed": [name for name in blueprint if name in changed],
        "copied": [name for name in blueprint if counts[name] > 1],
        "moved": _moved(order, [last[name][0] for name in order]),
    }
    return [f"cells {what}: {_named(names)}" for what, names in kinds.items() if names]


def _moved(names: list[str], places: list[int]) -> list[str]:
    """The fewest names that stand out of order: those outside a longest run of places that increases."""
    ends: list[int] = []
    ranks = []
    for place in places:
        rank = bisect_left(ends, place)
        ends[rank : rank + 1] = [place]
        ranks.append(rank)
    kept, wanted = set(), len(ends) - 1
    for name, rank in reversed(list(zip(names, ranks, strict=True))):
        if rank == wanted:
            kept.add(name)
            wanted -= 1
    return [name for name in names if name not in kept]


def _plain(source: str) -> list[str]:
    """A text's lines, without what editors add and take away."""
    return [line.rstrip() for line in source.splitlines() if line.strip()]


def _named(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
