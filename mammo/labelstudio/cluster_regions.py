"""Which results of an annotation are regions of clusters, and on which image they lie.

Whatever is drawn is a cluster, something else that the labeling config knows, or refused: never passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.regions import shape_of, value_of

OUTLINES = frozenset({"polygon", "ellipse", "vector", "bitmask"})
"""Shapes of which one is one finding."""

SHAPES = OUTLINES | {"brush", "rectangle", "keypoint"}
"""Everything that is drawn on an image and that we can read."""

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
"""Results that say something of an image, a region or two, and draw nothing."""


NAMES = ("type", "from_name", "to_name", "id", "origin", "parentID")
"""Keys of a region that name something."""


def regions_of(result: Iterable[Mapping[str, Any]], tags: ControlTags) -> list[Mapping[str, Any]]:
    """The cluster regions that were drawn on one image.

    Raises:
        InvalidRegion: a region is of an unknown tool, label or image.
    """
    regions = [_checked(region) for region in result]
    labels = _separate_labels(regions)
    return [
        region
        for region in regions
        if is_drawn(region, tags) and _is_here(region, tags) and _is_cluster(region, labels, tags)
    ]


def _checked(region: object) -> Mapping[str, Any]:
    """A region whose names are names: annotations come from outside."""
    if not isinstance(region, Mapping):
        raise InvalidRegion(f"a region is an object, got {type(region).__name__}")
    for key in NAMES:
        if not isinstance(region.get(key), str | int | None):
            raise InvalidRegion(f"a region's {key} is text, got {type(region[key]).__name__}")
    return region


def require_on_images(
    result: Iterable[Mapping[str, Any]], *, tags: ControlTags, data: Mapping[str, Any]
) -> list[ControlTags]:
    """Refuse an annotation that holds a region on an image or page that its task does not show.

    Args:
        tags: of the project.
        data: of the task.

    Returns:
        The tags of every image that the task shows.

    Raises:
        InvalidRegion: there is such a region (code `unknown_image`).
    """
    images = list(tags.on(data)) or [tags]
    for region in map(_checked, result):
        if not is_drawn(region, tags):
            continue
        name, page = region.get("to_name"), region.get("item_index") or 0
        only_shown = set(tags.other_images) - {each.image for each in tags.siblings}
        if name not in only_shown and not any(each.shows(region) for each in images):
            raise InvalidRegion(
                f"a region lies on page {page} of the image {name!r}, which the task does not show",
                code="unknown_image",
            )
    return images


def is_drawn(region: Mapping[str, Any], tags: ControlTags) -> bool:
    """Whether a result is a region that somebody drew, and no prompt, relation, attribute or choice."""
    kind = region.get("type")
    if region.get("from_name") in tags.prompts or kind in NOT_DRAWN:
        return False
    if shape_of(region) not in SHAPES:
        raise InvalidRegion(
            f"a region was drawn with a tool that cannot be read ({kind}); readable are outlines, ellipses, closed "
            "vectors, brush and bitmask regions, rectangles and points: draw it with one of these",
            code="unknown_tool",
        )
    return True


def _is_here(region: Mapping[str, Any], tags: ControlTags) -> bool:
    """Whether a region lies on this image; on another image of the task it is somebody else's.

    Raises:
        InvalidRegion: the labeling config has no such image.
    """
    name = region.get("to_name")
    if name is None and not tags.is_only_image:
        raise InvalidRegion(
            "a region does not say on which of the task's images it lies", code="unknown_image"
        )
    if name not in (None, tags.image, *tags.other_images):
        raise InvalidRegion(
            f"a region lies on the image {name!r}, which the project's labeling config does not have "
            f"({', '.join((tags.image, *tags.other_images))})",
            code="unknown_image",
        )
    return tags.shows(region)


def _separate_labels(regions: Sequence[Mapping[str, Any]]) -> dict[object, Mapping[str, Any]]:
    """Results of a `Labels` control by the id of the region that they name; a plain `Rectangle` has its label there."""
    return {region.get("id"): region for region in regions if region.get("type") == "labels"}


def _is_cluster(
    region: Mapping[str, Any], separate: Mapping[object, Mapping[str, Any]], tags: ControlTags
) -> bool:
    kind, value, says = region.get("type"), value_of(region), region
    if not str(kind).endswith("labels"):
        if region.get("id") not in separate:
            raise InvalidRegion(
                f"a region without a label ({kind}): give it one, or delete it", code="no_label"
            )
        says = separate[region.get("id")]
        kind, value = "labels", value_of(says)
    labels = value.get(str(kind)) or value.get("labels") or []
    control = says.get("from_name")
    control = control if isinstance(control, str) else None
    if not isinstance(labels, list) or not labels:
        raise InvalidRegion(f"a region without a label ({kind}): give it one, or delete it", code="no_label")
    if tags.is_cluster_label(control, labels):
        return True
    if tags.is_doubtful_label(control, labels):
        raise InvalidRegion(
            f"the label {labels[0]!r} may mean a cluster or not: give the labels of {control!r} that do "
            f'predicted_values="{CLUSTER}"',
            code="doubtful_label",
        )
    if not tags.is_other_label(control, labels):
        raise InvalidRegion(
            f"a region has the label {labels[0]!r}, which the control {control!r} of the project's labeling config "
            "does not have: it may mean a cluster",
            code="unknown_label",
        )
    return False
