"""Conditions: notices of what nothing records, because it is a state: corrections stop, the disk is nearly full."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mammo.database import event, revision
from mammo.disk_reserve import NEARLY_FULL, ROOMY_AGAIN
from mammo.notifications.channels import Channel
from mammo.notifications.notice import Notice


def last_corrections(connection: Connection) -> dict[int, datetime]:
    """Return when the last annotation of each project arrived here."""
    statement = (
        sa.select(event.c.project, sa.func.max(event.c.received_at))
        .join(revision, revision.c.event == event.c.id)
        .where(event.c.project.is_not(None), revision.c.kind == "annotation")
        .group_by(event.c.project)
    )
    return {int(project): at for project, at in connection.execute(statement)}


def silences(
    channels: Iterable[Channel],
    last: Mapping[int, datetime],
    *,
    is_done: Callable[[int], bool],
    now: datetime,
) -> list[tuple[Channel, Notice]]:
    """Return the projects whose corrections have stopped, for each channel that is to know.

    Args:
        last: when the last correction of each project arrived.
        is_done: whether a project has no task left to annotate, so that silence is no news.
    """
    deliveries: list[tuple[Channel, Notice]] = []
    for channel in channels:
        for project, at in last.items():
            limit = at + timedelta(days=channel.quiet_days)
            if now < limit:
                continue
            notice = Notice(
                event=f"silence-{project}-{at.isoformat()}",
                topic="corrections-stopped",
                project=project,
                at=limit,
                text=f"No correction of project {project} has arrived since {at:%Y-%m-%d}, although tasks are left. If "
                "people do annotate, run `yolo-mlsam doctor`.",
                facts={"since": at.isoformat(timespec="seconds"), "days": channel.quiet_days},
            )
            if channel.wants(notice) and not is_done(project):
                deliveries.append((channel, notice))
    return deliveries


def disk_position(position: int, *, free: int) -> int:
    """Return how often the disk of a host has become nearly full and roomy again; odd while it is nearly full.

    Args:
        position: of the last look; 0 at first.
        free: free bytes.
    """
    is_low = position % 2 == 1
    changed = free >= ROOMY_AGAIN if is_low else free < NEARLY_FULL
    return position + changed


def disk_notice(host: str, position: int, *, free: int, now: datetime) -> Notice:
    """Return the notice that the disk of a host is nearly full."""
    return Notice(
        event=f"disk-{host}-{position}"[:120],
        topic="disk-nearly-full",
        project=None,
        at=now,
        text=f"The disk of the data folder on {host} is nearly full: {free / 2**20:.0f} MiB are left. Free space, for "
        "example with `yolo-mlsam models gc`; when it is full, no correction can be recorded.",
        facts={"host": host, "free_bytes": free},
    )
