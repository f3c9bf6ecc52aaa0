"""DatasetImage: one image of a data set with its findings; validation of a data set's tables and paths."""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from mammo.errors import MammoError
from mammo.exchange.export.labelled_image import Refusal
from mammo.file_names import files_of, real_path
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.input_files import read_input
from mammo.printable import printable

MAX_TABLE = 256 * 2**20
"""Maximum size of a table or JSON file, in bytes."""


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """How a data set is read."""

    kind: str
    """Name of the reader, a key of `mammo.exchange.datasets.reading.READERS`."""

    folder: Path
    document: Path | None = None
    """COCO and mini-MIAS: the JSON file or the table; None: the one in `folder` with the usual name."""

    spacing_mm: float | None = None
    """Pixel spacing of images for which neither file nor data set states one, in mm."""

    label: str | None = None
    """COCO and YOLO: the category that means a cluster."""

    patient_pattern: str | None = None
    """COCO, YOLO and folder: regular expression whose group is the patient in a file's path."""

    one_patient: bool = False
    """COCO, YOLO and folder: all images are of one patient."""

    boxes_only: bool = False
    """Replace every mask by its box."""

    allow_identified: bool = False
    """COCO, YOLO and folder: accept DICOM files that identify their patient."""


@dataclass(frozen=True, kw_only=True)
class DatasetImage:
    """One image of a data set."""

    file: Path
    """Below the data set's folder."""

    where: str
    """Its place in the data set, for messages."""

    patient: str
    """The data set's identifier of the patient, from which the patient key is computed; empty if unknown."""

    exam: str | None = None
    """The data set's identifier of the exam; None if only the file may state it."""

    path: str | None = None
    """The path in which `patient` was searched; None if the data set names the patient otherwise."""

    findings: Callable[[Size], list[Finding]]
    """Returns the clusters for the size of the image; raises ValueError or MammoError if they do not fit the image."""

    classes: tuple[str, ...] = ()
    """The data set's categories in the image, for statistics."""

    laterality: Literal["L", "R"] | None = None
    view: str | None = None
    spacing_mm: float | tuple[float, float] | None = None
    """Pixel spacing in mm; (row, column) if they differ."""

    words: Mapping[str, str] = field(default_factory=dict)
    """What the data set says about the exam: `density` and `assessment`, in words of `mammo.bi_rads`."""

    unread_words: tuple[str, ...] = ()
    """Descriptions of what it says about findings or exam in other words, which are left out."""

    trusts_file: bool = False
    """Whether the PatientID of the file takes precedence over `patient`: for local files, not for public data sets."""

    small_parts: list[int] = field(default_factory=list)
    """Pixels of each mask component that is too small to be a cluster; filled in by `findings`."""


def invalid(message: str) -> MammoError:
    """Return the error of a folder that does not contain the expected data set."""
    return MammoError(message, code="invalid_dataset")


def inside(folder: Path, relative: str) -> Path:
    """Return the path below the data set's folder that a data set names.

    Raises:
        ValueError: the path is empty or absolute, leaves the folder (also through a symbolic link), or cannot be
            resolved.
    """
    path = PurePosixPath(relative.strip().replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in relative:
        raise ValueError("its path is empty or leaves the folder of the data set")
    joined = folder.joinpath(*path.parts)
    if not real_path(joined).is_relative_to(folder.resolve()):
        raise ValueError("its path leaves the folder of the data set")
    return joined


def find_file(folder: Path, relative: str) -> Path | None:
    """Return a file below the data set's folder; None when it does not exist.

    Names are compared in the Unicode form NFC, because macOS and Linux write `ü` differently.

    Raises:
        ValueError: the path is empty or leaves the folder; or a file exists only under another case of the name, so
            that it may be another file.
    """
    path = inside(folder, relative)
    if os.path.lexists(path) and not os.path.isdir(path):  # whoever opens it says why it cannot be read
        return path
    if not os.path.isdir(path.parent):
        return None
    name = unicodedata.normalize("NFC", path.name)
    similar = [
        each
        for each in listing(path.parent)
        if _casefolded(each.name) == _casefolded(name) and not os.path.isdir(each)
    ]
    same = [each for each in similar if unicodedata.normalize("NFC", each.name) == name]
    if len(same) == 1:
        return inside(folder, same[0].relative_to(folder).as_posix())
    if similar:
        raise ValueError(
            f"there is only {printable(similar[0].name, length=60)}, a name in another case; rename one of them"
        )
    return None


def listing(folder: Path) -> list[Path]:
    """Return the entries of a folder, sorted.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ValueError(f"the folder {printable(folder.name)} cannot be read: {error.strerror}") from None


def closed_folders(folder: Path, *names: str) -> Iterator[Refusal]:
    """Yield a refusal for each folder below these that cannot be read, whose files are missing therefore."""
    for name in names:
        for path in files_of([folder / name]):
            if os.path.isdir(path):
                where = printable(path.relative_to(folder).as_posix(), length=120)
                yield Refusal(where, "the folder cannot be read, so its files are missing")


def _casefolded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def first_folder(folder: Path, name: str) -> Path | None:
    """Return the folder of this name in the data set or one level below; None when there is none.

    Raises:
        MammoError: the data set's folder cannot be read.
    """
    try:
        children = listing(folder)
    except ValueError as error:
        raise invalid(str(error)) from None
    candidates = [folder / name, *(child / name for child in children if os.path.isdir(child))]
    return next((candidate for candidate in candidates if os.path.isdir(candidate)), None)


def repeated(keys: Iterable[str]) -> set[str]:
    """Return the keys that occur more than once."""
    return {key for key, count in Counter(keys).items() if count > 1}


def read_rows(
    path: Path, columns: Sequence[str], *, delimiter: str = ","
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a CSV table with their line numbers; the given columns as stripped text.

    Raises:
        MammoError: the file is not a table with these columns.
    """
    for line, row in _table(path, delimiter, columns):
        missing = [column for column in columns if row.get(column) is None]
        if missing:
            raise invalid(f"{path.name}, line {line}: the column {missing[0]!r} is missing")
        yield line, {column: str(row[column]).strip() for column in columns}


def _table(path: Path, delimiter: str, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    text = read_text(path)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        duplicates = repeated(reader.fieldnames or ()) & set(columns)
        if duplicates:
            raise invalid(f"{path.name} has two columns {min(duplicates)!r}; remove one")
        for row in reader:
            if reader.restkey in row:
                raise invalid(f"{path.name}, line {reader.line_num}: the row has more cells than the header")
            yield reader.line_num, row
    except csv.Error as error:
        raise invalid(f"{path.name}, line {reader.line_num}: {error}") from None


def read_text(path: Path) -> str:
    """Return the content of a text file of at most `MAX_TABLE` bytes.

    Raises:
        MammoError: the file is missing, too long, cannot be opened, or is not text.
    """
    if not os.path.lexists(path):
        raise invalid(
            f"{path.name} is not in the folder; docs/data-sets.md shows the layout of each data set"
        )
    data = read_table(path)
    if b"\0" in data:
        raise invalid(f"{path.name} is not a text file: it contains zero bytes")
    return data.decode("utf-8-sig", errors="replace")


def read_table(path: Path) -> bytes:
    """Return the content of a table or JSON file of at most `MAX_TABLE` bytes.

    Raises:
        MammoError: the file is too long or cannot be opened.
    """
    try:
        return read_input(path, max_bytes=MAX_TABLE)
    except OSError as error:
        raise invalid(f"{path.name} cannot be opened: {error.strerror}") from None


def number(text: str) -> float:
    """Parse a coordinate: a finite number up to 1e6.

    Raises:
        ValueError: any other text.
    """
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a coordinate is not a number") from None
    if not abs(value) <= 1e6:
        raise ValueError("a coordinate lies far outside any image")
    return value


def boxed(x0: float, y0: float, x1: float, y1: float, size: Size) -> Finding:
    """Return a cluster with a box, clipped to the image, and without a mask.

    Raises:
        ValueError: the box is empty or lies outside the image.
    """
    if not (x0 < x1 and y0 < y1):
        raise ValueError("a box has no area")
    return Finding(label=CLUSTER, score=1.0, box=Box.around(x0, y0, x1, y1).within(size))
