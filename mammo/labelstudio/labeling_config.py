"""Labeling configs: the control tags for clusters in any project's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from xml.etree import ElementTree

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER
from mammo.labelstudio.config_controls import (
    COMMENT,
    OF_EXAMS,
    OF_FINDINGS,
    ClusterLabels,
    described,
    finding_choices,
    is_comment,
    is_note,
)
from mammo.labelstudio.config_xml import NOTE_CONTROL, attribute, is_true, parse_config, targets
from mammo.labelstudio.image_config import PROMPT_CONTROLS, image_config


def labeling_config() -> str:
    """Return the labeling config of projects whose tasks show one image, without descriptors, as XML."""
    return image_config(descriptors=False)


@dataclass(frozen=True, kw_only=True)
class ControlTags:
    """Names of a project's control tags for clusters on one image; a control that the project lacks is None."""

    image: str = "image"
    """Name of the Image tag: `to_name` of every region."""

    value: str = "image"
    """Key of the image's address in the task data; empty when the tag shows the same image in every task."""

    pages: bool = False
    """Whether the tag shows a list of images (`valueList`), one per page."""

    page: int | None = None
    """Page number from 0 (`item_index` of its regions); None for a tag without pages."""

    other_images: tuple[str, ...] = ()
    """Names of the other Image tags in the config."""

    siblings: tuple[ControlTags, ...] = ()
    """Tags of the other images with a control for clusters; these have no siblings themselves."""

    brush: str | None = "mask"
    rectangle: str | None = "box"
    polygon: str | None = "outline"
    keypoint: str | None = "point"

    morphology: str | None = None
    distribution: str | None = None
    suspicion: str | None = None
    """Choices controls about a region on this image, with words of `mammo.bi_rads`."""

    comment: str | None = None
    """TextArea in which people write about a region on this image."""

    density: str | None = None
    assessment: str | None = None
    """Choices controls about the exam, on whichever of its images, with words of `mammo.bi_rads`."""

    choices: str | None = None
    """Choices control about the whole image with a choice for clusters, or one for no finding."""

    choice_found: str | None = None
    choice_nothing: str | None = None

    note: str | None = NOTE_CONTROL
    """TextArea about the whole image in which the model says why there is no prediction, or that it is cut."""

    label: str = CLUSTER
    """The cluster label, as Label Studio stores it, of controls without an entry in `labels`."""

    labels: tuple[tuple[str, str], ...] = ()
    """(control, cluster label) for controls whose label is not `label`."""

    spellings: tuple[tuple[str, str], ...] = ()
    """(control, value) for cluster labels that are stored by their alias."""

    other_labels: tuple[tuple[str, str], ...] = ()
    """(control, label) with another meaning, in every spelling, casefolded."""

    doubtful_labels: tuple[tuple[str, str], ...] = ()
    """(control, label) that may mean a cluster besides the control's cluster label, casefolded."""

    prompts: frozenset[str] = frozenset(PROMPT_CONTROLS)
    """Controls for prompts; their regions are never annotations."""

    @classmethod
    def read(cls, config: str) -> ControlTags:
        """Find the controls for clusters in any project's labeling config.

        A label means a cluster when its `predicted_values` contain `Cluster` (Label Studio's convention), when it or
        its alias is `Cluster`, or when it is one of `SYNONYMS`.

        Returns:
            The tags of the first image with such a control, with those of the other images as `siblings`.

        Raises:
            InvalidRegion: the config is not XML, or no brush, rectangle or polygon control on an image has such a
                label (code `labeling_config`).
        """
        root = parse_config(config)
        images = [tag for tag in root.iter() if tag.tag.lower() == "image" and tag.get("name")]
        names = [str(tag.get("name")) for tag in images]
        on_images = []
        for tag in images:
            tags = cls._on_image(root, tag, others=[name for name in names if name != tag.get("name")])
            if tags.brush or tags.rectangle or tags.polygon:
                on_images.append(tags)
        if not on_images:
            raise InvalidRegion(
                "the project's labeling config has no BrushLabels, RectangleLabels or PolygonLabels control with a "
                f"label for clusters on an Image; name a label {CLUSTER}, or give the label that means it "
                f'predicted_values="{CLUSTER}"',
                code="labeling_config",
            )
        return replace(on_images[0], siblings=tuple(on_images[1:]))

    @classmethod
    def _on_image(
        cls, root: ElementTree.Element, image: ElementTree.Element, *, others: Sequence[str]
    ) -> ControlTags:
        name = str(image.get("name"))
        labels = ClusterLabels()
        choices: dict[str, str | None] = {}
        descriptors: dict[str, Any] = {}
        note: str | None = None
        for tag in root.iter():
            kind, control = tag.tag.lower(), tag.get("name")
            if control is None or not targets(tag):
                continue
            here, describes = name in targets(tag), described(control, tag, image=name)
            if describes in OF_EXAMS or (describes in OF_FINDINGS and here):
                descriptors.setdefault(str(describes), control)
            elif not here:
                continue
            elif kind == "textarea":
                note = control if is_note(control, tag, image=name) else note
                if is_comment(control, tag, image=name):
                    descriptors.setdefault(COMMENT, control)
            elif kind == "choices" and not choices and not is_true(tag, "perRegion"):
                choices = finding_choices(control, tag)
            elif kind not in ("choices", "taxonomy"):
                labels.add(control, tag)
        common = labels.stored.get(next(iter(labels.controls.values()), ""), CLUSTER)
        value_list = attribute(image, "valueList")
        return cls(
            image=name,
            value=_data_key(value_list or attribute(image, "value")),
            pages=bool(value_list),
            other_images=tuple(others),
            brush=labels.controls.get("brushlabels"),
            rectangle=labels.controls.get("rectanglelabels"),
            polygon=labels.controls.get("polygonlabels"),
            keypoint=labels.controls.get("keypointlabels"),
            note=note,
            **descriptors,
            label=common,
            labels=tuple(sorted(each for each in labels.stored.items() if each[1] != common)),
            spellings=tuple(labels.spellings),
            other_labels=tuple(labels.other),
            doubtful_labels=tuple(labels.doubtful),
            prompts=frozenset(labels.prompts),
            choices=choices.get("choices"),
            choice_found=choices.get("choice_found"),
            choice_nothing=choices.get("choice_nothing"),
        )

    @property
    def image_tag(self) -> str:
        """Identifies the image within its task: the name of the Image tag, and the page number if it has pages."""
        return self.image if self.page is None else f"{self.image}[{self.page}]"

    @property
    def image_key(self) -> str:
        """Key under which data about the image are stored: `image_tag`, or empty for the only image of a task."""
        return "" if self.is_only_image else self.image_tag

    @property
    def is_only_image(self) -> bool:
        """Whether a task of the project shows exactly this image."""
        return not self.other_images and not self.pages

    def on(self, data: Mapping[str, Any]) -> Iterator[ControlTags]:
        """Yield the tags of every image that a task shows, page by page.

        An image without an address in the task data is skipped, unless it is the only image of the config.
        """
        for tags in (replace(self, siblings=()), *self.siblings):
            address = data.get(tags.value)
            if tags.pages:
                num_pages = len(address) if isinstance(address, list) else 0
                yield from (replace(tags, page=page) for page in range(num_pages))
            elif address not in ("", None) or tags.is_only_image:
                yield tags

    def everywhere(self, regions: Iterable[Mapping[str, Any]]) -> Iterator[ControlTags]:
        """Yield the tags of every image that the regions may lie on, without the task data.

        Of an image with pages, only the first page and those that a region names are known.
        """
        pages = {0} | {page for region in regions if isinstance(page := region.get("item_index"), int)}
        for tags in (replace(self, siblings=()), *self.siblings):
            if tags.pages:
                yield from (replace(tags, page=page) for page in sorted(pages))
            else:
                yield tags

    def label_of(self, control: str | None) -> str:
        """Return the control's cluster label, as Label Studio stores it."""
        return dict(self.labels).get(control or "", self.label)

    def is_cluster_label(self, control: str | None, labels: Iterable[object]) -> bool:
        """Whether one of a region's labels is its control's cluster label, in any case."""
        cluster_labels = {self.label_of(control).casefold()}
        cluster_labels |= {each.casefold() for name, each in self.spellings if name == control}
        return any(_spelling(label) in cluster_labels for label in labels)

    def is_other_label(self, control: str | None, labels: Iterable[object]) -> bool:
        """Whether all of a region's labels have another meaning according to the config."""
        other_labels = {label for name, label in self.other_labels if name == control}
        return all(_spelling(label) in other_labels for label in labels)

    def is_doubtful_label(self, control: str | None, labels: Iterable[object]) -> bool:
        """Whether one of a region's labels may mean a cluster, but the config does not state it."""
        doubtful_labels = {label for name, label in self.doubtful_labels if name == control}
        return any(_spelling(label) in doubtful_labels for label in labels)

    def is_cluster(self, region: Mapping[str, Any]) -> bool:
        """Whether a region has its control's cluster label, in any case."""
        value = region.get("value")
        if not isinstance(value, Mapping):
            return False
        kind = region.get("type")
        labels = (value.get(kind) if isinstance(kind, str) else None) or value.get("labels") or []
        control = region.get("from_name")
        return isinstance(labels, list) and self.is_cluster_label(
            control if isinstance(control, str) else None, labels
        )

    def shows(self, region: Mapping[str, Any]) -> bool:
        """Whether a region lies on this image; a region that names no image lies on the task's only image.

        `item_index` is the page number; Label Studio writes 0 for some tags without pages.
        """
        name, index = region.get("to_name"), region.get("item_index") or 0
        if name is None:
            return self.is_only_image
        return bool(name == self.image and index == (self.page or 0))

    def outlined(self) -> ControlTags:
        """Return the tags with masks drawn as polygons, if there is a polygon control."""
        tags = replace(self, brush=None) if self.polygon else self
        return replace(tags, siblings=tuple(each.outlined() for each in self.siblings))

    def painted(self) -> ControlTags:
        """Return the tags with masks drawn as brush regions, if there is a brush control."""
        tags = replace(self, polygon=None) if self.brush else self
        return replace(tags, siblings=tuple(each.painted() for each in self.siblings))

    def fit(self, result: Sequence[Mapping[str, Any]]) -> bool:
        """Whether regions of an earlier prediction use the controls, labels and choices that one would use now."""
        controls = {self.polygon or self.brush, self.rectangle, self.choices, self.note, *self._descriptors}
        controls -= {None}
        return all(
            region.get("from_name") in controls and self.shows(region) and self._has_label_of(region)
            for region in result
        )

    @property
    def _descriptors(self) -> dict[str | None, str]:
        """The controls of descriptors of findings, with what they describe."""
        return {control: name for name in OF_FINDINGS if (control := getattr(self, name)) is not None}

    def _has_label_of(self, region: Mapping[str, Any]) -> bool:
        """Whether a region's label or choice still exists in the config; a note needs none."""
        value = region.get("value")
        if region.get("type") == "textarea":
            return True
        if region.get("type") == "choices" and isinstance(value, Mapping):
            if (name := self._descriptors.get(region.get("from_name"))) is not None:
                return value.get("choices") in [[word] for word in OF_FINDINGS[name]]
            return value.get("choices") in ([self.choice_found], [self.choice_nothing])
        return self.is_cluster(region)


def _spelling(label: object) -> str:
    """Return a label in small letters; empty for what is no label. Annotations are untrusted."""
    return str(label).casefold() if isinstance(label, str | int | float) else ""


def _data_key(value: str | None) -> str:
    """Return the key of the task data in a value such as `$key`; empty for any other value."""
    match = re.fullmatch(r"\$([\w.-]+)", value or "")
    return match[1] if match else ""
