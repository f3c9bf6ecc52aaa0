"""The commands of `yolo-mlsam reading`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.s3_keys import S3Key, S3Secret

reading = typer.Typer(
    no_args_is_help=True, help="Double reading: two blind readers, their agreement, and an arbiter."
)

ProjectId = Annotated[
    int, typer.Option("--project", help="Source project, whose images are read twice.", min=1)
]
LeastDice = Annotated[
    float | None, typer.Option(help="Minimum Dice of two outlines that agree.", min=0, max=1)
]
MostBoundary = Annotated[
    float | None,
    typer.Option(
        "--most-boundary-mm", help="Maximum mean distance of two outlines that agree, in mm.", min=0
    ),
]
MatchIou = Annotated[
    float | None, typer.Option(help="Minimum IoU of two boxes of the same lesion.", min=0, max=1)
]
MatchCentres = Annotated[
    bool | None,
    typer.Option(
        "--match-centres/--no-match-centres", help="Also match boxes if the centre of one lies in the other."
    ),
]
Consensus = Annotated[str | None, typer.Option(help="Consensus mask: intersection, union or staple.")]
Rounds = Annotated[int | None, typer.Option(help="Blind rounds before arbitration.", min=1, max=3)]
SecondLook = Annotated[
    str | None, typer.Option(help="Start of later rounds: own (the reader's own annotation) or nothing.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@reading.command()
def create(
    project: ProjectId,
    reader_1: Annotated[str, typer.Option(help="Email of the first reader's Label Studio account.")] = "",
    reader_2: Annotated[str, typer.Option(help="Email of the second reader's account.")] = "",
    arbiter: Annotated[str, typer.Option(help="Email of the arbiter's account.")] = "",
    least_dice: LeastDice = None,
    most_boundary: MostBoundary = None,
    match_iou: MatchIou = None,
    match_centres: MatchCentres = None,
    consensus: Consensus = None,
    rounds: Rounds = None,
    second_look: SecondLook = None,
    s3_key: S3Key = "",
    s3_secret: S3Secret = "",
) -> None:
    """Create a project for each reader and for the arbiter, with a task for every image. Safe to repeat."""
    from cli.reading.running import create_command

    emails = {"reader-1": reader_1, "reader-2": reader_2, "arbiter": arbiter}
    rules = _rules(least_dice, most_boundary, match_iou, match_centres, consensus, rounds, second_look)
    create_command(project, rules=rules, emails=emails, s3_keys=(s3_key, s3_secret))


@reading.command()
def sync(project: ProjectId, s3_key: S3Key = "", s3_secret: S3Secret = "") -> None:
    """Copy new tasks to all projects, and reconcile annotations. Safe to repeat and to interrupt."""
    from cli.reading.running import step_command

    step_command("sync", project, s3_keys=(s3_key, s3_secret))


@reading.command("second-look")
def second_look(project: ProjectId, s3_key: S3Key = "", s3_secret: S3Secret = "") -> None:
    """Send cases of disagreement back to both readers, each blind to the other."""
    from cli.reading.running import step_command

    step_command("second-look", project, s3_keys=(s3_key, s3_secret))


@reading.command()
def arbitrate(project: ProjectId, s3_key: S3Key = "", s3_secret: S3Secret = "") -> None:
    """Send cases of disagreement after the last round to the arbiter, as reading A and reading B."""
    from cli.reading.running import step_command

    step_command("arbitrate", project, s3_keys=(s3_key, s3_secret))


@reading.command()
def status(project: ProjectId, as_json: AsJson = False) -> None:
    """Print the progress of a double reading, and the next steps."""
    from cli.reading.showing import status_command

    status_command(project, as_json=as_json)


@reading.command()
def agreement(project: ProjectId, as_json: AsJson = False) -> None:
    """Print the readers' agreement: lesions, Dice, boundary distance, Cohen's kappa per patient, and every case."""
    from cli.reading.showing import agreement_command

    agreement_command(project, as_json=as_json)


@reading.command()
def rules(
    project: ProjectId,
    least_dice: LeastDice = None,
    most_boundary: MostBoundary = None,
    match_iou: MatchIou = None,
    match_centres: MatchCentres = None,
    consensus: Consensus = None,
    rounds: Rounds = None,
    second_look: SecondLook = None,
) -> None:
    """Print the rules of a double reading; with options, change them. All cases are then judged again."""
    from cli.reading.showing import rules_command

    changes = _rules(least_dice, most_boundary, match_iou, match_centres, consensus, rounds, second_look)
    rules_command(project, changes=changes)


@reading.command("list")
def list_readings() -> None:
    """List the projects with a double reading."""
    from cli.reading.showing import list_command

    list_command()


def _rules(
    least_dice: float | None,
    most_boundary: float | None,
    match_iou: float | None,
    match_centres: bool | None,
    consensus: str | None,
    rounds: int | None,
    second_look: str | None,
) -> dict[str, Any]:
    """Return the rules that were given on the command line."""
    named = {
        "least_dice": least_dice,
        "most_boundary_mm": most_boundary,
        "match_iou": match_iou,
        "match_centres": match_centres,
        "consensus": consensus,
        "rounds": rounds,
        "second_look": second_look,
    }
    return {name: value for name, value in named.items() if value is not None}
