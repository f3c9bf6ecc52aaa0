"""dciodvfy of David Clunie's dicom3tools: the judge of whether a file is what it claims to be."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def assert_valid(path: Path, kind: str) -> None:
    """Fail unless the validator takes a file for an object of this kind and finds no error in it.

    Skips the test where the program is not installed; on CI it must be there.
    """
    program = shutil.which("dciodvfy")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("dciodvfy is missing: CI installs Debian's dicom3tools")
        pytest.skip("needs dciodvfy of Debian's dicom3tools")
    report = subprocess.run([program, str(path)], capture_output=True, text=True, check=False).stderr
    assert kind in report
    assert [line for line in report.splitlines() if "Error" in line] == []
