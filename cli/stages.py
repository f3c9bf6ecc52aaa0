"""`yolo-mlsam stage`: show, propose and change what the model may do in a project."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cli.site_choice import changing_site
from cli.text_console import text_console

stage = typer.Typer(help="What the model may do in a project.", no_args_is_help=True)

Project = Annotated[int, typer.Argument(help="Label Studio project id.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@stage.command()
def show(project: Project, as_json: AsJson = False) -> None:
    """Show the stage, its evidence, the rules' proposal, and every change so far."""

    from cli.stage_tables import history_table, proposal_table, to_json
    from mammo.site import Site

    with Site.load() as site:
        report = site.stages.show(project)
    console = text_console(soft_wrap=True)
    if as_json:
        console.print_json(to_json(report))
        return
    console.print(f"project {project}: {report.stage}, model {report.evidence.model_version}")
    console.print(proposal_table(report))
    console.print(history_table(report))


@stage.command()
def propose(project: Project, as_json: AsJson = False) -> None:
    """Show the rules' proposal. Changes nothing. Exit code 3: another stage is proposed."""

    from cli.stage_tables import proposal_table, to_json
    from mammo.errors import LabelStudioError
    from mammo.site import Site

    with Site.load() as site:
        report = site.stages.show(project)
    console = text_console(soft_wrap=True)
    if report.evidence.problem:
        raise LabelStudioError(report.evidence.problem)
    if as_json:
        console.print_json(to_json(report.proposal))
    else:
        console.print(proposal_table(report))
    raise typer.Exit(3 if report.proposal.stage != report.stage else 0)


@stage.command("set")
def set_(
    project: Project,
    to: Annotated[Literal["assisted", "semi-automatic", "automatic"], typer.Argument(metavar="STAGE")],
    reason: Annotated[str, typer.Option(help="Why; recorded in the audit log.")],
    override: Annotated[
        bool,
        typer.Option("--override", help="Change the stage against the rules; recorded in the audit log."),
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(help="automatic: score threshold, instead of the calibrated one.", min=0.01, max=1.0),
    ] = None,
) -> None:
    """Change the stage. The audit log records who, when, why, and the evidence."""

    from cli.current_user import current_user

    with changing_site() as site:
        site.make_room()
        change = site.stages.set(
            project, to, actor=current_user(), reason=reason, override=override, threshold=threshold
        )
    text = f"project {project}: {change.before} -> {change.stage}"
    if change.threshold is not None:
        text += f"; predictions of {change.model_version} with a score of at least {change.threshold:.2f}"
    text_console(soft_wrap=True).print(text)
