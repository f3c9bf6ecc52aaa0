"""`yolo-mlsam stage`: what the model may do in a project; shown, proposed and changed with its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    pass

stage = typer.Typer(help="What the model may do in a project.", no_args_is_help=True)

Project = Annotated[int, typer.Argument(help="Label Studio project id.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@stage.command()
def show(project: Project, as_json: AsJson = False) -> None:
    """The stage, what is measured, what the rules propose, and every change so far."""
    from rich.console import Console

    from cli.stage_tables import as_text, history_table, proposal_table
    from mammo.site import Site

    with Site.load() as site:
        report = site.stages.show(project)
    console = Console(soft_wrap=True)
    if as_json:
        console.print_json(as_text(report))
        return
    console.print(f"project {project}: {report.stage}, model {report.evidence.model_version}")
    console.print(proposal_table(report))
    console.print(history_table(report))


@stage.command()
def propose(project: Project, as_json: AsJson = False) -> None:
    """What the rules say, and nothing else; changes nothing. Exit code 3: another stage is proposed."""
    from rich.console import Console

    from cli.stage_tables import as_text, proposal_table
    from mammo.errors import LabelStudioError
    from mammo.site import Site

    with Site.load() as site:
        report = site.stages.show(project)
    console = Console(soft_wrap=True)
    if report.evidence.problem:
        raise LabelStudioError(report.evidence.problem)
    if as_json:
        console.print_json(as_text(report.proposal))
    else:
        console.print(proposal_table(report))
    raise typer.Exit(3 if report.proposal.stage != report.stage else 0)


@stage.command("set")
def set_(
    project: Project,
    to: Annotated[Literal["assisted", "semi-automatic", "automatic"], typer.Argument(metavar="STAGE")],
    reason: Annotated[str, typer.Option(help="Why; it stays in the audit log.")],
    override: Annotated[
        bool, typer.Option("--override", help="Although the rules are not met; the log says so.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(help="automatic: score to reach, instead of the calibrated one.", min=0.01, max=1.0),
    ] = None,
) -> None:
    """Change the stage; the log keeps who, when, why and on what evidence."""
    from rich.console import Console

    from cli.models.names import who
    from mammo.site import Site

    with Site.load() as site:
        change = site.stages.set(
            project, to, actor=who(), reason=reason, override=override, threshold=threshold
        )
    text = f"project {project}: {change.before} -> {change.stage}"
    if change.threshold is not None:
        text += f"; predictions of {change.model_version} from {change.threshold:.2f} on"
    Console(soft_wrap=True).print(text)
