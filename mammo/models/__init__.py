"""Model versions, the aliases that point at them, and how versions travel between sites."""

from mammo.models.aliases import CHALLENGER, CHAMPION, PREVIOUS, Alias, AliasName, Promotion
from mammo.models.registry import PARTS, STARTER, ModelFiles, ModelRegistry, Note

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PARTS",
    "PREVIOUS",
    "STARTER",
    "Alias",
    "AliasName",
    "ModelFiles",
    "ModelRegistry",
    "Note",
    "Promotion",
]
