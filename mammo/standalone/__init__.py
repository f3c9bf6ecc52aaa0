"""Standalone bundles: a model version that others run without us.

writing.py   the bundle: networks for OpenVINO, a program, a card, a self-test and its answer, hashes
card.py      README.md of a bundle: what the version is, and how close its answers are to the product's
files        the program; copied as it is, never imported here
"""

from __future__ import annotations

from mammo.standalone.writing import write_standalone

__all__ = ["write_standalone"]
