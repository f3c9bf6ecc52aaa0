"""Exams: the images of one patient and one study, at most one of each standard view; and the images that fit nowhere.

An exam is never guessed. These images are listed with the reason, and belong to no exam:

    a patient, a study and date, a laterality or a view is missing
    the view is not CC or MLO, or is modified (spot compression, magnification, ...)
    two images show the same view: every image of the exam, because nothing tells which of the two counts
    two studies of a patient on one date, two dates of one study, or one study of two patients: every image of them

An image without laterality or view may be any view that its exam lacks, and one without study and date may be of any
exam of its patient. An exam that may lack such an image is listed with it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mammo.exam_views import EXAM_VIEWS, ExamView, exam_view

STANDARD = {each.view for each in EXAM_VIEWS}
UNDATED = "neither its study nor its date is known"


@dataclass(frozen=True, kw_only=True)
class ExamImage:
    """What is known about an image before its exam is known."""

    name: str
    """Identifies the image among all images: its path or number."""

    patient: str | None
    """Patient key."""

    study: str | None
    """Identifies the study; None if unknown."""

    day: str = field(default="", repr=False)
    """Date of the study as YYYYMMDD; empty if unknown."""

    laterality: str | None = None
    view: str | None = None

    modifier: str = ""
    """What distinguishes the view from the standard one; empty for a standard view."""


@dataclass(frozen=True, kw_only=True)
class Exam:
    """The images of one patient and one study."""

    patient: str
    study: str | None
    day: str = field(repr=False)
    images: Mapping[ExamView, ExamImage]
    """One to four, in the order of `EXAM_VIEWS`."""


class Listed(NamedTuple):
    """An image that is in no exam."""

    image: ExamImage
    reason: str


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Every image, in exactly one exam or listed once."""

    exams: tuple[Exam, ...]
    """By patient, then date, then study."""

    listed: tuple[Listed, ...]
    """By the image's name."""


def group_exams(images: Iterable[ExamImage]) -> Grouping:
    """Group images into exams; the result does not depend on the order of the images.

    Raises:
        ValueError: two images have the same name.
    """
    ordered = sorted(images, key=lambda image: image.name)
    if repeated := [name for name, count in Counter(each.name for each in ordered).items() if count > 1]:
        raise ValueError(f"expected images with different names, got {repeated[0]!r} twice")
    exams, listed = list[Exam](), list[Listed]()
    groups: dict[tuple[str, str], list[ExamImage]] = defaultdict(list)
    undated: dict[str, list[ExamImage]] = defaultdict(list)
    for image in ordered:
        if reason := _without_group(image):
            listed.append(Listed(image, reason))
            if image.patient and reason == UNDATED:
                undated[image.patient].append(image)
        else:
            groups[image.patient or "", image.study or f"date {image.day}"].append(image)
    doubtful = _doubtful(groups)
    for key, members in groups.items():
        if doubt := doubtful.get(key):
            listed += [Listed(image, doubt) for image in members]
            continue
        exam, left_out = _exam(members, undated=undated[key[0]])
        exams += [] if exam is None else [exam]
        listed += left_out
    return Grouping(
        exams=tuple(sorted(exams, key=lambda exam: (exam.patient, exam.day, exam.study or ""))),
        listed=tuple(sorted(listed, key=lambda each: each.image.name)),
    )


def _without_group(image: ExamImage) -> str:
    """Return why an image cannot belong to any exam; empty if it can."""
    if not image.patient:
        return "its patient is unknown"
    if image.view is not None and image.view not in STANDARD:
        return f"its view is {image.view}; an exam shows {' and '.join(sorted(STANDARD))}"
    if image.modifier:
        return f"it is not a standard view: {image.modifier}"
    return "" if image.study or image.day else UNDATED


def _doubtful(groups: Mapping[tuple[str, str], Sequence[ExamImage]]) -> dict[tuple[str, str], str]:
    """Return the groups whose study is not clear, with the reason."""
    doubtful: dict[tuple[str, str], str] = {}
    by_day: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    by_study: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for key, members in groups.items():
        days = {image.day for image in members} - {""}
        if len(days) > 1:
            doubtful[key] = "its study has images of two dates"
        for day in days:
            by_day[key[0], day].add(key)
        if members[0].study:
            by_study[members[0].study].add(key)
    for keys, reason in (
        (by_day.values(), "its patient has two studies on this date"),
        (by_study.values(), "its study has images of two patients"),
    ):
        for together in keys:
            if len(together) > 1:
                doubtful |= dict.fromkeys(together, reason)
    return doubtful


def _exam(members: Sequence[ExamImage], *, undated: Sequence[ExamImage]) -> tuple[Exam | None, list[Listed]]:
    """Return the exam of one patient's study, or None, and the images that are not in it.

    Args:
        members: the images of the study.
        undated: images of the patient that may be of this study.
    """
    by_view: dict[ExamView, list[ExamImage]] = defaultdict(list)
    unknown: list[ExamImage] = []
    for image in members:
        view = exam_view(image.laterality, image.view)
        if view is None:
            unknown.append(image)
        else:
            by_view[view].append(image)
    listed = [Listed(image, f"it states no {_lacks(image)}") for image in unknown]
    known = [image for each in by_view.values() for image in each]
    reason = ""
    if several := [view.title for view in EXAM_VIEWS if len(by_view.get(view, ())) > 1]:
        reason = f"its exam has several images of {', '.join(several)}"
    elif unknown and len(by_view) < len(EXAM_VIEWS):
        reason = f"{unknown[0].name} may be a view of its exam, and states no {_lacks(unknown[0])}"
    elif candidates := [each.name for each in undated if _may_be_missing(each, by_view)]:
        reason = f"{candidates[0]} may be a view of its exam, and {UNDATED.replace('its', 'the')}"
    if reason or not known:
        return None, listed + [Listed(image, reason) for image in known]
    first = known[0]
    day = max(image.day for image in members)
    images = {view: by_view[view][0] for view in EXAM_VIEWS if view in by_view}
    return Exam(patient=first.patient or "", study=first.study, day=day, images=images), listed


def _may_be_missing(image: ExamImage, by_view: Mapping[ExamView, object]) -> bool:
    """Whether an image may be a view that an exam lacks."""
    view = exam_view(image.laterality, image.view)
    return len(by_view) < len(EXAM_VIEWS) if view is None else view not in by_view


def _lacks(image: ExamImage) -> str:
    missing = [name for name, value in (("laterality", image.laterality), ("view", image.view)) if not value]
    return " and ".join(missing)
