"""The commands of `yolo-mlsam project`; some are also top-level commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.s3_keys import S3Key, S3Secret
from cli.text_console import text_console

project = typer.Typer(
    help="Create, connect, prelabel and check a Label Studio project.", no_args_is_help=True
)

ProjectId = Annotated[int, typer.Option("--project", help="Label Studio project id.")]
BackendUrl = Annotated[str, typer.Option("--url", help="Address at which Label Studio reaches the backend.")]


@project.command()
def create(
    title: Annotated[str, typer.Option(help="Title; an existing project with this title is adopted.")],
    url: BackendUrl,
    config: Annotated[
        Path | None,
        typer.Option(help="Labeling config (XML); default: the built-in one.", exists=True, dir_okay=False),
    ] = None,
    screen: Annotated[
        Literal["exam", "image"],
        typer.Option(help="A task of a new project shows: the four views of an exam, or one image."),
    ] = "exam",
    descriptors: Annotated[
        bool,
        typer.Option(
            help="Ask for words of BI-RADS about findings (morphology, distribution, suspicion) and the exam (density, "
            "assessment), and for comments."
        ),
    ] = True,
    local: Annotated[
        Path | None, typer.Option(help="Folder below Label Studio's document root, as Label Studio sees it.")
    ] = None,
    upload: Annotated[
        Path | None,
        typer.Option(help="Folder of PNG or JPEG images to upload.", exists=True, file_okay=False),
    ] = None,
    bucket: Annotated[str | None, typer.Option(help="S3 bucket, or bucket/prefix.")] = None,
    endpoint: Annotated[str, typer.Option(help="S3 endpoint; default: Amazon's.")] = "",
    region: Annotated[str, typer.Option(help="S3 region.")] = "",
    presign: Annotated[
        bool,
        typer.Option(
            help="Browsers load images from the bucket, by presigned URLs, instead of through Label Studio."
        ),
    ] = True,
    s3_key: S3Key = "",
    s3_secret: S3Secret = "",
) -> None:
    """Create or adopt a project with labeling config and images, and connect it. Safe to repeat.

    Exit code 2: some images could not be uploaded.
    """

    from cli.project.connecting import ProjectOptions, create_project, unusable_images
    from cli.site_choice import changing_site
    from mammo.labelstudio.project_storage import S3Bucket

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
    options = ProjectOptions(
        title=title,
        url=url,
        config=config,
        local=local,
        upload=upload,
        s3=s3,
        screen=screen,
        descriptors=descriptors,
    )
    with changing_site() as site:
        create_project(options, site=site, console=text_console(soft_wrap=True))
    raise typer.Exit(2 if upload and unusable_images(upload) else 0)


@project.command()
def connect(project: ProjectId, url: BackendUrl) -> None:
    """Connect a Label Studio project to the backend, with exactly one ML backend and one webhook."""

    from cli.project.connecting import connect_project
    from cli.site_choice import changing_site

    with changing_site() as site:
        connect_project(project, url, site=site, console=text_console(soft_wrap=True))


@project.command()
def prelabel(
    project: ProjectId,
    wait: Annotated[bool, typer.Option(help="Wait for the job, showing its progress.")] = True,
) -> None:
    """Prelabel every task that has no prediction of the champion. Exit code 2: some images failed."""
    from cli.project.prelabelling import prelabel_project

    raise typer.Exit(prelabel_project(project=project, wait=wait))


@project.command()
def convert(
    project: Annotated[
        int, typer.Argument(help="Label Studio project id; with --exam, one of one-image tasks.")
    ],
    exam: Annotated[
        bool,
        typer.Option("--exam", help="Into a new project, whose tasks show the four views of an exam."),
    ] = False,
    descriptors: Annotated[
        bool | None,
        typer.Option(
            help="Ask for words of BI-RADS and comments. Without --exam, the project's own labeling config is changed, "
            "and its annotations stay; default with --exam: ask."
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Title of the new project; default: the old one's, and (exams).")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="New labeling config (XML); default: the built-in one.", exists=True, dir_okay=False
        ),
    ] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Control whose results are not needed; repeat for several.")
    ] = None,
    one_exam_per_patient: Annotated[
        bool, typer.Option("--one-exam-per-patient", help="All images of a patient are of one exam.")
    ] = False,
    show_year: Annotated[
        bool, typer.Option("--show-year", help="State the year of each exam in the header of its page.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Make the new project; otherwise only print the plan.")
    ] = False,
) -> None:
    """Convert a project: into a new one whose tasks show exams, or to one that asks for descriptors, or no longer does.

    With --exam, the old project is not changed. Safe to repeat. Exit code 2: some tasks stay behind, each with the
    reason.
    """
    from cli.project.converting import ConvertOptions, convert_project
    from cli.project.switching import switch_descriptors
    from mammo.site import Site

    if not exam and descriptors is None:
        raise typer.BadParameter("expected --exam, --descriptors or --no-descriptors", param_hint="--exam")
    if exam and config and descriptors is not None:
        raise typer.BadParameter(
            "with --config, the file says whether words are asked for", param_hint="--descriptors"
        )
    if not exam and (title or config or leave_out or one_exam_per_patient or show_year):
        raise typer.BadParameter(
            "without --exam only --descriptors, --no-descriptors and --apply have a meaning",
            param_hint="--exam",
        )
    if not exam:
        console = text_console(soft_wrap=True)
        with Site.load() as site:
            switch_descriptors(project, on=bool(descriptors), apply=apply, site=site, console=console)
        return
    options = ConvertOptions(
        project=project,
        title=title,
        config=config,
        leave_out=leave_out or (),
        descriptors=descriptors is not False,
        one_exam_per_patient=one_exam_per_patient,
        show_year=show_year,
        apply=apply,
    )
    with Site.load() as site:
        raise typer.Exit(convert_project(options, site=site, console=text_console(soft_wrap=True)))


@project.command()
def hotkeys(
    accounts: Annotated[
        list[str] | None, typer.Argument(help="E-mail addresses in Label Studio; without any: all members.")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ACTION=KEY",
            help="Such as submit=space or delete=delete; repeat for several. Actions: submit, skip, undo, redo, "
            "delete, link, hide, unselect.",
        ),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Take away the accounts' own keys of these actions first.")
    ] = False,
) -> None:
    """Set keys of accounts in Label Studio's editor; without --key, print them. They hold in all projects.

    The token must be that of a member of the same organization. A key of the exam's page is refused.
    """
    from cli.project.hotkeys import show_hotkeys
    from mammo.site import Site

    with Site.load() as site:
        console = text_console(soft_wrap=True)
        show_hotkeys(accounts or (), key or (), reset=reset, site=site, console=console)


@project.command()
def doctor(
    project: Annotated[int | None, typer.Option(help="Label Studio project id.")] = None,
    url: Annotated[
        str,
        typer.Option(help="Address at which Label Studio reaches the backend; default: that of the project."),
    ] = "",
    fix: Annotated[bool, typer.Option("--fix", help="Repair whatever can be repaired from here.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check for every known misconfiguration, and print remedies. Exit code 1: something is broken."""
    from cli.doctor.command import doctor_command

    raise typer.Exit(doctor_command(project=project, url=url, fix=fix, as_json=json))
