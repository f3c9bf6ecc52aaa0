"""Connection: the token goes to one server only and into no message."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from mammo.errors import LabelStudioError
from mammo.labelstudio import connection
from mammo.labelstudio.connection import Connection
from tests.fakes.label_studio import KEY, PERSONAL, URL, FakeLabelStudio


class Server:
    """Answers by path; keeps what it was asked."""

    def __init__(self, **answers: Callable[[httpx.Request], httpx.Response]) -> None:
        self.asked: list[httpx.Request] = []
        self._answers = answers

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        name = request.url.path.strip("/").split("/")[0].replace("-", "_").replace(".", "_")
        return self._answers[name](request)


def connect(server: Callable[[httpx.Request], httpx.Response], key: str = KEY, url: str = URL) -> Connection:
    return Connection(url, key, transport=httpx.MockTransport(server))


def test_a_legacy_token_is_sent_as_it_is() -> None:
    server = FakeLabelStudio()
    Connection(URL, KEY, transport=server.transport).call("GET", "/api/version")
    assert [request.headers["Authorization"] for request in server.log] == [f"Token {KEY}"]


def test_a_personal_token_is_exchanged_once_for_an_access_token() -> None:
    server = FakeLabelStudio()
    client = Connection(URL, PERSONAL, transport=server.transport)
    client.call("GET", "/api/version")
    client.call("GET", "/api/version")
    assert server.access == 1
    assert [r.headers.get("Authorization") for r in server.log] == [
        None,
        "Bearer access-1",
        "Bearer access-1",
    ]


def test_an_access_token_is_renewed_when_its_time_is_over_and_when_the_server_forgot_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = FakeLabelStudio()
    client = Connection(URL, PERSONAL, transport=server.transport)
    client.call("GET", "/api/version")
    server.access += 1  # the one we hold is no longer good
    client.call("GET", "/api/version")
    monkeypatch.setattr(connection, "ACCESS_SECONDS", -1.0)
    client.call("GET", "/api/version")
    assert server.log[-1].headers["Authorization"] == f"Bearer access-{server.access}"


@pytest.mark.parametrize("key", [KEY + "-wrong", PERSONAL + "wrong"])
def test_a_refused_token_is_explained_and_not_shown(key: str) -> None:
    with pytest.raises(LabelStudioError, match="YOLO_MLSAM_LABEL_STUDIO_API_KEY") as error:
        Connection(URL, key, transport=FakeLabelStudio().transport).call("GET", "/api/version")
    assert key not in str(error.value)
    assert error.value.code == "label_studio_401"


@pytest.mark.parametrize("fault", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
def test_a_server_that_does_not_answer_is_named_without_token_and_password(
    fault: type[httpx.TransportError],
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise fault(f"{request.headers}")

    client = connect(fail, url="http://user:pass@ls.test:8080")
    with pytest.raises(LabelStudioError, match="did not answer GET") as error:
        client.call("GET", "/api/x")
    assert error.value.code == "label_studio_unreachable"
    assert KEY not in str(error.value)
    assert "pass" not in str(error.value)


def test_a_page_of_something_else_is_not_taken_for_an_answer() -> None:
    with pytest.raises(LabelStudioError, match="is the address of a Label Studio server"):
        connect(lambda request: httpx.Response(200, text="<html>")).call("GET", "/api/x")


def test_a_server_below_a_path_is_asked_below_that_path() -> None:
    server = Server(annotate=lambda request: httpx.Response(200, json={}))
    connect(server, url=URL + "/annotate/").call("GET", "/api/x")
    assert server.asked[0].url.path == "/annotate/api/x"


@pytest.mark.parametrize("url", ["", "label-studio:8080", "ftp://x", "http://"])
def test_an_address_that_is_none_is_a_mistake(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        Connection(url, KEY)
