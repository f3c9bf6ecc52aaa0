"""PUBLIC_SETS: published mammograms whose licence lets weights trained on them be passed on, each file pinned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mammo.backgrounds.background import Background, BackgroundSet
from mammo.geometry import Box, Spacing
from mammo.pinned_files import PinnedFile

RAW = "https://raw.githubusercontent.com"
MONAI_COMMIT = "dfae206df112837d817e78d3727c9f32b3b52e82"
BIRADS_COMMIT = "4b5db05f68247a7f9a75a9730a7e24253d550fa3"

FFDM, SYNTHETIC, CROPPED = 0.07, 0.1, 0.094
"""Pixel spacings in mm, which the files do not state. FFDM: Hologic's detector pitch; the images of 4096 x 3328 pixels
may be stored at 0.065 to 0.07. SYNTHETIC: 2-D views computed from tomosynthesis (C-View), about 0.1. CROPPED: about
0.094, of images that were cropped to 2600 x 2000."""


@dataclass(frozen=True, kw_only=True)
class PublicImage:
    """One image of a public set."""

    file: PinnedFile
    spacing_mm: float
    patient: str
    avoid: tuple[Box, ...] = ()
    """See `Background.avoid`."""

    @property
    def sha256(self) -> str:
        assert self.file.sha256 is not None, "every file of this catalogue is pinned"
        return self.file.sha256

    @property
    def size(self) -> int:
        """Bytes of the file."""
        assert self.file.size is not None, "every file of this catalogue is pinned"
        return self.file.size


@dataclass(frozen=True, kw_only=True)
class PublicSet:
    """Published images with one licence; the fields are those of `BackgroundSet`."""

    name: str
    licence: str
    source: str
    may_ship: bool
    patients_assumed: bool
    images: tuple[PublicImage, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(image.size for image in self.images)

    def within(self, folder: Path) -> BackgroundSet:
        """Return the set with its files in a folder, whether they are there or not."""
        return BackgroundSet(
            name=self.name,
            licence=self.licence,
            source=self.source,
            may_ship=self.may_ship,
            patients_assumed=self.patients_assumed,
            backgrounds=tuple(
                Background(
                    path=folder / image.file.file_name,
                    spacing=Spacing(image.spacing_mm, image.spacing_mm, "given"),
                    patient=image.patient,
                    sha256=image.sha256,
                    avoid=image.avoid,
                )
                for image in self.images
            ),
        )


def _pinned(name: str, url: str, size: int, sha256: str) -> PinnedFile:
    return PinnedFile(
        name=name, url=url, size=size, sha256=sha256, by_hand="give the folder of the files with --from"
    )


def _monai(
    letter: str, number: int, spacing_mm: float, size: int, sha256: str, *, avoid: tuple[Box, ...] = ()
) -> PublicImage:
    name = f"{letter}{number}"
    folder = f"models/breast_density_classification/sample_data/{letter}"
    url = f"{RAW}/Project-MONAI/model-zoo/{MONAI_COMMIT}/{folder}/sample_{name}.jpg"
    return PublicImage(
        file=_pinned(f"monai/{name}", url, size, sha256),
        spacing_mm=spacing_mm,
        patient=f"monai-{name}",
        avoid=avoid,
    )


def _birads(view: str, size: int, sha256: str) -> PublicImage:
    url = f"{RAW}/nyukat/BIRADS_classifier/{BIRADS_COMMIT}/images/{view}.png"
    return PublicImage(
        file=_pinned(f"birads/{view}", url, size, sha256), spacing_mm=CROPPED, patient="birads-1"
    )


PUBLIC_SETS: tuple[PublicSet, ...] = (
    PublicSet(
        name="monai",
        licence="Apache-2.0",
        source="Mayo Clinic: sample data of breast_density_classification in the MONAI Model Zoo",
        may_ship=True,
        patients_assumed=True,
        images=(
            _monai("A", 1, SYNTHETIC, 269_410, "a0f0b4e184f123d4e194ecae1a1674348db5fe1d93e8216e52123a12d0437fb0"),
            _monai("A", 2, SYNTHETIC, 283_251, "8511af6b8544845d201c67bced239c4ce17be5595d58cd71edaa06192acafd0a"),
            _monai("A", 3, SYNTHETIC, 238_445, "9d845a07e2cbda926d85d06fe54259a5887c77436ab22dc319474810807f9b71"),
            _monai("A", 4, FFDM, 1_105_859, "c33c7434bb027b68bb94ff1960207e8152dde7bcd7d726c4838c6dbc7962ec88"),
            _monai("B", 1, FFDM, 902_891, "423fb2a0e058d180a651ba610c52eea7e60dc6d9f9638eaf29d5e6132501bde2",
                   avoid=(Box(3060, 2240, 3150, 2520),)),
            _monai("B", 2, FFDM, 839_679, "a94c2eb1784dd8503b9cd1beff3a0bae38ef9f32ea5fef799aa2bba2a67565ce"),
            _monai("B", 4, SYNTHETIC, 325_544, "4c3852383338e9866bebcde0075631c37e721c6001a28034ff46cbc952d10a1c",
                   avoid=(Box(1340, 1870, 1430, 1950),)),
            _monai("C", 2, SYNTHETIC, 263_353, "087853644ba2f6971c84ebe2511daabda442930e07e929f7339e155202f74b81",
                   avoid=(Box(1225, 1235, 1290, 1285),)),
            _monai("C", 3, FFDM, 621_114, "53c34173868e420d5e401d8deacaeedb07dd584e786ed2088e564086c3916c14"),
            _monai("C", 4, FFDM, 781_771, "5f49198fbc287bbf3cce288b84a03e3122db758cd4d86f8ce9650058a9e70e6f"),
            _monai("D", 2, FFDM, 491_775, "1f7d28762b4d4322a80170eee6118d0a746eb60e96664fc9fd75fe8e632d1551",
                   avoid=(Box(2170, 1340, 2560, 1980),)),
            _monai("D", 3, SYNTHETIC, 214_063, "de4666711031a38a801c8e4e37d3e49db0a2e82f1766f19073398836a63e3f26"),
            _monai("D", 4, SYNTHETIC, 219_908, "4ab6562f6b75dfa0a3058651d15acd1627801a73fed2006f4878b9e07b63e998"),
        ),
    ),
    PublicSet(
        name="birads",
        licence="BSD-2-Clause",
        source="NYU: sample exam of BIRADS_classifier, the four views of one woman",
        may_ship=True,
        patients_assumed=False,
        images=(
            _birads("L-CC", 1_628_388, "15cd371e4d3555aea7ef1110a766aceb14930e54f5b53a21d6283cbb842a0cd4"),
            _birads("L-MLO", 1_966_473, "777a01e21b4fbb877bb5d9a2ca215991b4ad536bc636b54692777fe866ece154"),
            _birads("R-CC", 1_368_939, "995b6cedef66a3bd5fc1e408724e1b7d2629a9897796b72fde42c6c658af4f7a"),
            _birads("R-MLO", 1_764_084, "3d4ca4d43bcc6b032d0b3ae5f283a4bd65f2efb9d90b71a70971e96e4bdc2a54"),
        ),
    ),
)  # fmt: skip
"""Of the sixteen files of `monai`, B3 and C1 are left out, which have calcifications in many places (C1 along arteries
too), and D1, a thumbnail. The boxes to avoid hold the groups that we saw in others by eye; no radiologist has looked.
Single calcifications, which are no cluster, are in no box.
"""
