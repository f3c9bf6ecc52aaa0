"""ImageDownloads: the token goes to Label Studio and nowhere else; everything else is listed or resolved by it."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mammo.errors import ImageNotFound, ImageUnavailable, InvalidSettings, LabelStudioError
from mammo.images.downloads import AddressRule, DownloadCache
from mammo.images.image_downloads import ImageDownloads
from mammo.images.image_hosts import ImageHosts
from mammo.labelstudio.connection import Connection
from mammo.settings import Settings
from tests.fakes.label_studio import KEY, PERSONAL
from tests.mammo.images.downloads.server import BadServer, Handler, bad_server, content, redirect

LOOPBACK = AddressRule.parse("127.0.0.0/8")
S3 = "s3://bucket/a b/scan.png"


@pytest.fixture
def studio() -> Iterator[BadServer]:
    with bad_server() as server:
        yield server


@pytest.fixture
def bucket() -> Iterator[BadServer]:
    """Another server, on another address."""
    with bad_server("127.0.0.2") as server:
        server.answers["/scan.png"] = content(b"pixels", etag='"s3"')
        yield server


def downloads(studio: BadServer, *, rule: AddressRule = LOOPBACK, **options: object) -> ImageDownloads:
    return ImageDownloads(Connection(studio.url, KEY), rule=rule, **options)  # type: ignore[arg-type]


def refused(image_downloads: ImageDownloads, reference: str, **options: int) -> str:
    with pytest.raises(ImageNotFound) as failure:
        image_downloads.download(reference, **({"max_bytes": 100} | options))
    assert KEY not in str(failure.value)
    return failure.value.code


@pytest.mark.parametrize("absolute", [False, True])
def test_an_image_of_label_studio_is_fetched_with_the_token(studio: BadServer, absolute: bool) -> None:
    """Label Studio may have a private address: the settings name it."""
    studio.answers["/data/local-files/"] = content(b"pixels")
    path = "/data/local-files/?d=twins/a.png"
    image_downloads = downloads(studio, rule=AddressRule())
    assert image_downloads.download(studio.url * absolute + path, max_bytes=6) == b"pixels"
    assert studio.seen[0][0] == path
    assert studio.seen[0][1]["authorization"] == f"Token {KEY}"


def test_label_studio_under_its_public_name_is_the_same_label_studio(studio: BadServer) -> None:
    studio.answers["/data/upload/1/d6fed605-a.png"] = content(b"pixels")
    image_downloads = downloads(studio, public_url="https://label.hospital.test")
    assert (
        image_downloads.download("https://label.hospital.test/data/upload/1/d6fed605-a.png", max_bytes=9)
        == b"pixels"
    )
    assert (
        refused(image_downloads, "http://label.hospital.test/data/upload/1/d6fed605-a.png") == "foreign_image"
    )


def test_cloud_storage_is_resolved_for_the_task_and_never_sees_the_token(
    studio: BadServer, bucket: BadServer
) -> None:
    studio.answers["/tasks/7/resolve/"] = redirect(f"{bucket.url}/scan.png?X-Amz-Signature=abc", 303)
    assert downloads(studio).download(S3, task=7, max_bytes=9) == b"pixels"
    query = studio.seen[0][0].partition("fileuri=")[2].replace("%3D", "=")
    assert base64.urlsafe_b64decode(query).decode() == S3
    assert "authorization" in studio.seen[0][1]
    assert "authorization" not in bucket.seen[0][1]


def test_where_label_studio_resolves_to_is_checked_like_any_address(
    studio: BadServer, bucket: BadServer
) -> None:
    studio.answers["/tasks/7/resolve/"] = redirect(f"{bucket.url}/scan.png", 303)
    assert refused(downloads(studio, rule=AddressRule()), S3, task=7) == "blocked_address"
    assert bucket.seen == []


def test_a_resolved_address_may_not_lead_back_with_our_token(studio: BadServer, bucket: BadServer) -> None:
    studio.answers["/tasks/7/resolve/"] = redirect(f"{bucket.url}/back", 303)
    bucket.answers["/back"] = redirect(f"{studio.url}/api/users")
    refused(downloads(studio), S3, task=7)
    assert "authorization" not in studio.seen[1][1]


def test_any_other_path_of_label_studio_may_not_lead_away(studio: BadServer, bucket: BadServer) -> None:
    studio.answers["/data/upload/1/d6fed605-a.png"] = redirect(f"{bucket.url}/scan.png")
    assert refused(downloads(studio), "/data/upload/1/d6fed605-a.png") == "foreign_image"
    assert bucket.seen == []


SECRETS = [
    "/api/projects/7/export?exportType=JSON", "/data/upload/../../user/logout", "/user/logout", "/", "",
    "/data/upload/%2e%2e/%2e%2e/user/logout", "/data/upload/..%2f..%2fuser%2flogout", "/data/upload/1%2f..%2f..%2fx",
    "/data/upload/1/..%5c..%5cuser", r"/data/upload/1/..\..\user", "/data/upload/%252e%252e/%252e%252e/user/logout",
    "/data/upload/1/a.png;/../../../../user/logout", "/data/upload/1/a.png%3b/x", "/data/upload/1/a.png?x=/api",
    "/data/upload/1/a%00.png", "/data/upload/1/a%0d%0ax.png", "/data/upload/1/%ff.png", "/data/upload", "/data/upload/",
    "/data/upload/1/2/3/a.png", "/data/upload/1/a.png/", "/data//upload/1/a.png", "/x/data/upload/1/a.png",
    "/data/local-files/", "/data/local-files/?d=", "/data/local-files/?d=../../etc/passwd", "/data/local-files/?x=a",
    "/data/local-files/?d=a&d=b", "/data/local-files/?d=a&next=/api", "/data/local-files/?d=%252e%252e/secret",
    "/data/local-files/?d=a%5c..%5cb", "/data/local-files/x?d=a", "/api/data/local-files/?d=a.png",
    "/tasks/7/resolve/", "/tasks/7/resolve/?fileuri=", "/tasks/7/resolve/?fileuri=a&x=b", "/tasks/x/resolve/?fileuri=a",
    "/tasks/7/delete/?fileuri=a", "/tasks/../api/users?fileuri=a", "/organizations/1/resolve/?fileuri=a",
    "/storage-data/uploaded/?filepath=avatars/1.png", "/storage-data/uploaded/?filepath=upload/../avatars/1.png",
    "/storage-data/uploaded/?filepath=upload%252f..%252f..%252fx", "/data/export/7.json", "/data/avatars/1.png",
]  # fmt: skip
"""Addresses of Label Studio that are no images, or that a proxy or a second decoding could take for another."""


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("reference", SECRETS)
def test_a_path_of_label_studio_that_is_no_image_is_not_asked_for(
    studio: BadServer, reference: str, absolute: bool
) -> None:
    image_downloads = downloads(studio)
    assert refused(image_downloads, studio.url * absolute + reference) == "foreign_path"
    assert studio.seen == []


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("/data/upload/1/d6fed605-a.png", None),
        ("/data/%75pload/1/d6fed605-a.png", "/data/upload/1/d6fed605-a.png"),
        ("/data/upload/1/./2/../d6fed605-a.png#part", "/data/upload/1/d6fed605-a.png"),
        ("/data/upload/1/d6fed605-%C3%BCber%20uns.png", None),
        ("/data/local-files?d=/twins/a+b.png", "/data/local-files/?d=/twins/a%20b.png"),
        ("/data/local-files/?d=twins/100%2525%20..b.png", "/data/local-files/?d=twins/100%2525%20..b.png"),
        ("/tasks/7/resolve/?fileuri=czM6Ly9i", None),
        ("/tasks/7/presign?fileuri=czM6Ly9i", "/tasks/7/presign/?fileuri=czM6Ly9i"),
        ("/projects/7/resolve/?fileuri=s3%3A//b/a%20b.png", None),
        ("/storage-data/uploaded/?filepath=upload/1/d6fed605-a.png", None),
    ],
)
def test_every_way_in_which_label_studio_serves_an_image_is_asked_for_as_it_was_checked(
    studio: BadServer, reference: str, path: str | None
) -> None:
    studio.answers[(path or reference).partition("?")[0]] = content(b"pixels")
    assert downloads(studio).download(reference, max_bytes=9) == b"pixels"
    assert studio.paths() == [path or reference]
    assert studio.seen[0][1]["authorization"] == f"Token {KEY}"


@pytest.mark.parametrize("public_url", ["", "https://hospital.test/label", "https://label.hospital.test"])
@pytest.mark.parametrize("path", ["/data/upload/1/d6fed605-a.png", "/data/local-files/?d=a.png"])
def test_label_studio_may_be_served_under_a_path(studio: BadServer, public_url: str, path: str) -> None:
    """It writes addresses with the path, without it, and with the host that browsers use."""
    studio.answers["/studio" + path.partition("?")[0]] = content(b"pixels")
    image_downloads = ImageDownloads(Connection(f"{studio.url}/studio", KEY), public_url=public_url)
    public = [f"{public_url}{path}"] if public_url else []
    references = [path, f"/studio{path}", f"{studio.url}{path}", f"{studio.url}/studio{path}", *public]
    for reference in references:
        assert image_downloads.download(reference, max_bytes=9) == b"pixels"
    assert studio.paths() == [f"/studio{path}"] * len(references)
    assert refused(image_downloads, f"/other{path}") == "foreign_path"
    assert refused(image_downloads, f"/studio/..{path}/../../../../x") == "foreign_path"


def test_another_application_on_label_studios_host_may_be_on_the_list_and_gets_no_token(
    studio: BadServer,
) -> None:
    studio.answers["/images/a.png"] = content(b"pixels")
    connection = Connection(f"{studio.url}/studio", KEY)
    image_downloads = ImageDownloads(connection, rule=LOOPBACK, hosts=ImageHosts.parse(studio.url))
    assert image_downloads.download("/images/a.png", max_bytes=9) == b"pixels"
    assert "authorization" not in studio.seen[0][1]


@pytest.mark.parametrize("to", ["/user/login/?next=/data", "/api/projects/7/export", "//{host}/user/logout"])
def test_a_redirect_of_an_image_to_another_page_of_label_studio_is_not_followed(
    studio: BadServer, to: str
) -> None:
    host = studio.url.removeprefix("http://")
    studio.answers["/data/upload/1/d6fed605-a.png"] = redirect(to.format(host=host))
    assert refused(downloads(studio), "/data/upload/1/d6fed605-a.png") == "foreign_path"
    assert len(studio.seen) == 1


def test_a_bucket_on_label_studios_own_host_gets_no_token(studio: BadServer) -> None:
    studio.answers["/tasks/7/resolve/"] = redirect(f"{studio.url}/bucket/scan.png?X-Amz-Signature=abc", 303)
    studio.answers["/bucket/scan.png"] = content(b"pixels")
    assert downloads(studio, rule=AddressRule()).download(S3, task=7, max_bytes=9) == b"pixels"
    assert ["authorization" in headers for _, headers in studio.seen] == [True, False]


def test_a_cloud_address_without_its_task_is_refused(studio: BadServer) -> None:
    assert refused(downloads(studio), S3) == "foreign_image"
    assert refused(ImageDownloads(None), S3, task=7) == "foreign_image"


@pytest.mark.parametrize(
    "reference",
    [
        "http://other.test/a.png", "//other.test/a.png", "file:///etc/passwd", "http://[::1", "http://0177.0.0.1/",
        "http://127.0.0.1:1/a.png", "ftp://127.0.0.1/a", "javascript:x", "data:image/png;base64,AA==",
    ],
)  # fmt: skip
def test_an_image_of_any_other_server_is_not_asked_for(studio: BadServer, reference: str) -> None:
    assert refused(downloads(studio), reference) == "foreign_image"
    assert studio.seen == []


def test_a_host_on_the_list_is_fetched_without_the_token(studio: BadServer, bucket: BadServer) -> None:
    image_downloads = downloads(studio, hosts=ImageHosts.parse(bucket.url))
    assert image_downloads.download(f"{bucket.url}/scan.png", max_bytes=9) == b"pixels"
    assert "authorization" not in bucket.seen[0][1]


def test_a_host_on_the_list_still_needs_an_allowed_address(studio: BadServer, bucket: BadServer) -> None:
    image_downloads = downloads(studio, hosts=ImageHosts.parse(bucket.url), rule=AddressRule())
    assert refused(image_downloads, f"{bucket.url}/scan.png") == "blocked_address"


def test_a_host_on_the_list_may_not_redirect_off_the_list(studio: BadServer, bucket: BadServer) -> None:
    bucket.answers["/a.png"] = redirect(f"{studio.url}/data/upload/1/d6fed605-a.png")
    image_downloads = downloads(studio, hosts=ImageHosts.parse(bucket.url))
    assert refused(image_downloads, f"{bucket.url}/a.png") == "foreign_image"
    assert studio.seen == []


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://images.test/a.png", True), ("http://images.test/a.png", False), ("https://images.test:444/a", False),
        ("https://x.images.test/a", False), ("https://a.many.test/x", True), ("https://many.test/x", False),
        ("https://evilmany.test/x", False), ("http://pacs.local:8042/i", True), ("https://pacs.local:8042/i", False),
    ],
)  # fmt: skip
def test_the_list_names_scheme_host_and_port(url: str, allowed: bool) -> None:
    import httpx

    hosts = ImageHosts.parse("images.test, *.many.test, http://pacs.local:8042")
    assert hosts.allow(httpx.URL(url)) is allowed


@pytest.mark.parametrize("text", ["ftp://x", "https://host/path", "https://"])
def test_a_list_that_names_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected hosts such as"):
        ImageHosts.parse(text)


def test_a_list_in_the_settings_that_names_no_host_is_refused_at_the_start() -> None:
    with pytest.raises(InvalidSettings, match="YOLO_MLSAM_IMAGE_HOSTS"):
        ImageDownloads.of(Settings.load(image_hosts="ftp://x"), None)


def test_networks_that_are_none_are_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_MLSAM_PRIVATE_NETWORKS", "10.0.0.0/8, somewhere")
    with pytest.raises(InvalidSettings, match="PRIVATE_NETWORKS"):
        Settings.load()


def test_a_personal_token_that_ended_early_is_exchanged_again(studio: BadServer) -> None:
    """Label Studio was restarted: the access token we hold is not known any more."""
    good: list[str] = []

    def image(handler: Handler) -> None:
        is_valid = handler.headers["authorization"] == f"Bearer {good[-1]}"
        content(b"pixels" if is_valid else b"", status=200 if is_valid else 401)(handler)

    class Exchanging(Connection):
        def _exchange(self, seconds: float | None) -> str:
            good.append(f"access-{len(good)}")
            return good[-1]

    studio.answers["/data/upload/1/d6fed605-a.png"] = image
    image_downloads = ImageDownloads(Exchanging(studio.url, PERSONAL))
    assert image_downloads.download("/data/upload/1/d6fed605-a.png", max_bytes=9) == b"pixels"
    good.append("another")
    assert image_downloads.download("/data/upload/1/d6fed605-a.png", max_bytes=9) == b"pixels"
    assert len(studio.seen) == 3


def test_an_exchange_of_the_token_that_hangs_does_not_outlast_a_downloads_deadline(studio: BadServer) -> None:
    hanging, released = threading.Event(), threading.Event()
    allowed: list[float | None] = []

    class Hanging(Connection):
        def _exchange(self, seconds: float | None) -> str:
            allowed.append(seconds)
            hanging.set()
            released.wait(30)
            return "access"

    image_downloads = ImageDownloads(Hanging(studio.url, PERSONAL))
    studio.answers["/data/upload/1/d6fed605-a.png"] = content(b"pixels")

    def download(seconds: float) -> None:
        deadline = time.monotonic() + seconds
        image_downloads.fetch("/data/upload/1/d6fed605-a.png", max_bytes=9, deadline=deadline).close()

    first = threading.Thread(target=download, args=(60.0,))
    first.start()
    assert hanging.wait(30)
    with pytest.raises(LabelStudioError) as failure:
        download(0.2)
    assert failure.value.code == "label_studio_unreachable"
    released.set()
    first.join(30)
    assert studio.paths() == ["/data/upload/1/d6fed605-a.png"]
    assert allowed[0] is not None
    assert 0 < allowed[0] <= 60


def test_the_least_rate_of_the_settings_is_required(
    studio: BadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mammo.images.downloads.transfer_rate.GRACE_SECONDS", 0.2)

    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.01)

    studio.answers |= {"/data/upload/1/d6fed605-a.png": drip, "/tasks/7/resolve/": drip}
    for number in range(10):
        studio.answers[f"/data/upload/1/d6fed605-{number}.png"] = content(b"pixels")
    settings = Settings.load(download_bytes_per_second=10_000, download_cache_bytes=0)
    image_downloads = ImageDownloads.of(settings, Connection(studio.url, KEY))
    for reference, code in (
        ("/data/upload/1/d6fed605-a.png", "image_too_slow"),
        ("/data/upload/1/d6fed605-a.png", "slow_image"),
        (S3, "image_too_slow"),
    ):
        with pytest.raises(ImageUnavailable) as failure:
            image_downloads.download(reference, task=7, max_bytes=1000)
        assert failure.value.code == code
        assert KEY not in str(failure.value)
    assert set(image_downloads._in_progress._slow) == {
        f"127.0.0.1:{studio.port}", f"127.0.0.1:{studio.port} (cloud storage)"
    }  # fmt: skip
    assert Settings.load().download_bytes_per_second == 32 * 1024


def test_an_uploaded_image_is_fetched_once_and_a_local_file_is_asked_about_again(
    studio: BadServer, tmp_path: Path
) -> None:
    now = [1000.0]
    cache = DownloadCache(tmp_path, max_bytes=1000, clock=lambda: now[0])
    image_downloads = downloads(studio, cache=cache)

    def local(handler: Handler) -> None:
        same = handler.headers["if-none-match"] == 'W/"1"'
        content(b"" if same else b"pixels", status=304 if same else 200, etag='W/"1"')(handler)

    upload, file = "/data/upload/1/d6fed605-a.png", "/data/local-files/?d=a.png"
    studio.answers |= {upload: content(b"pixels"), "/data/local-files/": local}
    for _ in range(3):
        assert (
            image_downloads.download(upload, max_bytes=9)
            == image_downloads.download(file, max_bytes=9)
            == b"pixels"
        )
        now[0] += 100.0
    assert studio.paths().count(upload) == 1
    assert studio.paths().count(file) == 3
    assert len(list((tmp_path / "content").iterdir())) == 1, "equal contents are kept once"
    with pytest.raises(ImageNotFound, match="at most 5 bytes"):
        image_downloads.download(upload, max_bytes=5)
