"""`yolo-mlsam labels`: labels that are probably wrong."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.text_console import text_console

labels = typer.Typer(help="Find labels that are probably wrong.", no_args_is_help=True)


@labels.callback()
def _group() -> None:
    """Find labels that are probably wrong."""


@labels.command("look-again")
def look_again(
    project: Annotated[int, typer.Option(help="Label Studio project id.", min=1)],
    limit: Annotated[int, typer.Option(help="Maximum number of doubts.", min=1, max=100_000)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the doubted labels of the newest dataset version, strongest doubt first.

    Each is compared with the newest stored prediction of a model that did not learn from the patient.
    """
    from rich.table import Table

    from mammo.database import reading
    from mammo.errors import ModelNotFound
    from mammo.site import Site
    from training.datasets.versions import newest_name, open_dataset_version
    from training.second_look import second_look
    from training.second_look.unlearned import Lineage

    with Site.load() as site:
        with reading(site.engine) as connection:
            name = newest_name(connection, project)
        if name is None:
            raise ModelNotFound(
                f"project {project} has no dataset version; `yolo-mlsam dataset build --project {project}` makes one",
                code="unknown_dataset",
            )
        hasty = {(each.annotation, each.image) for each in site.efforts(project).records if each.hasty}
        look = second_look(
            open_dataset_version(name, blobs=site.blobs),
            store=site.store,
            lineage=Lineage(site.registry, site.blobs),
            tags=site.tags(project),
            hasty=hasty,
        )
    first = look.labels[:limit]
    console = text_console(soft_wrap=as_json)
    if as_json:
        console.print_json(
            data={
                "project": project,
                "dataset_version": look.dataset_version,
                "images": look.num_images,
                "compared": look.num_compared,
                "skipped": look.skipped,
                "labels": [each.to_json() for each in first],
            }
        )
        return
    table = Table("doubt", "cause", "task", "annotation", "annotator", "box", "off by", "model")
    for each in first:
        box = each.box and f"{each.box.x0},{each.box.y0} to {each.box.x1},{each.box.y1}"
        off = "" if each.distance_mm is None else f"{each.distance_mm:.1f} mm"
        row = (str(each.task), str(each.annotation), each.annotator, box or "whole image", off)
        table.add_row(f"{each.score:.2f}", each.cause, *row, each.model_version)
    console.print(table)
    console.print(f"{look.num_compared} of {look.num_images} images were compared, {len(look.labels)} doubts")
    for reason, count in sorted(look.skipped.items()):
        console.print(f"not compared: {count}, {reason}")
