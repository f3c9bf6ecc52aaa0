"""Connection: authenticated HTTP requests to one Label Studio server.

Label Studio has two kinds of API token. A legacy token is sent with every request. A personal access token is a
refresh token, which is exchanged for an access token that is valid for five minutes.
"""

from __future__ import annotations

import ssl
import threading
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx

from mammo.errors import LabelStudioError

ACCESS_SECONDS = 240.0
"""Time for which an access token is used; it is valid for 300 s."""


class Connection:
    """HTTP client of one Label Studio server. Safe to share between threads; a context manager that closes itself."""

    def __init__(
        self, url: str, api_key: str, *, timeout: float = 60.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        """
        Args:
            url: address of the server from this machine, for example `http://127.0.0.1:8080`.
            api_key: legacy or personal access token; never part of a message.
            timeout: seconds after which a request without a response fails.
            transport: replaces the network in tests.

        Raises:
            ValueError: the address is not an http(s) URL.
        """
        self._origin = httpx.URL(url.rstrip("/") + "/")
        if self._origin.scheme not in ("http", "https") or not self._origin.host:
            raise ValueError(f"expected an address of Label Studio with http:// or https://, got {url!r}")
        self._key = api_key
        self._personal = api_key.startswith("eyJ") and api_key.count(".") == 2
        self._access, self._access_until = "", 0.0
        self._lock = threading.Lock()
        self._http = httpx.Client(
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            transport=transport or httpx.HTTPTransport(verify=trusted_certificates(), retries=2),
            follow_redirects=False,
            trust_env=False,
        )

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: dict[str, Any] | None = None,
        files: dict[str, tuple[str, bytes]] | None = None,
    ) -> Any:
        """Call the API; return the decoded JSON of the response, or None for an empty response.

        Args:
            method: HTTP method.
            path: path and query of the endpoint.
            json: request body.
            params: query parameters.
            files: multipart files instead of a JSON body: form field to file name and content.

        Raises:
            LabelStudioError: the server is unreachable (code `label_studio_unreachable`) or answers with an error
                (code `label_studio_<status>`), or the response is not JSON.
        """
        url = self._origin.join(
            path.lstrip("/")
        )  # Relative, because the server's address may contain a path.
        response = self._send(method, url, json=json, params=params, files=files)
        if response.status_code == 401 and self._personal:
            self.renew()  # Access tokens end early when the server is restarted.
            response = self._send(method, url, json=json, params=params, files=files)
        if not response.is_success:
            raise _refused(method, url, response)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise LabelStudioError(
                f"{method} {url.path}: expected JSON; check that YOLO_MLSAM_LABEL_STUDIO_URL is the address of a "
                "Label Studio server"
            ) from None

    def fetch(self, path: str, params: dict[str, Any] | None = None) -> httpx.Response:
        """Request a file as a browser does; return the response, whatever its status.

        Raises:
            LabelStudioError: the server is unreachable.
        """
        return self._send("GET", self._origin.join(path.lstrip("/")), json=None, params=params, files=None)

    @property
    def origin(self) -> httpx.URL:
        """The server's address, with a trailing slash."""
        return self._origin

    @property
    def personal(self) -> bool:
        """Whether the key is a personal access token, so that access tokens expire."""
        return self._personal

    def authorization(self, *, seconds: float | None = None) -> str:
        """Return the value of the Authorization header, for requests to this server only.

        Args:
            seconds: maximum time for the exchange of a personal access token, also by another thread; None: that of
                any request.

        Raises:
            LabelStudioError: the personal access token could not be exchanged.
        """
        if not self._personal:
            return f"Token {self._key}"
        if not self._lock.acquire(timeout=-1 if seconds is None else seconds):
            raise LabelStudioError(
                "Label Studio does not exchange the personal access token in time; check that it is running",
                code="label_studio_unreachable",
            )
        try:
            if time.monotonic() >= self._access_until:
                self._access = self._exchange(seconds)
                self._access_until = time.monotonic() + ACCESS_SECONDS
            return f"Bearer {self._access}"
        finally:
            self._lock.release()

    def renew(self) -> None:
        """Discard the access token, so that the next request exchanges the personal access token again."""
        self._access_until = 0.0

    def server_time(self) -> datetime | None:
        """Return the time on Label Studio's clock; None when the response has no valid date.

        Raises:
            LabelStudioError: the server is unreachable.
        """
        url = self._origin.join("health")
        try:
            return parsedate_to_datetime(self._http.get(url).headers.get("date", ""))
        except httpx.HTTPError as error:
            raise _unreachable("GET", url, error) from None
        except ValueError:
            return None

    def _send(
        self, method: str, url: httpx.URL, *, json: Any, params: dict[str, Any] | None, files: Any
    ) -> httpx.Response:
        headers = {"Authorization": self.authorization()}
        try:
            return self._http.request(method, url, json=json, params=params, files=files, headers=headers)
        except httpx.HTTPError as error:
            raise _unreachable(method, url, error) from None

    def _exchange(self, seconds: float | None) -> str:
        url = self._origin.join("api/token/refresh/")
        timeout = httpx.USE_CLIENT_DEFAULT if seconds is None else httpx.Timeout(seconds)
        try:
            response = self._http.post(url, json={"refresh": self._key}, timeout=timeout)
        except httpx.HTTPError as error:
            raise _unreachable("POST", url, error) from None
        if not response.is_success:
            raise _refused("POST", url, response)
        access = response.json().get("access")
        if not isinstance(access, str):
            raise LabelStudioError(
                "Label Studio returned no access token for the personal access token; create a new one and set "
                "YOLO_MLSAM_LABEL_STUDIO_API_KEY"
            )
        return access


def trusted_certificates() -> ssl.SSLContext:
    """Return a TLS context that trusts the public certificates and those installed on the machine, as hospitals do."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


_ADVICE = {
    400: "a value in the request was not accepted",
    401: "the token is invalid; check YOLO_MLSAM_LABEL_STUDIO_API_KEY (a legacy token must be enabled in the "
    "organization's settings)",
    403: "the user has no permission, or the address is in a network that its SSRF protection blocks; in the latter "
    "case start Label Studio with LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false and LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false",
    404: "it does not exist, or this user has no access to it",
    413: "the request is too large for the server or for a proxy in front of it",
    500: "an internal error; see the log of Label Studio",
}


def _refused(method: str, url: httpx.URL, response: httpx.Response) -> LabelStudioError:
    status = response.status_code
    advice = _ADVICE.get(status) or (
        "try again later" if status >= 500 else "see the documentation of its API"
    )
    detail = f" ({_detail(response)})" if _detail(response) else ""
    return LabelStudioError(
        f"Label Studio answered {status} to {method} {url.path}: {advice}{detail}",
        code=f"label_studio_{status}",
    )


def _detail(response: httpx.Response) -> str:
    """Return a short excerpt of Label Studio's error message; nothing of the request."""
    try:
        answer = response.json()
    except ValueError:
        return ""
    if not isinstance(answer, dict):
        return str(answer)[:200]
    return str(answer.get("validation_errors") or answer.get("detail") or "")[:300]


def _unreachable(method: str, url: httpx.URL, error: httpx.HTTPError) -> LabelStudioError:
    return LabelStudioError(
        f"Label Studio at {url.scheme}://{url.netloc.decode('ascii').rpartition('@')[2]} did not answer {method} "
        f"{url.path} ({type(error).__name__}); check that it is running and that YOLO_MLSAM_LABEL_STUDIO_URL is its "
        "address from this machine",
        code="label_studio_unreachable",
    )
