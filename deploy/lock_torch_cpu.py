"""Lock torch's CPU build, with hashes: constraints/image-cpu.txt. Run by `make lock`; standard library only.

PyPI has torch's CUDA build; the CPU build of the same version is in an index of PyTorch's, or in a mirror of it. Where
that index is not reached, a lock of the same version stays. One of another version is removed: images with
ACCELERATOR=cpu are then not built until somebody has run this where the index is.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).parent.parent / "constraints"


def main() -> int:
    """Write the lock; return the exit status, 0 also where the index is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", required=True, help="path of uv")
    parser.add_argument("--index", required=True, help="address of an index of torch's CPU build")
    parser.add_argument("--constraints", type=Path, default=CONSTRAINTS, help="folder of the locks")
    options = parser.parse_args()
    pins = torch_pins((options.constraints / "image-cuda.txt").read_text(encoding="utf-8"))
    target = options.constraints / "image-cpu.txt"
    command = [options.uv, "--no-config", "--no-progress", "--quiet", "pip", "compile", "-", "--no-deps"]
    command += ["--default-index", options.index, "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url"]
    done = subprocess.run(command, input="\n".join(pins), capture_output=True, text=True, check=False)
    hashed = re.findall(r"^\S+==\S+.*\\\n +--hash=", done.stdout, re.MULTILINE)
    if done.returncode == 0 and len(hashed) == len(pins):
        target.write_text(done.stdout, encoding="utf-8")
        print(f"{target.name}: {', '.join(re.findall(r'^[^ ]+', done.stdout, re.MULTILINE))}")
        return 0
    reason = f"{' and '.join(pins)} cannot be had with hashes from {options.index}"
    if target.exists() and torch_pins(target.read_text(encoding="utf-8")) == pins:
        print(f"{target.name} is kept as it was: {reason}.")
        return 0
    target.unlink(missing_ok=True)
    print(
        f"{target.name} is NOT locked: {reason}. Images with ACCELERATOR=cpu cannot be built; "
        f"name a mirror with TORCH_INDEX=...\n{done.stderr}",
        file=sys.stderr,
    )
    return 0


def torch_pins(lock: str) -> list[str]:
    """Return the pins of torch and torchvision in a lock."""
    return re.findall(r"^(torch(?:vision)?==[^ +;]+)", lock, re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main())
