"""Names of model versions on the command line."""

from __future__ import annotations

from mammo.errors import ModelNotFound
from mammo.models import CHALLENGER, CHAMPION, PREVIOUS, AliasName, ModelRegistry

ALIASES: dict[str, AliasName] = {"champion": CHAMPION, "challenger": CHALLENGER, "previous": PREVIOUS}


def find_version(registry: ModelRegistry, name: str) -> str:
    """Return the model version that a name, its beginning, or an alias stands for.

    Raises:
        ModelNotFound: no version or several versions match.
    """
    if name in ALIASES:
        target = registry.alias(ALIASES[name])
        if target is None:
            raise ModelNotFound(f"there is no {name} yet; `yolo-mlsam models list` shows the versions")
        return target.version
    versions = registry.versions()
    if name in versions:
        return name
    matching = [version for version in versions if name and version.startswith(name)]
    if len(matching) != 1:
        subject = "several model versions begin" if matching else "no model version begins"
        raise ModelNotFound(f"{subject} with {name!r}; the newest are {', '.join(versions[-20:])}")
    return matching[0]
