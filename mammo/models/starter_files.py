"""The starter model as it ships with the package."""

from __future__ import annotations

import json
from typing import Any

from mammo.blobs import hash_file
from mammo.errors import InvalidWeights
from mammo.models.manifests import PARTS
from mammo.models.registry import STARTER, ModelFiles


def starter_manifest() -> dict[str, Any]:
    """Return the starter's manifest as the registry would, with the SHA-256 and the size of its weights."""
    manifest: dict[str, Any] = json.loads((STARTER / "manifest.json").read_text(encoding="utf-8"))
    return {**manifest, **{part: dict(manifest["weights"][part]) for part in PARTS}}


def starter_files() -> ModelFiles:
    """Return the starter's files, checked against their SHA-256.

    Raises:
        InvalidWeights: a file is not the one that the manifest names.
    """
    manifest = starter_manifest()
    files = {part: STARTER / f"{part}.safetensors" for part in PARTS}
    for part, path in files.items():
        if hash_file(path) != manifest["weights"][part]["sha256"]:
            raise InvalidWeights(
                f"{path.name} of the starter model is damaged: its SHA-256 is not the manifest's; "
                "install the package again"
            )
    return ModelFiles(
        version=manifest["version"],
        detector=files["detector"],
        segmenter=files["segmenter"],
        threshold=manifest["threshold"],
        prompt_rule=manifest["prompt_rule"],
        prompt_count=manifest["prompt_count"],
    )
