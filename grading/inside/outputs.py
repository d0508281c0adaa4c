"""The outputs of a cell as the judge hands them on: a process that a student's code may have taken over said them, so
of whatever they are, only texts in their places are kept, and no more of them than a notebook may print."""

from typing import Any

TEXTS = ("output_type", "name", "text", "ename", "evalue")
MAX_OUTPUTS, MAX_LINES, MAX_KINDS = 10_000, 1000, 20


def only_texts(told: Any, letters: int) -> tuple[list[dict[str, Any]], int]:
    """Outputs with nothing but texts in them.

    Args:
        told: Anything that JSON holds.
        letters: How many letters may still be kept.

    Returns:
        The outputs, and how many letters are left after them; an output that does not fit is left out.
    """
    kept: list[dict[str, Any]] = []
    for output in told[:MAX_OUTPUTS] if isinstance(told, list) else []:
        if not isinstance(output, dict):
            continue
        made: dict[str, Any] = {name: output[name] for name in TEXTS if isinstance(output.get(name), str)}
        traceback, data = output.get("traceback"), output.get("data")
        if isinstance(traceback, list):
            made["traceback"] = [line for line in traceback[:MAX_LINES] if isinstance(line, str)]
        if isinstance(data, dict):
            made["data"] = {kind: text for kind, text in list(data.items())[:MAX_KINDS] if isinstance(text, str)}
        size = sum(map(len, _texts(made)))
        if size <= letters:
            letters -= size
            kept.append(made)
    return kept, letters


def _texts(made: dict[str, Any]) -> list[str]:
    found = [text for text in made.values() if isinstance(text, str)]
    return [*found, *made.get("traceback", []), *(part for pair in made.get("data", {}).items() for part in pair)]
