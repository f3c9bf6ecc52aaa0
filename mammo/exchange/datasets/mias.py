"""mini-MIAS (Suckling et al. 1994): digitised film of 1024 x 1024 pixels of 0.2 mm as PGM, circles in Info.txt.

    Info.txt                         mdb209 G CALC B 647 503 87
    mdb209.pgm                       or mdb209.png

The columns are image, tissue, class, severity, x, y and radius of a circle. **y counts from the bottom of the image.**
An odd number is a right breast, and the following even number is the left breast of the same woman. All views are MLO.
A circle becomes a box without a mask. An image is refused if the position of a CALC is missing (`*NOTE 3*`) or a row
cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from mammo.exchange.datasets.contents import (
    DatasetImage,
    DatasetOptions,
    boxed,
    find_file,
    number,
    read_text,
    repeated,
)
from mammo.exchange.export.labelled_image import Refusal
from mammo.findings import Finding
from mammo.geometry import Size

TABLE = "Info.txt"
ENDINGS = ("pgm", "png")
IMAGE = re.compile(r"mdb(\d{3})\w{0,4}")
CLASSES = ("CALC", "CIRC", "SPIC", "MISC", "ARCH", "ASYM", "NORM")
SPACING_MM = 0.2
Circle = tuple[float, float, float]
"""x, y from the bottom, radius, in pixels."""


def read_mias(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Yield every image in the table."""
    table = options.document or options.folder / TABLE
    rows: dict[str, list[tuple[int, list[str]]]] = {}
    broken: set[str] = set()
    for line, text in enumerate(read_text(table).splitlines(), start=1):
        words = text.split()
        if len(words) >= 3 and IMAGE.fullmatch(words[0]) and words[2] in CLASSES:
            rows.setdefault(words[0], []).append((line, words))
        elif words and words[0].lower().startswith("mdb"):
            broken.add(words[0].lower())
            yield Refusal(
                f"{table.name}, line {line}", "expected image, tissue and one of " + ", ".join(CLASSES)
            )
    for name, entries in rows.items():
        where = f"{table.name}, line {entries[0][0]}"
        try:
            if name in broken:
                raise ValueError(f"another row of {name} cannot be read")
            _require_agreement(entries)
            circles = tuple(_circle(words) for _, words in entries if words[2] == "CALC")
            files = (find_file(options.folder, f"{name}.{ending}") for ending in ENDINGS)
            file = next((each for each in files if each is not None), None)
            if file is None:
                raise ValueError(f"{name}.pgm is not in the folder")
        except ValueError as error:
            yield Refusal(where, str(error))
            continue
        index = int(name[3:6])
        yield DatasetImage(
            file=file,
            where=where,
            patient=f"pair-{(index + 1) // 2:03d}",
            exam=f"pair-{(index + 1) // 2:03d}",
            findings=partial(_findings, circles),
            classes=tuple(words[2] for _, words in entries),
            laterality="L" if index % 2 == 0 else "R",
            view="MLO",
            spacing_mm=SPACING_MM,
        )


def _require_agreement(entries: list[tuple[int, list[str]]]) -> None:
    """Refuse contradictory or repeated rows of one image.

    Raises:
        ValueError: there are such rows.
    """
    classes = {words[2] for _, words in entries}
    if "NORM" in classes and len(classes) > 1:
        raise ValueError("one of its rows has the class NORM, another one does not")
    if repeated(" ".join(words) for _, words in entries):
        raise ValueError("one of its rows is repeated")


def _circle(words: list[str]) -> Circle:
    if len(words) < 7:
        raise ValueError("the position of its calcifications is missing")
    x, y, radius = (number(word) for word in words[4:7])
    if radius <= 0:
        raise ValueError("expected a circle with a positive radius")
    return x, y, radius


def _findings(circles: tuple[Circle, ...], size: Size) -> list[Finding]:
    findings = []
    for x, from_bottom, radius in circles:
        y = size.height - from_bottom
        findings.append(boxed(x - radius, y - radius, x + radius, y + radius, size))
    return findings
