"""The words for calcifications, breast density and assessment, as BI-RADS (5th edition) has them."""

from __future__ import annotations

MORPHOLOGIES = (
    "typically benign",
    "amorphous",
    "coarse heterogeneous",
    "fine pleomorphic",
    "fine linear or branching",
)
"""Morphology of a cluster's calcifications, least suspicious first."""

DISTRIBUTIONS = ("diffuse", "regional", "grouped", "linear", "segmental")
"""Distribution of the calcifications, least suspicious first."""

DENSITIES = ("a", "b", "c", "d")
"""Composition of the breast: a almost entirely fatty, b scattered, c heterogeneously dense, d extremely dense."""

ASSESSMENTS = ("0", "1", "2", "3", "4A", "4B", "4C", "5", "6")
"""Assessment category of the exam."""
