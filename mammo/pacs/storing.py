"""What a PACS reports after STOW-RS (PS3.18 10.5.3): which instances it stored, and why not the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mammo.errors import PacsError

REFERENCED, FAILED, OTHER = "00081199", "00081198", "0008119A"
"""ReferencedSOPSequence, FailedSOPSequence and OtherFailuresSequence in DICOM JSON."""

REASONS = {
    0x0110: "it failed to process it",
    0x0111: "it has it already",
    0x0117: "it does not accept its UID",
    0x0122: "it does not store objects of this kind",
    0x0124: "this user may not store",
    0x0131: "it has no patient, study or series for it",
    0xA700: "it is out of space",
    0xA900: "the object does not match its kind",
    0xC000: "it cannot understand it",
}
"""FailureReason (PS3.18 table 10.5.3-2, PS3.4 annex B)."""

DUPLICATE, UNKNOWN_KIND = 0x0111, 0x0122


def require_stored(answer: Mapping[str, Any], instance: str, *, number: int, host: str) -> None:
    """Refuse an answer that does not say that an instance was stored.

    Args:
        answer: in DICOM JSON; untrusted.
        instance: SOPInstanceUID of the result.
        number: of the result in the outbox.
        host: of the PACS.

    Raises:
        PacsError: the instance was not stored (`pacs_not_stored`; `pacs_refused_kind` if it never will be).
    """
    if instance in (_text(item, "00081155") for item in _items(answer, REFERENCED)):
        return
    failures = [
        _reason(item)
        for key in (FAILED, OTHER)
        for item in _items(answer, key)
        if key == OTHER or _text(item, "00081155") == instance
    ]
    if DUPLICATE in failures:
        return
    if not failures:
        raise PacsError(
            f"the PACS at {host} did not say that it stored result {number}; it is sent again",
            code="pacs_not_stored",
        )
    reason = REASONS.get(
        failures[0] or 0, f"reason {failures[0]:#06x}" if failures[0] else "without a reason"
    )
    raise PacsError(
        f"the PACS at {host} did not store result {number}: {reason}",
        code="pacs_refused_kind" if UNKNOWN_KIND in failures else "pacs_not_stored",
    )


def _items(answer: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    element = answer.get(key)
    values = element.get("Value") if isinstance(element, Mapping) else None
    yield from (each for each in (values if isinstance(values, list) else ()) if isinstance(each, Mapping))


def _value(item: Mapping[str, Any], key: str) -> object:
    element = item.get(key)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values[0] if isinstance(values, list) and values else None


def _text(item: Mapping[str, Any], key: str) -> str:
    value = _value(item, key)
    return value if isinstance(value, str) else ""


def _reason(item: Mapping[str, Any]) -> int | None:
    value = _value(item, "00081197")
    return value if isinstance(value, int) else None
