"""Patient keys: the views of one person belong together, and nobody can read who it is."""

from __future__ import annotations

import hashlib
import hmac

from mammo.identifiers import identifier


def patient_key(patient_id: str, secret: bytes) -> str:
    """Return the key of a patient: the first 16 hexadecimal digits of HMAC-SHA-256 of the PatientID.

    The same person has the same key at one site, however the ID is written (see `mammo.identifiers`); without the
    secret the key cannot be traced back by trying IDs.

    Raises:
        ValueError: the ID or the secret is empty.
        InvalidTaskData: the ID is no text.
    """
    known = identifier(patient_id)
    if known is None:
        raise ValueError("a patient key needs a PatientID")
    if not secret:
        raise ValueError("a patient key needs a secret; set YOLO_MLSAM_PATIENT_SECRET")
    return hmac.new(secret, known.encode(), hashlib.sha256).hexdigest()[:16]
