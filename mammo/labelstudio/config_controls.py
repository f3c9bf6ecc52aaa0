"""The controls of one image in a labeling config: what they draw, choose or describe, and what their labels mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.etree import ElementTree

from mammo.bi_rads import ASSESSMENTS, DENSITIES, DISTRIBUTIONS, MORPHOLOGIES, SUSPICIONS
from mammo.findings import CLUSTER
from mammo.labelstudio.config_xml import (
    NOTE_CONTROL,
    NOTHING,
    NOTHING_SYNONYMS,
    SYNONYM,
    SYNONYMS,
    is_true,
    labels_meaning,
    labels_of,
)

DRAWN = (
    "brushlabels",
    "rectanglelabels",
    "polygonlabels",
    "keypointlabels",
    "ellipselabels",
    "vectorlabels",
    "bitmasklabels",
)
"""Control tags whose regions can be findings, in lower case. The model fills the first four."""

OF_FINDINGS = {"morphology": MORPHOLOGIES, "distribution": DISTRIBUTIONS, "suspicion": SUSPICIONS}
"""Names of controls that describe a finding, without the image, with their words."""

OF_EXAMS = {"density": DENSITIES, "assessment": ASSESSMENTS}
"""Names of controls that describe the exam, with their words."""

COMMENT = "comment"
"""Name of the TextArea about a finding, without the image."""


@dataclass
class ClusterLabels:
    """The drawing and prompt controls of one image, with the meaning of their labels."""

    controls: dict[str, str] = field(default_factory=dict)
    """Name of the first control for clusters, by kind (tag in lower case)."""

    stored: dict[str, str] = field(default_factory=dict)
    """Cluster label by control, as Label Studio stores it."""

    spellings: list[tuple[str, str]] = field(default_factory=list)
    other: list[tuple[str, str]] = field(default_factory=list)
    doubtful: list[tuple[str, str]] = field(default_factory=list)
    prompts: set[str] = field(default_factory=set)

    def add(self, control: str, tag: ElementTree.Element) -> None:
        """Classify the labels of a control."""
        kind = tag.tag.lower()
        ranked = labels_meaning(tag, CLUSTER, SYNONYMS)
        if is_true(tag, "smartOnly"):
            self.prompts.add(control)
        elif kind in DRAWN and ranked:
            self.controls.setdefault(kind, control)
        clusters = []
        if ranked:
            evidence, label = ranked[0]
            self.stored[control] = label.stored
            self.spellings += [(control, spelling) for spelling in label.spellings[1:]]
            # A second synonym beside a first: nothing tells which of the two means a cluster.
            doubtful = [each for rank, each in ranked[1:] if rank == evidence == SYNONYM]
            self.doubtful += [(control, each.casefold()) for other in doubtful for each in other.spellings]
            clusters = [label, *doubtful]
        self.other += [
            (control, spelling.casefold())
            for _, label in labels_of(tag)
            if label not in clusters
            for spelling in label.spellings
        ]


def finding_choices(control: str, tag: ElementTree.Element) -> dict[str, str | None]:
    """Return the choices for clusters and for no finding, as fields of `ControlTags`; empty without either."""
    cluster = labels_meaning(tag, CLUSTER, SYNONYMS)
    nothing = labels_meaning(tag, NOTHING, NOTHING_SYNONYMS)
    if not cluster and not nothing:
        return {}
    return {
        "choices": control,
        "choice_found": cluster[0][1].stored if cluster else None,
        "choice_nothing": nothing[0][1].stored if nothing else None,
    }


def is_note(control: str, tag: ElementTree.Element, *, image: str) -> bool:
    """Whether a control is the TextArea for the model's note about an image."""
    names = (NOTE_CONTROL, f"{NOTE_CONTROL}-{image}")
    return tag.tag.lower() == "textarea" and control in names and not is_true(tag, "perRegion")


def is_comment(control: str, tag: ElementTree.Element, *, image: str) -> bool:
    """Whether a control is the TextArea in which people write about a finding on an image."""
    names = (COMMENT, f"{COMMENT}-{image}")
    return tag.tag.lower() == "textarea" and control in names and is_true(tag, "perRegion")


def described(control: str, tag: ElementTree.Element, *, image: str) -> str | None:
    """Return what a control describes: a key of `OF_FINDINGS` or `OF_EXAMS`, else None.

    Only the words of BI-RADS are understood; a control of that name with another choice is somebody else's.

    Args:
        control: its name; for a finding, the image's name may follow, as in `morphology-RCC`.
        tag: its tag.
        image: name of the image.
    """
    per_region = is_true(tag, "perRegion")
    name = control.removesuffix(f"-{image}") if per_region else control
    words = (OF_FINDINGS if per_region else OF_EXAMS).get(name)
    stored = {label.stored for _, label in labels_of(tag)}
    return name if tag.tag.lower() == "choices" and words and stored and stored <= set(words) else None
