"""What a student wrote, made harmless to look at: outputs of cells, and the HTML that Markdown becomes."""

import base64
import binascii
import functools
import re
from typing import Any

import bleach
from bleach.css_sanitizer import CSSSanitizer
from nbconvert.filters import markdown2html

MAX_OUTPUTS, MAX_LINES, MAX_TEXT, MAX_HTML, MAX_PICTURE = 200, 1000, 100_000, 200_000, 3_000_000
PICTURES = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8", "image/gif": b"GIF8"}
TAGS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "code", "col", "colgroup", "dd", "del", "div", "dl", "dt",
    "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "ol", "p", "pre", "q", "s",
    "samp", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt",
    "u", "ul", "var",
}  # fmt: skip
STYLES = {
    "background-color", "color", "font-style", "font-weight", "text-align", "text-decoration", "vertical-align",
    "width",
}  # fmt: skip
# classes that tables of pandas and highlighted code have; others belong to the page around, and could cover it
CLASSES = re.compile(r"dataframe|highlight|anchor-link|hl-\w+|[a-z][a-z0-9]?")


def sanitise_outputs(outputs: Any) -> list[dict[str, Any]]:
    """A cell's outputs as a notebook may hold them, whatever the process said that ran the cell.

    Text stays text; pictures stay where they are pictures; HTML and Markdown become HTML without scripts, handlers and
    links to elsewhere that load by themselves; SVG becomes a picture, in which no script runs; JavaScript, widgets and
    everything else is left out. What is too long is cut.
    """
    if not isinstance(outputs, list):
        return []
    kept = [one for output in outputs[:MAX_OUTPUTS] if (one := _sanitise(output)) is not None]
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
    return str(_cleaner().clean(html))


def safe_markdown(source: str) -> str:
    """Markdown as HTML without anything that runs, submits or loads; the filter of nbgrader's pages."""
    return safe_html(markdown2html(str(source)))


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


def _sanitise(output: Any) -> dict[str, Any] | None:
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
        made = {"output_type": kind, "data": _bundle(output["data"]), "metadata": {}}
        return {**made, "execution_count": None} if kind == "execute_result" else made
    return None


def _bundle(data: dict[Any, Any]) -> dict[str, str]:
    """The representations of one output that are kept."""
    texts = {kind: text for kind, text in data.items() if isinstance(kind, str) and isinstance(text, str)}
    kept = {}
    if "text/plain" in texts:
        kept["text/plain"] = cut(texts["text/plain"])
    if len(texts.get("text/html", "")) and len(texts["text/html"]) <= MAX_HTML:
        kept["text/html"] = safe_html(texts["text/html"])
    elif len(texts.get("text/markdown", "")) and len(texts["text/markdown"]) <= MAX_HTML:
        kept["text/html"] = safe_markdown(texts["text/markdown"])
    elif len(texts.get("image/svg+xml", "")) and len(texts["image/svg+xml"]) <= MAX_PICTURE:
        encoded = base64.b64encode(texts["image/svg+xml"].encode("utf-8", "replace")).decode("ascii")
        kept["text/html"] = f'<img src="data:image/svg+xml;base64,{encoded}">'
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


@functools.cache
def _cleaner() -> bleach.Cleaner:
    def allowed(tag: str, name: str, value: str) -> bool:
        if name == "src":  # a picture that is loaded from elsewhere would tell when and by whom a page is read
            return tag == "img" and re.match(r"data:image/(png|jpeg|gif|svg\+xml);base64,", value) is not None
        if name == "href":
            return tag == "a" and re.match(r"(https?://|#|mailto:)", value) is not None
        if name == "class":
            return all(map(CLASSES.fullmatch, value.split()))
        return name in ("alt", "title", "align", "colspan", "rowspan", "style")

    return bleach.Cleaner(
        tags=TAGS, attributes=allowed, protocols={"http", "https", "mailto", "data"}, strip=True, strip_comments=True,
        css_sanitizer=CSSSanitizer(allowed_css_properties=STYLES),
    )  # fmt: skip
