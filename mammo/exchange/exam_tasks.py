"""The data of a task that shows an exam: for each view its address and facts, and the texts of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from mammo.exam_views import (
    EXAM_TITLE,
    EXAM_VIEWS,
    FINDINGS_COLUMN,
    MISSING,
    NOTE_COLUMN,
    PRIOR,
    PSEUDONYM,
    VIEWS_COLUMN,
    ExamView,
)
from mammo.geometry import Spacing
from mammo.identifiers import pseudonym
from mammo.images.task_images import IMAGE_FACTS
from mammo.labelstudio.labeling_config import ControlTags

SPACING_SOURCES = {
    "imager": "at the detector",
    "imager/magnification": "at the detector, without magnification",
    "pixel": "PixelSpacing",
    "scanned": "of the scanner",
    "given": "as given",
}
"""Source of a spacing -> words for annotators."""


@dataclass(frozen=True, kw_only=True)
class ExamFacts:
    """What the header of an exam's page says."""

    patient: str
    """Patient key."""

    exam: str
    """Exam key."""

    age_band: str = ""
    """Such as `60-69`; empty if unknown."""

    year: str = ""
    """Year of the exam; empty unless annotators may see it."""


def shows_exam(tags: ControlTags) -> bool:
    """Whether the tasks of a project show an exam: its labeling config shows the keys of all four views."""
    return {each.key for each in EXAM_VIEWS} <= {each.value for each in (tags, *tags.siblings)}


def exam_task_data(
    images: Mapping[ExamView, Mapping[str, Any]],
    *,
    facts: ExamFacts,
    spacings: Mapping[ExamView, Spacing | None],
    prior: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the task data of an exam.

    Args:
        images: data of each image, as `mammo.exchange.task_data.task_data` returns them; missing views are left out.
        facts: of the exam.
        spacings: of the images, with their sources.
        prior: task data of the patient's exam before this one; None without one.

    Returns:
        For each view `rcc` (empty when it is missing), its facts `rcc_sha256`, ..., and `rcc_title`; `exam_title`,
        `patient`, `exam`, `pseudonym` and `views`; `findings` and `note`, which are empty until the exam is
        prelabelled; and `prior`, the pictures of the exam before this one.
    """
    data: dict[str, Any] = {"patient": facts.patient, "exam": facts.exam}
    for view in EXAM_VIEWS:
        image = images.get(view)
        data[view.key] = MISSING if image is None else image["image"]
        data[view.title_key] = f"{view.title}  {'no image' if image is None else _length(spacings.get(view))}"
        if image is not None:
            data |= {view.fact_key(fact): image[fact] for fact in IMAGE_FACTS if fact in image}
    parts = [
        f"Patient {pseudonym(facts.patient)}",
        f"{facts.age_band} years" if facts.age_band[:1].isdigit() else facts.age_band,
        facts.year,
        _common_spacing([spacings.get(view) for view in images]),
    ]
    data[EXAM_TITLE] = ", ".join(filter(None, parts))
    data[PSEUDONYM] = pseudonym(facts.patient)
    data[VIEWS_COLUMN] = ", ".join(view.title for view in EXAM_VIEWS if view in images)
    data |= {FINDINGS_COLUMN: "", NOTE_COLUMN: "", PRIOR: prior_pictures(prior)}
    return data


def prior_pictures(prior: Mapping[str, Any] | None) -> str:
    """Return the views of an exam as HTML, each of which can take the focus.

    Browsers load `lazy` pictures once they are shown, and not before.

    Args:
        prior: task data of the exam; None for a sentence that none is linked.
    """
    if prior is None:
        return "<p>No earlier exam is linked to this one.</p>"
    pictures = "".join(
        f'<img tabindex="0" loading="lazy" alt="{view.title}" src="{escape(address)}">'
        if address
        else "<i></i>"
        for view in EXAM_VIEWS
        for address in [str(prior.get(view.key) or "")]
    )
    return f"<p>{pictures}</p><b>Earlier exam: {escape(str(prior.get(EXAM_TITLE, '')))}</b>"


def _common_spacing(spacings: list[Spacing | None]) -> str:
    """Return the spacing of all views and its source; the views state theirs where they differ."""
    lengths = {_length(each) for each in spacings}
    if len(lengths) != 1:
        return "pixel spacing differs between the views"
    sources = {each.source for each in spacings if each is not None}
    words = [SPACING_SOURCES.get(source, source) for source in sorted(sources)]
    return f"{lengths.pop()} per pixel ({' or '.join(words)})" if words else lengths.pop()


def _length(spacing: Spacing | None) -> str:
    if spacing is None:
        return "pixel spacing unknown"
    row, column = f"{spacing.row_mm:.3g}", f"{spacing.column_mm:.3g}"
    return f"{row} mm" if row == column else f"{row} x {column} mm"
