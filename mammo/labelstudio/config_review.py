"""A review of somebody's labeling config: what the model can fill there, and what will go wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER
from mammo.labelstudio.labeling_config import DRAWN, ControlTags, attribute, parse_config

SMART = ("keypointlabels", "rectanglelabels")
"""Controls whose regions the model takes as prompts."""


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
    fills = [
        f"{kind} {name!r} ({tags.label_of(name)})"
        for kind, name in (
            ("brush", tags.brush),
            ("rectangle", tags.rectangle),
            ("polygon", tags.outline),
            ("key point", tags.keypoint),
        )
        if name
    ]
    if tags.choices:
        said = [choice for choice in (tags.choice_found, tags.choice_nothing) if choice]
        fills.append(f"choices {tags.choices!r} ({' / '.join(said)})")
    return ConfigReview(
        tags=tags,
        fills=tuple(fills),
        problems=tuple(_problems(root, tags)),
        advice=tuple(_advice(root, tags)),
    )


def _problems(root: ElementTree.Element, tags: ControlTags) -> list[str]:
    (image,) = [tag for tag in root.iter() if tag.tag.lower() == "image" and tag.get("name") == tags.image][
        :1
    ]
    found = []
    value = image.get("value") or ""
    if not value.startswith("$") and not image.get("valueList"):
        found.append(f'the Image tag shows {value!r} for every task; write value="$image"')
    if image.get("valueList"):
        found.append("the Image tag shows a list of images; a task here is one mammogram: use value")
    names = [tag.get("name") for tag in root.iter() if tag.get("name")]
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        found.append(f"two tags are called {name!r}; Label Studio cannot tell their regions apart")
    return found


def _advice(root: ElementTree.Element, tags: ControlTags) -> list[str]:
    found = []
    controls = [tag for tag in root.iter() if tag.tag.lower() in DRAWN]
    if tags.brush is None:
        drawn = "drawn as polygons (holes filled)" if tags.polygon else "not drawn"
        found.append(
            f"no BrushLabels control for clusters: masks are {drawn}, and clicks have nothing to answer"
        )
    if tags.rectangle is None:
        found.append("no RectangleLabels control for clusters: the boxes of the clusters are not drawn")
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
        elif name not in dict(tags.labels) and not _has_label(tag, tags.label):
            found.append(f"{name!r} has no label for clusters: its prompts are not understood")
    for tag in controls:
        if tag.tag.lower() == "keypointlabels" and any(child.get("model_index") is None for child in tag):
            found.append(
                f"labels of {tag.get('name')!r} lack model_index: Label Studio's COCO export then fails"
            )
    if any(tag.tag.lower() == "image" and attribute(tag, "rotateControl") == "true" for tag in root.iter()):
        found.append("rotateControl lets people rotate an image; what is drawn then cannot be learned from")
    return found


def _has_label(control: ElementTree.Element, label: str) -> bool:
    return any((child.get("value") or "").casefold() == label.casefold() for child in control)
