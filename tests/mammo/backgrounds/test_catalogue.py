from __future__ import annotations

import re
from pathlib import Path

import pytest

from mammo.backgrounds import PUBLIC_SETS, PublicSet
from mammo.backgrounds.library import NAME
from mammo.blobs import SHA256

BY_NAME = {each.name: each for each in PUBLIC_SETS}
PERMISSIVE = {"Apache-2.0", "BSD-2-Clause"}


@pytest.mark.parametrize("public", PUBLIC_SETS, ids=lambda each: each.name)
def test_every_file_of_a_public_set_is_pinned_to_a_commit_a_size_and_a_hash(public: PublicSet) -> None:
    assert NAME.fullmatch(public.name)
    for image in public.images:
        assert re.match(r"https://raw\.githubusercontent\.com/[\w-]+/[\w-]+/[0-9a-f]{40}/", image.file.url)
        assert SHA256.fullmatch(image.sha256)
        assert image.size > 100_000
        assert "--from" in image.file.by_hand
        assert 0.065 <= image.spacing_mm <= 0.1
    assert len({image.sha256 for image in public.images}) == len(public.images)
    assert len({image.file.file_name for image in public.images}) == len(public.images)


def test_weights_may_ship_where_the_licence_lets_them() -> None:
    assert {each.name: each.may_ship for each in PUBLIC_SETS} == {
        each.name: each.licence in PERMISSIVE for each in PUBLIC_SETS
    }


def test_monai_has_at_most_thirteen_women_and_neither_a_thumbnail_nor_images_full_of_calcifications(
    tmp_path: Path,
) -> None:
    monai = BY_NAME["monai"].within(tmp_path)
    assert monai.num_patients == len(monai.backgrounds) == 13
    assert monai.patients_assumed
    assert not {"sample_B3.jpg", "sample_C1.jpg", "sample_D1.jpg"} & {
        each.path.name for each in monai.backgrounds
    }
    fine = {each.path.stem[-2:] for each in monai.backgrounds if each.spacing.row_mm == 0.07}
    assert fine == {"A4", "B1", "B2", "C3", "C4", "D2"}
    assert monai.spacing_range_mm == (0.07, 0.1)
    assert {each.path.stem[-2:] for each in monai.backgrounds if each.avoid} == {"B1", "B4", "C2", "D2"}


def test_birads_is_one_woman(tmp_path: Path) -> None:
    birads = BY_NAME["birads"].within(tmp_path)
    assert (len(birads.backgrounds), birads.num_patients, birads.patients_assumed) == (4, 1, False)
