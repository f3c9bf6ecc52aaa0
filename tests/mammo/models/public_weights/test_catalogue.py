from __future__ import annotations

import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from mammo.blobs import SHA256
from mammo.errors import WeightsUnavailable
from mammo.models.public_weights import CATALOGUE, find, identify

HOSTS = {"github.com", "dl.fbaipublicfiles.com", "huggingface.co"}


def test_every_entry_is_pinned_or_says_that_it_is_not() -> None:
    assert len({entry.name for entry in CATALOGUE}) == len(CATALOGUE) == 13
    for entry in CATALOGUE:
        assert urlsplit(entry.url).scheme == "https"
        assert urlsplit(entry.url).hostname in HOSTS
        assert entry.licence
        assert SHA256.fullmatch(entry.sha256) if entry.sha256 else "no proof" in entry.note


def test_no_two_entries_share_a_file_or_a_hash() -> None:
    known = [entry.sha256 for entry in CATALOGUE if entry.sha256]
    assert len(set(known)) == len(known) == 11
    assert len({entry.file_name for entry in CATALOGUE}) == len(CATALOGUE)


def test_an_entry_is_found_by_name_and_by_hash() -> None:
    assert find("yolov8n").file_name == "yolov8n.pt"
    assert identify(find("sam-b").sha256 or "") is find("sam-b")
    assert identify("0" * 64) is None
    with pytest.raises(WeightsUnavailable, match="called 'yolov9'; there are: yolov8n"):
        find("yolov9")


def test_the_catalogue_needs_no_torch() -> None:
    code = "import sys, mammo.models.public_weights; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
