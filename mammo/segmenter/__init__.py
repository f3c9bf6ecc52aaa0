"""MLSAM: segments a lesion from a box and points; a region is embedded once and segmented many times."""

from mammo.segmenter.embedding import RoiEmbedding
from mammo.segmenter.embedding_cache import EmbeddingCache
from mammo.segmenter.roi import Roi
from mammo.segmenter.segmentation import Segmentation
from mammo.segmenter.segmenter import Segmenter

__all__ = ["EmbeddingCache", "Roi", "RoiEmbedding", "Segmentation", "Segmenter"]
