"""What a test needs from the machine: in CI it must be there, elsewhere its absence skips with the reason."""

import os
from typing import NoReturn

import pytest


def missing(what: str, remedy: str) -> NoReturn:
    """Skip with the reason; in CI, where everything is installed, fail."""
    message = f"{what} is not here; {remedy}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
