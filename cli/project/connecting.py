"""Create or adopt a project, look at its labeling config, give it its images, and connect it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from mammo.errors import InvalidRegion, InvalidSettings, UnreadableImage
from mammo.file_names import require_text
from mammo.labelstudio import LabelStudioClient, labeling_config
from mammo.labelstudio.client import name_of_upload
from mammo.labelstudio.config_review import ConfigReview, review_config
from mammo.labelstudio.project_storage import S3Bucket
from mammo.printable import printable_path
from mammo.settings import PREFIX, Settings
from mammo.site import Site

PICTURES = frozenset({".png", ".jpg", ".jpeg"})


@dataclass(frozen=True, kw_only=True)
class ProjectOrder:
    """What `project create` is asked for."""

    title: str
    url: str
    """Where Label Studio reaches the backend."""

    config: Path | None = None
    """A labeling config of somebody's own."""

    local: Path | None = None
    """Folder below Label Studio's document root, as Label Studio sees it."""

    upload: Path | None = None
    """Folder of images here."""

    s3: S3Bucket | None = None


def create_project(order: ProjectOrder, *, site: Site, console: Console) -> int:
    """Make a project, or adopt the one of this title; its id. Safe to repeat.

    Raises:
        InvalidRegion: the labeling config cannot work (code `labeling_config`).
        InvalidSettings: a secret, or the backend's address, is not set; nothing was made.
        LabelStudioError: Label Studio refuses.
    """
    require_secrets(site.settings)
    require_address(order.url)
    with site:
        client = site.client
        project = client.find_project(order.title)
        if project is None:
            config = order.config.read_text(encoding="utf-8") if order.config else labeling_config()
            require_good(review_config(config))
            project = client.create_project(order.title, config)
            console.print(f"project {project}: created")
        else:
            if order.config:
                config = order.config.read_text(encoding="utf-8")
                require_good(review_config(config))
                client.update_project(project, label_config=config)
            console.print(f"project {project}: adopted")
        _connect(client, project, order.url, settings=site.settings, console=console)
        _give_images(client, project, order, console=console)
    return project


def connect_project(project: int, url: str, *, site: Site, console: Console) -> None:
    """Connect a project that is there to the backend, or repair its connection.

    Raises:
        InvalidRegion: the project's labeling config cannot work (code `labeling_config`).
        InvalidSettings: a secret, or the backend's address, is not set.
        LabelStudioError: Label Studio refuses.
    """
    require_secrets(site.settings)
    require_address(url)
    with site:
        _connect(site.client, project, url, settings=site.settings, console=console)


def require_good(review: ConfigReview) -> None:
    """Raise InvalidRegion when a labeling config cannot work."""
    if review.problems:
        raise InvalidRegion("; ".join(review.problems), code="labeling_config")


def require_secrets(settings: Settings) -> None:
    """Raise InvalidSettings when the secrets that Label Studio is to send are not set."""
    needed = {"AUTH_PASSWORD": settings.auth_password, "WEBHOOK_SECRET": settings.webhook_secret}
    missing = [f"{PREFIX}{name}" for name, secret in needed.items() if not secret.get_secret_value()]
    if missing:
        raise InvalidSettings(
            f"set {' and '.join(missing)}, to what the backend has: Label Studio is given them"
        )


def require_address(url: str) -> None:
    """Raise InvalidSettings when the backend's address is no http(s) URL."""
    if not url.startswith(("http://", "https://")):
        raise InvalidSettings(
            "the backend's address (--url) must begin with http:// or https://, and be right from where Label Studio "
            f"runs, for example http://SERVER:9090; got {url!r}"
        )


def _connect(
    client: LabelStudioClient, project: int, url: str, *, settings: Settings, console: Console
) -> None:
    review = review_config(client.project(project)["label_config"])
    require_good(review)
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


def _give_images(client: LabelStudioClient, project: int, order: ProjectOrder, *, console: Console) -> None:
    if order.local:
        storage = client.add_local_storage(project, order.local)
        console.print(Text(f"project {project}: local files of {order.local} (storage {storage})"))
    if order.s3:
        storage = client.add_s3_storage(project, order.s3)
        count = client.sync_s3_storage(storage)
        console.print(
            Text(
                f"project {project}: s3://{order.s3.bucket}/{order.s3.prefix} (storage {storage}), {count} tasks"
            )
        )
    if order.upload:
        refused = unusable_pictures(order.upload)
        pictures = [path for path in _pictures(order.upload) if path not in refused]
        known = client.uploaded_names(project) if pictures else frozenset()
        new = [path for path in pictures if name_of_upload(path.name) not in known]
        count = client.upload_images(project, new)
        if not pictures:
            said = f"no {', '.join(sorted(PICTURES))} in {order.upload}"
        else:
            said = f"{count} images uploaded, {len(pictures) - len(new)} of these names were there"
        console.print(Text(f"project {project}: {said}"))
        for path, reason in refused.items():
            console.print(Text(f"{printable_path(path)}: not uploaded: {reason}"))


def unusable_pictures(folder: Path) -> dict[Path, str]:
    """Pictures of a folder that cannot be uploaded, and why."""
    found: dict[Path, str] = {}
    for path in _pictures(folder):
        try:
            require_text(path.name)
        except UnreadableImage as error:
            found[path] = str(error)
        if not (os.path.isfile(path) and os.access(path, os.R_OK)):
            found[path] = "it is no file that can be read"
    return found


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
