"""The Orthanc of docker-compose.yml, with the configuration that Compose mounts, takes what push.py sends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.orthanc_server import USER, OrthancServer

PUSH = Path(__file__).parents[2] / "deploy/orthanc/push.py"


def test_phantoms_are_stored_by_the_command_of_the_manual(
    orthanc: OrthancServer, two_patients: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "yolo_mlsam_pacs_password").write_text(f"{orthanc.password}\n")
    environment = {
        "YOLO_MLSAM_PACS_URL": f"{orthanc.base}/dicom-web",
        "YOLO_MLSAM_PACS_USER": USER,
        "YOLO_MLSAM_SECRETS_DIR": str(tmp_path),
    }
    folder = two_patients[0].parent
    with PUSH.open("rb") as program:
        done = subprocess.run(
            [sys.executable, "-", folder], stdin=program, env=environment, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    assert len(orthanc.rest("GET", "/instances")) == len(list(folder.glob("*.dcm")))
