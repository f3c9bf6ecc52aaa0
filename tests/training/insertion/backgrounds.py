"""Backgrounds drawn as phantoms without a cluster, in files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mammo.backgrounds import Background, BackgroundSet
from mammo.dicom import encode_png
from mammo.geometry import Box, Spacing
from mammo.phantom import phantom_view


def background(folder: Path, *, seed: int, patient: str, avoid: tuple[Box, ...] = ()) -> Background:
    """A small breast without a cluster, 12 bits in a PNG of 16, at 0.1 mm."""
    folder.mkdir(parents=True, exist_ok=True)
    view = phantom_view(seed, clusters=0, width=512, height=640, spacing_mm=0.1, num_distractors=0)
    content = encode_png(view.stored * 16)
    path = folder / f"{patient}-{seed}.png"
    path.write_bytes(content)
    return Background(
        path=path,
        spacing=Spacing(0.1, 0.1, "given"),
        patient=patient,
        sha256=hashlib.sha256(content).hexdigest(),
        avoid=avoid,
    )


def background_set(folder: Path, *, may_ship: bool = True) -> BackgroundSet:
    """One woman held out by the starter's recipe, and another."""
    return BackgroundSet(
        name="tiny",
        licence="Apache-2.0" if may_ship else "ours",
        source="phantoms",
        may_ship=may_ship,
        patients_assumed=False,
        backgrounds=(
            background(folder, seed=1, patient="monai-A1"),
            background(folder, seed=2, patient="monai-A3"),
        ),
    )
