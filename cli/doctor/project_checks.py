"""One project: labeling config, ML backend rows, webhooks, version strings."""

from __future__ import annotations

from collections.abc import Iterator

from cli.doctor.diagnosis import Diagnosis, broken, skipped, warning, well
from cli.doctor.inspection import Inspection
from mammo.labelstudio.config_review import review_config
from mammo.labelstudio.project_connection import SECRET_HEADER, TITLE, WEBHOOK_ACTIONS

CONNECT = "run `yolo-mlsam project connect --project {project} --url {url}`, or doctor --fix"


def check_config(inspection: Inspection) -> Iterator[Diagnosis]:
    """What the model can fill in this project."""
    review = review_config(inspection.described["label_config"])
    for problem in review.problems:
        yield broken("labeling-config", problem, "change it in the project's settings, Labeling Interface")
    if not review.problems:
        yield well("labeling-config", f"the model fills {', '.join(review.fills)}")
    for advice in review.advice:
        yield warning("labeling-config", advice)


def check_backends(inspection: Inspection) -> Iterator[Diagnosis]:
    """The rows under Settings, Model: ours must be the first, connected, interactive, with a password."""
    url, rows = inspection.backend_url, inspection.backends
    repair = inspection.reconnect if inspection.can_reconnect else None
    if not rows:
        yield broken("ml-backend", "the project has no ML backend", _connect(inspection), repair)
        return
    ours = [row for row in rows if row["url"].rstrip("/") == url]
    stale = [row for row in rows if row["title"] == TITLE and row not in ours[:1]]
    if stale:
        urls = ", ".join(sorted({str(row["url"]) for row in stale}))
        says = f"{len(stale)} stale ML backend(s) of ours at {urls}: only the first one of a project is asked"
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
            f"the ML backend {others[0]['title']!r} stands before ours, and Label Studio asks only the first",
            "delete it in the project's settings, Model",
        )
    faults = []
    if row["auth_method"] != "BASIC_AUTH" or not row.get("basic_auth_pass_is_set"):
        faults.append("has no password, so the backend refuses it")
    if not row["is_interactive"]:
        faults.append("is not interactive: clicks get no answer")
    if faults:
        yield broken("ml-backend", f"the ML backend {' and '.join(faults)}", _connect(inspection), repair)
    elif row["state"] != "CO":
        yield _disconnected(inspection, row["readable_state"])
    else:
        yield well("ml-backend", f"{url} is connected")


def check_webhooks(inspection: Inspection) -> Iterator[Diagnosis]:
    """Exactly one webhook to us: active, with the secret, with the actions, with the payload."""
    url = inspection.backend_url
    repair = inspection.reconnect if inspection.can_reconnect else None
    if not url:
        yield skipped("webhook", "the backend's address is not known: give --url")
        return
    hooks = [hook for hook in inspection.webhooks if hook["url"].rstrip("/") == f"{url}/webhook"]
    addresses = {f"{row['url'].rstrip('/')}/webhook" for row in inspection.backends}
    left = [
        hook
        for hook in inspection.webhooks
        if hook not in hooks and SECRET_HEADER in hook["headers"] and hook["url"].rstrip("/") not in addresses
    ]
    if left:
        assert inspection.client is not None
        delete = inspection.client.delete_webhook

        def remove() -> None:
            for hook in left:
                delete(int(hook["id"]))

        urls = ", ".join(sorted({str(hook["url"]) for hook in left}))
        yield broken(
            "stale-webhook",
            f"a webhook of ours to {urls} was left behind: every event goes there too",
            "delete it in the project's settings, Webhooks, or doctor --fix",
            remove,
        )
    if not hooks:
        yield broken("webhook", "no webhook tells us of corrections", _connect(inspection), repair)
        return
    if len(hooks) > 1:
        yield broken(
            "two-webhooks",
            f"{len(hooks)} webhooks to the backend: every event comes twice",
            _connect(inspection),
            repair,
        )
    faults = []
    for hook in hooks[:1]:
        secret = inspection.settings.webhook_secret.get_secret_value()
        if not hook["is_active"]:
            faults.append("is deactivated")
        if SECRET_HEADER not in hook["headers"]:
            faults.append("carries no secret, so the backend refuses it with 401")
        elif secret and hook["headers"][SECRET_HEADER] != secret:
            faults.append("carries another secret than YOLO_MLSAM_WEBHOOK_SECRET")
        if not hook["send_payload"]:
            faults.append("sends no payload")
        if not hook["send_for_all_actions"]:
            missing = sorted(set(WEBHOOK_ACTIONS) - set(hook["actions"]))
            if missing:
                faults.append(f"does not tell of {', '.join(missing)}")
    if faults:
        yield broken(
            "webhook", f"the webhook {'; '.join(faults)}: corrections are lost", _connect(inspection), repair
        )
    elif len(hooks) == 1:
        yield well("webhook", "one webhook, with its secret and its actions")


def check_versions(inspection: Inspection) -> Iterator[Diagnosis]:
    """The version string: what `/setup` answers, what Label Studio remembers, what annotators see."""
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
                "give it and this command the same YOLO_MLSAM_AUTH_PASSWORD",
            )
        else:
            yield skipped("version", "the backend does not answer here, so what it serves is not known")
        return
    shown = str(inspection.described["model_version"] or "")
    counts = client.prediction_versions(project)
    if rows and rows[0]["model_version"] not in (serving, None, ""):
        yield broken(
            "version",
            f"the backend serves {serving}, and Label Studio remembers {rows[0]['model_version']}: every look makes "
            "one more prediction",
            _connect(inspection),
            inspection.reconnect if inspection.can_reconnect else None,
        )
    elif serving in counts and shown != serving:
        yield broken(
            "version",
            f"annotators see {shown or 'nothing'}, and the backend serves {serving}: no order by score, old prelabels",
            f"set the project's model version to {serving}, or doctor --fix",
            lambda: client.set_model_version(project, serving),
        )
    elif serving not in counts:
        yield warning(
            "version",
            f"no prediction of {serving} is in the project yet, so annotators see {shown or 'nothing'}",
            f"run `yolo-mlsam prelabel-project --project {project}`",
        )
    else:
        yield well("version", f"{serving} is served and shown ({counts[serving]} predictions)")


def _connect(inspection: Inspection) -> str:
    return CONNECT.format(project=inspection.project, url=inspection.backend_url or "URL")


def _disconnected(inspection: Inspection, state: str) -> Diagnosis:
    if inspection.health is None:
        remedy = "start the backend (`yolo-mlsam serve`), and look whether Label Studio's machine reaches that address"
        return broken(
            "ml-backend", f"{inspection.backend_url} is {state}, and does not answer here either", remedy
        )
    remedy = "see the check ssrf; otherwise Label Studio's machine does not reach it, or its password is another one"
    repair = inspection.reconnect if inspection.can_reconnect else None
    return broken(
        "ml-backend",
        f"{inspection.backend_url} answers here, and is {state} for Label Studio",
        remedy,
        repair,
    )
