"""A request whose end can be seen in two ways is refused, and nothing behind it is read as a request."""

from __future__ import annotations

from collections.abc import Iterator

import h11
import pytest

from backend.connections.strict_http import MAX_HEAD, MAX_HEADERS, StrictHttp
from tests.backend.connections.served import EVENT, HOOK_LINE, Served, event, serving, status

SMUGGLED = event()
"""A complete event, which an accepted first request may not turn into a second one."""

HEAD = b"POST /webhook HTTP/1.1\r\nHost: here\r\n" + HOOK_LINE
CHUNKED = b"0\r\n\r\n" + SMUGGLED

TWO_FRAMINGS = {
    "length and chunked": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "chunked and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + CHUNKED,
    "odd case": HEAD + b"tRANSFER-eNCODING: cHUNKED\r\ncONTENT-lENGTH: 5\r\n\r\n" + CHUNKED,
    "zero length and chunked": HEAD + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + b"x" * 6 + SMUGGLED,
    "a length twice": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n" + b"x" * 5 + SMUGGLED,
    "two lengths in a line": HEAD + b"Content-Length: 5, 6\r\n\r\n" + b"x" * 6 + SMUGGLED,
    "a length twice in a line": HEAD + b"Content-Length: 5, 5\r\n\r\n" + b"x" * 5 + SMUGGLED,
    "a length with a sign": HEAD + b"Content-Length: +5\r\n\r\n" + b"x" * 5 + SMUGGLED,
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n" + SMUGGLED,
    "a hexadecimal length": HEAD + b"Content-Length: 0x5\r\n\r\n" + b"x" * 5 + SMUGGLED,
    "a length of other digits": HEAD + b"Content-Length: \xd9\xa5\r\n\r\n" + b"x" * 5 + SMUGGLED,
    "a length without end": HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n" + SMUGGLED,
    "an empty length": HEAD + b"Content-Length:\r\n\r\n" + SMUGGLED,
    "chunked twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "chunked after another coding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKED,
    "not chunked last": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKED,
    "another coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKED,
    "identity": HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n" + b"x" * 5 + SMUGGLED,
    "folded coding": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKED,
    "folded by a tab": HEAD + b"Transfer-Encoding:\r\n\tchunked\r\n\r\n" + CHUNKED,
    "a folded length": HEAD + b"Content-Length:\r\n 5\r\n\r\n" + b"x" * 5 + SMUGGLED,
    "a folded other header": HEAD + b"X: a\r\n b\r\nContent-Length: 5\r\n\r\n" + b"x" * 5 + SMUGGLED,
    "blank before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKED,
    "blank before the name": HEAD[:-2] + b"\r\n Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "vertical tab in the coding": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKED,
    "in HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "ends of lines without CR": (HEAD + b"Content-Length: 5\r\n\r\n").replace(b"\r", b"") + b"x" * 5,
    "one end of line without CR": HEAD + b"X: a\nContent-Length: 5\r\n\r\n" + b"x" * 5 + SMUGGLED,
    "CR alone": HEAD + b"X: a\rTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "a NUL": HEAD + b"X: a\0b\r\nContent-Length: 5\r\n\r\n" + b"x" * 5,
    "empty line of LF only": HEAD + b"Content-Length: 5\n\r\n" + b"x" * 5 + SMUGGLED,
}
BAD_CHUNKS = {
    "not hexadecimal": b"5g\r\nxxxxx\r\n0\r\n\r\n",
    "with a sign": b"+5\r\nxxxxx\r\n0\r\n\r\n",
    "with a prefix": b"0x5\r\nxxxxx\r\n0\r\n\r\n",
    "negative": b"-1\r\nxxxxx\r\n0\r\n\r\n",
    "of too many digits": b"0" * 30 + b"5\r\nxxxxx\r\n0\r\n\r\n",
    "without CR": b"5\nxxxxx\n0\n\n",
    "with more data than it says": b"4\r\nxxxxx\r\n0\r\n\r\n",
    "with other bytes at its end": b"5\r\nxxxxxAB0\r\n\r\n",
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as running:
        yield running


@pytest.mark.parametrize("sent", TWO_FRAMINGS.values(), ids=TWO_FRAMINGS.keys())
def test_a_length_stated_in_two_ways_is_refused_and_the_connection_closed(
    sent: bytes, served: Served
) -> None:
    answer = served.ask(sent)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status(answer) == 400
    assert b'"error":"bad_request"' in answer
    assert b"connection: close" in answer.lower()
    assert served.backend.store.events == []


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_a_chunk_that_is_none_is_refused_and_the_connection_closed(body: bytes, served: Served) -> None:
    answer = served.ask(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body + SMUGGLED)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status(answer) == 400
    assert served.backend.store.events == []


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_event_in_chunks_is_stored_however_it_is_cut(size: int) -> None:
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(EVENT[at : at + 20]), EVENT[at : at + 20]) for at in range(0, len(EVENT), 20)
    )
    sent = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    parser, seen = StrictHttp(), []
    for at in range(0, len(sent), size):
        parser.receive_data(sent[at : at + size])
        while (found := parser.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            seen.append(found)
            if isinstance(found, h11.EndOfMessage):
                break
    assert [type(each) for each in (seen[0], seen[-1])] == [h11.Request, h11.EndOfMessage]
    assert b"".join(bytes(each.data) for each in seen if isinstance(each, h11.Data)) == EVENT


def test_requests_behind_each_other_are_answered_in_order(served: Served) -> None:
    last = b"GET /nowhere HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    answers = served.ask(b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n" * 3 + last)
    assert [status(b"HTTP/1.1 " + each) for each in answers.split(b"HTTP/1.1 ")[1:]] == [200, 200, 200, 401]


@pytest.mark.parametrize(
    "more",
    [
        b"X: " + b"a" * MAX_HEAD + b"\r\n",
        b"X: " + b"a" * 200_000 + b"\r\n",
        b"X: a\r\n" * MAX_HEADERS,
        b"X: a\r\n" * 30_000,
        b"Authorization: " + b"a" * 200_000 + b"\r\n",
    ],
    ids=["one too long", "one much too long", "too many", "very many", "a long secret"],
)
def test_headers_without_end_are_refused_also_when_they_come_at_once(more: bytes, served: Served) -> None:
    assert status(served.ask(b"GET /health HTTP/1.1\r\nHost: here\r\n" + more + b"\r\n")) == 400
    assert status(served.ask(b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")) == 200


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01\x00", b"SSH-2.0-x\r\n\r\n", b"\r\n\r\n", b"GET /\r\n\r\n"]
)
def test_what_is_not_http_is_refused(sent: bytes, served: Served) -> None:
    assert status(served.ask(sent + b"x" * 20 + b"\r\n\r\n")) == 400
