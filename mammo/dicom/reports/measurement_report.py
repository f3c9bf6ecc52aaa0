"""Writes findings as a measurement report (PS3.16 TID 1500) in a Comprehensive SR document (PS3.3 A.35.3).

One document per mammogram, with one measurement group (TID 1410) per finding: tracking identifiers, finding site, image
region, sizes in mm, number of calcifications, morphology, distribution and suspicion. A report without findings says
that there are none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from mammo.atomic_files import replacing
from mammo.dicom import projection
from mammo.dicom.reports import codes as words
from mammo.dicom.reports.report import check_findings, outline
from mammo.dicom.results import (
    NAME,
    Origin,
    Predecessor,
    digest,
    long_string,
    no_reference,
    referenced_image,
    tracking,
    without_quoting_names,
)
from mammo.dicom.spacing import spacing_of
from mammo.dicom.writing import DATE, TIME, derived_uid
from mammo.findings import Finding
from mammo.geometry import Spacing
from mammo.masks.extents import extent

SERIES_NUMBER = 101
ANONYMOUS = "annotator"
"""Name of a person of whom nothing is known; a pseudonym is preferred."""


def write_measurement_report(
    path: Path,
    findings: Sequence[Finding],
    *,
    source: Path | bytes,
    origin: Origin,
    num_calcifications: Sequence[int | None],
    predecessor: Predecessor | None = None,
    synthetic: bool = False,
) -> None:
    """Write the findings on one mammogram as a measurement report in the mammogram's study.

    The UIDs are functions of the source, the findings, the origin and the predecessor: the same call writes the same
    UIDs.

    Args:
        path: the file to write.
        findings: inside the image, none a point.
        source: the DICOM file of the mammogram.
        origin: who made the findings.
        num_calcifications: of each finding; None where it was not measured.
        predecessor: the version of the report that this one replaces.
        synthetic: use the constant dates of `write_mammogram`, so that the same call writes the same bytes.

    Raises:
        ValueError: see `check_findings` and `outline`.
        UnreadableImage: the source cannot be read.
        UnsupportedImage: the source is not a DICOM file (`not_dicom`), or lacks attributes that a report repeats
            (`no_reference`).
    """
    image = referenced_image(source)
    check_findings(image, findings, num_calcifications)
    regions = [outline(finding) for finding in findings]
    spacing = spacing_of(image, given=None)
    text = (
        f"{image.SOPInstanceUID}/{origin}/{digest(list(findings))}/{list(num_calcifications)}/{predecessor}"
    )
    try:
        groups = [
            _group(image, finding, number, region, origin, spacing, count)
            for number, (finding, region, count) in enumerate(
                zip(findings, regions, num_calcifications, strict=True), 1
            )
        ]
        with without_quoting_names():
            report = _document(image, groups, origin, text, predecessor)
    except (AttributeError, ValueError, TypeError, KeyError):
        # highdicom copies patient and study of the source; its errors have many types and may quote a value.
        raise no_reference("report") from None
    if synthetic:
        for event in ("Content", "InstanceCreation", "Series"):
            setattr(report, f"{event}Date", DATE)
            setattr(report, f"{event}Time", TIME)
        for item in report.get("ContributingEquipmentSequence", ()):
            item.ContributionDateTime = DATE + TIME
    with replacing(path) as part:
        report.save_as(part)


def _group(
    image: Dataset,
    finding: Finding,
    number: int,
    region: Any,
    origin: Origin,
    spacing: Spacing | None,
    count: int | None,
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """One measurement group, TID 1410."""
    tracked = tracking(image, finding, number)
    side = words.LATERALITIES.get(projection.laterality(image) or "")
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=tracked.uid, identifier=tracked.identifier),
        referenced_region=sr.ImageRegion(
            graphic_type=sr.GraphicTypeValues.POLYLINE,
            graphic_data=region,
            source_image=sr.SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID),
        ),
        finding_category=codes.SCT.MorphologicallyAbnormalStructure,
        finding_type=words.CLUSTER,
        algorithm_id=_algorithm(origin),
        finding_sites=[sr.FindingSite(anatomic_location=words.BREAST, laterality=side)],
        measurements=_measurements(finding, spacing, count),
        qualitative_evaluations=_evaluations(finding),
        geometric_purpose=words.OUTLINE if finding.mask else words.BOUNDED_BY,
    )
    for text in _comments(finding):
        group[0].ContentSequence.append(
            sr.TextContentItem(codes.DCM.Comment, text, sr.RelationshipTypeValues.CONTAINS)
        )
    return group


def _comments(finding: Finding) -> list[str]:
    """Words without a code, and what a person wrote; that is there only if whoever exports has asked for it."""
    uncoded = [finding.morphology] if finding.morphology not in (None, *words.MORPHOLOGIES) else []
    subdivisions = [text for text, word in words.SUSPICION_TEXTS.items() if word == finding.suspicion]
    return [text for text in (*uncoded, *subdivisions, finding.comment) if text]


def _measurements(finding: Finding, spacing: Spacing | None, count: int | None) -> list[sr.Measurement]:
    values: list[tuple[Code, float, Code]] = []
    if spacing is not None:
        millimetre = codes.UCUM.Millimeter
        if finding.mask is not None:
            longest = extent(finding.mask, spacing=spacing).longest_mm
            assert longest is not None, "the spacing is known"
            values.append((words.LONG_AXIS, longest, millimetre))
        values += [
            (words.WIDTH, finding.box.width * spacing.column_mm, millimetre),
            (words.HEIGHT, finding.box.height * spacing.row_mm, millimetre),
        ]
    if count is not None:
        values.append((words.NUM_CALCIFICATIONS, count, codes.UCUM.NoUnits))
    return [sr.Measurement(name, round(value, 4), unit) for name, value, unit in values]


def _evaluations(finding: Finding) -> list[sr.QualitativeEvaluation]:
    pairs = [
        (words.CALCIFICATION_TYPE, words.MORPHOLOGIES.get(finding.morphology or "")),
        (words.CALCIFICATION_DISTRIBUTION, words.DISTRIBUTIONS.get(finding.distribution or "")),
        (words.ASSESSMENT_CATEGORY, words.SUSPICIONS.get(finding.suspicion or "")),
    ]
    return [sr.QualitativeEvaluation(name, code) for name, code in pairs if code is not None]


def _algorithm(origin: Origin) -> sr.AlgorithmIdentification | None:
    """Name, version and weights of the model; None where no model was involved."""
    if origin.made_by == "manual":
        return None
    return sr.AlgorithmIdentification(
        name=origin.name,
        version=long_string(origin.version),
        parameters=[f"weights SHA-256: {each}" for each in origin.weights] or None,
        family=codes.DCM.ArtificialIntelligence,
        manufacturer=NAME,
    )


def _observers(origin: Origin) -> sr.ObservationContext:
    """Who observed: the model, the person, or the person who corrected the model."""
    person = device = None
    if origin.made_by != "automatic":
        person = sr.ObserverContext(
            observer_type=codes.DCM.Person,
            observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(
                name=_family_name(origin.person or ANONYMOUS)
            ),
        )
    if origin.made_by != "manual":
        device = sr.ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                uid=derived_uid(f"device/{origin.name}/{origin.version}/{origin.weights}"),
                name=long_string(origin.name),
                manufacturer_name=NAME,
                model_name=long_string(origin.version),
            ),
        )
    return sr.ObservationContext(observer_person_context=person, observer_device_context=device)


def _family_name(pseudonym: str) -> str:
    """A pseudonym as a DICOM person name that consists of the family name alone."""
    return re.sub(r"[\^=]", "_", long_string(pseudonym))[:63] + "^"


def _document(
    image: Dataset,
    groups: Sequence[sr.PlanarROIMeasurementsAndQualitativeEvaluations],
    origin: Origin,
    text: str,
    predecessor: Predecessor | None,
) -> sr.ComprehensiveSR:
    # highdicom asks for a group; the template does not, and a report of no findings has an empty container.
    placeholder = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=derived_uid(text), identifier="none"),
        source_images=[sr.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)],
    )
    content = sr.MeasurementReport(
        observation_context=_observers(origin),
        procedure_reported=codes.SCT.Mammography,
        imaging_measurements=list(groups) or [placeholder],
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=[image]
        if "ImagerPixelSpacing" in image and image.get("PatientOrientation")
        else None,
    )
    report = sr.ComprehensiveSR(
        evidence=[image],
        content=content,
        series_instance_uid=derived_uid(f"{image.SOPInstanceUID}/reports"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=derived_uid(f"{text}/report"),
        instance_number=1,
        manufacturer=NAME,
        manufacturer_model_name=NAME,
        software_versions=long_string(origin.version),
        device_serial_number="0",
        series_description="Microcalcification clusters",
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=[_previous(predecessor)] if predecessor else None,
    )
    if not groups:
        container = next(
            item for item in report.ContentSequence if item.name == codes.DCM.ImagingMeasurements
        )
        del container.ContentSequence
    return report


def _previous(predecessor: Predecessor) -> Dataset:
    previous = Dataset()
    previous.SOPClassUID = predecessor.sop_class_uid
    previous.SOPInstanceUID = predecessor.sop_instance_uid
    previous.SeriesInstanceUID = predecessor.series_instance_uid
    previous.StudyInstanceUID = predecessor.study_instance_uid
    return previous
