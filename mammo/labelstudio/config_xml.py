"""The XML of a labeling config: its tags, their attributes, and the meaning of their labels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from mammo.errors import InvalidRegion

MAX_CONFIG = 2**18
"""Maximum length of a labeling config, in characters."""

NOTE_CONTROL = "model-note"
"""Name of the TextArea for the model's note, the reason why an image has no prediction."""

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
"""Other labels that mean a cluster, as `normalised_label` writes them."""

NOTHING = "Nothing"
NOTHING_SYNONYMS = frozenset(
    {"none", "no cluster", "no clusters", "no finding", "no findings", "no microcalcifications", "negative"}
)
"""Other choices that mean "no finding", as `normalised_label` writes them."""

STATED, SPELLED, SYNONYM = range(3)
"""Evidence that a label has a meaning, strongest first: its `predicted_values`, its spelling, or a synonym."""


@dataclass(frozen=True)
class Label:
    """A `Label` or `Choice` of a control."""

    value: str
    alias: str | None

    @property
    def stored(self) -> str:
        """The text in Label Studio's annotations and predictions: the alias if there is one, else the value."""
        return self.alias or self.value

    @property
    def spellings(self) -> tuple[str, ...]:
        """The stored text first, then the value if it differs from the alias."""
        return (self.stored, self.value) if self.alias else (self.value,)


def labels_of(control: ElementTree.Element) -> Iterator[tuple[ElementTree.Element, Label]]:
    """Yield the labels or choices of a control in document order, with their tags; nested views are searched."""
    for child in control.iter():
        value = (child.get("value") or "").strip()
        if child is not control and child.tag.lower() in ("label", "choice") and value:
            yield child, Label(value, attribute(child, "alias") or None)


def labels_meaning(
    control: ElementTree.Element, meaning: str, synonyms: frozenset[str]
) -> list[tuple[int, Label]]:
    """Return the labels or choices of a control that may have a meaning, each with its evidence, strongest first.

    Args:
        control: the control tag.
        meaning: such as `Cluster`.
        synonyms: normalised labels with the same meaning.
    """
    ranked = []
    for child, label in labels_of(control):
        spellings = {normalised_label(spelling) for spelling in label.spellings}
        predicted_values = (attribute(child, "predicted_values") or "").split(",")
        if normalised_label(meaning) in map(normalised_label, predicted_values):
            ranked.append((STATED, label))
        elif normalised_label(meaning) in spellings:
            ranked.append((SPELLED, label))
        elif spellings & synonyms:
            ranked.append((SYNONYM, label))
    return sorted(ranked, key=lambda each: each[0])


def attribute(tag: ElementTree.Element, name: str) -> str | None:
    """Return an attribute's value without surrounding white space; its name is matched without regard to case."""
    for key, value in tag.attrib.items():
        if key.lower() == name.lower():
            return value.strip()
    return None


def is_true(tag: ElementTree.Element, name: str) -> bool:
    """Whether an attribute is `true` in any case, which is how Label Studio's front end compares it."""
    return (attribute(tag, name) or "").lower() == "true"


def targets(tag: ElementTree.Element) -> list[str]:
    """Return the names of the objects that a control applies to (`toName`)."""
    return [each.strip() for each in (attribute(tag, "toName") or "").split(",") if each.strip()]


def normalised_label(text: str) -> str:
    """Return a label in the form in which labels are compared: casefolded, words separated by one space."""
    return " ".join(re.split(r"[\s_-]+", text.casefold())).strip()


def parse_config(config: str, *, with_comments: bool = False) -> ElementTree.Element:
    """Parse a labeling config.

    Args:
        with_comments: keep comments, as elements whose tag is no text, so that the config can be written again.

    Raises:
        InvalidRegion: it is too long, declares a document type or entities, or is not XML (code `labeling_config`).
    """
    # Without a document type or entities, XML can neither expand nor refer to other resources.
    if len(config) > MAX_CONFIG or "<!" in config.replace("<!--", ""):
        raise InvalidRegion(
            f"the project's labeling config is longer than {MAX_CONFIG} characters or declares entities; "
            "shorten it, or remove the declarations",
            code="labeling_config",
        )
    try:
        builder = ElementTree.TreeBuilder(insert_comments=with_comments)
        return ElementTree.fromstring(config, ElementTree.XMLParser(target=builder))  # noqa: S314
    except ElementTree.ParseError as error:
        raise InvalidRegion(
            f"the project's labeling config is not XML: {error}", code="labeling_config"
        ) from None
