"""Ledger: where a retrain writes down how far it is, so that it can go on there after a kill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sqlalchemy.engine import Connection, Engine

from mammo.database import writing
from mammo.runs import State


class Ledger(Protocol):
    """`mammo.runs.RunLedger` in earnest; every method may raise `Cancelled`."""

    def enter(self, state: State) -> None: ...

    def result(self, stage: str) -> dict[str, Any] | None: ...

    def keep(self, stage: str, result: Mapping[str, Any]) -> dict[str, Any]: ...

    def log(self, text: str) -> None: ...

    def end(
        self,
        state: State,
        outcome: Mapping[str, Any],
        *,
        reason: str,
        also: Callable[[Connection], object] | None = None,
    ) -> None: ...


class Unrecorded:
    """Remembers nothing beyond this process: for a retrain that is no run of the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._results: dict[str, dict[str, Any]] = {}

    def enter(self, state: State) -> None:
        """Nobody looks."""

    def result(self, stage: str) -> dict[str, Any] | None:
        return self._results.get(stage)

    def keep(self, stage: str, result: Mapping[str, Any]) -> dict[str, Any]:
        return self._results.setdefault(stage, dict(result))

    def log(self, text: str) -> None:
        """Nobody reads."""

    def end(
        self,
        state: State,
        outcome: Mapping[str, Any],
        *,
        reason: str,
        also: Callable[[Connection], object] | None = None,
    ) -> None:
        if also is not None:
            with writing(self._engine) as connection:
                also(connection)
        self.keep("outcome", outcome)
