"""Codes of structured reports. All values are those of the standard's context groups, as pydicom carries them."""

from __future__ import annotations

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

MORPHOLOGIES: dict[str, Code] = {
    "amorphous": codes.SCT.AmorphousCalcification,
    "coarse heterogeneous": codes.SCT.HeterogeneousCalcification,
    "fine pleomorphic": codes.DCM.FinePleomorphicCalcification,
    "fine linear or branching": codes.SCT.FineLinearBranchingCastingCalcification,
}
"""Word of `mammo.bi_rads` -> code of CID 6010, Mammography Calcification Types. A word that the group has no code for
(`typically benign`) is written as text."""

BENIGN = "typically benign"
READ_MORPHOLOGIES: dict[str, str] = {
    **{code.value: word for word, code in MORPHOLOGIES.items()},
    codes.SCT.FineLinearCastingCalcification.value: "fine linear or branching",
    **{
        code.value: BENIGN
        for code in (
            codes.SCT.CalcifiedSkinOfBreast,
            codes.SCT.CalcifiedSutureMaterial,
            codes.SCT.CoarsePopcornLikeCalcification,
            codes.SCT.DystrophicCalcification,
            codes.SCT.EggshellCalcification,
            codes.SCT.LargeRodLikeCalcification,
            codes.SCT.LucentCenteredCalcification,
            codes.SCT.MilkOfCalciumCalcification,
            codes.SCT.PunctateCalcification,
            codes.SCT.RoundShapedCalcification,
            codes.SCT.VascularCalcificationRadiographicFinding,
        )
    },
}
"""Code value of CID 6010 -> word: other programs write kinds that BI-RADS calls typically benign."""

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
CALCIFICATION_DISTRIBUTION = codes.DCM.CalcificationDistribution
NUM_CALCIFICATIONS = codes.DCM.NumberOfCalcifications
LONG_AXIS = codes.SCT.LongAxis
WIDTH = codes.SCT.Width
HEIGHT = codes.DCM.Height
OUTLINE = codes.DCM.Outline
"""Geometric purpose of a region that is the outline of the finding (CID 219)."""

BOUNDED_BY = codes.SCT.BoundedBy
"""Geometric purpose of a region that is the bounding box of a finding without an outline (CID 219)."""
