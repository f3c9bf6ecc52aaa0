"""Every command that a page shows exists, with the subcommands and options that the page gives it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cli.__main__ import app
from tests.docs.pages import PAGES, name

BLOCK = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:^|(?<!--entrypoint)[\s/])yolo-mlsam\s+([a-z-][^#|>;]*)")
SPAN = re.compile(r"`([^`]+)`")
PLACEHOLDER = re.compile(r"[A-Z]+$")

SHOWN = [page for page in PAGES if page.name not in ("CHANGELOG.md", "commands.md", "experiments.md")]
"""Without the pages of older releases, and the one that is generated from the commands."""


def commands(text: str) -> list[str]:
    """The arguments of every command in blocks and spans of code."""
    blocks = [re.sub(r"\\\n\s*", " ", block) for block in BLOCK.findall(text)]
    spans = [" ".join(span.split()) for span in SPAN.findall(BLOCK.sub("", text))]
    lines = [line for block in blocks for line in block.splitlines()] + spans
    return [match[1] for line in lines for match in COMMAND.finditer(line)]


def unknown(arguments: str) -> list[str]:
    """The words of a command that are neither its options nor its subcommands."""
    command: Any = get_command(app)
    wrong, is_value = [], False
    for word in arguments.split():
        if is_value:
            is_value = False
        elif word.startswith("-"):
            options = {
                each: option for option in command.params for each in (*option.opts, *option.secondary_opts)
            }
            option = options.get(word.split("=")[0])
            if option is None and word != "--help":
                wrong.append(word)
            is_value = option is not None and not option.is_flag and "=" not in word
        elif hasattr(command, "commands") and not PLACEHOLDER.match(word):
            if word not in command.commands:
                return [*wrong, word]
            command = command.commands[word]
    return wrong


@pytest.mark.parametrize("page", SHOWN, ids=name)
def test_a_page_shows_only_commands_and_options_that_exist(page: Path) -> None:
    shown = commands(page.read_text())
    assert {each: unknown(each) for each in shown if unknown(each)} == {}


def test_there_are_commands_to_check() -> None:
    assert sum(len(commands(page.read_text())) for page in SHOWN) > 200


def test_a_command_that_does_not_exist_is_noticed() -> None:
    page = "`yolo-mlsam runs lists`\n\n```bash\nyolo-mlsam --site FILE runs start --project 1 \\\n  --never\n```\n"
    assert [unknown(each) for each in commands(page)] == [["--never"], ["lists"]]
