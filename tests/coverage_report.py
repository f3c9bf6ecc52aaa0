"""`python -m tests.coverage_report`: line and branch coverage of each package, and the modules below the bar."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from coverage import Coverage

BAR = 90.0
"""Per cent. A module whose lines and branches are run less than this is named."""


def share(part: int, whole: int) -> str:
    """Per cent with one decimal, "-" of nothing."""
    return f"{100 * part / whole:6.1f}" if whole else "     -"


def line(name: str, totals: dict[str, Any]) -> str:
    lines = share(totals["covered_lines"], totals["num_statements"])
    branches = share(totals["covered_branches"], totals["num_branches"])
    return f"{name:44} {lines} {branches} {totals['percent_covered']:6.1f}"


def summed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The totals of several modules."""
    names = ("covered_lines", "num_statements", "covered_branches", "num_branches")
    totals = {name: sum(row[name] for row in rows) for name in names}
    whole = totals["num_statements"] + totals["num_branches"]
    covered = totals["covered_lines"] + totals["covered_branches"]
    return totals | {"percent_covered": 100 * covered / whole if whole else 100.0}


def report(measured: dict[str, Any]) -> str:
    """
    Args:
        measured: what `coverage json` writes.
    """
    modules = {name: row["summary"] for name, row in sorted(measured["files"].items())}
    packages: dict[str, list[dict[str, Any]]] = {}
    for name, totals in modules.items():
        packages.setdefault(name.partition("/")[0], []).append(totals)
    rows = [f"{'coverage, %':44}  lines branches   both"]
    rows += [line(name, summed(each)) for name, each in packages.items()]
    rows += [line("all", summed(list(modules.values())))]
    low = {name: totals for name, totals in modules.items() if totals["percent_covered"] < BAR}
    rows += ["", f"below {BAR:.0f} %: {len(low)} of {len(modules)} modules"]
    rows += [line(name, low[name]) for name in sorted(low, key=lambda name: low[name]["percent_covered"])]
    return "\n".join(rows)


def main() -> int:
    """Combine what the processes wrote, and print."""
    coverage = Coverage(messages=False)
    coverage.combine()
    coverage.save()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "coverage.json"
        coverage.json_report(outfile=str(path))
        measured = json.loads(path.read_bytes())
    print(report(measured))
    print("not measured:", *coverage.get_option("report:omit"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
