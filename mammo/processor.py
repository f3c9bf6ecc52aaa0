"""The processor's instruction sets, as far as they decide how, and with which rounding, networks are computed."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

DECISIVE = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "bf16",
    "sve",
)
"""Flags of Linux; the last three are those of ARM."""

BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""With one of them, products of bfloat16 are faster than those of float32."""


@cache
def instruction_sets(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """Return the machine's architecture, and those of `DECISIVE` that its processor has; only the former if unknown."""
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    stated = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    flags = set(stated.partition(":")[2].split())
    return platform.machine(), *(flag for flag in DECISIVE if flag in flags)


def has_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16 itself."""
    return not BFLOAT16.isdisjoint(instruction_sets())
