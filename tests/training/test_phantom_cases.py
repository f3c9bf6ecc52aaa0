from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mammo.phantom import Appearance, phantom_patient, vendor_a, vendor_b
from training.cases import Case, silent
from training.phantom_cases import (
    TRUTH,
    drawn_cases,
    read_phantom_traits,
    write_phantom_patients,
)

SECRET = b"a secret of the site"
SMALL = replace(vendor_a(), width=384, height=512)
SMALL_B = replace(vendor_b(), width=384, height=512)


def cases(folder: Path, *, seeds: tuple[int, ...] = (1, 2), appearance: Appearance = SMALL) -> list[Case]:
    return write_phantom_patients(
        folder, seeds=seeds, appearance=appearance, positive=1.0, patient_secret=SECRET, progress=silent
    )


@pytest.mark.parametrize("appearance", [SMALL, SMALL_B], ids=lambda vendor: vendor.name)
def test_a_case_reads_the_pixels_and_the_truth_that_were_drawn(
    tmp_path: Path, appearance: Appearance
) -> None:
    drawn = phantom_patient(1, appearance=appearance, positive=1.0)
    for case, view in zip(cases(tmp_path, seeds=(1,), appearance=appearance), drawn, strict=True):
        mammogram = case.read()
        np.testing.assert_array_equal(np.round(mammogram.pixels * (2**view.bits - 1)), view.stored)
        assert (mammogram.laterality, mammogram.view) == (view.laterality, view.view)
        assert mammogram.spacing is not None
        assert mammogram.spacing.mean_mm == pytest.approx(view.spacing_mm)
        assert (mammogram.sha256, mammogram.patient) == (case.image, case.patient)
        assert [finding.box for finding in case.truth] == [finding.box for finding in view.truth]
        for found, true in zip(case.truth, view.truth, strict=True):
            assert found.mask is not None
            assert true.mask is not None
            assert found.mask.dice(true.mask) == 1


def test_the_views_of_a_patient_share_a_key_and_patients_do_not(tmp_path: Path) -> None:
    found = cases(tmp_path)
    assert len(found) == 8
    assert len({case.patient for case in found[:4]}) == 1
    assert len({case.patient for case in found}) == 2
    assert len({case.image for case in found}) == 8


def test_a_second_call_reads_and_does_not_draw_again(tmp_path: Path) -> None:
    first = cases(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.dcm")}
    more = cases(tmp_path, seeds=(1, 2, 3))
    assert len(before) == 8
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [case.image for case in more[:8]] == [case.image for case in first]


def test_another_vendor_or_a_lost_file_is_drawn_again(tmp_path: Path) -> None:
    first = cases(tmp_path)
    next(tmp_path.glob("*_LCC.dcm")).unlink()
    again = cases(tmp_path)
    assert [case.image for case in again] == [case.image for case in first]
    other = cases(tmp_path, appearance=SMALL_B)
    assert {case.image for case in other}.isdisjoint(case.image for case in first)


def test_progress_rises_from_start_to_end(tmp_path: Path) -> None:
    fractions: list[float] = []
    write_phantom_patients(
        tmp_path,
        seeds=(1, 2),
        appearance=SMALL,
        patient_secret=SECRET,
        progress=lambda fraction, message: fractions.append(fraction),
    )
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)


def test_the_truth_file_holds_no_key_and_no_secret(tmp_path: Path) -> None:
    found = cases(tmp_path, seeds=(1,))
    text = (tmp_path / TRUTH).read_text()
    assert json.loads(text)["patients"].keys() == {"PHANTOM-000001"}
    assert found[0].patient not in text
    assert SECRET.decode() not in text


def test_the_generator_says_what_each_cluster_is(tmp_path: Path) -> None:
    found = cases(tmp_path, seeds=(1, 2))
    traits = read_phantom_traits(tmp_path)
    for case in found:
        assert len(traits[case.image]) == len(case.truth)
        for trait, finding in zip(traits[case.image], case.truth, strict=True):
            assert trait.morphology in {"punctate", "pleomorphic", "linear", "amorphous"}
            assert trait.density in {"a", "b", "c", "d"}
            assert trait.extent_mm == pytest.approx(
                max(finding.box.width, finding.box.height) * SMALL.spacing_mm, abs=0.01
            )


def test_views_drawn_in_memory_are_the_same_for_the_same_seeds_and_some_are_normal() -> None:
    first, again = (list(drawn_cases(range(1, 4), appearance=SMALL, width=384, height=512)) for _ in range(2))
    assert [case.image for case in first] == [case.image for case in again]
    assert [bool(case.truth) for case in first] == [True, True, False]
    pixels = first[0].read().pixels
    assert pixels.shape == (512, 384)
    assert 0 <= pixels.min() < pixels.max() <= 1
    assert len({case.patient for case in first}) == 3
