"""`yolo-mlsam pacs`: find mammograms in the PACS, import them, and send results back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.pacs_imports import continue_, imports, stop
from cli.pacs_results import results, send

if TYPE_CHECKING:
    from mammo.pacs import Query

pacs = typer.Typer(
    help="Find mammograms in the PACS, import them, and send results back.", no_args_is_help=True
)

pacs.command()(imports)
pacs.command()(stop)
pacs.command("continue")(continue_)
pacs.command()(send)
pacs.command()(results)

Studies = Annotated[
    list[str] | None, typer.Option("--study", help="Study Instance UID; may be given several times.")
]
Patient = Annotated[str, typer.Option(help="Whole PatientID.")]
Accession = Annotated[str, typer.Option(help="Whole accession number.")]
Since = Annotated[str, typer.Option(help="First day of the studies, such as 2026-01-31.", metavar="DAY")]
Until = Annotated[str, typer.Option(help="Last day of the studies.", metavar="DAY")]
BodyPart = Annotated[str, typer.Option(help="Body Part Examined, such as BREAST.")]
View = Annotated[str, typer.Option(help="View Position, such as CC or MLO.")]
Side = Annotated[Literal["L", "R", ""], typer.Option(help="Laterality.", show_default=False)]
Priors = Annotated[bool, typer.Option("--priors", help="Also the earlier mammograms of the same patients.")]
Limit = Annotated[
    int, typer.Option(help="Most studies, oldest first, without the priors.", min=1, max=10_000)
]
Offset = Annotated[int, typer.Option(help="Studies to leave out before them.", min=0)]


@pacs.command()
def query(
    study: Studies = None,
    patient: Patient = "",
    accession: Accession = "",
    since: Since = "",
    until: Until = "",
    body_part: BodyPart = "",
    view: View = "",
    laterality: Side = "",
    for_processing: Annotated[
        bool, typer.Option("--for-processing", help="Raw detector values count as images too.")
    ] = False,
    priors: Priors = False,
    limit: Limit = 100,
    offset: Offset = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, an object for each image.")] = False,
) -> None:
    """List the mammograms of the PACS that meet all conditions; nothing is retrieved or changed.

    What is printed names patients, as the PACS does.
    """
    from cli.pacs_importing import query_command

    conditions = _query(
        study, patient, accession, since, until, body_part, view, laterality, raw=for_processing
    )
    query_command(conditions, priors=priors, limit=limit, offset=offset, as_json=as_json)


@pacs.command("import")
def import_(
    project: Annotated[int, typer.Option(help="Label Studio project id.")],
    study: Studies = None,
    patient: Patient = "",
    accession: Accession = "",
    since: Since = "",
    until: Until = "",
    body_part: BodyPart = "",
    view: View = "",
    laterality: Side = "",
    priors: Priors = False,
    limit: Limit = 100,
    offset: Offset = 0,
    twins: Annotated[
        Path | None,
        typer.Option(help="Folder that Label Studio serves as local files; default: YOLO_MLSAM_TWIN_ROOT."),
    ] = None,
    identified: Annotated[
        bool,
        typer.Option("--identified", help="Keep the files as the PACS sends them, with the patient's name."),
    ] = False,
    convert_for_processing: Annotated[
        bool,
        typer.Option("--convert-for-processing", help="Also take raw detector values, and convert them."),
    ] = False,
    screen: Annotated[
        Literal["exam", "image"] | None,
        typer.Option(help="What a task shows; default: what the project's labeling config shows."),
    ] = None,
    show_year: Annotated[
        bool, typer.Option("--show-year", help="exam: state the (shifted) year in the header of its page.")
    ] = False,
) -> None:
    """Retrieve mammograms, de-identify them, and make tasks of them; the same command continues an interrupted one.

    The files lie in the folder pacs of YOLO_MLSAM_MAMMOGRAM_ROOT. A study is imported once all its mammograms are
    there. Exit code 2: some images were refused, or must be looked at first.
    """
    from cli.pacs_importing import PacsImport
    from mammo.pacs.import_order import ImportOrder

    conditions = _query(
        study, patient, accession, since, until, body_part, view, laterality, raw=convert_for_processing
    )
    try:
        order = ImportOrder(query=conditions, priors=priors, limit=limit, offset=offset)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--limit") from None
    command = PacsImport(
        order=order,
        project=project,
        twins=twins,
        identified=identified,
        screen=screen,
        show_year=show_year,
    )
    raise typer.Exit(command.run())


def _query(
    study: list[str] | None,
    patient: str,
    accession: str,
    since: str,
    until: str,
    body_part: str,
    view: str,
    laterality: str,
    *,
    raw: bool,
) -> Query:
    """Return the conditions; raises typer.BadParameter: one of them is not what it should be."""
    from mammo.pacs import Query

    try:
        return Query(
            studies=tuple(study or ()),
            patient=patient,
            accession=accession,
            first_day=since.replace("-", ""),
            last_day=until.replace("-", ""),
            body_part=body_part,
            view=view,
            laterality=laterality,
            only_for_presentation=not raw,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
