from dataclasses import asdict

import pytest

from mammo.segmenter.config import ENCODERS, TABLE3, MlsamConfig, mlsam


def test_the_taps_of_vit_l_are_the_papers_blocks_and_the_others_follow_the_same_fractions():
    assert {name: mlsam(name).taps for name in ("vit_b", "vit_l", "vit_h")} == {
        "vit_b": (3, 6, 12),
        "vit_l": (6, 12, 24),
        "vit_h": (8, 16, 32),
    }


def test_taps_of_sams_encoders_see_the_whole_image():
    for name in ("vit_b", "vit_l", "vit_h"):
        assert set(mlsam(name).taps) <= set(ENCODERS[name].global_blocks)


def test_table_3_has_six_different_rows():
    assert len(TABLE3) == len(set(TABLE3.values())) == 6


@pytest.mark.parametrize("row", TABLE3)
def test_a_configuration_survives_its_own_dictionary(row):
    assert MlsamConfig.from_dict(asdict(TABLE3[row])) == TABLE3[row]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("encoder", "vit_xxl"),
        ("input_size", 1000),
        ("input_size", 2**20),
        ("input_size", "512"),
        ("input_size", True),
        ("decoder_width", 100),
        ("hq_token", 1),
        ("combine", "product"),
        ("taps", (1, 2, 3)),
    ],
)
def test_a_foreign_value_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        MlsamConfig.from_dict(asdict(mlsam()) | {field: value})


def test_a_missing_field_is_refused():
    fields = asdict(mlsam())
    del fields["combine"]
    with pytest.raises(ValueError, match="combine"):
        MlsamConfig.from_dict(fields)


@pytest.mark.parametrize("added", ["presence", "box_prior"])
def test_a_file_written_before_a_part_existed_has_none(added):
    fields = asdict(mlsam())
    del fields[added]
    assert MlsamConfig.from_dict(fields) == mlsam()


def test_an_hq_token_without_any_feature_is_refused():
    with pytest.raises(ValueError, match="feature source"):
        MlsamConfig(decoder_feature=False, early=False, middle=False, final=False)
