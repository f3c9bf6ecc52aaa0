import multiprocessing

import pytest

from mammo.database import open_database
from mammo.errors import InvalidWeights, ModelNotFound, PromotionConflict
from mammo.models import ModelRegistry
from tests.mammo.models.versions import register, starter


def test_a_registered_version_comes_back_whole(registry, tmp_path):
    version = register(registry, tmp_path, "a", parent="starter-1")
    files = registry.files(version, into=tmp_path / "models")
    assert files.detector.read_bytes() == b"detector a"
    assert files.segmenter.read_bytes() == b"segmenter a"
    assert (files.version, files.threshold, files.prompt_rule, files.prompt_count) == (
        version,
        0.2,
        "robust",
        3,
    )
    assert registry.manifest(version)["parent"] == "starter-1"


def test_versions_are_numbered_and_named_by_content(registry, tmp_path):
    versions = [register(registry, tmp_path, name) for name in "abc"]
    assert [version[:6] for version in versions] == ["m0001-", "m0002-", "m0003-"]
    assert registry.versions() == versions
    assert register(registry, tmp_path, "b") == versions[1]
    assert registry.versions() == versions


@pytest.mark.parametrize("missing", ["threshold", "prompt_rule", "prompt_count"])
def test_a_manifest_must_say_how_the_model_is_used(registry, tmp_path, missing):
    with pytest.raises(ValueError, match="manifest"):
        register(registry, tmp_path, "a", **{missing: None})


def test_a_damaged_file_never_leaves_the_registry(registry, tmp_path):
    version = register(registry, tmp_path, "a")
    digest = registry.manifest(version)["detector"]["sha256"]
    blob = tmp_path / "blobs" / "sha256" / digest[:2] / digest
    blob.chmod(0o600)
    blob.write_bytes(b"detector b")
    with pytest.raises(InvalidWeights):
        registry.files(version, into=tmp_path / "models")
    assert not (tmp_path / "models" / version / "detector.safetensors").exists()


def test_an_unpacked_file_that_was_changed_is_replaced(registry, tmp_path):
    version = register(registry, tmp_path, "a")
    registry.files(version, into=tmp_path / "models").detector.write_bytes(b"evil")
    assert registry.files(version, into=tmp_path / "models").detector.read_bytes() == b"detector a"


def test_a_version_that_is_not_there_is_said_so(registry, tmp_path):
    for ask in (registry.manifest, lambda version: registry.files(version, into=tmp_path)):
        with pytest.raises(ModelNotFound, match="m9999"):
            ask("m9999")
    with pytest.raises(ModelNotFound, match="m9999"):
        registry.promote("m9999", expected_epoch=0, reason="")
    with pytest.raises(ModelNotFound, match="no champion"):
        registry.champion()


def test_the_champion_moves_only_from_the_epoch_that_was_seen(registry, tmp_path):
    a, b, c = (register(registry, tmp_path, name) for name in "abc")
    first = registry.promote(a, expected_epoch=0, reason="first")
    second = registry.promote(b, expected_epoch=first.epoch, reason="better")
    assert (second.version, second.epoch) == (b, first.epoch + 1)
    for stale in (0, first.epoch, second.epoch + 1):
        with pytest.raises(PromotionConflict, match=f"found {second.epoch}"):
            registry.promote(c, expected_epoch=stale, reason="late")
    assert registry.champion() == second
    assert [(move.version, move.reason) for move in registry.history()] == [(a, "first"), (b, "better")]


def test_roll_back_goes_back_one_champion_at_a_time(registry, tmp_path):
    a, b, c = (register(registry, tmp_path, name) for name in "abc")
    for epoch, version in enumerate((a, b, c)):
        registry.promote(version, expected_epoch=epoch, reason="better")
    assert registry.roll_back("c misses clusters").version == b
    assert registry.roll_back("so does b").version == a
    with pytest.raises(ModelNotFound, match="earlier"):
        registry.roll_back("and a")
    again = registry.promote(c, expected_epoch=registry.champion().epoch, reason="after all")
    assert registry.roll_back("no").version == a
    assert registry.champion().epoch == again.epoch + 1
    assert [move.kind for move in registry.history()].count("roll_back") == 3


def test_the_starter_is_registered_once_and_is_champion_only_where_there_is_none(registry, tmp_path):
    folder = starter(tmp_path / "starter")
    assert registry.ensure_starter(folder) == "starter-1"
    before = registry.champion()
    assert before.version == "starter-1"
    better = register(registry, tmp_path, "a")
    after = registry.promote(better, expected_epoch=before.epoch, reason="better")
    assert registry.ensure_starter(folder) == "starter-1"
    assert registry.ensure_starter(starter(tmp_path / "newer", "starter-2", b"new")) == "starter-2"
    assert registry.champion() == after
    assert registry.versions() == ["starter-1", better, "starter-2"]


def test_other_files_under_the_starters_name_are_refused(registry, tmp_path):
    registry.ensure_starter(starter(tmp_path / "starter"))
    with pytest.raises(InvalidWeights, match="already"):
        registry.ensure_starter(starter(tmp_path / "other", content=b"other"))


@pytest.mark.parametrize("name", ["../evil", "", ".hidden", "a/b", 7])
def test_a_starters_name_cannot_lead_out_of_the_models_folder(registry, tmp_path, name):
    with pytest.raises(InvalidWeights):
        registry.ensure_starter(starter(tmp_path / "starter", version=name))


def test_a_starter_that_is_not_whole_is_refused(registry, tmp_path):
    folder = starter(tmp_path / "starter")
    (folder / "segmenter.safetensors").unlink()
    with pytest.raises(InvalidWeights, match="starter"):
        registry.ensure_starter(folder)
    assert registry.versions() == []


def _promote(url, blobs, version, epoch, results):
    engine = open_database(url)
    try:
        ModelRegistry(engine, blobs).promote(version, expected_epoch=epoch, reason="race")
        results.put("won")
    except PromotionConflict:
        results.put("lost")


def test_of_several_processes_that_promote_at_once_exactly_one_wins(registry, any_engine, tmp_path):
    versions = [register(registry, tmp_path, name) for name in "abcde"]
    epoch = registry.promote(versions[0], expected_epoch=0, reason="first").epoch
    any_engine.dispose()  # a forked process must not inherit open connections
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [
        context.Process(
            target=_promote,
            args=(
                any_engine.url.render_as_string(hide_password=False),
                tmp_path / "blobs",
                version,
                epoch,
                results,
            ),
        )
        for version in versions[1:]
    ]
    for process in processes:
        process.start()
    outcomes = sorted(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(30)
    assert outcomes == ["lost", "lost", "lost", "won"]
    assert registry.champion().epoch == epoch + 1
