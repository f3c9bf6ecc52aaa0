"""The commands of docs/setup.md, taken from the page, make an installation whose images a browser shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import pytest
from playwright.sync_api import Browser

from cli.demo.embedded_redis import start_redis
from cli.demo.label_studio_server import (
    LabelStudioServer,
    label_studio_environment,
    wait_for_label_studio,
)
from cli.demo.processes import Processes, free_port
from mammo.geometry import Size
from mammo.labelstudio import LabelStudioClient
from tests.e2e.conftest import LABEL_STUDIO, ROOT
from tests.e2e.screen import PATIENCE, Screen
from tests.required import missing

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1500)]

STEP = 997
"""Of the image that the browser shows, every so many pixels are compared."""

SHOWN = """async ([address, step]) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const values = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const some = [];
    for (let index = 0; index < values.length; index += 4 * step) some.push(values[index]);
    return [canvas.height, canvas.width, some];
}"""

SWITCHES = (
    "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED",
    "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT",
    "LABEL_STUDIO_ML_BLOCK_LOCAL_IP",
    "LABEL_STUDIO_SSRF_PROTECTION_ENABLED",
)
"""What only the page may set."""


def blocks() -> list[str]:
    """The commands of the page's steps, in their order."""
    steps = (ROOT / "docs/setup.md").read_text().partition("## Steps")[2].partition("\n## ")[0]
    return [
        textwrap.dedent(each)
        for each in re.findall(r"^ *```bash\n(.*?)^ *```", steps, re.DOTALL | re.MULTILINE)
    ]


class Shell:
    """Runs blocks of the page in one folder, with free ports in place of the page's."""

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self.folder, self._ports = folder, ports
        (folder / "bin").mkdir()
        program = folder / "bin/yolo-mlsam"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli "$@"\n')
        program.chmod(0o700)
        self.environment = {
            **{
                key: value
                for key, value in os.environ.items()
                if not key.startswith(("YOLO_MLSAM_", "LABEL_STUDIO_"))
            },
            "PYTHONPATH": str(ROOT),
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        }

    def text(self, block: str) -> str:
        for port, free in self._ports.items():
            block = block.replace(port, str(free))
        return f"cd '{self.folder}'; {block}"

    def run(self, block: str, *, answers: str = "") -> str:
        """Run a block to its end; return what it printed."""
        result = subprocess.run(
            ["bash", "-ec", self.text(block)], env=self.environment, input=answers, capture_output=True, text=True,
            timeout=600, start_new_session=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"{block}\n{result.stdout}\n{result.stderr}"
        return result.stdout


def test_the_commands_of_the_page_end_with_mammograms_in_the_browser(
    tmp_path: Path, browser: Browser
) -> None:
    if not LABEL_STUDIO.is_file():
        missing("Label Studio", "run `make test`, which installs it")
    begin, init, serve, work, create, fill, check = blocks()
    site = tmp_path / "site"
    site.mkdir()
    ports = {"8080": free_port(), "9090": free_port()}
    shell = Shell(site, ports)
    server = LabelStudioServer(
        url=f"http://127.0.0.1:{ports['8080']}", email="expert@example.com", password="a-long-password",
        api_key="0123456789abcdef" * 2 + "01234567", files=site / "twins",
    )  # fmt: skip
    with Processes(tmp_path / "logs") as processes:
        own = label_studio_environment(server, tmp_path / "label-studio")
        environment = {
            key: value for key, value in own.items() if key not in SWITCHES
        }  # the user, and no internet
        environment["PATH"] = f"{LABEL_STUDIO.parent}:{environment['PATH']}"
        processes.launch("label-studio", ["bash", "-ec", shell.text(begin)], environment=environment)
        redis = start_redis(processes, tmp_path / "redis")
        wait_for_label_studio(processes, server)

        answers = [server.url, "", "", "", redis.url, "", str(ports["9090"]), server.api_key]
        said = shell.run(init, answers="\n".join(answers) + "\n")
        assert "the legacy token is accepted" in said
        assert "broken" not in said
        for name, block in (("backend", serve), ("worker", work)):
            processes.launch(name, ["bash", "-ec", shell.text(block)], environment=shell.environment)
        processes.wait_until("backend", lambda: "serves" in checked(shell), within=400)
        said = shell.run(create)
        assert "project 1: created" in said
        assert "browsers get the images" in said
        assert "1 new tasks in project 1" in shell.run(fill)
        assert "broken" not in shell.run(check)

        with LabelStudioClient(server.url, server.api_key) as client:
            (task, *_) = client.first_tasks(1, 1)
        page = browser.new_page()
        screen = Screen(page, Size(2560, 3328))
        screen.log_in(server)
        address = f"{server.url}{task['data']['rcc']}"
        height, width, values = page.evaluate(SHOWN, [address, STEP])
        page.goto(
            f"{server.url}/projects/1/data?task={task['id']}", wait_until="domcontentloaded", timeout=PATIENCE
        )
        page.wait_for_function(
            "() => [...document.querySelectorAll('.view img')]"
            ".filter(each => each.naturalWidth == 2560 && each.width > 100).length == 4",
            timeout=PATIENCE,
        )
        page.close()
    (twin,) = site.glob(f"twins/twins/{task['data']['rcc_sha256']}.png")
    drawn = cv2.imread(str(twin), cv2.IMREAD_UNCHANGED)
    assert (height, width) == drawn.shape
    assert values == drawn.ravel()[::STEP].tolist()
    assert len(set(values)) > 50, "it is a mammogram and not one grey"


def checked(shell: Shell) -> str:
    """What `doctor` says of the backend, whatever its exit code."""
    return subprocess.run(
        ["bash", "-c", shell.text("yolo-mlsam doctor")], env=shell.environment, capture_output=True, text=True,
        timeout=120, check=False,
    ).stdout  # fmt: skip
