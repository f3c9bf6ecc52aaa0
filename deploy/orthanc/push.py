"""Store DICOM files in the Orthanc of docker-compose.yml, to try it out: docs/pacs.md. Uses the standard library only.

docker compose run --rm -T --entrypoint python pacs - FOLDER < deploy/orthanc/push.py
"""

from __future__ import annotations

import base64
import os
import sys
import urllib.request
from pathlib import Path


def main(folder: Path) -> None:
    """Store every file of a folder whose name ends with .dcm; raises urllib.error.HTTPError: Orthanc refuses one."""
    server = os.environ["YOLO_MLSAM_PACS_URL"].removesuffix("/dicom-web")
    secret = Path(os.environ["YOLO_MLSAM_SECRETS_DIR"], "yolo_mlsam_pacs_password").read_text(
        encoding="utf-8"
    )
    login = base64.b64encode(f"{os.environ['YOLO_MLSAM_PACS_USER']}:{secret.strip()}".encode()).decode()
    files = sorted(folder.rglob("*.dcm"))
    for file in files:
        request = urllib.request.Request(  # noqa: S310 - the address is the site's own setting
            f"{server}/instances", data=file.read_bytes(), headers={"Authorization": f"Basic {login}"}
        )
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310
    print(f"{len(files)} files stored")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
