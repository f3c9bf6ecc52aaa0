"""Masks and what is made of them: outlines, vertices, calcifications, sizes in millimetres."""

from mammo.masks.mask import Mask, union

__all__ = ["Mask", "union"]
