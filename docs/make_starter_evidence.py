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
    shutil.rmtree(FOLDER, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder, Site.load(creates=True, data_dir=Path(folder)) as site:
        write_pack(gather(site, None), project=None, to=FOLDER, key=None)


if __name__ == "__main__":
    main()
