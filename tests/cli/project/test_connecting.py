"""`project create` makes or adopts, refuses a config that cannot work, and connects exactly once."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from cli.project.connecting import ProjectOptions, Screen, connect_project, create_project, unusable_images
from mammo.errors import InvalidRegion, InvalidSettings, LabelStudioError
from mammo.labelstudio import LabelStudioClient, labeling_config
from mammo.labelstudio.exam_config import exam_config
from mammo.labelstudio.exam_page import TAB_TITLE
from mammo.labelstudio.image_config import image_config
from mammo.settings import Settings
from mammo.site import Site
from tests.fakes.label_studio import KEY, URL, FakeLabelStudio

BACKEND = "http://backend.test:9090"
MASSES = (
    '<View><Image name="i" value="$image"/>'
    '<BrushLabels name="b" toName="i"><Label value="Mass"/></BrushLabels></View>'
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeLabelStudio:
    made = FakeLabelStudio()
    monkeypatch.setattr(
        "mammo.labelstudio.LabelStudioClient",
        lambda url, key: LabelStudioClient(url, key, transport=made.transport),
    )
    return made


def create(options: ProjectOptions, settings: Settings, console: Console) -> int:
    with Site(settings=settings) as site:
        return create_project(options, site=site, console=console)


def connect(project: int, url: str, settings: Settings, console: Console) -> None:
    with Site(settings=settings) as site:
        connect_project(project, url, site=site, console=console)


@pytest.fixture
def settings() -> Settings:
    return Settings.load(
        label_studio_url=URL, label_studio_api_key=KEY, auth_password="p", webhook_secret="s"
    )


@pytest.fixture
def console() -> Console:
    return Console(record=True, width=200)


@pytest.mark.parametrize("screen", ["exam", "image"])
@pytest.mark.parametrize("descriptors", [True, False])
def test_a_new_project_asks_for_words_on_either_screen_unless_told_not_to(
    server: FakeLabelStudio, settings: Settings, console: Console, screen: Screen, descriptors: bool
) -> None:
    options = ProjectOptions(title="new", url=BACKEND, screen=screen, descriptors=descriptors)
    project = create(options, settings, console)
    built_in = exam_config if screen == "exam" else image_config
    assert server.projects[project]["label_config"] == built_in(descriptors=descriptors)


def order(title: str = "breasts", **fields: object) -> ProjectOptions:
    return ProjectOptions(title=title, url=BACKEND, **({"screen": "image"} | fields))  # type: ignore[arg-type]


def test_a_new_project_shows_exams_and_opens_with_their_tab_and_instructions(
    server: FakeLabelStudio, settings: Settings, console: Console
) -> None:
    server.tabs.append({"id": 7, "project": 1, "data": {"title": "Default"}})
    options = ProjectOptions(title="exams", url=BACKEND)
    for _ in range(2):
        project = create(options, settings, console)
    made = server.projects[project]
    assert made["label_config"] == exam_config()
    assert made["show_instruction"]
    assert "Backspace" in made["expert_instruction"]
    assert [tab["data"]["title"] for tab in server.tabs] == [TAB_TITLE, "Default", "Reading order"]
    hidden = server.tabs[0]["data"]["hiddenColumns"]["explore"]
    shown = {
        f"tasks:data.{key}"
        for key in ("rcc", "lcc", "rmlo", "lmlo", "pseudonym", "views", "findings", "note")
    }
    shown |= {"tasks:predictions_score", "tasks:predictions_model_versions"}
    assert shown.isdisjoint(hidden)
    assert {f"tasks:data.{view}_sha256" for view in ("rcc", "lcc", "rmlo", "lmlo")} <= set(hidden)
    assert "the model fills polygon 'outline-RCC' (Cluster) on image 'RCC'" in console.export_text()


def test_a_project_of_exams_asks_for_no_descriptors_where_none_are_wanted(
    server: FakeLabelStudio, settings: Settings, console: Console
) -> None:
    options = ProjectOptions(title="exams", url=BACKEND, descriptors=False)
    project = create(options, settings, console)
    assert "morphology" not in server.projects[project]["label_config"]


def test_single_images_are_not_added_to_a_project_of_exams(
    server: FakeLabelStudio, settings: Settings, console: Console, tmp_path: Path
) -> None:
    options = ProjectOptions(title="exams", url=BACKEND, upload=tmp_path)
    with pytest.raises(InvalidSettings, match="--screen image"):
        create(options, settings, console)
    assert server.projects == {}
    server.projects[1] = {"id": 1, "title": "exams", "label_config": exam_config()}
    with pytest.raises(InvalidSettings, match="--screen image"):
        create(options, settings, console)
    assert server.backends == []


def test_an_adopted_project_keeps_its_config_and_its_instructions(
    server: FakeLabelStudio, settings: Settings, console: Console
) -> None:
    server.projects[1] = {"id": 1, "title": "images", "label_config": labeling_config()}
    create(ProjectOptions(title="images", url=BACKEND), settings, console)
    assert server.projects[1]["label_config"] == labeling_config()
    assert "expert_instruction" not in server.projects[1]
    assert [tab["data"]["title"] for tab in server.tabs] == ["Reading order"]


def test_a_new_project_of_single_images_gets_our_config_and_is_connected(
    server: FakeLabelStudio, settings: Settings, console: Console
) -> None:
    project = create(order(), settings, console)
    assert server.projects[project]["label_config"] == image_config()
    assert [tab["data"]["title"] for tab in server.tabs] == ["Images", "Reading order"]
    assert [row["url"] for row in server.backends] == [BACKEND]
    assert [hook["url"] for hook in server.webhooks] == [f"{BACKEND}/webhook"]
    said = console.export_text()
    assert "created" in said
    assert "the model fills polygon 'outline' (Cluster)" in said
    assert "predictions of 'Yolo-MLSAM'" in said


def test_a_project_of_that_title_is_adopted_with_its_own_config(
    server: FakeLabelStudio, settings: Settings, console: Console
) -> None:
    theirs = MASSES.replace("Mass", "MCC")
    server.projects[1] = {"id": 1, "title": "breasts", "label_config": theirs}
    for _ in range(2):
        assert create(order(), settings, console) == 1
    assert server.projects[1]["label_config"] == theirs
    assert [tab["data"]["title"] for tab in server.tabs] == ["Reading order"]
    assert (len(server.projects), len(server.backends), len(server.webhooks)) == (1, 1, 1)
    assert "no control prompts the model" in console.export_text()


@pytest.mark.parametrize("there", [False, True])
def test_a_config_that_cannot_be_filled_is_refused_before_anything_is_made(
    server: FakeLabelStudio, settings: Settings, console: Console, tmp_path: Path, there: bool
) -> None:
    if there:
        server.projects[1] = {"id": 1, "title": "breasts", "label_config": MASSES}
    file = tmp_path / "config.xml"
    file.write_text(MASSES)
    with pytest.raises(InvalidRegion, match="predicted_values") as failure:
        create(order(config=file), settings, console)
    assert failure.value.code == "labeling_config"
    assert len(server.projects) == there
    assert server.backends == []


def test_an_existing_project_that_cannot_be_filled_is_not_connected(
    server: FakeLabelStudio, settings: Settings, console: Console
) -> None:
    server.projects[1] = {"id": 1, "title": "masses", "label_config": MASSES}
    with pytest.raises(InvalidRegion):
        connect(1, BACKEND, settings, console)
    assert server.backends == []


def test_a_folder_that_label_studio_serves_is_registered_once(
    server: FakeLabelStudio, settings: Settings, console: Console
) -> None:
    for _ in range(2):
        create(order(local=Path("/files/twins")), settings, console)
    assert [row["path"] for row in server.storages] == ["/files/twins"]


@pytest.mark.parametrize(
    "missing", ["auth_password", "webhook_secret", "label_studio_url", "label_studio_api_key"]
)
def test_what_must_be_set_is_named(
    server: FakeLabelStudio, settings: Settings, console: Console, missing: str
) -> None:
    empty = type(getattr(settings, missing))("")
    with pytest.raises(InvalidSettings, match=f"YOLO_MLSAM_{missing.upper()}"):
        create(order(), settings.model_copy(update={missing: empty}), console)
    assert server.log == [], "no project is left behind half made"


def test_uploading_a_folder_again_uploads_only_what_is_new(
    server: FakeLabelStudio, settings: Settings, console: Console, tmp_path: Path
) -> None:
    for name in ("a view.png", "b(1).JPG", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    create(order(upload=tmp_path), settings, console)
    for task in server.tasks:  # Label Studio cleans the names
        task["data"]["image"] = task["data"]["image"].replace(" ", "_").replace("(1)", "1")
    assert sorted(task["data"]["image"][-8:] for task in server.tasks) == ["d-b1.JPG", "view.png"]
    (tmp_path / "c.png").write_bytes(b"x")
    create(order(upload=tmp_path), settings, console)
    assert len(server.tasks) == 3
    assert "1 images uploaded, 2 of these names were uploaded before" in console.export_text()
    (tmp_path / "empty").mkdir()
    create(order(upload=tmp_path / "empty"), settings, console)
    assert "no .jpeg, .jpg, .png in" in console.export_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Can't connect to ML backend, health check failed. Make sure it is up", "yolo-mlsam serve"),
        ("it doesn't look like a valid ML backend. Reason: 503 Server Error", "wait until"),
        ("it doesn't look like a valid ML backend. Reason: 401 Client Error", "AUTH_PASSWORD"),
        ("Invalid title", "Invalid title"),
    ],
)
def test_a_backend_that_label_studio_cannot_use_is_said_in_words(
    server: FakeLabelStudio, settings: Settings, console: Console, words: str, said: str
) -> None:
    server.refuses_backends = words
    with pytest.raises(LabelStudioError, match=said) as error:
        create(order(), settings, console)
    assert ("answered 400" in str(error.value)) == (words == said)


def test_an_address_without_http_is_refused_before_label_studio_is_asked(
    server: FakeLabelStudio, settings: Settings, console: Console
) -> None:
    wrong = ProjectOptions(title="breasts", url="127.0.0.1:9090")
    with pytest.raises(InvalidSettings, match="begin with http"):
        create(wrong, settings, console)
    with pytest.raises(InvalidSettings, match="begin with http"):
        connect(1, wrong.url, settings, console)
    assert server.log == []


def test_a_picture_whose_name_is_no_text_is_refused_and_the_others_are_uploaded(
    server: FakeLabelStudio, settings: Settings, console: Console, tmp_path: Path
) -> None:
    for name in ("a.png", os.fsdecode(b"\xfc.png"), 'quote"\n.png'):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    create(order(upload=tmp_path), settings, console)
    assert len(server.tasks) == 2
    said = console.export_text()
    assert r"\xfc.png: not uploaded: its name is not UTF-8" in said
    assert "folder.png: not uploaded: it cannot be opened: it is a folder" in said
    assert set(unusable_images(tmp_path)) == {tmp_path / os.fsdecode(b"\xfc.png"), tmp_path / "folder.png"}


def serves(root: Path, server: FakeLabelStudio) -> None:
    """The fake serves the files of a folder."""

    def serve(request: httpx.Request) -> httpx.Response | None:
        if request.url.path != "/data/local-files/":
            return None
        return httpx.Response(200, content=(root / request.url.params["d"]).read_bytes())

    server.before = serve


def test_a_project_gets_the_storage_of_the_twins_a_tab_and_a_look_at_a_picture(
    server: FakeLabelStudio, settings: Settings, console: Console, tmp_path: Path
) -> None:
    serves(tmp_path, server)
    settings = settings.model_copy(update={"twin_root": tmp_path})
    for _ in range(2):
        create(order(), settings, console)
    assert [row["path"] for row in server.storages] == [str(tmp_path / "twins")]
    assert [tab["data"]["title"] for tab in server.tabs] == ["Images", "Reading order"]
    assert "browsers get the images" in console.export_text()


def test_a_project_whose_images_no_browser_would_get_is_an_error_with_the_missing_variable(
    server: FakeLabelStudio, settings: Settings, console: Console, tmp_path: Path
) -> None:
    server.before = lambda request: httpx.Response(403) if request.url.path.startswith("/data/") else None
    settings = settings.model_copy(update={"twin_root": tmp_path})
    with pytest.raises(LabelStudioError, match="LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true") as failure:
        create(order(), settings, console)
    assert failure.value.code == "local_files"
