"""Model cards, comparisons and bundles over `/api/v1` and on their pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from mammo.annotations import AnnotationStore
from mammo.database import open_database
from mammo.efforts.effort_records import Efforts, annotator_pseudonym
from mammo.labelstudio.labeling_config import ControlTags
from mammo.models import STARTER, STAYS_AT_SITE, ModelRegistry
from mammo.models.bundles import verify_bundle
from mammo.models.signing import make_key
from tests.backend.api.test_api import program
from tests.backend.console.access import browser, page_at_rest
from tests.backend.fakes import Backend
from tests.fakes.label_studio import FakeLabelStudio

HOSTILE = "<script>alert(1)</script>"


class WithStarter(Backend):
    second: str
    public_key: str


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[WithStarter]:
    """A backend with the starter, a version that began with it, and a key for bundles."""
    engine = open_database(f"sqlite:///{tmp_path / 'data' / 'site.db'}")
    registry = ModelRegistry(engine, tmp_path / "data" / "blobs")
    registry.ensure_starter(STARTER)
    made = WithStarter(
        engine=engine,
        store=AnnotationStore(engine),  # type: ignore[arg-type]
        changes={"data_dir": tmp_path / "data", "bundle_key": tmp_path / "key"},
        parts={"registry": registry, "efforts": lambda _: Efforts(), "tags": lambda _: ControlTags()},
    )
    made.public_key = make_key(tmp_path / "key")
    weights = tmp_path / "weights"
    weights.write_bytes(b"weights")
    parent = registry.champion().version
    facts = {
        "threshold": 0.2,
        "prompt_rule": "robust",
        "prompt_count": 3,
        "parent": parent,
        "recipe": "finetune",
    }
    made.second = registry.register(detector=weights, segmenter=weights, manifest=facts)
    yield made
    engine.dispose()


def test_a_version_has_a_line_of_descent_and_a_card(backend: WithStarter) -> None:
    client = program(backend, "viewer")
    parent = backend.services.site.registry.champion().version
    assert client.get(f"/api/v1/models/{backend.second}").json()["descent"] == [parent, backend.second]
    card = client.get(f"/api/v1/models/{backend.second}/card").json()
    titles = [each["title"] for each in card["sections"]]
    assert titles == ["What it is for", "Data", "Recipe", "Figures", "Licence", "Limits", "Never tested on"]
    starter = client.get("/api/v1/models/champion/card").json()
    figures = dict(next(each["rows"] for each in starter["sections"] if each["title"] == "Figures"))
    assert figures["Dice over all clusters"].startswith("0.730 (0.683")
    assert client.get("/api/v1/models/m9999-nothing/card").status_code == 404


def test_the_card_is_on_the_page_and_a_file(backend: WithStarter) -> None:
    client = browser(backend, "viewer")
    page = page_at_rest(client, f"/console/models/{backend.second}")
    assert "Never tested on" in page
    file = client.get(f"/console/models/{backend.second}/card.md")
    assert file.headers["Content-Disposition"].endswith('-card.md"')
    assert "## Never tested on" in file.text


def test_the_card_names_readers_for_administrators_only_and_not_in_the_file(
    backend: WithStarter, tmp_path: Path
) -> None:
    site = backend.services.site
    reader = annotator_pseudonym(7, secret=site.settings.annotator_secret)
    item = {"fold": "train", "patient": "p", "findings": [], "annotator": reader, "view": "LCC"}
    manifest = {"project": 3, "items": [item], "excluded": []}
    facts = {"threshold": 0.3, "prompt_rule": "robust", "prompt_count": 3}
    version = site.registry.register(
        detector=tmp_path / "weights",
        segmenter=tmp_path / "weights",
        manifest=facts | {"dataset_version": site.blobs.put(orjson.dumps(manifest))},
    )
    server = FakeLabelStudio()
    server.users = [{"id": 7, "first_name": HOSTILE, "last_name": "", "email": "a@b.example"}]
    site.__dict__["label_studio"] = server.client()
    path = f"/console/models/{version}"
    for role in ("viewer", "lead"):
        page = page_at_rest(browser(backend, role, name=role), path)  # type: ignore[arg-type]
        assert f"{reader} (1 images)" in page
        assert "alert" not in page
    client = browser(backend, "administrator")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; (1 images)" in page_at_rest(client, path)
    data = next(
        s for s in client.get(f"/api/v1/models/{version}/card").json()["sections"] if s["title"] == "Data"
    )
    assert dict(data["rows"])["corrected by"] == f"{HOSTILE} (1 images)"
    assert reader in client.get(f"{path}/card.md").text
    assert "alert" not in client.get(f"{path}/card.md").text


def test_an_administrator_downloads_a_signed_bundle_and_nothing_stays(
    backend: WithStarter, tmp_path: Path
) -> None:
    answer = program(backend).get("/api/v1/models/champion/bundle")
    assert answer.status_code == 200
    file = tmp_path / "received.mlsam"
    file.write_bytes(answer.content)
    verify_bundle(file, trusted=[backend.public_key])
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert not list((tmp_path / "data").glob(".bundle-*"))
    assert browser(backend, "lead").get("/console/models/champion/bundle").status_code == 403


def test_a_bundle_is_refused_without_a_key_and_for_weights_that_must_stay(tmp_path: Path) -> None:
    refused = program(Backend()).get("/api/v1/models/champion/bundle")
    assert refused.status_code == 409
    assert "BUNDLE_KEY" in refused.json()["message"]


def test_weights_that_must_stay_at_the_site_are_not_downloaded(backend: WithStarter, tmp_path: Path) -> None:
    registry = backend.services.site.registry
    weights = tmp_path / "weights"
    facts = {"threshold": 0.3, "prompt_rule": "robust", "prompt_count": 3, STAYS_AT_SITE: ["own images"]}
    bound = registry.register(detector=weights, segmenter=weights, manifest=facts)
    refused = program(backend).get(f"/api/v1/models/{bound}/bundle")
    assert (refused.status_code, refused.json()["error"]) == (409, "stays_at_site")


def test_a_project_without_verdicts_has_nothing_in_common(backend: WithStarter) -> None:
    client = program(backend, "viewer")
    assert client.get("/api/v1/projects/3/versions").json() == {"project": 3, "common": None}


@pytest.mark.parametrize(("second", "status"), [("champion", 404), ("m9999-nothing", 404), ("../x", 422)])
def test_only_two_versions_are_compared(backend: WithStarter, second: str, status: int) -> None:
    answer: Any = program(backend, "viewer").get("/api/v1/projects/3/shadow", params={"second": second})
    assert answer.status_code == status, answer.text
