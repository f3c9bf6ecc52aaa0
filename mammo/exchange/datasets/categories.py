"""Which of a data set's own categories means a cluster, and which of its rows are of one and the same cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mammo.exchange.datasets.contents import invalid
from mammo.findings import Finding
from mammo.masks import Mask, union
from mammo.printable import printable

CLUSTER_NAMES = {
    "cluster", "calcification cluster", "microcalcification cluster", "microcalcification", "microcalcifications",
    "calcification", "calcifications", "mcc", "mc",
}  # fmt: skip
"""Category names that mean a cluster, in lower case, when --label does not name one."""

SLACK = 2
"""Pixels by which an outline may leave the box that was drawn around it."""


def cluster_categories(names: Mapping[str, str], label: str | None) -> set[str]:
    """The categories that mean a cluster: the one named, else those with a telling name, else the only one.

    Args:
        names: by id.

    Raises:
        MammoError: none does, or nobody can tell.
    """
    if label is not None:
        found = {each for each, name in names.items() if name == label}
    else:
        found = {each for each, name in names.items() if name.strip().lower() in CLUSTER_NAMES}
        found = found or (set(names) if len(names) == 1 else set())
    if not found:
        known = ", ".join(printable(name, length=30) for name in list(names.values())[:10])
        raise invalid(f"name the category that means a cluster with --label; there are: {known}")
    return found


def paired(found: list[Finding]) -> list[Finding]:
    """Boxes with the outlines in them: Label Studio writes the box and the outline of one cluster as two rows.

    Args:
        found: one of each row, with different ids.

    Raises:
        ValueError: an outline lies in two boxes.
    """
    boxes = [finding for finding in found if finding.mask is None]
    inside: dict[str, list[Mask]] = {}
    alone = []
    for finding in found:
        if finding.mask is None:
            continue
        around = [box for box in boxes if box.box.dilated(SLACK).intersection(finding.box) == finding.box]
        if len(around) > 1:
            raise ValueError("an outline lies in two boxes, and it cannot be told which is its own")
        if around:
            inside.setdefault(around[0].id, []).append(finding.mask)
        else:
            alone.append(finding)
    return [replace(box, mask=union(inside.get(box.id, ()))) for box in boxes] + alone
