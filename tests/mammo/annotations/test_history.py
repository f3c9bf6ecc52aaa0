"""What is read of a whole project in little is what the rule says of every revision: on both databases."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.annotations import RECONCILED, AnnotationStore, current_view
from mammo.annotations.headers import CorrectionHeader
from mammo.annotations.history import correction_headers, history
from mammo.database import event, open_database, reading, revision, writing
from tests.mammo.annotations.bodies import deleted, tasks_deleted, written
from tests.postgres_server import PostgresServer

RECEIVED = datetime(2026, 11, 23, 5, 17, tzinfo=UTC)

numbers, seconds = st.integers(1, 4), st.integers(0, 5)


def telling(number, task, second, x, cancelled, version, project, action):
    more = {"prediction": {"model_version": version} if version else {}, "completed_by": x + 1}
    _, body = written(number, task, second=second, x=x, cancelled=cancelled, **more)
    return action, body | {"project": {"id": project}}


tellings = st.one_of(
    st.builds(
        telling,
        numbers,
        st.integers(1, 3),
        seconds,
        st.integers(0, 2),
        st.booleans(),
        st.sampled_from([None, "m1", "M1", "m-1", "é"]),  # which a database's own order may mix
        st.sampled_from([1, 1, 1, 2]),
        st.sampled_from(["ANNOTATION_CREATED", "ANNOTATION_UPDATED", RECONCILED]),
    ),
    st.builds(deleted, numbers),
    st.builds(tasks_deleted, numbers),
    # Names no project: it may be of any.
    st.builds(lambda n: ("ANNOTATIONS_DELETED", {"annotations": [{"id": n}]}), numbers),
    st.builds(lambda n: ("TASKS_DELETED", {"tasks": [{"id": n}]}), numbers),
)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A store on each database, emptied for each example."""
    server = PostgresServer().start()
    engines = [
        open_database(url)
        for url in (f"sqlite:///{tmp_path_factory.mktemp('history') / 'b.db'}", server.new_database())
    ]
    stores = [(AnnotationStore(engine), engine) for engine in engines]
    yield stores
    for store, engine in stores:
        store.close()
        engine.dispose()
    server.stop()


def emptied(engine):
    with writing(engine) as connection:
        connection.execute(sa.delete(revision))
        connection.execute(sa.delete(event))


def by_the_rule(engine):
    """The outlines of the current view, from every revision."""
    with reading(engine) as connection:
        headers = list(history(connection, 1))
        rows = {row.id: row for row in connection.execute(sa.select(revision))}
    first_updated_at = {}
    for header in headers:
        if header.kind == "annotation":
            first = first_updated_at.get(header.annotation, header.updated_at)
            first_updated_at[header.annotation] = min(first, header.updated_at)
    return [
        CorrectionHeader(
            header.row,
            header.annotation,
            header.task,
            header.updated_at,
            first_updated_at[header.annotation],
            rows[header.row].completed_by,
            rows[header.row].lead_time,
            header.prelabel_version,
        )
        for header in current_view(headers)
    ]


@settings(max_examples=150)
@given(st.lists(st.tuples(tellings, seconds), max_size=14))
def test_the_correction_headers_of_a_project_are_those_of_its_current_view(stores, events):
    """Late, twice, in any order; annotations and tasks deleted, moved, skipped and come again."""
    for store, engine in stores:
        emptied(engine)
        for (action, body), second in events:
            received = RECEIVED + timedelta(seconds=second)
            store.append(orjson.dumps(body), action=action, received_at=received)
        with reading(engine) as connection:
            found = correction_headers(connection, 1)
        assert found == by_the_rule(engine)
        assert found == store.correction_headers(1), "nothing was submitted automatically"


def test_what_a_project_is_made_of_is_read_from_the_index_alone(stores):
    """SQLite's plan says so; contents lie before what else a row tells, however large they are."""
    store, engine = stores[0]
    emptied(engine)
    store.append(orjson.dumps(written(1, 1)[1]), action="ANNOTATION_CREATED", received_at=RECEIVED)
    seen = []

    def note(connection, _cursor, statement, parameters, *_):
        if not statement.startswith("EXPLAIN"):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            seen.extend(step[-1] for step in plan)

    with reading(engine) as connection:
        sa.event.listen(engine, "before_cursor_execute", note)
        try:
            correction_headers(connection, 1)
        finally:
            sa.event.remove(engine, "before_cursor_execute", note)
    assert seen
    assert any("COVERING INDEX ix_revision_view" in step for step in seen), seen
    assert not any("SCAN" in step or "TEMP B-TREE" in step for step in seen), seen
