"""The console on which commands print what comes from annotations, other sites and people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def text_console(*, soft_wrap: bool = False, highlight: bool = True) -> Console:
    """Return a console that shows text as it is: square brackets are no markup."""
    from rich.console import Console  # most commands print without it

    return Console(markup=False, soft_wrap=soft_wrap, highlight=highlight)
