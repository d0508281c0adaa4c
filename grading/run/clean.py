"""What a student wrote as HTML, Markdown or SVG, made harmless to look at.

These functions are run in a limited process of their own (`cleaner.py`): a parser that is kind to everything takes
minutes and gigabytes for some texts of a few kilobytes. What would cost a browser as much is refused here: too many
tags, too much depth, a result that is too large, a drawing that repeats itself.
"""

import base64
import functools
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import bleach
from bleach.css_sanitizer import CSSSanitizer

MAX_RESULT, MAX_TAGS, MAX_DEPTH = 400_000, 20_000, 60
MAX_DRAWN = 100_000  # elements of a drawing, those that it repeats counted each time
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
WITHOUT_END = {"br", "col", "hr", "img", "input", "link", "meta", "wbr", "area", "base", "embed", "source", "track"}
DRAWN = {
    "svg", "g", "path", "rect", "line", "polyline", "polygon", "circle", "ellipse", "text", "tspan", "defs", "use",
    "clipPath", "style", "title", "desc", "symbol",
}  # fmt: skip
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
_LOCAL = re.compile(r"url\(\s*[\"']?#([^)\"']+)[\"']?\s*\)")


class RefusedError(Exception):
    """It is not shown; the text says why."""


def clean(kind: str, text: str) -> str:
    """HTML that may stand in a page.

    Args:
        kind: "html", "markdown" or "svg".
        text: What the student wrote.

    Raises:
        RefusedError: It would be too much for a page.
    """
    if kind == "svg":
        return clean_svg(text)
    _check(text)
    if kind == "markdown":
        from nbconvert.filters import markdown2html

        text = markdown2html(text)
        _check(text)
    made = str(_cleaner().clean(text))
    _check(made)
    return made


def clean_svg(text: str) -> str:
    """A drawing as a picture, in which no script runs.

    Raises:
        RefusedError: It holds more than shapes and text, or draws too much by repeating itself.
    """
    if "<!" in re.sub(r"<!DOCTYPE svg PUBLIC[^\[>]*>|<!--.*?-->", "", text, flags=re.DOTALL):
        raise RefusedError("the drawing declares something")  # an entity may stand for a gigabyte
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        raise RefusedError("the drawing is not XML") from None
    _drop_metadata(root)
    named = {element.get("id"): element for element in root.iter() if element.get("id")}
    if _drawn(root, named, 0) > MAX_DRAWN:
        raise RefusedError("the drawing is too large")
    encoded = base64.b64encode(ElementTree.tostring(root, encoding="utf-8")).decode("ascii")
    return f'<img src="data:image/svg+xml;base64,{encoded}">'


def _drop_metadata(element: Any) -> None:
    for part in list(element):
        if _name(part.tag) == "metadata":
            element.remove(part)


def _drawn(element: Any, named: dict[Any, Any], depth: int, repeats: bool = True) -> int:
    """How many elements a browser draws for one; what is repeated may repeat nothing itself."""
    name = _name(element.tag)
    if name not in DRAWN:
        raise RefusedError(f"the drawing holds <{name}>"[:60])
    if depth > MAX_DEPTH:
        raise RefusedError("the drawing is too deep")
    count = 1
    for key, value in element.attrib.items():
        if _name(key) == "href" or "url(" in value:
            target = value[1:] if name == "use" and value[:1] == "#" else None
            if _name(key) in ("clip-path", "style") and (found := _LOCAL.findall(value)) and len(found) == 1:
                target = found[0]
            if target not in named or not repeats:
                raise RefusedError("the drawing refers to something that refers on, or to something elsewhere")
            count += _drawn(named[target], named, depth + 1, repeats=False)
    if name == "style" and re.search(r"url|@|anim", element.text or "", re.IGNORECASE):
        raise RefusedError("the drawing's style refers to something")
    for part in element:
        count += _drawn(part, named, depth + 1, repeats)
        if count > MAX_DRAWN:
            break
    return count


def _name(tag: Any) -> str:
    return str(tag).rpartition("}")[2]


def _check(html: str) -> None:
    if len(html) > MAX_RESULT:
        raise RefusedError("it is too long")
    depth = 0
    for tags, (closes, name) in enumerate(_TAG.findall(html), 1):
        if name.lower() not in WITHOUT_END:
            depth = max(0, depth - 1) if closes else depth + 1
        if tags > MAX_TAGS or depth > MAX_DEPTH:
            raise RefusedError("it has too many tags" if tags > MAX_TAGS else "its tags stand too deep in each other")


@functools.cache
def _cleaner() -> bleach.Cleaner:
    def allowed(tag: str, name: str, value: str) -> bool:
        if name == "src":  # a picture that is loaded from elsewhere would tell when and by whom a page is read
            return tag == "img" and re.match(r"data:image/(png|jpeg|gif);base64,", value) is not None
        if name == "href":
            return tag == "a" and re.match(r"(https?://|#|mailto:)", value) is not None
        if name == "class":
            return all(map(CLASSES.fullmatch, value.split()))
        return name in ("alt", "title", "align", "colspan", "rowspan", "style")

    return bleach.Cleaner(
        tags=TAGS, attributes=allowed, protocols={"http", "https", "mailto", "data"}, strip=True, strip_comments=True,
        css_sanitizer=CSSSanitizer(allowed_css_properties=STYLES),
    )  # fmt: skip
