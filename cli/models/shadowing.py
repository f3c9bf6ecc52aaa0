"""`models shadow`: compare two versions that predicted the same tasks, one of them silently."""

from __future__ import annotations

from pathlib import Path

import orjson
from rich.table import Table

from backend.shadow_report import write_shadow_report
from cli.models.names import find_version
from cli.pages import write_page
from cli.text_console import text_console
from mammo.efforts.shadow_comparison import compare_versions
from mammo.site import Site


def compare(project: int, first: str, second: str, *, as_json: bool, pictures: Path | None) -> None:
    """Print how well two versions agree, and how well each agrees with the corrections.

    Args:
        pictures: HTML file to write, which shows where they differ; None: none.

    Raises:
        StorageUnavailable: the file cannot be written.
    """
    with Site.load() as site:
        versions = find_version(site.registry, first), find_version(site.registry, second)
        comparison = compare_versions(project, versions, store=site.store, tags=site.tags(project))
        if pictures is not None:
            write_page(pictures, write_shadow_report(comparison, site=site))
    console = text_console(soft_wrap=True, highlight=False)
    if as_json:
        console.print_json(orjson.dumps(comparison.to_json()).decode())
        return
    agreement = comparison.agreement
    console.print(
        f"{agreement.tasks} tasks predicted by both: {agreement.both} findings by both, {agreement.first_only} only by "
        f"{versions[0]}, {agreement.second_only} only by {versions[1]}, Dice {_format(agreement.dice)}"
    )
    table = Table("read", "version", "images", "accepted", "Dice", "missed/image", "false/image")
    for each in comparison.distances:
        table.add_row(
            "without a prelabel" if each.arm == "control" else "on a prelabel",
            each.version,
            str(each.images),
            "-" if each.accept_rate is None else f"{each.accept_rate:.0%}",
            _format(each.dice),
            f"{each.missed_per_image:.2f}",
            f"{each.false_per_image:.2f}",
        )
    console.print(table if comparison.distances else "no image predicted by both has been corrected yet")
    for problem in comparison.unreadable:
        console.print(f"not counted: {problem}")
    if comparison.dice_gain is not None and comparison.dice_gain_interval is not None:
        low, high = comparison.dice_gain_interval
        console.print(
            f"Dice of {versions[1]} minus {versions[0]}, read without a prelabel: {comparison.dice_gain:+.3f} "
            f"({low:+.3f} to {high:+.3f}, 5th to 95th percentile over images)"
        )


def _format(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
