"""Manifests of model versions: what they must state so that the version can serve."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mammo.prompts import MAX_POINTS, PROMPT_RULES

PARTS = ("detector", "segmenter")
"""The weight files of a version."""

VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

RESERVED = frozenset({"champion", "challenger", "previous", "latest", "starter", "none"})
"""Names that mean something else wherever a version can be named: aliases, the packaged model, no model."""

STAYS_AT_SITE = "stays_at_site"
"""Manifest key: for which images, in words, the weights must not leave the site. Absent: for none."""

PROVISIONAL = "provisional_for_project"
"""Manifest key of a provisional version: the project that it may serve. Absent: any, and it may become champion."""

SHA256 = re.compile(r"[0-9a-f]{64}")


def problem_of_name(version: object) -> str:
    """Return why a model version must not have a name; empty if it may."""
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        return f"expected a version of 1 to 64 letters, digits, dots, dashes and underscores, got {version!r:.100}"
    if version.lower() in RESERVED:
        return f"the name {version!r} is reserved"
    return ""


def problem_of_settings(manifest: Mapping[str, Any]) -> str:
    """Return what is wrong with the operating point and the self-test of a manifest; empty if nothing is."""
    for key in ("threshold", "presence_threshold"):
        value = manifest.get(key, 0.0 if key == "presence_threshold" else None)
        if not _is_share(value):
            return f"expected a {key} from 0 to 1, got {value!r:.100}"
    rule, count = manifest.get("prompt_rule"), manifest.get("prompt_count")
    if not isinstance(rule, str) or rule not in PROMPT_RULES:
        return f"expected a prompt_rule of {', '.join(sorted(PROMPT_RULES))}, got {rule!r:.100}"
    if type(count) is not int or not 1 <= count <= MAX_POINTS:
        return f"expected a prompt_count from 1 to {MAX_POINTS}, got {count!r:.100}"
    stays = manifest.get(STAYS_AT_SITE, [])
    if not isinstance(stays, list) or not all(isinstance(each, str) for each in stays):
        return f"expected texts as {STAYS_AT_SITE}, got {stays!r:.100}"
    project = manifest.get(PROVISIONAL, 1)
    if type(project) is not int or project < 1:
        return f"expected a project's number as {PROVISIONAL}, got {project!r:.100}"
    expected = manifest.get("self_test")
    return "" if expected is None or _is_self_test(expected) else "its self_test cannot be read"


def problem_of_files(manifest: Mapping[str, Any]) -> str:
    """Return what is wrong with the weight files that a manifest names; empty if nothing is."""
    for part in PARTS:
        stated = manifest.get(part)
        if not isinstance(stated, Mapping) or sha256_of(manifest, part) is None:
            return f"it does not name the SHA-256 of its {part}"
        if type(stated.get("bytes")) is not int or stated["bytes"] < 0:
            return f"it does not state the size of its {part}"
    return ""


def problem_of(version: object, manifest: object) -> str:
    """Return why a registered model version cannot be used; empty if it can."""
    if not isinstance(manifest, Mapping):
        return "its manifest cannot be read"
    return problem_of_name(version) or problem_of_settings(manifest) or problem_of_files(manifest)


def sha256_of(manifest: Mapping[str, Any], part: str) -> str | None:
    """Return the SHA-256 of a weight file; None if the manifest does not name it."""
    stated = manifest.get(part)
    digest = stated.get("sha256") if isinstance(stated, Mapping) else None
    return digest if isinstance(digest, str) and SHA256.fullmatch(digest) else None


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_self_test(expected: object) -> bool:
    """Whether a value is a result of `mammo.models.self_test.record`."""
    rows = expected.get("findings") if isinstance(expected, Mapping) else None
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        return False
    return (
        isinstance(expected, Mapping) and isinstance(expected.get("image"), str) and all(map(_is_row, rows))
    )


def _is_row(row: object) -> bool:
    if not isinstance(row, Mapping):
        return False
    box, area = row.get("box"), row.get("area")
    if not isinstance(box, list) or len(box) != 4 or not all(type(each) is int for each in box):
        return False
    return (
        box[0] < box[2]
        and box[1] < box[3]
        and type(area) is int
        and area >= 0
        and _is_share(row.get("score"))
    )
