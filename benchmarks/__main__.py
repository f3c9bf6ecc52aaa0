"""Run all benchmarks, or those named (`segmenter`: every `segmenter_...`), and print Markdown tables."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

from benchmarks.result import Result


def main(names: list[str]) -> int:
    helpers = {
        "__main__",
        "annotator_site",
        "hq_sam_baseline",
        "out_of_fold",
        "paper",
        "phantom_exams",
        "reencoding",
        "result",
        "second_look",
    }
    helpers |= {"sahi_baseline", "senders", "starter_evidence"}
    names_of_all = sorted({m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)])} - helpers)
    chosen = [k for k in names_of_all if not names or any(k == n or k.startswith(f"{n}_") for n in names)]
    unknown = [n for n in names if not any(k == n or k.startswith(f"{n}_") for k in names_of_all)]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; available: {', '.join(names_of_all)}", file=sys.stderr)
        return 2
    for name in chosen:
        results = importlib.import_module(f"benchmarks.{name}").run()
        for result in [results] if isinstance(results, Result) else results:
            print(result.markdown(), "\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
