"""Run the benchmarks named on the command line, or all of them, and print Markdown tables."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path


def main(names: list[str]) -> int:
    helpers = {"__main__", "result"}
    known = sorted({m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)])} - helpers)
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    for name in names or known:
        print(importlib.import_module(f"benchmarks.{name}").run().markdown(), "\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
