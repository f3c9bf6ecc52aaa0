"""The real Label Studio as docker-compose.yml starts it: its database role, its secrets, and TLS before it."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import yaml

from cli.demo.processes import free_port
from tests.deploy.nginx_server import started
from tests.file_server import certificate
from tests.postgres_server import PostgresServer, postgres_programs
from tests.required import missing

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / ".venv-label-studio/bin"
SERVICE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["label-studio"]
START_SECONDS = 600.0


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    subprocess.run([sys.executable, ROOT / "deploy/make_env.py", tmp_path], check=True, capture_output=True)
    return tmp_path / "secrets"


@pytest.fixture
def postgres_with_roles(secrets: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(listens=True).start()
    environment = {
        "PGHOST": str(server.folder),
        "PGPORT": str(server.port),
        "PGUSER": "tests",
        "SECRETS": str(secrets),
    }
    environment["PATH"] = f"{postgres_programs()}:{os.environ['PATH']}"
    subprocess.run(["sh", ROOT / "deploy/postgres/roles.sh"], env=environment, check=True)
    yield server
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def web_server(tmp_path):
    certificate(tmp_path)
    port = free_port()
    for nginx in started(tmp_path, "tls.conf", port):
        yield port, nginx


def environment(tmp_path: Path, *, host: str, database: PostgresServer) -> dict[str, str]:
    """The service's variables, with places of the test's."""
    values = {"LABEL_STUDIO_HOST": host, "SECURE_COOKIES": "1"}
    given = {
        name: re.sub(r"\$\{(\w+):-([^}]*)\}", lambda each: values.get(each[1], each[2]), text)
        for name, text in SERVICE["environment"].items()
    }
    (tmp_path / "twins").mkdir()
    places = {
        "HOME": str(tmp_path),
        "LABEL_STUDIO_BASE_DATA_DIR": str(tmp_path / "data"),
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(tmp_path / "twins"),
        "POSTGRE_HOST": "127.0.0.1",
        "POSTGRE_PORT": str(database.port),
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }
    return given | places


@pytest.mark.slow
def test_a_person_logs_in_over_tls_and_a_program_asks_with_its_token(
    tmp_path, secrets, postgres_with_roles, web_server
):
    if not (PROGRAMS / "label-studio").is_file():
        missing("Label Studio", "run `make test`")
    port, nginx = web_server
    host = f"https://127.0.0.1:{nginx.ports[8443]}"
    shell, option, script = SERVICE["entrypoint"]
    script = script.replace("/run/secrets", str(secrets))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [shell, option, f"{script} start --no-browser --internal-host 127.0.0.1 --port {port}"],
            env=environment(tmp_path, host=host, database=postgres_with_roles),
            stdout=log,
            stderr=log,
        )
    try:
        trust = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
        with httpx.Client(base_url=host, verify=trust, trust_env=False, timeout=60) as client:
            wait(process, client)
            page = client.get("/user/login/")
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
            form = {"email": "admin@example.com", "password": (secrets / "label_studio_password").read_text()}
            answer = client.post(
                "/user/login/",
                data=form | {"csrfmiddlewaretoken": token[1]},
                headers={"Origin": host, "Referer": host},
            )
            assert answer.status_code == 302, answer.text[:500]
            cookies = [text for name, text in answer.headers.multi_items() if name == "set-cookie"]
            assert cookies
            assert all("Secure" in each for each in cookies)
            assert client.get("/api/current-user/whoami").json()["email"] == "admin@example.com"
        key = (secrets / "yolo_mlsam_label_studio_api_key").read_text()
        asked = httpx.get(
            f"{host}/api/projects",
            headers={"Authorization": f"Token {key}"},
            verify=trust,
            trust_env=False,
            timeout=60,
        )
        assert asked.status_code == 200, asked.text
        url = f"host=127.0.0.1 port={postgres_with_roles.port} dbname=labelstudio user=label_studio"
        password = (secrets / "postgres_label_studio_password").read_text()
        with psycopg.connect(url, password=password) as connection:
            owners = connection.execute(
                "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
            ).fetchall()
        assert owners == [("label_studio",)]
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait(process: subprocess.Popen, client: httpx.Client) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.5)
