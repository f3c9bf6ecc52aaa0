"""Backgrounds: real mammograms without suspicious calcifications, into which the training inserts phantom clusters."""

from mammo.backgrounds.background import Background, BackgroundSet
from mammo.backgrounds.catalogue import PUBLIC_SETS, PublicSet
from mammo.backgrounds.library import Backgrounds

__all__ = ["PUBLIC_SETS", "Background", "BackgroundSet", "Backgrounds", "PublicSet"]
