"""The projection of a mammogram: which breast, seen from where. Codes of DICOM CID 4014, SNOMED CT and SRT."""

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
"""Short name -> code value and meaning."""

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
"""Code value of the retired SNOMED-RT scheme -> short name; older files carry these."""

VIEWS = {code: view for view, (code, _) in SCT_CODES.items()} | SRT_CODES


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
    """ViewCodeSequence (type 1 in MG), else ViewPosition when it is a known short name, else None."""
    item = first_item(dataset, "ViewCodeSequence")
    if item is not None and (known := VIEWS.get(text(item, "CodeValue"))):
        return known
    position = text(dataset, "ViewPosition").upper()
    return position if position in SCT_CODES else None
