"""`yolo-mlsam words`: whether the model may propose BI-RADS words in a project, measured on its corrections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.site_choice import changing_site
from cli.text_console import text_console

if TYPE_CHECKING:
    from mammo.words.records import KeptHead

words = typer.Typer(
    help="Whether the model proposes morphology and distribution; off until a project has measured it.",
    no_args_is_help=True,
)

Project = Annotated[int, typer.Option(help="Label Studio project id.", min=1)]
Reason = Annotated[str, typer.Option(help="Why; recorded in the audit log.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@words.command()
def fit(project: Project, as_json: AsJson = False) -> None:
    """Fit a head on the newest dataset version and measure it on held-out patients. Switches nothing on.

    Examples are findings that a model outlined that did not learn from the patient, with the words that people said;
    `yolo-mlsam labels search` predicts the tasks that lack such a prediction.
    """
    from cli.progress import progress_bar
    from training.words.fitting import fit_words
    from training.words.rule import WordRule

    with changing_site() as site:
        with progress_bar("reading") as progress:
            content = fit_words(project, site=site, rule=WordRule(), progress=progress)
        _print(site.word_heads.keep(content), site.word_heads.on(project), as_json=as_json)


@words.command()
def show(project: Project, as_json: AsJson = False) -> None:
    """Show the newest head of a project: what it was measured to be right about, and what each word still needs."""
    from mammo.site import Site

    with Site.load() as site:
        newest, on = site.word_heads.newest(project), site.word_heads.on(project)
    if newest is None:
        text_console().print(
            f"project {project} has no head: the model proposes no words. `yolo-mlsam words fit --project {project}` "
            "fits and measures one"
        )
        return
    _print(newest, on, as_json=as_json)


@words.command("on")
def turn_on(project: Project, reason: Reason) -> None:
    """Let the newest head propose its words in predictions from now on; refused while the rule allows none."""
    from cli.current_user import current_user

    with changing_site() as site:
        site.make_room()
        head = site.word_heads.turn_on(project, reason=reason, actor=current_user())
    text_console(soft_wrap=True, highlight=False).print(
        f"project {project}: the model proposes {', '.join(head.proposes)} (head {head.name[:12]}), in predictions "
        "that are made from now on"
    )


@words.command("off")
def turn_off(project: Project, reason: Reason) -> None:
    """Propose no words in predictions from now on; predictions that are there keep theirs."""
    from cli.current_user import current_user

    with changing_site() as site:
        site.make_room()
        name = site.word_heads.turn_off(project, reason=reason, actor=current_user())
    text_console(soft_wrap=True, highlight=False).print(
        f"project {project}: head {name[:12]} proposes no words any more"
    )


def _print(head: KeptHead, on: KeptHead | None, *, as_json: bool) -> None:
    from rich.table import Table

    if as_json:
        state = {"on": on.name if on else None, "on_by": on.on_by if on else None}
        text_console(soft_wrap=True).print_json(data={"name": head.name, **state, **head.content})
        return
    console = text_console(soft_wrap=True, highlight=False)
    console.print(
        f"project {head.project}: head {head.name[:12]}, measured on dataset version {head.dataset[:12]}",
        markup=False,
    )
    for name, each in head.content["descriptors"].items():
        _print_figures(name, each)
        if each["words"]:
            table = Table(name, "findings", "patients", "recall", "precision", "sure", "right where sure")
            for row in each["words"]:
                table.add_row(row["word"], str(row["findings"]), str(row["patients"]), *_figures(row))
            console.print(table)
        if each["agreement"]:
            agreement = each["agreement"]
            console.print(
                f"readers say the same {name} of {agreement['observed']:.3f} of {agreement['compared']} findings"
            )
        if each["proposed_before"]:
            console.print(f"{each['proposed_before']} of the words were proposed before people kept them")
    for sentence in head.sentences:
        console.print(sentence, markup=False)
    for reason, count in sorted(head.content["left_out"].items()):
        console.print(f"left out: {count} described findings, {reason}", markup=False)
    if on is None:
        console.print("off: the model proposes no words")
    else:
        same = "this head" if on.name == head.name else f"head {on.name[:12]}, an earlier one,"
        console.print(f"on since {on.on_since:%Y-%m-%d}, by {on.on_by}: {same} proposes", markup=False)


def _print_figures(name: str, descriptor: dict[str, Any]) -> None:
    """Print the figures of a descriptor on held-out patients, with its confusion matrix."""
    from rich.table import Table

    held_out = descriptor.get("held_out")
    if not held_out or not held_out["findings"]:
        return
    console = text_console(soft_wrap=True, highlight=False)
    console.print(
        f"{name}: {held_out['findings']} held-out findings of {held_out['patients']} patients, accuracy "
        f"{_interval(held_out['accuracy'])}, most frequent word alone {held_out['most_frequent']:.3f}, calibration "
        f"error {held_out['calibration_error']:.3f}; the bar is {descriptor['bar']:.2f}"
    )
    words = [row["word"] for row in descriptor["words"]]
    table = Table(f"{name}: is \\ said", *words)
    for word, row in zip(words, held_out["confusion"], strict=True):
        table.add_row(word, *map(str, row))
    console.print(table)


def _figures(row: dict[str, Any]) -> list[str]:
    if "sure" not in row:
        return ["-"] * 4
    sure = row["sure"]
    right = "-" if sure["precision"] is None else f"{sure['precision']:.3f} (at least {sure['low']:.3f})"
    return [
        _interval(row["recall"]),
        _interval(row["precision"]),
        f"{sure['findings']} from {row['threshold']:.2f}",
        right,
    ]


def _interval(figure: list[float | None]) -> str:
    value, low, high = ("-" if each is None else f"{each:.3f}" for each in figure)
    return value if value == "-" else f"{value} ({low}-{high})"
