"""Report what is known of the age and the vulnerabilities of what the images install: `make sbom`.

What was not found out is said as plainly as what was: a database that was not reached is no "none found".
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from image_lock import Locked, image_lock
from packaging.utils import canonicalize_name
from packaging.version import Version
from pin_images import FILES, ROOT, images

AUDIT = Path(sys.executable).parent / "pip-audit"


def run(command: Sequence[object], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)


def vulnerabilities(lock: Mapping[str, Locked]) -> list[str]:
    """Ask the database of PyPI, by pip-audit; return lines of the report."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{each.name}=={each.version.partition('+')[0]}\n" for each in lock.values())
        file.flush()
        options = [
            "--no-deps",
            "--disable-pip",
            "--progress-spinner",
            "off",
            "--format",
            "json",
            "--timeout",
            10,
        ]
        done = run([AUDIT, "--requirement", file.name, *options])
    try:
        answers = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        return [f"**Not known.** The database was not reached: {last[:200]}"]
    return _audit_lines(answers)


def _audit_lines(answers: Sequence[Mapping[str, Any]]) -> list[str]:
    unasked = [each["name"] for each in answers if "vulns" not in each]
    lines = [f"{len(answers) - len(unasked)} of {len(answers)} packages were found in the database of PyPI."]
    if len(unasked) == len(answers):
        return [
            "**Not known.** The database knew none of the packages: it is not there, or this index has none."
        ]
    if unasked:
        lines.append(f"**Not known** of: {', '.join(sorted(unasked))}.")
    found = [(each, vulnerability) for each in answers for vulnerability in each.get("vulns", ())]
    lines += [
        f"* {each['name']} {each['version']}: {known['id']} ({', '.join(known['aliases'])}); "
        f"fixed in {', '.join(known['fix_versions']) or 'no release'}"
        for each, known in found
    ]
    return [*lines, *([] if found else ["None is known of those."])]


def newest_allowed(uv: str) -> dict[str, str]:
    """Return the versions that a fresh `make lock` would choose; empty if the index does not answer."""
    command = [
        uv,
        "--no-progress",
        "--quiet",
        "pip",
        "compile",
        "--extra",
        "postgres",
        ROOT / "pyproject.toml",
    ]
    done = run([*command, "--no-header", "--no-annotate", "--python-version", "3.11"])
    return {
        canonicalize_name(n): v for n, v in re.findall(r"^([\w.-]+)==([^\s;]+)", done.stdout, re.MULTILINE)
    }


def newest(uv: str, python: str) -> dict[str, str] | None:
    """Return the newest version of each package that is behind; None if the index does not answer."""
    done = run([uv, "--no-progress", "pip", "list", "--outdated", "--format", "json", "--python", python])
    try:
        return {canonicalize_name(each["name"]): each["latest_version"] for each in json.loads(done.stdout)}
    except ValueError:
        return None


def ages(lock: Mapping[str, Locked], allowed: Mapping[str, str], last: Mapping[str, str] | None) -> list[str]:
    """Return a table of the packages that are behind."""
    if last is None or not allowed:
        return ["**Not known.** The package index did not answer."]
    behind = [each for name, each in sorted(lock.items()) if name in last and not _is_same(each, last[name])]
    rows = [
        f"| {each.name} | {each.version} | {allowed.get(each.name, 'not needed')} | {last[each.name]} |"
        for each in behind
    ]
    head = ["| package | locked | newest that all requirements allow | newest |", "|---|---|---|---|"]
    return [f"{len(behind)} of {len(lock)} packages are behind the index.", "", *head, *rows]


def _is_same(locked: Locked, version: str) -> bool:
    return Version(locked.version).public == Version(version).public


def containers() -> list[str]:
    """Return the images of others; whether they are behind, and what is inside them, is not looked at."""
    found = {
        each["tag"]: each["digest"] or "**no digest**"
        for name in FILES
        for each in images((ROOT / name).read_text(encoding="utf-8"))
    }
    return [f"* `{tag}` {digest}" for tag, digest in sorted(found.items())]


def main() -> int:
    """Write the report; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", required=True, help="path of uv")
    parser.add_argument("--python", required=True, help="interpreter of the development environment")
    parser.add_argument("--into", type=Path, required=True, help="folder to write to")
    options = parser.parse_args()
    lock = image_lock("cuda")
    sections = {
        "Known vulnerabilities of Python packages": vulnerabilities(lock),
        "Age of Python packages": ages(lock, newest_allowed(options.uv), newest(options.uv, options.python)),
        "Images of others": [
            "Not examined here: neither their age nor what is inside. Scan them where they are pulled.",
            "",
            *containers(),
        ],
    }
    today = datetime.datetime.now(datetime.UTC).date()
    text = f"# What the images install, on {today}\n"
    text += "".join(f"\n## {title}\n\n" + "\n".join(lines) + "\n" for title, lines in sections.items())
    options.into.mkdir(parents=True, exist_ok=True)
    (options.into / "report.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
