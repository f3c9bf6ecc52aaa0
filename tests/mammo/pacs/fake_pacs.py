"""FakePacs: a PACS in memory, for tests of what asks one; it ignores what it is asked for, as some do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset

from mammo.errors import PacsError

KEYS = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}


class FakePacs:
    """Holds files; `down` makes every request fail."""

    host = "pacs.example"

    def __init__(self, *files: Path) -> None:
        self.files = {
            str(pydicom.dcmread(each, stop_before_pixels=True).SOPInstanceUID): each for each in files
        }
        self.stored: list[Dataset] = []
        self.down = False
        self.num_retrieved = 0

    def search(
        self,
        level: str,
        filters: Mapping[str, str],
        *,
        study: str | None = None,
        series: str | None = None,
        limit: int,
        offset: int,
        **_: Any,
    ) -> list[dict[str, Any]]:
        self._reach()
        found = {}
        for each in map(self._header, self.files.values()):
            if study in (None, each.StudyInstanceUID) and series in (None, each.SeriesInstanceUID):
                found.setdefault(each[KEYS[level]].value, each.to_json_dict())
        return list(found.values())[offset : offset + limit]

    def metadata(self, study: str, series: str) -> list[dict[str, Any]]:
        return self.search("instances", {}, study=study, series=series, limit=1000, offset=0)

    def retrieve(self, study: str, series: str, instance: str, into: BinaryIO, *, max_bytes: int) -> int:
        self._reach()
        self.num_retrieved += 1
        return into.write(self.files[instance].read_bytes())

    def store(self, data_sets: list[Dataset], *, study: str) -> dict[str, Any]:
        self._reach()
        self.stored += data_sets
        items = [{"00081155": {"vr": "UI", "Value": [str(each.SOPInstanceUID)]}} for each in data_sets]
        return {"00081199": {"vr": "SQ", "Value": items}}

    def close(self) -> None:
        pass

    def _reach(self) -> None:
        if self.down:
            raise PacsError("the PACS at pacs.example cannot be reached", code="pacs_unreachable")

    @staticmethod
    def _header(file: Path) -> Dataset:
        header = pydicom.dcmread(file, stop_before_pixels=True)
        header.remove_private_tags()
        return header
