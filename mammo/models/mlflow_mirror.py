"""MLflow mirror: what the registry knows of its versions, written to an MLflow server for those who look there.

One run of MLflow per model version: operating point, origin and hashes as parameters, the numbers of verdict and
evaluation as metrics, verdict and alias moves as tags. Nothing is decided by what stands there. No weights go there,
no image, and no text that a person typed. Each time the whole registry is compared, so what was missed while the
server was away follows by itself, and mirroring twice changes nothing.
"""

from __future__ import annotations

import json
import math
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from mammo.errors import MammoError, MirrorUnavailable
from mammo.models.aliases import Promotion
from mammo.models.registry import PARTS, ModelRegistry, Note
from mammo.settings import Settings

PROGRAM = Path(__file__).with_name("mlflow_process.py")

ISOLATED = (sys.executable, "-I")
"""Python that sees the installed packages and nothing of the environment."""

REQUEST_SECONDS = 20
"""Longest time for one answer of the server."""

SECONDS = 60.0
"""Longest time for a mirroring that follows a run or a move; half of it is the import of MLflow on a busy machine."""

SECONDS_BY_HAND = 600.0
"""The same for the command: the first mirroring of a large registry."""

PARAMETERS = (
    "recipe",
    "parent",
    "dataset_version",
    "run",
    "code_version",
    "licence",
    "threshold",
    "presence_threshold",
    "prompt_rule",
    "prompt_count",
)
"""Of a manifest. `reason` is not among them: a person may have typed it."""

AGAIN = "then `yolo-mlsam models mirror` writes what was missed"
REMEDIES = {
    "address": "YOLO_MLSAM_MLFLOW_URI must be http://..., https://... or sqlite:////absolute/path",
    "not_installed": f"install the extra `mlflow` (pip install mlflow-skinny), {AGAIN}",
    "away": f"start the MLflow server or correct YOLO_MLSAM_MLFLOW_URI, {AGAIN}",
    "deleted": f"restore the experiment in MLflow or name another in YOLO_MLSAM_MLFLOW_EXPERIMENT, {AGAIN}",
    "refused": f"look into the log of the MLflow server and at user and password in the address, {AGAIN}",
    "slow": "the server is too slow or its network drops packets; `yolo-mlsam models mirror` goes on with more time",
    "broken": "the process that writes to MLflow ended by itself; install the extra `mlflow` anew",
}

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Mirrored:
    """How many versions were written for the first time, were brought up to date, or were right already."""

    created: int
    changed: int
    unchanged: int


def mirror_if_wanted(settings: Settings, registry: ModelRegistry) -> Mirrored | None:
    """Mirror the registry if the settings name a server; a failure is a warning in the log and nothing else.

    Without a server nothing is started and no network is touched. Takes at most `SECONDS`.
    """
    if not settings.mlflow_uri.get_secret_value():
        return None
    try:
        return mirror(registry, settings, seconds=SECONDS)
    except MammoError as error:
        log.warning("not mirrored to MLflow", code=error.code, error=str(error))
    except Exception as error:  # whatever it is, the run or the move that is mirrored has succeeded
        log.warning("not mirrored to MLflow", code="unforeseen", error=type(error).__name__)
    return None


def mirror(
    registry: ModelRegistry, settings: Settings, *, seconds: float, python: Sequence[str] = ISOLATED
) -> Mirrored:
    """Bring MLflow up to date with the registry.

    Args:
        seconds: longest time; what was written until then stays.
        python: command that runs a Python program.

    Raises:
        MirrorUnavailable: MLflow does not take it; `code` and the message say why and what to do.
    """
    uri = settings.mlflow_uri.get_secret_value()
    if not uri.startswith(("http://", "https://", "sqlite:////")):
        raise _unavailable("address")
    moves = registry.history(None)
    order = {
        "uri": uri,
        "experiment": settings.mlflow_experiment,
        "versions": [entry(registry, version, moves) for version in reversed(registry.versions())],
    }
    with tempfile.TemporaryDirectory(prefix="yolo-mlsam-mlflow-") as folder:
        try:
            done = subprocess.run(  # noqa: S603  # our own program by its path
                [*python, str(PROGRAM)],
                input=json.dumps(order).encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**_environment(), "HOME": folder},
                cwd=folder,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _unavailable("slow", f"{seconds:g} s") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise _unavailable("broken", f"exit code {done.returncode}") from None
    if "problem" in answer:
        raise _unavailable(answer["problem"], answer["detail"])
    mirrored = Mirrored(**answer)
    log.info("mirrored to MLflow", **answer)
    return mirrored


def entry(registry: ModelRegistry, version: str, moves: Sequence[Promotion]) -> dict[str, Any]:
    """What MLflow shall know of a version: JSON values, `params` and `tags` all text, `metrics` finite numbers.

    Args:
        moves: of every alias, oldest first.
    """
    manifest = registry.manifest(version)
    params = {
        **{name: manifest[name] for name in PARAMETERS if manifest.get(name) is not None},
        **dict(_numbers(manifest.get("operating_point"), "operating_point.")),
        **dict(_numbers(manifest.get("presence_point"), "presence_point.")),
        **{f"{part}.sha256": manifest[part]["sha256"] for part in PARTS},
    }
    notes = {note.kind: note for note in registry.notes(version)}
    return {
        "name": version,
        "made_at": round(datetime.fromisoformat(manifest["created_at"]).timestamp() * 1000),
        "params": {name: str(value) for name, value in params.items()},
        "metrics": {
            **dict(_numbers(manifest.get("evaluation"), "evaluation.")),
            **_verdict_numbers(notes.get("verdict")),
        },
        "tags": _tags(version, notes, moves),
    }


def _tags(version: str, notes: Mapping[str, Note], moves: Sequence[Promotion]) -> dict[str, str]:
    now = {move.alias: move.version for move in moves}  # the last move of each alias counts
    tags = {
        "yolo_mlsam.aliases": ", ".join(sorted(name for name, at in now.items() if at == version)) or "-",
        "yolo_mlsam.notes": ", ".join(sorted(notes)) or "-",
    }
    for move in moves:
        if move.version == version:
            when = move.at.isoformat(timespec="seconds")
            tags[f"yolo_mlsam.move.{move.alias}.{move.epoch}"] = f"{move.kind} {when}"
    if "verdict" in notes:
        verdict = notes["verdict"].detail
        tags["yolo_mlsam.verdict"] = "promoted" if verdict.get("promoted") else "kept the champion"
        tags["yolo_mlsam.verdict.reason"] = str(verdict.get("reason") or "-")
    return tags


def _verdict_numbers(note: Note | None) -> dict[str, float]:
    verdict = (note.detail.get("verdict") if note else None) or {}
    told = {name: value for name, value in verdict.items() if name not in ("rule", "seed")}
    return dict(_numbers(told, "verdict."))


def _numbers(values: Any, prefix: str) -> Iterator[tuple[str, float]]:
    """The numbers in nested mappings, named by their path; lists are told only where they are intervals."""
    if not isinstance(values, Mapping):
        return
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif name == "interval" and isinstance(value, list | tuple) and len(value) == 2:
            yield from _numbers(dict(zip(("low", "high"), value, strict=True)), f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{prefix}{name}", float(value)


def _environment() -> dict[str, str]:
    """All that the process knows of ours: the service's secrets stay behind."""
    trusted = ssl.get_default_verify_paths()
    bundle = trusted.cafile or trusted.capath
    return {
        "LC_ALL": "C.UTF-8",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(REQUEST_SECONDS),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        **({"REQUESTS_CA_BUNDLE": bundle} if bundle else {}),
    }


def _unavailable(code: str, detail: str = "") -> MirrorUnavailable:
    said = f" ({detail})" if detail else ""
    return MirrorUnavailable(f"MLflow is not written to{said}: {REMEDIES[code]}", code=f"mlflow_{code}")
