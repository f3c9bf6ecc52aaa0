"""What a page of Chromium holds: memory of the processes, heap of the scripts, nodes of the document and beside it.

It is read after a forced garbage collection, so that it is what the page holds, and not what waits to be collected.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import psutil
from scipy import stats

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

NUM_COLLECTIONS = 2
"""The first garbage collection frees what the second can collect."""

ATTACHED = """() => {
    const walker = document.createTreeWalker(document, NodeFilter.SHOW_ALL);
    let number = 1;
    while (walker.nextNode()) number += 1;
    return number;
}"""


@dataclass(frozen=True)
class BrowserMemory:
    """What the browser holds at one moment."""

    browser: float
    """Proportional set size of all its processes, in MiB."""

    page: float
    """That of the processes of pages alone, in MiB."""

    heap: float
    """Objects of the page's scripts, in MiB."""

    num_detached: float
    """Nodes that are in memory and not in the document."""

    num_listeners: float
    """Listeners of events."""


@dataclass(frozen=True)
class Slope:
    """Growth per exam, with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.1f} ({self.low:+.1f} to {self.high:+.1f})"


def slope(values: Sequence[float]) -> Slope:
    """Return the slope of a line through values, with the 95 % interval of a least-squares fit."""
    fit = stats.linregress(np.arange(len(values)), values)
    half = float(stats.t.ppf(0.975, len(values) - 2)) * fit.stderr
    return Slope(float(fit.slope), float(fit.slope - half), float(fit.slope + half))


def session_of(page: Page) -> CDPSession:
    """Return a session of a page that can be asked for its memory."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    return session


def memory_of(page: Page, session: CDPSession) -> BrowserMemory:
    """Return what the browser of a page holds after a garbage collection.

    Args:
        page: the only page of the only browser that this process started.
        session: of `session_of`.
    """
    for _ in range(NUM_COLLECTIONS):
        session.send("HeapProfiler.collectGarbage")
    metrics = {
        each["name"]: float(each["value"]) for each in session.send("Performance.getMetrics")["metrics"]
    }
    return BrowserMemory(
        browser=chromium_bytes() / 2**20,
        page=chromium_bytes(process="renderer") / 2**20,
        heap=metrics["JSHeapUsedSize"] / 2**20,
        num_detached=metrics["Nodes"] - float(page.evaluate(ATTACHED)),
        num_listeners=metrics["JSEventListeners"],
    )


def chromium_bytes(*, process: str = "") -> float:
    """Return the proportional set size of the processes of Chromium that belong to this one.

    Args:
        process: count only processes of this type, such as `renderer`; empty for all.
    """
    total = 0
    for each in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "chromium" in each.name() and (not process or f"--type={process}" in each.cmdline()):
                total += each.memory_full_info().pss
    return float(total)
