"""From what happens to the receiver: noticed once, sent until it is taken, and nothing of a patient in it."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from mammo.annotations import AnnotationStore
from mammo.audit import REFUSED_RUN, append
from mammo.database import writing
from mammo.disk_reserve import NEARLY_FULL, ROOMY_AGAIN
from mammo.errors import InsufficientData, LabelStudioError
from mammo.notifications.outbox import LEASE, PAUSES
from mammo.stages import StageLog
from mammo.stages.service import AUDIT
from tests.mammo.notifications.receivers import mail_server, receiver, verified
from tests.mammo.notifications.services import channel, run, service, versions

NAME = "Doe^Jane"


@pytest.fixture
def there():
    with receiver() as it:
        yield it


def topics(there):
    return [json.loads(body)["topic"] for _, body in there.seen]


def correct(engine, *, project=3, annotation=1, data=None):
    """An annotation, as Label Studio's webhook reports it."""
    body = {
        "action": "ANNOTATION_CREATED",
        "project": {"id": project},
        "task": {"id": 5, "project": project, "data": data or {"image": "x"}},
        "annotation": {
            "id": annotation,
            "task": 5,
            "result": [],
            "completed_by": 1,
            "created_at": "2026-12-01T08:00:00Z",
            "updated_at": "2026-12-01T08:00:00Z",
        },
    }
    store = AnnotationStore(engine)
    store.append(json.dumps(body).encode(), action=body["action"], received_at=datetime.now(UTC))
    store.close()


def send_back(engine, project=3, *, actor=AUDIT):
    log = StageLog(engine)
    log.add(
        project,
        "semi-automatic",
        since=log.current(project),
        actor=actor,
        reason=f"right of the last 50: 0.8 of {NAME}",
        evidence={},
    )


def test_everything_that_happens_is_told_once_and_verified_by_the_receiver(any_engine, there, tmp_path):
    told = service(any_engine)
    added = channel(told, there.url)
    kept, failed = run(any_engine), run(any_engine, error=InsufficientData(f"2 patients, one is {NAME}"))
    first, second = versions(any_engine, tmp_path)
    send_back(any_engine)
    told.round()
    told.round()
    bodies = [json.loads(body) for _, body in there.seen]
    assert [each["topic"] for each in bodies] == [
        "run-finished",
        "run-failed",
        "promoted",
        "promoted",
        "rolled-back",
        "sent-back",
    ]
    assert [each["facts"].get("run") for each in bodies[:2]] == [kept, failed]
    assert bodies[1]["facts"]["failure"] == "bad_data"
    assert [each["facts"].get("model") for each in bodies[2:5]] == [first, second, first]
    assert [each["project"] for each in bodies] == [3, 3, None, None, None, 3]
    key = told.written_key(added)
    assert all(verified(key, headers, body) for headers, body in there.seen)
    assert [each["id"] for each in bodies] == there.ids()
    assert len(set(there.ids())) == 6
    assert {each.state for each in told.outbox.newest()} == {"delivered"}


def test_a_change_of_stage_by_a_person_and_what_came_before_the_channel_are_not_told(engine, there):
    run(engine)
    told = service(engine)
    channel(told, there.url)
    send_back(engine, actor="me@here")
    told.round()
    assert there.seen == []


def test_a_channel_of_a_project_is_told_of_it_and_of_the_site_and_only_of_its_topics(engine, there, tmp_path):
    told = service(engine)
    channel(told, there.url, project=4, topics=["run-finished", "promoted"])
    run(engine, project=3)
    run(engine, project=4)
    versions(engine, tmp_path)
    told.round()
    assert topics(there) == ["run-finished", "promoted", "promoted"]
    assert json.loads(there.seen[0][1])["project"] == 4


def test_a_message_is_repeated_with_the_same_id_and_body_until_it_is_taken(any_engine, there):
    told = service(any_engine)
    channel(told, there.url)
    run(any_engine)
    there.statuses = [500, 503, 200]
    told.round()
    told.round()
    assert len(there.seen) == 1, "not before the pause is over"
    for pause in PAUSES[:2]:
        told.clock.advance(seconds=pause.total_seconds() + 1)
        told.round()
    assert len(set(there.ids())) == 1
    assert len({body for _, body in there.seen}) == 1
    assert len(there.seen) == 3
    (message,) = told.outbox.newest()
    assert (message.state, message.attempts, message.problem) == ("delivered", 3, None)
    told.clock.advance(days=3)
    told.round()
    assert len(there.seen) == 3


def test_a_receiver_that_never_takes_it_is_given_up_after_two_days_and_the_log_says_why(engine, there):
    told = service(engine)
    channel(told, there.url)
    run(engine)
    there.statuses = [500] * 100
    told.round()
    for pause in PAUSES:
        told.clock.advance(seconds=pause.total_seconds() + 1)
        told.round()
    (message,) = told.outbox.newest()
    assert (message.state, message.attempts) == ("failed", len(PAUSES) + 1)
    assert message.problem == "the receiver answered 500"
    assert sum(PAUSES, timedelta(0)) > timedelta(days=2)
    told.clock.advance(days=9)
    told.round()
    assert len(there.seen) == len(PAUSES) + 1


def test_a_receiver_that_says_410_is_not_asked_again(engine, there):
    told = service(engine)
    channel(told, there.url)
    run(engine)
    there.statuses = [410]
    told.round()
    (message,) = told.outbox.newest()
    assert (message.state, message.attempts) == ("failed", 1)


def test_one_receiver_that_fails_keeps_no_other_waiting(engine, there):
    told = service(engine)
    channel(told, "http://127.0.0.1:9/away")
    channel(told, there.url)
    run(engine, project=3)
    run(engine, project=4)
    told.round()
    assert topics(there) == ["run-finished", "run-finished"]
    away = told.outbox.newest(channel=1)
    assert sorted(each.attempts for each in away) == [0, 1], "one attempt a round"


def test_of_two_backends_one_sends_and_a_killed_one_is_followed_after_its_lease(any_engine, there):
    told, other = service(any_engine), service(any_engine)
    channel(told, there.url)
    run(any_engine)
    assert (told.notice(), other.notice()) == (1, 0)
    (waiting,) = told.outbox.due(now=told.clock())
    claimed = told.outbox.claim(waiting, now=told.clock())  # and is killed
    assert claimed is not None
    assert other.outbox.claim(waiting, now=other.clock()) is None
    assert other.send() == 0
    other.clock.advance(seconds=LEASE.total_seconds() + 1)
    assert other.send() == 1
    assert there.ids() == [claimed.message]
    told.outbox.failed(claimed, "the killed one, late", now=told.clock())
    assert told.outbox.get(claimed.id).state == "delivered"


def test_a_removed_channel_gets_nothing_more(engine, there):
    told = service(engine)
    added = channel(told, there.url)
    run(engine)
    told.notice()
    told.channels.remove(added.id, actor="me@here")
    told.send()
    run(engine, project=5)
    told.round()
    assert there.seen == []
    assert len(told.outbox.newest()) == 1


def test_a_run_that_commits_late_under_a_lower_number_is_told_too(postgres, there):
    """In PostgreSQL numbers are given out before the commit."""
    import sqlalchemy as sa

    from mammo.database import run_event, writing

    told = service(postgres)
    channel(told, there.url)
    run(postgres)
    with writing(postgres) as connection:
        last = connection.scalar(sa.select(sa.func.max(run_event.c.id)))
        connection.execute(sa.update(run_event).where(run_event.c.id == last).values(id=last + 2))
    told.round()
    with writing(postgres) as connection:
        name = connection.scalar(sa.select(run_event.c.run).limit(1))
        late = {
            "id": last + 1,
            "run": name,
            "kind": "state",
            "state": "failed",
            "text": "",
            "at": datetime.now(UTC),
        }
        connection.execute(sa.insert(run_event).values(late))
    told.round()
    assert topics(there) == ["run-finished", "run-failed"]
    told.clock.advance(hours=1)
    told.round()
    assert told.outbox.cursors()["runs"] == last + 2


def test_silence_is_told_once_after_the_channels_days_and_again_after_the_next_correction(any_engine, there):
    told = service(any_engine)
    channel(told, there.url, quiet_days=3)
    correct(any_engine)
    told.round()
    told.clock.advance(days=2.9)
    told.round()
    assert there.seen == []
    told.clock.advance(days=0.2)
    told.round()
    told.clock.advance(days=30)
    told.round()
    ((_, body),) = there.seen
    content = json.loads(body)
    assert (content["topic"], content["project"]) == ("corrections-stopped", 3)
    told.clock.passed = timedelta(0)
    told._looked_at -= timedelta(days=60)
    correct(any_engine, annotation=2)
    told.clock.advance(days=3.1)
    told.round()
    assert topics(there) == ["corrections-stopped"] * 2


class Client:
    """Label Studio with a number of tasks and annotated ones."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def project(self, project):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"task_number": answer[0], "num_tasks_with_annotations": answer[1]}


@pytest.mark.parametrize(
    ("answer", "is_told"),
    [
        ((10, 9), True),
        ((10, 10), False),
        (LabelStudioError("gone", code="label_studio_404"), False),
        (LabelStudioError("away", code="label_studio_unreachable"), True),
    ],
)
def test_silence_of_a_project_without_tasks_left_is_no_news(engine, there, answer, is_told):
    told = service(engine, client=Client(answer))
    channel(told, there.url)
    correct(engine)
    told.clock.advance(days=8)
    told.round()
    assert topics(there) == ["corrections-stopped"] * is_told


def test_a_disk_that_fills_up_is_told_once_until_there_was_room_again(any_engine, there):
    told = service(any_engine)
    channel(told, there.url, project=3)
    for free in (
        ROOMY_AGAIN,
        NEARLY_FULL - 1,
        NEARLY_FULL - 2,
        NEARLY_FULL + 1,
        NEARLY_FULL - 1,
        ROOMY_AGAIN,
        NEARLY_FULL - 1,
    ):
        told.free_bytes = lambda _folder, free=free: free
        told.round()
    contents = [json.loads(body) for _, body in there.seen]
    assert [each["topic"] for each in contents] == ["disk-nearly-full"] * 2
    assert contents[0]["facts"] == {"host": "reading-room", "free_bytes": NEARLY_FULL - 1}


def test_a_data_folder_that_is_away_keeps_no_other_notice_back(engine, there, tmp_path):
    from mammo.notifications import NotificationService

    told = service(engine)
    told.folder = tmp_path / "not mounted"
    told.free_bytes = NotificationService.__dataclass_fields__["free_bytes"].default
    channel(told, there.url)
    run(engine)
    told.round()
    assert topics(there) == ["run-finished"]


def test_the_free_space_is_that_of_the_disk_of_the_data_folder(small_disk, engine, there):
    from mammo.notifications import NotificationService

    told = service(engine)
    told.folder = small_disk.folder
    told.free_bytes = NotificationService.__dataclass_fields__["free_bytes"].default
    channel(told, there.url)
    told.round()
    assert json.loads(there.seen[0][1])["facts"]["free_bytes"] <= 160 * 2**20


def test_a_test_is_sent_at_once_and_is_in_the_log_however_it_ends(engine, there):
    told = service(engine)
    added = channel(told, there.url)
    assert told.test(added.id).state == "delivered"
    there.statuses = [500]
    failed = told.test(added.id)
    assert (failed.state, failed.problem) == ("failed", "the receiver answered 500")
    told.clock.advance(days=1)
    told.round()
    assert topics(there) == ["test", "test"], "a test is not repeated"


def test_nothing_of_a_patient_is_in_any_message(any_engine, there, tmp_path):
    """Names are in the task data, in what people typed as reasons, and in what a failure quotes."""
    with mail_server(tmp_path, tls="none") as mails:
        told = service(any_engine, smtp_url=f"smtp://127.0.0.1:{mails.port}")
        channel(told, there.url)
        channel(told, "admin@hospital.example", kind="email")
        channel(told, "", kind="note")
        correct(any_engine, data={"image": f"/data/{NAME}.png", "patient": NAME, "PatientName": NAME})
        run(any_engine, reason=f"because of {NAME}")
        run(any_engine, error=InsufficientData(f"the only positive is {NAME}"))
        run(any_engine, error=KeyError(NAME))
        versions(any_engine, tmp_path, why=f"better on {NAME}")
        send_back(any_engine)
        with writing(any_engine) as connection:
            append(
                connection, actor="a test", action=REFUSED_RUN, subject="project 3", reason="too few patients"
            )
        told.free_bytes = lambda _folder: 0
        told.round()
        told.clock.advance(days=7.1)
        told.round()
        notes = told.notes(3)
        sent = [body.decode() + str(headers) for headers, body in there.seen]
        sent += [str(each) for each in mails.mails]
    from mammo.notifications import TOPICS

    assert set(topics(there)) == set(TOPICS), "each topic was sent"
    assert len(mails.mails) == len(there.seen) == 10
    assert notes
    for text in (*sent, *notes):
        assert "doe" not in text.lower()
        assert "jane" not in text.lower()
    assert NAME not in str([each.to_json() for each in told.outbox.newest()])


def test_notes_are_the_newest_news_of_the_project_for_a_week(engine):
    told = service(engine)
    channel(told, "", kind="note", project=3)
    send_back(engine)
    run(engine, project=4)
    told.round()
    (note,) = told.notes(3)
    assert "The audit sent project 3 back" in note
    assert told.notes(4) == []
    assert told.notes(None) == []
    told.clock.advance(days=8)
    assert told.notes(3) == []
