"""The installed software as a bill of materials: what the service needs, not what its developers have."""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = "yolo-mlsam"


def bill_of_materials() -> dict[str, Any]:
    """Return the product and all that it requires, as CycloneDX 1.6 (ECMA-424)."""
    found = _installed(ROOT)
    root = found.pop(ROOT)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _component("application", ROOT, root)},
        "components": [_component("library", name, each) for name, each in sorted(found.items())],
    }


def _installed(root: str) -> dict[str, Distribution]:
    """Return the distributions that `root` needs here, itself among them. One that is not installed is left out."""
    found: dict[str, Distribution] = {}
    waiting = [(root, frozenset[str]())]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        try:
            here = found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        for text in here.requires or ():
            needed = Requirement(text)
            environments = [{"extra": extra} for extra in (*extras, "")]
            if needed.marker is not None and not any(map(needed.marker.evaluate, environments)):
                continue
            further = (canonicalize_name(needed.name), frozenset(needed.extras))
            if further not in seen:
                seen.add(further)
                waiting.append(further)
    return found


def _component(kind: str, name: str, here: Distribution) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": kind,
        "name": name,
        "version": here.version,
        "purl": f"pkg:pypi/{name}@{here.version}",
    }
    licence = here.metadata["License-Expression"] or here.metadata["License"]
    if licence and len(licence) < 100:  # some put the whole text there
        component["licenses"] = [{"license": {"name": licence}}]
    return component
