"""deploy/copy_blobs.py brings the blobs of a bucket into the data folder, on a real S3 server (moto)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from mammo.blobs import Blobs
from mammo.settings import PREFIX, Bucket

SCRIPT = Path(__file__).parents[2] / "deploy/copy_blobs.py"


@pytest.fixture
def bucket():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys).create_bucket(Bucket="yolo-mlsam")
    yield Bucket("yolo-mlsam", "", f"http://{host}:{port}", "us-east-1", "key", SecretStr("secret"))
    server.stop()


def copy(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """As `docker compose exec -T backend python - < deploy/copy_blobs.py`."""
    given = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    own = {f"{PREFIX}{name}": value for name, value in settings.items()}
    environment = given | own | {f"{PREFIX}DATA_DIR": str(folder)}
    with SCRIPT.open() as script:
        return subprocess.run(
            [sys.executable, "-"], stdin=script, env=environment, capture_output=True, text=True
        )


def test_every_blob_is_copied_and_checked_and_a_second_run_does_no_harm(bucket, tmp_path):
    source = Blobs(bucket)
    digests = {source.put(content): content for content in (b"weights" * 100_000, b"a mask", b"")}
    settings = {
        "BLOB_STORE": "s3://yolo-mlsam",
        "S3_ENDPOINT": bucket.endpoint,
        "S3_ACCESS_KEY": "key",
        "S3_SECRET_KEY": "secret",
    }
    for _ in range(2):
        done = copy(tmp_path, **settings)
        assert done.returncode == 0, done.stderr
        assert "3 blobs of s3://yolo-mlsam" in done.stdout
    target = Blobs(tmp_path / "blobs")
    assert {each.digest: target.read(each.digest) for each in target.all()} == digests
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]


def test_a_site_without_a_bucket_is_told_so(tmp_path):
    done = copy(tmp_path)
    assert done.returncode == 1
    assert "in the data folder already" in done.stdout
