"""Retrieval: one image of the PACS becomes one file of the site, de-identified on the way.

What arrives has no name on the disk until it has been checked and de-identified: a process that is killed leaves
nothing of a patient behind.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mammo.atomic_files import replacing
from mammo.deidentification.deidentify import Deidentifier
from mammo.deidentification.files import FLAGGED
from mammo.deidentification.pseudonyms import Pseudonyms
from mammo.dicom.instance_identity import InstanceIdentity, read_instance_identity
from mammo.errors import PacsError
from mammo.identifiers import identifier
from mammo.pacs.client import PacsClient
from mammo.pacs.query import FoundImage
from mammo.pacs.uid_map import UidMap

IDENTIFIED = "identified"
"""Subfolder of files that are kept as the PACS sent them."""


@dataclass(frozen=True)
class Retrieved:
    """The file of an image."""

    path: Path
    state: Literal["new", "present", "flagged"]
    """`present`: it was there already; `flagged`: a person must look at it before it is imported."""


class Retriever:
    """Makes files of images of the PACS. Safe to share between threads."""

    def __init__(
        self,
        pacs: PacsClient,
        uid_map: UidMap,
        *,
        folder: Path,
        scratch: Path,
        secret: bytes,
        max_bytes: int,
        keeps_identity: bool = False,
    ) -> None:
        """
        Args:
            folder: of the files, below the service's `mammogram_root`.
            scratch: a private folder on whose disk images arrive.
            secret: the site's patient secret, at least 16 bytes.
            max_bytes: largest image.
            keeps_identity: whether files are kept as they are sent.

        Raises:
            ValueError: the secret is too short.
        """
        self._pacs, self._uid_map = pacs, uid_map
        self._folder, self._scratch, self._max_bytes = folder, scratch, max_bytes
        self._pseudonyms, self._deidentify = Pseudonyms(secret), Deidentifier(secret)
        self._keeps_identity = keeps_identity

    def __call__(self, image: FoundImage) -> Retrieved:
        """Return the file of an image; the PACS is asked for it only if it is not there yet.

        Raises:
            PacsError: the PACS sent something else than it was asked for, or did not answer.
            UnreadableImage, UnsupportedImage: what it sent is no mammogram that can be read.
            OSError: the file cannot be written.
        """
        name = f"{self._pseudonyms.uid(image.instance)}.dcm"
        path = self._folder / (IDENTIFIED if self._keeps_identity else "") / name
        flagged = self._folder / FLAGGED / name
        own_uid = image.instance if self._keeps_identity else self._pseudonyms.uid(image.instance)
        if self._uid_map.known([own_uid]):
            if path.is_file():
                return Retrieved(path, "present")
            if flagged.is_file() and not self._keeps_identity:
                return Retrieved(flagged, "flagged")
        content = self._content(image)
        found = read_instance_identity(content, max_bytes=self._max_bytes)
        _require_asked(found, image, host=self._pacs.host)
        if self._keeps_identity:
            self._uid_map.record(found.instance, found.study, found)
            _write(path, content)
            return Retrieved(path, "new")
        result = self._deidentify(content, max_bytes=self._max_bytes)
        self._uid_map.record(result.name, self._pseudonyms.uid(found.study), found)
        _write(flagged if result.concern else path, result.content)
        return Retrieved(flagged, "flagged") if result.concern else Retrieved(path, "new")

    def _content(self, image: FoundImage) -> bytes:
        with tempfile.TemporaryFile(dir=self._scratch) as file:
            self._pacs.retrieve(image.study, image.series, image.instance, file, max_bytes=self._max_bytes)
            file.seek(0)
            return file.read()


def _require_asked(found: InstanceIdentity, image: FoundImage, *, host: str) -> None:
    """Raises PacsError: a file is not the image that was asked for (`pacs_other_instance`, `pacs_other_patient`)."""
    if (found.study, found.series, found.instance) != (image.study, image.series, image.instance):
        raise PacsError(
            f"the PACS at {host} sent another image than it was asked for; it is not kept",
            code="pacs_other_instance",
        )
    if identifier(found.patient_id) != identifier(image.patient):
        raise PacsError(
            f"the PACS at {host} sent an image whose PatientID is not that of its study; it is not kept",
            code="pacs_other_patient",
        )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, shared=True, durable=True) as part:
        part.write_bytes(content)
