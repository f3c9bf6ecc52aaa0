"""HurriedPacs: a PACS that is searched while somebody waits, and asked for nothing more after a deadline."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mammo.errors import PacsError
from mammo.pacs.client import Answer, Level
from mammo.pacs.query import SearchedPacs


@dataclass(frozen=True, kw_only=True)
class HurriedPacs:
    """One search of a PACS. Every request raises PacsError (code `pacs_long_search`) once its time is over."""

    pacs: SearchedPacs
    seconds: float
    """Time limit of the search, from when this was made; a request that has begun is awaited."""

    begun: float = field(default_factory=time.monotonic)

    @property
    def host(self) -> str:
        return self.pacs.host

    def search(
        self,
        level: Level,
        filters: Mapping[str, str],
        *,
        fields: Sequence[str] = (),
        study: str | None = None,
        series: str | None = None,
        limit: int,
        offset: int,
    ) -> list[Answer]:
        self._require_time()
        return self.pacs.search(
            level, filters, fields=fields, study=study, series=series, limit=limit, offset=offset
        )

    def metadata(self, study: str, series: str) -> list[Answer]:
        self._require_time()
        return self.pacs.metadata(study, series)

    def _require_time(self) -> None:
        if time.monotonic() > self.begun + self.seconds:
            raise PacsError(
                f"the PACS at {self.host} takes longer than {self.seconds:.0f} s for this search; narrow it by dates, "
                "or use `yolo-mlsam pacs query`",
                code="pacs_long_search",
            )
