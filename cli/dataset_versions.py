"""`yolo-mlsam dataset`: build, list, show, compare and export dataset versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.site_choice import changing_site
from cli.text_console import text_console

if TYPE_CHECKING:
    from mammo.exchange.export.labelled_image import LabelledImage
    from training.datasets.versions import DatasetVersion

app = typer.Typer(no_args_is_help=True, help="Build, list, show, compare and export dataset versions.")

Name = Annotated[str, typer.Argument(help="Name of a dataset version, or its beginning.", metavar="NAME")]


@app.command()
def build(project: Annotated[int, typer.Option(help="Label Studio project id.", min=1)]) -> None:
    """Build a dataset version of a project's current corrections. Only new or changed images are read."""
    from cli.progress import progress_bar
    from training.datasets.building import build_dataset_version
    from training.datasets.sources import ReadOptions, preference

    with changing_site() as site, progress_bar("building") as progress:
        dataset = build_dataset_version(
            site.store,
            site.engine,
            site.blobs,
            project=project,
            open_image=site.images.open,
            fingerprint=site.images.fingerprint,
            options=ReadOptions(
                tags=site.tags(project),
                prefer=preference(site.settings.dataset_sources),
                with_automatic=site.settings.train_on_automatic,
                secret=site.settings.annotator_secret,
            ),
            progress=progress,
        )
    _print(dataset)


@app.command("list")
def list_versions() -> None:
    """List every dataset version, oldest first."""
    import sqlalchemy as sa
    from rich.table import Table

    from mammo.database import dataset_version, reading
    from mammo.site import Site

    with Site.load() as site, reading(site.engine) as connection:
        rows = connection.execute(sa.select(dataset_version).order_by(dataset_version.c.created_at)).all()
    table = Table("name", "project", "images", "left out", "built")
    for row in rows:
        built = f"{row.created_at:%Y-%m-%d %H:%M}"
        table.add_row(row.name[:12], str(row.project), str(row.num_items), str(row.num_excluded), built)
    text_console().print(
        table if rows else "there is no dataset version yet; `yolo-mlsam dataset build` makes one"
    )


@app.command()
def show(name: Name) -> None:
    """Print the folds of a dataset version, and the annotations left out with their reasons."""
    _print(_open(name))


@app.command()
def diff(before: Name, after: Name) -> None:
    """Print the images added, removed or changed from one dataset version to another."""
    from training.datasets.diff import dataset_diff

    old, new = _open(before), _open(after)
    tasks = {item.image: item.task_id for item in (*old.items, *new.items)}
    difference = dataset_diff(old, new)
    for kind in ("added", "removed", "changed"):
        images = getattr(difference, kind)
        numbers = ", ".join(str(number) for number in sorted(tasks[image] for image in images))
        typer.echo(f"{kind}: {len(images)} images" + (f" (tasks {numbers})" if images else ""))
    typer.echo(f"same: {difference.same} images")


@app.command()
def export(
    name: Name,
    out: Annotated[Path, typer.Option(help="Folder for the files.", file_okay=False)],
    kind: Annotated[str, typer.Option("--format", help="coco, yolo or png.")] = "coco",
    fold: Annotated[str, typer.Option(help="train, validation, test or all.")] = "all",
) -> None:
    """Export a dataset version for other tools. Images are referenced by path and SHA-256, not copied."""
    from mammo.exchange.export.formats import FORMATS
    from mammo.result_kinds import RESULT_KINDS

    formats = sorted(set(FORMATS) - set(RESULT_KINDS))  # results as DICOM need the mammogram's own file
    if kind not in formats:
        raise typer.BadParameter(f"expected {', '.join(formats)}, got {kind!r}", param_hint="--format")
    if fold not in ("train", "validation", "test", "all"):
        raise typer.BadParameter(
            f"expected train, validation, test or all, got {fold!r}", param_hint="--fold"
        )
    out.mkdir(parents=True, exist_ok=True)
    images = list(_labelled(_open(name), fold))
    for refusal in FORMATS[kind](iter(images), out):
        typer.echo(str(refusal), err=True)
    written = [image for image in images if not image.has_point]
    typer.echo(
        f"{len(written)} images with {sum(len(i.findings) for i in written)} findings as {kind} in {out}"
    )


def _labelled(dataset: DatasetVersion, fold: str) -> Iterator[LabelledImage]:
    from mammo.dicom.results import Origin
    from mammo.exchange.export.file_names import path_of, without_secrets
    from mammo.exchange.export.labelled_image import LabelledImage
    from mammo.geometry import Size

    for item in dataset.items:
        if fold in ("all", item.fold):
            facts = {
                "patient": item.patient,
                "fold": item.fold,
                "view": item.view,
                "spacing_mm": item.spacing_mm,
                "annotator": item.annotator,
                "source": item.source,
                "task": item.task_id,
                "density": item.density,
                "assessment": item.assessment,
            }
            findings = (*item.truth, *item.points)
            mammogram = item.task_data.get("mammogram")
            reference = None if mammogram else item.task_data.get("image")
            yield LabelledImage(
                name=item.image[:16],
                file_name=str(mammogram or path_of(str(reference or "")) or item.image),
                reference=without_secrets(str(reference)) if reference else None,
                sha256=item.image,
                size=Size(*item.size),
                findings=findings,
                attributes=tuple(finding.attributes for finding in findings),
                origin=Origin(made_by="manual"),
                facts={key: value for key, value in facts.items() if value is not None},
            )


def _open(name: str) -> DatasetVersion:
    from mammo.site import Site
    from training.datasets.versions import find_dataset_version, open_dataset_version

    with Site.load() as site:
        return open_dataset_version(find_dataset_version(name, engine=site.engine), blobs=site.blobs)


def _print(dataset: DatasetVersion) -> None:
    from rich.table import Table

    table = Table("fold", "patients", "images", "with clusters", "clusters")
    for fold in ("train", "validation", "test"):
        items = [item for item in dataset.items if item.fold == fold]
        positive = sum(bool(item.findings) for item in items)
        numbers = (dataset.num_patients(fold), len(items), positive, dataset.num_findings(fold))
        table.add_row(fold, *map(str, numbers))
    console = text_console()
    console.print(f"dataset version {dataset.name} of project {dataset.project}")
    console.print(table)
    if set(dataset.sources) != {"single"}:
        console.print("read by: " + ", ".join(f"{count} {name}" for name, count in dataset.sources.items()))
    points = sum(len(item.uncertain) for item in dataset.items)
    console.print(
        f"annotations read: {len({item.annotation_id for item in dataset.items})}, left out: {len(dataset.excluded)}; "
        f"findings deleted with one of their parts: {dataset.num_deleted}, parts too small to be drawn on purpose: "
        f"{dataset.num_crumbs}, findings marked by a point only: {points}, "
        f"unexplained regions: {dataset.num_unexplained}"
    )
    for code, count in dataset.why_excluded.items():
        reason = next(each.reason for each in dataset.excluded if each.code == code)
        console.print(f"left out: {count} {code} ({reason})")
    if dataset.num_alone:
        console.print(
            f"{dataset.num_alone} images have neither patient nor study, so that one patient may be in several "
            "folds. Import them with `yolo-mlsam import`, or add `patient` to the tasks.",
            style="yellow",
        )
