"""Codes of structured reports. All values are those of the standard's context groups, as pydicom carries them."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from mammo.bi_rads import BENIGN

MORPHOLOGIES: dict[str, Code] = {
    "amorphous": codes.SCT.AmorphousCalcification,
    "coarse heterogeneous": codes.SCT.HeterogeneousCalcification,
    "fine pleomorphic": codes.DCM.FinePleomorphicCalcification,
    "fine linear or branching": codes.SCT.FineLinearBranchingCastingCalcification,
    "skin": codes.SCT.CalcifiedSkinOfBreast,
    "vascular": codes.SCT.VascularCalcificationRadiographicFinding,
    "coarse or popcorn-like": codes.SCT.CoarsePopcornLikeCalcification,
    "large rod-like": codes.SCT.LargeRodLikeCalcification,
    "round": codes.SCT.RoundShapedCalcification,
    "rim": codes.SCT.EggshellCalcification,
    "dystrophic": codes.SCT.DystrophicCalcification,
    "milk of calcium": codes.SCT.MilkOfCalciumCalcification,
    "suture": codes.SCT.CalcifiedSutureMaterial,
}
"""Word of `mammo.bi_rads` -> code of CID 6010, Mammography Calcification Types. A word that the group has no code for
(`typically benign`) is written as text. BI-RADS calls `rim` what the 4th edition called eggshell or rim."""

UNCODED = {BENIGN: BENIGN}
"""Text -> the morphology that it states."""

READ_MORPHOLOGIES: dict[str, str] = {
    **{code.value: word for word, code in MORPHOLOGIES.items()},
    codes.SCT.FineLinearCastingCalcification.value: "fine linear or branching",
    codes.SCT.LucentCenteredCalcification.value: "rim",
    codes.SCT.PunctateCalcification.value: "round",
}
"""Code value of CID 6010 -> word. The 5th edition counts lucent-centred among rim, and punctate among round ones."""


def _category(code: Code, number: int) -> Code:
    """Return the code of an assessment category with a meaning of at most 64 characters, which SNOMED CT's exceeds."""
    return Code(code.value, code.scheme_designator, f"Mammography assessment (Category {number})")


CATEGORY_4 = _category(
    codes.SCT.MammographyAssessmentCategory4SuspiciousAbnormalityBiopsyShouldBeConsidered, 4
)
SUSPICIONS: dict[str, Code] = {
    "2": _category(codes.SCT.MammographyAssessmentCategory2BenignFinding, 2),
    "3": _category(codes.SCT.MammographyAssessmentCategory3ProbablyBenignFindingShortIntervalFollowUp, 3),
    **dict.fromkeys(("4A", "4B", "4C"), CATEGORY_4),
    "5": _category(codes.SCT.MammographyAssessmentCategory5HighlySuggestiveOfMalignancy, 5),
}
"""Word of `mammo.bi_rads` -> code of the assessment category. 4A, 4B and 4C are subdivisions of category 4 that have no
codes; which one it is, is written as text."""

READ_SUSPICIONS: dict[str, str] = {SUSPICIONS[word].value: word for word in ("2", "3", "5")}
"""Code value -> word. Category 4 is no word without its subdivision."""

SUSPICION_TEXTS = {f"BI-RADS {word}": word for word in ("4A", "4B", "4C")}
"""Text -> the subdivision that it states."""


DISTRIBUTIONS: dict[str, Code] = {
    "diffuse": codes.SCT.DiffuseCalcificationDistribution,
    "regional": codes.SCT.RegionalCalcificationDistribution,
    "grouped": codes.SCT.GroupedCalcificationDistribution,
    "linear": codes.SCT.LinearCalcificationDistribution,
    "segmental": codes.SCT.SegmentalCalcificationDistribution,
}
"""Word of `mammo.bi_rads` -> code of CID 6012, Calcification Distribution Modifiers."""

READ_DISTRIBUTIONS = {code.value: word for word, code in DISTRIBUTIONS.items()}

CLUSTER = codes.SCT.CalcificationCluster
"""Of CID 6014, Mammography Single Image Findings; the code that a segment of a cluster has too."""

BREAST = codes.SCT.Breast
LATERALITIES: dict[str, Code] = {"L": codes.SCT.Left, "R": codes.SCT.Right}
"""CID 244, Laterality."""

SIDES: dict[str, Code] = {"L": codes.SCT.LeftBreast, "R": codes.SCT.RightBreast}
"""CID 6022, Side."""

CALCIFICATION_TYPE = codes.DCM.CalcificationType
ASSESSMENT_CATEGORY = codes.DCM.AssessmentCategory
CALCIFICATION_DISTRIBUTION = codes.DCM.CalcificationDistribution
NUM_CALCIFICATIONS = codes.DCM.NumberOfCalcifications
LONG_AXIS = codes.SCT.LongAxis
WIDTH = codes.SCT.Width
HEIGHT = codes.DCM.Height
OUTLINE = codes.DCM.Outline
"""Geometric purpose of a region that is the outline of the finding (CID 219)."""

BOUNDED_BY = codes.SCT.BoundedBy
"""Geometric purpose of a region that is the bounding box of a finding without an outline (CID 219)."""


def taken(comments: list[str], known: Mapping[str, str]) -> str | None:
    """Remove the first comment that states a word, and return the word; None if none does."""
    for index, comment in enumerate(comments):
        if comment in known:
            return known[comments.pop(index)]
    return None
