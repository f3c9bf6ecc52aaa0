"""Write .env for docker-compose.yml: every secret fresh, nothing written over. Standard library only: `make env`."""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SIZES = {"secret": 24, "token": 20}
"""Bytes; Label Studio takes tokens of 40 digits only."""


def content() -> str:
    """The text of a new .env."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return re.sub(r"<(secret|token)>", lambda kind: secrets.token_hex(SIZES[kind[1]]), text)


def main(path: Path) -> int:
    """Write the file, readable by its owner only."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{path} exists and is left as it is; its secrets may be in use. Move it away for new ones.")
        return 1
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content())
    print(f"{path}: written. Now set MAMMOGRAMS and TWINS in it, then: docker compose up -d --build")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".env"))
