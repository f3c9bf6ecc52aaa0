"""A review of somebody's labeling config: what the model can fill there, and what will go wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER
from mammo.labelstudio.config_xml import SYNONYMS, attribute, meanings, parse_config, targets, written
from mammo.labelstudio.labeling_config import DRAWN, ControlTags

SMART = ("keypointlabels", "rectanglelabels")
"""Controls whose regions the model takes as prompts."""

UNREADABLE = frozenset({"magicwand", "videorectangle", "chatlabels"})
"""Controls that draw on an image what nobody here can read."""


@dataclass(frozen=True, kw_only=True)
class ConfigReview:
    """What came out of a review."""

    tags: ControlTags | None
    """The controls that are filled; None when nothing can be."""

    fills: tuple[str, ...] = ()
    """What the model fills, in words: control and label."""

    problems: tuple[str, ...] = ()
    """Why the project cannot work; each says what to do."""

    advice: tuple[str, ...] = ()
    """What works, and less well than it could."""


def review_config(config: str) -> ConfigReview:
    """Review a labeling config; never raises."""
    try:
        root = parse_config(config)
        tags = ControlTags.read(config)
    except InvalidRegion as error:
        return ConfigReview(tags=None, problems=(str(error),))
    images = (tags, *tags.siblings)
    return ConfigReview(
        tags=tags,
        fills=tuple(each for on_image in images for each in _fills(on_image)),
        problems=tuple(_problems(root, images)),
        advice=tuple(each for on_image in images for each in _advice(root, on_image)),
    )


def _fills(tags: ControlTags) -> list[str]:
    where = "" if tags.is_only_image else f" on image {tags.image!r}"
    form = ("polygon", tags.polygon) if tags.polygon else ("brush", tags.brush)
    fills = [
        f"{kind} {name!r} ({tags.label_of(name)}){where}"
        for kind, name in (form, ("rectangle", tags.rectangle))
        if name
    ]
    if tags.choices:
        said = [choice for choice in (tags.choice_found, tags.choice_nothing) if choice]
        fills.append(f"choices {tags.choices!r} ({' / '.join(said)}){where}")
    return fills


def _problems(root: ElementTree.Element, images: Sequence[ControlTags]) -> list[str]:
    found = []
    for tags in images:
        (tag,) = [each for each in root.iter() if each.get("name") == tags.image][:1]
        if not tags.value:
            shown = written(tag, "valueList") or written(tag, "value") or ""
            found.append(f'the Image tag {tags.image!r} shows {shown!r} for every task; write value="$image"')
    names = [tag.get("name") for tag in root.iter() if tag.get("name")]
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        found.append(f"two tags are called {name!r}; Label Studio cannot tell their regions apart")
    return found


def _advice(root: ElementTree.Element, tags: ControlTags) -> list[str]:
    found = []
    here = [tag for tag in root.iter() if tags.image in targets(tag)]
    controls = [tag for tag in here if tag.tag.lower() in DRAWN]
    if tags.polygon is None and tags.brush is None:
        found.append(
            f"no PolygonLabels or BrushLabels control for clusters on image {tags.image!r}: outlines are not drawn, "
            "and clicks have nothing to answer"
        )
    for control, label in tags.doubtful_labels:
        found.append(
            f"the label {label!r} of {control!r} may mean a cluster as well as {tags.label_of(control)!r}: annotations "
            f'with it are refused until the labels that mean one have predicted_values="{CLUSTER}"'
        )
    for tag in here:
        if tag.tag.lower() in UNREADABLE:
            found.append(
                f"what is drawn with {tag.get('name')!r} ({tag.tag}) cannot be read: annotations with it are refused"
            )
    asking = [
        tag for tag in controls if tag.tag.lower() in SMART and attribute(tag, "smart") == "true"
    ]  # only those the front end sends to us
    if not asking:
        found.append(
            'no control asks the model: add KeyPointLabels and RectangleLabels with smart="true" '
            f'smartOnly="true" and the label {CLUSTER}'
        )
    for tag in asking:
        name = tag.get("name")
        if attribute(tag, "smartOnly") != "true":
            found.append(
                f'prompts drawn with {name!r} stay in the annotation: give it smartOnly="true", and a control '
                "of its own to findings"
            )
        elif not meanings(tag, CLUSTER, SYNONYMS):
            found.append(f"{name!r} has no label for clusters: its prompts are not understood")
    for tag in controls:
        if tag.tag.lower() == "keypointlabels" and any(child.get("model_index") is None for child in tag):
            found.append(
                f"labels of {tag.get('name')!r} lack model_index: Label Studio's COCO export then fails"
            )
    if any(
        tag.get("name") == tags.image and attribute(tag, "rotateControl") == "true" for tag in root.iter()
    ):
        found.append("rotateControl lets people rotate an image; what is drawn then cannot be learned from")
    return found
