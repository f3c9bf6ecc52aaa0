"""`project hotkeys` prints and sets the keys of accounts."""

from __future__ import annotations

import pytest
from rich.console import Console

from cli.project.hotkeys import show_hotkeys
from mammo.errors import InvalidSettings
from mammo.labelstudio import LabelStudioClient
from mammo.settings import Settings
from mammo.site import Site
from tests.fakes.label_studio import KEY, URL, FakeLabelStudio


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeLabelStudio:
    server = FakeLabelStudio()
    server.users = [{"id": 3, "email": "reader@example.com", "custom_hotkeys": {}}]
    monkeypatch.setattr(
        "mammo.labelstudio.LabelStudioClient",
        lambda url, key: LabelStudioClient(url, key, transport=server.transport),
    )
    return server


def said(emails: list[str], pairs: list[str], *, reset: bool = False) -> str:
    console = Console(record=True, width=200)
    site = Site(settings=Settings.load(label_studio_url=URL, label_studio_api_key=KEY))
    show_hotkeys(emails, pairs, reset=reset, site=site, console=console)
    return console.export_text()


def test_keys_are_set_and_printed(server: FakeLabelStudio) -> None:
    assert "reader@example.com: the keys of the installation" in said([], [])
    assert not [each for each in server.log if each.method == "PATCH"], "reading changes nothing"
    assert "reader@example.com: submit space" in said(["reader@example.com"], ["submit=space"])
    assert "reader@example.com: submit space" in said([], [])
    assert "the keys of the installation" in said(["reader@example.com"], [], reset=True)


def test_keys_for_everybody_need_names(server: FakeLabelStudio) -> None:
    with pytest.raises(InvalidSettings, match="name the accounts"):
        said([], ["submit=space"])
