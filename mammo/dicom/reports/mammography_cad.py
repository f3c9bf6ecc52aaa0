"""Writes findings as a Mammography CAD SR document (PS3.3 A.35.5, PS3.16 TID 4000), for viewers that know only that.

One document for the mammograms of a study, as small as the templates allow:

    Mammography CAD Report                                       TID 4000
    ├── Language of Content Item and Descendants                 TID 1204
    ├── Image Library: each image with side, view, orientation   TID 4020
    ├── CAD Processing and Findings Summary                      TID 4001
    │   └── Individual Impression/Recommendation, per image      TID 4003
    │       └── Single Image Finding: Calcification Cluster      TID 4006
    │           ├── algorithm, certainty of the model            TID 4019
    │           ├── Center and Outline, selected from the image  TID 4021
    │           └── type, distribution, number                   TID 4010
    ├── Summary of Detections: succeeded, on these images        TID 4015, 4017
    └── Summary of Analyses: not attempted
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from highdicom.base import SOPClass
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from mammo.atomic_files import replacing
from mammo.dicom import projection
from mammo.dicom.dataset import text
from mammo.dicom.reports import codes as words
from mammo.dicom.reports import content_items as items
from mammo.dicom.reports.report import check_findings, outline
from mammo.dicom.results import (
    NAME,
    MadeBy,
    Origin,
    Predecessor,
    digest,
    long_string,
    no_reference,
    referenced_image,
    tracking,
    without_quoting_names,
)
from mammo.dicom.writing import DATE, TIME, derived_uid
from mammo.errors import UnsupportedImage
from mammo.findings import Finding

SERIES_NUMBER = 102
ORIENTATION = re.compile(r"[APRLHF]{1,3}")
"""Patient direction of the rows or the columns, such as "A"."""

ENGLISH = Code("en", "RFC5646", "English")
ALGORITHMS: Mapping[MadeBy, str] = {
    "automatic": "{name}",
    "semiautomatic": "{name}, corrected by a person",
    "manual": "drawn by a person",
}
"""`Origin.made_by` -> name of the algorithm, which this kind of report always asks for."""


@dataclass(frozen=True, kw_only=True)
class CadImage:
    """A mammogram and its findings."""

    source: Path | bytes
    """The DICOM file."""

    findings: Sequence[Finding]
    num_calcifications: Sequence[int | None]
    """Of each finding; None where it was not measured."""

    origin: Origin


def write_mammography_cad(
    path: Path,
    images: Sequence[CadImage],
    *,
    predecessor: Predecessor | None = None,
    synthetic: bool = False,
) -> None:
    """Write the findings on the mammograms of one study as a Mammography CAD SR document.

    The UIDs are functions of the images and the predecessor: the same call writes the same UIDs. A finding without a
    mask has a centre and no outline.

    Args:
        path: the file to write.
        images: of one study.
        predecessor: the version of the report that this one replaces.
        synthetic: use the constant dates of `write_mammogram`, so that the same call writes the same bytes.

    Raises:
        ValueError: there is no image, the images are of several studies, or see `check_findings` and `outline`.
        UnreadableImage: a source cannot be read.
        UnsupportedImage: a source is not a DICOM file (`not_dicom`), or lacks attributes that the report repeats
            (`no_reference`).
    """
    headers = [referenced_image(image.source) for image in images]
    if len({text(header, "StudyInstanceUID") for header in headers}) != 1:
        raise ValueError("expected mammograms of one study")
    for header, image in zip(headers, images, strict=True):
        check_findings(header, image.findings, image.num_calcifications)
    said = digest(
        *(
            (str(header.SOPInstanceUID), image.origin, [(each, each.score) for each in image.findings])
            for header, image in zip(headers, images, strict=True)
        ),
        *(tuple(image.num_calcifications) for image in images),
        predecessor,
    )
    content = _root(headers, images)
    try:
        with without_quoting_names():
            report = _document(headers, images[0].origin, said)
    except (AttributeError, ValueError, TypeError, KeyError):
        # highdicom copies patient and study of the source; its errors have many types and may quote a value.
        raise no_reference("report") from None
    report.update(content)
    if predecessor is not None:
        report.PredecessorDocumentsSequence = _predecessors(predecessor)
    if synthetic:
        for event in ("Content", "InstanceCreation", "Series"):
            setattr(report, f"{event}Date", DATE)
            setattr(report, f"{event}Time", TIME)
    with replacing(path) as part:
        report.save_as(part)


def _root(headers: Sequence[Dataset], images: Sequence[CadImage]) -> Dataset:
    """The content tree, TID 4000."""
    library = items.container(codes.DCM.ImageLibrary, [_library_entry(header) for header in headers])
    has_findings = any(image.findings for image in images)
    summary = (
        codes.DCM.AllAlgorithmsSucceededWithFindings
        if has_findings
        else codes.DCM.AllAlgorithmsSucceededWithoutFindings
    )
    impressions = [
        _impression(header, image, number)
        for number, (header, image) in enumerate(zip(headers, images, strict=True), 1)
        if image.findings
    ]
    root = items.container(
        codes.DCM.MammographyCADReport,
        [
            items.code(
                codes.DCM.LanguageOfContentItemAndDescendants, ENGLISH, relationship=items.HAS_CONCEPT_MOD
            ),
            library,
            items.code(
                codes.DCM.CADProcessingAndFindingsSummary,
                summary,
                relationship=items.CONTAINS,
                children=impressions,
            ),
            items.code(
                codes.DCM.SummaryOfDetections,
                codes.DCM.Succeeded,
                relationship=items.CONTAINS,
                children=[
                    items.container(
                        codes.DCM.SuccessfulDetections,
                        [_detection(image, number) for number, image in enumerate(images, 1)],
                        relationship=items.INFERRED_FROM,
                    )
                ],
            ),
            items.code(codes.DCM.SummaryOfAnalyses, codes.DCM.NotAttempted, relationship=items.CONTAINS),
        ],
        relationship=None,
    )
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "4000"
    root.ContentTemplateSequence = [template]
    return root


def _library_entry(header: Dataset) -> Dataset:
    """An image with the attributes by which a viewer finds where to draw, TID 4020."""
    side, view = projection.laterality(header), projection.view(header)
    rows, _, columns = text(header, "PatientOrientation").partition("\\")
    day = text(header, "StudyDate")
    if side is None or view is None or not (ORIENTATION.fullmatch(rows) and ORIENTATION.fullmatch(columns)):
        raise UnsupportedImage(
            "the DICOM file lacks laterality, view or patient orientation, which a Mammography CAD SR must repeat; "
            "export it as sr",
            code="no_reference",
        )
    if not day:
        raise UnsupportedImage(
            "the DICOM file has no study date, which a Mammography CAD SR must repeat; export it as sr",
            code="no_reference",
        )
    acquired = items.HAS_ACQ_CONTEXT
    value, meaning = projection.SCT_CODES[view]
    return items.image(
        header,
        relationship=items.CONTAINS,
        children=[
            items.code(codes.DCM.ImageLaterality, words.SIDES[side], relationship=acquired),
            items.code(codes.DCM.ImageView, Code(value, "SCT", meaning), relationship=acquired),
            items.text(codes.DCM.PatientOrientationRow, rows, relationship=acquired),
            items.text(codes.DCM.PatientOrientationColumn, columns, relationship=acquired),
            items.date(codes.DCM.StudyDate, day, relationship=acquired),
        ],
    )


def _impression(header: Dataset, image: CadImage, number: int) -> Dataset:
    """The findings on one image, TID 4003."""
    findings = [
        _finding(header, finding, count, image.origin, index=index, image=number)
        for index, (finding, count) in enumerate(
            zip(image.findings, image.num_calcifications, strict=True), 1
        )
    ]
    return items.container(
        codes.DCM.IndividualImpressionRecommendation,
        [_intent(), *findings],
        relationship=items.INFERRED_FROM,
    )


def _finding(
    header: Dataset, finding: Finding, count: int | None, origin: Origin, *, index: int, image: int
) -> Dataset:
    """One cluster, TID 4006 with 4010, 4019 and 4021."""
    of = items.HAS_PROPERTIES
    children = [_intent(), *_algorithm(origin)]
    if origin.made_by == "automatic":
        certainty = round(100 * finding.score, 2)
        children.append(
            items.number(codes.DCM.CertaintyOfFinding, certainty, codes.UCUM.Percent, relationship=of)
        )
    children.append(_geometry(codes.DCM.Center, "POINT", finding.box.centre, image))
    if finding.mask is not None:
        children.append(_geometry(codes.DCM.Outline, "POLYLINE", outline(finding).ravel().tolist(), image))
    if (kind := words.MORPHOLOGIES.get(finding.morphology or "")) is not None:
        children.append(items.code(words.CALCIFICATION_TYPE, kind, relationship=of))
    if (distribution := words.DISTRIBUTIONS.get(finding.distribution or "")) is not None:
        children.append(items.code(words.CALCIFICATION_DISTRIBUTION, distribution, relationship=of))
    if count is not None:
        children.append(items.number(words.NUM_CALCIFICATIONS, count, codes.UCUM.NoUnits, relationship=of))
    item = items.code(
        codes.DCM.SingleImageFinding, words.CLUSTER, relationship=items.CONTAINS, children=children
    )
    # The templates have no tracking identifier; an observation has a UID that stays when it is stated again.
    item.ObservationUID = tracking(header, finding, index).uid
    return item


def _geometry(name: Code, graphic_type: str, values: Sequence[float], image: int) -> Dataset:
    return items.coordinates(
        name,
        graphic_type,
        values,
        relationship=items.HAS_PROPERTIES,
        children=[items.by_reference(_place(image), relationship=items.SELECTED_FROM)],
    )


def _place(image: int) -> tuple[int, int, int]:
    """The place of an image of the image library, which is the second item of the root."""
    return (1, 2, image)


def _intent() -> Dataset:
    return items.code(
        codes.DCM.RenderingIntent,
        codes.DCM.PresentationRequiredRenderingDeviceIsExpectedToPresent,
        relationship=items.HAS_CONCEPT_MOD,
    )


def _algorithm(origin: Origin) -> Iterator[Dataset]:
    """TID 4019."""
    of = items.HAS_PROPERTIES
    yield items.text(
        codes.DCM.AlgorithmName, ALGORITHMS[origin.made_by].format(name=origin.name), relationship=of
    )
    yield items.text(codes.DCM.AlgorithmVersion, long_string(origin.version), relationship=of)
    for each in origin.weights:
        yield items.text(codes.DCM.AlgorithmParameters, f"weights SHA-256: {each}", relationship=of)


def _detection(image: CadImage, number: int) -> Dataset:
    """The detection that was performed on an image, TID 4017."""
    return items.code(
        codes.DCM.DetectionPerformed,
        words.CLUSTER,
        relationship=items.CONTAINS,
        children=[
            *_algorithm(image.origin),
            items.by_reference(_place(number), relationship=items.HAS_PROPERTIES),
        ],
    )


def _document(headers: Sequence[Dataset], origin: Origin, said: str) -> SOPClass:
    """The document without its content: patient, study, series, equipment and general attributes."""
    first = headers[0]
    report = SOPClass(
        study_instance_uid=first.StudyInstanceUID,
        series_instance_uid=derived_uid(f"{first.StudyInstanceUID}/CAD reports"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=derived_uid(f"{said}/CAD report"),
        sop_class_uid=uid.MammographyCADSRStorage,
        instance_number=1,
        modality="SR",
        manufacturer=NAME,
        manufacturer_model_name=NAME,
        device_serial_number="0",
        software_versions=long_string(origin.version),
        series_description="Microcalcification clusters (CAD)",
        transfer_syntax_uid=uid.ExplicitVRLittleEndian,
        patient_id=first.PatientID,
        patient_name=first.PatientName,
        patient_birth_date=first.PatientBirthDate,
        patient_sex=first.PatientSex,
        accession_number=first.AccessionNumber,
        study_id=first.StudyID,
        study_date=first.StudyDate,
        study_time=first.StudyTime,
        referring_physician_name=first.ReferringPhysicianName,
        specific_character_set=first.get("SpecificCharacterSet"),
    )
    report.copy_patient_and_study_information(first)
    report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag = (
        "COMPLETE",
        "UNVERIFIED",
        "PRELIMINARY",
    )
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = []
    report.CurrentRequestedProcedureEvidenceSequence = items.series_references(headers)
    return report


def _predecessors(predecessor: Predecessor) -> list[Dataset]:
    previous = Dataset()
    previous.SOPClassUID = predecessor.sop_class_uid
    previous.SOPInstanceUID = predecessor.sop_instance_uid
    previous.SeriesInstanceUID = predecessor.series_instance_uid
    previous.StudyInstanceUID = predecessor.study_instance_uid
    return items.series_references([previous])
