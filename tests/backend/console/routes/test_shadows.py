"""Two versions on the same tasks: where they differ is shown on pictures, with the outlines of both."""

from __future__ import annotations

import base64
import re
from typing import Any

import cv2
import numpy as np

from backend.shadow_report import write_shadow_report
from mammo.annotations import AnnotationStore
from mammo.dicom import Mammogram
from mammo.efforts.shadow_comparison import compare_versions
from mammo.geometry import Spacing
from mammo.models import ModelRegistry
from tests.backend.console.access import browser
from tests.backend.fakes import Backend
from tests.fakes.label_studio import FakeLabelStudio
from tests.mammo.corrected import SIZE, TAGS, show
from tests.mammo.models.versions import register, starter
from tests.training.detections import square
from tests.waiting import until


class Images:
    """Every task shows the same mammogram."""

    def __init__(self, sha256: str) -> None:
        self.sha256 = sha256

    def open(self, data: Any, /) -> Mammogram:
        pixels = np.random.default_rng(0).random((SIZE.height, SIZE.width), np.float32)
        return Mammogram(
            pixels=pixels,
            spacing=Spacing(row_mm=0.1, column_mm=0.1, source="a test"),
            laterality="L",
            view="CC",
            patient=None,
            sha256=self.sha256,
            depth=12,
        )


class WithShadow(Backend):
    versions: tuple[str, str]


def backend_of(engine: Any, tmp_path: Any, images: Images) -> WithShadow:
    registry = ModelRegistry(engine, tmp_path / "blobs")
    registry.ensure_starter(starter(tmp_path / "starter"))
    server, store = FakeLabelStudio(), AnnotationStore(engine)
    server.add_project(1)
    task = server.add_tasks(1, {"image": "/data/5.png"})[0]["id"]
    made = WithShadow(
        engine=engine,
        store=store,  # type: ignore[arg-type]
        images=images,  # type: ignore[arg-type]
        parts={"registry": registry, "label_studio": server.client(), "tags": lambda _: TAGS},
    )
    made.versions = registry.champion().version, register(registry, tmp_path, "a")
    registry.name_challenger(made.versions[1], reason="a test")
    show(store, square(20, 20, name="c1"), task=task, version=made.versions[0])
    show(
        store,
        square(24, 20, name="c1"),
        square(200, 20, name="c2"),
        task=task,
        version=made.versions[1],
        shown=False,
    )
    return made


def page_of(client: Any, path: str) -> str:
    """The page, once its figures are there."""
    until(lambda: "reload in a moment" not in client.get(path).text)
    return str(client.get(path).text)


def test_where_two_versions_differ_is_cut_out_with_both_outlines(engine: Any, tmp_path: Any) -> None:
    backend = backend_of(engine, tmp_path, Images("ab" * 32))
    client = browser(backend, "viewer")
    page = page_of(client, "/console/projects/1/shadow")
    assert ">only the second</h3>" in page
    assert ">both, other outline</h3>" in page
    assert page.count('<path class="champion"') == 2  # of the legend, and one place
    assert page.count('<path class="challenger"') == 3
    address = re.findall(r'<image href="([^"]+)"', page)
    assert len(address) == 2
    answer = client.get(address[0])
    assert answer.headers["Content-Type"] == "image/webp"
    assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_GRAYSCALE).shape == (250, 250)
    assert "10 mm" in page or "5 mm" in page  # the scale bar
    assert client.get(address[0].replace("/1/", "/2/")).status_code == 404, "of another project"
    answer = client.get("/api/v1/projects/1/shadow/places").json()
    assert [each["kind"] for each in answer["places"]] == ["second_only", "reshaped"]
    assert client.get(answer["places"][0]["picture"]).status_code == 200


def test_an_image_that_was_replaced_has_no_picture_and_the_page_says_so(engine: Any, tmp_path: Any) -> None:
    client = browser(backend_of(engine, tmp_path, Images("cd" * 32)), "viewer")
    page = page_of(client, "/console/projects/1/shadow")
    assert page.count("its image is another one than the versions have seen") == 2
    assert "<image" not in page


def test_the_same_pictures_are_one_file_that_needs_no_server(engine: Any, tmp_path: Any) -> None:
    backend = backend_of(engine, tmp_path, Images("ab" * 32))
    site = backend.services.site
    site.__dict__["images"] = backend.services.images
    comparison = compare_versions(1, backend.versions, store=site.store, tags=TAGS)
    page = write_shadow_report(comparison, site=site)
    pictures = re.findall(r'<image href="data:image/webp;base64,([^"]+)"', page)
    assert len(pictures) == 2
    assert base64.b64decode(pictures[0])[8:12] == b"WEBP"
    assert page.count('<path class="champion"') == 2
    assert "only the second" in page
    assert "http-equiv" in page
    assert "src=" not in page.replace("img-src", "").replace("style-src", "").replace("default-src", "")
