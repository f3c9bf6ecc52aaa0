"""DatasetImage: one image of a data set with what it says about it; tables and paths, hostile until checked."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from mammo.errors import MammoError
from mammo.file_names import real_path
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.printable import printable

MAX_TABLE = 256 * 2**20


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """What the command was asked for."""

    kind: str
    folder: Path
    project: int | None = None
    twins: Path | None = None
    spacing_mm: float | None = None
    """For images whose file and data set do not say."""

    label: str | None = None
    """COCO and YOLO: the category that means a cluster."""

    patient_pattern: str | None = None
    """COCO, YOLO and folder: its group is the patient in a file's path."""

    one_patient: bool = False
    """COCO, YOLO and folder: every image is of one and the same person."""

    boxes_only: bool = False
    """Take the box of every mask, and leave the mask out."""

    allow_identified: bool = False
    """COCO, YOLO and folder: take DICOM files that still name their patient."""

    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class DatasetImage:
    """One image that can come in."""

    file: Path
    """Below the data set's folder."""

    where: str
    """What the data set calls it, for messages."""

    patient: str
    """The data set's own name of the person; becomes a key. Empty when only the file may say."""

    path: str | None = None
    """Where nothing but its path can say whose it is, and `patient` is what was found there."""

    findings: Callable[[Size], list[Finding]]
    """Given the image's size, its clusters; raises ValueError or MammoError when they do not fit the image."""

    classes: tuple[str, ...] = ()
    """The data set's own words for what is in it, to be counted."""

    laterality: Literal["L", "R"] | None = None
    view: str | None = None
    spacing_mm: float | tuple[float, float] | None = None
    """Of rows and columns, where they differ."""

    trusts_file: bool = False
    """True when a PatientID in the file says better who it is: files of one's own, not those of a public set."""

    small_parts: list[int] = field(default_factory=list)
    """Pixels of each part that is too small to be a cluster and was left out; filled while `findings` are read."""


def invalid(message: str) -> MammoError:
    """The folder is not the data set that it was said to be."""
    return MammoError(message, code="invalid_dataset")


def inside(folder: Path, relative: str) -> Path:
    """A path that a data set names, below its folder.

    Raises:
        ValueError: empty, absolute, leaving the folder, by a symbolic link too, or one that cannot be looked up.
    """
    path = PurePosixPath(relative.strip().replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in relative:
        raise ValueError("its path is empty or leaves the folder of the data set")
    found = folder.joinpath(*path.parts)
    if not real_path(found).is_relative_to(folder.resolve()):
        raise ValueError("its path leaves the folder of the data set")
    return found


def find_file(folder: Path, relative: str) -> Path | None:
    """A file that a data set names, below its folder; None when it is not there.

    The same name in another Unicode form is the same name (macOS and Linux write `ü` differently).

    Raises:
        ValueError: the path is empty or leaves the folder; or the file is there under another case of its name only,
            which may be a file of its own.
    """
    path = inside(folder, relative)
    if path.is_file():
        return path
    if not path.parent.is_dir():
        return None
    wanted = unicodedata.normalize("NFC", path.name)
    near = [each for each in path.parent.iterdir() if _plain(each.name) == _plain(wanted) and each.is_file()]
    same = [each for each in near if unicodedata.normalize("NFC", each.name) == wanted]
    if len(same) == 1:
        return inside(folder, same[0].relative_to(folder).as_posix())
    if near:
        raise ValueError(
            f"there is only {printable(near[0].name, length=60)}: a name in another case; rename one of them"
        )
    return None


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def first_folder(folder: Path, name: str) -> Path | None:
    """A folder of this name in the data set, or one level below; None when there is none."""
    candidates = [folder / name, *(child / name for child in sorted(folder.iterdir()) if child.is_dir())]
    return next((candidate for candidate in candidates if candidate.is_dir()), None)


def repeated(keys: Iterable[str]) -> set[str]:
    """Those that are there more than once."""
    return {key for key, count in Counter(keys).items() if count > 1}


def read_rows(
    path: Path, columns: Sequence[str], *, delimiter: str = ","
) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV table with their line numbers; every named column is a stripped string.

    Raises:
        MammoError: not a table with these columns.
    """
    for line, row in _table(path, delimiter, columns):
        missing = [column for column in columns if row.get(column) is None]
        if missing:
            raise invalid(f"{path.name}, line {line}: there is no column {missing[0]!r}")
        yield line, {column: str(row[column]).strip() for column in columns}


def _table(path: Path, delimiter: str, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    text = read_text(path)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        twice = repeated(reader.fieldnames or ()) & set(columns)
        if twice:
            raise invalid(f"{path.name} has two columns {min(twice)!r}")
        for row in reader:
            if reader.restkey in row:
                raise invalid(f"{path.name}, line {reader.line_num}: more cells than columns")
            yield reader.line_num, row
    except csv.Error as error:
        raise invalid(f"{path.name}, line {reader.line_num}: {error}") from None


def read_text(path: Path) -> str:
    """A text file of reasonable length.

    Raises:
        MammoError: not there, too long, or no text.
    """
    if not path.is_file():
        raise invalid(
            f"{path.name} is not in the folder; docs/data-sets.md shows the layout of each data set"
        )
    if path.stat().st_size > MAX_TABLE:
        raise invalid(f"{path.name} is longer than {MAX_TABLE} bytes")
    data = path.read_bytes()
    if b"\0" in data:
        raise invalid(f"{path.name} holds bytes that no text has")
    return data.decode("utf-8-sig", errors="replace")


def number(text: str) -> float:
    """A finite number of plausible size.

    Raises:
        ValueError: anything else.
    """
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a coordinate is no number") from None
    if not abs(value) <= 1e6:
        raise ValueError("a coordinate lies far outside any image")
    return value


def boxed(x0: float, y0: float, x1: float, y1: float, size: Size) -> Finding:
    """A cluster of which only the box is known, clipped to the image.

    Raises:
        ValueError: it is empty or lies outside.
    """
    if not (x0 < x1 and y0 < y1):
        raise ValueError("a box without any area")
    return Finding(label=CLUSTER, score=1.0, box=Box.around(x0, y0, x1, y1).within(size))
