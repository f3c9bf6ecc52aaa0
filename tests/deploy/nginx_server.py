"""A real nginx with the configuration of deploy/nginx."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from cli.demo.processes import free_port
from tests.required import missing

FOLDER = Path(__file__).parents[2] / "deploy/nginx"


class Nginx:
    """The committed configuration, with ports and folders of the test's, and seconds for minutes."""

    def __init__(self, folder: Path, name: str, upstream: int) -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            missing("nginx", "install it, for example `apt-get install nginx-light`")
        self.folder, self.ports = folder, {}
        for file in FOLDER.glob("*.conf"):
            (folder / file.name).write_text(self._moved(file.read_text(), upstream))
        self.log = folder / "access.log"
        user = " user root;" if os.geteuid() == 0 else ""  # whose folder this is
        self._command = [program, "-p", str(folder), "-c", str(folder / name), "-g", f"daemon off;{user}"]
        checked = subprocess.run([*self._command, "-t"], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for port in re.findall(r"listen (\d+)", (FOLDER / name).read_text()):
            self._await(self.ports[int(port)])

    def _moved(self, text: str, upstream: int) -> str:
        text = text.replace("/tmp/", f"{self.folder}/")
        for port in re.findall(r"listen (\d+)", text):
            self.ports.setdefault(int(port), free_port())
        text = re.sub(r"listen (\d+)", lambda each: f"listen 127.0.0.1:{self.ports[int(each[1])]}", text)
        text = re.sub(r"(set \$\w+) [\w-]+:\d+;", rf"\1 127.0.0.1:{upstream};", text)
        text = text.replace("/run/secrets/tls_certificate", f"{self.folder}/server.pem")
        text = text.replace("/run/secrets/tls_key", f"{self.folder}/server.pem")
        text = text.replace("/dev/stdout", f"{self.folder}/access.log")
        text = text.replace("client_header_timeout 10s", "client_header_timeout 1s")
        return text.replace("client_body_timeout 15s", "client_body_timeout 1s")

    @staticmethod
    def _await(port: int) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)


def started(folder: Path, name: str, upstream: int) -> Iterator[Nginx]:
    made = Nginx(folder, name, upstream)
    yield made
    made.stop()
