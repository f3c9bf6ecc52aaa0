"""What a project calls its clusters is asked of Label Studio, remembered for a moment, and never guessed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mammo.errors import InvalidRegion, LabelStudioError
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.labelstudio.project_tags import CACHE_SECONDS, ProjectTags, digest_of_tags
from mammo.settings import Settings
from mammo.site import Site
from tests.fakes.label_studio import KEY, URL, FakeLabelStudio
from tests.fakes.served import served
from tests.mammo.corrected import CONFIG, TAGS


@pytest.fixture
def studio() -> FakeLabelStudio:
    server = FakeLabelStudio()
    server.projects[1] = {"id": 1, "label_config": CONFIG}
    server.projects[2] = {"id": 2, "label_config": labeling_config()}
    return server


def test_each_project_has_its_own_names(studio: FakeLabelStudio) -> None:
    with LabelStudioClient(URL, KEY, transport=studio.transport) as client:
        tags = ProjectTags(client)
        assert (tags(1), tags(2)) == (TAGS, ControlTags())


def test_names_are_asked_for_again_once_somebody_may_have_changed_them(studio: FakeLabelStudio) -> None:
    seconds = [0.0]
    with LabelStudioClient(URL, KEY, transport=studio.transport) as client:
        tags = ProjectTags(client, clock=lambda: seconds[0])
        assert tags(1) == TAGS
        studio.projects[1]["label_config"] = labeling_config()
        seconds[0] = CACHE_SECONDS - 1
        assert tags(1) == TAGS
        assert len(studio.log) == 1
        seconds[0] = CACHE_SECONDS + 1
        assert tags(1) == ControlTags()


def test_without_label_studio_there_are_no_names_and_the_error_says_what_to_set() -> None:
    with (
        Site(settings=Settings()) as site,
        pytest.raises(LabelStudioError, match="LABEL_STUDIO_API_KEY") as none,
    ):
        site.tags(1)
    assert none.value.code == "no_label_studio"


def test_a_label_studio_that_is_away_or_does_not_show_the_project_is_an_error(
    studio: FakeLabelStudio,
) -> None:
    with served(studio) as url:
        settings = Settings.load(label_studio_url=url, label_studio_api_key=KEY)
        with Site(settings=settings) as site:
            assert site.tags(1) == TAGS
            with pytest.raises(
                LabelStudioError, match="labeling config of project 9 cannot be read"
            ) as hidden:
                site.tags(9)
    assert hidden.value.code == "label_studio_404"
    with (
        Site(settings=settings) as site,
        pytest.raises(LabelStudioError, match="check that it is running") as away,
    ):
        site.tags(1)
    assert away.value.code == "label_studio_unreachable"


def test_a_project_without_clusters_is_refused_by_its_number(studio: FakeLabelStudio) -> None:
    studio.projects[1]["label_config"] = CONFIG.replace("Microcalcification", "Mass")
    with (
        LabelStudioClient(URL, KEY, transport=studio.transport) as client,
        pytest.raises(InvalidRegion, match="project 1: "),
    ):
        ProjectTags(client)(1)


def test_the_same_names_have_the_same_digest_in_every_process() -> None:
    tags = ControlTags(prompts=frozenset("abcdefgh"))
    program = (
        "from mammo.labelstudio.labeling_config import ControlTags;"
        "from mammo.labelstudio.project_tags import digest_of_tags;"
        "print(digest_of_tags(ControlTags(prompts=frozenset('abcdefgh'))))"
    )
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        output = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert output.stdout.strip() == digest_of_tags(tags)
    assert digest_of_tags(tags) != digest_of_tags(ControlTags())
