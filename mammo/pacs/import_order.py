"""ImportOrder: which studies of the PACS an import takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from mammo.pacs.query import Query


@dataclass(frozen=True, kw_only=True)
class ImportOrder:
    """What `mammo.pacs.query.find` is asked for. May identify patients."""

    query: Query = field(repr=False)
    priors: bool
    """Whether the earlier studies of the same patients are taken too."""

    limit: int
    """Most studies, without the priors."""

    offset: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError: more studies are named than would be taken."""
        if self.limit < (named := len(set(self.query.studies))):
            raise ValueError(
                f"{named} studies are named, but at most {self.limit} are taken: raise the limit"
            )

    @property
    def what(self) -> str:
        """What is asked for, without anything that names a patient."""
        count = len(self.query.studies)
        studies = f"{count} chosen studies" if count else f"all studies that are found, at most {self.limit}"
        return f"{studies}, with priors" if self.priors else studies

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ImportOrder:
        """Return the order of `to_json`; raises ValueError: it is none."""
        query = {**values["query"], "studies": tuple(values["query"]["studies"])}
        return cls(**{**values, "query": Query(**query)})
