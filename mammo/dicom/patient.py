"""Patient keys: the views of one person belong together, and nobody can read who it is."""

from __future__ import annotations

import hashlib
import hmac


def patient_key(patient_id: str, secret: bytes) -> str:
    """Return the key of a patient: the first 16 hexadecimal digits of HMAC-SHA-256 of the PatientID.

    The same person has the same key at one site; without the secret the key cannot be traced back by trying IDs.

    Raises:
        ValueError: the ID or the secret is empty.
    """
    if not patient_id.strip():
        raise ValueError("a patient key needs a PatientID")
    if not secret:
        raise ValueError("a patient key needs a secret; set YOLO_MLSAM_PATIENT_SECRET")
    return hmac.new(secret, patient_id.strip().encode(), hashlib.sha256).hexdigest()[:16]
