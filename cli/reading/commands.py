"""The commands of `yolo-mlsam reading`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

reading = typer.Typer(
    no_args_is_help=True, help="Double reading: two blind readers, their agreement, an arbiter for the rest."
)

ProjectId = Annotated[int, typer.Option("--project", help="Project whose images are read twice.", min=1)]
LeastDice = Annotated[float | None, typer.Option(help="Least Dice of two outlines that agree.", min=0, max=1)]
MostBoundary = Annotated[
    float | None, typer.Option("--most-boundary-mm", help="Largest mean distance of the outlines.", min=0)
]
MatchIou = Annotated[
    float | None, typer.Option(help="IoU of two boxes that may be one lesion.", min=0, max=1)
]
MatchCentres = Annotated[
    bool | None,
    typer.Option("--match-centres/--no-match-centres", help="A centre in the other box is enough."),
]
Consensus = Annotated[str | None, typer.Option(help="intersection, union or staple.")]
Rounds = Annotated[int | None, typer.Option(help="Blind rounds before the arbiter.", min=1, max=3)]
SecondLook = Annotated[
    str | None, typer.Option(help="What a later round begins with: own (reading) or nothing.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]
S3Key = Annotated[
    str, typer.Option(envvar="AWS_ACCESS_KEY_ID", help="S3 access key, for images in a bucket.")
]
S3Secret = Annotated[str, typer.Option(envvar="AWS_SECRET_ACCESS_KEY", help="S3 secret key.")]


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
    """Make a project for each reader and one for the arbiter, with a task for every image. Safe to repeat."""
    from cli.reading.running import create_command

    emails = {"reader-1": reader_1, "reader-2": reader_2, "arbiter": arbiter}
    rules = _rules(least_dice, most_boundary, match_iou, match_centres, consensus, rounds, second_look)
    create_command(project, rules=rules, emails=emails, s3_keys=(s3_key, s3_secret))


@reading.command()
def sync(project: ProjectId, s3_key: S3Key = "", s3_secret: S3Secret = "") -> None:
    """Put projects and tasks in step, and compare annotations with Label Studio. Safe to repeat and to interrupt."""
    from cli.reading.running import step_command

    step_command("sync", project, s3_keys=(s3_key, s3_secret))


@reading.command("second-look")
def second_look(project: ProjectId, s3_key: S3Key = "", s3_secret: S3Secret = "") -> None:
    """Give both readers again what they disagree on, each blind to the other."""
    from cli.reading.running import step_command

    step_command("second-look", project, s3_keys=(s3_key, s3_secret))


@reading.command()
def arbitrate(project: ProjectId, s3_key: S3Key = "", s3_secret: S3Secret = "") -> None:
    """Give the arbiter what the readers disagree on after the last round, as reading A and reading B."""
    from cli.reading.running import step_command

    step_command("arbitrate", project, s3_keys=(s3_key, s3_secret))


@reading.command()
def status(project: ProjectId, as_json: AsJson = False) -> None:
    """Print how far a double reading is, and what it waits for."""
    from cli.reading.showing import status_command

    status_command(project, as_json=as_json)


@reading.command()
def agreement(project: ProjectId, as_json: AsJson = False) -> None:
    """Print how well the two readers agree: lesions, Dice, boundary, Cohen's kappa per patient, and every case."""
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
    """Print the rules of a double reading; with options, change those. What was agreed on is then judged anew."""
    from cli.reading.showing import rules_command

    changes = _rules(least_dice, most_boundary, match_iou, match_centres, consensus, rounds, second_look)
    rules_command(project, changes=changes)


@reading.command("list")
def list_readings() -> None:
    """Print the projects that are read twice."""
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
    """The rules that were named."""
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
