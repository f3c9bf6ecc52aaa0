"""PacsTransport: the requests of the DICOMweb library, sent as images are downloaded.

To exactly the address that was checked, without redirects and proxies, within a deadline, at a least and a greatest
rate. Of an answer that is not 2xx nothing is read; it becomes one sentence, which holds no part of the request: a query
names patients.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import httpcore
import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from mammo.errors import ImageNotFound, ImageUnavailable, PacsError
from mammo.images.downloads import AddressRule
from mammo.images.downloads.network import GuardedNetwork, Resolve, resolve
from mammo.images.downloads.transfer_rate import TooSlow, TransferRate
from mammo.pacs.bandwidth import Bandwidth
from mammo.pacs.refusals import refusal, retry_after

MAX_ATTEMPTS = 5
"""Requests that are sent while the PACS answers 429 or 503."""

MAX_WAIT = 120.0
"""Longest time that is waited before a request is repeated, in seconds; a longer Retry-After ends the attempts."""

BUSY = (429, 503)

MAX_STREAMED, MAX_IN_MEMORY = 2**31, 64 * 2**20
"""Largest answer that is read as it arrives, in bytes (an image has its own limit), and of a query's answer."""


class PacsTransport(BaseAdapter):
    """Sends the requests of a `requests.Session`. Safe to share between threads."""

    def __init__(
        self,
        *,
        rule: AddressRule,
        tls: ssl.SSLContext,
        seconds: float,
        least_rate: float,
        bandwidth: Bandwidth,
        attempts: int = MAX_ATTEMPTS,
        resolve: Resolve = resolve,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            rule: addresses that may be connected to.
            tls: verifies the server, and shows the client's certificate.
            seconds: time limit of one answer.
            least_rate: bytes per second that an answer must arrive at; 0: any.
            bandwidth: what all answers together may use.
            attempts: requests that are sent while the PACS is busy.
            resolve: resolves host names.
            sleep: waits for so many seconds.
        """
        super().__init__()
        self._rule, self._tls = rule, tls
        self._seconds, self._least_rate = seconds, least_rate
        self._bandwidth = bandwidth
        self._attempts = attempts
        self._resolve, self._sleep = resolve, sleep

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a request, again while the PACS is busy; the other arguments of `requests` count for nothing here.

        Raises:
            PacsError: the PACS cannot be reached or trusted, or refuses the request.
        """
        repeatable = isinstance(request.body, bytes | None)
        attempt = 1
        while True:
            response = self._ask(request, max_bytes=MAX_STREAMED if stream else MAX_IN_MEMORY)
            if 200 <= response.status_code < 300:
                return response
            response.close()
            wait = retry_after(response.headers.get("Retry-After"), attempt=attempt)
            busy = response.status_code in BUSY and repeatable
            if not busy or attempt >= self._attempts or wait > MAX_WAIT:
                raise refusal(self._host(request), response.status_code, wait=wait if busy else None)
            self._sleep(wait)
            attempt += 1

    def close(self) -> None:
        """Connections end with their answers."""

    def _host(self, request: requests.PreparedRequest) -> str:
        return urlsplit(request.url or "").hostname or ""

    def _ask(self, request: requests.PreparedRequest, *, max_bytes: int) -> requests.Response:
        address = urlsplit(request.url or "")
        host = address.hostname or ""
        rate = TransferRate(bytes_per_second=self._least_rate, deadline=time.monotonic() + self._seconds)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        # Answers are not decompressed, because a small one could become huge.
        headers |= {"Host": address.netloc, "Accept-Encoding": "identity"}
        with ExitStack() as opened:
            try:
                network = GuardedNetwork(self._rule, rate=rate, resolve=self._resolve)
                pool = opened.enter_context(httpcore.ConnectionPool(self._tls, network_backend=network))
                answer = opened.enter_context(
                    pool.stream(
                        request.method or "GET",
                        request.url or "",
                        headers=[(_ascii(name), _latin(value)) for name, value in headers.items()],
                        content=_body(request),
                    )
                )
            except FAILURES as error:
                raise _failure(error, host, self._seconds) from None
            response = requests.Response()
            response.status_code = answer.status
            response.headers = CaseInsensitiveDict(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers
            )
            response.url, response.request = request.url or "", request
            response.raw = _Answer(
                answer, opened.pop_all(), host, self._seconds, self._bandwidth, max_bytes=max_bytes
            )
            return response


class _Answer:
    """The body of an answer, in the form in which `requests` reads it."""

    def __init__(
        self,
        answer: httpcore.Response,
        opened: ExitStack,
        host: str,
        seconds: float,
        bandwidth: Bandwidth,
        *,
        max_bytes: int,
    ) -> None:
        self._answer, self._opened, self._host = answer, opened, host
        self._seconds, self._bandwidth, self._max_bytes = seconds, bandwidth, max_bytes

    def stream(self, _chunk_size: int, decode_content: bool = True) -> Iterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            PacsError: it ends too early, is too slow, or too large.
        """
        num_bytes = 0
        try:
            for chunk in self._answer.iter_stream():
                self._bandwidth.take(len(chunk))
                num_bytes += len(chunk)
                if num_bytes > self._max_bytes:
                    raise PacsError(
                        f"the PACS at {self._host} sends more than {self._max_bytes} bytes; narrow the query",
                        code="pacs_too_large",
                    )
                yield chunk
        except FAILURES as error:
            raise _failure(error, self._host, self._seconds) from None
        finally:
            self.close()

    def close(self) -> None:
        self._opened.close()


FAILURES = (
    ImageNotFound,
    ImageUnavailable,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    OSError,
)
"""What a connection may raise; `_failure` says each in one sentence."""


def _failure(error: Exception, host: str, seconds: float) -> PacsError:
    cause = _cause(error)
    if isinstance(error, ImageNotFound):  # raised by the address rule
        return PacsError(
            f"the address of the PACS at {host} is in a private or reserved network; if that is right, add the network "
            "to YOLO_MLSAM_PRIVATE_NETWORKS",
            code="blocked_address",
        )
    if isinstance(error, ImageUnavailable):  # raised by the name's resolution
        return PacsError(
            f"the name {host} of the PACS cannot be resolved; check YOLO_MLSAM_PACS_URL", code="no_address"
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        return PacsError(
            f"the certificate of the PACS at {host} is not trusted ({cause.verify_message}); name the certificate of "
            "its authority in YOLO_MLSAM_PACS_CA_FILE, and check the host in YOLO_MLSAM_PACS_URL",
            code="pacs_certificate",
        )
    if isinstance(cause, ssl.SSLError):
        return PacsError(
            f"no TLS with the PACS at {host} ({cause.reason or 'it ended the connection'}); check that it speaks "
            "https, and whether it asks for YOLO_MLSAM_PACS_CLIENT_CERTIFICATE",
            code="pacs_tls",
        )
    if isinstance(error, TooSlow):
        return PacsError(
            f"the PACS at {host} sends too slowly: {error.num_bytes} bytes in {error.seconds:.0f} s; check the network "
            "to it, or lower YOLO_MLSAM_DOWNLOAD_BYTES_PER_SECOND",
            code="pacs_too_slow",
        )
    if isinstance(error, httpcore.TimeoutException):
        return PacsError(
            f"the PACS at {host} did not answer within {seconds:.0f} s (YOLO_MLSAM_PACS_SECONDS)",
            code="pacs_timeout",
        )
    if isinstance(error, httpcore.ProtocolError):
        return PacsError(
            f"the PACS at {host} ended an answer before it was complete, or does not speak HTTP; try again",
            code="pacs_truncated",
        )
    return PacsError(
        f"the PACS at {host} cannot be reached ({type(cause).__name__}); check that it runs and answers this machine",
        code="pacs_unreachable",
    )


def _cause(error: BaseException) -> BaseException:
    """Return the system's error behind one of the library, which hides it; else the error itself."""
    behind = error.__cause__ or error.__context__
    while behind is not None and not isinstance(behind, OSError):
        behind = behind.__cause__ or behind.__context__
    return behind or error


def _body(request: requests.PreparedRequest) -> Any:
    """Return the body as bytes or as an iterable of bytes."""
    body: Any = request.body
    return body.encode() if isinstance(body, str) else body


def _ascii(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else name.encode("ascii")


def _latin(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")
