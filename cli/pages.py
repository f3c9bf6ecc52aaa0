"""Pages with pictures of patients, as files."""

from __future__ import annotations

from pathlib import Path

from mammo.atomic_files import replacing
from mammo.errors import StorageUnavailable


def write_page(path: Path, text: str) -> None:
    """Write a page that only its owner may read, at once or not at all; raises StorageUnavailable."""
    try:
        with replacing(path, mode=0o600) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageUnavailable(f"{path} cannot be written ({error.strerror}); name another file") from error
