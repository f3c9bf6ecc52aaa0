"""Write a software bill of materials of the images, as CycloneDX: `make sbom`.

cyclonedx-py describes an installed environment: licences, and what needs what. Of the development environment, in which
the same versions are installed, the packages of the image are kept, with their hashes of the lock. The images that
docker-compose.yml names are listed too; what is inside them is not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from image_lock import CONSTRAINTS, Locked, image_lock
from packaging.utils import canonicalize_name
from pin_images import FILES, ROOT, images


def described(python: str) -> dict[str, Any]:
    """Return what cyclonedx-py says of an environment and the project in it."""
    program = Path(sys.executable).parent / "cyclonedx-py"
    command = [program, "environment", python, "--pyproject", ROOT / "pyproject.toml"]
    command += ["--output-reproducible", "--spec-version", "1.6", "--output-file", "-"]
    text = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
    bill: dict[str, Any] = json.loads(text)
    return bill


def of_image(bill: dict[str, Any], lock: dict[str, Locked]) -> dict[str, Any]:
    """Return the bill of an image, of that of the development environment.

    Raises:
        SystemExit: a package of the image is not installed there in the locked version.
    """
    kept, missing = [], dict(lock)
    for component in bill["components"]:
        locked = lock.get(canonicalize_name(component["name"]))
        if locked is None:
            continue
        if component["version"].partition("+")[0] != locked.version.partition("+")[0]:
            continue
        purl = f"pkg:pypi/{locked.name}@{locked.version.replace('+', '%2B')}"
        files = [
            {
                "type": "distribution",
                "url": "https://pypi.org/simple/",
                "comment": "a file that the lock accepts",
            }
            | {"hashes": [{"alg": "SHA-256", "content": each}]}
            for each in locked.hashes
        ]
        component |= {"version": locked.version, "purl": purl}
        component["externalReferences"] = [*component.get("externalReferences", []), *files]
        kept.append(component)
        missing.pop(locked.name, None)
    if missing:
        sys.exit(f"not installed as locked: {', '.join(missing)}. Run `make install`, then again.")
    known = {component["bom-ref"] for component in kept} | {bill["metadata"]["component"]["bom-ref"]}
    needs = [
        each | {"dependsOn": [other for other in each.get("dependsOn", ()) if other in known]}
        for each in bill["dependencies"]
        if each["ref"] in known
    ]
    return bill | {"components": [*kept, *containers()], "dependencies": needs}


def containers() -> list[dict[str, Any]]:
    """Return the images of others, as docker-compose.yml and Dockerfile name them."""
    found = {}
    for name in FILES:
        for each in images((ROOT / name).read_text(encoding="utf-8")):
            image, _, tag = each["tag"].rpartition(":")
            digest = (each["digest"] or "").removeprefix("@")
            version = digest.replace(":", "%3A") or tag
            found[each["tag"]] = {
                "type": "container",
                "bom-ref": each["tag"],
                "name": image,
                "version": tag,
                "purl": f"pkg:docker/{image}@{version}?tag={tag}",
            }
    return list(found.values())


def main() -> int:
    """Write a bill for each image that has a lock; return the exit status."""
    from cyclonedx.schema import SchemaVersion  # in the environment of `make sbom` only
    from cyclonedx.validation.json import JsonStrictValidator

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="interpreter of the development environment")
    parser.add_argument("--into", type=Path, required=True, help="folder to write to")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    for accelerator in ("cuda", "cpu"):
        if not (CONSTRAINTS / f"image-{accelerator}.txt").exists():
            print(
                f"no bill of the {accelerator} image, because constraints/image-{accelerator}.txt is not there"
            )
            continue
        bill = of_image(described(options.python), image_lock(accelerator))
        text = json.dumps(bill, indent=1, sort_keys=True)
        if errors := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
            sys.exit(f"the bill is no valid CycloneDX: {errors}")
        file = options.into / f"image-{accelerator}.cdx.json"
        file.write_text(text + "\n", encoding="utf-8")
        print(f"{file}: {len(bill['components'])} components")
    return 0


if __name__ == "__main__":
    sys.exit(main())
