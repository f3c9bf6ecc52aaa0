"""The pictures of a verdict: lesions and false alarms of the held-out images, cut out, worst first, within a budget.

Pictures explain a verdict and decide nothing: an image that cannot be read now leaves its places without a picture, and
the record says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import structlog

from mammo.blobs import Blobs
from mammo.dicom import Mammogram
from mammo.errors import Cancelled, MammoError
from mammo.geometry import Box, Size
from mammo.runs.records import FINDINGS
from mammo.verdicts.crops import CROP_PIXELS, CROP_QUALITY, Grey, encode, frame_around, grey_levels
from mammo.verdicts.places import Place, places
from mammo.verdicts.record import FORMAT, Answer, Image, LeftOut, Model, Part, Picture, VerdictRecord
from training.cases import Case, Progress
from training.evaluation.model_version import Evaluation
from training.evaluation.seen_images import images_of
from training.gate.adapted import AdaptedVerdict
from training.gate.curves import curve_of
from training.gate.gate import Verdict
from training.retrain.context import TrainingRun

MAX_CROPS = 240
MAX_BYTES = 24 * 2**20
"""Of all pictures of a run. Whole images are stored in its first half, their largest size in its first quarter."""

LEVELS = (640, 1600, 3200)
"""Longest side of the whole image as stored, in pixels, in several sizes; of a smaller image, its own."""

LEVEL_QUALITY = 72
"""Of WebP, in 1 to 100."""

log = structlog.get_logger()


def keep_pictures(
    run: TrainingRun,
    before: Evaluation,
    after: Evaluation,
    verdict: Verdict | AdaptedVerdict,
    cases: Sequence[Case],
    *,
    parts: Sequence[Part | None] = (),
) -> dict[str, Any] | None:
    """Store the verdict's record and pictures as blobs. A failure is logged, and stops no run.

    Args:
        before, after: what was judged; the FROC curves are theirs.
        cases: those that `SeenImages` has seen.
        parts: of an adaptation, the part of each image that was seen; empty for a retrain.

    Returns:
        JSON values: `record`, its SHA-256, and `pictures`, those of the pictures; None if there is no record.
    """
    with run.progress.step("pictures") as progress:
        try:
            record = _record(run, before, after, verdict, parts)
            record = draw(record, cases, blobs=run.context.blobs, progress=progress)
            digest = run.context.blobs.put(record.to_bytes())
        except Cancelled:
            raise
        except MammoError as error:
            log.warning("the verdict has no pictures", run=run.name, code=error.code)
            run.ledger.log(f"the verdict has no pictures: {error}")
            return None
    return {"record": digest, "pictures": sorted(record.pictures)}


def _record(
    run: TrainingRun,
    before: Evaluation,
    after: Evaluation,
    verdict: Verdict | AdaptedVerdict,
    parts: Sequence[Part | None],
) -> VerdictRecord:
    stored = [(run.ledger.result(role) or {}).get(FINDINGS) for role in ("champion", "challenger")]
    if not all(stored):
        raise MammoError("the images were evaluated by a release that kept no findings")
    images = images_of(*(run.context.blobs.read(str(digest)) for digest in stored))
    if parts:
        images = tuple(_as_part(image, part) for image, part in zip(images, parts, strict=True))
    return VerdictRecord(
        format=FORMAT,
        run=run.name,
        project=run.request.project,
        promote=verdict.promote,
        reason=verdict.reason,
        verdict=verdict.to_json(),
        champion=Model(version=before.version, threshold=before.threshold, curve=curve_of(before)),
        challenger=Model(version=after.version, threshold=after.threshold, curve=curve_of(after)),
        images=images,
        crops={},
        left_out=None,
    )


def _as_part(image: Image, part: Part | None) -> Image:
    """An image of an adaptation. False alarms beside inserted clusters may be benign structures that we drew: the gate
    does not count them, so they are no places."""
    if part != "inserted":
        return image.model_copy(update={"part": part})
    answers = {
        role: Answer(found=tuple(each for each in answer.found if each.lesion is not None), best=answer.best)
        for role, answer in (("champion", image.champion), ("challenger", image.challenger))
    }
    return image.model_copy(update={"part": part, **answers})


def draw(record: VerdictRecord, cases: Sequence[Case], *, blobs: Blobs, progress: Progress) -> VerdictRecord:
    """Cut out the places of a record, worst first, and store the pictures.

    Args:
        cases: those that were evaluated; read once more.
        progress: called after every image; may raise `Cancelled`.
    """
    order = places(record)
    by_image: dict[int, list[Place]] = {}
    for place in order[:MAX_CROPS]:
        by_image.setdefault(place.number, []).append(place)
    case_of = {case.image: case for case in cases}
    images, crops, spent, unread = list(record.images), {}, 0, 0
    for done, (number, here) in enumerate(by_image.items(), 1):
        if spent >= MAX_BYTES:
            break
        image = images[number]
        try:
            mammogram = case_of[image.sha256].read()
        except Cancelled:
            raise
        except MammoError as error:
            log.warning("no picture of a held-out image", run=record.run, code=error.code)
            unread += 1
            continue
        grey = grey_levels(mammogram.pixels)
        for place in here:
            column_mm = image.spacing[1] if image.spacing else None
            frame = frame_around(place.box, Size(*image.size), column_mm=column_mm)
            crops[place.key] = _store(grey, frame, CROP_PIXELS, CROP_QUALITY, blobs)
        sides = _level_sides(mammogram.size, spent)
        levels = tuple(_store(grey, mammogram.size.box, side, LEVEL_QUALITY, blobs) for side in sides)
        images[number] = _measured(image.model_copy(update={"levels": levels}), mammogram)
        spent += sum(each.bytes for each in (*levels, *(crops[place.key] for place in here)))
        progress(done / len(by_image), f"pictures of {done} of {len(by_image)} images")
    missing = len(order) - len(crops)
    reason = f"at most {MAX_CROPS} places and {MAX_BYTES // 2**20} MiB are kept, worst first"
    if unread:
        reason += f"; {unread} images could not be read again"
    left_out = LeftOut(places=missing, reason=reason) if missing else None
    return record.model_copy(update={"images": tuple(images), "crops": crops, "left_out": left_out})


def _level_sides(size: Size, spent: int) -> tuple[int, ...]:
    """Longest sides of the whole image to store, smallest first, after `spent` bytes of pictures."""
    if spent >= MAX_BYTES // 2:
        return ()
    sides = LEVELS if spent < MAX_BYTES // 4 else LEVELS[:2]
    longest = max(size.width, size.height)
    smaller = tuple(side for side in sides if side < longest)
    return (*smaller, longest) if len(smaller) < len(sides) else smaller


def _store(grey: Grey, frame: Box, side: int, quality: int, blobs: Blobs) -> Picture:
    content, size = encode(grey, frame, side=side, quality=quality)
    return Picture(
        sha256=blobs.put(content),
        width=size.width,
        height=size.height,
        frame=frame.as_tuple(),
        bytes=len(content),
    )


def _measured(image: Image, mammogram: Mammogram) -> Image:
    """The image, with the brightness of the tissue around each lesion."""
    breast = mammogram.pixels[::8, ::8]
    breast = breast[breast > 0]
    lesions = []
    for lesion in image.lesions:
        box = lesion.shape.box
        ring = box.dilated(max(box.width, box.height, 8) // 2).within(mammogram.size)
        around = float(np.median(mammogram.pixels[ring.slices]))
        share = float(np.mean(breast < around)) if breast.size else None
        lesions.append(lesion.model_copy(update={"surroundings": share}))
    return image.model_copy(update={"lesions": tuple(lesions)})
