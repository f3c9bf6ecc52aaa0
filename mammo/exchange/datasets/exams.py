"""DatasetExams: the images of a data set become exams, each with the annotation of all its images.

A data set's own exams count, else those of its DICOM files. An image that fits into no exam is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mammo.dicom import Intake
from mammo.dicom.image_header import ImageHeader
from mammo.errors import LabelStudioError
from mammo.exam_views import EXAM_VIEWS, ExamView, exam_view
from mammo.exchange.datasets.contents import DatasetImage
from mammo.exchange.datasets.tasks import TaskWriter
from mammo.exchange.exam_importing import earlier_exams, exam_facts, exam_identity, exam_key
from mammo.exchange.exam_tasks import exam_task_data
from mammo.exchange.exams import STANDARD, Exam, ExamImage, group_exams
from mammo.exchange.export.labelled_image import Refusal
from mammo.findings import Finding
from mammo.geometry import Spacing
from mammo.labelstudio import ControlTags
from mammo.labelstudio.descriptors import exam_regions
from mammo.labelstudio.regions import Region


@dataclass(frozen=True, kw_only=True)
class ReadImage:
    """An image of a data set that was read."""

    item: DatasetImage
    given: list[Finding]
    """Its findings in the data set."""

    findings: list[Finding]
    """The same, with masks replaced if this was requested."""

    patient: str
    """Patient key, or the data set's patient in a dry run."""

    sha256: str
    laterality: str | None
    view: str | None
    header: ImageHeader
    spacing: Spacing | None
    regions: list[Region]
    data: dict[str, Any]
    """Of a one-image task; empty in a dry run."""


class DatasetExams:
    """Collects the images of a data set, and writes them as exams at the end."""

    def __init__(self, tags: ControlTags, writer: TaskWriter | None) -> None:
        """
        Args:
            tags: control tags of a project whose tasks show exams.
            writer: writes tasks; None for a dry run.
        """
        images = {each.value: each for each in (tags, *tags.siblings)}
        self._tags = {view: images[view.key] for view in EXAM_VIEWS}
        self._writer = writer
        self._images: dict[str, ReadImage] = {}
        self._earlier: dict[str, str] = {}
        self._shown: dict[tuple[str, str], dict[str, Any]] = {}

    def tags_of(self, item: DatasetImage, intake: Intake) -> ControlTags:
        """Return the control tags of an image's view.

        Raises:
            ValueError: it is no view of an exam, or the view is unknown.
        """
        laterality, view = item.laterality or intake.laterality, item.view or intake.view
        found = exam_view(laterality, view)
        if found is None:
            raise ValueError(
                f"an exam shows {' and '.join(sorted(STANDARD))} of both breasts, and its view is "
                f"{view or 'unknown'} of {laterality or 'an unknown side'}"
            )
        return self._tags[found]

    def add(self, image: ReadImage) -> None:
        """Add an image that was read; nothing is written yet."""
        name = image.item.where
        self._images[name if name not in self._images else f"{name} ({len(self._images) + 1})"] = image

    def finish(self) -> tuple[list[tuple[ReadImage, bool]], list[Refusal]]:
        """Write all exams.

        Returns:
            Every image of an exam, with whether it was imported before; and a refusal for every other image.

        Raises:
            LabelStudioError: Label Studio refused a request.
        """
        grouping = group_exams(_exam_image(name, image) for name, image in self._images.items())
        refusals = [Refusal(each.image.name, each.reason) for each in grouping.listed]
        written = list[tuple[ReadImage, bool]]()
        if self._writer is not None:
            self._earlier = earlier_exams(grouping.exams, secret=self._writer.patient_secret)
        for exam in grouping.exams:
            images = {view: self._images[each.name] for view, each in exam.images.items()}
            try:
                _words(images)
                is_new = self._writer is None or self._write(self._writer, exam, images)
            except LabelStudioError:
                raise
            except ValueError as error:
                refusals += [Refusal(each.name, str(error)) for each in exam.images.values()]
                continue
            written += [(image, not is_new) for image in images.values()]
        return written, refusals

    def _write(self, writer: TaskWriter, exam: Exam, images: Mapping[ExamView, ReadImage]) -> bool:
        key = exam_key(exam, secret=writer.patient_secret)
        data = exam_task_data(
            {view: image.data for view, image in images.items()},
            facts=exam_facts(exam, key, [image.header for image in images.values()], show_year=False),
            spacings={view: image.spacing for view, image in images.items()},
            prior=self._shown.get((exam.patient, self._earlier.get(key, ""))),
        )
        self._shown[exam_identity(data)] = data
        data["dataset"] = next(iter(images.values())).data["dataset"]
        result = [region for image in images.values() for region in image.regions]
        result += exam_regions(_words(images), next(iter(self._tags.values())))
        return writer.write_exam(data, result, hashes=[image.sha256 for image in images.values()])


def _words(images: Mapping[ExamView, ReadImage]) -> dict[str, str]:
    """Return what the data set says about an exam, by all of its images.

    Raises:
        ValueError: its images say different things.
    """
    words: dict[str, str] = {}
    for image in images.values():
        for name, word in image.item.words.items():
            if words.setdefault(name, word) != word:
                raise ValueError(f"the images of its exam state different words as {name}; correct them")
    return words


def _exam_image(name: str, image: ReadImage) -> ExamImage:
    header, item = image.header, image.item
    return ExamImage(
        name=name,
        patient=image.patient,
        study=item.exam or header.study,
        day="" if item.exam else header.day,
        laterality=image.laterality,
        view=image.view,
        modifier=header.modifier,
    )
