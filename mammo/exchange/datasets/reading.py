"""read_dataset: read every image of a data set with its findings, and count what was read and refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from mammo.dicom import read_intake
from mammo.dicom.image_header import read_header
from mammo.dicom.limits import MAX_BYTES, read_bytes
from mammo.errors import LabelStudioError, MammoError
from mammo.exchange.datasets.cbis_ddsm import read_cbis_ddsm
from mammo.exchange.datasets.coco import read_coco
from mammo.exchange.datasets.contents import DatasetImage, DatasetOptions
from mammo.exchange.datasets.exams import DatasetExams, ReadImage
from mammo.exchange.datasets.folder import read_folder
from mammo.exchange.datasets.inbreast import read_inbreast
from mammo.exchange.datasets.mias import read_mias
from mammo.exchange.datasets.patients import PatientRule, with_patients
from mammo.exchange.datasets.round_trip import checked_regions
from mammo.exchange.datasets.tasks import TaskWriter
from mammo.exchange.datasets.vindr import read_vindr
from mammo.exchange.datasets.yolo import read_yolo
from mammo.exchange.exam_tasks import shows_exam
from mammo.exchange.export.labelled_image import Refusal
from mammo.exchange.task_data import require_deidentified
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.labelstudio import ControlTags
from mammo.labelstudio.config_controls import COMMENT
from mammo.labelstudio.descriptors import exam_regions
from mammo.stated_facts import stated_spacing

READERS: dict[str, Callable[[DatasetOptions], Iterator[DatasetImage | Refusal]]] = {
    "cbis-ddsm": read_cbis_ddsm,
    "inbreast": read_inbreast,
    "vindr": read_vindr,
    "mias": read_mias,
    "coco": read_coco,
    "folder": read_folder,
    "yolo": read_yolo,
}
"""Reader of each kind of data set."""


@dataclass
class Summary:
    """What was read, and written if there is a writer."""

    images: int = 0
    clusters: int = 0
    """Number of findings."""

    masks: int = 0
    """Number of findings with a mask."""

    without: int = 0
    """Number of images without a finding."""

    already: int = 0
    """Number of images whose task and annotation existed before."""

    boxes_of_masks: int = 0
    """Number of masks that were replaced by their box (`DatasetOptions.boxes_only`)."""

    small_parts: list[int] = field(default_factory=list)
    """Pixels of the mask components that are too small to be a cluster."""

    patients: set[str] = field(default_factory=set)
    classes: Counter[str] = field(default_factory=Counter)
    """Number of occurrences of the data set's categories."""

    words: int = 0
    """Number of words of BI-RADS about findings and exams."""

    lost_words: int = 0
    """Those, and comments, for which the project has no control."""

    unread_words: Counter[str] = field(default_factory=Counter)
    """Descriptions of words that are none of BI-RADS, and are left out."""

    refusals: list[Refusal] = field(default_factory=list)

    def add_words(self, findings: list[Finding], exam: Mapping[str, str], tags: ControlTags) -> None:
        """Count what is said about an image.

        Args:
            findings: of the image.
            exam: what is said about its exam.
            tags: control tags of the image.
        """
        names = [name for finding in findings for name in finding.descriptors] + list(exam)
        comments = [COMMENT for finding in findings if finding.comment]
        self.words += len(names)
        self.lost_words += sum(getattr(tags, name) is None for name in names + comments)

    def add(self, item: DatasetImage, given: list[Finding], findings: list[Finding], *, patient: str) -> None:
        """Count an image.

        Args:
            item: the image.
            given: its findings in the data set.
            findings: the same, with masks replaced if this was requested.
            patient: patient key.
        """
        self.images += 1
        self.patients.add(patient)
        self.classes.update(item.classes)
        self.clusters += len(findings)
        self.masks += sum(finding.mask is not None for finding in findings)
        self.boxes_of_masks += sum(
            before.mask is not None and after.mask is None
            for before, after in zip(given, findings, strict=True)
        )
        self.small_parts += item.small_parts
        self.without += not findings


def read_dataset(
    options: DatasetOptions,
    writer: TaskWriter | None,
    *,
    tags: ControlTags,
    progress: Callable[[list[DatasetImage | Refusal]], Iterable[DatasetImage | Refusal]] = iter,
) -> Summary:
    """Read every image of a data set with its findings; write it if there is a writer.

    Args:
        options: how the data set is read.
        writer: writes tasks with annotations; None for a dry run.
        tags: control tags of the project that is, or would be, written to.
        progress: wraps the images and refusals.

    Raises:
        MammoError: the folder does not contain the data set (code `invalid_dataset`).
        InvalidSettings: the options contradict each other.
        LabelStudioError: Label Studio refused a request.
    """
    reading = _Reading(options, writer, tags)
    rule = PatientRule.of_options(options)
    items, question = with_patients(list(READERS[options.kind](options)), rule)
    patient_missing = False
    refusals = reading.summary.refusals
    for number, item in enumerate(progress(items), start=1):
        if isinstance(item, Refusal):
            refusals.append(item)
            continue
        try:
            reading.read(item)
        except LabelStudioError:
            raise  # It would fail for all other images as well.
        except (MammoError, ValueError) as error:
            patient_missing = patient_missing or isinstance(error, _PatientMissing)
            # The path of an identified file may contain the patient's name.
            identified = getattr(error, "code", "") in ("identified", "named_path")
            where = f"image {number} of the data set" if identified else item.where
            refusals.append(Refusal(where, str(error)))
        except OSError as error:
            reason = f"it cannot be opened: {error.strerror or 'unknown reason'}"
            refusals.append(Refusal(item.where, reason))
    reading.finish()
    if patient_missing and question is not None:
        refusals.append(Refusal("patients", question))
    return reading.summary


class _PatientMissing(ValueError):
    """Neither the file nor the data set identifies the patient."""


class _Reading:
    """State of one call of `read_dataset`."""

    def __init__(self, options: DatasetOptions, writer: TaskWriter | None, tags: ControlTags) -> None:
        self.summary = Summary()
        self._options = options
        self._writer = writer
        self._tags = tags
        self._first_places: dict[str, str] = {}
        self._exams = DatasetExams(tags, writer) if shows_exam(tags) else None

    def read(self, item: DatasetImage) -> None:
        """Read, write and count one image.

        Raises:
            MammoError, ValueError, OSError: the image is refused.
        """
        options, writer = self._options, self._writer
        relative = item.file.relative_to(options.folder).as_posix()
        secret = writer.patient_secret if writer else b"of a dry run"
        content = read_bytes(item.file, max_bytes=MAX_BYTES)
        intake = read_intake(content, path=relative, patient_secret=secret)
        if intake.turned:
            raise ValueError(
                "its file states an orientation, and it is unknown in which orientation the findings were drawn; "
                "store the image upright"
            )
        if item.trusts_file and not options.allow_identified:
            require_deidentified(intake, allow_identified=False)
        patient = (intake.patient if item.trusts_file else None) or item.patient
        if not patient:
            raise _PatientMissing(
                "neither the file nor its path identifies the patient; see --patient-pattern"
            )
        height, width = intake.twin.shape
        size = Size(width, height)
        given = item.findings(size)
        findings = [replace(finding, mask=None) for finding in given] if options.boxes_only else given
        tags = self._tags if self._exams is None else self._exams.tags_of(item, intake)
        regions = checked_regions(findings, size=size, tags=tags, kind=options.kind)
        self.summary.add_words(findings, item.words, tags)
        self.summary.unread_words.update(item.unread_words)
        first = self._first_places.setdefault(intake.sha256, item.where)
        if first != item.where:
            raise ValueError(f"it is the same image as {first}")
        spacing = intake.spacing or stated_spacing(item.spacing_mm) or stated_spacing(options.spacing_mm)
        if self._exams is None:
            described = [*regions, *exam_regions(item.words, tags)]
            if writer and not writer.write(item, intake, described, spacing=spacing):
                self.summary.already += 1
            self.summary.add(item, given, findings, patient=patient)
            return
        self._exams.add(
            ReadImage(
                item=item,
                given=given,
                findings=findings,
                patient=writer.patient(item, intake) if writer else patient,
                sha256=intake.sha256,
                laterality=item.laterality or intake.laterality,
                view=item.view or intake.view,
                header=read_header(content, path=relative, patient_secret=secret),
                spacing=spacing,
                regions=regions,
                data=writer.describe(item, intake, spacing) if writer else {},
            )
        )

    def finish(self) -> None:
        """Write the exams, if the project shows them; count their images."""
        if self._exams is None:
            return
        written, refusals = self._exams.finish()
        self.summary.refusals += refusals
        for image, already in written:
            self.summary.already += already
            self.summary.add(image.item, image.given, image.findings, patient=image.patient)
