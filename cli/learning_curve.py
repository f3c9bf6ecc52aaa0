"""`yolo-mlsam runs curve`: the learning curve of a project, of its runs or measured anew, and what it forecasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.site_choice import changing_site
from cli.text_console import text_console

if TYPE_CHECKING:
    from mammo.errors import InsufficientData
    from mammo.site import Site


def curve(
    project: Annotated[int, typer.Option(help="Label Studio project.", min=1)],
    compute: Annotated[
        bool,
        typer.Option(
            "--compute",
            help="Measure 25, 50, 75 and 100 % of the corrected patients now, in this process: minutes to an hour.",
        ),
    ] = False,
    gain: Annotated[
        float, typer.Option(help="Gain of the score that the gate is to tell.", min=0.001, max=0.5)
    ] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how the score grows with corrected patients, and how many more the gate needs to tell a gain.

    Without --compute, the points are those that judged runs have left behind, and nothing is changed. All points are
    measured on the same held-out patients. Intervals hold 80 % of the time (docs/benchmarks.md).
    """
    from mammo.site import Site

    if compute:
        with changing_site() as site:
            content = measured(project, site, gain=gain)
    else:
        with Site.load() as site:
            content = read(project, site, gain=gain)
    if as_json:
        text_console().print_json(data=content)
        return
    console = text_console(soft_wrap=True, highlight=False)
    for line in lines_of(content):
        console.print(line)


def read(project: int, site: Site, *, gain: float) -> dict[str, Any]:
    """Return the curve of a project, as JSON values: that of its runs, or, if that has no law, the one kept.

    Raises:
        InsufficientData: no run of the project was judged, and no curve was measured.
    """
    from mammo.runs import Runs

    if not site.runs.runs.newest(project=project, limit=1) and site.learning_curves.newest(project) is None:
        raise _unjudged(project)
    from training.learning_curve.runs import curve_from_runs, gate_rule

    rule = gate_rule(site.settings)
    of_runs = curve_from_runs(project, runs=Runs(site.engine), blobs=site.blobs, rule=rule, gain=gain)
    kept = site.learning_curves.newest(project)
    if of_runs is None and kept is None:
        raise _unjudged(project)
    if of_runs is None:
        return kept or {}
    content = of_runs.to_json()
    if content["law"] is None and kept is not None and kept["law"] is not None:
        return {**kept, "missing": content["missing"], "sentence": content["sentence"]}
    return content


def _unjudged(project: int) -> InsufficientData:
    from mammo.errors import InsufficientData

    return InsufficientData(
        f"no run of project {project} has been judged: `yolo-mlsam runs start --project {project} --provisional` "
        "starts one that needs five corrected images"
    )


def measured(project: int, site: Site, *, gain: float) -> dict[str, Any]:
    """Measure the shares of the newest dataset version, keep the curve, and return it as JSON values.

    Raises:
        InsufficientData: the project has no dataset version, or too few patients.
        Cancelled: interrupted; the same command continues.
    """
    from cli.progress import progress_bar
    from mammo.database import reading
    from mammo.errors import InsufficientData
    from mammo.runs import require_trainable
    from training.datasets.versions import newest_name, open_dataset_version
    from training.learning_curve.curve import Judged, curve_of
    from training.learning_curve.runs import gate_rule
    from training.learning_curve.shares import measure_shares
    from training.provisional.recipes import PROVISIONAL_RECIPES
    from worker.retraining import retrain_context

    require_trainable(project, engine=site.engine)
    with reading(site.engine) as connection:
        name = newest_name(connection, project)
    if name is None:
        raise InsufficientData(
            f"project {project} has no dataset version; make one with `yolo-mlsam dataset build --project {project}`"
        )
    context = retrain_context(site)
    dataset = open_dataset_version(name, blobs=site.blobs)
    champion = site.registry.champion()
    recipe = "provisional-smoke" if site.settings.recipe == "smoke" else "provisional"
    with progress_bar("learning curve") as bar:
        shares = measure_shares(
            dataset,
            champion=site.registry.files(champion.version, into=site.settings.models),
            recipe=PROVISIONAL_RECIPES[recipe],
            context=context,
            folder=site.settings.runs / f"curve-{project}-{name[:12]}-{champion.version}",
            progress=bar,
        )
    result = curve_of(
        shares.measurements,
        Judged(shares.champion, shares.measurements[-1].evaluation, dataset.num_patients("test")),
        rule=gate_rule(site.settings),
        method="each point is a training by the recipe of provisional models on a share of the patients",
        gain=gain,
    )
    site.learning_curves.append(project, result.to_json(), run="")
    return result.to_json()


def lines_of(content: dict[str, Any]) -> list[str]:
    """Return a curve in lines: points, law, forecasts, and the sentence."""
    lines = [
        f"score: {content['measure']}, on {content['held_out']} held-out patients; 80 % intervals in brackets",
        content["method"],
    ]
    lines += [
        f"  {point['patients']:>5} patients  {_interval(point)}  {point['source']}"
        for point in content["points"]
    ]
    law = content["law"]
    if law is None:
        lines.append(
            "too few points for a power law: it needs three runs on different numbers of patients, or `--compute`"
        )
    else:
        lines.append(
            f"power law: exponent {_interval(law['exponent'])}, "
            f"with any number of patients {_interval(law['asymptote'])}"
        )
        lines += [
            f"  {each['patients']:>5} patients  {_interval(each)}  forecast" for each in law["forecast"]
        ]
    return [*lines, content["sentence"]]


def _interval(figure: dict[str, Any]) -> str:
    values = [figure[name] for name in ("value", "low", "high")]
    value, low, high = ("-" if each is None else f"{each:.3f}" for each in values)
    return f"{value} ({low} to {high})"
