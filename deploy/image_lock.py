"""The packages of an image, read from constraints/image.txt and image-cuda.txt or image-cpu.txt. Needs `packaging`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CONSTRAINTS = Path(__file__).parent.parent / "constraints"
IMAGES = {"sys_platform": "linux", "python_version": "3.11", "python_full_version": "3.11.17"}
"""What the images are, whatever machine reads the lock."""


@dataclass(frozen=True)
class Locked:
    """One package of an image."""

    name: str
    """In canonical form."""

    version: str
    hashes: tuple[str, ...]
    """SHA-256 of each accepted file, hexadecimal."""


def image_lock(accelerator: str, *, folder: Path = CONSTRAINTS) -> dict[str, Locked]:
    """Return the packages of an image by name.

    Args:
        accelerator: `cuda` or `cpu`.

    Raises:
        FileNotFoundError: there is no such lock.
        ValueError: an entry has no exact version or no hash.
    """
    found: dict[str, Locked] = {}
    for file in ("image.txt", f"image-{accelerator}.txt"):
        for text in re.split(r"\n(?=\S)", (folder / file).read_text(encoding="utf-8").strip()):
            requirement = Requirement(text.split("\\")[0])
            if requirement.marker and not requirement.marker.evaluate(IMAGES):
                continue
            name = canonicalize_name(requirement.name)
            (pin,) = requirement.specifier
            hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", text))
            if pin.operator != "==" or not hashes:
                raise ValueError(f"{file}: {name} has no exact version, or no hash")
            found[name] = Locked(name, pin.version, hashes)
    return found
