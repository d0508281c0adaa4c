"""Names that others chose, as folders, pages and tables can hold them."""

import re
import unicodedata

MAX_NAME_BYTES = 200  # of the 255 that file systems take


def plain_name(name: str) -> str:
    """A name that is a file's name everywhere: letters, figures, `.`, `-` and `_`, not beginning with a dot."""
    text = unicodedata.normalize("NFC", name)
    text = re.sub(r"[^\w.\-]+", "-", text).strip("-").lstrip(".")
    stem, dot, ending = text.rpartition(".")
    while len(text.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        stem, ending = (stem[:-1], ending) if stem else (stem, ending[:-1])
        text = f"{stem}{dot}{ending}"
    return text or "nameless"


def harmless_name(name: str) -> str:
    """A full name without what a page, a terminal or a database could take for more than a name."""
    text = unicodedata.normalize("NFC", name)
    return "".join(" " if letter in '<>&"`\\' or not letter.isprintable() else letter for letter in text).strip()
