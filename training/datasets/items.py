"""Items: one correction becomes one image with its patient and its truth, or a reason why it cannot be trained on."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
from mammo.labelstudio.interpretation import interpret
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.project_tags import digest_of_tags
from mammo.labelstudio.regions import size_of
from mammo.masks import Mask
from training.datasets.folds import Fold

OpenImage = Callable[[Mapping[str, Any]], Mammogram]
"""Reads the mammogram of a task's data; `mammo.images.task_images.TaskImages.open`."""

IMAGE_KEYS = ("image", *IMAGE_FACTS, *TASK_FACTS, TASK_KEY)
"""What of a task's data is kept: enough to open the image again."""

REFUSED_IMAGES = frozenset({"label_studio_404", "foreign_image", "too_large"})
"""Codes of a LabelStudioError that would come again for this image and for no other."""

SCHEMA = 5
"""Of items in a manifest."""

READABLE = (2, 3, 4, 5)
"""Schemas that this release reads; 2 knew no source of an item, 3 only patients that were written as short text, 4 no
cluster that only a point marks."""

Source = Literal["single", "consensus", "arbiter"]
"""Who says what an item holds: one annotator, two readers who agree, or the arbiter between them."""

ALONE = "image-"
"""Begins the patient key of an image of which neither patient nor study is known: it is split by itself."""

AUTOMATIC = "automatic"
"""Annotator of an item that no person has looked at: the service submitted it."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image and its truth."""

    task_id: int
    annotation_id: int
    updated_at: str
    """Label Studio's moment of the annotation, ISO, UTC."""

    content_hash: str
    """Of the correction in the annotation store."""

    image: str
    """SHA-256 of the image file."""

    task_data: dict[str, Any]
    patient: str
    annotator: str
    """Pseudonym of who made the correction."""

    view: str | None
    """Laterality and view, such as `LCC`, where the image states them."""

    spacing_mm: float | list[float] | None
    """Side of a pixel in mm, where the image states it; [row, column] where its pixels are not square."""

    size: tuple[int, int]
    """Width and height of the image, in pixels."""

    fold: Fold
    findings: tuple[dict[str, Any], ...]
    """`{"box": [x0, y0, x1, y1], "mask": COCO RLE or null}`, of the image; `point` where only a place is known."""

    image_key: str = ""
    """Which of the task's images it is; empty for the only one."""

    drawn: int = 0
    """Cluster regions that the annotation holds on the image."""

    deleted: int = 0
    """Prelabelled findings of which a part was deleted and so the whole."""

    crumbs: int = 0
    """Parts of masks that were left out as too small to be meant."""

    source: Source = "single"
    origins: tuple[tuple[int, str], ...] = ()
    """Annotation and content hash of each reading that a consensus was made from; empty for any other item."""

    @property
    def truth(self) -> tuple[Finding, ...]:
        """The clusters whose extent is known."""
        return tuple(
            Finding(
                label=CLUSTER,
                score=1.0,
                box=Box(*finding["box"]),
                mask=Mask.from_coco(finding["mask"]) if finding["mask"] else None,
            )
            for finding in self.findings
            if not finding.get("point")
        )

    @property
    def points(self) -> tuple[Finding, ...]:
        """The clusters of which only a place is known."""
        return tuple(
            Finding(label=CLUSTER, score=1.0, box=Box(*finding["box"]), is_point=True)
            for finding in self.findings
            if finding.get("point")
        )

    @property
    def uncertain(self) -> tuple[Box, ...]:
        """Where a person marked a place and nothing is known of the extent: neither lesion nor background."""
        size = Size(*self.size)
        stated = self.spacing_mm if isinstance(self.spacing_mm, list) else [self.spacing_mm or 0.0]
        half = round(POINT_REACH_MM / (min(stated) or ASSUMED_SPACING.mean_mm))
        return tuple(point.box.dilated(half).within(size) for point in self.points)

    @property
    def unexplained(self) -> bool:
        """Something was drawn, nothing came of it, and nothing says why; there must be no such item."""
        return bool(self.drawn and not self.findings and not self.deleted and not self.crumbs)

    def to_json(self, blobs: Blobs) -> dict[str, Any]:
        """As it stands in a manifest: each mask is a blob of its own, kept once however many versions hold it."""
        findings = [
            {**finding, "mask": blobs.put(_canonical(finding["mask"])) if finding["mask"] else None}
            for finding in self.findings
        ]
        return {**asdict(self), "findings": findings}

    @classmethod
    def from_json(cls, row: Mapping[str, Any], blobs: Blobs) -> Item:
        """Back from a manifest.

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
    """Whether only this image or annotation is at fault, so that the others can go on without it."""
    if isinstance(error, LabelStudioError):
        return error.code in REFUSED_IMAGES
    return isinstance(error, InvalidRegion | InvalidTaskData | ImageNotFound | UnreadableImage)


def images_of(correction: Correction, tags: ControlTags) -> list[ControlTags]:
    """The tags of every image that a correction's task shows.

    Raises:
        InvalidRegion: a region lies on none of them.
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
) -> Item:
    """Open one image of a correction, check that it is still the one that was annotated, and read its findings.

    Args:
        tags: of the image.
        pinned: SHA-256 of the image when it was first seen, where that is known.
        secret: key of pseudonyms, of annotators and of studies.
        findings: what the image holds, where that is not what the correction says.

    Raises:
        ImageNotFound: it is gone, or another one now (code `image_changed`).
        InvalidRegion: a region cannot be read.
        InvalidTaskData: its task states a patient or a spacing that cannot be read.
        UnreadableImage: it is no image we accept.
    """
    read = interpret(correction.result, tags=tags)
    if findings is None:
        findings = read.findings
    task_data = of_task(correction.task_id, correction.task_data, tags=tags)
    mammogram = open_image(task_data)
    for known in (task_data.get("sha256"), pinned):
        if known is not None and known != mammogram.sha256:
            raise image_changed(correction.task_id)
    for region in correction.result:
        if "original_width" in region and tags.shows(region) and size_of(region) != mammogram.size:
            raise InvalidRegion(
                f"drawn on an image of another size than its {mammogram.size.width} x {mammogram.size.height}",
                code="other_size",
            )
    return Item(
        task_id=correction.task_id,
        annotation_id=correction.annotation_id,
        updated_at=correction.updated_at.isoformat(),
        content_hash=correction.content_hash,
        image=mammogram.sha256,
        task_data={key: task_data[key] for key in IMAGE_KEYS if key in task_data},
        patient=_patient(correction, mammogram, secret),
        annotator=AUTOMATIC
        if correction.automatic
        else annotator_pseudonym(correction.completed_by, secret=secret),
        view="".join(filter(None, (mammogram.laterality, mammogram.view))) or None,
        spacing_mm=_stated(mammogram.spacing),
        size=(mammogram.size.width, mammogram.size.height),
        fold="train",  # until the patient's own is known
        findings=tuple(_finding(finding, mammogram.size) for finding in findings),
        image_key=tags.image_key,
        drawn=read.drawn,
        deleted=len(read.deleted),
        crumbs=read.crumbs,
    )


def digest_of(fingerprint: str, *, tags: ControlTags, basis: str) -> str:
    """What an item depends on besides its correction: where this is the same, the item is.

    Args:
        basis: its source, and what else a consensus was made from.
    """
    return hashlib.sha256(f"{SCHEMA} {fingerprint} {digest_of_tags(tags)} {basis}".encode()).hexdigest()


def _stated(spacing: Spacing | None) -> float | list[float] | None:
    """As it is written: one number for square pixels, else [row, column]."""
    if spacing is None:
        return None
    row, column = round(spacing.row_mm, 6), round(spacing.column_mm, 6)
    return row if row == column else [row, column]


def _canonical(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _finding(finding: Finding, size: Size) -> dict[str, Any]:
    try:
        box = finding.box.within(size)
    except ValueError as error:
        raise InvalidRegion(str(error)) from error
    mask = finding.mask.within(size.box) if finding.mask is not None else None
    found = {"box": list(box.as_tuple()), "mask": mask.to_coco(size) if mask else None}
    return found | ({"point": True} if finding.is_point else {})


def _patient(correction: Correction, mammogram: Mammogram, secret: bytes) -> str:
    """Whose image it is, as well as is known: the patient, or else the study, or else the image alone.

    Raises:
        InvalidTaskData: the task states a patient that cannot be read.
    """
    stated = identifier(correction.task_data.get("patient"))
    if stated is not None:
        return stored_key(stated)
    if mammogram.patient is not None:
        return mammogram.patient
    if mammogram.source is not None:
        study = mammogram.source.study_instance_uid.encode()
        return "study-" + hmac.new(secret, study, hashlib.sha256).hexdigest()[:16]
    return f"{ALONE}{mammogram.sha256[:16]}"


def image_changed(task: int) -> ImageNotFound:
    """What is raised for an image that is not the one that was annotated."""
    return ImageNotFound(
        f"the image of task {task} is another one than when it was annotated: its SHA-256 has changed",
        code="image_changed",
    )
