"""Review of a project's labeling config: which controls the model fills, and what will not work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER
from mammo.labelstudio.config_controls import DRAWN
from mammo.labelstudio.config_xml import (
    SYNONYMS,
    attribute,
    is_true,
    labels_meaning,
    parse_config,
    targets,
)
from mammo.labelstudio.labeling_config import ControlTags

SMART = ("keypointlabels", "rectanglelabels")
"""Control tags whose regions can be prompts, in lower case."""

UNREADABLE = frozenset({"magicwand", "videorectangle", "chatlabels"})
"""Control tags whose regions are not supported, in lower case."""


@dataclass(frozen=True, kw_only=True)
class ConfigReview:
    """Result of a review."""

    tags: ControlTags | None
    """The controls that the model fills; None when the config is unusable."""

    fills: tuple[str, ...] = ()
    """Descriptions of the controls that the model fills, with their labels."""

    problems: tuple[str, ...] = ()
    """Reasons why the project cannot work, each with a remedy."""

    advice: tuple[str, ...] = ()
    """Possible improvements of a project that works."""


def review_config(config: str) -> ConfigReview:
    """Review a labeling config. An unusable config is a problem of the review, not an exception."""
    try:
        root = parse_config(config)
        tags = ControlTags.read(config)
    except InvalidRegion as error:
        return ConfigReview(tags=None, problems=(str(error),))
    images = (tags, *tags.siblings)
    return ConfigReview(
        tags=tags,
        fills=tuple(each for image in images for each in _fills(image)),
        problems=tuple(_problems(root, images)),
        advice=tuple(each for image in images for each in _advice(root, image)),
    )


def _fills(tags: ControlTags) -> list[str]:
    suffix = "" if tags.is_only_image else f" on image {tags.image!r}"
    outline = ("polygon", tags.polygon) if tags.polygon else ("brush", tags.brush)
    fills = [
        f"{kind} {name!r} ({tags.label_of(name)}){suffix}"
        for kind, name in (outline, ("rectangle", tags.rectangle))
        if name
    ]
    if tags.choices:
        choices = [choice for choice in (tags.choice_found, tags.choice_nothing) if choice]
        fills.append(f"choices {tags.choices!r} ({' / '.join(choices)}){suffix}")
    return fills


def _problems(root: ElementTree.Element, images: Sequence[ControlTags]) -> Iterator[str]:
    for tags in images:
        (tag,) = [each for each in root.iter() if each.get("name") == tags.image][:1]
        if not tags.value:
            value = attribute(tag, "valueList") or attribute(tag, "value") or ""
            yield f'the Image tag {tags.image!r} shows {value!r} in every task; write value="$image"'
    names = [tag.get("name") for tag in root.iter() if tag.get("name")]
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        yield f"two tags are named {name!r}, so their regions cannot be distinguished; rename one of them"


def _advice(root: ElementTree.Element, tags: ControlTags) -> Iterator[str]:
    controls = [tag for tag in root.iter() if tags.image in targets(tag)]
    drawing = [tag for tag in controls if tag.tag.lower() in DRAWN]
    if tags.polygon is None and tags.brush is None:
        yield (
            f"image {tags.image!r} has no PolygonLabels or BrushLabels control for clusters, so the model can neither "
            "outline a cluster nor answer a click; add one"
        )
    for control, label in tags.doubtful_labels:
        yield (
            f"the label {label!r} of {control!r} may mean a cluster, as {tags.label_of(control)!r} does: annotations "
            f'with it are refused until the labels that mean a cluster have predicted_values="{CLUSTER}"'
        )
    for tag in controls:
        if tag.tag.lower() in UNREADABLE:
            yield (
                f"regions of {tag.get('name')!r} ({tag.tag}) are not supported: annotations with one are refused; "
                "remove the control"
            )
    yield from _advice_on_prompts(drawing)
    for tag in drawing:
        if tag.tag.lower() == "keypointlabels" and any(child.get("model_index") is None for child in tag):
            yield f"labels of {tag.get('name')!r} lack model_index, so Label Studio's COCO export fails; add it"
    if any(tag.get("name") == tags.image and is_true(tag, "rotateControl") for tag in root.iter()):
        yield (
            "rotateControl lets annotators rotate an image, and annotations of a rotated image cannot be used for "
            "training; remove it"
        )


def _advice_on_prompts(drawing: Sequence[ElementTree.Element]) -> Iterator[str]:
    # Label Studio's front end sends regions of smart controls only.
    prompting = [tag for tag in drawing if tag.tag.lower() in SMART and is_true(tag, "smart")]
    if not prompting:
        yield (
            'no control prompts the model: add KeyPointLabels and RectangleLabels with smart="true" '
            f'smartOnly="true" and the label {CLUSTER}'
        )
    for tag in prompting:
        name = tag.get("name")
        if not is_true(tag, "smartOnly"):
            yield (
                f'prompts drawn with {name!r} stay in the annotation: set smartOnly="true", and draw findings with '
                "another control"
            )
        elif not labels_meaning(tag, CLUSTER, SYNONYMS):
            yield f"{name!r} has no label for clusters, so its prompts are refused; add one"
