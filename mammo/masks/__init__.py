"""Binary masks, and what is derived from them: outlines, polygons, calcification instances, sizes in millimetres."""

from mammo.masks.budget import PixelBudget
from mammo.masks.mask import Mask, union

__all__ = ["Mask", "PixelBudget", "union"]
