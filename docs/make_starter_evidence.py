"""Write docs/starter-evidence: the evidence pack of the starter on a new installation.

    python -m docs.make_starter_evidence

A test compares its model with the starter that is shipped.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from backend.evidence_pack import gather, write_pack
from mammo.site import Site

FOLDER = Path(__file__).parent / "starter-evidence"


def main() -> None:
    # A database or store that the environment names is somebody's installation: its audit trail is not published.
    new = {"database_url": "", "blob_store": ""}
    with (
        tempfile.TemporaryDirectory() as folder,
        Site.load(creates=True, data_dir=Path(folder), **new) as site,
    ):
        parts = gather(site, None)
    shutil.rmtree(FOLDER, ignore_errors=True)
    write_pack(parts, project=None, to=FOLDER, key=None)


if __name__ == "__main__":
    main()
