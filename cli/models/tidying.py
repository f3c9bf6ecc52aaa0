"""`models gc`: list files that nothing refers to, and delete them on request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from cli.site_choice import changing_site
from cli.text_console import text_console
from mammo.models import ModelRegistry, Pin
from mammo.models.garbage import collect, referenced_blobs, spent_versions, unreferenced
from mammo.models.pins import SETTING
from mammo.runs import Runs
from mammo.settings import PREFIX, Settings
from mammo.verdicts.archive import verdict_blobs


def gc(*, delete: bool, older_than: int) -> None:
    """Print, and with `delete` remove, weights that never served and unreferenced files."""
    from training.datasets.versions import blobs_of_dataset_versions

    site = changing_site()
    registry, blobs, engine = site.registry, site.blobs, site.engine
    console = text_console(soft_wrap=True, highlight=False)
    in_use = versions_in_use(
        site.settings,
        registry,
        Runs(engine),
        pins=site.pins.all(),
        provisional=site.provisional.versions(),
    )
    for name, user in in_use.items():
        text = f"kept for {user}" if registry.find(name) else f"named by {user}, but not in the registry"
        console.print(f"{name}: {text}")
    spent = spent_versions(registry, older_than=timedelta(days=older_than), keep=in_use)

    def referenced(without: Iterable[str] = ()) -> set[str]:
        blobs_in_use = referenced_blobs(registry, without=without) | blobs_of_dataset_versions(engine, blobs)
        return blobs_in_use | Runs(engine).blobs() | verdict_blobs(engine)

    for version in spent:
        console.print(
            f"{version}: never served, older than {older_than} days; its manifest and verdict are kept"
        )
    if delete:
        deleted = collect(blobs, registry, spent=spent, referenced=referenced)
        console.print(f"deleted {len(deleted)} files, {sum(blob.bytes for blob in deleted) / 1e6:.1f} MB")
    else:
        garbage = unreferenced(blobs, referenced(without=spent))
        console.print(
            f"{len(garbage)} files, {sum(blob.bytes for blob in garbage) / 1e6:.1f} MB can be deleted; "
            "add --delete to delete them"
        )


def versions_in_use(
    settings: Settings,
    registry: ModelRegistry,
    runs: Runs,
    *,
    pins: Mapping[int, Pin],
    provisional: Mapping[int, str],
) -> dict[str, str]:
    """Return the versions that a setting, a project or an unfinished run still uses, with their users.

    Args:
        pins: the projects that are kept on a version.
        provisional: the provisional versions that serve, by project.
    """
    users = [(settings.shadow, f"{PREFIX}SHADOW")] if settings.shadow else []
    users += [
        (
            pin.version,
            f"project {project}{f' in {SETTING}' if pin.is_setting else f', which {pin.actor} pinned to it'}",
        )
        for project, pin in pins.items()
    ]
    users += [
        (version, f"project {project}, which it serves provisionally")
        for project, version in provisional.items()
    ]
    unfinished = runs.unfinished()
    for version in registry.versions():
        run = registry.manifest(version).get("run")
        if run in unfinished:
            users.append((version, f"run {run}, which has not ended or can be resumed"))
    in_use: dict[str, str] = {}
    for name, user in users:
        version = registry.find(name) or name
        in_use[version] = f"{in_use[version]} and {user}" if version in in_use else user
    return in_use
