import threading
import time

from mammo.broker import redis_connection
from mammo.models.champion_announcements import ChampionListener, announce_champion


class Announcements:
    """Counts announcements; `wait` fails if there are too few in time."""

    def __init__(self):
        self.count = 0
        self._changed = threading.Condition()

    def __call__(self):
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait(self, count, seconds=20):
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, timeout=seconds), self.count


def test_a_listener_is_called_at_each_move(redis_url):
    announcements = Announcements()
    listener = ChampionListener(redis_connection(redis_url), announcements)
    listener.start()
    announcements.wait(1)  # connected: it may have missed announcements
    for count in (2, 3):
        began = time.monotonic()
        assert announce_champion(redis_connection(redis_url), "m2")
        announcements.wait(count)
        assert time.monotonic() - began < 5
    listener.stop()
    announce_champion(redis_connection(redis_url), "m3")
    assert announcements.count == 3


def test_the_listener_reconnects_after_an_outage_of_redis(private_redis):
    server, announcements = private_redis(), Announcements()
    listener = ChampionListener(redis_connection(server.url), announcements, first_pause=0.05)
    listener.start()
    announcements.wait(1)
    server.stop()
    assert not announce_champion(redis_connection(server.url), "m2")
    server.start()
    announcements.wait(2)  # connected again, it may have missed announcements
    assert announce_champion(redis_connection(server.url), "m3")
    announcements.wait(3)
    listener.stop()


def test_without_redis_nothing_fails_and_stopping_is_immediate(tmp_path):
    announcements = Announcements()
    listener = ChampionListener(
        redis_connection(f"unix://{tmp_path / 'nothing.sock'}"), announcements, first_pause=0.01
    )
    listener.start()
    began = time.monotonic()
    assert not announce_champion(redis_connection(f"unix://{tmp_path / 'nothing.sock'}"), "m2")
    listener.stop()
    assert time.monotonic() - began < 10
    assert announcements.count == 0
