from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mammo.geometry import Box
from tests.training.insertion.backgrounds import background
from training.cases import Case, silent
from training.insertion.material import MaterialPlan, write_material

PLAN = MaterialPlan(phantoms=1, film_phantoms=1, digital_copies=2, film_copies=2, seed=900_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("material")


@pytest.fixture(scope="module")
def cases(folder: Path) -> list[Case]:
    images = [background(folder / "b", seed=1, patient="one", avoid=(Box(0, 0, 100, 640),))]
    return write_material(folder / "m", PLAN, images, processes=2, progress=silent)


def test_a_plan_says_how_many_images_of_which_kind(cases: list[Case]) -> None:
    assert [case.patient for case in cases] == ["randomised-900000", "randomised-900001", *["one"] * 4]
    spacings = [case.read().spacing for case in cases]
    assert [round(each.mean_mm, 3) for each in spacings if each] == [0.07, 0.2, 0.1, 0.1, 0.2, 0.2]
    assert len({case.image for case in cases}) == len(cases)


def test_truth_lies_where_the_calcifications_are(cases: list[Case]) -> None:
    assert sum(len(case.truth) for case in cases) >= 3
    for case in cases:
        pixels = case.read().pixels
        for finding in case.truth:
            assert finding.mask is not None
            assert finding.box.within(case.read().size) == finding.box
            inside = pixels[finding.box.slices]
            assert inside.max() > np.median(inside)


def test_places_to_avoid_are_uncertain_in_every_look(cases: list[Case]) -> None:
    for case in cases[2:]:
        (place,) = case.uncertain
        assert all(finding.box.intersection(place) is None for finding in case.truth)


def test_a_second_call_draws_nothing_and_gives_the_same(folder: Path, cases: list[Case]) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "m").iterdir()}
    images = [background(folder / "b", seed=1, patient="one", avoid=(Box(0, 0, 100, 640),))]
    again = write_material(folder / "m", PLAN, images, processes=1, progress=silent)
    assert [case.image for case in again] == [case.image for case in cases]
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "m").iterdir()} == before


def test_an_image_does_not_depend_on_the_process_that_draws_it(
    folder: Path, cases: list[Case], tmp_path: Path
) -> None:
    images = [background(folder / "b", seed=1, patient="one", avoid=(Box(0, 0, 100, 640),))]
    again = write_material(tmp_path, PLAN, images, processes=1, progress=silent)
    for one, two in zip(cases, again, strict=True):
        assert np.array_equal(one.read().pixels, two.read().pixels)


def test_normals_have_no_lesion(folder: Path, tmp_path: Path) -> None:
    plan = MaterialPlan(
        phantoms=1, film_phantoms=0, digital_copies=2, film_copies=1, lesions=False, seed=900_000
    )
    images = [background(folder / "b", seed=1, patient="one")]
    assert not any(
        case.truth for case in write_material(tmp_path, plan, images, processes=1, progress=silent)
    )
