"""The page of a verdict: its facts, its pictures, its filters, and the moves of the champion from there."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mammo.errors import UnknownRun
from mammo.runs import Runs
from tests.backend.console.access import browser, submit
from tests.backend.console.routes.test_pages import HOSTILE, WithModels, backend  # noqa: F401
from tests.backend.judged_runs import judged_run


@pytest.fixture
def judged(backend: WithModels) -> tuple[WithModels, str]:  # noqa: F811
    return backend, make(backend)


def make(backend: WithModels, **fields: Any) -> str:  # noqa: F811
    site = backend.services.site
    champion = site.registry.champion().version
    return judged_run(
        Runs(backend.engine), site.blobs, champion=champion, challenger=backend.second, **fields
    )


def kinds_on(page: str) -> list[str]:
    return re.findall(r'<li class="place (\w+)">', page)


def test_the_page_says_why_and_shows_the_worst_first(judged: tuple[WithModels, str]) -> None:
    backend, name = judged  # noqa: F811
    page = browser(backend, "viewer").get(f"/console/runs/{name}/verdict").text
    assert "kept old: new is not reliably better" in page
    assert "-0.100 to +0.300" in page
    assert "allowed loss" in page
    assert 'class="band new"' in page
    assert "5 to 10 mm" in page
    assert kinds_on(page) == ["lost", "new_alarm", "won"]
    assert f'href="/console/runs/{name}/verdict/images/0"' in page
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\bsrc=)", page)
    assert "<form" not in page.partition('id="places"')[0].partition("<main")[2], "a viewer moves nothing"


def test_query_parameters_choose_kind_and_page_without_a_script(judged: tuple[WithModels, str]) -> None:
    backend, _ = judged  # noqa: F811
    name = make(backend, lost=30)
    client = browser(backend, "viewer")
    page = f"/console/runs/{name}/verdict"
    assert kinds_on(client.get(page).text) == ["lost"] * 24
    second = client.get(f"{page}?page=2").text
    assert kinds_on(second) == ["lost"] * 6 + ["new_alarm"] * 18
    assert "Page 2 of 3" in second
    assert kinds_on(client.get(f"{page}?only=won").text) == ["won"]
    assert kinds_on(client.get(f"{page}?only=lost&page=99").text) == ["lost"] * 6
    assert "There is no place of this kind." in client.get(f"{page}?only=both_missed").text
    assert client.get(f"{page}?only=everything").status_code == 422


def test_only_pictures_of_this_run_are_served_and_only_to_who_is_logged_in(
    judged: tuple[WithModels, str],
) -> None:
    backend, name = judged  # noqa: F811
    client = browser(backend, "viewer")
    base = f"/console/runs/{name}/verdict"
    (address,) = set(re.findall(r'<image href="([^"]+)"', client.get(base).text))
    picture = client.get(address)
    assert picture.status_code == 200
    assert picture.headers["Content-Type"] == "image/webp"
    assert picture.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert picture.content[:4] == b"RIFF"
    other = backend.services.site.blobs.put(b"the weights of a model, or another run's picture")
    for digest, status in ((other, 404), ("0" * 64, 404), ("F" * 64, 422), ("../" + "0" * 61, 404)):
        assert client.get(f"{base}/pictures/{digest}").status_code == status
    assert browser(backend).get(address, follow_redirects=False).status_code == 303
    assert client.get(address.replace(name, "retrain-3-000000000000")).status_code == 404
    api = address.replace("/console/", "/api/v1/")
    assert client.get(api).content == picture.content
    assert browser(backend).get(api).status_code == 401


def test_a_whole_mammogram_is_shown_in_several_sizes(judged: tuple[WithModels, str]) -> None:
    backend, name = judged  # noqa: F811
    client = browser(backend, "viewer")
    base = f"/console/runs/{name}/verdict/images/0"
    page = client.get(base).text
    assert re.findall(r'href="\?size=\d"[^>]*>(\d+ ?%)<', page) == ["16%", "32%", "64%"]
    assert 'id="lesion-1"' in page
    assert 'id="challenger-1"' in page
    assert "false alarm" in page
    largest = client.get(f"{base}?size=2").text
    assert 'class="picture zoomed" width="256" height="256"' in largest
    for path in (f"{base}?size=3", base.replace("/0", "/2"), base.replace("/0", "/-1")):
        assert client.get(path).status_code in (404, 422)


def test_the_gate_is_overruled_with_a_reason_and_back_by_administrators_only(
    judged: tuple[WithModels, str],
) -> None:
    backend, name = judged  # noqa: F811
    page, site = f"/console/runs/{name}/verdict", backend.services.site
    before = site.registry.champion().version
    assert submit(browser(backend, "lead"), f"{page}/promote", on="/console", reason="x").status_code == 403
    client = browser(backend, "administrator", name="root")
    assert submit(client, f"{page}/promote", on=page, reason=" ").status_code == 422
    assert submit(client, f"{page}/rollback", on=page, reason="x").status_code == 409, "it does not serve"
    assert submit(client, f"{page}/promote", on=page, reason="lost case is a scar").status_code == 303
    assert site.registry.champion().version == backend.second
    assert "Promote by hand" not in client.get(page).text
    assert submit(client, f"{page}/rollback", on=page, reason="it was no scar").status_code == 303
    assert site.registry.champion().version == before
    entries = [(each.actor, each.action, each.reason) for each in site.access.trail.newest(limit=2)]
    assert entries == [
        ("root", "model rolled back", "it was no scar"),
        ("root", "model promoted", "lost case is a scar"),
    ]


def test_hostile_texts_of_a_record_are_shown_and_not_run(judged: tuple[WithModels, str]) -> None:
    backend, _ = judged  # noqa: F811
    name = make(backend, reason=HOSTILE)
    page = browser(backend, "viewer").get(f"/console/runs/{name}/verdict").text
    assert "<script>alert" not in page
    assert "{{7*7}}" in page


def test_a_run_leads_to_its_verdict_and_one_without_says_so(judged: tuple[WithModels, str]) -> None:
    backend, name = judged  # noqa: F811
    client = browser(backend, "viewer")
    assert f'href="/console/runs/{name}/verdict"' in client.get(f"/console/runs/{name}").text
    assert f'href="/console/runs/{name}/verdict"' in client.get("/console").text
    other = Runs(backend.engine).request(4, recipe="smoke", reason="x", trigger="cli").run
    assert "/verdict" not in client.get(f"/console/runs/{other}").text
    refused = client.get(f"/console/runs/{other}/verdict")
    assert refused.status_code == 404
    assert "has no verdict with pictures" in refused.text


def test_the_api_has_the_same_facts(judged: tuple[WithModels, str]) -> None:
    backend, name = judged  # noqa: F811
    client = browser(backend, "viewer")
    body = client.get(f"/api/v1/runs/{name}/verdict").json()
    assert [each["kind"] for each in body["places"]] == ["lost", "new_alarm", "won"]
    assert body["counts"]["lost"] == 1
    first = body["places"][0]
    assert first["champion"] == {"shown": True, "score": 0.8, "dice": 0.7}
    assert first["challenger"] is None
    assert client.get(first["picture"]).status_code == 200
    assert body["champion"]["curve"]["sensitivity"] == [0.2, 0.5, 1.0]
    assert {row["name"] for row in body["figures"]} >= {"score", "false positives per image shown"}
    only = client.get(f"/api/v1/runs/{name}/verdict?only=won").json()
    assert [each["kind"] for each in only["places"]] == ["won"]
    missing = client.get("/api/v1/runs/retrain-3-000000000000/verdict")
    assert (missing.status_code, set(missing.json())) == (404, {"error", "message"})


def test_an_archive_gives_no_blob_that_its_record_does_not_name(judged: tuple[WithModels, str]) -> None:
    backend, name = judged  # noqa: F811
    archive = backend.services.site.verdicts
    with pytest.raises(UnknownRun, match="no such picture") as refused:
        archive.picture_of(archive.runs.get(name), "0" * 64)
    assert refused.value.code == "no_picture"
