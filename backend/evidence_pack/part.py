"""Part: one document of an evidence pack."""

from __future__ import annotations

from dataclasses import dataclass

Row = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the page."""

    caption: str
    columns: Row
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A document: its file, and what the page shows of it."""

    file: str
    """Name of the file in the folder."""

    title: str
    content: bytes
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
