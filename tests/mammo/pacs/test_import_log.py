"""An import that was asked for is kept without anything that names a patient, until it has ended and beyond."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.database import pacs_import, reading
from mammo.errors import ImportConflict, PacsError, UnknownImport
from mammo.pacs import Query
from mammo.pacs.import_log import ImportLog
from mammo.pacs.import_order import ImportOrder

SECRET = b"a secret of the site"
ORDER = ImportOrder(
    query=Query(studies=("1.2.3",), patient="PID-4711", accession="ACC-9", view="CC", laterality="L"),
    priors=True,
    limit=50,
    offset=3,
)


def test_an_order_comes_back_as_it_was_and_names_nobody_in_the_database(any_engine: Engine) -> None:
    log = ImportLog(any_engine, SECRET)
    number = log.add(ORDER, project=7, actor="ann")
    assert log.order(number) == ORDER
    with reading(any_engine) as connection:
        (row,) = connection.execute(sa.select(pacs_import)).all()
    shown = repr(row) + repr(ORDER) + repr(log.get(number).to_json())
    assert [planted for planted in ("4711", "ACC-9", "1.2.3") if planted in shown] == []
    assert log.get(number).what == "1 chosen studies, with priors"


def test_it_waits_ends_and_may_wait_again(engine: Engine) -> None:
    log = ImportLog(engine, SECRET)
    first, second = (log.add(ORDER, project=project, actor="ann") for project in (7, 8))
    log.ended(first, outcome={"tasks_new": 4}, problem="x" * 1000)
    ended = log.get(first)
    assert (ended.state, ended.outcome, len(ended.problem or "")) == ("failed", {"tasks_new": 4}, 400)
    assert ended.ended_at is not None
    log.reopen(first)
    assert (log.get(first).state, log.get(first).problem) == ("waiting", None)
    log.ended(first, outcome={}, problem=None)
    assert log.get(first).state == "finished"
    assert [each.id for each in log.newest(limit=9)] == [second, first]
    assert [each.id for each in log.newest(project=7, limit=9)] == [first]
    log.remove(second)
    with pytest.raises(UnknownImport, match=f"no import {second}"):
        log.get(second)


def test_only_what_waits_is_stopped_and_it_stays_stopped(any_engine: Engine) -> None:
    log = ImportLog(any_engine, SECRET)
    number = log.add(ORDER, project=7, actor="ann")
    log.stop(number, actor="lena")
    with pytest.raises(ImportConflict, match=r"has ended \(stopped\)"):
        log.stop(number, actor="lena")
    log.ended(number, outcome={"tasks_new": 1}, problem=None)
    found = log.get(number)
    assert (found.state, found.outcome) == ("stopped", {"tasks_new": 1})
    log.reopen(number)
    log.restore(found)
    assert log.get(number) == found
    with pytest.raises(UnknownImport):
        log.stop(99, actor="lena")


def test_with_another_secret_an_order_is_refused(engine: Engine) -> None:
    number = ImportLog(engine, SECRET).add(ORDER, project=7, actor="ann")
    with pytest.raises(PacsError, match="YOLO_MLSAM_PATIENT_SECRET") as refused:
        ImportLog(engine, b"another secret of the site").order(number)
    assert refused.value.code == "pacs_other_secret"
    with pytest.raises(UnknownImport):
        ImportLog(engine, SECRET).order(99)
