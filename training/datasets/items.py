"""Items of a dataset version: one image each, with its patient and its truth."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import orjson

from mammo.annotations import Correction
from mammo.blobs import Blobs
from mammo.dicom import Mammogram
from mammo.efforts.effort_records import annotator_pseudonym
from mammo.errors import (
    ImageNotFound,
    InvalidRegion,
    InvalidTaskData,
    LabelStudioError,
    MammoError,
    UnreadableImage,
)
from mammo.findings import CLUSTER, POINT_REACH_MM, Finding
from mammo.geometry import ASSUMED_SPACING, Box, Size, Spacing
from mammo.identifiers import identifier, stored_key
from mammo.images.task_images import IMAGE_FACTS, TASK_FACTS, TASK_KEY, of_task
from mammo.labelstudio.cluster_regions import require_on_images
from mammo.labelstudio.descriptors import exam_descriptors
from mammo.labelstudio.interpretation import interpret
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.project_tags import digest_of_tags
from mammo.labelstudio.regions import other_size, size_of
from mammo.masks import Mask, PixelBudget
from training.datasets.folds import Fold

OpenImage = Callable[[Mapping[str, Any]], Mammogram]
"""Reads the mammogram of a task's data, as `mammo.images.task_images.TaskImages.open` does."""

IMAGE_KEYS = ("image", *IMAGE_FACTS, *TASK_FACTS, TASK_KEY)
"""Keys of the task's data that an item stores: all that is needed to open the image again."""

IMAGE_ERRORS = frozenset({"label_studio_404", "foreign_image", "too_large"})
"""Codes of a LabelStudioError that concern this image alone and would be raised again for it."""

SCHEMA = 7
"""Version of the format of items in a manifest."""

READABLE = (2, 3, 4, 5, 6, 7)
"""Schemas that this release reads. Schema 2 has no `source`, 3 only short text as patients, 4 no findings with
`point`, 5 neither descriptors nor lesions, 6 no suspicion and no benign kinds."""

Source = Literal["single", "consensus", "arbiter"]
"""Origin of an item's truth: one annotator, two readers who agree, or the arbiter."""

LONE_IMAGE = "image-"
"""Prefix of the patient key of an image whose patient and study are unknown; it is assigned to a fold by itself."""

AUTOMATIC = "automatic"
"""Annotator of an item that the service submitted and no person has reviewed."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image and its truth. The fields are those of the manifest's JSON."""

    task_id: int
    annotation_id: int
    updated_at: str
    """When the annotation was last updated in Label Studio; ISO 8601, UTC."""

    content_hash: str
    """Of the correction in the annotation store."""

    image: str
    """SHA-256 of the image file."""

    task_data: dict[str, Any]
    patient: str
    annotator: str
    """Pseudonym of the author of the correction."""

    view: str | None
    """Laterality and view, such as `LCC`, as far as the image states them."""

    spacing_mm: float | list[float] | None
    """Pixel spacing in mm, if the image states it; [row, column] if its pixels are not square."""

    size: tuple[int, int]
    """Width and height of the image, in pixels."""

    fold: Fold
    findings: tuple[dict[str, Any], ...]
    """`{"box": [x0, y0, x1, y1], "mask": COCO RLE or null}` in pixels of the image; `"point": true` if only a place is
    known; `morphology`, `distribution`, `suspicion` and `lesion` if they are known. Comments are left out: a dataset
    version never changes, so a name in one could never be removed."""

    image_key: str = ""
    """Key of the image among those of the task; empty for the only one."""

    drawn: int = 0
    """Number of cluster regions that the annotation has on the image."""

    deleted: int = 0
    """Number of prelabelled findings that were deleted by deleting a part of them."""

    crumbs: int = 0
    """Number of mask fragments that were dropped as too small to be intended."""

    source: Source = "single"
    origins: tuple[tuple[int, str], ...] = ()
    """Annotation and content hash of both readings of a consensus; empty otherwise."""

    density: str | None = None
    assessment: str | None = None
    """What the annotation says about the exam, in words of `mammo.bi_rads`."""

    @property
    def clusters(self) -> list[Finding]:
        """All findings, in order, including those of which only a place is known."""
        return [
            Finding(
                label=CLUSTER,
                score=1.0,
                box=Box(*finding["box"]),
                mask=Mask.from_coco(finding["mask"]) if finding["mask"] else None,
                is_point=bool(finding.get("point")),
                morphology=finding.get("morphology"),
                distribution=finding.get("distribution"),
                suspicion=finding.get("suspicion"),
                lesion=finding.get("lesion", ""),
            )
            for finding in self.findings
        ]

    @property
    def truth(self) -> tuple[Finding, ...]:
        """The clusters whose extent is known."""
        return tuple(cluster for cluster in self.clusters if not cluster.is_point)

    @property
    def points(self) -> tuple[Finding, ...]:
        """The clusters of which only a place is known."""
        return tuple(cluster for cluster in self.clusters if cluster.is_point)

    @property
    def uncertain(self) -> tuple[Box, ...]:
        """Boxes around the clusters of unknown extent: neither lesion nor background."""
        size = Size(*self.size)
        stated = self.spacing_mm if isinstance(self.spacing_mm, list) else [self.spacing_mm or 0.0]
        reach = round(POINT_REACH_MM / (min(stated) or ASSUMED_SPACING.mean_mm))
        return tuple(point.box.dilated(reach).within(size) for point in self.points)

    @property
    def unexplained(self) -> bool:
        """Whether regions were drawn but no finding resulted, for no recorded reason. No item must be unexplained."""
        return bool(self.drawn and not self.findings and not self.deleted and not self.crumbs)

    def to_json(self, blobs: Blobs) -> dict[str, Any]:
        """The item as in a manifest. Each mask is a blob, stored once for all dataset versions that contain it."""
        findings = [
            {**finding, "mask": blobs.put(_canonical(finding["mask"])) if finding["mask"] else None}
            for finding in self.findings
        ]
        return {**asdict(self), "findings": findings}

    @classmethod
    def from_json(cls, row: Mapping[str, Any], blobs: Blobs) -> Item:
        """Inverse of `to_json`.

        Raises:
            InvalidWeights: a mask is missing or damaged.
        """
        findings = tuple(
            {**finding, "mask": orjson.loads(blobs.read(finding["mask"])) if finding["mask"] else None}
            for finding in row["findings"]
        )
        origins = tuple((annotation, content) for annotation, content in row.get("origins", ()))
        return cls(**{**row, "findings": findings, "size": tuple(row["size"]), "origins": origins})


def is_about_one_image(error: MammoError) -> bool:
    """Whether an error concerns only one image or annotation, so that the others can be processed without it."""
    if isinstance(error, LabelStudioError):
        return error.code in IMAGE_ERRORS
    return isinstance(error, InvalidRegion | InvalidTaskData | ImageNotFound | UnreadableImage)


def images_of(correction: Correction, tags: ControlTags) -> list[ControlTags]:
    """The tags of every image of a correction's task.

    Raises:
        InvalidRegion: a region lies on none of the images.
    """
    return require_on_images(correction.result, tags=tags, data=correction.task_data)


def make_item(
    correction: Correction,
    open_image: OpenImage,
    *,
    tags: ControlTags,
    pinned: str | None,
    secret: bytes,
    findings: Sequence[Finding] | None = None,
    budget: PixelBudget | None = None,
) -> Item:
    """Open one image of a correction, check that it is the image that was annotated, and read its findings.

    Args:
        tags: of the image.
        pinned: SHA-256 of the image when it was first opened, if known.
        secret: key of the pseudonyms of annotators and studies.
        findings: the truth of a consensus; None: the findings of the correction.
        budget: of the annotation, shared by its images; None: a new one.

    Raises:
        ImageNotFound: the image is missing, or has changed (code `image_changed`).
        InvalidRegion: a region cannot be interpreted.
        InvalidTaskData: its task states a patient or a spacing that cannot be interpreted.
        UnreadableImage: the image is not acceptable.
    """
    size = correction.sizes.get(tags.image_key)
    interpretation = interpret(correction.result, tags=tags, size=size, budget=budget)
    if findings is None:
        findings = interpretation.findings
    task_data = of_task(correction.task_id, correction.task_data, tags=tags)
    mammogram = open_image(task_data)
    _require_same_image(correction, mammogram, tags=tags, stated=task_data.get("sha256"), pinned=pinned)
    exam = exam_descriptors(correction.result, tags)
    annotator = (
        AUTOMATIC if correction.automatic else annotator_pseudonym(correction.completed_by, secret=secret)
    )
    return Item(
        task_id=correction.task_id,
        annotation_id=correction.annotation_id,
        updated_at=correction.updated_at.isoformat(),
        content_hash=correction.content_hash,
        image=mammogram.sha256,
        task_data={key: task_data[key] for key in IMAGE_KEYS if key in task_data},
        patient=_patient(correction, mammogram, secret),
        annotator=annotator,
        view="".join(filter(None, (mammogram.laterality, mammogram.view))) or None,
        spacing_mm=_spacing_json(mammogram.spacing),
        size=(mammogram.size.width, mammogram.size.height),
        fold="train",  # a placeholder until the patient's fold is assigned
        findings=tuple(
            _finding_json(clipped(finding, mammogram.size), mammogram.size) for finding in findings
        ),
        image_key=tags.image_key,
        drawn=interpretation.drawn,
        deleted=len(interpretation.deleted),
        crumbs=interpretation.crumbs,
        density=exam.density,
        assessment=exam.assessment,
    )


def digest_of(fingerprint: str, *, tags: ControlTags, basis: str) -> str:
    """Digest of all that an item depends on besides its correction: an item with an equal digest is equal.

    Args:
        fingerprint: of the image file.
        basis: see `training.datasets.sources.Candidate.basis`.
    """
    return hashlib.sha256(f"{SCHEMA} {fingerprint} {digest_of_tags(tags)} {basis}".encode()).hexdigest()


def clipped(finding: Finding, size: Size) -> Finding:
    """The part of a finding inside an image.

    Raises:
        InvalidRegion: it lies outside the image.
    """
    try:
        box = finding.box.within(size)
    except ValueError as error:
        raise InvalidRegion(str(error)) from error
    return replace(finding, box=box, mask=finding.mask.within(size.box) if finding.mask else None)


def image_changed(task: int) -> ImageNotFound:
    """The error for an image that is not the one that was annotated."""
    # Part of a manifest, see `Excluded.reason`.
    return ImageNotFound(
        f"the image of task {task} is another one than when it was annotated: its SHA-256 has changed",
        code="image_changed",
    )


def _require_same_image(
    correction: Correction, mammogram: Mammogram, *, tags: ControlTags, stated: str | None, pinned: str | None
) -> None:
    for sha256 in (stated, pinned):
        if sha256 is not None and sha256 != mammogram.sha256:
            raise image_changed(correction.task_id)
    for region in correction.result:
        if "original_width" in region and tags.shows(region) and size_of(region) != mammogram.size:
            raise other_size(mammogram.size)


def _spacing_json(spacing: Spacing | None) -> float | list[float] | None:
    """One number for square pixels, otherwise [row, column]."""
    if spacing is None:
        return None
    row, column = round(spacing.row_mm, 6), round(spacing.column_mm, 6)
    return row if row == column else [row, column]


def _canonical(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _finding_json(finding: Finding, size: Size) -> dict[str, Any]:
    content = {
        "box": list(finding.box.as_tuple()),
        "mask": finding.mask.to_coco(size) if finding.mask else None,
    }
    return content | ({"point": True} if finding.is_point else {}) | finding.attributes


def _patient(correction: Correction, mammogram: Mammogram, secret: bytes) -> str:
    """The patient key of an image: of the patient if known, else of the study, else of the image alone.

    Raises:
        InvalidTaskData: the task states a patient that cannot be interpreted.
    """
    stated = identifier(correction.task_data.get("patient"))
    if stated is not None:
        return stored_key(stated)
    if mammogram.patient is not None:
        return mammogram.patient
    if mammogram.source is not None:
        study = mammogram.source.study_instance_uid.encode()
        return "study-" + hmac.new(secret, study, hashlib.sha256).hexdigest()[:16]
    return f"{LONE_IMAGE}{mammogram.sha256[:16]}"
