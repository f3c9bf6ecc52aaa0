"""Laterality and view of a mammogram, with the view codes of DICOM CID 4014 in SNOMED CT and SRT."""

from __future__ import annotations

from pydicom.dataset import Dataset

from mammo.dicom.dataset import first_item, text
from mammo.dicom.mammogram import Laterality

SCT_CODES = {
    "CC": ("399162004", "cranio-caudal"),
    "MLO": ("399368009", "medio-lateral oblique"),
    "ML": ("399260004", "medio-lateral"),
    "LM": ("399352003", "latero-medial"),
    "LMO": ("399099002", "latero-medial oblique"),
    "XCCL": ("399192008", "cranio-caudal exaggerated laterally"),
    "XCCM": ("399101009", "cranio-caudal exaggerated medially"),
    "FB": ("399196006", "caudo-cranial (from below)"),
}
"""Abbreviation -> code value and meaning."""

SRT_CODES = {
    "R-10242": "CC",
    "R-10226": "MLO",
    "R-10224": "ML",
    "R-10228": "LM",
    "R-10230": "LMO",
    "Y-X1770": "XCCL",
    "Y-X1771": "XCCM",
    "R-10244": "FB",
}
"""Code value of the retired SNOMED-RT scheme, used by older files -> abbreviation."""

VIEWS = {code: view for view, (code, _) in SCT_CODES.items()} | SRT_CODES
"""Code value of either scheme -> abbreviation."""


def laterality(dataset: Dataset) -> Laterality | None:
    """ImageLaterality (type 1 in MG), else Laterality of the series, else None."""
    for keyword in ("ImageLaterality", "Laterality"):
        match text(dataset, keyword).upper():
            case "L":
                return "L"
            case "R":
                return "R"
            case _:
                continue
    return None


def view(dataset: Dataset) -> str | None:
    """ViewCodeSequence (type 1 in MG), else ViewPosition if it is an abbreviation of `SCT_CODES`, else None."""
    item = first_item(dataset, "ViewCodeSequence")
    if item is not None and (coded := VIEWS.get(text(item, "CodeValue"))):
        return coded
    position = text(dataset, "ViewPosition").upper()
    return position if position in SCT_CODES else None
