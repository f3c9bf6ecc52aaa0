"""MLSAM: a box and points on a mammogram become a mask; embed a region once, segment it many times."""

from mammo.segmenter.embedding import RoiEmbedding
from mammo.segmenter.embedding_cache import EmbeddingCache
from mammo.segmenter.roi import Roi
from mammo.segmenter.segmentation import Segmentation
from mammo.segmenter.segmenter import Segmenter

__all__ = ["EmbeddingCache", "Roi", "RoiEmbedding", "Segmentation", "Segmenter"]
