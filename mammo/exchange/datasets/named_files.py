"""Image files that a document names: by a path below the folder, or by an address of Label Studio."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from mammo.exchange.datasets.contents import find_file

ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]{1,20}://|/data/(upload|local-files)/|(\.\./)+([^.][^/]*/)*upload/\d+/[^/]+$", re.I
)
"""An address; or a relative path to the folder of uploads on Label Studio's disk, which its exports contain for files
that they copied into `images`. Other paths that leave the folder are refused."""


def image_file(folder: Path, file_name: str) -> tuple[Path, str]:
    """Return the image file, and the path in which a patient is searched.

    A name is searched below the folder and below its `images`: as it is, then with its percent-encoding decoded. Of an
    address, the path within Label Studio's storage and its last part are searched.

    Raises:
        ValueError: the path leaves the folder, the file is missing, or there are several.
    """
    stated = file_name.strip().replace("\\", "/")
    names = list(_names_of_address(stated)) if ADDRESS.match(stated) else [stated]
    names += [unquote(name) for name in names if unquote(name) != name]
    for name in names:
        places = [find_file(root, name) for root in (folder, folder / "images") if os.path.isdir(root)]
        files = {place.resolve(): place for place in places if place is not None}
        if len(files) > 1:
            raise ValueError("two files have its name, one in the folder and one in its images; remove one")
        if files:
            return next(iter(files.values())), name
    raise ValueError("the image is not in the folder")


def _names_of_address(address: str) -> list[str]:
    """Return the paths to search, such as `a/b.png` and `b.png` for `/data/local-files/?d=a/b.png`."""
    parts = urlsplit(address)
    local_file = (
        parse_qs(parts.query).get("d", [""])[0].lstrip("/")
        if parts.path.rstrip("/").endswith("local-files")
        else ""
    )
    path = local_file or parts.path.lstrip("/")
    if path.startswith("../"):
        return [path.rpartition("/")[2]]
    return list(dict.fromkeys(name for name in (path, path.rpartition("/")[2]) if name))
