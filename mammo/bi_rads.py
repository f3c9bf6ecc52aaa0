"""The words for calcifications, breast density and assessment, as BI-RADS (5th edition) has them."""

from __future__ import annotations

BENIGN = "typically benign"
"""Of a kind that is not said; the only word for benign kinds in projects of earlier releases."""

BENIGN_KINDS = (
    "skin",
    "vascular",
    "coarse or popcorn-like",
    "large rod-like",
    "round",
    "rim",
    "dystrophic",
    "milk of calcium",
    "suture",
)
"""The kinds that are typically benign. BI-RADS gives them no order of suspicion; this is its own order."""

SUSPICIOUS = ("amorphous", "coarse heterogeneous", "fine pleomorphic", "fine linear or branching")
"""The suspicious kinds, least suspicious first."""

MORPHOLOGIES = (*BENIGN_KINDS, BENIGN, *SUSPICIOUS)
"""Morphology of a cluster's calcifications, least suspicious first."""

DISTRIBUTIONS = ("diffuse", "regional", "grouped", "linear", "segmental")
"""Distribution of the calcifications, least suspicious first."""

SUSPICIONS = ("2", "3", "4A", "4B", "4C", "5")
"""How suspicious a finding is, least first: its BI-RADS category.

These are the words that radiologists grade findings with, and the only ones with a stated meaning: the probability of
cancer is 0 in category 2, at most 2 % in 3, 2 to 10 % in 4A (low suspicion), 10 to 50 % in 4B (moderate), 50 to 95 %
in 4C (high), and more in 5. Categories 0, 1 and 6 (incomplete, negative, proven) are about an exam, not a finding.
"""

DENSITIES = ("a", "b", "c", "d")
"""Composition of the breast: a almost entirely fatty, b scattered, c heterogeneously dense, d extremely dense."""

ASSESSMENTS = ("0", "1", "2", "3", "4A", "4B", "4C", "5", "6")
"""Assessment category of the exam."""
