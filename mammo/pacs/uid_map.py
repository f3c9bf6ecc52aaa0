"""UidMap: which image of the PACS an image of the site is, so that results find their way back.

A row is found by the UID that the site's file has. What leads to the patient, PatientID and UIDs at the PACS, is
encrypted with a key that is derived from the site's patient secret (`mammo.pacs.site_cipher`): a copy of the database
alone identifies nobody, and whoever has the secret can undo the de-identification.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime

import orjson
import sqlalchemy as sa
from cryptography.fernet import InvalidToken
from sqlalchemy.engine import Engine

from mammo.database import insert, pacs_instance, reading, writing
from mammo.dicom.instance_identity import InstanceIdentity
from mammo.errors import PacsError
from mammo.pacs.site_cipher import site_cipher

BATCH = 500
"""UIDs that are looked up in one statement."""


class UidMap:
    """The table of images from the PACS. Safe to share between threads and processes."""

    def __init__(self, engine: Engine, secret: bytes) -> None:
        """
        Args:
            secret: the site's patient secret.
        """
        self._engine = engine
        self._cipher = site_cipher(secret, "pacs uid map")

    def record(self, instance: str, study: str, original: InstanceIdentity) -> None:
        """Record which image of the PACS a file is; a second time changes nothing.

        Args:
            instance, study: UIDs of the site's file.
            original: what the PACS calls it.
        """
        row = {
            "instance": instance,
            "study": study,
            "original": self._cipher.encrypt(orjson.dumps(asdict(original))),
            "created_at": datetime.now(UTC),
        }
        with writing(self._engine) as connection:
            connection.execute(insert(connection, pacs_instance).values(**row).on_conflict_do_nothing())

    def known(self, instances: Iterable[str]) -> set[str]:
        """Return those of the site's UIDs that are of images from the PACS."""
        asked, found = sorted(set(instances)), set[str]()
        with reading(self._engine) as connection:
            for start in range(0, len(asked), BATCH):
                chosen = pacs_instance.c.instance.in_(asked[start : start + BATCH])
                found |= set(connection.scalars(sa.select(pacs_instance.c.instance).where(chosen)))
        return found

    def find(self, instance: str) -> InstanceIdentity | None:
        """Return what the PACS calls an image of the site; None if it does not come from there.

        Raises:
            PacsError: the patient secret is another one than when it was imported (code `pacs_other_secret`).
        """
        column = sa.select(pacs_instance.c.original).where(pacs_instance.c.instance == instance)
        with reading(self._engine) as connection:
            original = connection.scalar(column)
        if original is None:
            return None
        try:
            return InstanceIdentity(**orjson.loads(self._cipher.decrypt(bytes(original))))
        except InvalidToken:
            raise PacsError(
                "the image was imported from the PACS with another YOLO_MLSAM_PATIENT_SECRET; set that one to find its "
                "study again",
                code="pacs_other_secret",
            ) from None
