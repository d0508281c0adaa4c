"""A private folder with the files that a notebook or its tests find beside them."""

import base64
import os
import sys
import tempfile
from pathlib import Path


def unpack(files: list[list[str]], isolated: bool) -> None:
    """Write files, (path, content as base64) pairs, into a new folder, and go there; modules in it can be imported."""
    folder = Path("/tmp/home/submission") if isolated else Path(tempfile.mkdtemp(prefix="submission-"))
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(content))
    os.chdir(folder)
    # a submission's own modules come behind ours, so that none can take the place of a library
    sys.path.append(str(folder))
