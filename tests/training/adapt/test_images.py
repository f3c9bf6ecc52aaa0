from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore
from mammo.errors import InvalidSettings
from tests.training.adapt.site import FakeNetworks, background_set, context_of, freeze
from training.adapt.images import frozen_dataset, unique


def test_frozen_test_patients_are_not_passed_by_for_want_of_a_project(
    engine: Engine, store: AnnotationStore, tmp_path: Path
) -> None:
    context = context_of(engine, store, tmp_path, FakeNetworks())
    assert frozen_dataset(0, engine=engine) is None
    assert frozen_dataset(3, engine=engine) is None
    name = freeze(context, ["a", "b"], project=3)
    with pytest.raises(InvalidSettings, match=r"project 3 has dataset versions.*--project"):
        frozen_dataset(0, engine=engine)
    assert frozen_dataset(3, engine=engine) == name
    assert frozen_dataset(4, engine=engine) is None


def test_an_image_that_is_in_two_sets_counts_once(tmp_path: Path) -> None:
    one = background_set(tmp_path / "one", ["a", "b"])
    other = background_set(tmp_path / "other", ["b", "c"], seed=1)
    images = unique([one, other])
    assert [image.sha256 for image in images] == sorted({image.sha256 for image in images})
    assert len(images) == 3
