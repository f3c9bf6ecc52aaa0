"""A dataset version as an earlier release wrote it: schema 3, one image per task, findings as it read them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import orjson
import sqlalchemy as sa

from mammo.blobs import Blobs
from mammo.database import dataset_item, dataset_version, writing
from mammo.findings import Finding
from mammo.geometry import Size
from training.datasets.versions import DatasetVersion

NEW_KEYS = ("image_key", "drawn", "deleted", "crumbs")
"""Keys of items that the earlier release did not write."""


def freeze_as_before(
    engine: sa.Engine,
    blobs: Blobs,
    dataset: DatasetVersion,
    findings: dict[int, list[Finding]],
    *,
    held: dict[int, dict[str, str]] | None = None,
) -> str:
    """Replace a dataset version by one that an earlier release would have built.

    Args:
        findings: by annotation, where the earlier release read other findings; also of annotations in `held`.
        held: annotations that `dataset` excludes: copies of the item of the annotation `like`, with the other keys
            replaced.

    Returns:
        The name of the dataset version.
    """
    rows = {item.annotation_id: item.to_json(blobs) for item in dataset.items}
    for annotation, own in (held or {}).items():
        rows[annotation] = {**rows[int(own["like"])], "annotation_id": annotation, **own}
        del rows[annotation]["like"]
    for annotation, read in findings.items():
        size = Size(*rows[annotation]["size"])
        rows[annotation]["findings"] = [
            {
                "box": list(each.box.as_tuple()),
                "mask": blobs.put(orjson.dumps(each.mask.to_coco(size), option=orjson.OPT_SORT_KEYS))
                if each.mask
                else None,
            }
            for each in read
        ]
    for row in rows.values():
        for key in NEW_KEYS:
            del row[key]
    excluded = [
        {
            "task_id": each.task_id,
            "annotation_id": each.annotation_id,
            "code": each.code,
            "reason": each.reason,
        }
        for each in dataset.excluded
        if each.annotation_id not in rows
    ]
    content = {"schema": 3, "project": dataset.project, "items": list(rows.values()), "excluded": excluded}
    manifest = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    name = hashlib.sha256(manifest).hexdigest()
    blobs.put(manifest)
    with writing(engine) as connection:
        connection.execute(sa.delete(dataset_item).where(dataset_item.c.dataset == dataset.name))
        connection.execute(sa.delete(dataset_version).where(dataset_version.c.name == dataset.name))
        connection.execute(
            sa.insert(dataset_version).values(
                name=name,
                project=dataset.project,
                num_items=len(rows),
                num_excluded=len(excluded),
                last_event=0,
                created_at=datetime.now(UTC),
            )
        )
        for annotation, row in rows.items():
            connection.execute(
                sa.insert(dataset_item).values(
                    dataset=name,
                    annotation=annotation,
                    image="",
                    content_hash=row["content_hash"],
                    digest=hashlib.sha256(f"of another reading {annotation}".encode()).hexdigest(),
                )
            )
    return name
