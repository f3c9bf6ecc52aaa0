"""AuditTrail: reads and verifies the chain. `append` adds to it, in the transaction of what it reports.

A change of an entry, or the removal of one before the last, breaks the chain. Removed entries at its end leave a
shorter chain that is whole: whoever notes the newest hash elsewhere, as `audit verify` prints it, sees that too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.audit.entries import GENESIS, Action, Entry
from mammo.database import audit_entry, reading

CHAIN_LOCK = 0x61756469
"""Advisory lock that a transaction holds on PostgreSQL from its first entry on; SQLite has one writer anyway."""

BATCH = 1000


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Result of verifying the chain."""

    num_entries: int
    head: str
    """Hash of the newest entry; `GENESIS` of an empty chain."""

    problem: str | None
    """What is wrong, and from which entry on; None if the chain is whole."""


def append(connection: Connection, *, actor: str, action: Action, subject: str, reason: str) -> None:
    """Append an entry, in the transaction of what it reports."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({CHAIN_LOCK})")
    newest = (
        sa.select(audit_entry.c.number, audit_entry.c.hash).order_by(audit_entry.c.number.desc()).limit(1)
    )
    last = connection.execute(newest).one_or_none()
    number, previous = (last.number + 1, last.hash) if last else (1, GENESIS)
    # The hash is computed from what is written: the fields of an entry that has none yet.
    entry = Entry(
        number=number,
        at=datetime.now(UTC),
        actor=actor,
        action=action,
        subject=subject,
        reason=reason,
        previous=previous,
        hash="",
    )
    connection.execute(sa.insert(audit_entry).values({**asdict(entry), "hash": entry.computed_hash()}))


class AuditTrail:
    """Reads the chain. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def newest(self, *, before: int | None = None, limit: int = 100) -> list[Entry]:
        """Return entries, newest first.

        Args:
            before: number of an entry; only earlier ones are returned.
        """
        statement = sa.select(audit_entry).order_by(audit_entry.c.number.desc()).limit(limit)
        if before is not None:
            statement = statement.where(audit_entry.c.number < before)
        with reading(self._engine) as connection:
            return [Entry(**row._asdict()) for row in connection.execute(statement)]

    def entries(self) -> Iterator[Entry]:
        """Yield all entries, oldest first."""
        after = 0
        while True:
            statement = (
                sa.select(audit_entry)
                .where(audit_entry.c.number > after)
                .order_by(audit_entry.c.number)
                .limit(BATCH)
            )
            with reading(self._engine) as connection:
                entries = [Entry(**row._asdict()) for row in connection.execute(statement)]
            yield from entries
            if len(entries) < BATCH:
                return
            after = entries[-1].number

    def verify(self, *, noted: str | None = None) -> Verification:
        """Compute every hash again.

        Args:
            noted: a hash that was the newest at some time; the chain must still hold it.
        """
        number, head, seen = 0, GENESIS, noted in (None, GENESIS)
        for entry in self.entries():
            problem = None
            if entry.number != number + 1:
                problem = f"entry {number + 1} is missing"
            elif entry.previous != head:
                problem = f"entry {entry.number} does not continue entry {number}"
            elif entry.computed_hash() != entry.hash:
                problem = f"entry {entry.number} was changed after it was written"
            if problem is not None:
                return Verification(num_entries=number, head=head, problem=problem)
            number, head = entry.number, entry.hash
            seen = seen or head == noted
        problem = (
            None if seen else f"the chain does not hold the entry with the hash {noted}: its end was removed"
        )
        return Verification(num_entries=number, head=head, problem=problem)
