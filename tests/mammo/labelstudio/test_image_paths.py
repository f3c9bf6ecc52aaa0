"""ImagePaths are tested with the downloads that obey them; here is what no request shows."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.labelstudio.image_paths import ImagePaths

PATHS = ImagePaths(httpx.URL("http://studio.test/ls/"), public=httpx.URL("https://label.test"))
PIECES = st.sampled_from(
    ["/", "..", ".", "%2e", "%2f", "%5c", "%25", "\\", ";", "?", "&", "=", "#", "//", "@", ":", "data", "upload", "1",
     "d6fed605-a.png", "local-files", "d=", "tasks", "resolve", "fileuri=", "user/logout", "api", "%00", " ", "ü"]
)  # fmt: skip


@pytest.mark.parametrize(
    ("address", "is_unique", "resolves"),
    [
        ("http://studio.test/ls/data/upload/1/d6fed605-a.png", True, False),
        ("http://studio.test/ls/data/upload/1/a.png", False, False),
        ("https://label.test/data/local-files/?d=a.png", False, False),
        ("https://label.test/tasks/3/presign/?fileuri=czM6", False, True),
    ],
)
def test_an_uploaded_file_never_changes_and_a_resolver_may_lead_away(
    address: str, is_unique: bool, resolves: bool
) -> None:
    image = PATHS.image(httpx.URL(address))
    assert image is not None
    assert (image.is_unique, image.resolves) == (is_unique, resolves)
    assert str(image.url).startswith("http://studio.test/ls/")
    assert PATHS.image(image.url) == image, "what is checked again, as for a redirect, is the same"


@given(st.lists(PIECES, min_size=1, max_size=12).map("".join))
def test_whatever_is_accepted_is_below_the_server_and_means_the_same_after_any_decoding(text: str) -> None:
    try:
        url = httpx.URL("http://studio.test/ls/").join(text)
    except (httpx.InvalidURL, ValueError):
        return
    image = PATHS.image(url)
    if image is None:
        return
    assert image.url.host == "studio.test"
    path = image.url.path
    assert path.startswith(("/ls/data/upload/", "/ls/data/local-files/", "/ls/tasks/", "/ls/projects/"))
    assert not set(path.split("/")) & {"..", "."}
    assert not any(character in path for character in "\\%;?#")
