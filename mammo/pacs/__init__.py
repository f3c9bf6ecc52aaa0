"""A site's PACS: DICOMweb queries, images from it, results to it."""

from mammo.pacs.client import PacsClient
from mammo.pacs.importing import PacsOutcome, record_retrieval, retrieve_studies
from mammo.pacs.query import FoundImage, Query, find
from mammo.pacs.retrieving import Retriever
from mammo.pacs.uid_map import UidMap

__all__ = [
    "FoundImage",
    "PacsClient",
    "PacsOutcome",
    "Query",
    "Retriever",
    "UidMap",
    "find",
    "record_retrieval",
    "retrieve_studies",
]
