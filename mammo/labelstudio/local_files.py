"""LocalFiles: whether browsers get the files of a folder from Label Studio, or which of its settings is missing.

Label Studio serves files only with `LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true`, from below
`LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`, and only to people of a project that has a local storage for their folder.
"""

from __future__ import annotations

from pathlib import Path

from mammo.atomic_files import replacing
from mammo.errors import LabelStudioError, StorageUnavailable
from mammo.labelstudio.client import LabelStudioClient

SERVING = "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED"
ROOT = "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"

TEST_IMAGE = "served.png"
"""Name of the picture that is fetched."""

PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154081d6368000000820081f0aae3220000000049454e44ae426082"
)
"""One grey pixel as PNG."""


def write_test_image(folder: Path) -> None:
    """Make a folder, and write the picture that is fetched from it.

    Raises:
        StorageUnavailable: that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / TEST_IMAGE, shared=True) as part:
            part.write_bytes(PICTURE)
    except OSError as error:
        raise StorageUnavailable(
            f"{folder} cannot be written ({error.strerror}): correct YOLO_MLSAM_TWIN_ROOT, or the folder's permissions"
        ) from None


def add_storage(client: LabelStudioClient, project: int, folder: Path, *, root: Path) -> int:
    """Let Label Studio serve a folder to the people of a project; return the storage's id.

    Args:
        folder: as Label Studio sees it.
        root: the folder that Label Studio must have as its document root.

    Raises:
        LabelStudioError: Label Studio refuses; the message names the setting of Label Studio that is missing (code
            `local_files`).
    """
    try:
        return client.add_local_storage(project, folder)
    except LabelStudioError as error:
        text = str(error)
        if "LOCAL_FILES" not in text and "does not exist" not in text:
            raise
        raise LabelStudioError(_remedy(text, root), code="local_files") from None


def serving_problem(client: LabelStudioClient, file: str, *, content: bytes, root: Path) -> str:
    """Fetch a file as a browser does; return what is wrong and what to do, or an empty text.

    Args:
        file: path below the document root, with `/`.
        content: what the file holds.
        root: the folder that Label Studio must have as its document root.

    Raises:
        LabelStudioError: Label Studio does not answer.
    """
    answer = client.fetch("/data/local-files/", {"d": file})
    if answer.status_code == 200:
        return "" if answer.content == content else f"Label Studio serves another {file}: {_start(root)}"
    if answer.status_code == 403:
        return _remedy("LOCAL_FILES_SERVING_ENABLED is disabled", root)
    return (
        f"Label Studio answers {answer.status_code} for {file}: run `yolo-mlsam project create` again, which adds the "
        f"project's local storage; if it is there, {_start(root)}"
    )


def _remedy(text: str, root: Path) -> str:
    if "is disabled" in text:
        return f"Label Studio serves no local files, so browsers show no image: {_start(root)}"
    return f"Label Studio serves local files of another folder than {root}: {_start(root)}"


def _start(root: Path) -> str:
    return f"start it with {SERVING}=true and {ROOT}={root} (in a container: the path at which this folder is mounted)"
