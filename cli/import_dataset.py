"""`yolo-mlsam import-dataset`: read a public or private data set, and import it as annotated tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.site_choice import changing_site

if TYPE_CHECKING:
    from mammo.exchange.datasets.contents import DatasetOptions
    from mammo.exchange.datasets.reading import Summary
    from mammo.exchange.datasets.tasks import TaskWriter
    from mammo.exchange.import_target import Screen
    from mammo.labelstudio import ControlTags
    from mammo.site import Site

REFUSED = 2
"""Exit code if anything was refused."""

MAX_LISTED = 20
"""Most descriptions of what is left out that are printed."""


def import_dataset(
    kind: Annotated[
        str, typer.Argument(help="Format: cbis-ddsm, inbreast, vindr, mias, coco, folder or yolo.")
    ],
    folder: Annotated[
        Path, typer.Argument(help="Folder of the unpacked data set.", exists=True, file_okay=False)
    ],
    project: Annotated[int | None, typer.Option(help="Label Studio project id.")] = None,
    twins: Annotated[
        Path | None,
        typer.Option(help="Folder that Label Studio serves as local files, for the 8-bit twins."),
    ] = None,
    spacing: Annotated[
        float | None,
        typer.Option(help="Pixel spacing in mm, if neither file nor data set states it.", min=0.01, max=1.0),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="coco, yolo: category that means a cluster, if its name does not tell."),
    ] = None,
    patient_pattern: Annotated[
        str | None,
        typer.Option(
            help="coco, folder, yolo: regular expression whose group is the patient in a file's path."
        ),
    ] = None,
    one_patient: Annotated[
        bool,
        typer.Option("--one-patient", help="coco, folder, yolo: all images are of the same patient."),
    ] = False,
    boxes_only: Annotated[
        bool,
        typer.Option("--boxes-only", help="Import the boxes of masks, for a project with rectangles."),
    ] = False,
    allow_identified: Annotated[
        bool,
        typer.Option(
            "--allow-identified", help="coco, folder, yolo: accept files that identify their patient."
        ),
    ] = False,
    screen: Annotated[
        Literal["exam", "image"] | None,
        typer.Option(
            help="What a task shows; default: what the project's labeling config shows, or one image."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be imported, and what refused and why.")
    ] = False,
) -> None:
    """Import a data set as tasks with annotations and patient keys. Exit code 2: some of it was refused."""
    from mammo.exchange.datasets.contents import DatasetOptions

    options = DatasetOptions(
        kind=kind,
        folder=folder,
        spacing_mm=spacing,
        label=label,
        patient_pattern=patient_pattern,
        one_patient=one_patient,
        boxes_only=boxes_only,
        allow_identified=allow_identified,
    )
    raise typer.Exit(_import(options, project=project, twins=twins, screen=screen, dry_run=dry_run))


def _import(
    options: DatasetOptions, *, project: int | None, twins: Path | None, screen: Screen | None, dry_run: bool
) -> int:
    """Return 0, or `REFUSED`. Refused files do not stop the others."""
    from rich.console import Console
    from rich.progress import track

    from mammo.errors import InvalidSettings
    from mammo.exchange.datasets.reading import READERS, read_dataset
    from mammo.exchange.import_target import screen_of
    from mammo.printable import printable

    if options.kind not in READERS:
        raise InvalidSettings(f"expected a format of {', '.join(READERS)}, got {printable(options.kind)}")
    if not dry_run and (project is None or twins is None):
        raise InvalidSettings("import-dataset needs --project and --twins, or --dry-run")
    with changing_site() as site:
        writer = None if dry_run else _writer(options, site, project=project, twins=twins)
        tags = writer.tags if writer else _tags(project, site, screen)
        screen_of(tags, screen)
        summary = read_dataset(
            options,
            writer,
            tags=tags,
            progress=lambda items: track(items, "Reading", console=Console(stderr=True), transient=True),
        )
    for line in report(summary, dry_run=dry_run):
        typer.echo(line)
    return REFUSED if summary.refusals else 0


def report(summary: Summary, *, dry_run: bool) -> Iterator[str]:
    """Yield the lines of the report; every refusal with its reason."""
    for refusal in summary.refusals:
        yield f"refused: {refusal}"
    verb = "would be imported" if dry_run else f"are imported ({summary.already} of them before)"
    yield f"{summary.images} images of {len(summary.patients)} patients {verb}; {len(summary.refusals)} refused"
    yield f"  {summary.clusters} clusters ({summary.masks} with a mask), {summary.without} images without any"
    if summary.boxes_of_masks:
        yield f"  of {summary.boxes_of_masks} masks only the box was taken (--boxes-only)"
    if summary.small_parts:
        largest = max(summary.small_parts)
        yield f"  {len(summary.small_parts)} parts of masks, of {largest} pixels at most, were left out"
    if summary.words or summary.lost_words:
        lost = (
            f"; {summary.lost_words} words or comments are left out, for which the project has no control"
            if summary.lost_words
            else ""
        )
        yield f"  {summary.words} words of BI-RADS{lost}"
    for word, count in summary.unread_words.most_common(MAX_LISTED):
        yield f"  left out, because it is not understood: {word} ({count})"
    if (further := len(summary.unread_words) - MAX_LISTED) > 0:
        yield f"  left out, because they are not understood: {further} others"
    yield from (f"  class {name}: {count}" for name, count in summary.classes.most_common(50))


def _writer(options: DatasetOptions, site: Site, *, project: int | None, twins: Path | None) -> TaskWriter:
    from mammo.errors import InvalidSettings
    from mammo.exchange.datasets.tasks import TaskWriter

    root, secret = site.require_mammogram_root(), site.require_patient_secret()
    if not options.folder.resolve().is_relative_to(root.resolve()):
        raise InvalidSettings(
            "the data set must lie below YOLO_MLSAM_MAMMOGRAM_ROOT, where the service can read it"
        )
    assert project is not None, "checked by the command"
    assert twins is not None, "checked by the command"
    return TaskWriter(site.client, project, kind=options.kind, root=root, twins=twins, patient_secret=secret)


def _tags(project: int | None, site: Site, screen: Screen | None) -> ControlTags:
    """Return the control tags of a dry run's project; without a project, those of a built-in labeling config."""
    from mammo.labelstudio import ControlTags
    from mammo.labelstudio.exam_config import exam_config
    from mammo.labelstudio.image_config import image_config

    if project is not None:
        return site.tags(project)
    return ControlTags.read(exam_config() if screen == "exam" else image_config())
