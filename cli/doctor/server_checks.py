"""Label Studio itself: is it there, does it take our token, what time is it, and may it talk to us?"""

from __future__ import annotations

from collections.abc import Iterator

from cli.doctor.diagnosis import Diagnosis, broken, skipped, warning, well
from cli.doctor.inspection import Inspection
from mammo.errors import LabelStudioError

RELEASE = "1.23"
"""The release that this system was measured against."""

SKEW_SECONDS = 60.0
"""Clocks that differ more confuse which annotation is the newest."""

SWITCHES = "LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false and LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false"


def check_server(inspection: Inspection) -> Iterator[Diagnosis]:
    """Whatever does not need a project."""
    client = inspection.client
    if client is None:
        yield broken(
            "label-studio",
            "Label Studio's address or key is not set",
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
        if skew > SKEW_SECONDS:
            yield broken(
                "clock",
                f"its clock and ours differ by {skew:.0f} s",
                "run NTP on both machines: annotations are ordered by their time",
            )
        else:
            yield well("clock", f"clocks differ by {skew:.0f} s")
    yield from _token(inspection)


def check_ssrf(inspection: Inspection) -> Iterator[Diagnosis]:
    """Its protection against requests to private addresses; needs a project we may see, and changes nothing."""
    client, url = inspection.client, inspection.backend_url
    if client is None or inspection.project is None or not url:
        yield skipped("ssrf", "needs --project, and the backend's --url or a connected backend")
        return
    backend = client.refuses_backend(url)
    webhook = client.refuses_webhook(inspection.project, f"{url}/webhook")
    if not backend and not webhook:
        yield well("ssrf", "its SSRF protection lets it talk to the backend")
        return
    if backend and webhook:
        says = f"its SSRF protection blocks {url}: no predictions, no webhooks"
    elif webhook:
        says = f"its SSRF protection blocks webhooks to {url}: 403 on connecting, yet it shows Connected"
    else:
        says = f"its ML backends may not be at {url}: 403 on connecting"
    yield broken("ssrf", says, f"start Label Studio with {SWITCHES}")


def _token(inspection: Inspection) -> Iterator[Diagnosis]:
    client = inspection.client
    assert client is not None
    try:
        release = client.version()
        client.call("GET", "/api/current-user/whoami")
        allowed = client.token_settings()
    except LabelStudioError as error:
        yield broken("token", *_about_token(inspection, error))
        return
    kind = "personal access token" if client.personal else "legacy token"
    if not client.personal and not allowed.get("legacy_api_tokens_enabled", True):
        yield broken("token", "legacy tokens are disabled", _ENABLE)
    else:
        yield well("token", f"the {kind} is accepted")
    if release and not release.startswith(RELEASE):
        yield warning("release", f"Label Studio {release}; this system was measured against {RELEASE}")


_ENABLE = (
    "enable them in the organization's API token settings, or set YOLO_MLSAM_LABEL_STUDIO_API_KEY to a personal "
    "access token"
)


def _about_token(inspection: Inspection, error: LabelStudioError) -> tuple[str, str]:
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
            "make a new one in Label Studio, and set YOLO_MLSAM_LABEL_STUDIO_API_KEY",
        )
    return "the token cannot be tried", str(error)


def _is_exchanged(inspection: Inspection) -> bool:
    """Whether our key is a personal access token that Label Studio still gives access tokens for."""
    client = inspection.client
    assert client is not None
    try:
        return client.personal and bool(client.authorization())
    except LabelStudioError:
        return False
