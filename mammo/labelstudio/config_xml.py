"""The XML of a labeling config: its tags, their attributes, and what their labels mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from mammo.errors import InvalidRegion

MAX_CONFIG = 2**18
"""Longest labeling config that is read, in characters."""

NOTE_CONTROL = "model-note"
"""Name of a TextArea in which the model says why it drew nothing. Other text areas are the annotators'."""

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

STATED, SPELLED, SYNONYM = range(3)
"""How sure it is that a label means something: `predicted_values` says so, it is spelled so, it is a synonym."""


@dataclass(frozen=True)
class Label:
    """A `Label` or `Choice` of a control."""

    value: str
    alias: str | None

    @property
    def stored(self) -> str:
        """How Label Studio writes it into annotations, and expects it in predictions: the alias where there is one."""
        return self.alias or self.value

    @property
    def spellings(self) -> tuple[str, ...]:
        return (self.stored, self.value) if self.alias else (self.value,)


def labels_of(control: ElementTree.Element) -> Iterator[tuple[ElementTree.Element, Label]]:
    """The labels or choices of a control, in their order, also those grouped in views."""
    for child in control.iter():
        value = (child.get("value") or "").strip()
        if child is not control and child.tag.lower() in ("label", "choice") and value:
            yield child, Label(value, written(child, "alias") or None)


def meanings(control: ElementTree.Element, meaning: str, synonyms: frozenset[str]) -> list[tuple[int, Label]]:
    """The labels (or choices) of a control that may mean something, the surest first; each with how sure it is."""
    ranked = []
    for child, label in labels_of(control):
        names = {plain(name) for name in label.spellings}
        predicted = {plain(each) for each in (attribute(child, "predicted_values") or "").split(",")}
        if plain(meaning) in predicted:
            ranked.append((STATED, label))
        elif plain(meaning) in names:
            ranked.append((SPELLED, label))
        elif names & synonyms:
            ranked.append((SYNONYM, label))
    return sorted(ranked, key=lambda each: each[0])


def attribute(tag: ElementTree.Element, name: str) -> str | None:
    """An attribute in lower case, however its name is spelled: Label Studio's front end lowers both."""
    value = written(tag, name)
    return None if value is None else value.lower()


def written(tag: ElementTree.Element, name: str) -> str | None:
    """An attribute as it is written, however its name is spelled."""
    for key, value in tag.attrib.items():
        if key.lower() == name.lower():
            return value.strip()
    return None


def targets(tag: ElementTree.Element) -> list[str]:
    """The objects that a control is for."""
    return [each.strip() for each in (written(tag, "toName") or "").split(",") if each.strip()]


def plain(text: str) -> str:
    """A label in the form in which labels are compared: lower case, words apart by one space."""
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
