"""A real Orthanc with its DICOMweb plug-in, as the PACS of the tests: the configuration of deploy/orthanc."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from cli.demo.processes import free_port
from tests.file_server import certificate
from tests.required import missing

CONFIGURATION = Path(__file__).parent.parent / "deploy/orthanc/orthanc.json"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER = "yolo-mlsam"

TLS = """
pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; client_max_body_size 0;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {pem}; ssl_certificate_key {pem}; ssl_client_certificate {pem}; ssl_verify_client {verify};
        location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_set_header Host $http_host; proxy_buffering off; }}
    }}
}}
"""
"""TLS as sites have it, by a web server in front: the Orthanc of Debian 12 crashes with its own."""


def _program(name: str, remedy: str) -> str:
    """Debian keeps servers off the PATH of ordinary users."""
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if program is None:
        missing(name, remedy)
    return program


def orthanc_program() -> str:
    remedy = "install it, for example `apt-get install orthanc orthanc-dicomweb`"
    if not PLUGIN.exists():
        missing("Orthanc's DICOMweb plug-in", remedy)
    return _program("Orthanc", remedy)


class OrthancServer:
    """Listens on ports of its own of this machine; may be stopped or killed, and started again on the same data."""

    def __init__(self, *, tls: bool = False, asks_for_certificate: bool = False, **changes: Any) -> None:
        """
        Args:
            tls: with a certificate of its own making, `ca_file`.
            asks_for_certificate: a client must show that certificate (the file has its key) too.
            changes: of the configuration.
        """
        self._command = [orthanc_program()]
        self.folder = Path(tempfile.mkdtemp(prefix="mlsam-orthanc-"))
        self.password = secrets.token_hex(12)
        self.port, self.dicom_port, behind = free_port(), free_port(), free_port()
        self.ca_file = certificate(self.folder) if tls else None
        self._trust = ssl.create_default_context(cafile=self.ca_file)
        self._log = self.folder / "log"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._web_server: list[str] = []
        if self.ca_file:
            self._trust.load_cert_chain(self.ca_file)
            self._web_server = self._tls(behind, "on" if asks_for_certificate else "off")
        configuration = json.loads(CONFIGURATION.read_text()) | {
            "StorageDirectory": str(self.folder / "db"),
            "IndexDirectory": str(self.folder / "db"),
            "HttpPort": behind if tls else self.port,
            "DicomPort": self.dicom_port,
            **changes,
        }
        place = self.folder / "configuration"
        place.mkdir()
        (place / "orthanc.json").write_text(json.dumps(configuration))
        (place / "users.json").write_text(json.dumps({"RegisteredUsers": {USER: self.password}}))
        self._command.append(str(place))

    def _tls(self, behind: int, verify: str) -> list[str]:
        program = _program("nginx", "install it, for example `apt-get install nginx-light`")
        text = TLS.format(folder=self.folder, port=self.port, pem=self.ca_file, verify=verify, behind=behind)
        (self.folder / "nginx.conf").write_text(text)
        user = " user root;" if os.geteuid() == 0 else ""  # whose folder this is
        return [
            program,
            "-p",
            str(self.folder),
            "-c",
            str(self.folder / "nginx.conf"),
            "-g",
            f"daemon off;{user}",
        ]

    @property
    def base(self) -> str:
        return f"{'https' if self.ca_file else 'http'}://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a site whose PACS it is."""
        return {
            "pacs_url": f"{self.base}/dicom-web",
            "pacs_user": USER,
            "pacs_password": self.password,
            "pacs_ca_file": self.ca_file,
            "private_networks": "127.0.0.0/8",
        }

    def start(self) -> OrthancServer:
        with self._log.open("ab") as log:
            for command in filter(None, (self._command, self._web_server)):
                self._processes.append(
                    subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
                )
        deadline = time.monotonic() + 60
        while not self._answers():
            ended = [each for each in self._processes if each.poll() is not None]
            assert not ended, self._log.read_text()[-2000:]
            assert time.monotonic() < deadline, "the Orthanc of the tests did not start"
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        try:
            self.rest("GET", "/system")
        except (httpx.TransportError, httpx.HTTPStatusError):  # not yet, or the web server in front says so
            return False
        return True

    def stop(self) -> None:
        """Stop; the data stay until `remove`."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes = []

    def kill(self) -> None:
        """End at once, as if the power failed."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes = []

    def remove(self) -> None:
        """End, and delete the data; without the seconds that a stop takes."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def rest(self, method: str, path: str, **options: Any) -> Any:
        """Answer of Orthanc's own interface, for what a test must know beside DICOMweb."""
        with httpx.Client(
            verify=self._trust, auth=(USER, self.password), timeout=60, trust_env=False
        ) as client:
            response = client.request(method, f"{self.base}{path}", **options)
        response.raise_for_status()
        return response.json()

    def push(self, *files: Path) -> None:
        """Store DICOM files, as a modality would."""
        for file in files:
            self.rest("POST", "/instances", content=file.read_bytes())

    def clear(self) -> None:
        """Delete all patients."""
        for patient in self.rest("GET", "/patients"):
            self.rest("DELETE", f"/patients/{patient}")

    def file(self, instance: str) -> bytes:
        """A stored file, by Orthanc's own identifier."""
        with httpx.Client(
            verify=self._trust, auth=(USER, self.password), timeout=60, trust_env=False
        ) as client:
            response = client.get(f"{self.base}/instances/{instance}/file")
        response.raise_for_status()
        return response.content
