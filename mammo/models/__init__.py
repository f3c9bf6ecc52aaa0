"""Model registry: model versions, their aliases, and bundles that carry versions between installations."""

from mammo.models.aliases import CHALLENGER, CHAMPION, PREVIOUS, Alias, AliasName, Promotion
from mammo.models.manifests import PARTS, PROVISIONAL, STAYS_AT_SITE
from mammo.models.pins import Pin, ProjectPins
from mammo.models.provisional import Provisional, ProvisionalModels
from mammo.models.registry import STARTER, UNUSABLE, ModelFiles, ModelRegistry, Note

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PARTS",
    "PREVIOUS",
    "PROVISIONAL",
    "STARTER",
    "STAYS_AT_SITE",
    "UNUSABLE",
    "Alias",
    "AliasName",
    "ModelFiles",
    "ModelRegistry",
    "Note",
    "Pin",
    "ProjectPins",
    "Promotion",
    "Provisional",
    "ProvisionalModels",
]
