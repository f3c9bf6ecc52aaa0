"""Create or adopt a project: check its labeling config, connect it, and add its images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from mammo.errors import InvalidRegion, InvalidSettings, LabelStudioError, UnreadableImage
from mammo.exchange.exam_tasks import shows_exam
from mammo.exchange.import_target import Screen
from mammo.exchange.task_data import TWINS
from mammo.file_names import require_text
from mammo.input_files import open_input, read_input
from mammo.labelstudio import ControlTags, LabelStudioClient
from mammo.labelstudio.client import name_of_upload
from mammo.labelstudio.config_review import ConfigReview, review_config
from mammo.labelstudio.exam_config import exam_config
from mammo.labelstudio.exam_page import INSTRUCTIONS, exam_tab
from mammo.labelstudio.image_config import image_config
from mammo.labelstudio.image_page import image_tab
from mammo.labelstudio.local_files import (
    PICTURE,
    TEST_IMAGE,
    add_storage,
    serving_problem,
    write_test_image,
)
from mammo.labelstudio.project_storage import S3Bucket
from mammo.printable import printable_path
from mammo.settings import PREFIX, Settings
from mammo.site import Site
from mammo.worklist.service import FIELD, TITLE

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})

MAX_CONFIG = 2**20
"""Largest labeling config, in bytes."""

INSTRUCTED: dict[str, Any] = {"expert_instruction": INSTRUCTIONS, "show_instruction": True}
"""Fields of a new project of exams."""


@dataclass(frozen=True, kw_only=True)
class ProjectOptions:
    """Options of `project create`."""

    title: str
    url: str
    """Address at which Label Studio reaches the backend."""

    config: Path | None = None
    """File of a labeling config; None: the built-in one for a new project, no change for an adopted one."""

    local: Path | None = None
    """Folder below Label Studio's document root, as Label Studio sees it."""

    upload: Path | None = None
    """Folder on this machine with images to upload."""

    s3: S3Bucket | None = None
    screen: Screen = "exam"
    """Of a new project with a built-in labeling config."""

    descriptors: bool = True
    """Whether a new project asks for words of BI-RADS and comments."""


def create_project(options: ProjectOptions, *, site: Site, console: Console) -> int:
    """Create a project, or adopt the one with this title, and return its id. Safe to repeat.

    Raises:
        InvalidRegion: the labeling config cannot work (code `labeling_config`).
        InvalidSettings: a secret or the backend's address is missing, or images cannot be added one by one; nothing
            was created.
        LabelStudioError: Label Studio does not answer or refuses.
    """
    require_secrets(site.settings)
    require_address(options.url)
    client = site.client
    project = client.find_project(options.title)
    config = read_config(options.config) if options.config else None
    if project is None:
        is_built_in, config = config is None, config or _built_in(options)
        _require_config(config, options)
        shows_exams = shows_exam(ControlTags.read(config))
        project = client.create_project(options.title, config, **(INSTRUCTED if shows_exams else {}))
        console.print(f"project {project}: created")
        tab = exam_tab() if shows_exams else image_tab() if is_built_in else None
    else:
        _require_config(config or str(client.project(project)["label_config"]), options)
        if config:
            client.update_project(project, label_config=config)
        shows_exams = shows_exam(ControlTags.read(str(client.project(project)["label_config"])))
        console.print(f"project {project}: adopted")
        tab = exam_tab() if shows_exams else None
    if tab is not None and client.show_first_tab(project, tab):
        console.print(f"project {project}: the tab {tab['title']!r} is the first one")
    _connect(client, project, options.url, settings=site.settings, console=console)
    client.show_tab(project, title=TITLE, field=FIELD)
    console.print(Text(f"project {project}: tab {TITLE!r}; `yolo-mlsam order plan {project}` fills it"))
    _add_images(client, project, options, console=console)
    if site.settings.twin_root is not None:
        _serve_twins(client, project, site.settings.twin_root, local=options.local, console=console)
    return project


def connect_project(project: int, url: str, *, site: Site, console: Console) -> None:
    """Connect an existing project to the backend, or repair its connection.

    Raises:
        InvalidRegion: the project's labeling config cannot work (code `labeling_config`).
        InvalidSettings: a secret or the backend's address is missing.
        LabelStudioError: Label Studio does not answer or refuses.
    """
    require_secrets(site.settings)
    require_address(url)
    _connect(site.client, project, url, settings=site.settings, console=console)


def _built_in(options: ProjectOptions) -> str:
    """Return the built-in labeling config of a screen."""
    built_in = exam_config if options.screen == "exam" else image_config
    return built_in(descriptors=options.descriptors)


def _require_config(config: str, options: ProjectOptions) -> None:
    """Raise InvalidRegion if a labeling config cannot work, or InvalidSettings if not with the images to be added."""
    require_usable(review_config(config))
    if (options.upload or options.s3) and ControlTags.read(config).siblings:
        raise InvalidSettings(
            "--upload and --bucket make a task of each image, but the project's tasks show several images each; add "
            "`--screen image` for a project of single images, or import mammograms with `yolo-mlsam import`"
        )


def read_config(file: Path) -> str:
    """Read a labeling config; raises InvalidSettings: it cannot be opened, or is not text."""
    try:
        return read_input(file, max_bytes=MAX_CONFIG).decode()
    except OSError as error:
        reason = error.strerror
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    raise InvalidSettings(f"the labeling config {printable_path(file)} cannot be read: {reason}")


def require_usable(review: ConfigReview) -> None:
    """Raise InvalidRegion if a labeling config cannot work."""
    if review.problems:
        raise InvalidRegion("; ".join(review.problems), code="labeling_config")


def require_secrets(settings: Settings) -> None:
    """Raise InvalidSettings if a secret that Label Studio has to send is not set."""
    required = {"AUTH_PASSWORD": settings.auth_password, "WEBHOOK_SECRET": settings.webhook_secret}
    missing = [f"{PREFIX}{name}" for name, secret in required.items() if not secret.get_secret_value()]
    if missing:
        raise InvalidSettings(
            f"set {' and '.join(missing)} to the backend's values; Label Studio sends them with its requests"
        )


def require_address(url: str) -> None:
    """Raise InvalidSettings if the backend's address is not an http(s) URL."""
    if not url.startswith(("http://", "https://")):
        raise InvalidSettings(
            f"--url is {url!r}; it must begin with http:// or https://, and work on Label Studio's machine, "
            "for example http://SERVER:9090"
        )


def _connect(
    client: LabelStudioClient, project: int, url: str, *, settings: Settings, console: Console
) -> None:
    review = review_config(client.project(project)["label_config"])
    require_usable(review)
    connected = client.connect_backend(
        project,
        url,
        user=settings.auth_user,
        password=settings.auth_password.get_secret_value(),
        webhook_secret=settings.webhook_secret.get_secret_value(),
    )
    lines = [f"project {project}: the model fills {', '.join(review.fills)}"]
    lines += [f"project {project}: {each}" for each in review.advice]
    lines += [
        f"project {project}: ML backend {connected.ml_backend} and webhook {connected.webhook}, both to {url}",
        f"project {project}: annotators see predictions of {connected.displayed_version!r}",
    ]
    for line in lines:
        console.print(Text(line))


def _add_images(
    client: LabelStudioClient, project: int, options: ProjectOptions, *, console: Console
) -> None:
    if options.local:
        storage = client.add_local_storage(project, options.local)
        console.print(Text(f"project {project}: local files of {options.local} (storage {storage})"))
    if options.s3:
        storage = client.add_s3_storage(project, options.s3)
        count = client.sync_s3_storage(storage)
        console.print(
            Text(
                f"project {project}: s3://{options.s3.bucket}/{options.s3.prefix} (storage {storage}), {count} tasks"
            )
        )
    if options.upload:
        unusable = unusable_images(options.upload)
        images = [path for path in _image_files(options.upload) if path not in unusable]
        uploaded = client.uploaded_names(project) if images else frozenset()
        new = [path for path in images if name_of_upload(path.name) not in uploaded]
        count = client.upload_images(project, new)
        if images:
            result = f"{count} images uploaded, {len(images) - len(new)} of these names were uploaded before"
        else:
            result = f"no {', '.join(sorted(IMAGE_SUFFIXES))} in {options.upload}"
        console.print(Text(f"project {project}: {result}"))
        for path, reason in unusable.items():
            console.print(Text(f"{printable_path(path)}: not uploaded: {reason}"))


def _serve_twins(
    client: LabelStudioClient, project: int, root: Path, *, local: Path | None, console: Console
) -> None:
    """Let Label Studio serve the twins, and fetch a picture of theirs as a browser does.

    Args:
        root: the folder that Label Studio serves as local files.
        local: the folder for which the project has a storage already, as Label Studio sees it; None: that of the twins.

    Raises:
        LabelStudioError: browsers would get no image (code `local_files`).
    """
    write_test_image(root / TWINS)
    if local is None:
        add_storage(client, project, root / TWINS, root=root)
    problem = serving_problem(client, f"{TWINS}/{TEST_IMAGE}", content=PICTURE, root=root)
    if problem:
        raise LabelStudioError(f"project {project} is connected, but {problem}", code="local_files")
    console.print(Text(f"project {project}: browsers get the images of {root / TWINS} from Label Studio"))


def unusable_images(folder: Path) -> dict[Path, str]:
    """Return the images of a folder that cannot be uploaded, with the reasons."""
    unusable: dict[Path, str] = {}
    for path in _image_files(folder):
        try:
            require_text(path.name)
        except UnreadableImage as error:
            unusable[path] = str(error)
        try:
            open_input(path).close()
        except OSError as error:
            unusable[path] = f"it cannot be opened: {error.strerror}"
    return unusable


def _image_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
