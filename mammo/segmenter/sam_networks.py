"""Imports the networks of segment_anything alone, before any other module of this package names them.

`import segment_anything` imports its predictor too, and with it torchvision, whose imports take as long as torch.
Nothing here needs either. Who imports segment_anything itself, later or before, gets all of it, with the same classes.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

PACKAGE = "segment_anything"


def import_networks() -> None:
    """Import `segment_anything.modeling` without running the package's own `__init__`.

    Raises:
        ModuleNotFoundError: segment_anything is not installed.
    """
    if PACKAGE in sys.modules:
        return
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {PACKAGE!r}", name=PACKAGE)
    package = ModuleType(PACKAGE)
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[PACKAGE] = package
    try:
        importlib.import_module(f"{PACKAGE}.modeling")
    finally:
        del sys.modules[PACKAGE]


import_networks()
