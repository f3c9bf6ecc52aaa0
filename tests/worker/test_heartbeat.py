import threading

from mammo.errors import Cancelled, StorageUnavailable
from worker.heartbeat import heartbeat


class FakeLedger:
    def __init__(self, *answers):
        self.answers = list(answers)
        self.beats = 0
        self.enough = threading.Event()

    def beat(self):
        self.beats += 1
        answer = self.answers.pop(0) if self.answers else None
        if not self.answers:
            self.enough.set()
        if answer is not None:
            raise answer


def test_it_beats_beside_the_work_through_an_outage_of_the_database_and_ends_with_it():
    ledger = FakeLedger(None, StorageUnavailable("gone"), None, None)
    with heartbeat(ledger, every=0.001):
        assert ledger.enough.wait(30)
    beats = ledger.beats
    assert beats >= 4
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_it_stops_when_the_run_was_cancelled():
    ledger = FakeLedger(Cancelled("by hand"))
    with heartbeat(ledger, every=0.001):
        assert ledger.enough.wait(30)
        (thread,) = [each for each in threading.enumerate() if each.name == "heartbeat"] or [None]
        if thread is not None:
            thread.join(30)
    assert ledger.beats == 1
