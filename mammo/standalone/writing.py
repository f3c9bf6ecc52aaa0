"""Writes a standalone bundle: a folder or a ZIP archive; the same version gives the same bytes on one machine."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mammo.errors import InvalidBundle, InvalidWeights, StorageUnavailable
from mammo.findings import MAX_FINDINGS
from mammo.models import self_test
from mammo.models.manifests import STAYS_AT_SITE
from mammo.models.registry import ModelFiles
from mammo.standalone.card import card

PROGRAM = Path(__file__).parent / "files"
HASHES = "SHA256SUMS"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of every member of an archive."""


def write_standalone(
    files: ModelFiles, manifest: Mapping[str, Any], *, to: Path, same_site: bool = False
) -> dict[str, str]:
    """Write a version with all that its inference needs; returns the SHA-256 of each file.

    Args:
        files: weights and operating point.
        manifest: of the version; its recorded self-test is the expected answer.
        to: an archive if its name ends in .zip, else a folder that does not exist yet.
        same_site: whether the receiver is this site itself.

    Raises:
        InvalidBundle: the weights must not leave the site (code `stays_at_site`).
        InvalidWeights: the version has no self-test (code `self_test_unknown`), or a network cannot be read or
            exported.
        StorageUnavailable: the target exists or cannot be written.
    """
    if manifest.get(STAYS_AT_SITE) and not same_site:
        raise InvalidBundle(
            f"{files.version} learned from images that must not leave this site: "
            f"{', '.join(manifest[STAYS_AT_SITE])}; give --same-site if it stays here",
            code="stays_at_site",
        )
    if to.exists():
        raise StorageUnavailable(f"{to.name} already exists; choose another name, or remove it")
    try:
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=".standalone-") as part:
            folder = Path(part) / "bundle"
            folder.mkdir()
            hashes = _fill(folder, files, manifest)
            if to.suffix == ".zip":
                _pack(folder, Path(part) / "archive")
                (Path(part) / "archive").rename(to)
            else:
                folder.rename(to)
    except OSError as error:
        raise StorageUnavailable(
            f"{to.name} cannot be written: {error.strerror}; check the folder and its free space"
        ) from error
    return hashes


def _fill(folder: Path, files: ModelFiles, manifest: Mapping[str, Any]) -> dict[str, str]:
    expected = _expected(files, manifest)
    model = _networks(folder, files)
    _write_json(folder / "model.json", model)
    _write_json(folder / "expected.json", expected)
    shutil.copyfile(self_test.IMAGE, folder / "self_test.png")
    for program in sorted(PROGRAM.glob("*.py")):
        shutil.copyfile(program, folder / program.name)
    (folder / "README.md").write_text(card(manifest, model=model), encoding="utf-8")
    hashes = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    lines = (f"{digest}  {name}\n" for name, digest in hashes.items())
    (folder / HASHES).write_text("".join(lines), encoding="utf-8")
    return hashes | {HASHES: _sha256(folder / HASHES)}


def _networks(folder: Path, files: ModelFiles) -> dict[str, Any]:
    """Write the networks; returns what the program must know of them and of the operating point."""
    # Imported on use: torch takes seconds.
    from mammo.detector.exported_boxes import export_boxes
    from mammo.detector.weights import load_network
    from mammo.models.exported_networks import release, save_network
    from mammo.segmenter.runtime_openvino import export as export_segmenter
    from mammo.segmenter.weights import load_segmenter

    detector, _ = load_network(files.detector)
    segmenter, _ = load_segmenter(files.segmenter)
    try:
        networks = {"detector": export_boxes(detector), **export_segmenter(segmenter)}
    except (RuntimeError, ValueError, TypeError) as error:
        raise InvalidWeights(
            f"OpenVINO cannot hold the networks of {files.version} ({type(error).__name__})"
        ) from error
    for name, network in networks.items():
        save_network(network, folder / f"{name}.xml")
    return {
        "version": files.version,
        "openvino": release(),
        "threshold": files.threshold,
        "presence_threshold": files.presence_threshold,
        "prompt_rule": files.prompt_rule,
        "prompt_count": files.prompt_count,
        "max_findings": MAX_FINDINGS,
        "spacing_mm": detector.spec.spacing_mm,
        "normalisation": detector.spec.normalisation,
        "speck_weight": detector.spec.speck_weight,
        "input_size": segmenter.config.input_size,
        "channels": segmenter.config.channels,
    }


def _expected(files: ModelFiles, manifest: Mapping[str, Any]) -> dict[str, Any]:
    recorded = manifest.get("self_test") or {}
    if recorded.get("image") != self_test.self_test_phantom().sha256:
        raise InvalidWeights(
            f"{files.version} has no self-test on the phantom of this release, so nobody could tell whether its "
            "bundle works; export a version that was registered by this release",
            code="self_test_unknown",
        )
    return {
        "image": "self_test.png",
        "bits": self_test.BITS,
        "spacing_mm": self_test.SPACING_MM,
        "threshold": self_test.MIN_SCORE,
        "findings": recorded["findings"],
        "score_tolerance": self_test.SCORE_TOLERANCE,
        "min_iou": self_test.MIN_IOU,
        "area_tolerance": self_test.AREA_TOLERANCE,
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pack(folder: Path, archive: Path) -> None:
    """Pack a folder, with fixed times and order."""
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(folder.iterdir()):
            member = zipfile.ZipInfo(path.name, EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            packed.writestr(member, path.read_bytes())
