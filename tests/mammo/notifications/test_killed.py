"""A real process is killed while its message is on the way: the message arrives again, with the same id and body."""

import multiprocessing
import os
import signal

from mammo.database import open_database
from mammo.notifications.outbox import LEASE
from tests.mammo.notifications.receivers import receiver
from tests.mammo.notifications.services import channel, run, service


def one_round(url):
    """What a backend does every few seconds."""
    service(open_database(url)).round()


def test_a_delivery_is_not_lost_by_a_kill_and_its_repetition_has_the_same_id(engine):
    told = service(engine)
    with receiver() as there:
        channel(told, there.url)
        run(engine)
        there.delay = 30  # the receiver has the message, and the sender no answer yet
        process = multiprocessing.get_context("spawn").Process(target=one_round, args=(str(engine.url),))
        process.start()
        assert there.arrived.wait(60)
        os.kill(process.pid, signal.SIGKILL)
        process.join(20)
        there.delay = 0
        (left,) = told.outbox.newest()
        assert (left.state, left.attempts) == ("waiting", 1)
        told.round()
        assert len(there.seen) == 1, "the claim of the killed process still holds"
        told.clock.advance(seconds=LEASE.total_seconds() + 1)
        told.round()
    (first, second) = there.seen
    assert first[0]["webhook-id"] == second[0]["webhook-id"] == left.message
    assert first[1] == second[1]
    assert told.outbox.get(left.id).state == "delivered"


def test_a_kill_between_what_happens_and_the_outbox_loses_nothing(engine):
    """Nothing has to be written when a run ends: the run itself is the record."""
    told = service(engine)
    with receiver() as there:
        channel(told, there.url)
        run(engine)
        process = multiprocessing.get_context("spawn").Process(target=one_round, args=(str(engine.url),))
        process.start()
        process.kill()
        process.join(20)
        told.clock.advance(seconds=LEASE.total_seconds() + 1)
        told.round()
    assert len(set(there.ids())) == 1
