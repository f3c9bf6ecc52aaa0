"""Which model a command uses: a version of the registry, or the starter that ships with the package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mammo.blobs import hash_file
from mammo.errors import InvalidWeights, ModelNotFound
from mammo.site import Site

if TYPE_CHECKING:
    from mammo.models import ModelFiles
    from mammo.pipeline import Prelabeller


def load_prelabeller(model: str) -> Prelabeller:
    """Load a model version.

    Args:
        model: `champion`, `starter` or a version string of the registry.

    Raises:
        ModelNotFound: no such version.
        InvalidWeights: its files are damaged.
    """
    with Site.load() as site:
        return site.load_files(find_model(model, site))


def find_model(model: str, site: Site) -> ModelFiles:
    """The files of a model version; see `load_prelabeller`."""
    from mammo.models import CHAMPION

    starter = starter_files()
    has_registry = site.has_database
    if model in ("starter", starter.version) or (model == "champion" and not has_registry):
        return starter
    if not has_registry:
        raise ModelNotFound(
            f"model {model!r} is not here: {site.settings.data_dir} holds no registry; "
            "set YOLO_MLSAM_DATA_DIR to the service's data folder, or use --model starter"
        )
    if model == "champion":
        champion = site.registry.alias(CHAMPION)
        if champion is None:  # nothing has served yet; the starter would
            return starter
        model = champion.version
    return site.registry.files(model, into=site.settings.models)


def starter_files() -> ModelFiles:
    """The starter as it lies in the package.

    Raises:
        InvalidWeights: a file is not the one that the manifest names.
    """
    from mammo.models import STARTER, ModelFiles

    manifest = json.loads((STARTER / "manifest.json").read_text(encoding="utf-8"))
    files = {name: STARTER / f"{name}.safetensors" for name in ("detector", "segmenter")}
    for name, path in files.items():
        if hash_file(path) != manifest["weights"][name]["sha256"]:
            raise InvalidWeights(
                f"{path.name} of the starter model is damaged: its SHA-256 is not the manifest's; install again"
            )
    return ModelFiles(
        version=manifest["version"],
        detector=files["detector"],
        segmenter=files["segmenter"],
        threshold=manifest["threshold"],
        prompt_rule=manifest["prompt_rule"],
        prompt_count=manifest["prompt_count"],
    )
