"""A bundle carries a version whole to another site; nothing that was changed or that a stranger signed gets in."""

import json
import zipfile
from typing import get_args

import pytest

from mammo.database import open_database
from mammo.detector import DetectorNetwork, DetectorSpec, load_network, save_detector
from mammo.detector.normalise import Normalisation
from mammo.errors import InvalidBundle, InvalidWeights, ModelNotFound, StorageUnavailable
from mammo.models import ModelRegistry
from mammo.models.bundles import MEMBERS, export_bundle, import_bundle
from mammo.models.signing import make_key
from tests.mammo.models.versions import POINT, register, starter


@pytest.fixture
def home(tmp_path):
    return ModelRegistry(open_database(f"sqlite:///{tmp_path / 'home.db'}"), tmp_path / "home")


@pytest.fixture
def away(tmp_path):
    return ModelRegistry(open_database(f"sqlite:///{tmp_path / 'away.db'}"), tmp_path / "away")


@pytest.fixture
def key(tmp_path):
    return make_key(tmp_path / "key")


@pytest.fixture
def bundle(home, key, tmp_path):
    version = register(home, tmp_path, "a", parent="starter-1", recipe="finetune")
    assert export_bundle(home, version, key=tmp_path / "key", to=tmp_path / "a.mlsam") == key
    return tmp_path / "a.mlsam"


def rewritten(bundle, **members):
    """The bundle with some members replaced, or removed with None."""
    with zipfile.ZipFile(bundle) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(bundle, "w") as archive:
        for name, data in (
            content | {name.replace("_", "."): data for name, data in members.items()}
        ).items():
            if data is not None:
                archive.writestr(name, data)
    return bundle


def test_a_version_has_the_same_name_manifest_and_files_on_the_other_site(home, away, bundle, key, tmp_path):
    version = import_bundle(away, bundle, trusted=[key])
    assert home.versions() == away.versions() == [version]
    strip = lambda manifest: {k: v for k, v in manifest.items() if k != "created_at"}  # noqa: E731
    assert strip(home.manifest(version)) == strip(away.manifest(version))
    assert away.files(version, into=tmp_path / "models").detector.read_bytes() == b"detector a"
    with pytest.raises(ModelNotFound):
        away.champion()


def test_weights_that_must_stay_at_the_site_leave_it_only_for_its_own_installations(home, key, tmp_path):
    version = register(home, tmp_path, "b", stays_at_site=["ours (consent of 2026)"])
    where = {"key": tmp_path / "key", "to": tmp_path / "b.mlsam"}
    with pytest.raises(InvalidBundle, match=r"must not leave this site: ours \(consent of 2026\)"):
        export_bundle(home, version, **where)
    assert not where["to"].exists()
    assert export_bundle(home, version, **where, same_site=True) == key


@pytest.mark.parametrize("kind", get_args(Normalisation))
def test_a_detector_says_on_the_other_site_which_planes_it_was_trained_with(home, away, key, kind, tmp_path):
    detector, segmenter = tmp_path / "detector", tmp_path / "segmenter"
    save_detector(detector, DetectorNetwork(DetectorSpec(normalisation=kind)), facts={})
    segmenter.write_bytes(b"segmenter")
    version = home.register(detector=detector, segmenter=segmenter, manifest=POINT)
    export_bundle(home, version, key=tmp_path / "key", to=tmp_path / "k.mlsam")
    files = away.files(import_bundle(away, tmp_path / "k.mlsam", trusted=[key]), into=tmp_path / "models")
    assert load_network(files.detector)[0].spec.normalisation == kind


def test_twice_the_same_bundle_is_once_also_at_home_and_back_again(home, away, bundle, key, tmp_path):
    (version,) = {import_bundle(site, bundle, trusted=[key]) for site in (away, away, home)}
    assert home.versions() == away.versions() == [version]
    export_bundle(away, version, key=tmp_path / "key", to=tmp_path / "back.mlsam")
    assert import_bundle(home, tmp_path / "back.mlsam", trusted=[key.upper()]) == version
    assert home.versions() == [version]


def test_the_starter_of_the_same_release_is_known_on_the_other_site(home, away, key, tmp_path):
    for site in (home, away):
        site.ensure_starter(starter(tmp_path / "starter"))
    export_bundle(home, "starter-1", key=tmp_path / "key", to=tmp_path / "s.mlsam")
    assert import_bundle(away, tmp_path / "s.mlsam", trusted=[key]) == "starter-1"
    assert away.versions() == ["starter-1"]


def test_a_name_that_other_weights_have_here_is_refused(away, bundle, key, tmp_path):
    name = json.loads(zipfile.ZipFile(bundle).read("manifest.json"))["version"]
    away.ensure_starter(starter(tmp_path / "starter", version=name))
    with pytest.raises(InvalidWeights, match="other files"):
        import_bundle(away, bundle, trusted=[key])


def test_a_stranger_s_bundle_is_refused_with_his_key_named(away, bundle, key, tmp_path):
    stranger = make_key(tmp_path / "other")
    with pytest.raises(InvalidBundle, match=key):
        import_bundle(away, bundle, trusted=[stranger])
    with pytest.raises(InvalidBundle):
        import_bundle(away, bundle, trusted=[])
    assert away.versions() == []


def test_a_trusted_name_on_a_stranger_s_signature_is_refused(home, away, bundle, key, tmp_path):
    make_key(tmp_path / "other")
    export_bundle(home, home.versions()[0], key=tmp_path / "other", to=tmp_path / "forged")
    signature = json.loads(zipfile.ZipFile(tmp_path / "forged").read("signature.json"))
    forged = rewritten(tmp_path / "forged", signature_json=json.dumps({**signature, "key": key}))
    with pytest.raises(InvalidBundle, match="does not match"):
        import_bundle(away, forged, trusted=[key])


@pytest.mark.parametrize("part", ["detector", "segmenter"])
def test_weights_that_were_changed_are_refused(away, bundle, key, part):
    changed = f"{part} b".encode()
    with pytest.raises(InvalidBundle, match=part):
        import_bundle(away, rewritten(bundle, **{f"{part}_safetensors": changed}), trusted=[key])
    assert away.versions() == []


def test_a_manifest_that_was_changed_is_refused(away, bundle, key):
    manifest = json.loads(zipfile.ZipFile(bundle).read("manifest.json"))
    with pytest.raises(InvalidBundle, match="changed after it was signed"):
        import_bundle(
            away, rewritten(bundle, manifest_json=json.dumps({**manifest, "threshold": 0.01})), trusted=[key]
        )


@pytest.mark.parametrize("member", MEMBERS)
def test_a_bundle_that_is_not_whole_is_refused(away, bundle, key, member):
    with pytest.raises(InvalidBundle, match="no bundle"):
        import_bundle(away, rewritten(bundle, **{member.replace(".", "_"): None}), trusted=[key])


def test_a_member_too_many_is_refused(away, bundle, key):
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("../../evil", b"x")
    with pytest.raises(InvalidBundle, match="exactly"):
        import_bundle(away, bundle, trusted=[key])


@pytest.mark.parametrize("content", [b"", b"PK", b"a photograph"])
def test_what_is_no_archive_is_refused(away, key, tmp_path, content):
    (tmp_path / "x.mlsam").write_bytes(content)
    with pytest.raises(InvalidBundle, match=r"x\.mlsam"):
        import_bundle(away, tmp_path / "x.mlsam", trusted=[key])


def test_a_torn_bundle_is_refused(away, bundle, key):
    bundle.write_bytes(bundle.read_bytes()[:-100])
    with pytest.raises(InvalidBundle):
        import_bundle(away, bundle, trusted=[key])


def test_a_damaged_version_is_not_exported_and_no_file_is_left(home, key, tmp_path):
    version = register(home, tmp_path, "a")
    digest = home.manifest(version)["detector"]["sha256"]
    (tmp_path / "home" / "sha256" / digest[:2] / digest).write_bytes(b"detector b")
    with pytest.raises(InvalidWeights):
        export_bundle(home, version, key=tmp_path / "key", to=tmp_path / "a.mlsam")
    assert not list(tmp_path.glob("*.mlsam"))
    assert not list(tmp_path.glob(".bundle-*"))


def test_a_key_is_its_owners_alone_and_never_written_over(tmp_path):
    make_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(StorageUnavailable, match="exists"):
        make_key(tmp_path / "key")


def test_what_is_no_key_is_said_so(home, tmp_path):
    (tmp_path / "key").write_text("secret")
    with pytest.raises(InvalidBundle, match="keygen"):
        export_bundle(home, register(home, tmp_path, "a"), key=tmp_path / "key", to=tmp_path / "a.mlsam")
