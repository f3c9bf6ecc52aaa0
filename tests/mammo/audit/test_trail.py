"""The audit trail is a chain: whatever is changed or taken out of it is found."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from mammo.audit import GENESIS, AuditTrail, append
from mammo.database import audit_entry, writing


def write(engine, count=3):
    for number in range(count):
        with writing(engine) as connection:
            append(
                connection,
                actor="anna",
                action="run started",
                subject=f"run {number}",
                reason="why\0 \ud800 é",
            )


def test_what_is_written_is_read_back_and_verified(any_engine):
    write(any_engine)
    trail = AuditTrail(any_engine)
    assert [entry.subject for entry in trail.newest()] == ["run 2", "run 1", "run 0"]
    assert [entry.subject for entry in trail.newest(before=3, limit=1)] == ["run 1"]
    result = trail.verify()
    assert (result.num_entries, result.problem) == (3, None)
    assert result.head == trail.newest(limit=1)[0].hash


def test_an_empty_chain_is_whole(engine):
    assert AuditTrail(engine).verify().head == GENESIS


@pytest.mark.parametrize("field", ["actor", "action", "subject", "reason", "at", "hash"])
def test_a_changed_entry_is_found(engine, field):
    write(engine)
    value = {"hash": "f" * 64, "at": AuditTrail(engine).newest()[0].at}.get(field, "another")
    with writing(engine) as connection:
        connection.execute(sa.update(audit_entry).where(audit_entry.c.number == 2).values({field: value}))
    result = AuditTrail(engine).verify()
    assert result.num_entries == 1
    assert "entry 2" in result.problem


def test_a_removed_entry_is_found(engine):
    write(engine)
    with writing(engine) as connection:
        connection.execute(sa.delete(audit_entry).where(audit_entry.c.number == 2))
    assert AuditTrail(engine).verify().problem == "entry 2 is missing"


def test_a_removed_end_is_found_by_whoever_noted_the_newest_hash(engine):
    write(engine)
    trail = AuditTrail(engine)
    noted = trail.verify().head
    write(engine, 1)
    assert trail.verify(noted=noted).problem is None
    with writing(engine) as connection:
        connection.execute(sa.delete(audit_entry).where(audit_entry.c.number >= 3))
    assert trail.verify().problem is None, "a shorter chain is whole"
    assert "its end was removed" in trail.verify(noted=noted).problem


def test_a_failed_transaction_leaves_no_entry(engine):
    def interrupted():
        with writing(engine) as connection:
            append(connection, actor="a", action="run started", subject="r", reason="")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert AuditTrail(engine).newest() == []


def test_writers_at_once_make_one_chain(any_engine):
    writers = [threading.Thread(target=write, args=(any_engine, 10)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert AuditTrail(any_engine).verify().num_entries == 40
    assert AuditTrail(any_engine).verify().problem is None
