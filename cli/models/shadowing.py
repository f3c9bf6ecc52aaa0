"""`models shadow`: the champion and a version that predicted silently beside it, on the same tasks."""

from __future__ import annotations

import orjson
from rich.console import Console
from rich.table import Table

from cli.models.names import find_version
from mammo.efforts.shadow_comparison import compare_versions
from mammo.site import Site


def compare(project: int, first: str, second: str, *, as_json: bool) -> None:
    """Print how far two versions agree, and how far each is from the corrections."""
    with Site.load() as site:
        versions = find_version(site.registry, first), find_version(site.registry, second)
        found = compare_versions(project, versions, store=site.store, tags=site.tags(project))
    console = Console(soft_wrap=True, highlight=False)
    if as_json:
        console.print_json(orjson.dumps(found.to_json()).decode())
        return
    both = found.agreement
    console.print(
        f"{both.tasks} tasks that both looked at: {both.both} findings of both, {both.first_only} of "
        f"{versions[0]} only, {both.second_only} of {versions[1]} only, Dice {_shown(both.dice)}"
    )
    table = Table("read", "version", "images", "left as it was", "Dice", "missed/image", "false/image")
    for each in found.distances:
        table.add_row(
            "without a prelabel" if each.arm == "control" else "on a prelabel",
            each.version,
            str(each.images),
            "-" if each.accept_rate is None else f"{each.accept_rate:.0%}",
            _shown(each.dice),
            f"{each.missed_per_image:.2f}",
            f"{each.false_per_image:.2f}",
        )
    console.print(table if found.distances else "no image that both looked at has been corrected since")
    for problem in found.unreadable:
        console.print(f"not counted: {problem}")
    if found.dice_gain is not None and found.dice_gain_interval is not None:
        low, high = found.dice_gain_interval
        console.print(
            f"Dice of {versions[1]} minus {versions[0]}, read without a prelabel: {found.dice_gain:+.3f} "
            f"({low:+.3f} to {high:+.3f}, 5th to 95th percentile over images)"
        )


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
