"""Pseudonyms for UIDs, IDs, dates and ages; the same key gives the same pseudonyms in every file."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime, timedelta

MIN_KEY = 16
"""Minimum length of a key, in bytes."""

MAX_SHIFT_DAYS = 3650
BAND_YEARS, OLDEST_BAND = 5, 90
"""Width of an age band, and the start of the last one: few people are older."""


class Pseudonyms:
    """Keyed pseudonyms (HMAC-SHA-256): without the key they cannot be reversed by trying IDs or UIDs."""

    def __init__(self, key: bytes) -> None:
        """
        Raises:
            ValueError: the key has fewer than 16 bytes.
        """
        if len(key) < MIN_KEY:
            raise ValueError(f"expected a key of at least {MIN_KEY} bytes, got {len(key)}; use a longer one")
        self._key = key

    def uid(self, original: str) -> str:
        """Replace a UID by one of PS3.5 B.2 (2.25 and 128 bits); references between files stay valid."""
        return f"2.25.{int.from_bytes(self._hash('uid', original)[:16], 'big')}"

    def patient_id(self, patient: str) -> str:
        """The PatientID that replaces a patient's identity: P and 15 hexadecimal digits."""
        return "P" + self._hash("patient", patient).hex()[:15].upper()

    def date(self, value: str, *, patient: str) -> str:
        """Shift a DICOM date back by the patient's number of days, 1 to 3650; empty when it is not a date."""
        days = 1 + int.from_bytes(self._hash("date", patient)[:4], "big") % MAX_SHIFT_DAYS
        try:
            return f"{datetime.strptime(value, '%Y%m%d') - timedelta(days=days):%Y%m%d}"
        except (ValueError, OverflowError):
            return ""

    def _hash(self, kind: str, value: str) -> bytes:
        return hmac.new(
            self._key, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), hashlib.sha256
        ).digest()


def age_band(age: str, *, birth: str = "", study: str = "") -> str:
    """A DICOM age rounded down to its band, from the age or from two dates; empty without a valid age or dates."""
    match = re.fullmatch(r"(\d{3})([DWMY])", age)
    if match:
        years = int(match[1]) if match[2] == "Y" else int(match[1]) // {"D": 365, "W": 52, "M": 12}[match[2]]
    elif re.fullmatch(r"\d{8}", birth) and re.fullmatch(r"\d{8}", study) and birth < study:
        years = (int(study) - int(birth)) // 10_000
    else:
        return ""
    return f"{min(years // BAND_YEARS * BAND_YEARS, OLDEST_BAND):03d}Y"
