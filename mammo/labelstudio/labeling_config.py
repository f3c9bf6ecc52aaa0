"""The labeling config: which tools an annotator has, and what they are called in a project we did not make.

Findings travel through the result controls (mask, box, outline, point). Clicks for the model go through controls of
their own that are `smartOnly`: what stays behind of a prompt nobody accepted can then never be taken for an annotation.
A negative click is Alt + click with the same label; Label Studio does not send two labels together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER

MAX_CONFIG = 2**18
"""Longest labeling config that is read, in characters."""

PROMPT_CONTROLS = ("prompt-point", "prompt-box")

_CONFIG = f"""<View style="display: flex;">
  <View style="flex: 0 0 8em; margin-right: 1em;">
    <Header size="6" value="Ask the model"/>
    <KeyPointLabels name="prompt-point" toName="image" smart="true" smartOnly="true">
      <Label value="{CLUSTER}" background="#2f6fde" hotkey="1" model_index="0"/>
    </KeyPointLabels>
    <RectangleLabels name="prompt-box" toName="image" smart="true" smartOnly="true">
      <Label value="{CLUSTER}" background="#2f6fde" hotkey="2"/>
    </RectangleLabels>
    <Header size="6" value="Box"/>
    <RectangleLabels name="box" toName="image" strokeWidth="2">
      <Label value="{CLUSTER}" background="#f2a33a" hotkey="3"/>
    </RectangleLabels>
    <Header size="6" value="Mask"/>
    <BrushLabels name="mask" toName="image">
      <Label value="{CLUSTER}" background="#e4572e" hotkey="4"/>
    </BrushLabels>
    <Header size="6" value="Outline"/>
    <PolygonLabels name="outline" toName="image" strokeWidth="2">
      <Label value="{CLUSTER}" background="#e4572e" hotkey="5"/>
    </PolygonLabels>
    <Header size="6" value="Points"/>
    <KeyPointLabels name="point" toName="image" strokeWidth="2">
      <Label value="{CLUSTER}" background="#34a06b" hotkey="6" model_index="0"/>
    </KeyPointLabels>
  </View>
  <View style="flex: 1 1 auto; min-width: 0;">
    <Image name="image" value="$image" zoom="true" zoomControl="true" brightnessControl="true" contrastControl="true"/>
  </View>
</View>
"""


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

    label: str = CLUSTER
    """The cluster label as the project spells it."""

    prompts: frozenset[str] = frozenset(PROMPT_CONTROLS)
    """Controls that only ask the model; nothing drawn with them is an annotation."""

    @classmethod
    def read(cls, config: str) -> ControlTags:
        """Find the controls for clusters in any project's labeling config.

        Raises:
            InvalidRegion: no XML, or no brush, rectangle or polygon control with the label Cluster on an image.
        """
        root = _parse(config)
        images = [tag for tag in root.iter() if tag.tag.lower() == "image" and tag.get("name")]
        for image in images:
            tags = cls._on_image(root, str(image.get("name")))
            if tags.brush or tags.rectangle or tags.polygon:
                return tags
        raise InvalidRegion(
            f"the project's labeling config has no BrushLabels, RectangleLabels or PolygonLabels control with the "
            f"label {CLUSTER} on an Image; add one (the config of a project made by this system shows how)",
            code="labeling_config",
        )

    @classmethod
    def _on_image(cls, root: ElementTree.Element, image: str) -> ControlTags:
        found: dict[str, str] = {}
        prompts: set[str] = set()
        spelled = CLUSTER
        for tag in root.iter():
            name, label = tag.get("name"), _cluster_label(tag)
            targets = (tag.get("toName") or "").split(",")
            if name is None or label is None or image not in targets:
                continue
            if (tag.get("smartOnly") or tag.get("smartonly") or "").lower() == "true":
                prompts.add(name)
            elif found.setdefault(tag.tag.lower(), name) == name:
                spelled = label
        return cls(
            image=image,
            brush=found.get("brushlabels"),
            rectangle=found.get("rectanglelabels"),
            polygon=found.get("polygonlabels"),
            keypoint=found.get("keypointlabels"),
            label=spelled,
            prompts=frozenset(prompts),
        )

    def fit(self, result: Sequence[Mapping[str, Any]]) -> bool:
        """Whether regions made earlier still name controls that this project has."""
        names = {self.brush, self.rectangle, self.polygon, self.keypoint}
        return all(
            region.get("from_name") in names and region.get("to_name") == self.image for region in result
        )


def _cluster_label(control: ElementTree.Element) -> str | None:
    for child in control:
        value = child.get("value") or ""
        if child.tag.lower() == "label" and value.lower() == CLUSTER.lower():
            return value
    return None


def _parse(config: str) -> ElementTree.Element:
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
