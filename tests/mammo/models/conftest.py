import pytest

from mammo.models import ModelRegistry


@pytest.fixture
def registry(any_engine, tmp_path):
    return ModelRegistry(any_engine, tmp_path / "blobs")
