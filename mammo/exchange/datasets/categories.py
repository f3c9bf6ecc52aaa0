"""The categories of a data set that mean a cluster, and the rows that describe the same cluster."""

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
"""Names of categories that mean a cluster, in lower case, without --label."""

SLACK = 2
"""Pixels by which an outline may extend beyond its box."""


def cluster_categories(names: Mapping[str, str], label: str | None) -> set[str]:
    """Return the ids of the categories that mean a cluster.

    Without a label these are the categories in `CLUSTER_NAMES`, or the only category.

    Args:
        names: names of the categories by id.
        label: name of the category that means a cluster.

    Raises:
        MammoError: there is no such category (code `invalid_dataset`).
    """
    if label is not None:
        ids = {each for each, name in names.items() if name == label}
    else:
        ids = {each for each, name in names.items() if name.strip().lower() in CLUSTER_NAMES}
        ids = ids or (set(names) if len(names) == 1 else set())
    if not ids:
        available = ", ".join(printable(name, length=30) for name in list(names.values())[:10])
        raise invalid(f"name the category that means a cluster with --label; there are: {available}")
    return ids


def paired(findings: list[Finding]) -> list[Finding]:
    """Merge boxes with the outlines inside them. Label Studio exports both, of one cluster, as two rows.

    Args:
        findings: one per row, with different ids.

    Raises:
        ValueError: an outline lies in two boxes.
    """
    boxes = [finding for finding in findings if finding.mask is None]
    inside: dict[str, list[Mask]] = {}
    unpaired = []
    for finding in findings:
        if finding.mask is None:
            continue
        around = [box for box in boxes if box.box.dilated(SLACK).intersection(finding.box) == finding.box]
        if len(around) > 1:
            raise ValueError("an outline lies in two boxes, and it is unclear to which it belongs")
        if around:
            inside.setdefault(around[0].id, []).append(finding.mask)
        else:
            unpaired.append(finding)
    return [replace(box, mask=union(inside.get(box.id, ()))) for box in boxes] + unpaired
