"""ProjectStorage: the images of a project: uploaded, in a folder that Label Studio serves, or in an S3 bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammo.errors import UnreadableImage
from mammo.file_names import require_text
from mammo.input_files import read_input
from mammo.labelstudio.connection import Connection

IMAGE_FILES = r".*\.(png|jpe?g|PNG|JPE?G)$"
"""Regular expression for the objects of a bucket that become tasks: images that browsers display."""

UPLOAD_BATCH = 20
"""Images per upload request; Label Studio's limits are 100 images and 250 MB."""

MAX_UPLOAD = 250 * 2**20
"""Largest uploaded image, in bytes."""


@dataclass(frozen=True, kw_only=True)
class S3Bucket:
    """An S3 bucket, or a prefix in it, with its address and credentials from Label Studio."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    """Empty for Amazon S3."""

    region: str = ""
    access_key: str = ""
    secret_key: str = ""
    """If both keys are empty, Label Studio uses the credentials of its machine."""

    presign: bool = True
    """Browsers and this service download from the bucket directly rather than through Label Studio."""


class ProjectStorage(Connection):
    """Requests that connect projects to storages. A storage that exists is updated or reused."""

    def add_local_storage(self, project: int, path: Path, *, title: str = "images") -> int:
        """Let Label Studio serve the files of a folder below its document root; return the storage's id.

        Without a storage for the folder, Label Studio answers 404 regardless of its settings.
        """
        folder = str(path)
        for storage in self.call("GET", "/api/storages/localfiles/", params={"project": project}):
            if storage["path"] == folder:
                return int(storage["id"])
        body = {"project": project, "path": folder, "title": title, "use_blob_urls": True}
        return int(self.call("POST", "/api/storages/localfiles/", json=body)["id"])

    def add_s3_storage(self, project: int, bucket: S3Bucket) -> int:
        """Connect a project to a bucket, which Label Studio checks first; return the storage's id."""
        body: dict[str, Any] = {
            "project": project,
            "title": f"s3://{bucket.bucket}/{bucket.prefix}",
            "bucket": bucket.bucket,
            "prefix": bucket.prefix or None,
            "s3_endpoint": bucket.endpoint or None,
            "region_name": bucket.region or None,
            "presign": bucket.presign,
            "use_blob_urls": True,
            "regex_filter": IMAGE_FILES,
            "recursive_scan": True,
        }
        if bucket.access_key:
            body |= {"aws_access_key_id": bucket.access_key, "aws_secret_access_key": bucket.secret_key}
        for storage in self.call("GET", "/api/storages/s3/", params={"project": project}):
            if (storage["bucket"], storage["prefix"] or "") == (bucket.bucket, bucket.prefix):
                return int(self.call("PATCH", f"/api/storages/s3/{storage['id']}", json=body)["id"])
        return int(self.call("POST", "/api/storages/s3/", json=body)["id"])

    def copy_s3_storages(
        self, source: int, project: int, *, access_key: str = "", secret_key: str = ""
    ) -> int:
        """Connect a project to the buckets of the project `source`; return their number.

        Args:
            source: id of the project with the buckets.
            project: id of the project to connect.
            access_key, secret_key: of the buckets, because Label Studio does not return those that it has. If both
                are empty, it uses the credentials of its machine.
        """
        storages = self.call("GET", "/api/storages/s3/", params={"project": source})
        for storage in storages:
            bucket = S3Bucket(
                bucket=storage["bucket"],
                prefix=storage["prefix"] or "",
                endpoint=storage["s3_endpoint"] or "",
                region=storage["region_name"] or "",
                access_key=access_key,
                secret_key=secret_key,
                presign=storage["presign"],
            )
            self.add_s3_storage(project, bucket)
        return len(storages)

    def sync_s3_storage(self, storage: int) -> int:
        """Create tasks for the new objects of a bucket and wait until it is done; return the number of objects."""
        answer = self.call("POST", f"/api/storages/s3/{storage}/sync", json={})
        return int(answer.get("last_sync_count") or 0)

    def upload_images(self, project: int, files: Sequence[Path]) -> int:
        """Upload images, each of which becomes a task; return their number.

        Raises:
            UnreadableImage: a file's name is not UTF-8 (code `file_name`), or a file cannot be read (code
                `unreadable_file`).
        """
        uploaded = 0
        for file in files:
            require_text(file.name)
        for first in range(0, len(files), UPLOAD_BATCH):
            batch = files[first : first + UPLOAD_BATCH]
            content = {file.name: (file.name, _content(file)) for file in batch}
            answer = self.call("POST", f"/api/projects/{project}/import", files=content)
            uploaded += int(answer["task_count"])
        return uploaded


def _content(file: Path) -> bytes:
    try:
        return read_input(file, max_bytes=MAX_UPLOAD)
    except OSError as error:
        raise UnreadableImage(
            f"an image cannot be opened: {error.strerror}", code="unreadable_file"
        ) from None
