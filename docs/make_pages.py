"""Write the parts of docs/ that are generated from the code: `make pages`. A test compares them with the code.

`settings.md` has hand-written sections with a generated table per group of settings. `commands.md` is the output of
`--help`, `adr/index.md` lists the decisions, and the drawings come from `make_drawings.py`.
"""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from docs.make_drawings import drawings
from mammo.settings import PREFIX, Settings

DOCS = Path(__file__).parent

GROUP = re.compile(r"(<!-- settings: ([\w\s]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
"""Begin and end of a generated table, with the names of its settings."""

HEAD = "| variable | default | allowed | meaning |\n|---|---|---|---|\n"


def settings_page(text: str) -> str:
    """Return the page with every table generated from the `Settings` class."""
    return GROUP.sub(lambda group: f"{group[1]}\n{table(group[2].split())}\n{group[3]}", text)


def documented_settings(text: str) -> list[str]:
    """Return the settings in the page's tables, in their order."""
    return [name for group in GROUP.finditer(text) for name in group[2].split()]


def table(names: list[str]) -> str:
    """Return a table with a row per setting: variable, default, allowed values, docstring."""
    meanings, schema = docstrings(Settings), Settings.model_json_schema()["properties"]
    rows = (
        f"| `{PREFIX}{name.upper()}` | {default(name)} | {allowed(schema[name])} | {meanings[name]} |\n"
        for name in names
    )
    return HEAD + "".join(rows)


def docstrings(settings: type[Settings]) -> dict[str, str]:
    """Return the docstring of each field, on one line.

    Raises:
        KeyError: a field has no docstring.
    """
    texts = {}
    for part in settings.__mro__:
        if not part.__module__.startswith("mammo."):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(part))).body
        assert isinstance(tree, ast.ClassDef)
        for line, below in zip(tree.body, tree.body[1:], strict=False):
            if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)):
                continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                texts[line.target.id] = " ".join(str(below.value.value).split()).replace("|", "\\|")
    return {name: texts[name] for name in settings.model_fields}


def default(name: str) -> str:
    """Return the default as written in the environment."""
    value = Settings.model_fields[name].get_default(call_default_factory=True)
    value = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    if value in ("", None, {}):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and value >= 2**20:
        return f"`{value}` ({value // 2**30} GiB)" if value >= 2**30 else f"`{value}` ({value // 2**20} MiB)"
    return f"`{value}`"


def allowed(schema: dict[str, Any]) -> str:
    """Describe the values that pydantic accepts."""
    schema = next((each for each in schema.get("anyOf", []) if each.get("type") != "null"), schema)
    if "enum" in schema:
        return ", ".join(f"`{value}`" if value else "empty" for value in schema["enum"])
    kind = {"integer": "whole number", "number": "number"}.get(schema["type"])
    if kind is None:
        formats = {"path": "path", "file-path": "path", "password": "secret text"}
        kinds = {"boolean": "`true` or `false`", "object": "JSON object", "string": "text"}
        return formats.get(schema.get("format", ""), kinds[schema["type"]])
    limits = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    bounds = [f"{word} {_number(schema[key])}" for key, word in limits.items() if key in schema]
    return f"{kind}, {', '.join(bounds)}" if bounds else kind


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:g}"


def commands_page() -> str:
    """Return the reference of `yolo-mlsam`, by typer's generator."""
    command = [sys.executable, "-m", "typer", "cli.__main__", "utils", "docs", "--name", "yolo-mlsam"]
    run = subprocess.run(command, cwd=DOCS.parent, capture_output=True, text=True, check=True)
    text = re.sub(r"^# .*\n", "", run.stdout, count=1, flags=re.MULTILINE).strip()
    # Typer truncates the summaries of this list; the complete ones follow with the commands.
    text = re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+\n?", "", text)
    text = text.replace("* `--help`: Show this message and exit.\n", "")
    text = re.sub(r"\*\*Options\*\*:\n\n(?!\*)", "", text)
    text = text.replace("&#x27;", "'").replace("&quot;", '"')
    note = "<!-- Written by `make pages` from the commands themselves: do not edit. -->"
    return f"# Commands\n\n{note}\n\n{text}\n"


def decisions_page() -> str:
    """Return the list of the decisions, by title."""
    titles = {
        path.name: path.read_text().partition("\n")[0] for path in sorted((DOCS / "adr").glob("[0-9]*.md"))
    }
    rows = [f"* [{title.removeprefix('# ')}]({name})" for name, title in titles.items()]
    return "# Decisions\n\n<!-- Written by `make pages`. -->\n\n" + "\n".join(rows) + "\n"


def pages() -> dict[Path, str]:
    """Return every generated page, by its file."""
    settings = DOCS / "settings.md"
    generated = {
        settings: settings_page(settings.read_text()),
        DOCS / "commands.md": commands_page(),
        DOCS / "adr/index.md": decisions_page(),
    }
    return generated | drawings()


def main() -> None:
    """Write the pages that differ from the code."""
    for path, text in pages().items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            print(f"{path.relative_to(DOCS.parent)} written")


if __name__ == "__main__":
    main()
