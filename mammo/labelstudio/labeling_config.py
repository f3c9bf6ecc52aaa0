"""The labeling config: which images a task shows and which tools an annotator has, also in a project we did not make.

Findings travel through the result controls (outline, mask, box, point). Clicks for the model go through controls of
their own that are `smartOnly`: what stays behind of a prompt nobody accepted can then never be taken for an annotation.
A negative click is Alt + click with the same label; Label Studio does not send two labels together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from xml.etree import ElementTree

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER
from mammo.labelstudio.config_xml import (
    NOTE_CONTROL,
    NOTHING,
    NOTHING_SYNONYMS,
    SYNONYM,
    SYNONYMS,
    attribute,
    labels_of,
    meanings,
    parse_config,
    targets,
    written,
)

PROMPT_CONTROLS = ("prompt-point", "prompt-box")

DRAWN = (
    "brushlabels",
    "rectanglelabels",
    "polygonlabels",
    "keypointlabels",
    "ellipselabels",
    "vectorlabels",
    "bitmasklabels",
)
"""Control tags whose regions are read as findings, in lower case; the first four the model can fill."""

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
    <PolygonLabels name="outline" toName="image" smart="false" strokeWidth="2" opacity="0">
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
    """Names of the control tags that one project uses for clusters on one image; None where it has no such tool."""

    image: str = "image"
    """Name of the Image tag: `to_name` of every region."""

    value: str = "image"
    """Key of the task's data that holds the image's address; empty where the tag shows one image for every task."""

    pages: bool = False
    """The tag shows a list of images (`valueList`), one page each."""

    page: int | None = None
    """Which page of the list, from 0: `item_index` of its regions; None where there is no list."""

    other_images: tuple[str, ...] = ()
    """Names of the other Image tags of the config."""

    siblings: tuple[ControlTags, ...] = ()
    """The tags of the config's other images that have a tool for clusters; they name no siblings themselves."""

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
    """The cluster label as Label Studio stores it, for controls that `labels` does not name."""

    labels: tuple[tuple[str, str], ...] = ()
    """(control, its cluster label) where that is stored otherwise than as `label`."""

    spellings: tuple[tuple[str, str], ...] = ()
    """(control, a further spelling of its cluster label): the value of a label that is stored by its alias."""

    other_labels: tuple[tuple[str, str], ...] = ()
    """(control, label) that mean something else, in every spelling, lower case."""

    doubtful_labels: tuple[tuple[str, str], ...] = ()
    """(control, label) that may mean a cluster as well as another label of the control, lower case."""

    prompts: frozenset[str] = frozenset(PROMPT_CONTROLS)
    """Controls that only ask the model; nothing drawn with them is an annotation."""

    @classmethod
    def read(cls, config: str) -> ControlTags:
        """Find the controls for clusters in any project's labeling config, whatever it calls them.

        Returns those on the first image that has any, with those on the other images as `siblings`. A label means a
        cluster when its `predicted_values` say `Cluster` (Label Studio's own convention), when it
        or its alias is spelled so, or when it is one of `SYNONYMS`.

        Raises:
            InvalidRegion: no XML, or no brush, rectangle or polygon control with such a label on an image.
        """
        root = parse_config(config)
        images = [tag for tag in root.iter() if tag.tag.lower() == "image" and tag.get("name")]
        names = [str(tag.get("name")) for tag in images]
        found = []
        for tag in images:
            tags = cls._on_image(root, tag, others=[name for name in names if name != tag.get("name")])
            if tags.brush or tags.rectangle or tags.polygon:
                found.append(tags)
        if not found:
            raise InvalidRegion(
                "the project's labeling config has no BrushLabels, RectangleLabels or PolygonLabels control with a "
                f"label for clusters on an Image; name a label {CLUSTER}, or give the label that means it "
                f'predicted_values="{CLUSTER}"',
                code="labeling_config",
            )
        return replace(found[0], siblings=tuple(found[1:]))

    @classmethod
    def _on_image(
        cls, root: ElementTree.Element, image: ElementTree.Element, *, others: Sequence[str]
    ) -> ControlTags:
        name = str(image.get("name"))
        filled: dict[str, str] = {}
        stored: dict[str, str] = {}
        spellings, other, doubtful = [], [], []
        prompts: set[str] = set()
        choices: dict[str, str | None] = {}
        note: str | None = None
        for tag in root.iter():
            kind, control = tag.tag.lower(), tag.get("name")
            if control is None or name not in targets(tag):
                continue
            if kind == "textarea":
                note = control if control == NOTE_CONTROL and attribute(tag, "perRegion") != "true" else note
                continue
            if kind in ("choices", "taxonomy"):
                if kind == "choices" and not choices and attribute(tag, "perRegion") != "true":
                    choices = _choices(control, tag)
                continue
            ranked = meanings(tag, CLUSTER, SYNONYMS)
            if attribute(tag, "smartOnly") == "true":
                prompts.add(control)
            elif kind in DRAWN and ranked and kind not in filled:
                filled[kind] = control
            if ranked:
                stored[control] = ranked[0][1].stored
                spellings += [(control, each) for each in ranked[0][1].spellings[1:]]
            means = ranked[0][1] if ranked else None
            may_mean = [label for rank, label in ranked[1:] if rank == ranked[0][0] == SYNONYM]
            doubtful += [(control, each.casefold()) for label in may_mean for each in label.spellings]
            other += [
                (control, each.casefold())
                for _, label in labels_of(tag)
                if label != means and label not in may_mean
                for each in label.spellings
            ]
        common = stored.get(next(iter(filled.values()), ""), CLUSTER)
        pages = written(image, "valueList")
        return cls(
            image=name,
            value=_key(pages or written(image, "value")),
            pages=bool(pages),
            other_images=tuple(others),
            brush=filled.get("brushlabels"),
            rectangle=filled.get("rectanglelabels"),
            polygon=filled.get("polygonlabels"),
            keypoint=filled.get("keypointlabels"),
            note=note,
            label=common,
            labels=tuple(sorted((control, label) for control, label in stored.items() if label != common)),
            spellings=tuple(spellings),
            other_labels=tuple(other),
            doubtful_labels=tuple(doubtful),
            prompts=frozenset(prompts),
            choices=choices.get("choices"),
            choice_found=choices.get("choice_found"),
            choice_nothing=choices.get("choice_nothing"),
        )

    @property
    def image_tag(self) -> str:
        """What names the image within its task: the tag's name, and the page where there are several."""
        return self.image if self.page is None else f"{self.image}[{self.page}]"

    @property
    def image_key(self) -> str:
        """What names the image within its task wherever something is kept of it; empty for the only one there is."""
        return "" if self.is_only_image else self.image_tag

    @property
    def is_only_image(self) -> bool:
        """Whether a task of the project shows this image and no other."""
        return not self.other_images and not self.pages

    def on(self, data: Mapping[str, Any]) -> Iterator[ControlTags]:
        """The tags of every image that a task shows, page by page.

        A view that the task does not have (`""`) is left out, unless the config has no other image.
        """
        for tags in (replace(self, siblings=()), *self.siblings):
            shown = data.get(tags.value)
            if tags.pages:
                yield from (
                    replace(tags, page=index) for index in range(len(shown) if isinstance(shown, list) else 0)
                )
            elif shown not in ("", None) or tags.is_only_image:
                yield tags

    def everywhere(self, regions: Iterable[Mapping[str, Any]]) -> Iterator[ControlTags]:
        """The tags of every image that regions may lie on, for who has no task at hand; pages as far as named."""
        pages = {0} | {page for region in regions if isinstance(page := region.get("item_index"), int)}
        for tags in (replace(self, siblings=()), *self.siblings):
            if tags.pages:
                yield from (replace(tags, page=page) for page in sorted(pages))
            else:
                yield tags

    def label_of(self, control: str | None) -> str:
        """The cluster label as Label Studio stores it for this control."""
        return dict(self.labels).get(control or "", self.label)

    def is_cluster_label(self, control: str | None, labels: Iterable[object]) -> bool:
        """Whether one of a region's labels is its control's cluster label, in any spelling of its case."""
        mine = {self.label_of(control).casefold()}
        mine |= {each.casefold() for name, each in self.spellings if name == control}
        return any(str(label).casefold() in mine for label in labels)

    def is_other_label(self, control: str | None, labels: Iterable[object]) -> bool:
        """Whether all of a region's labels are known to mean something else than a cluster."""
        theirs = {label for name, label in self.other_labels if name == control}
        return all(str(label).casefold() in theirs for label in labels)

    def is_doubtful_label(self, control: str | None, labels: Iterable[object]) -> bool:
        """Whether one of a region's labels may mean a cluster, and the config does not say so."""
        theirs = {label for name, label in self.doubtful_labels if name == control}
        return any(str(label).casefold() in theirs for label in labels)

    def is_cluster(self, region: Mapping[str, Any]) -> bool:
        """Whether a region carries its control's cluster label, in any spelling of its case."""
        value = region.get("value")
        if not isinstance(value, Mapping):
            return False
        labels = value.get(str(region.get("type"))) or value.get("labels") or []
        control = region.get("from_name")
        return isinstance(labels, list) and self.is_cluster_label(
            control if isinstance(control, str) else None, labels
        )

    def shows(self, region: Mapping[str, Any]) -> bool:
        """Whether a region lies on this image; one that names no image lies on the only one there is.

        `item_index` counts pages; Label Studio writes 0 for some tags without pages.
        """
        name, index = region.get("to_name"), region.get("item_index") or 0
        if name is None:
            return self.is_only_image
        return bool(name == self.image and index == (self.page or 0))

    def outlined(self) -> ControlTags:
        """These tags with masks as polygons, where there is a polygon control."""
        form = replace(self, brush=None) if self.polygon else self
        return replace(form, siblings=tuple(each.outlined() for each in self.siblings))

    def painted(self) -> ControlTags:
        """These tags with masks as brush regions in place of polygons, where there is a brush control."""
        form = replace(self, polygon=None) if self.brush else self
        return replace(form, siblings=tuple(each.painted() for each in self.siblings))

    def fit(self, result: Sequence[Mapping[str, Any]]) -> bool:
        """Whether regions made earlier are what would be drawn on this image now."""
        form = self.polygon or self.brush
        names = {form, self.rectangle, self.choices} - {None}
        return all(
            region.get("from_name") in names and self.shows(region) and self._says_so(region)
            for region in result
        )

    def _says_so(self, region: Mapping[str, Any]) -> bool:
        """Whether a region's label or choice still exists."""
        value = region.get("value")
        if region.get("type") == "choices" and isinstance(value, Mapping):
            return value.get("choices") in ([self.choice_found], [self.choice_nothing])
        return self.is_cluster(region)


def _choices(control: str, tag: ElementTree.Element) -> dict[str, str | None]:
    """The choices about the whole image that say whether there is a cluster; empty when they say something else."""
    found, nothing = meanings(tag, CLUSTER, SYNONYMS), meanings(tag, NOTHING, NOTHING_SYNONYMS)
    if not found and not nothing:
        return {}
    return {
        "choices": control,
        "choice_found": found[0][1].stored if found else None,
        "choice_nothing": nothing[0][1].stored if nothing else None,
    }


def _key(value: str | None) -> str:
    """The key of the task's data that `$key` names; empty for anything else."""
    match = re.fullmatch(r"\$([\w.-]+)", value or "")
    return match[1] if match else ""
