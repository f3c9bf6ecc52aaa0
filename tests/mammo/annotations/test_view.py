from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.annotations import RevisionHeader, current_view, project_of, revisions_of
from tests.mammo.annotations.bodies import PROJECT, deleted, moment, tasks_deleted, written

# The view is a pure function of the history.

numbers, seconds = st.integers(1, 4), st.integers(0, 5)
histories = st.lists(
    st.one_of(
        st.builds(
            lambda n, s, x, c: written(n, n % 3 + 1, second=s, x=x, cancelled=c),
            numbers,
            seconds,
            st.integers(0, 2),
            st.booleans(),
        ),
        st.builds(deleted, numbers),
        st.builds(tasks_deleted, numbers),
        st.just(("START_TRAINING", {"project": PROJECT})),
    ),
    max_size=8,
)


def view(history):
    revisions = [revision for action, body in history for revision in revisions_of(action, body)]
    headers = [
        RevisionHeader(
            row=index,
            kind=revision.kind,
            annotation=revision.annotation,
            task=revision.task,
            updated_at=revision.updated_at,
            cancelled=revision.cancelled,
            content_hash=revision.content_hash,
            prelabel_version=revision.prelabel_version,
            received_at=datetime(2026, 11, 24, tzinfo=UTC),
        )
        for index, revision in enumerate(revisions)
    ]
    return [(h.annotation, h.task, h.updated_at, h.content_hash) for h in current_view(headers)]


@given(histories, st.data())
def test_order_and_repetition_of_events_do_not_matter(history, data):
    repeated = history + data.draw(st.lists(st.sampled_from(history), max_size=4) if history else st.just([]))
    assert view(data.draw(st.permutations(repeated))) == view(history)


@given(histories)
def test_the_view_holds_exactly_the_newest_of_what_is_neither_deleted_nor_skipped(history):
    seen, gone, tasks_gone = {}, set(), set()
    for action, body in history:
        if action == "ANNOTATION_CREATED":
            annotation = body["annotation"]
            seen.setdefault(annotation["id"], []).append(annotation)
        elif action == "ANNOTATIONS_DELETED":
            gone |= {item["id"] for item in body["annotations"]}
        elif action == "TASKS_DELETED":
            tasks_gone |= {item["id"] for item in body["tasks"]}
    found = {number: updated for number, _, updated, _ in view(history)}
    for number, revisions in seen.items():
        newest = max(revision["updated_at"] for revision in revisions)
        skipped = {r["was_cancelled"] for r in revisions if r["updated_at"] == newest}
        if number in gone or revisions[0]["task"] in tasks_gone or skipped == {True}:
            assert number not in found
        elif skipped == {False}:
            assert found[number].isoformat()[:26] == newest[:26]


words = st.sampled_from(["", "x", "\0", "\ud800", "2026-11-23", moment(1)])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from(
    ["annotation", "annotations", "task", "tasks", "project", "id", "result", "data", "updated_at"]
)


@settings(max_examples=200)
@given(
    st.sampled_from(["ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED", "TASKS_DELETED"]),
    st.dictionaries(keys, json_values | st.dictionaries(keys, json_values, max_size=5), max_size=5),
)
def test_no_body_breaks_the_reader(action, body):
    for revision in revisions_of(action, body):
        assert revision.annotation is not None or revision.task is not None
    assert project_of(body) is None or project_of(body) > 0
