"""Label Studio itself: address, token, clock, release, and SSRF protection."""

from __future__ import annotations

from collections.abc import Iterator

from mammo.doctor.diagnosis import Diagnosis, broken, skipped, warning, well
from mammo.doctor.inspection import Inspection
from mammo.errors import LabelStudioError

RELEASE = "1.23"
"""The Label Studio release that this version was tested with."""

MAX_SKEW_SECONDS = 60.0
"""With a larger difference of the clocks, the newest annotation may not be recognized."""

SWITCHES = "LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false and LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false"


def check_server(inspection: Inspection) -> Iterator[Diagnosis]:
    """Run the checks that need no project."""
    client = inspection.client
    if client is None:
        yield broken(
            "label-studio",
            "Label Studio's address or API key is not set",
            "set YOLO_MLSAM_LABEL_STUDIO_URL and YOLO_MLSAM_LABEL_STUDIO_API_KEY",
        )
        return
    url = inspection.settings.label_studio_url
    try:
        time = client.server_time()
    except LabelStudioError as error:
        yield broken("label-studio", f"{url} does not answer", str(error))
        return
    yield well("label-studio", f"{url} answers")
    if time is not None:
        skew = abs((inspection.now() - time).total_seconds())
        if skew > MAX_SKEW_SECONDS:
            yield broken(
                "clock",
                f"its clock and that of this machine differ by {skew:.0f} s",
                "run NTP on both machines, because annotations are ordered by time",
            )
        else:
            yield well("clock", f"clocks differ by {skew:.0f} s")
    yield from _token(inspection)


def check_ssrf(inspection: Inspection) -> Iterator[Diagnosis]:
    """Check that Label Studio's protection against requests to private addresses lets it reach the backend."""
    client, url = inspection.client, inspection.backend_url
    if client is None or inspection.project is None or not url:
        yield skipped("ssrf", "not checked: needs --project, and --url or a connected ML backend")
        return
    backend = client.refuses_backend(url)
    webhook = client.refuses_webhook(inspection.project, f"{url}/webhook")
    if not backend and not webhook:
        yield well("ssrf", "its SSRF protection allows requests to the backend")
        return
    if backend and webhook:
        says = f"its SSRF protection blocks {url}: neither predictions nor webhooks work"
    elif webhook:
        says = (
            f"its SSRF protection blocks webhooks to {url}: connecting fails with 403, yet it shows Connected"
        )
    else:
        says = f"it does not allow ML backends at {url}: connecting fails with 403"
    yield broken("ssrf", says, f"start Label Studio with {SWITCHES}")


def _token(inspection: Inspection) -> Iterator[Diagnosis]:
    client = inspection.client
    assert client is not None
    try:
        release = client.version()
        client.call("GET", "/api/current-user/whoami")
        allowed = client.token_settings()
    except LabelStudioError as error:
        yield broken("token", *_token_fault(inspection, error))
        return
    kind = "personal access token" if client.personal else "legacy token"
    if not client.personal and not allowed.get("legacy_api_tokens_enabled", True):
        yield broken("token", "legacy tokens are disabled", _ENABLE)
    else:
        yield well("token", f"the {kind} is accepted")
    if release and not release.startswith(RELEASE):
        yield warning("release", f"Label Studio is {release}; this version was tested with {RELEASE}")


_ENABLE = (
    "enable them in the organization's API token settings, or set YOLO_MLSAM_LABEL_STUDIO_API_KEY to a personal "
    "access token"
)


def _token_fault(inspection: Inspection, error: LabelStudioError) -> tuple[str, str]:
    if error.code == "label_studio_401" and "legacy token authentication has been disabled" in str(error):
        return "legacy tokens are disabled in this organization", _ENABLE
    if error.code == "label_studio_401" and _is_exchanged(inspection):
        return (
            "personal access tokens are disabled in this organization: ours is exchanged, and then refused",
            "enable them in the organization's API token settings, or set YOLO_MLSAM_LABEL_STUDIO_API_KEY to a legacy "
            "token",
        )
    if error.code == "label_studio_401":
        return (
            "the token is not accepted",
            "create a new one in Label Studio, and set YOLO_MLSAM_LABEL_STUDIO_API_KEY to it",
        )
    return "the token could not be checked", str(error)


def _is_exchanged(inspection: Inspection) -> bool:
    """Whether our API key is a personal access token that Label Studio still exchanges for access tokens."""
    client = inspection.client
    assert client is not None
    try:
        return client.personal and bool(client.authorization())
    except LabelStudioError:
        return False
