"""The data sheet of a dataset version (after Gebru et al., "Datasheets for Datasets"): counts, never an image."""

from __future__ import annotations

from backend.evidence_pack.part import Part, Table
from mammo.lenient_json import dumps
from mammo.models.learned_from import LearnedFrom

FILE, TITLE = "dataset.json", "Data"


def data_sheet(learned: LearnedFrom | None) -> Part:
    """Describe the dataset version that a model learned from; None: none."""
    if learned is None:
        sentence = "This model has not learned from corrections."
        return Part(file=FILE, title=TITLE, content=b"null\n", sentences=(sentence,))
    sizes = tuple(
        (each.fold, str(each.patients), str(each.images), str(each.findings)) for each in learned.folds
    )
    spacings = tuple(
        (each.fold, *(map(str, each.spacing_mm) if each.spacing_mm else ("-", "-", "-")))
        for each in learned.folds
    )
    return Part(
        file=FILE,
        title=TITLE,
        content=dumps(learned.to_json()) + b"\n",
        sentences=(
            f"Dataset version {learned.dataset_version}. Its name is the SHA-256 of its manifest, so it cannot change.",
            "No patient is in two folds. The fold test is held out forever, and only the gate looks at it.",
            f"{learned.excluded} corrections were left out.",
        ),
        tables=(
            Table(caption="How much", columns=("fold", "patients", "images", "findings"), rows=sizes),
            _counts(learned, "views", "Images by view"),
            _counts(learned, "readers", "Images by reader (pseudonyms)"),
            _counts(learned, "density", "Images by breast density"),
            Table(
                caption="Pixel spacing in mm",
                columns=("fold", "lower quartile", "median", "upper quartile"),
                rows=spacings,
            ),
        ),
    )


def _counts(learned: LearnedFrom, field: str, caption: str) -> Table:
    folds = {each.fold: dict(getattr(each, field)) for each in learned.folds}
    columns = tuple(dict.fromkeys(name for counts in folds.values() for name in counts))
    rows = tuple((fold, *(str(counts.get(name, 0)) for name in columns)) for fold, counts in folds.items())
    return Table(caption=caption, columns=("fold", *columns), rows=rows)
