"""Copy weights and masks from the bucket of a site into its data folder, each checked by its hash.

For a site that an earlier docker-compose.yml gave a MinIO. Run it in the backend of that release, before it is stopped:
    docker compose exec -T backend python - < deploy/copy_blobs.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from mammo.blobs import Blobs
from mammo.settings import Settings


def main() -> int:
    """Copy every blob; return the exit status."""
    settings = Settings.load()
    if not settings.blob_store:
        print("YOLO_MLSAM_BLOB_STORE is not set: the blobs are in the data folder already")
        return 1
    source, target = Blobs(settings.blobs), Blobs(settings.data_dir / "blobs")
    blobs = list(source.all())
    for blob in blobs:
        with tempfile.TemporaryDirectory(dir=settings.data_dir) as folder:
            file = Path(folder) / blob.digest
            source.copy(blob.digest, to=file)
            target.put(file)
    print(f"{len(blobs)} blobs of {settings.blob_store} are in {settings.data_dir / 'blobs'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
