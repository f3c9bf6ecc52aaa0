"""The labeling config: which tools an annotator has, and what they are called in a project we did not make.

Findings travel through the result controls (mask, box, outline, point). Clicks for the model go through controls of
their own that are `smartOnly`: what stays behind of a prompt nobody accepted can then never be taken for an annotation.
A negative click is Alt + click with the same label; Label Studio does not send two labels together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from xml.etree import ElementTree

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER

MAX_CONFIG = 2**18
"""Longest labeling config that is read, in characters."""

PROMPT_CONTROLS = ("prompt-point", "prompt-box")

NOTE_CONTROL = "model-note"
"""Name of a TextArea in which the model says why it drew nothing. Other text areas are the annotators'."""

DRAWN = ("brushlabels", "rectanglelabels", "polygonlabels", "keypointlabels")
"""Control tags that the model can fill with regions, in lower case."""

SYNONYMS = frozenset(
    {
        "clusters",
        "mc",
        "mcs",
        "mcc",
        "mccs",
        "microcalcification",
        "microcalcifications",
        "microcalcification cluster",
        "microcalcification clusters",
        "calcification",
        "calcifications",
        "calcification cluster",
        "calcification clusters",
        "suspicious calcification",
    }
)
"""What else projects call a cluster (lower case, words apart)."""

NOTHING = "Nothing"
NOTHING_SYNONYMS = frozenset(
    {"none", "no cluster", "no clusters", "no finding", "no findings", "no microcalcifications", "negative"}
)
"""What a choice says when nothing was found."""

_CONFIG = f"""<View style="display: flex;">
  <View style="flex: 0 0 8em; margin-right: 1em;">
    <Header size="6" value="Ask the model"/>
    <KeyPointLabels name="prompt-point" toName="image" smart="true" smartOnly="true">
      <Label value="{CLUSTER}" html="Click" hint="Pink point tool: 1, then click. Alt: not here. Ctrl: in a box."
        background="#2f6fde" hotkey="1" model_index="0"/>
    </KeyPointLabels>
    <RectangleLabels name="prompt-box" toName="image" smart="true" smartOnly="true">
      <Label value="{CLUSTER}" html="Box" hint="With the pink box tool: 2, then draw."
        background="#2f6fde" hotkey="2"/>
    </RectangleLabels>
    <Header size="6" value="Findings"/>
    <RectangleLabels name="box" toName="image" smart="false" strokeWidth="2" opacity="0">
      <Label value="{CLUSTER}" html="Box" background="#f2a33a" hotkey="3"/>
    </RectangleLabels>
    <BrushLabels name="mask" toName="image" smart="false">
      <Label value="{CLUSTER}" html="Mask" background="#e4572e" hotkey="4"/>
    </BrushLabels>
    <PolygonLabels name="outline" toName="image" smart="false" strokeWidth="2">
      <Label value="{CLUSTER}" html="Outline" background="#e4572e" hotkey="5"/>
    </PolygonLabels>
    <KeyPointLabels name="point" toName="image" smart="false" strokeWidth="2">
      <Label value="{CLUSTER}" html="Point" background="#34a06b" hotkey="6" model_index="0"/>
    </KeyPointLabels>
    <TextArea name="{NOTE_CONTROL}" toName="image" editable="false" maxSubmissions="0"/>
  </View>
  <View style="flex: 1 1 auto; min-width: 0;">
    <Image name="image" value="$image" zoom="true" zoomControl="true" brightnessControl="true" contrastControl="true"/>
  </View>
</View>
"""
# `html` is what a label is called on the screen: all mean the one label the model knows. Controls are smart unless they
# say no, and a smart tool of a finding would ask the model and then take what was drawn away. No fill hides the lesion.
# No submissions: a person gets no field to type in, and sees nothing where the model wrote nothing.


def labeling_config() -> str:
    """The labeling config of the projects we make, as XML."""
    return _CONFIG


@dataclass(frozen=True, kw_only=True)
class ControlTags:
    """Names of the control tags that one project uses for clusters; None where it has no such tool."""

    image: str = "image"
    """Name of the Image tag: `to_name` of every region."""

    brush: str | None = "mask"
    rectangle: str | None = "box"
    polygon: str | None = "outline"
    keypoint: str | None = "point"

    choices: str | None = None
    """Choices about the whole image, of which one says that there is a cluster, or one that there is none."""

    choice_found: str | None = None
    choice_nothing: str | None = None

    note: str | None = NOTE_CONTROL
    """TextArea about the whole image in which the model says why it drew nothing."""

    label: str = CLUSTER
    """The cluster label, for controls that `labels` does not name."""

    labels: tuple[tuple[str, str], ...] = ()
    """(control, its cluster label) where that is spelled otherwise than `label`."""

    prompts: frozenset[str] = frozenset(PROMPT_CONTROLS)
    """Controls that only ask the model; nothing drawn with them is an annotation."""

    @classmethod
    def read(cls, config: str) -> ControlTags:
        """Find the controls for clusters in any project's labeling config, whatever it calls them.

        A label means a cluster when its `predicted_values` say `Cluster` (Label Studio's own convention), when it
        is spelled so, or when it is one of `SYNONYMS`.

        Raises:
            InvalidRegion: no XML, or no brush, rectangle or polygon control with such a label on an image.
        """
        root = parse_config(config)
        for image in root.iter():
            if image.tag.lower() == "image" and image.get("name"):
                tags = cls._on_image(root, str(image.get("name")))
                if tags.brush or tags.rectangle or tags.polygon:
                    return tags
        raise InvalidRegion(
            "the project's labeling config has no BrushLabels, RectangleLabels or PolygonLabels control with a "
            f"label for clusters on an Image; name a label {CLUSTER}, or give the label that means it "
            f'predicted_values="{CLUSTER}"',
            code="labeling_config",
        )

    @classmethod
    def _on_image(cls, root: ElementTree.Element, image: str) -> ControlTags:
        found: dict[str, str] = {}
        spelled: dict[str, str] = {}
        prompts: set[str] = set()
        choices: dict[str, str | None] = {}
        note: str | None = None
        for tag in root.iter():
            kind, name = tag.tag.lower(), tag.get("name")
            if name is None or image not in [each.strip() for each in (tag.get("toName") or "").split(",")]:
                continue
            if kind == "textarea":
                note = name if name == NOTE_CONTROL and attribute(tag, "perRegion") != "true" else note
                continue
            label = label_for(tag, CLUSTER, SYNONYMS)
            if attribute(tag, "smartOnly") == "true":
                prompts.add(name)
            elif kind == "choices" and not choices and attribute(tag, "perRegion") != "true":
                nothing = label_for(tag, NOTHING, NOTHING_SYNONYMS)
                choices = {"choices": name, "choice_found": label, "choice_nothing": nothing}
                if label is None and nothing is None:
                    choices = {}
                continue
            elif kind in DRAWN and label is not None and kind not in found:
                found[kind] = name
            if label is not None:
                spelled[name] = label
        common = spelled.get(next(iter(found.values()), ""), CLUSTER)
        return cls(
            image=image,
            brush=found.get("brushlabels"),
            rectangle=found.get("rectanglelabels"),
            polygon=found.get("polygonlabels"),
            keypoint=found.get("keypointlabels"),
            note=note,
            label=common,
            labels=tuple(sorted((name, label) for name, label in spelled.items() if label != common)),
            prompts=frozenset(prompts),
            **choices,
        )

    def label_of(self, control: str | None) -> str:
        """The cluster label as this control spells it."""
        return dict(self.labels).get(control or "", self.label)

    def is_cluster(self, region: Mapping[str, Any]) -> bool:
        """Whether a region carries its control's cluster label, in any spelling of its case."""
        value = region.get("value")
        if not isinstance(value, Mapping):
            return False
        labels = value.get(str(region.get("type"))) or value.get("labels") or []
        control = region.get("from_name")
        wanted = self.label_of(control if isinstance(control, str) else None).casefold()
        return isinstance(labels, list) and any(str(label).casefold() == wanted for label in labels)

    @property
    def outline(self) -> str | None:
        """The polygon control that takes the masks; None where a brush does."""
        return None if self.brush else self.polygon

    def outlined(self) -> ControlTags:
        """These tags for masks as polygons in place of the brush, where there is a polygon control."""
        return replace(self, brush=None) if self.polygon else self

    def fit(self, result: Sequence[Mapping[str, Any]]) -> bool:
        """Whether regions made earlier are what would be drawn in this project now."""
        names = {self.brush, self.rectangle, self.outline, self.keypoint, self.choices} - {None}
        return all(
            region.get("from_name") in names and region.get("to_name") == self.image and self._says_so(region)
            for region in result
        )

    def _says_so(self, region: Mapping[str, Any]) -> bool:
        """Whether a region's label or choice still exists."""
        value = region.get("value")
        if region.get("type") == "choices" and isinstance(value, Mapping):
            return value.get("choices") in ([self.choice_found], [self.choice_nothing])
        return self.is_cluster(region)


def label_for(control: ElementTree.Element, meaning: str, synonyms: frozenset[str]) -> str | None:
    """The label (or choice) of a control that means something; None when it has none.

    What says so in `predicted_values` comes before what is spelled so, and that before synonyms.
    """
    ranked: list[tuple[int, str]] = []
    for child in control:
        value = child.get("value") or ""
        if child.tag.lower() not in ("label", "choice") or not value:
            continue
        predicted = {_plain(each) for each in (attribute(child, "predicted_values") or "").split(",")}
        if _plain(meaning) in predicted:
            ranked.append((0, value))
        elif _plain(value) == _plain(meaning):
            ranked.append((1, value))
        elif _plain(value) in synonyms:
            ranked.append((2, value))
    return min(ranked, key=lambda each: each[0])[1] if ranked else None


def attribute(tag: ElementTree.Element, name: str) -> str | None:
    """An attribute in lower case, however its name is spelled: Label Studio's front end lowers both."""
    for key, value in tag.attrib.items():
        if key.lower() == name.lower():
            return value.strip().lower()
    return None


def _plain(text: str) -> str:
    return " ".join(re.split(r"[\s_-]+", text.casefold())).strip()


def parse_config(config: str) -> ElementTree.Element:
    """The XML tree of a labeling config.

    Raises:
        InvalidRegion: too long, no XML, or more than plain XML.
    """
    # No document type, no entities: neither expansion nor a look outside is possible in what is left of XML.
    if len(config) > MAX_CONFIG or "<!" in config.replace("<!--", ""):
        raise InvalidRegion(
            "the project's labeling config is too long or declares entities", code="labeling_config"
        )
    try:
        return ElementTree.fromstring(config)  # noqa: S314
    except ElementTree.ParseError as error:
        raise InvalidRegion(
            f"the project's labeling config is no XML: {error}", code="labeling_config"
        ) from None
