"""PacsResults: results of labelled images go to the PACS, each version once, in the study of its image.

A result that says something new replaces the earlier version: it names that as its predecessor, and its findings have
the same tracking identifiers. Nothing is deleted at the PACS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from mammo.dicom.instance_identity import InstanceIdentity
from mammo.dicom.reidentification import (
    Header,
    ImageUids,
    header_of,
    is_image,
    referenced_images,
    reidentified,
)
from mammo.dicom.results import own_uids
from mammo.errors import MammoError, PacsError
from mammo.exchange.export.labelled_image import LabelledImage, Refusal
from mammo.pacs.outbox import PacsResult, ResultOutbox
from mammo.pacs.storing import require_stored
from mammo.result_kinds import ResultKind

if TYPE_CHECKING:
    from mammo.exchange.export.dicom_results import Subject

log = structlog.get_logger()

UNREACHABLE = (
    "pacs_unreachable",
    "pacs_timeout",
    "pacs_unauthorized",
    "pacs_busy",
    "pacs_tls",
    "pacs_certificate",
)
"""Codes of errors that every further request would meet too: a round ends with them."""

FINAL = ("pacs_other_image", "pacs_refused_kind")
"""Codes of errors that a repetition does not change."""


@dataclass(frozen=True, kw_only=True)
class Original:
    """An image at the PACS."""

    image: ImageUids
    patient: str = ""
    """PatientID there; empty: unknown."""


Originals = Callable[[Iterable[str]], Mapping[str, Original]]
"""SOPInstanceUIDs of the site's files -> what they are at the PACS; files that kept their UIDs are left out."""


def originals_of(
    find: Callable[[str], InstanceIdentity | None], instances: Iterable[str]
) -> dict[str, Original]:
    """Return what files of the site are at the PACS.

    Args:
        find: looks one SOPInstanceUID up, as `mammo.pacs.uid_map.UidMap.find` does.
        instances: SOPInstanceUIDs of the files.

    Raises:
        PacsError: the patient secret is another one than when an image was imported.
    """
    found = {each: find(each) for each in instances}
    return {
        instance: Original(
            image=ImageUids(study=known.study, series=known.series, instance=known.instance),
            patient=known.patient_id,
        )
        for instance, known in found.items()
        if known is not None
    }


class Pacs(Protocol):
    """What is asked of `mammo.pacs.client.PacsClient`."""

    host: str

    def metadata(self, study: str, series: str) -> list[dict[str, Any]]: ...

    def store(self, data_sets: Any, *, study: str) -> dict[str, Any]: ...


@dataclass
class Queued:
    """What became of images that were to be sent."""

    num_new: int = 0
    num_unchanged: int = 0
    num_findings: int = 0
    refusals: list[Refusal] = field(default_factory=list)


@dataclass
class Sent:
    """What became of the results that were due."""

    num_delivered: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class PacsResults:
    """Results of one site for its PACS. Safe to use from several threads and processes."""

    outbox: ResultOutbox
    pacs: Callable[[], Pacs]
    """The PACS; raises InvalidSettings if none is set."""

    originals: Originals
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def queue(self, images: Iterable[LabelledImage], kind: ResultKind, *, actor: str) -> Queued:
        """Put the results of images into the outbox, if they say something new.

        Args:
            images: with their source files.
            kind: of the results.
            actor: who sends them.
        """
        # Late: it writes DICOM objects by highdicom, which takes long to import and which the backend does not need.
        from mammo.exchange.export.dicom_results import subjects

        queued = Queued()
        for subject in subjects(images, kind, queued.refusals):
            self._queue(subject, kind, actor, queued)
        return queued

    def _queue(self, subject: Subject, kind: ResultKind, actor: str, queued: Queued) -> None:
        from mammo.exchange.export.dicom_results import result

        source = subject.source
        about = source.study if kind == "cad-sr" else source.instance
        latest = self.outbox.latest(kind, about)
        if latest is not None and latest.content == subject.content:
            queued.num_unchanged += 1
            return
        data, refused = result(subject, kind, predecessor=latest.as_predecessor() if latest else None)
        queued.refusals += refused
        if data is None:
            if kind == "seg" and latest is not None and not refused:
                reason = (
                    "it has no findings any more, which a segmentation cannot say: the earlier one stays in the PACS; "
                    "send it as sr too"
                )
                queued.refusals.append(Refusal(subject.name, reason))
            return
        sop_class, instance, series = own_uids(data)
        is_new = self.outbox.revive(instance, now=self.clock()) or self.outbox.add(
            body=data,
            now=self.clock(),
            kind=kind,
            subject=about,
            content=subject.content,
            num_findings=subject.num_findings,
            study=source.study,
            series=source.series,
            image=source.instance,
            width=source.width,
            height=source.height,
            sop_class=sop_class,
            sop_instance=instance,
            result_series=series,
            predecessor=latest.sop_instance if latest else "",
            actor=actor,
        )
        queued.num_new += is_new
        queued.num_unchanged += not is_new
        queued.num_findings += subject.num_findings if is_new else 0

    def round(self) -> None:
        """Send what is due, and log what failed."""
        for problem in self.send().problems:
            log.warning("a result was not sent to the PACS", problem=problem)

    def send(self) -> Sent:
        """Send what is due, oldest first. A PACS that does not answer ends the round; what is left stays due."""
        sent = Sent()
        while due := self.outbox.due(now=self.clock()):
            for waiting in due:
                claimed = self.outbox.claim(waiting, now=self.clock())
                if claimed is None:
                    continue
                try:
                    self._deliver(claimed)
                except MammoError as error:
                    sent.problems.append(str(error))
                    if error.code in FINAL:
                        self.outbox.refused(claimed, str(error), now=self.clock())
                        continue
                    self.outbox.failed(claimed, str(error), now=self.clock())
                    if error.code in UNREACHABLE:
                        return sent
                else:
                    self.outbox.delivered(claimed, now=self.clock())
                    sent.num_delivered += 1
        return sent

    def _deliver(self, claimed: PacsResult) -> None:
        """Store a result in the study of its image.

        Raises:
            MammoError: it was not stored; its code is in `FINAL` if it never will be.
        """
        pacs, data = self.pacs(), self.outbox.body(claimed)
        images = referenced_images(data)
        known = self.originals([each.instance for each in images])
        originals = [known.get(each.instance) or Original(image=each) for each in images]
        header = self._header(pacs, claimed, images, originals)
        uids = {
            uid: getattr(original.image, name)
            for image, original in zip(images, originals, strict=True)
            for name, uid in vars(image).items()
        }
        study = uids[claimed.study]
        answer = pacs.store([reidentified(data, header, uids)], study=study)
        require_stored(answer, claimed.sop_instance, number=claimed.id, host=pacs.host)

    def _header(
        self, pacs: Pacs, claimed: PacsResult, images: Sequence[ImageUids], originals: Sequence[Original]
    ) -> Header:
        """Return the attributes of the image that a result is about; all of its images are looked for.

        Raises:
            PacsError: the PACS does not have them (`pacs_other_image`).
        """
        series = {(each.image.study, each.image.series) for each in originals}
        headers = [
            header_of(each, host=pacs.host)
            for study, one in sorted(series)
            for each in pacs.metadata(study, one)
        ]
        found: dict[str, Header] = {}
        for image, original in zip(images, originals, strict=True):
            source = claimed.source if image.instance == claimed.image else None
            for header in headers:
                if is_image(header, original.image.instance, source=source, patient=original.patient):
                    found[image.instance] = header
        if len(found) < len(images) or len({each.image.study for each in originals}) != 1:
            raise PacsError(
                f"the PACS at {pacs.host} has no image of this patient and size with the UID that result {claimed.id} "
                "is about; was it imported from another PACS, or deleted there? The result stays here, and is not sent",
                code="pacs_other_image",
            )
        return found[claimed.image]
