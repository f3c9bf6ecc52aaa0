"""The NVIDIA GPUs of this machine, as `nvidia-smi -L` lists them: torch could count them too, and stays out of here."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mammo.errors import InvalidSettings

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
NOTHING_VISIBLE = {VISIBLE: ""}
"""Environment in which a process uses the CPU, whatever the machine has."""

PATIENCE = 60.0
"""Seconds for a driver that has to wake its cards up first."""

WAY_OUT = "mend the driver, name the GPUs (`--gpus 0,1`), or work on the CPU (`--gpus none`)"


@dataclass(frozen=True)
class Gpu:
    """One GPU, or one MIG slice of one."""

    label: str
    """Short, for names of workers and logs."""

    variables: Mapping[str, str]
    """Environment in which a process sees this GPU and no other."""


def chosen_gpus(asked: str, *, environment: Mapping[str, str], devices: Path = Path("/dev")) -> list[Gpu]:
    """The GPUs to work on.

    Args:
        asked: `auto`: those of CUDA_VISIBLE_DEVICES, where a batch system has set it, else all of the machine;
            `none`; or numbers of `nvidia-smi` and UUIDs, comma separated.
        environment: of this process.
        devices: folder of the device files, by which a GPU is noticed that `nvidia-smi` is missing for.

    Raises:
        InvalidSettings: `asked` is none of these, or there is a driver or a GPU that cannot be asked. A machine with a
            broken driver must not quietly train on its CPU for days.
    """
    if asked == "none":
        return []
    if asked != "auto":
        return [_named(name, {ORDER: "PCI_BUS_ID"}) for name in _names(asked, "--gpus")]
    given = environment.get(VISIBLE)
    if given is not None:
        return (
            [_named(name, {}) for name in _names(given, VISIBLE)] if given.strip() not in ("", "-1") else []
        )
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is not None:
        return _listed(program)
    cards = sorted(each.name for each in devices.glob("nvidia[0-9]*"))
    if cards:
        raise InvalidSettings(
            f"there is a GPU ({', '.join(cards)} in {devices}), and no nvidia-smi on PATH to ask: {WAY_OUT}"
        )
    return []


def _listed(program: str) -> list[Gpu]:
    try:
        told = subprocess.run(  # noqa: S603 - the program was found on PATH
            [program, "-L"], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InvalidSettings(f"nvidia-smi does not answer ({type(error).__name__}): {WAY_OUT}") from error
    cards: dict[str, list[Gpu]] = {}
    for line in told.stdout.splitlines() if told.returncode == 0 else ():
        if card := re.match(r"GPU (\d+): .*\(UUID: (GPU-[\w-]+)\)", line):
            number, whole = card[1], Gpu(f"gpu{card[1]}", {VISIBLE: card[2]})
            cards[number] = [whole]
        elif cards and (part := re.match(r"\s+MIG .*Device\s+(\d+): \(UUID: (MIG-[\w/-]+)\)", line)):
            # A card that is cut into slices cannot be used as a whole.
            slices = [each for each in cards[number] if each is not whole]
            cards[number] = [*slices, Gpu(f"gpu{number}.{part[1]}", {VISIBLE: part[2]})]
    if not cards:
        said = " ".join((told.stdout + told.stderr).split())[:300] or f"exit code {told.returncode}"
        raise InvalidSettings(f"nvidia-smi lists no GPU; it says: {said}. {WAY_OUT}")
    return [gpu for parts in cards.values() for gpu in parts]


def _names(text: str, origin: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) < len(names) or not all(
        re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", name) for name in names
    ):
        raise InvalidSettings(
            f"{origin} is {text!r}: auto, none, or different numbers or UUIDs as `nvidia-smi -L` shows them"
        )
    return names


def _named(name: str, order: Mapping[str, str]) -> Gpu:
    return Gpu(f"gpu{name}" if name.isdigit() else name[:12].lower(), {VISIBLE: name} | dict(order))
