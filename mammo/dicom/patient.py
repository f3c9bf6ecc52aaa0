"""Patient keys: group the images of one patient without revealing the identity."""

from __future__ import annotations

import hashlib
import hmac

from mammo.identifiers import identifier


def patient_key(patient_id: str, secret: bytes) -> str:
    """Return the key of a patient: the first 16 hexadecimal digits of HMAC-SHA-256 of the PatientID.

    One patient has one key per site, however the ID is spelled (see `mammo.identifiers`). Without the secret, the key
    cannot be reversed by trying IDs.

    Raises:
        ValueError: the ID or the secret is empty.
        InvalidTaskData: the ID is not valid text.
    """
    normalised = identifier(patient_id)
    if normalised is None:
        raise ValueError("a patient key needs a PatientID")
    if not secret:
        raise ValueError("a patient key needs a secret; set YOLO_MLSAM_PATIENT_SECRET")
    return hmac.new(secret, normalised.encode(), hashlib.sha256).hexdigest()[:16]
