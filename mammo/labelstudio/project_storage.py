"""ProjectStorage: where a project's images lie: uploaded, in a folder that Label Studio serves, or in a bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammo.errors import UnreadableImage
from mammo.file_names import require_text
from mammo.labelstudio.connection import Connection

IMAGE_FILES = r".*\.(png|jpe?g|PNG|JPE?G)$"
"""What of a bucket becomes tasks: what a browser shows."""

UPLOAD_BATCH = 20
"""Images of one upload request; Label Studio takes 100 and 250 MB."""


@dataclass(frozen=True, kw_only=True)
class S3Bucket:
    """A bucket, or a part of it, as Label Studio reaches it."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    """Empty: Amazon's own."""

    region: str = ""
    access_key: str = ""
    secret_key: str = ""
    """Both empty: Label Studio uses the credentials of its own machine."""

    presign: bool = True
    """Browsers and this service fetch from the bucket; False: everything goes through Label Studio."""


class ProjectStorage(Connection):
    """Connects projects to storages. Each is made once, then found again."""

    def add_local_storage(self, project: int, path: Path, *, title: str = "images") -> int:
        """Let Label Studio serve the files of a folder below its document root.

        Without such a row it answers 404, whatever its own settings allow.
        """
        folder = str(path)
        for row in self.call("GET", "/api/storages/localfiles/", params={"project": project}):
            if row["path"] == folder:
                return int(row["id"])
        row = {"project": project, "path": folder, "title": title, "use_blob_urls": True}
        return int(self.call("POST", "/api/storages/localfiles/", json=row)["id"])

    def add_s3_storage(self, project: int, bucket: S3Bucket) -> int:
        """Let a project show images of a bucket; Label Studio looks at the bucket first."""
        row: dict[str, Any] = {
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
            row |= {"aws_access_key_id": bucket.access_key, "aws_secret_access_key": bucket.secret_key}
        for known in self.call("GET", "/api/storages/s3/", params={"project": project}):
            if (known["bucket"], known["prefix"] or "") == (bucket.bucket, bucket.prefix):
                return int(self.call("PATCH", f"/api/storages/s3/{known['id']}", json=row)["id"])
        return int(self.call("POST", "/api/storages/s3/", json=row)["id"])

    def copy_s3_storages(
        self, source: int, project: int, *, access_key: str = "", secret_key: str = ""
    ) -> int:
        """Let a project show the images of another one's buckets; how many there are.

        Args:
            access_key, secret_key: of the buckets, since Label Studio does not tell those it has; empty: it uses the
                credentials of its own machine.
        """
        rows = self.call("GET", "/api/storages/s3/", params={"project": source})
        for row in rows:
            bucket = S3Bucket(
                bucket=row["bucket"],
                prefix=row["prefix"] or "",
                endpoint=row["s3_endpoint"] or "",
                region=row["region_name"] or "",
                access_key=access_key,
                secret_key=secret_key,
                presign=row["presign"],
            )
            self.add_s3_storage(project, bucket)
        return len(rows)

    def sync_s3_storage(self, storage: int) -> int:
        """Make tasks of what is new in a bucket; Label Studio answers when it is done. How many in all."""
        answer = self.call("POST", f"/api/storages/s3/{storage}/sync", json={})
        return int(answer.get("last_sync_count") or 0)

    def upload_images(self, project: int, files: Sequence[Path]) -> int:
        """Upload images, each of which becomes a task; how many there were.

        Raises:
            UnreadableImage: one has a name that is no text (code `file_name`), or cannot be read.
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
        return file.read_bytes()
    except OSError as error:
        raise UnreadableImage(
            f"an image cannot be opened: {error.strerror}", code="unreadable_file"
        ) from None
