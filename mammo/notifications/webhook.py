"""Webhooks: a signed POST to an address that was checked, as the specification Standard Webhooks describes it.

https://www.standardwebhooks.com: the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`, the last one
`v1,` and the Base64 of HMAC-SHA256 over id, timestamp and body, joined by full stops. Libraries that verify it exist
for most languages.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from datetime import datetime
from functools import cache
from ssl import SSLContext

import httpcore
import httpx

from mammo.errors import ImageNotFound, ImageUnavailable, NotDelivered
from mammo.images.downloads import AddressRule
from mammo.images.downloads.network import GuardedNetwork, Resolve, resolve
from mammo.images.downloads.transfer_rate import TransferRate
from mammo.labelstudio.connection import trusted_certificates

SECONDS = 15.0
"""Time limit of one attempt, from the name's resolution to the status of the answer."""

KEY_PREFIX = "whsec_"
"""Prefix of a key in the notation of Standard Webhooks."""

GONE = 410
"""Status by which a receiver says that it wants no further message."""


def signing_key(secret: str, channel: int) -> bytes:
    """Return the key of a channel: 32 bytes, derived from the site's secret, so that no receiver knows another's."""
    return hmac.digest(secret.encode(), f"notification channel {channel}".encode(), hashlib.sha256)


def written_key(key: bytes) -> str:
    """Return a key in the notation that receivers expect."""
    return KEY_PREFIX + base64.b64encode(key).decode()


def signature(key: bytes, *, message: str, timestamp: int, body: bytes) -> str:
    """Return the value of the header `webhook-signature`."""
    signed = b".".join((message.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def post(
    url: str,
    body: bytes,
    *,
    message: str,
    key: bytes,
    rule: AddressRule,
    now: datetime,
    seconds: float = SECONDS,
    resolve: Resolve = resolve,
) -> None:
    """Send a message. Redirects are not followed, since they could lead anywhere.

    Args:
        key: signs it.
        rule: addresses to which it may be sent.
        now: time of the attempt, which is signed, so that a receiver can refuse an old message.

    Raises:
        NotDelivered: the receiver did not answer 2xx in time; code `gone` if it wants no further message.
    """
    address, timestamp = httpx.URL(url), int(now.timestamp())
    rate = TransferRate(bytes_per_second=0, deadline=time.monotonic() + seconds)
    network = GuardedNetwork(rule, rate=rate, resolve=resolve)
    headers = [
        ("host", address.netloc.decode("ascii")),
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("user-agent", "Yolo-MLSAM"),
        ("webhook-id", message),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", signature(key, message=message, timestamp=timestamp, body=body)),
    ]
    target = httpcore.URL(
        scheme=address.raw_scheme, host=address.raw_host, port=address.port, target=address.raw_path
    )
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_tls_context(), network_backend=network) as pool,
            pool.stream("POST", target, headers=headers, content=body) as response,
        ):
            status = response.status  # the rest of the answer is of no interest, however long it is
    except ImageNotFound:  # raised by the address rule
        raise NotDelivered(
            "the receiver's address is in a private or reserved network; if that is right, add the network to "
            "YOLO_MLSAM_PRIVATE_NETWORKS",
            code="blocked_address",
        ) from None
    except ImageUnavailable:  # raised by the name's resolution
        raise NotDelivered("the receiver's name cannot be resolved", code="no_address") from None
    except (httpcore.TimeoutException, TimeoutError):
        raise NotDelivered(f"the receiver did not answer within {seconds:.0f} s", code="timeout") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        raise NotDelivered(f"the receiver cannot be reached ({type(error).__name__})") from None
    _require_taken(status)


def _require_taken(status: int) -> None:
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        reason = (
            f"the receiver answered with a redirect ({status}), which is not followed: give its final address"
        )
        raise NotDelivered(reason, code="redirect")
    if status == GONE:
        raise NotDelivered("the receiver wants no further messages (410)", code="gone")
    raise NotDelivered(f"the receiver answered {status}", code=f"http_{status}")


@cache
def _tls_context() -> SSLContext:
    return trusted_certificates()
