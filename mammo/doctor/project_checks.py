"""One project: labeling config, ML backend rows, webhooks, version strings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mammo.doctor.diagnosis import Diagnosis, broken, skipped, warning, well
from mammo.doctor.inspection import Inspection
from mammo.labelstudio.config_review import review_config
from mammo.labelstudio.project_connection import SECRET_HEADER, TITLE, WEBHOOK_ACTIONS

CONNECT = "run `yolo-mlsam project connect --project {project} --url {url}`, or `yolo-mlsam doctor --fix`"


def check_config(inspection: Inspection) -> Iterator[Diagnosis]:
    """Check that the model can fill controls of the labeling config."""
    review = review_config(inspection.described["label_config"])
    for problem in review.problems:
        yield broken(
            "labeling-config",
            problem,
            "change the labeling config in the project's settings, Labeling Interface",
        )
    if not review.problems:
        yield well("labeling-config", f"the model fills {', '.join(review.fills)}")
    for advice in review.advice:
        yield warning("labeling-config", advice)


def check_backends(inspection: Inspection) -> Iterator[Diagnosis]:
    """Check the ML backends: ours must be the first, connected and interactive, and have a password."""
    url, rows = inspection.backend_url, inspection.backends
    repair = inspection.reconnect if inspection.can_reconnect else None
    if not rows:
        yield broken("ml-backend", "the project has no ML backend", _connect(inspection), repair)
        return
    ours = [row for row in rows if row["url"].rstrip("/") == url]
    stale = [row for row in rows if row["title"] == TITLE and row not in ours[:1]]
    if stale:
        urls = ", ".join(sorted({str(row["url"]) for row in stale}))
        says = f"{len(stale)} stale ML backend(s) of ours at {urls}: Label Studio asks only the first of a project"
        yield broken("stale-backend", says, _connect(inspection), repair)
    if not ours:
        yield broken(
            "ml-backend",
            f"no ML backend of the project is at {url or 'our address'}",
            _connect(inspection),
            repair,
        )
        return
    (row, *_) = ours
    others = [each for each in rows if each["title"] != TITLE and each is not row and each["id"] < row["id"]]
    if others:
        yield broken(
            "ml-backend-order",
            f"the ML backend {others[0]['title']!r} comes before ours, and Label Studio asks only the first",
            "delete it in the project's settings, Model",
        )
    if faults := _backend_faults(row):
        yield broken("ml-backend", f"the ML backend {' and '.join(faults)}", _connect(inspection), repair)
    elif row["state"] != "CO":
        yield _disconnected(inspection, row["readable_state"])
    else:
        yield well("ml-backend", f"{url} is connected")


def _backend_faults(row: Mapping[str, Any]) -> list[str]:
    faults = []
    if row["auth_method"] != "BASIC_AUTH" or not row.get("basic_auth_pass_is_set"):
        faults.append("has no password, so the backend refuses its requests")
    if not row["is_interactive"]:
        faults.append("is not interactive, so clicks get no answer")
    return faults


def check_webhooks(inspection: Inspection) -> Iterator[Diagnosis]:
    """Check that there is exactly one webhook to the backend: active, with secret, actions and payload."""
    url = inspection.backend_url
    repair = inspection.reconnect if inspection.can_reconnect else None
    if not url:
        yield skipped("webhook", "the backend's address is unknown; name it with --url")
        return
    hooks = [hook for hook in inspection.webhooks if hook["url"].rstrip("/") == f"{url}/webhook"]
    yield from _stale_webhooks(inspection, hooks)
    if not hooks:
        yield broken("webhook", "the project has no webhook to the backend", _connect(inspection), repair)
        return
    if len(hooks) > 1:
        yield broken(
            "two-webhooks",
            f"{len(hooks)} webhooks to the backend: it receives every event more than once",
            _connect(inspection),
            repair,
        )
    if faults := _webhook_faults(hooks[0], secret=inspection.settings.webhook_secret.get_secret_value()):
        yield broken(
            "webhook", f"the webhook {'; '.join(faults)}: corrections are lost", _connect(inspection), repair
        )
    elif len(hooks) == 1:
        yield well("webhook", "one webhook, with secret, actions and payload")


def _stale_webhooks(inspection: Inspection, hooks: Sequence[Mapping[str, Any]]) -> Iterator[Diagnosis]:
    """Find webhooks with our secret header to addresses where the project has no ML backend any more."""
    addresses = {f"{row['url'].rstrip('/')}/webhook" for row in inspection.backends}
    stale = [
        hook
        for hook in inspection.webhooks
        if hook not in hooks and SECRET_HEADER in hook["headers"] and hook["url"].rstrip("/") not in addresses
    ]
    if not stale:
        return
    assert inspection.client is not None
    delete = inspection.client.delete_webhook

    def remove() -> None:
        for hook in stale:
            delete(int(hook["id"]))

    urls = ", ".join(sorted({str(hook["url"]) for hook in stale}))
    yield broken(
        "stale-webhook",
        f"a stale webhook of ours sends every event to {urls} as well",
        "delete it in the project's settings, Webhooks, or run doctor --fix",
        remove,
    )


def _webhook_faults(hook: Mapping[str, Any], *, secret: str) -> list[str]:
    faults = []
    if not hook["is_active"]:
        faults.append("is inactive")
    if SECRET_HEADER not in hook["headers"]:
        faults.append("carries no secret, so the backend refuses it with 401")
    elif secret and hook["headers"][SECRET_HEADER] != secret:
        faults.append("carries another secret than YOLO_MLSAM_WEBHOOK_SECRET")
    if not hook["send_payload"]:
        faults.append("sends no payload")
    if not hook["send_for_all_actions"]:
        missing = sorted(set(WEBHOOK_ACTIONS) - set(hook["actions"]))
        if missing:
            faults.append(f"does not send {', '.join(missing)}")
    return faults


def check_versions(inspection: Inspection) -> Iterator[Diagnosis]:
    """Compare the model version of `/setup`, of Label Studio's ML backend, and of the predictions shown."""
    client, project = inspection.client, inspection.project
    assert client is not None
    assert project is not None
    rows = [row for row in inspection.backends if row["url"].rstrip("/") == inspection.backend_url]
    serving = str((inspection.setup or {}).get("model_version") or "")
    if not serving:
        if inspection.setup is not None and inspection.setup["status_code"] == 401:
            yield broken(
                "backend",
                "the backend refuses our password",
                "set the same YOLO_MLSAM_AUTH_PASSWORD for the backend and for this command",
            )
        else:
            yield skipped("version", "the backend does not answer here, so its model version is unknown")
        return
    shown = str(inspection.described["model_version"] or "")
    counts = client.prediction_versions(project)
    if rows and rows[0]["model_version"] not in (serving, None, ""):
        yield broken(
            "version",
            f"the backend serves {serving}, but Label Studio has stored {rows[0]['model_version']}: every opened task "
            "gets one more prediction",
            _connect(inspection),
            inspection.reconnect if inspection.can_reconnect else None,
        )
    elif serving in counts and shown != serving:
        yield broken(
            "version",
            f"annotators see {shown or 'no prelabels'}, but the backend serves {serving}: "
            "prelabels and order by score are outdated",
            f"set the project's model version to {serving}, or run doctor --fix",
            lambda: client.set_model_version(project, serving),
        )
    elif serving not in counts:
        yield warning(
            "version",
            f"the project has no prediction of {serving} yet, so annotators see {shown or 'no prelabels'}",
            f"run `yolo-mlsam prelabel-project --project {project}`",
        )
    else:
        yield well("version", f"{serving} serves and is shown ({counts[serving]} predictions)")


def _connect(inspection: Inspection) -> str:
    return CONNECT.format(project=inspection.project, url=inspection.backend_url or "URL")


def _disconnected(inspection: Inspection, state: str) -> Diagnosis:
    if inspection.health is None:
        remedy = "start the backend (`yolo-mlsam serve`), and check that Label Studio's machine reaches that address"
        return broken(
            "ml-backend",
            f"{inspection.backend_url} is {state} for Label Studio, and does not answer here either",
            remedy,
        )
    remedy = "see the check `ssrf`; else Label Studio's machine does not reach it, or it has another password"
    repair = inspection.reconnect if inspection.can_reconnect else None
    return broken(
        "ml-backend",
        f"{inspection.backend_url} answers here, but is {state} for Label Studio",
        remedy,
        repair,
    )
