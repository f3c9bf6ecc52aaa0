"""Public weights that a network may start from: where they come from, and how a file of them gets here unharmed.

Nothing here opens such a file: `mammo.detector.public` and `mammo.segmenter.public` turn a verified one into
safetensors. No network is touched unless the caller says so.
"""

from mammo.models.public_weights.catalogue import CATALOGUE, PublicWeights, find, identify
from mammo.models.public_weights.download import Progress, fetch, verify

__all__ = ["CATALOGUE", "Progress", "PublicWeights", "fetch", "find", "identify", "verify"]
