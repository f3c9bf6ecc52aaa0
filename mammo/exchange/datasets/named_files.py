"""The image that a document names: by a path below the folder, or by an address of Label Studio that ends in it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from mammo.exchange.datasets.contents import find_file

ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]{1,20}://|/data/(upload|local-files)/|(\.\./)+([^.][^/]*/)*upload/\d+/[^/]+$", re.I
)
"""An address, or the way from an export to the folder of uploads on Label Studio's own disk, which it writes where it
has copied the file into `images`. Any other path that leaves the folder is none of ours."""


def image_file(folder: Path, file_name: str) -> tuple[Path, str]:
    """The file, and the path by which a patient is looked for in it.

    A name is looked for as it is written and, where it is not there so, with its percent signs decoded; below the
    folder and below its `images`. An address is looked for by the path behind Label Studio's own, and by its last part.

    Raises:
        ValueError: it leaves the folder, is not there, or several files may be it.
    """
    stated = file_name.strip().replace("\\", "/")
    names = list(_names_of_address(stated)) if ADDRESS.match(stated) else [stated]
    names += [unquote(name) for name in names if unquote(name) != name]
    for name in names:
        places = [find_file(root, name) for root in (folder, folder / "images") if root.is_dir()]
        found = {place.resolve(): place for place in places if place is not None}
        if len(found) > 1:
            raise ValueError("two files may be the image: one in the folder, one in its images")
        if found:
            return next(iter(found.values())), name
    raise ValueError("the image is not in the folder")


def _names_of_address(address: str) -> list[str]:
    """`a/b.png`, `b.png` of `/data/local-files/?d=a/b.png`; `1a2b3c4d-b.png` of `/data/upload/3/1a2b3c4d-b.png`."""
    parts = urlsplit(address)
    below = (
        parse_qs(parts.query).get("d", [""])[0].lstrip("/")
        if parts.path.rstrip("/").endswith("local-files")
        else ""
    )
    path = below or parts.path.lstrip("/")
    if path.startswith("../"):
        return [path.rpartition("/")[2]]
    return list(dict.fromkeys(name for name in (path, path.rpartition("/")[2]) if name))
