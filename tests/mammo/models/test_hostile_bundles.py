"""Any file at all gives one sentence, in little time and memory; also a trusted signer cannot register what harms."""

import json
import math
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.database import open_database
from mammo.errors import InvalidBundle, InvalidWeights, MammoError
from mammo.models import ModelRegistry
from mammo.models.bundles import MANIFEST, MAX_TEXT_BYTES, export_bundle, import_bundle, verify_bundle
from mammo.models.signing import make_key
from tests.mammo.models.hostile_bundles import DEEP, hostile_files, members_of, signed, special_files
from tests.mammo.models.versions import register


@pytest.fixture
def home(tmp_path):
    return ModelRegistry(open_database(f"sqlite:///{tmp_path / 'home.db'}"), tmp_path / "home")


@pytest.fixture
def bundle(home, tmp_path):
    make_key(tmp_path / "key")
    export_bundle(home, register(home, tmp_path, "a"), key=tmp_path / "key", to=tmp_path / "a.mlsam")
    return tmp_path / "a.mlsam"


@pytest.fixture
def signer():
    return Ed25519PrivateKey.generate()


@pytest.fixture
def key(signer):
    return signer.public_key().public_bytes_raw().hex()


def refusal(path, trusted):
    """The sentence with which a file is refused."""
    with pytest.raises(MammoError) as refused:
        verify_bundle(path, trusted=trusted)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert sentence.isprintable()
    assert len(sentence) < 1000
    return refused.value


def test_whatever_is_in_a_file_one_sentence_refuses_it(bundle, tmp_path, key):
    for folder in ("hostile", "special"):
        (tmp_path / folder).mkdir()
    files = [*hostile_files(bundle, tmp_path / "hostile"), *special_files(tmp_path / "special")]
    assert len(files) > 80
    for path in files:
        assert isinstance(refusal(path, [key]), InvalidBundle), path.name


LIMITED = """
import resource, sys
from pathlib import Path
from mammo.errors import MammoError
from mammo.models.bundles import verify_bundle
before = resource.getrusage(resource.RUSAGE_SELF)
for name in sys.argv[1:]:
    try:
        verify_bundle(Path(name), trusted=["0" * 64])
    except MammoError:
        continue
    sys.exit(f"{name!r} was accepted")
after = resource.getrusage(resource.RUSAGE_SELF)
print(after.ru_maxrss - before.ru_maxrss, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
"""


def test_no_file_costs_memory_or_time(bundle, tmp_path):
    for folder in ("hostile", "special"):
        (tmp_path / folder).mkdir()
    files = [*hostile_files(bundle, tmp_path / "hostile"), *special_files(tmp_path / "special")]
    command = [sys.executable, "-c", LIMITED, *map(str, files)]
    spent = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout.split()
    kibibytes, seconds = float(spent[0]), float(spent[1])
    assert kibibytes < 100 * 2**10
    assert seconds < 30, "all together"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"version": "champion"}, "reserved"),
        ({"version": "Challenger"}, "reserved"),
        ({"version": "previous"}, "reserved"),
        ({"version": "latest"}, "reserved"),
        ({"version": "starter"}, "reserved"),
        ({"version": "none"}, "reserved"),
        ({"version": "../../evil"}, "expected a version"),
        ({"version": "/etc/passwd"}, "expected a version"),
        ({"version": ".."}, "expected a version"),
        ({"version": "a\x1b[31m"}, "expected a version"),
        ({"version": "a\0"}, "expected a version"),
        ({"version": "a\n"}, "expected a version"),
        ({"version": "\uff4d0001"}, "expected a version"),
        ({"version": ""}, "expected a version"),
        ({"version": "a" * 65}, "expected a version"),
        ({"version": 5}, "expected a version"),
        ({"version": None}, "expected a version"),
        ({"threshold": -0.01}, "threshold from 0 to 1"),
        ({"threshold": 1.01}, "threshold from 0 to 1"),
        ({"threshold": True}, "threshold from 0 to 1"),
        ({"threshold": "0.5"}, "threshold from 0 to 1"),
        ({"threshold": 10**30}, "threshold from 0 to 1"),
        ({"threshold": None}, "threshold from 0 to 1"),
        ({"presence_threshold": 2}, "presence_threshold from 0 to 1"),
        ({"presence_threshold": None}, "presence_threshold from 0 to 1"),
        ({"prompt_rule": "best"}, "prompt_rule of paper, robust"),
        ({"prompt_rule": ["robust"]}, "prompt_rule of paper, robust"),
        ({"prompt_count": 0}, "prompt_count from 1"),
        ({"prompt_count": 10**9}, "prompt_count from 1"),
        ({"prompt_count": True}, "prompt_count from 1"),
        ({"prompt_count": 2.5}, "prompt_count from 1"),
        ({"stays_at_site": 5}, "stays_at_site"),
        ({"self_test": {"image": "x", "findings": [{"score": "high"}]}}, "self_test"),
        ({"self_test": [1]}, "self_test"),
        ({"self_test": {"image": "x", "findings": [{"score": 0.5, "box": [1, 1, 0, 0], "area": 1}]}}, "self_test"),
        ({"detector": None}, "SHA-256 of its detector"),
        ({"detector": {"sha256": "../x", "bytes": 10}}, "SHA-256 of its detector"),
        ({"segmenter": {"sha256": "0" * 64, "bytes": "10"}}, "size of its segmenter"),
        ({"segmenter": {"sha256": "0" * 64, "bytes": 2**63}}, "segmenter has"),
    ],
)  # fmt: skip
def test_a_trusted_signer_cannot_register_what_harms(bundle, home, tmp_path, signer, key, changed, reason):
    manifest = json.loads(members_of(bundle)[MANIFEST])
    path = signed(tmp_path / "b.mlsam", members_of(bundle), signer, manifest | changed)
    before = home.versions()
    with pytest.raises((InvalidBundle, InvalidWeights), match=reason) as refused:
        import_bundle(home, path, trusted=[key])
    assert str(refused.value).isprintable()
    assert home.versions() == before


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_refused_also_from_a_trusted_signer(
    bundle, home, tmp_path, signer, key, number
):
    manifest = json.loads(members_of(bundle)[MANIFEST])
    for name in ("threshold", "presence_threshold", "note"):
        path = signed(
            tmp_path / "b.mlsam", members_of(bundle), signer, manifest | {"version": "x2", name: number}
        )
        with pytest.raises(InvalidBundle, match="damaged"):
            import_bundle(home, path, trusted=[key])


@pytest.mark.parametrize(
    "text",
    [
        DEEP,
        b"[]",
        b"null",
        b"",
        b"\xff",
        b'{"format": "yolo-mlsam bundle 2"}',
        b"{" + b'"a":{' * 200 + b"}" * 201,
    ],
)
def test_a_manifest_that_is_none_is_refused_also_from_a_trusted_signer(
    bundle, home, tmp_path, signer, key, text
):
    assert len(text) <= MAX_TEXT_BYTES
    path = signed(tmp_path / "b.mlsam", members_of(bundle), signer, text)
    with pytest.raises(InvalidBundle):
        import_bundle(home, path, trusted=[key])


def test_a_manifest_that_is_nested_too_deeply_to_be_kept_is_refused(bundle, home, tmp_path, signer, key):
    manifest = json.loads(members_of(bundle)[MANIFEST])
    text = json.dumps({"format": "yolo-mlsam bundle 1", **manifest, "version": "x2", "note": "@"})
    text = text.replace('"@"', "[" * 500 + "]" * 500)
    path = signed(tmp_path / "b.mlsam", members_of(bundle), signer, text.encode())
    with pytest.raises(InvalidBundle, match="damaged"):
        import_bundle(home, path, trusted=[key])


def test_a_bundle_is_refused_before_a_data_folder_is_made(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(InvalidBundle, match="does not trust"):
        CliRunner().invoke(
            app, ["models", "import", str(bundle), "--trust", "0" * 64], catch_exceptions=False
        )
    assert not (tmp_path / "data").exists()
