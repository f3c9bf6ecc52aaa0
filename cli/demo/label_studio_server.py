"""A local Label Studio for demo and tests: own environment, SQLite, loopback only, no calls to the internet."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import httpx

from cli.demo.processes import Processes, ProcessFailed

START_SECONDS = 300.0
"""The first start runs every database migration, which takes one to three minutes on two busy cores."""


@dataclass(frozen=True)
class LabelStudioServer:
    """A starting or running Label Studio, and its credentials."""

    url: str
    email: str
    password: str
    api_key: str
    files: Path
    """Folder of the local files that it serves."""


def launch_label_studio(processes: Processes, folder: Path, *, program: Path, port: int) -> LabelStudioServer:
    """Launch Label Studio on a loopback port with a new user, and return at once; see `wait_for_label_studio`.

    Raises:
        ProcessFailed: there is no such program.
    """
    if not program.is_file():
        raise ProcessFailed(f"no Label Studio at {program}; `make demo` and `make test` install it")
    server = LabelStudioServer(
        url=f"http://127.0.0.1:{port}",
        email="expert@example.com",
        password=secrets.token_urlsafe(12),
        api_key=secrets.token_hex(20),
        files=folder / "files",
    )
    server.files.mkdir(parents=True, exist_ok=True)
    command = [str(program.absolute()), "start", "--no-browser"]
    command += ["--internal-host", "127.0.0.1", "--port", str(port)]
    processes.launch("label-studio", command, environment=label_studio_environment(server, folder))
    return server


def wait_for_label_studio(processes: Processes, server: LabelStudioServer) -> None:
    """Wait until Label Studio answers.

    Raises:
        ProcessFailed: it ended, or did not answer in time.
    """
    processes.wait_until("label-studio", lambda: _is_up(server.url), within=START_SECONDS)


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def label_studio_environment(server: LabelStudioServer, folder: Path) -> dict[str, str]:
    """Return the complete environment of a Label Studio whose data lie in `folder`."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    off = {
        # Send nothing out: no version check, analytics or error reports.
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LABEL_STUDIO_SENTRY_DSN": "",
        "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
        # Both default to true, which blocks predictions and webhooks to a backend on a private address.
        "LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "false",
        "LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "false",
    }
    return {
        **{
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("LABEL_STUDIO_", "YOLO_MLSAM_"))
        },
        **off,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "DJANGO_DB": "sqlite",
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
        "LABEL_STUDIO_HOST": server.url,
        "LABEL_STUDIO_USERNAME": server.email,
        "LABEL_STUDIO_PASSWORD": server.password,
        "LABEL_STUDIO_USER_TOKEN": server.api_key,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(server.files.resolve()),
    }
