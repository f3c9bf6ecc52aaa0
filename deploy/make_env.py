"""Write .env for docker-compose.yml with new secrets: `make env`. Uses the standard library only."""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SIZES = {"secret": 24, "token": 20}
"""Sizes in bytes. Label Studio's tokens must have 40 hexadecimal digits."""


def content() -> str:
    """Return the text of a new .env."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return re.sub(r"<(secret|token)>", lambda kind: secrets.token_hex(SIZES[kind[1]]), text)


def main(path: Path) -> int:
    """Write the file, readable by its owner only; return the exit status."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(
            f"{path} exists and is not changed, because its secrets may be in use. Move it away to make new ones."
        )
        return 1
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content())
    print(f"{path} written. Set MAMMOGRAMS and TWINS in it, then run: docker compose up -d --build")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".env"))
