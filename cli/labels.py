"""`yolo-mlsam labels`: labels that are probably wrong."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.site_choice import changing_site
from cli.text_console import text_console

if TYPE_CHECKING:
    from mammo.runs.jobs import JobStatus
    from mammo.site import Site

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

    from mammo.second_looks import learned_sentence
    from mammo.site import Site
    from training.datasets.versions import newest_dataset_version
    from training.second_look import second_look, stored_predictions
    from training.second_look.unlearned import Lineage
    from worker.looking_again import tasks_learned

    with Site.load() as site:
        dataset = newest_dataset_version(project, engine=site.engine, blobs=site.blobs)
        hasty = {(each.annotation, each.image) for each in site.efforts(project).records if each.hasty}
        lineage = Lineage(site.registry, site.blobs)
        predictions = stored_predictions(dataset, store=site.store, lineage=lineage, tags=site.tags(project))
        look = second_look(dataset, predictions, hasty=hasty)
        serving = site.serving(project)
        learned = tasks_learned(dataset, lineage.patients(serving))
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
                "serving": serving,
                "learned": learned,
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
    if learned:
        console.print(learned_sentence(serving, len(learned)))


@labels.command()
def search(
    project: Annotated[int, typer.Option(help="Label Studio project id.", min=1)],
    predictions: Annotated[
        int,
        typer.Option(
            help="Most tasks to predict, because no stored prediction may be used.", min=0, max=10_000
        ),
    ] = 200,
    folds: Annotated[
        int,
        typer.Option(
            help="Predict each of so many folds of the patients by a model that is trained on the others; "
            "0: use predictions of models that exist.",
            min=0,
            max=20,
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of the split into folds.", min=0)] = 0,
) -> None:
    """Search the newest dataset version for doubtful labels, on a worker, and record them for *Look again*.

    Without --folds, each task is predicted by the newest champion that did not learn from its patient, or by the
    starter. With --folds 5, every fifth of the patients is predicted by a model that was fine-tuned on the other four
    from a version that learned from none of them: a training per fold. Stopped or cancelled, the same command goes on
    with the fold where it was.
    """
    from mammo.runs.payloads import LookAgain

    if folds == 1:
        raise typer.BadParameter("one fold leaves nobody to learn from: 0, or at least 2 folds")
    with changing_site() as site:
        job = site.queue.enqueue_look_again(LookAgain(project, predictions, folds, seed))
    state = "is queued" if job.created else "was active already"
    text_console(soft_wrap=True).print(
        f"the search {state} as {job.job_id}; `labels doubts` lists what it finds"
    )


@labels.command("cancel-search")
def cancel_search(
    project: Annotated[int, typer.Option(help="Label Studio project id.", min=1)],
) -> None:
    """Cancel the search of a project that waits or runs. The recorded doubts stay, and complete folds are kept."""
    from cli.current_user import current_user

    with changing_site() as site:
        job = site.queue.cancel_looking_again(project, actor=current_user())
    text_console(soft_wrap=True).print(
        f"no search of project {project} is active" if job is None else f"{job} is cancelled"
    )


@labels.command("doubts")
def doubts(
    project: Annotated[int, typer.Option(help="Label Studio project id.", min=1)],
    limit: Annotated[int, typer.Option(help="Maximum number of doubts.", min=1, max=100_000)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the doubts that searches have recorded, those that were sent back, and the precision so far."""
    from rich.table import Table

    from mammo.runs.jobs import ACTIVE
    from mammo.second_looks import sentences
    from mammo.site import Site

    with Site.load() as site:
        records = site.second_looks.records
        found = records.ranked(project, limit=limit, is_open=True)
        sent = records.ranked(project, limit=limit, is_open=False)
        precision = site.second_looks.precision(project)
        newest = records.newest_search(project)
        job = _job(site, project)
    console = text_console(soft_wrap=True)
    if as_json:
        groups = {name: [each.to_json() for each in found] for name, found in precision.items()}
        lists = {"open": [each.to_json() for each in found], "sent": [each.to_json() for each in sent]}
        facts = {"project": project, "search": newest, "job": job and asdict(job)}
        console.print_json(data={**facts, **lists, "precision": groups})
        return
    table = Table("score", "what", "task", "annotation", "state")
    for each in (*found, *sent):
        table.add_row(f"{each.score:.2f}", each.sentence, str(each.task), str(each.annotation), each.state)
    console.print(table)
    for sentence in sentences(newest) if newest else ["no search was made yet; `labels search` makes one"]:
        console.print(sentence)
    if job is not None and (job.state in ACTIVE or job.error):
        console.print(f"{job.id} is {job.state}, {job.progress:.0%}: {job.error or job.message}")
    for group in (*precision["all"], *precision["cause"], *precision["score"]):
        console.print(
            f"{group.group}: {group.changed} of {group.answered} labels were changed by their readers"
        )


@labels.command("send-back")
def send_back(
    project: Annotated[int, typer.Option(help="Label Studio project id.", min=1)],
    limit: Annotated[int, typer.Option(help="Maximum number of doubts.", min=1, max=500)] = 20,
) -> None:
    """Send the strongest recorded doubts back to the readers of the labels.

    Each reader finds them in Label Studio in a tab *Second look* with the own name. A submitted or updated annotation
    is the answer, also if nothing was changed.
    """
    from cli.current_user import current_user

    with changing_site() as site:
        site.make_room()
        sent = site.second_looks.send_back(project, limit=limit, actor=current_user())
    text_console(soft_wrap=True).print(
        f"project {project}: {sent.doubts} doubts about {sent.tasks} tasks were sent back to {len(sent.tabs)} readers"
        + (f"; {sent.gone} are about tasks that are gone" if sent.gone else "")
    )


def _job(site: Site, project: int) -> JobStatus | None:
    """Return the newest search in the queue; None if there is none, or the queue does not answer."""
    from mammo.errors import MammoError

    try:
        return site.queue.looking_again(project)
    except MammoError:  # the recorded doubts are listed without it
        return None
