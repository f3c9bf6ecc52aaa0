"""Laterality, view and view modifier of a mammogram, with the codes of CID 4014 and 4015 in SNOMED CT and SRT."""

from __future__ import annotations

from pydicom.dataset import Dataset

from mammo.dicom.dataset import first_item, numbers, text
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


MODIFIERS = {
    "399163009": "magnification", "R-102D6": "magnification",
    "399055006": "spot compression", "R-102D7": "spot compression",
    "399209000": "implant displaced", "R-102D5": "implant displaced",
    "399161006": "cleavage", "R-102D2": "cleavage",
    "399011000": "axillary tail", "R-102D1": "axillary tail",
    "399197002": "rolled lateral", "R-102D3": "rolled lateral",
    "399226006": "rolled medial", "R-102D4": "rolled medial",
    "414493004": "rolled inferior", "R-102CA": "rolled inferior",
    "415670009": "rolled superior", "R-102C9": "rolled superior",
    "399110001": "tangential", "R-102C2": "tangential",
    "441752004": "anterior compression", "P2-00161": "anterior compression",
    "442580003": "axillary tissue", "R-40AB2": "axillary tissue",
    "442593008": "infra-mammary fold", "R-40ABE": "infra-mammary fold",
    "442581004": "nipple in profile", "R-40AB3": "nipple in profile",
}  # fmt: skip
"""Code value of either scheme -> view modifier."""

MAGNIFIED = 1.3
"""EstimatedRadiographicMagnificationFactor from which an image is a magnification: a contact exposure has 1.0 to about
1.1, a magnification 1.5 to 2."""


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


def modifier(dataset: Dataset) -> str:
    """Return what distinguishes a view from the standard one, such as `spot compression`; empty for a standard view."""
    item = first_item(dataset, "ViewCodeSequence")
    coded = None if item is None else first_item(item, "ViewModifierCodeSequence")
    if coded is not None and (code := text(coded, "CodeValue")):
        return MODIFIERS.get(code, "an unknown view modifier")
    factor = numbers(dataset, "EstimatedRadiographicMagnificationFactor")
    return "magnification" if len(factor) == 1 and factor[0] >= MAGNIFIED else ""
