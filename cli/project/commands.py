"""The commands of `yolo-mlsam project`, and those of them that also stand alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

project = typer.Typer(help="Create, connect and examine a Label Studio project.", no_args_is_help=True)

ProjectId = Annotated[int, typer.Option("--project", help="Label Studio project id.")]
BackendUrl = Annotated[str, typer.Option("--url", help="Where Label Studio reaches the backend.")]


@project.command()
def create(
    title: Annotated[str, typer.Option(help="Its title; a project that has it is adopted.")],
    url: BackendUrl,
    config: Annotated[
        Path | None, typer.Option(help="Labeling config (XML); default: ours.", exists=True, dir_okay=False)
    ] = None,
    local: Annotated[
        Path | None, typer.Option(help="Folder below Label Studio's document root, as it sees it.")
    ] = None,
    upload: Annotated[
        Path | None,
        typer.Option(help="Folder of PNG or JPEG images to upload.", exists=True, file_okay=False),
    ] = None,
    bucket: Annotated[str | None, typer.Option(help="S3 bucket, or bucket/prefix.")] = None,
    endpoint: Annotated[str, typer.Option(help="S3 endpoint; default: Amazon's.")] = "",
    region: Annotated[str, typer.Option(help="S3 region.")] = "",
    presign: Annotated[
        bool, typer.Option(help="Browsers fetch from the bucket; otherwise through Label Studio.")
    ] = True,
    s3_key: Annotated[str, typer.Option(envvar="AWS_ACCESS_KEY_ID", help="S3 access key.")] = "",
    s3_secret: Annotated[str, typer.Option(envvar="AWS_SECRET_ACCESS_KEY", help="S3 secret key.")] = "",
) -> None:
    """Make or adopt a project with its labeling config and images, and connect it. Safe to repeat. Exit code 2: some
    images could not be uploaded."""
    from rich.console import Console

    from cli.project.connecting import ProjectOrder, create_project, unusable_pictures
    from mammo.labelstudio.project_storage import S3Bucket
    from mammo.site import Site

    s3 = None
    if bucket:
        name, _, prefix = bucket.partition("/")
        s3 = S3Bucket(
            bucket=name,
            prefix=prefix,
            endpoint=endpoint,
            region=region,
            access_key=s3_key,
            secret_key=s3_secret,
            presign=presign,
        )
    order = ProjectOrder(title=title, url=url, config=config, local=local, upload=upload, s3=s3)
    create_project(order, site=Site.load(), console=Console(soft_wrap=True))
    raise typer.Exit(2 if upload and unusable_pictures(upload) else 0)


@project.command()
def connect(project: ProjectId, url: BackendUrl) -> None:
    """Connect a Label Studio project to the backend: ML backend and webhook, each exactly once."""
    from rich.console import Console

    from cli.project.connecting import connect_project
    from mammo.site import Site

    connect_project(project, url, site=Site.load(), console=Console(soft_wrap=True))


@project.command()
def prelabel(
    project: ProjectId,
    wait: Annotated[bool, typer.Option(help="Follow the job to its end.")] = True,
) -> None:
    """Let the worker prelabel every task that the champion has not yet. Exit code 2: some images failed."""
    from cli.project.prelabelling import prelabel_project

    raise typer.Exit(prelabel_project(project=project, wait=wait))


@project.command()
def doctor(
    project: Annotated[int | None, typer.Option(help="Label Studio project id.")] = None,
    url: Annotated[
        str, typer.Option(help="Where Label Studio reaches the backend; default: what the project says.")
    ] = "",
    fix: Annotated[bool, typer.Option("--fix", help="Repair what can be repaired.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Name every known trap that is set, with its remedy. Exit code 1: something is broken."""
    from cli.doctor.command import doctor_command

    raise typer.Exit(doctor_command(project=project, url=url, fix=fix, as_json=json))
