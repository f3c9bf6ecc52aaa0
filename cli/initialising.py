"""`yolo-mlsam init`: ask for what an installation needs, write its settings file, check it, and say what is next."""

from __future__ import annotations

import re
import secrets
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import typer

from cli.doctor.command import BROKEN, examine_service, show
from mammo.doctor.inspection import Inspection
from mammo.errors import InvalidSettings
from mammo.settings import PREFIX, Settings
from mammo.site import Site
from mammo.site_file import write_site_file
from mammo.training_settings import MIN_CORRECTIONS

GENERATED = ("auth_password", "webhook_secret", "patient_secret")
"""Settings whose values nobody has to think of. The folds of all data sets depend on the patient secret."""

PATHS = ("mammogram_root", "twin_root", "data_dir")


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Settings as given on the command line; None: to be asked for."""

    label_studio_url: str | None
    mammogram_root: Path | None
    twin_root: Path | None
    data_dir: Path | None
    redis_url: str | None
    host: str | None
    port: int | None


QUESTIONS = {
    "label_studio_url": ("Address of Label Studio, as this machine reaches it", "http://127.0.0.1:8080"),
    "mammogram_root": ("Folder of the DICOM files (only read)", "mammograms"),
    "twin_root": (
        "Folder that Label Studio serves as local files (8-bit pictures are written there)",
        "twins",
    ),
    "data_dir": ("Data folder of this service", "data"),
    "redis_url": (
        "Address of Redis or Valkey",
        Settings.model_fields["redis_url"].default.get_secret_value(),
    ),
    "host": ("Address at which the backend listens (0.0.0.0: for other machines)", "127.0.0.1"),
    "port": ("Port of the backend", "9090"),
}
"""Question and default by setting, in the order in which they are asked."""


def init_command(file: Path, given: Answers, *, token_stdin: bool, asks: bool) -> int:
    """Write a settings file, and check the installation that it describes.

    Args:
        file: must not exist.
        given: answers of the command line.
        token_stdin: read the access token from the first line of standard input.
        asks: whether to ask for what is missing; otherwise the defaults are taken.

    Returns:
        0, or `BROKEN` if a check found something broken; the file is written in both cases.

    Raises:
        InvalidSettings: the file exists, or an answer is invalid; nothing was written.
    """
    if file.exists():
        raise InvalidSettings(
            f"{file} exists, and holds secrets that must not change: edit it, or name another file to write"
        )
    if not file.absolute().parent.is_dir():
        raise InvalidSettings(f"{file.absolute().parent} does not exist: make this folder first")
    values = _answers(given, asks=asks)
    values["label_studio_api_key"] = _token(token_stdin=token_stdin, asks=asks)
    values |= {name: secrets.token_hex(32) for name in GENERATED}
    values["provisional_after"] = str(MIN_CORRECTIONS)
    checked: dict[str, Any] = {name: value for name, value in values.items() if value}
    Site.load(**checked)  # an invalid answer writes nothing
    for name in ("mammogram_root", "twin_root"):
        folder = Path(values[name])
        if (
            asks
            and not folder.is_dir()
            and typer.confirm(f"{folder} does not exist. Make it?", default=True, err=True)
        ):
            folder.mkdir(parents=True)
    comment = "Settings of Yolo-MLSAM; docs/settings.md lists all of them. Keep a copy of the patient secret."
    named = {f"{PREFIX}{name.upper()}": value for name, value in values.items()}
    write_site_file(file, named, comment=comment)
    typer.echo(f"{file.absolute()} is written; only you can read it")
    with Site.load(site=file) as site:
        diagnoses = examine_service(Inspection(site=site))
        show(diagnoses, as_json=False)
        typer.echo(next_steps(site.settings, file))
    return BROKEN if any(each.state == "broken" for each in diagnoses) else 0


def next_steps(settings: Settings, file: Path) -> str:
    """Return what to do after the settings file is written."""
    option = "" if file.name == file.as_posix() == "yolo-mlsam.env" else f" --site {file.absolute()}"
    host = "SERVER" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - compared, not bound
    return "\n".join(
        (
            "",
            "Next:",
            "1. Label Studio must run with these variables:",
            "     LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true",
            f"     LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={settings.twin_root}",
            "     LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false",
            "     LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false",
            f"2. yolo-mlsam{option} serve      (keeps running; the backend)",
            f"3. yolo-mlsam{option} work       (keeps running; trains and prelabels)",
            f"4. yolo-mlsam{option} project create --title NAME --url http://{host}:{settings.port}",
            f"5. yolo-mlsam{option} import {settings.mammogram_root} --project ID",
        )
    )


def _answers(given: Answers, *, asks: bool) -> dict[str, str]:
    """Return all answers as text, paths absolute."""
    values: dict[str, str] = {}
    for field in fields(given):
        question, default = QUESTIONS[field.name]
        answer = getattr(given, field.name)
        if field.name == "redis_url" and answer is not None and re.search("@|password=", answer):
            raise InvalidSettings(
                "--redis holds a password, which others see among the arguments: let init ask for it"
            )
        if answer is None:
            answer = typer.prompt(question, default=default, err=True) if asks else default
        values[field.name] = str(Path(answer).expanduser().resolve() if field.name in PATHS else answer)
    return values


def _token(*, token_stdin: bool, asks: bool) -> str:
    if token_stdin:
        token = sys.stdin.readline().strip()
        if not token:
            raise InvalidSettings(
                "--token-stdin: standard input is empty; expected Label Studio's access token"
            )
        return token
    if not asks:
        return ""
    question = "Access token of Label Studio (Account & Settings; empty: set it later)"
    return str(typer.prompt(question, default="", hide_input=True, show_default=False, err=True)).strip()
