"""Small mammograms in files, and a public set of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from mammo.backgrounds.catalogue import PublicImage, PublicSet
from mammo.backgrounds.own_image import OwnImageRules
from mammo.backgrounds.own_set import OwnSetOptions
from mammo.dicom import encode_png
from mammo.pinned_files import PinnedFile
from tests.mammo.dicom.files import mammogram_file
from tests.mammo.dicom.pictures import breast_picture

SECRET = b"a secret of this site"


def png(*, seed: int = 0) -> bytes:
    """An 8-bit breast."""
    return encode_png((breast_picture(seed=seed) // 16).astype(np.uint8))


def dicom(*, seed: int = 0, patient: str = "PHANTOM-1", **options: Any) -> bytes:
    """A breast whose file says that it names nobody."""
    return mammogram_file(breast_picture(seed=seed), patient_id=patient, entropy=f"{seed}", **options)


CONTENTS = {"A.png": png(seed=1), "B.png": png(seed=2)}


def public_set(base: str = "https://127.0.0.1:1") -> PublicSet:
    """A set of two images that a server publishes under `CONTENTS`."""
    images = tuple(
        PublicImage(
            file=PinnedFile(
                name=f"tiny/{name}",
                url=f"{base}/{name}",
                size=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                by_hand="give the folder of the files with --from",
            ),
            spacing_mm=0.07,
            patient=f"tiny-{name}",
        )
        for name, content in CONTENTS.items()
    )
    return PublicSet(
        name="tiny",
        licence="Apache-2.0",
        source="this test",
        may_ship=True,
        patients_assumed=True,
        images=images,
    )


def own_options(folder: Path, *, patients: Path | None = None, **rules: Any) -> OwnSetOptions:
    """Options that add a folder to the set `ours`."""
    values: dict[str, Any] = {
        "spacing_mm": None,
        "patient_secret": SECRET,
        "allow_identified": False,
        "max_bytes": 2**24,
    }
    return OwnSetOptions(
        folder=folder,
        name="ours",
        licence="consent of 2026",
        patients=patients,
        rules=OwnImageRules(**(values | rules)),
    )
