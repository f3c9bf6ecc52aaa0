"""Kinds of DICOM results of an annotated mammogram, as commands, pages and jobs name them."""

from __future__ import annotations

from typing import Literal

ResultKind = Literal["sr", "seg", "cad-sr"]
"""Measurement report (TID 1500), Segmentation, and Mammography CAD report (TID 4000)."""

RESULT_KINDS: tuple[ResultKind, ...] = ("sr", "seg", "cad-sr")
