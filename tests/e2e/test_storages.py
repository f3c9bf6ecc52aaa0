"""Uploads, local files and a bucket through the real Label Studio: images come, and the token goes nowhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from cli.demo.label_studio_server import wait_for_label_studio
from cli.demo.processes import free_port
from cli.demo.stack import Stack
from mammo.errors import ImageNotFound
from mammo.images.downloads import AddressRule, DownloadCache
from mammo.images.image_downloads import ImageDownloads
from mammo.images.task_images import TaskImages, of_task
from mammo.labelstudio import LabelStudioClient, labeling_config
from mammo.labelstudio.client import name_of_upload
from mammo.labelstudio.project_storage import S3Bucket
from mammo.labelstudio.project_tags import ProjectTags
from tests.e2e.site import picture

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LOOPBACK = AddressRule.parse("127.0.0.0/8")
ACCESS, SECRET = "access-key", "secret-key"


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[LabelStudioClient]:
    wait_for_label_studio(stack.processes, stack.label_studio)
    with closing(LabelStudioClient(stack.label_studio.url, stack.label_studio.api_key)) as made:
        yield made


@pytest.fixture
def project(client: LabelStudioClient) -> Iterator[int]:
    made = client.create_project("storages", labeling_config())
    yield made
    client.call("DELETE", f"/api/projects/{made}/")


@pytest.fixture(scope="module")
def bucket() -> Iterator[S3Bucket]:
    """An S3 server on the loopback address with two images and something else below a prefix."""
    port = free_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{port}"
    s3 = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )
    s3.create_bucket(Bucket="mammograms")
    for name, value in (("first image.png", 60), ("second.png", 70)):
        s3.put_object(Bucket="mammograms", Key=f"study/{name}", Body=picture(value), ContentType="image/png")
    s3.put_object(Bucket="mammograms", Key="study/notes.txt", Body=b"not an image")
    yield S3Bucket(
        bucket="mammograms",
        prefix="study",
        endpoint=endpoint,
        access_key=ACCESS,
        secret_key=SECRET,
        region="us-east-1",
    )
    server.stop()


def images(client: LabelStudioClient, folder: Path, **options: object) -> TaskImages:
    cache = DownloadCache(folder / "cache", max_bytes=2**20)
    return TaskImages(root=None, downloads=ImageDownloads(client, cache=cache, **options))  # type: ignore[arg-type]


def hashes(client: LabelStudioClient, project: int, opener: TaskImages) -> list[str]:
    tags = ProjectTags(client)(project)
    return sorted(
        opener.open(of_task(task["id"], task["data"], tags=tags)).sha256 for task in client.tasks(project)
    )


def sha(value: int) -> str:
    return hashlib.sha256(picture(value)).hexdigest()


@pytest.mark.parametrize("presign", [True, False])
def test_a_bucket_is_read_through_label_studio_presigned_or_not(
    client: LabelStudioClient, project: int, bucket: S3Bucket, tmp_path: Path, presign: bool
) -> None:

    storage = client.add_s3_storage(project, replace(bucket, presign=presign))
    assert client.sync_s3_storage(storage) == 2
    assert client.add_s3_storage(project, replace(bucket, presign=presign)) == storage
    stated = {task["data"]["image"] for task in client.tasks(project)}
    assert stated == {"s3://mammograms/study/first image.png", "s3://mammograms/study/second.png"}
    assert hashes(client, project, images(client, tmp_path, rule=LOOPBACK)) == sorted([sha(60), sha(70)])
    if presign:  # the bucket lies on a private address, which nobody has allowed
        with pytest.raises(ImageNotFound) as failure:
            hashes(client, project, images(client, tmp_path / "strict"))
        assert failure.value.code == "blocked_address"


def test_uploads_and_local_files_are_read_and_a_changed_file_is_noticed(
    client: LabelStudioClient, project: int, stack: Stack, tmp_path: Path
) -> None:
    (tmp_path / "up (1) here.png").write_bytes(picture(80))
    assert client.uploaded_names(project) == frozenset()
    assert client.upload_images(project, [tmp_path / "up (1) here.png"]) == 1
    assert client.uploaded_names(project) == {name_of_upload("up (1) here.png")}
    folder = stack.label_studio.files.resolve() / "storages"
    folder.mkdir(exist_ok=True)
    (folder / "local file.png").write_bytes(picture(81))
    client.add_local_storage(project, folder)
    client.import_tasks(project, [{"image": "/data/local-files/?d=storages/local%20file.png"}])
    clock = [1000.0]
    cache = DownloadCache(tmp_path / "cache", max_bytes=2**20, clock=lambda: clock[0])
    opener = TaskImages(root=None, downloads=ImageDownloads(client, cache=cache))
    assert hashes(client, project, opener) == sorted([sha(80), sha(81)])
    clock[0] += 3600.0
    assert hashes(client, project, opener) == sorted([sha(80), sha(81)])
    (folder / "local file.png").write_bytes(picture(82) + b"\0")
    clock[0] += 3600.0
    changed = hashlib.sha256(picture(82) + b"\0").hexdigest()
    assert hashes(client, project, opener) == sorted([sha(80), changed])


def test_an_image_of_a_storage_that_synchronised_tasks_carries_label_studios_public_name(
    client: LabelStudioClient, project: int, stack: Stack, tmp_path: Path
) -> None:
    folder = stack.label_studio.files.resolve() / "synchronised"
    folder.mkdir(exist_ok=True)
    (folder / "a.png").write_bytes(picture(83))
    storage = client.add_local_storage(project, folder)
    client.call("POST", f"/api/storages/localfiles/{storage}/sync", json={})
    (task,) = client.tasks(project)
    assert task["data"]["image"].startswith("http://") or task["data"]["image"].startswith("/data/")
    public = "https://label.hospital.test"
    moved = task["data"]["image"].replace(stack.label_studio.url, public)
    moved = moved if moved.startswith(public) else public + moved
    opener = images(client, tmp_path, public_url=public)
    assert opener.open({"image": moved}).sha256 == sha(83)
