"""Multipart answers (RFC 2046, PS3.18 section 8.6.1.2), read part by part as they arrive.

The DICOMweb library holds a whole part in memory, and takes a part that was cut off for a whole one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.message import Message

from mammo.errors import PacsError

MAX_PART_HEADER = 16 * 2**10
"""Largest header of a part, in bytes."""


def boundary(content_type: str, *, holds: str, host: str) -> bytes:
    """Return the boundary of a multipart answer.

    Args:
        content_type: value of the header Content-Type.
        holds: media type that its parts must have.
        host: of the PACS, for the error.

    Raises:
        PacsError: it is not `multipart/related` of that type.
    """
    header = Message()
    header["Content-Type"] = content_type
    stated = str(header.get_param("type") or holds).lower()
    found = header.get_boundary()
    if header.get_content_type() != "multipart/related" or stated != holds or not found or len(found) > 200:
        raise _other_type(host, header.get_content_type())
    return found.encode("latin-1", "replace")


class Part:
    """One part: iterate over it for its content, in chunks; must be read to its end before the next one."""

    def __init__(self, content_type: str, chunks: Iterator[bytes]) -> None:
        self.content_type = content_type
        """Media type in lower case; empty if the part states none."""

        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks


def parts(chunks: Iterable[bytes], boundary: bytes, *, host: str) -> Iterator[Part]:
    """Yield the parts of a multipart answer.

    Raises:
        PacsError: it ends before its last boundary (code `pacs_truncated`), or is no multipart.
    """
    reader = _Reader(chunks, host)
    delimiter = b"--" + boundary
    reader.prepend(b"\r\n")
    for _ in reader.until(b"\r\n" + delimiter):
        pass  # the preamble
    while True:
        if (after := reader.take(2)) == b"--":
            return
        reader.prepend(after)
        header = b"".join(reader.until(b"\r\n\r\n", limit=MAX_PART_HEADER))
        part = Part(_content_type(header), reader.until(b"\r\n" + delimiter))
        yield part
        for _ in part:
            pass  # what the caller left


class _Reader:
    """Bytes that arrive in chunks, read up to marks."""

    def __init__(self, chunks: Iterable[bytes], host: str) -> None:
        self._chunks = iter(chunks)
        self._host = host
        self._bytes = b""

    def prepend(self, content: bytes) -> None:
        self._bytes = content + self._bytes

    def take(self, count: int) -> bytes:
        while len(self._bytes) < count:
            self._bytes += self._next()
        taken, self._bytes = self._bytes[:count], self._bytes[count:]
        return taken

    def until(self, mark: bytes, *, limit: int | None = None) -> Iterator[bytes]:
        """Yield what comes before the next mark, and pass over the mark."""
        num_bytes = 0
        while (place := self._bytes.find(mark)) < 0:
            sure = max(len(self._bytes) - len(mark) + 1, 0)
            ready, self._bytes = self._bytes[:sure], self._bytes[sure:]
            num_bytes += len(ready)
            if limit is not None and num_bytes > limit:
                raise PacsError(
                    f"the PACS at {self._host} sends a multipart answer that is none", code="pacs_multipart"
                )
            if ready:
                yield ready
            self._bytes += self._next()
        ready, self._bytes = self._bytes[:place], self._bytes[place + len(mark) :]
        if ready:
            yield ready

    def _next(self) -> bytes:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise PacsError(
                f"the PACS at {self._host} ended an answer before its last part was complete; try again",
                code="pacs_truncated",
            )
        return chunk


def _content_type(header: bytes) -> str:
    for line in header.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-type":
            return value.partition(b";")[0].strip().lower().decode("latin-1")
    return ""


def _other_type(host: str, found: str) -> PacsError:
    return PacsError(
        f"the PACS at {host} sent {found[:60]!r} where multipart/related was expected; is YOLO_MLSAM_PACS_URL its "
        "DICOMweb address?",
        code="pacs_content_type",
    )
