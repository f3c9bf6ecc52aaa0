"""Relations: which regions of an annotation are the same lesion, seen in another view.

Label Studio draws a relation by hand without a label (Alt+R), so one without a label means the same as `SAME_LESION`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

from mammo.labelstudio.config_xml import parse_config

SAME_LESION = "same lesion"
"""Label of the relation between two views of one lesion."""


def names_same_lesion(config: str) -> bool:
    """Whether a labeling config has the relation `SAME_LESION`.

    Raises:
        InvalidRegion: the config is not XML.
    """
    return any(_is_same_lesion(tag) for tag in parse_config(config).iter())


def same_lesion(one: str, other: str) -> dict[str, Any]:
    """Return the result that says that two regions, given by their ids, are the same lesion."""
    return {
        "from_id": one,
        "to_id": other,
        "type": "relation",
        "direction": "bi",
        "labels": [SAME_LESION],
    }


def lesions_of(result: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return for every region that is linked to another the id of its lesion: the least region id of those linked.

    Relations with another label, and those with a region that the annotation does not have, say nothing.
    """
    results = [each for each in result if isinstance(each, Mapping)]
    regions = {str(each["id"]) for each in results if each.get("type") != "relation" and each.get("id")}
    parent: dict[str, str] = {}

    def root(region: str) -> str:
        while (above := parent.setdefault(region, region)) != region:
            region = above
        return region

    for each in results:
        ends = [str(each.get(key)) for key in ("from_id", "to_id")]
        if (
            each.get("type") == "relation"
            and _may_be_same_lesion(each.get("labels"))
            and regions.issuperset(ends)
        ):
            first, second = sorted(map(root, ends))
            parent[second] = first
    return {region: root(region) for region in parent}


def _may_be_same_lesion(labels: object) -> bool:
    return not labels or (isinstance(labels, list) and SAME_LESION in labels)


def _is_same_lesion(tag: ElementTree.Element) -> bool:
    return tag.tag.lower() == "relation" and tag.get("value") == SAME_LESION
