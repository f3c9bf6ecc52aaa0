"""Effort records with chosen figures."""

from datetime import UTC, datetime, timedelta

from mammo.efforts.edit_effort import EditEffort
from mammo.efforts.effort_records import EffortRecord

MONDAY = datetime(2025, 11, 24, 8, tzinfo=UTC)


def record(number=1, *, dice=1.0, added=0, deleted=0, edited=None, **more):
    """A correction of task `number`, an hour after the one before; right by default."""
    edited = int(dice is not None and dice < 1) if edited is None else edited
    effort = EditEffort(accepted=1 - min(edited, 1), edited=edited, added=added, deleted=deleted, dice=dice)
    fields = {
        "project": 1,
        "task": number,
        "annotation": number,
        "model_version": "m1",
        "annotator": "annotator-a",
        "at": MONDAY + timedelta(hours=number),
        "lead_time": 40.0,
        "hasty": False,
        "score": 0.9,
    }
    return EffortRecord(**(fields | more), effort=effort)


def records(count, *, start=1, **figures):
    return [record(number, **figures) for number in range(start, start + count)]
