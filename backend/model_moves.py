"""What a person decides about models: promote a version, roll back, pin a project, unpin it; each with a reason."""

from __future__ import annotations

from mammo.errors import ModelNotFound, PromotionConflict
from mammo.labelstudio.existing_projects import require_project
from mammo.models import Alias, Pin
from mammo.site import Site


def promote(site: Site, version: str, *, reason: str, actor: str) -> Alias:
    """Make a version the champion, after checking its files; the running backends are notified.

    Returns:
        The champion; unchanged if it is this version already.

    Raises:
        ModelNotFound: there is no such version.
        InvalidWeights: a file of it is missing or damaged.
        PromotionConflict: somebody else moved the champion meanwhile; nothing was changed.
    """
    registry = site.registry
    before = registry.champion()
    if version == before.version:
        return before
    registry.verify(version)
    site.make_room()
    after = registry.promote(version, expected_epoch=before.epoch, reason=reason, actor=actor)
    site.announce_champion(after.version)
    return after


def roll_back(site: Site, *, reason: str, actor: str, version: str | None = None) -> Alias:
    """Make the previous champion the champion again.

    Args:
        version: the champion that the person has seen; None: whatever it is.

    Raises:
        ModelNotFound: there is no previous champion.
        PromotionConflict: `version` is not the champion; nothing was changed.
    """
    if version is not None and (champion := site.registry.champion().version) != version:
        raise PromotionConflict(f"{version} is not the champion any more: {champion} is; nothing was changed")
    site.make_room()
    after = site.registry.roll_back(reason, actor=actor)
    site.announce_champion(after.version)
    return after


def pin(site: Site, project: int, version: str, *, reason: str, actor: str) -> Pin:
    """Keep a project on a model version; the running backends are notified.

    Args:
        version: its name or the beginning of it, or that of an alias, whose version of now is meant.

    Raises:
        UnknownProject: Label Studio has no such project.
        ModelNotFound, PinRefused: see `ProjectPins.pin`.
    """
    require_project(site.label_studio, project)
    found = site.registry.find(version) or _begun(site, version)
    site.make_room()
    made = site.pins.pin(project, found, reason=reason, actor=actor)
    site.announce_champion(made.version)  # whatever a message names, the backends look up champion and pins
    return made


def _begun(site: Site, beginning: str) -> str:
    """Return the only version whose name begins like this; what was given if none does.

    Raises:
        ModelNotFound: several do.
    """
    begun = [version for version in site.registry.versions() if version.startswith(beginning)]
    if len(begun) > 1:
        raise ModelNotFound(
            f"{len(begun)} versions begin with {beginning}, such as {begun[-1]}; give more of the name",
            code="ambiguous_version",
        )
    return begun[0] if begun else beginning


def unpin(site: Site, project: int, *, reason: str, actor: str) -> str:
    """Let a project follow the champion again; returns the version that it was pinned to.

    Raises:
        ModelNotFound, PinRefused: see `ProjectPins.unpin`.
    """
    site.make_room()
    version = site.pins.unpin(project, reason=reason, actor=actor)
    site.announce_champion(version)
    return version
