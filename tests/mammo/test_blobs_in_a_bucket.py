"""The same promises as in a folder, on a real S3 server (moto) over HTTP."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from mammo.blobs import Blobs, hash_file
from mammo.errors import InvalidSettings, InvalidWeights, StorageUnavailable
from mammo.settings import Bucket, Settings

KEYS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server):
    name = f"site-{secrets.token_hex(4)}"
    boto3.client("s3", endpoint_url=server, **KEYS).create_bucket(Bucket=name)
    return Bucket(name, "yolo-mlsam", server, "us-east-1", "key", SecretStr("secret"))


def test_a_blob_of_a_models_size_comes_back_whole(bucket, tmp_path):
    (tmp_path / "weights").write_bytes(secrets.token_bytes(20 * 2**20))
    blobs = Blobs(bucket)
    digest = blobs.put(tmp_path / "weights")
    assert digest == hash_file(tmp_path / "weights")
    blobs.copy(digest, to=tmp_path / "copy")
    assert hash_file(tmp_path / "copy") == digest
    assert [(blob.digest, blob.bytes) for blob in blobs.all()] == [(digest, 20 * 2**20)]


def test_twice_the_same_content_from_eight_threads_is_one_object_that_is_not_written_again(bucket, server):
    blobs = Blobs(bucket)
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: blobs.put(b"content"), range(16)))
    client = boto3.client("s3", endpoint_url=server, **KEYS)
    (stored,) = client.list_objects_v2(Bucket=bucket.name)["Contents"]
    assert digests == {stored["Key"].rpartition("/")[2]}
    assert stored["Key"].startswith("yolo-mlsam/sha256/")


def test_what_another_wrote_over_a_blob_is_refused_and_mended_by_the_next_put(bucket, server, tmp_path):
    blobs = Blobs(bucket)
    digest = blobs.put(b"content")
    client = boto3.client("s3", endpoint_url=server, **KEYS)
    (stored,) = client.list_objects_v2(Bucket=bucket.name)["Contents"]
    client.put_object(Bucket=bucket.name, Key=stored["Key"], Body=b"kontent")
    with pytest.raises(InvalidWeights) as caught:
        blobs.copy(digest, to=tmp_path / "copy")
    assert caught.value.code == "damaged_blob"
    assert not (tmp_path / "copy").exists()
    assert blobs.put(b"content") == digest
    assert blobs.read(digest) == b"content"


def test_a_missing_blob_is_named(bucket):
    blobs = Blobs(bucket)
    with pytest.raises(InvalidWeights) as caught:
        blobs.read("0" * 64)
    assert caught.value.code == "missing_blob"


def test_a_deleted_blob_is_gone_and_deleting_it_again_is_no_error(bucket):
    blobs = Blobs(bucket)
    digest = blobs.put(b"content")
    blobs.delete(digest)
    blobs.delete(digest)
    assert digest not in {blob.digest for blob in blobs.all()}


def test_a_bucket_that_is_not_there_says_so_and_takes_nothing(server):
    missing = Bucket("no-such-bucket", "", server, "us-east-1", "key", SecretStr("secret"))
    with pytest.raises(StorageUnavailable):
        Blobs(missing).put(b"content")


def test_a_bucket_is_named_in_the_settings_with_its_keys(monkeypatch):
    settings = Settings.load(
        blob_store="s3://site/a/b/",
        s3_endpoint="http://store:9000/",
        s3_access_key="key",
        s3_secret_key="very secret",
    )
    assert settings.blobs == Bucket(
        "site", "a/b", "http://store:9000", "us-east-1", "key", SecretStr("very secret")
    )
    assert "very secret" not in repr(settings.blobs)
    with pytest.raises(InvalidSettings, match="S3_ACCESS_KEY"):
        Settings.load(blob_store="s3://site")
    with pytest.raises(InvalidSettings, match="BLOB_STORE"):
        Settings.load(blob_store="https://site/", s3_access_key="key", s3_secret_key="secret")
