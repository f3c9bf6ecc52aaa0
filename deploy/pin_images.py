"""Pin the images of docker-compose.yml and Dockerfile by digest: `make pin`. Standard library, and Docker's buildx.

A tag may be moved to another content, a digest names one. `--check` asks nobody, and names the images without a digest.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = ("docker-compose.yml", "Dockerfile")
IMAGE = re.compile(
    r"^(?P<place>\s*image: |ARG \w+_IMAGE=)(?P<tag>[\w./-]+:[\w.-]+)(?P<digest>@sha256:[0-9a-f]{64})?[ \t]*$",
    re.MULTILINE,
)
NOTE = re.compile(r"(?<=digests: ).*$", re.MULTILINE)
OURS = "yolo-mlsam-"


def images(text: str) -> list[re.Match[str]]:
    """Return the places that name an image of somebody else."""
    return [found for found in IMAGE.finditer(text) if not found["tag"].startswith(OURS)]


def current_digest(tag: str) -> str:
    """Ask the registry which content a tag names now.

    Raises:
        SystemExit: it does not answer, or knows no such tag.
    """
    command = ["docker", "buildx", "imagetools", "inspect", tag, "--format", "{{.Manifest.Digest}}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    digest = done.stdout.strip()
    if done.returncode or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        sys.exit(f"{tag}: no digest, nothing is changed: {done.stderr.strip() or digest}")
    return digest


def main() -> int:
    """Pin or check; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="name the images without a digest; exit code 1 if any"
    )
    parser.add_argument("--folder", type=Path, default=ROOT, help="folder of the two files")
    options = parser.parse_args()
    texts = {options.folder / name: (options.folder / name).read_text(encoding="utf-8") for name in FILES}
    found = [each for text in texts.values() for each in images(text)]
    if options.check:
        loose = [each["tag"] for each in found if not each["digest"]]
        print(
            f"{len(found) - len(loose)} of {len(found)} images are pinned by digest. {' '.join(loose)}".strip()
        )
        return int(bool(loose))
    digests = {tag: current_digest(tag) for tag in sorted({each["tag"] for each in found})}
    today = datetime.datetime.now(datetime.UTC).date()
    for path, text in texts.items():
        pinned = IMAGE.sub(
            lambda each: (
                f"{each['place']}{each['tag']}@{digests[each['tag']]}" if each["tag"] in digests else each[0]
            ),
            text,
        )
        path.write_text(
            NOTE.sub(f"asked of the registries on {today}, by `make pin`.", pinned), encoding="utf-8"
        )
    for each in found:
        changed = each["digest"] != f"@{digests[each['tag']]}"
        print(f"{each['tag']}: {'new digest' if changed else 'as before'} {digests[each['tag']]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
