"""MLSAM: segments a lesion from a box and points; a region is embedded once and segmented many times.

`sam_networks` is imported first, because this package is the only one that imports segment_anything.
"""

from mammo.segmenter import sam_networks

# isort: split

from mammo.segmenter.embedding import RoiEmbedding
from mammo.segmenter.embedding_cache import EmbeddingCache
from mammo.segmenter.roi import Roi
from mammo.segmenter.segmentation import Segmentation
from mammo.segmenter.segmenter import Segmenter

__all__ = ["EmbeddingCache", "Roi", "RoiEmbedding", "Segmentation", "Segmenter", "sam_networks"]
