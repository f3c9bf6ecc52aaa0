"""Public weights that a network may start from, and where they come from.

Nothing here opens such a file: `mammo.detector.public` and `mammo.segmenter.public` turn one that
`mammo.pinned_files` has verified into safetensors. No network is touched unless the caller says so.
"""

from mammo.models.public_weights.catalogue import CATALOGUE, PublicWeights, find, identify

__all__ = ["CATALOGUE", "PublicWeights", "find", "identify"]
