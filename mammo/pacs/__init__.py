"""A site's PACS: DICOMweb queries, images from it, results to it."""

from mammo.pacs.client import PacsClient

__all__ = ["PacsClient"]
