"""MLSAM: a box and points on a mammogram become a mask; embed a region once, segment it many times."""

from mammo.segmenter.segmenter import RoiEmbedding, Segmenter

__all__ = ["RoiEmbedding", "Segmenter"]
