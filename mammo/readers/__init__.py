"""The readers of a project: who read what, how long, how much of it, how alike, and whether known cases were found.

tallies          figures of one reader and day, which add up over days and readers
overlap          images that two readers of a project have read
pairs            how alike two readers are in a period
known_cases      tasks whose true findings an administrator has named
project_readers  all of it for one project
"""

from mammo.readers.known_cases import KnownCases
from mammo.readers.overlap import Overlap, overlaps
from mammo.readers.project_readers import ProjectReaders, ReaderRow, names_by_pseudonym, project_readers

__all__ = [
    "KnownCases",
    "Overlap",
    "ProjectReaders",
    "ReaderRow",
    "names_by_pseudonym",
    "overlaps",
    "project_readers",
]
