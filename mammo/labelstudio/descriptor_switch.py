"""Descriptors on and off in the labeling config of a project that exists, with all its other controls as they are.

Label Studio refuses a config that lacks a control or a word of an annotation, so nothing but descriptors is taken away,
and a control that exists keeps its name and its words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.etree import ElementTree

from mammo.labelstudio.config_controls import COMMENT, OF_EXAMS, OF_FINDINGS
from mammo.labelstudio.config_xml import labels_of, parse_config
from mammo.labelstudio.descriptor_controls import OFFERED, choice, exam_controls, finding_controls
from mammo.labelstudio.exam_config import NO_KEY, exam_config
from mammo.labelstudio.image_config import image_config
from mammo.labelstudio.labeling_config import ControlTags

BLOCK = "descriptors"
"""`className` of the view that is appended to a config of another layout than ours."""

Element = ElementTree.Element


def with_descriptors(config: str) -> str:
    """Return a labeling config that asks for all descriptors, and is otherwise the same.

    A built-in config becomes that of this release. In any other, what is missing is appended: words to the controls of
    descriptors that exist, and controls at the end. A word whose key is taken gets none.

    Raises:
        InvalidRegion: the config has no control for clusters (code `labeling_config`).
    """
    if (built_in := _built_in(config, descriptors=True)) is not None:
        return built_in
    tags = ControlTags.read(config)
    root = parse_config(config, with_comments=True)
    taken = {key.lower() for tag in root.iter() if (key := tag.get("hotkey"))}
    block = Element("View", {"className": BLOCK})
    for image in (tags, *tags.siblings):
        _add_missing_words(root, image, OF_FINDINGS, taken)
        suffix = "" if image.is_only_image else f"-{image.image}"
        view = ElementTree.SubElement(block, "View", {"visibleWhen": "region-selected"})
        for name, control in finding_controls(image.image, suffix=suffix).items():
            if getattr(image, name) is None and not _is_named(root, f"{name}{suffix}"):
                view.append(_without_keys(parse_config(control), taken))
    _add_missing_words(root, tags, OF_EXAMS, taken)
    for name, control in exam_controls(tags.image).items():
        if getattr(tags, name) is None and not _is_named(root, name):
            block.append(_without_keys(parse_config(control), taken))
    for view in [each for each in block if each.tag == "View" and not len(each)]:
        block.remove(view)
    if len(block):
        root.append(block)
    return ElementTree.tostring(root, encoding="unicode")


def without_descriptors(config: str) -> str:
    """Return a labeling config without the controls of descriptors, and otherwise the same.

    Raises:
        InvalidRegion: the config has no control for clusters (code `labeling_config`).
    """
    if (built_in := _built_in(config, descriptors=False)) is not None:
        return built_in
    root, names = parse_config(config, with_comments=True), descriptor_names(ControlTags.read(config))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.get("name") in names:
                parent.remove(child)
    for parent in list(root.iter()):
        for block in [each for each in parent if each.get("className") == BLOCK]:
            if not any(_named(block)):  # else somebody has put controls of their own there
                parent.remove(block)
    return ElementTree.tostring(root, encoding="unicode")


def descriptor_names(tags: ControlTags) -> set[str]:
    """Return the names of the controls of descriptors on all images of a project."""
    names = (*OF_FINDINGS, COMMENT, *OF_EXAMS)
    return {
        control
        for image in (tags, *tags.siblings)
        for name in names
        if (control := getattr(image, name)) is not None
    }


def _built_in(config: str, *, descriptors: bool) -> str | None:
    """Return the built-in config with the same images and controls, descriptors aside; None if there is none."""
    controls = _controls(config)
    built_in = (exam_config(descriptors=descriptors), image_config(descriptors=descriptors))
    return next((each for each in built_in if _controls(each) == controls), None)


def _controls(config: str) -> list[tuple[object, ...]]:
    """Return what a config shows and draws: its named tags but descriptors, with their labels, in every detail."""
    descriptors = descriptor_names(ControlTags.read(config))
    return sorted(
        (tag.tag, sorted(tag.attrib.items()), [sorted(child.attrib.items()) for child in tag])
        for tag in parse_config(config).iter()
        if tag.get("name") and tag.get("name") not in descriptors
    )


def _named(root: Element) -> Iterator[Element]:
    return (tag for tag in root.iter() if isinstance(tag.tag, str) and tag.get("name"))


def _is_named(root: Element, name: str) -> bool:
    """Whether a control has a name: with other words than ours, it is somebody else's, and stays so."""
    return any(tag.get("name") == name for tag in _named(root))


def _add_missing_words(root: Element, image: ControlTags, names: Iterable[str], taken: set[str]) -> None:
    """Append the words that an image's controls of these descriptors lack."""
    for name in names:
        for tag in _named(root):
            if tag.get("name") == getattr(image, name):
                present = {label.stored for _, label in labels_of(tag)}
                for word in OFFERED[name]:
                    if word not in present:
                        tag.append(_without_keys(parse_config(choice(name, word)), taken))


def _without_keys(tag: Element, taken: set[str]) -> Element:
    """Return a tag whose choices have no key that another tag of the config has."""
    for each in tag.iter("Choice"):
        if each.get("hotkey", "") in taken:
            each.set("hotkey", NO_KEY)
            each.attrib.pop("html", None)
    return tag
