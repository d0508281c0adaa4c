"""What a student wrote, made harmless to look at: outputs of cells, and the HTML that Markdown becomes."""

import base64
import binascii
from typing import Any

from grading.run.cleaner import CLEANER, Budget

MAX_OUTPUTS, MAX_LINES, MAX_TEXT, MAX_PICTURE = 200, 1000, 100_000, 3_000_000
PICTURES = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8", "image/gif": b"GIF8"}


_page = [Budget()]  # of the page that is being made


def sanitise_outputs(outputs: Any, budget: Budget | None = None) -> list[dict[str, Any]]:
    """A cell's outputs as a notebook may hold them, whatever the process said that ran the cell.

    Text stays text; pictures stay where they are pictures; HTML and Markdown become HTML without scripts, handlers and
    links to elsewhere that load by themselves; SVG becomes a picture, in which no script runs; JavaScript, widgets and
    everything else is left out. What is too long is cut.

    Args:
        outputs: Whatever the process said.
        budget: What cleaning the texts of one notebook may cost; its own if None.
    """
    budget = budget or Budget()
    if not isinstance(outputs, list):
        return []
    kept = [one for output in outputs[:MAX_OUTPUTS] if (one := _sanitise(output, budget)) is not None]
    if len(outputs) > MAX_OUTPUTS:
        kept.append(stream(f"... {len(outputs) - MAX_OUTPUTS} more outputs left out"))
    return kept


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    """A printed text as an output."""
    return {"output_type": "stream", "name": name, "text": cut(text)}


def error(message: str, name: str = "Error") -> dict[str, Any]:
    """An error in one line as an output; nbgrader gives no points to a cell that has one."""
    return {"output_type": "error", "ename": name, "evalue": message, "traceback": [message]}


def safe_html(html: str) -> str:
    """HTML without anything that runs, submits or loads."""
    return CLEANER.clean("html", html)


def safe_markdown(source: str) -> str:
    """Markdown as HTML without anything that runs, submits or loads; the filter of nbgrader's pages."""
    return CLEANER.clean("markdown", str(source), _page[0])


def begin_page() -> None:
    """Say that what follows belongs to another page, which has a budget of its own."""
    _page[0] = Budget()


def cut(text: str, lines: int = MAX_LINES, characters: int = MAX_TEXT) -> str:
    """Text, shortened in its middle where it is too long."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    parts = text.split("\n")
    if len(parts) > lines:
        parts = [*parts[: lines // 2], f"... {len(parts) - lines} lines left out ...", *parts[-lines // 2 :]]
        text = "\n".join(parts)
    if len(text) > characters:
        left_out = f"\n... {len(text) - characters} characters left out ...\n"
        text = f"{text[: characters // 2]}{left_out}{text[-characters // 2 :]}"
    return text


def _sanitise(output: Any, budget: Budget) -> dict[str, Any] | None:
    if not isinstance(output, dict):
        return None
    kind = output.get("output_type")
    if kind == "stream":
        text = output.get("text")
        return stream(text, "stderr" if output.get("name") == "stderr" else "stdout") if isinstance(text, str) else None
    if kind == "error":
        lines = output.get("traceback")
        traceback = [line for line in lines if isinstance(line, str)][-100:] if isinstance(lines, list) else []
        return {
            "output_type": "error",
            "ename": cut(str(output.get("ename")), 1, 200),
            "evalue": cut(str(output.get("evalue")), 20, 2000),
            "traceback": [cut(line, 200, 20_000) for line in traceback],
        }
    if kind in ("display_data", "execute_result") and isinstance(output.get("data"), dict):
        made = {"output_type": kind, "data": _bundle(output["data"], budget), "metadata": {}}
        return {**made, "execution_count": None} if kind == "execute_result" else made
    return None


def _bundle(data: dict[Any, Any], budget: Budget) -> dict[str, str]:
    """The representations of one output that are kept."""
    texts = {kind: text for kind, text in data.items() if isinstance(kind, str) and isinstance(text, str)}
    kept = {}
    if "text/plain" in texts:
        kept["text/plain"] = cut(texts["text/plain"])
    for kind, name in (("text/html", "html"), ("text/markdown", "markdown"), ("image/svg+xml", "svg")):
        if texts.get(kind):
            kept["text/html"] = CLEANER.clean(name, texts[kind], budget)
            break
    for kind, first_bytes in PICTURES.items():
        picture = _picture(texts.get(kind, ""), first_bytes)
        if picture:
            kept[kind] = picture
    if not kept:
        kept["text/plain"] = f"[an output of type {', '.join(sorted(texts))[:100]} is not shown]"
    return kept


def _picture(text: str, first_bytes: bytes) -> str:
    if not text or len(text) > MAX_PICTURE:
        return ""
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return base64.b64encode(raw).decode("ascii") if raw.startswith(first_bytes) else ""
