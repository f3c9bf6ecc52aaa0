"""The controls that ask for descriptors: words of BI-RADS, each with a key, and a field for a person's own words.

Label Studio 1.23 decides what they look like:

* A choice about a region needs a control of each image, because one for several images is never shown. The controls of
  all images have the same keys, or there would not be enough. A key then ticks the word in all of them, for the region
  that is selected; what the controls of other images store says nothing (`mammo.labelstudio.descriptors`).
* A choice without a key gets one that is free, such as 4 or Q, so every choice has one.
* `whenTagName` is the control of the selected region, not its image.
* The page shows the key in the text of the word, because Label Studio writes `[shift+a]` and can hide it.
* A field takes no more than one text: else it stays open, and what is typed next becomes a second one.
"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from mammo.bi_rads import ASSESSMENTS, BENIGN, BENIGN_KINDS, DENSITIES, DISTRIBUTIONS, SUSPICIONS, SUSPICIOUS
from mammo.labelstudio.config_controls import COMMENT, OF_EXAMS, OF_FINDINGS

KEYS = {
    "morphology": {
        "amorphous": "shift+a",
        "coarse heterogeneous": "shift+h",
        "fine pleomorphic": "shift+p",
        "fine linear or branching": "shift+l",
        "typically benign": "shift+b",
        "skin": "shift+k",
        "vascular": "shift+v",
        "coarse or popcorn-like": "shift+c",
        "large rod-like": "shift+o",
        "round": "shift+u",
        "rim": "shift+i",
        "dystrophic": "shift+d",
        "milk of calcium": "shift+m",
        "suture": "shift+s",
    },
    "distribution": {"diffuse": "d", "regional": "a", "grouped": "g", "linear": "l", "segmental": "s"},
    "suspicion": {"2": "q", "3": "t", "4A": "z", "4B": "x", "4C": "c", "5": "f"},
    "density": {"a": "shift+w", "b": "shift+x", "c": "shift+y", "d": "shift+z"},
    "assessment": {
        "0": "shift+0",
        "1": "shift+n",
        "2": "shift+e",
        "3": "shift+3",
        "4A": "shift+4",
        "4B": "shift+7",
        "4C": "shift+8",
        "5": "shift+5",
        "6": "shift+6",
    },
}
"""Descriptor -> word -> key. None is that of a label or a hanging, or one of Label Studio's own (`EDITOR_KEYS`)."""

EDITOR_KEYS = frozenset(
    {*"hoemkwprvbu[]", "shift+r", "shift+1", "shift+2", "enter", "escape", "backspace", "delete", "space"}
)
"""Keys of Label Studio's editor (1.23) without Ctrl, Alt or Command."""

SHORT = {
    "coarse heterogeneous": "coarse het.",
    "fine pleomorphic": "fine pleom.",
    "fine linear or branching": "fine linear",
    "typically benign": "benign",
    "coarse or popcorn-like": "popcorn",
    "large rod-like": "rod-like",
    "milk of calcium": "milk of ca.",
}
"""What the page shows for long words."""

OFFERED = {
    "morphology": (*SUSPICIOUS, BENIGN, *BENIGN_KINDS),
    "distribution": DISTRIBUTIONS,
    "suspicion": SUSPICIONS,
    "density": DENSITIES,
    "assessment": ASSESSMENTS,
}
"""Words in the order of the page: what this program is for comes first."""

TITLES = {
    "morphology": "Morphology",
    "distribution": "Distribution",
    "suspicion": "Suspicion",
    "density": "Density",
    "assessment": "BI-RADS",
    COMMENT: "Comment",
}

PLACEHOLDER = "your words; no names"


def finding_controls(image: str, *, suffix: str = "") -> dict[str, str]:
    """Return the controls about the selected region of an image, as XML by descriptor.

    Args:
        image: name of the Image tag.
        suffix: of the controls' names, such as `-RCC`.
    """
    return {
        **{name: choices_control(name, f"{name}{suffix}", image) for name in OF_FINDINGS},
        COMMENT: f'<TextArea name="{COMMENT}{suffix}" toName="{image}" perRegion="true" editable="true" '
        f'maxSubmissions="1" placeholder="{PLACEHOLDER}"/>',
    }


def exam_controls(image: str) -> dict[str, str]:
    """Return the controls about the exam, as XML by descriptor. They hold for all images, but must name one."""
    return {name: choices_control(name, name, image) for name in OF_EXAMS}


def choices_control(name: str, control: str, image: str) -> str:
    """Return the control of a descriptor as XML.

    A choice has no alias: a prediction with the value instead of the alias would tick nothing.

    Args:
        name: key of `KEYS`.
        control: its name in the labeling config.
        image: name of the Image tag.
    """
    attributes = 'perRegion="true" ' if name in OF_FINDINGS else ""
    words = "".join(choice(name, word) for word in OFFERED[name])
    return (
        f'<Choices name="{control}" toName="{image}" {attributes}choice="single-radio" showInline="true">{words}'
        "</Choices>"
    )


def choice(name: str, word: str) -> str:
    """Return a word of a descriptor as XML, with its key."""
    key = KEYS[name][word]
    shown = f"{SHORT.get(word, word)} <i>{shown_key(key)}</i>"
    return f'<Choice value="{word}" hotkey="{key}" html={quoteattr(shown)}/>'


def shown_key(key: str) -> str:
    """Return a key as keyboards name it: `⇧A` for `shift+a`."""
    return key.replace("shift+", "⇧").upper()
