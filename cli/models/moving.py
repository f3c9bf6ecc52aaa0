"""`models promote`, `rollback`, `pin`, `unpin` and `withdraw`: choose which version serves, with a reason."""

from __future__ import annotations

from backend.model_moves import pin as pin_project
from backend.model_moves import unpin as unpin_project
from cli.current_user import current_user
from cli.models.names import find_version
from cli.site_choice import changing_site
from cli.text_console import text_console
from mammo.errors import InvalidSettings
from mammo.site import Site


def promote(name: str, reason: str) -> None:
    """Move the champion alias to a version, after checking its files."""
    _require_reason(reason)
    site = changing_site()
    registry = site.registry
    version = find_version(registry, name)
    before = registry.champion()
    if version == before.version:
        text_console().print(f"{version} is the champion already; nothing changed")
        return
    registry.verify(version)
    site.make_room()
    registry.promote(version, expected_epoch=before.epoch, reason=reason, actor=current_user())
    _announce(site, before.version, version)
    console = text_console(soft_wrap=True, highlight=False)
    for note in registry.notes(version):
        if note.kind == "self_test_failed":
            console.print(
                f"warning: it failed its self-test on {note.detail.get('host', 'a backend')} "
                f"({note.detail.get('reason', 'no reason recorded')}); "
                f"a backend where it fails again keeps serving {before.version}"
            )
    console.print('`yolo-mlsam models rollback --reason "..."` undoes it')


def roll_back(reason: str) -> None:
    """Move the champion alias back to the previous champion."""
    _require_reason(reason)
    site = changing_site()
    registry = site.registry
    before = registry.champion().version
    site.make_room()
    after = registry.roll_back(reason, actor=current_user())
    _announce(site, before, after.version)


def withdraw(project: int, reason: str) -> None:
    """End the service of a project's provisional version."""
    _require_reason(reason)
    site = changing_site()
    site.make_room()
    version = site.provisional.withdraw(project, reason=reason, actor=current_user())
    champion = site.registry.champion().version
    site.announce_champion(champion)
    text_console(soft_wrap=True, highlight=False).print(
        f"{version} no longer serves project {project}; {site.serving(project)} does"
    )


def pin(project: int, name: str, reason: str) -> None:
    """Keep a project on a version, after checking its files."""
    _require_reason(reason)
    site = changing_site()
    made = pin_project(site, project, find_version(site.registry, name), reason=reason, actor=current_user())
    text_console(soft_wrap=True, highlight=False).print(
        f"project {project} is pinned to {made.version}; running backends begin to load it within "
        f"{site.settings.reload_seconds:g} s, and serve it then\n"
        f'`yolo-mlsam models unpin --project {project} --reason "..."` lets it follow the champion again'
    )


def unpin(project: int, reason: str) -> None:
    """Let a project follow the champion again."""
    _require_reason(reason)
    site = changing_site()
    version = unpin_project(site, project, reason=reason, actor=current_user())
    text_console(soft_wrap=True, highlight=False).print(
        f"project {project} is no longer pinned to {version}; {site.serving(project)} serves it"
    )


def _announce(site: Site, before: str, after: str) -> None:
    """Notify the running backends, and print when they load the new champion."""
    notified = site.announce_champion(after)
    later = f"within {site.settings.reload_seconds:g} s, because Redis did not take the message"
    when = "now" if notified else later
    text_console(soft_wrap=True, highlight=False).print(
        f"champion: {before} -> {after}\nrunning backends load it {when} (see /health)"
    )


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise InvalidSettings("--reason is empty; give a reason for the history")
