"""Descriptors: what an annotation says about its findings and its exam, in words of BI-RADS and in a person's own.

A result about a finding has the id of its region. Label Studio 1.23 also stores results of controls of another image
there (a key of hidden choices, "Keep label selected"); these say nothing about the finding and are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mammo.errors import InvalidRegion
from mammo.findings import Finding
from mammo.labelstudio.config_controls import COMMENT, OF_EXAMS, OF_FINDINGS
from mammo.labelstudio.config_xml import labels_of, parse_config
from mammo.labelstudio.labeling_config import ControlTags
from mammo.lenient_json import shown

Result = Mapping[str, Any]
"""An element of `annotation.result`."""


@dataclass(frozen=True, kw_only=True)
class ExamDescriptors:
    """What an annotation says about the exam; None for what it does not say."""

    density: str | None = None
    assessment: str | None = None

    @property
    def stated(self) -> dict[str, str]:
        """The descriptors that are stated."""
        return {name: word for name, word in vars(self).items() if word is not None}


def exam_descriptors(result: Iterable[Result], tags: ControlTags) -> ExamDescriptors:
    """Return the density and assessment of an annotation.

    Args:
        result: `annotation.result` as Label Studio sends it.
        tags: control tags of the project, or of any of its images.

    Raises:
        InvalidRegion: a word is unknown (code `unknown_descriptor`).
    """
    names = _names(tags, OF_EXAMS)
    words: dict[str, str] = {}
    for each in result:
        name = names.get(_control(each, "choices"))
        if name is not None and (word := _word(each, OF_EXAMS[name])) is not None:
            words[name] = word
    return ExamDescriptors(**words)


def finding_descriptors(
    result: Iterable[Result], tags: ControlTags, *, ids: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Return what is said about the findings on one image, as fields of `Finding`, by the id of their region.

    Args:
        result: `annotation.result`; results about regions on other images are skipped.
        tags: control tags of the image.
        ids: of the regions on the image.

    Raises:
        InvalidRegion: a word is unknown (code `unknown_descriptor`), or a comment is no text.
    """
    names = _names(tags, OF_FINDINGS)
    words: dict[str, dict[str, Any]] = {}
    for each in result:
        region = str(each.get("id"))
        if region not in ids or not tags.shows(each):
            continue
        if (name := names.get(_control(each, "choices"))) is not None:
            if (word := _word(each, OF_FINDINGS[name])) is not None:
                words.setdefault(region, {})[name] = word
        elif (
            tags.comment is not None and _control(each, "textarea") == tags.comment and (text := _text(each))
        ):
            words.setdefault(region, {})[COMMENT] = text
    return words


def offered_words(config: str, tags: ControlTags) -> dict[str, set[str]]:
    """Return the words that a project offers about a finding on an image, by descriptor.

    Args:
        config: labeling config of the project; it may offer some of the words only.
        tags: control tags of the image.
    """
    stored = {
        tag.get("name"): {label.stored for _, label in labels_of(tag)}
        for tag in parse_config(config).iter()
        if tag.tag.lower() == "choices"
    }
    return {name: stored[control] for name in OF_FINDINGS if (control := getattr(tags, name)) is not None}


def descriptor_regions(finding: Finding, region: Result, tags: ControlTags) -> list[dict[str, Any]]:
    """Return the results that describe a finding; the inverse of `finding_descriptors`.

    Args:
        finding: the finding.
        region: of the finding. Label Studio repeats its shape in every result about it.
        tags: control tags of the image; a descriptor without a control is left out.
    """
    kind = str(region["type"])
    shape = {key: value for key, value in region["value"].items() if key not in (kind, "labels")}
    common = {key: value for key, value in region.items() if key not in ("value", "score", "meta")}
    described = [
        common | {"from_name": control, "type": "choices", "value": shape | {"choices": [word]}}
        for name, word in finding.descriptors.items()
        if (control := getattr(tags, name)) is not None
    ]
    if finding.comment and tags.comment is not None:
        value = shape | {"text": finding.comment.split("\n")}
        described.append(common | {"from_name": tags.comment, "type": "textarea", "value": value})
    return described


def exam_regions(words: Mapping[str, str], tags: ControlTags) -> list[dict[str, Any]]:
    """Return the results that describe an exam; the inverse of `exam_descriptors`.

    Args:
        words: of some keys of `OF_EXAMS`.
        tags: control tags of the project; a descriptor without a control is left out.
    """
    return [
        {
            "id": name,
            "from_name": control,
            "to_name": tags.image,
            "type": "choices",
            "value": {"choices": [word]},
        }
        for name, word in words.items()
        if (control := getattr(tags, name)) is not None
    ]


def _names(tags: ControlTags, descriptors: Iterable[str]) -> dict[str, str]:
    """Return what the controls of a project describe, by control."""
    return {control: name for name in descriptors if (control := getattr(tags, name)) is not None}


def _control(result: object, kind: str) -> str:
    """Return the control of a result of a kind; empty for any other. Annotations are untrusted."""
    if not isinstance(result, Mapping) or result.get("type") != kind:
        return ""
    control = result.get("from_name")
    return control if isinstance(control, str) else ""


def _word(result: Result, words: Collection[str]) -> str | None:
    """Return the chosen word; None when nothing is chosen."""
    value = result.get("value")
    chosen = value.get("choices") if isinstance(value, Mapping) else None
    if chosen in (None, []):
        return None
    if not isinstance(chosen, list) or len(chosen) != 1 or chosen[0] not in words:
        raise InvalidRegion(
            f"{result.get('from_name')!r} has the choice {shown(chosen)}; expected one of {', '.join(words)}: choose "
            "again",
            code="unknown_descriptor",
        )
    return str(chosen[0])


def _text(result: Result) -> str:
    """Return what was written, one paragraph per line; empty for nothing. A message never quotes it."""
    value = result.get("value")
    written = value.get("text") if isinstance(value, Mapping) else None
    lines = [written] if isinstance(written, str) else written or []
    if not isinstance(lines, list) or not all(isinstance(each, str) for each in lines):
        raise InvalidRegion(f"{result.get('from_name')!r} has something else than text: write it again")
    return "\n".join(lines).strip()
