"""The NVIDIA GPUs of this machine, as listed by `nvidia-smi -L`: importing torch to count them would take seconds."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mammo.errors import InvalidSettings

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
NO_GPU = {VISIBLE: ""}
"""Environment variables with which a process uses the CPU, even on a machine with GPUs."""

TIMEOUT = 60.0
"""Seconds that `nvidia-smi` may take: an idle driver has to initialize its GPUs first."""

REMEDY = "repair the driver, name the GPUs (`--gpus 0,1`), or work on the CPU (`--gpus none`)"


@dataclass(frozen=True)
class Gpu:
    """One GPU, or one MIG instance of a GPU."""

    label: str
    """Short name for worker names and logs, such as `gpu0` or `gpu0.1`."""

    variables: Mapping[str, str]
    """Environment variables with which a process sees only this GPU."""


def select_gpus(choice: str, *, environment: Mapping[str, str], devices: Path = Path("/dev")) -> list[Gpu]:
    """Return the GPUs to work on.

    Args:
        choice: `auto` (those in CUDA_VISIBLE_DEVICES if a batch system has set it, else all of the machine), `none`,
            or comma-separated `nvidia-smi` indices or UUIDs.
        environment: environment variables of this process.
        devices: folder of the device files; they reveal a GPU on a machine without `nvidia-smi`.

    Raises:
        InvalidSettings: `choice` is none of these, or the driver or its GPUs do not answer. With a broken driver a
            machine must not silently train on its CPU for days.
    """
    if choice == "none":
        return []
    if choice != "auto":
        return [_gpu_named(name, {ORDER: "PCI_BUS_ID"}) for name in _parse_names(choice, "--gpus")]
    visible = environment.get(VISIBLE)
    if visible is not None:
        if visible.strip() in ("", "-1"):
            return []
        return [_gpu_named(name, {}) for name in _parse_names(visible, VISIBLE)]
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is not None:
        return _list_gpus(program)
    files = sorted(device.name for device in devices.glob("nvidia[0-9]*"))
    if files:
        raise InvalidSettings(
            f"this machine has a GPU ({', '.join(files)} in {devices}) but no nvidia-smi on PATH: {REMEDY}"
        )
    return []


def _list_gpus(program: str) -> list[Gpu]:
    try:
        listing = subprocess.run(  # noqa: S603 - the program was found on PATH
            [program, "-L"], capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InvalidSettings(f"nvidia-smi does not answer ({type(error).__name__}): {REMEDY}") from error
    gpus = _parse_listing(listing.stdout) if listing.returncode == 0 else []
    if not gpus:
        output = " ".join((listing.stdout + listing.stderr).split())[:300]
        raise InvalidSettings(
            f"nvidia-smi lists no GPU; its output: {output or f'exit code {listing.returncode}'}. {REMEDY}"
        )
    return gpus


def _parse_listing(text: str) -> list[Gpu]:
    """Parse `nvidia-smi -L`. A GPU that is partitioned into MIG instances cannot be used as a whole."""
    instances: dict[str, list[Gpu]] = {}
    index, whole = "", None
    for line in text.splitlines():
        if card := re.match(r"GPU (\d+): .*\(UUID: (GPU-[\w-]+)\)", line):
            index, whole = card[1], Gpu(f"gpu{card[1]}", {VISIBLE: card[2]})
            instances[index] = [whole]
        elif whole and (part := re.match(r"\s+MIG .*Device\s+(\d+): \(UUID: (MIG-[\w/-]+)\)", line)):
            earlier = [gpu for gpu in instances[index] if gpu is not whole]
            instances[index] = [*earlier, Gpu(f"gpu{index}.{part[1]}", {VISIBLE: part[2]})]
    return [gpu for gpus in instances.values() for gpu in gpus]


def _parse_names(text: str, origin: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    valid = all(re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", name) for name in names)
    if not valid or len(set(names)) < len(names):
        raise InvalidSettings(
            f"{origin} is {text!r}; give auto, none, or distinct indices or UUIDs as listed by `nvidia-smi -L`"
        )
    return names


def _gpu_named(name: str, order: Mapping[str, str]) -> Gpu:
    return Gpu(f"gpu{name}" if name.isdigit() else name[:12].lower(), {VISIBLE: name} | dict(order))
