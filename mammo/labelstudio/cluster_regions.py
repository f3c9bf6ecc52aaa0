"""Selection of the cluster regions of one image from the results of an annotation.

Every drawn region is either a cluster, or has another meaning in the labeling config, or is refused. None is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.regions import shape_of, value_of
from mammo.lenient_json import shown

SHAPES = frozenset({"polygon", "ellipse", "vector", "bitmask", "brush", "rectangle", "keypoint"})
"""Supported shapes of drawn regions."""

NOT_DRAWN = frozenset(
    {
        "choices",
        "taxonomy",
        "rating",
        "number",
        "textarea",
        "datetime",
        "pairwise",
        "ranker",
        "labels",
        "relation",
    }
)
"""Types of results that describe an image or regions and draw nothing."""


NAMES = ("type", "from_name", "to_name", "id", "origin", "parentID")
"""Keys of a region whose values are names or identifiers."""


def regions_of(result: Iterable[Mapping[str, Any]], tags: ControlTags) -> list[Mapping[str, Any]]:
    """Return the cluster regions on one image.

    Raises:
        InvalidRegion: a region has an unknown shape, label or image.
    """
    regions = [checked(region) for region in result]
    labels = _label_results(regions)
    return [
        region
        for region in regions
        if is_drawn(region, tags) and _is_here(region, tags) and _is_cluster(region, labels, tags)
    ]


def checked(region: object) -> Mapping[str, Any]:
    """Return a region after checking the types of its names; annotations are untrusted."""
    if not isinstance(region, Mapping):
        raise InvalidRegion(f"expected a region as an object, got {type(region).__name__}")
    for key in NAMES:
        if not isinstance(region.get(key), str | int | None):
            raise InvalidRegion(f"expected text as a region's {key}, got {type(region[key]).__name__}")
    return region


def require_on_images(
    result: Iterable[Mapping[str, Any]], *, tags: ControlTags, data: Mapping[str, Any]
) -> list[ControlTags]:
    """Refuse an annotation with a region on an image or page that its task does not show.

    Args:
        result: of the annotation.
        tags: control tags of the project.
        data: task data.

    Returns:
        The tags of every image that the task shows.

    Raises:
        InvalidRegion: such a region exists (code `unknown_image`).
    """
    images = list(tags.on(data)) or [tags]
    for region in map(checked, result):
        if not is_drawn(region, tags):
            continue
        name, page = region.get("to_name"), region.get("item_index") or 0
        without_controls = set(tags.other_images) - {each.image for each in tags.siblings}
        if name not in without_controls and not any(each.shows(region) for each in images):
            raise InvalidRegion(
                f"a region lies on page {page} of the image {name!r}, which the task does not show; delete the region",
                code="unknown_image",
            )
    return images


def is_drawn(region: Mapping[str, Any], tags: ControlTags) -> bool:
    """Whether a result is a drawn region rather than a prompt, relation, attribute or choice.

    Raises:
        InvalidRegion: the shape is not supported (code `unknown_tool`).
    """
    kind = region.get("type")
    if region.get("from_name") in tags.prompts or kind in NOT_DRAWN:
        return False
    if shape_of(region) not in SHAPES:
        raise InvalidRegion(
            f"regions of the type {kind} are not supported; draw it as an outline, ellipse, closed vector, brush or "
            "bitmask region, rectangle or point",
            code="unknown_tool",
        )
    return True


def _is_here(region: Mapping[str, Any], tags: ControlTags) -> bool:
    """Whether a region lies on the tags' image rather than on another image of the task.

    Raises:
        InvalidRegion: the labeling config has no such image (code `unknown_image`).
    """
    name = region.get("to_name")
    if name is None and not tags.is_only_image:
        raise InvalidRegion(
            "a region does not name the image that it lies on, and the task shows several; draw it again",
            code="unknown_image",
        )
    if name not in (None, tags.image, *tags.other_images):
        raise InvalidRegion(
            f"a region lies on the image {name!r}, but the images of the project's labeling config are "
            f"{', '.join((tags.image, *tags.other_images))}; delete the region or restore the image",
            code="unknown_image",
        )
    return tags.shows(region)


def _label_results(regions: Sequence[Mapping[str, Any]]) -> dict[object, Mapping[str, Any]]:
    """Return the results of `Labels` controls by region id; plain shapes such as `Rectangle` have their label there."""
    return {region.get("id"): region for region in regions if region.get("type") == "labels"}


def _is_cluster(
    region: Mapping[str, Any], label_results: Mapping[object, Mapping[str, Any]], tags: ControlTags
) -> bool:
    labelled, value = region, value_of(region)
    if not str(region.get("type")).endswith("labels"):
        labelled = label_results.get(region.get("id"), {})
        value = value_of(labelled) if labelled else {}
    labels = value.get(str(labelled.get("type"))) or value.get("labels") or []
    if not isinstance(labels, list) or not labels:
        raise InvalidRegion(
            f"a region of the type {region.get('type')} has no label; give it one or delete it",
            code="no_label",
        )
    control = labelled.get("from_name")
    control = control if isinstance(control, str) else None
    if tags.is_cluster_label(control, labels):
        return True
    if tags.is_doubtful_label(control, labels):
        raise InvalidRegion(
            f"the label {shown(labels[0])} of {control!r} may or may not mean a cluster; add "
            f'predicted_values="{CLUSTER}" to the labels that do',
            code="doubtful_label",
        )
    if not tags.is_other_label(control, labels):
        raise InvalidRegion(
            f"a region has the label {shown(labels[0])}, which the control {control!r} of the project's labeling "
            "config does not have, and which may mean a cluster; relabel the region or restore the label",
            code="unknown_label",
        )
    return False
