import threading
import time

from mammo.models.champion_announcements import ChampionNews, tell_backends


class Heard:
    """Counts what was heard; `wait` fails when it was not heard often enough in time."""

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


def test_who_listens_hears_each_move_at_once(redis_url):
    heard = Heard()
    news = ChampionNews(redis_url, heard)
    news.start()
    heard.wait(1)  # connected: it looks, for it may have missed something
    for count in (2, 3):
        began = time.monotonic()
        assert tell_backends(redis_url, "m2")
        heard.wait(count)
        assert time.monotonic() - began < 5
    news.stop()
    tell_backends(redis_url, "m3")
    assert heard.count == 3


def test_a_broker_that_went_away_and_came_back_is_listened_to_again(private_redis):
    server, heard = private_redis(), Heard()
    news = ChampionNews(server.url, heard, first_pause=0.05)
    news.start()
    heard.wait(1)
    server.stop()
    assert not tell_backends(server.url, "m2")
    server.start()
    heard.wait(2)  # connected again, it looks for what it missed
    assert tell_backends(server.url, "m3")
    heard.wait(3)
    news.stop()


def test_a_broker_that_was_never_there_disturbs_nobody_and_is_stopped_at_once(tmp_path):
    heard = Heard()
    news = ChampionNews(f"unix://{tmp_path / 'nothing.sock'}", heard, first_pause=0.01)
    news.start()
    began = time.monotonic()
    assert not tell_backends(f"unix://{tmp_path / 'nothing.sock'}", "m2")
    news.stop()
    assert time.monotonic() - began < 10
    assert heard.count == 0
