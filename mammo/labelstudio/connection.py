"""One authenticated way to a Label Studio server: tokens, timeouts, errors as sentences.

Label Studio has two kinds of API token. A legacy token is sent as it is. A personal access token is a refresh token:
it is exchanged for an access token that lives five minutes.
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
"""How long an access token is used; Label Studio's lives 300 s."""


class Connection:
    """Talks HTTP to one Label Studio. Safe to share between threads; close it, or use it as a context manager."""

    def __init__(
        self, url: str, api_key: str, *, timeout: float = 60.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        """
        Args:
            url: of the server, as this machine reaches it, for example `http://127.0.0.1:8080`.
            api_key: legacy or personal access token; never shown in any message.
            timeout: seconds without an answer after which a call fails.
            transport: stands in for the network in tests.

        Raises:
            ValueError: the address is no http(s) URL.
        """
        self._origin = httpx.URL(url.rstrip("/") + "/")
        if self._origin.scheme not in ("http", "https") or not self._origin.host:
            raise ValueError(f"Label Studio's address must begin with http:// or https://, got {url!r}")
        self._key = api_key
        self._personal = api_key.startswith("eyJ") and api_key.count(".") == 2
        self._access, self._access_until = "", 0.0
        self._lock = threading.Lock()
        self._http = httpx.Client(
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            transport=transport or httpx.HTTPTransport(verify=_trust(), retries=2),
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
        """One API call; the decoded JSON answer, or None where there is none.

        Args:
            files: form field to file name and content, instead of a JSON body.

        Raises:
            LabelStudioError: not reached, refused, or no JSON; `code` is `label_studio_<status>` or
                `label_studio_unreachable`.
        """
        url = self._origin.join(path.lstrip("/"))  # relative: the server may live below a path of its own
        response = self._send(method, url, json=json, params=params, files=files)
        if response.status_code == 401 and self._personal:
            self.renew()  # the access token may have ended early: the server was restarted
            response = self._send(method, url, json=json, params=params, files=files)
        if not response.is_success:
            raise _refused(method, url, response)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise LabelStudioError(
                f"{method} {url.path}: the answer is no JSON; is the address in "
                "YOLO_MLSAM_LABEL_STUDIO_URL really a Label Studio?"
            ) from None

    @property
    def origin(self) -> httpx.URL:
        """The server's address, with a slash at its end."""
        return self._origin

    @property
    def personal(self) -> bool:
        """Whether the key is a personal access token, whose access tokens end."""
        return self._personal

    def authorization(self) -> str:
        """Value of the Authorization header, for requests to this server only.

        Raises:
            LabelStudioError: the personal access token was not exchanged.
        """
        if not self._personal:
            return f"Token {self._key}"
        with self._lock:
            if time.monotonic() >= self._access_until:
                self._access = self._exchange()
                self._access_until = time.monotonic() + ACCESS_SECONDS
            return f"Bearer {self._access}"

    def renew(self) -> None:
        """Exchange the personal access token again, whatever the age of what we have."""
        self._access_until = 0.0

    def server_time(self) -> datetime | None:
        """What Label Studio's clock says; None when it does not tell.

        Raises:
            LabelStudioError: not reached.
        """
        url = self._origin.join("health")
        try:
            stated = self._http.get(url).headers.get("date", "")
            return parsedate_to_datetime(stated)
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

    def _exchange(self) -> str:
        url = self._origin.join("api/token/refresh/")
        try:
            response = self._http.post(url, json={"refresh": self._key})
        except httpx.HTTPError as error:
            raise _unreachable("POST", url, error) from None
        if not response.is_success:
            raise _refused("POST", url, response)
        access = response.json().get("access")
        if not isinstance(access, str):
            raise LabelStudioError("Label Studio did not exchange the personal access token; make a new one")
        return access


def _trust() -> ssl.SSLContext:
    """The machine's certificates, which a hospital may have added its own to, and the public ones."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


_ADVICE = {
    400: "a value it sent was not accepted",
    401: "it does not know the token: check YOLO_MLSAM_LABEL_STUDIO_API_KEY (a legacy token must be enabled in the "
    "organization's settings)",
    403: "not allowed for this user, or the address is in a network that its SSRF protection blocks: set "
    "ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false, or its own list of subnets, on Label Studio",
    404: "it is not there, or this user may not see it",
    413: "the request is too large for it or for a proxy before it",
    500: "it failed inside; its own log says why",
}


def _refused(method: str, url: httpx.URL, response: httpx.Response) -> LabelStudioError:
    status = response.status_code
    advice = _ADVICE.get(status) or ("try again later" if status >= 500 else "see its documentation")
    detail = f" ({_detail(response)})" if _detail(response) else ""
    return LabelStudioError(
        f"Label Studio answered {status} to {method} {url.path}: {advice}{detail}",
        code=f"label_studio_{status}",
    )


def _detail(response: httpx.Response) -> str:
    """Label Studio's own words, short; never a request's."""
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
        f"{url.path} ({type(error).__name__}); is it running, and is YOLO_MLSAM_LABEL_STUDIO_URL right from here?",
        code="label_studio_unreachable",
    )
