"""A slow image holds no place of the networks: other tasks overtake it, and clicks and tasks have their own threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from backend.batch import AHEAD
from mammo.errors import ImageUnavailable
from mammo.images.task_images import LocalImage
from mammo.labelstudio import labeling_config
from tests.backend.backlogs import is_done_within
from tests.backend.fakes import Backend
from tests.backend.test_suggestions import clicked
from tests.waiting import until

SLOW, SOUND, LOCAL = "/slow.png", "/x.png", "/file.png"


def task(number: int, image: str = SOUND) -> dict[str, Any]:
    named = {"mammogram": "a.dcm"} if image == LOCAL else {}
    return {"id": number, "data": {"image": image, "sha256": f"{number:064d}", **named}}


class SlowServer:
    """Holds every download of `/slow.png` until it is released; then the server fails, or sends the image."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.fails = False
        self.num_begun = 0
        self._lock = threading.Lock()

    def __call__(self, data: Mapping[str, Any]) -> None:
        if data["image"] != SLOW:
            return
        with self._lock:
            self.num_begun += 1
        assert self.released.wait(60)
        if self.fails:
            raise ImageUnavailable("the server is too slow", code="image_too_slow")

    def wait_for(self, num_begun: int) -> None:
        until(lambda: self.num_begun >= num_begun)


@pytest.fixture
def server() -> SlowServer:
    return SlowServer()


@pytest.fixture
def backend(server: SlowServer) -> Iterator[Backend]:
    with serving(server) as backend, backend.client:
        yield backend


@contextmanager
def serving(server: SlowServer, **settings: Any) -> Iterator[Backend]:
    backend = Backend(changes=settings)
    backend.images.downloading = server
    try:
        yield backend
    finally:
        server.released.set()  # otherwise the threads of the test would be waited for


@pytest.fixture
def senders() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(60) as executor:
        yield executor


def predict(backend: Backend, *tasks: dict[str, Any]) -> list[Any]:
    results: list[Any] = backend.predict(*tasks, label_config=labeling_config()).json()["results"]
    return results


def click(backend: Backend, task: dict[str, Any]) -> Any:
    context = {"result": [clicked(12, 30, positive=True)]}
    return backend.predict(task, params={"context": context}, label_config=labeling_config()).json()[
        "results"
    ][0]


@pytest.mark.parametrize("image", [SOUND, LOCAL])
def test_slow_tasks_hold_no_place_that_others_need(
    backend: Backend, server: SlowServer, senders: ThreadPoolExecutor, image: str
) -> None:
    slow = [senders.submit(predict, backend, task(number, SLOW)) for number in range(20)]
    server.wait_for(20)
    (sound,) = predict(backend, task(99, image))
    assert sound["result"]
    assert "reason" not in sound
    assert not any(each.done() for each in slow)
    server.released.set()
    assert all(each.result()[0]["result"] for each in slow)


def test_slow_clicks_hold_no_place_that_others_need_and_tasks_neither(
    backend: Backend, server: SlowServer, senders: ThreadPoolExecutor
) -> None:
    slow = [senders.submit(click, backend, task(number, SLOW)) for number in range(20)]
    slow += [senders.submit(predict, backend, task(number, SLOW)) for number in range(20, 40)]
    server.wait_for(40)
    assert click(backend, task(98))["result"]
    assert predict(backend, task(99))[0]["result"]
    assert not any(each.done() for each in slow)
    assert {purpose for purpose, _ in backend.images.fetched} == {"click", "task"}
    server.released.set()  # else the senders wait for the end of their downloads


def test_the_tasks_of_one_request_overtake_a_slow_one_and_the_results_keep_their_order(
    backend: Backend, server: SlowServer, senders: ThreadPoolExecutor
) -> None:
    server.fails = True
    tasks = [task(0, SLOW), *(task(number) for number in range(1, 8))]
    request: Future[list[Any]] = senders.submit(predict, backend, *tasks)
    until(lambda: len(backend.store.prelabels) >= 7)
    assert not request.done()
    server.released.set()
    first, *others = request.result()
    assert (first["reason"], first["model_version"]) == ("image_too_slow", "m1+unfinished")
    assert all(other["result"] and "reason" not in other for other in others)
    for number, other in enumerate(others, start=1):
        assert backend.store.prelabels[3, number, "m1"].regions == other["result"]


def test_a_request_downloads_a_few_images_ahead_and_not_all(
    backend: Backend, server: SlowServer, senders: ThreadPoolExecutor
) -> None:
    request = senders.submit(predict, backend, *(task(number, SLOW) for number in range(12)))
    server.wait_for(AHEAD)
    time.sleep(0.2)
    assert server.num_begun == AHEAD
    server.released.set()
    assert all(result["result"] for result in request.result())
    assert server.num_begun == 12


def test_a_download_gets_the_deadline_of_its_request(server: SlowServer) -> None:
    with serving(server, predict_seconds=20.0) as backend:
        begun = time.monotonic()
        predict(backend, task(1))
        click(backend, task(2))
        ended = time.monotonic()
    for _, deadline in backend.images.fetched:
        assert deadline is not None
        assert begun + 20 <= deadline <= ended + 20


def test_an_image_that_the_request_has_no_time_for_is_finished_after_it(server: SlowServer) -> None:
    """As one that takes longer than Label Studio waits, although its server is not too slow."""

    def takes_all_the_time(data: Mapping[str, Any]) -> None:
        if backend.images.fetched[-1][0] == "task":
            time.sleep(1.0)
            raise ImageUnavailable("the deadline has passed", code="image_timeout")

    with serving(server, predict_seconds=0.8) as backend, backend.client:
        backend.images.downloading = takes_all_the_time
        first, second = predict(backend, task(1), task(2))
        assert [each["reason"] for each in (first, second)] == ["out_of_time"] * 2
        assert is_done_within(20, backend.client.app.state.backlog)  # type: ignore[attr-defined]
        assert {(3, 1, "m1"), (3, 2, "m1")} <= backend.store.prelabels.keys()


def test_a_click_on_an_image_that_is_still_open_downloads_nothing(backend: Backend) -> None:
    click(backend, task(1))
    num_fetched = len(backend.images.fetched)
    assert click(backend, task(1))["result"]
    assert len(backend.images.fetched) == num_fetched


def test_the_reason_of_a_slow_server_is_logged(
    backend: Backend, server: SlowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.fails = True
    server.released.set()
    predict(backend, task(1, SLOW))
    assert click(backend, task(2, SLOW))["reason"] == "image_too_slow"
    assert capsys.readouterr().out.count("the server is too slow") == 2


def test_what_was_downloaded_is_deleted_whether_it_was_predicted_or_not(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"fetched": 0, "closed": 0}
    fetch = backend.images.fetch

    def counting(data: Mapping[str, Any], /, **options: Any) -> LocalImage:
        image = fetch(data, **options)
        counts["fetched"] += 1

        def close() -> None:
            counts["closed"] += 1

        return LocalImage(image.open, close=close)

    monkeypatch.setattr(backend.images, "fetch", counting)
    predict(backend, task(1), task(2, "/broken.png"), task(3, "/bug.png"))
    click(backend, task(4))
    click(backend, task(5, "/broken.png"))
    assert counts == {"fetched": 5, "closed": 5}
