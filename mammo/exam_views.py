"""The views of an exam, and the keys under which the data of its task state them.

A task that shows an exam has for each view `rcc` its address (empty for a missing view), the facts `rcc_mammogram`,
`rcc_sha256`, `rcc_spacing_mm`, `rcc_view` and `rcc_laterality`, and `rcc_title`; and `exam_title`, `patient`, `exam`,
`pseudonym`, `views`, `findings`, `note` and `prior` for all views.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

EXAM_TITLE = "exam_title"
"""Key of the text in the header of an exam's page."""

PSEUDONYM = "pseudonym"
"""Key of what people read in place of the patient key; see `mammo.identifiers.pseudonym`."""

VIEWS_COLUMN = "views"
"""Key of the views that an exam has, for the list of tasks."""

FINDINGS_COLUMN = "findings"
"""Key of the number of the model's findings, for the list of tasks; empty before it has looked."""

NOTE_COLUMN = "note"
"""Key of the model's notes, for the list of tasks."""

PRIOR = "prior"
"""Key of the pictures of the patient's exam before this one, as HTML."""

OF_THE_PAGE = (PSEUDONYM, VIEWS_COLUMN, FINDINGS_COLUMN, NOTE_COLUMN, PRIOR)
"""Keys that are written for the page and the list of tasks alone."""

MISSING = ""
"""Address of a view that an exam lacks. Label Studio refuses a task without the key."""


@dataclass(frozen=True)
class ExamView:
    """A view of one breast."""

    laterality: Literal["L", "R"]
    view: Literal["CC", "MLO"]

    @property
    def name(self) -> str:
        """Name of the Image tag, such as `RCC`. The browser keeps the chosen tool per name, for all projects."""
        return f"{self.laterality}{self.view}"

    @property
    def key(self) -> str:
        """Key of the image's address in the task data, such as `rcc`."""
        return self.name.lower()

    @property
    def title(self) -> str:
        """Text above the image, such as `R CC`."""
        return f"{self.laterality} {self.view}"

    @property
    def title_key(self) -> str:
        """Key of `title` in the task data."""
        return self.fact_key("title")

    def fact_key(self, fact: str) -> str:
        """Return the key of a fact about the image in the task data: `rcc_sha256` for `sha256`."""
        return f"{self.key}_{fact}"


EXAM_VIEWS = (ExamView("R", "CC"), ExamView("L", "CC"), ExamView("R", "MLO"), ExamView("L", "MLO"))
"""The four standard views in the order of the page, the chest walls of each pair back to back."""


def exam_view(laterality: object, view: object) -> ExamView | None:
    """Return the standard view with a laterality and a view; None for any other view, such as a magnification."""
    return next((each for each in EXAM_VIEWS if (each.laterality, each.view) == (laterality, view)), None)


def has_exam_keys(data: Mapping[str, Any]) -> bool:
    """Whether the data of a task have the keys of all four views."""
    return all(each.key in data for each in EXAM_VIEWS)


def without_findings(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a task without what the list of tasks says of the model's findings in an exam."""
    return {**data, FINDINGS_COLUMN: "", NOTE_COLUMN: ""} if has_exam_keys(data) else dict(data)
