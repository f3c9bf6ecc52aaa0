"""The parts of an evidence pack, read from what is recorded. Readers have pseudonyms; no image is in it.

A project's pack is about the model that serves it, its readers and its runs; the installation's about its champion.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from backend.card_document import CardDocument
from backend.evidence_pack.data_sheet import data_sheet
from backend.evidence_pack.part import Part, Row, Table
from backend.evidence_pack.software import bill_of_materials
from backend.model_cards import card
from backend.model_evidence import describe, verdict_record
from mammo.audit.export import FIELDS, csv_row
from mammo.efforts.effort_records import grouped
from mammo.errors import UnknownProject
from mammo.lenient_json import dumps
from mammo.models.learned_from import learned_from
from mammo.runs import Run
from mammo.site import Site
from mammo.verdicts.record import VerdictRecord
from mammo.verdicts.report import figure_rows

MAX_RUNS = 1000


def gather(site: Site, project: int | None) -> list[Part]:
    """Read the parts.

    Args:
        project: None: of the installation's champion, without what only projects have (readers, learning curve).

    Raises:
        UnknownProject: nothing is recorded of the project.
        InvalidWeights: the dataset version or the verdict of the serving model is damaged.
        StorageUnavailable: the database or the store of blobs does not answer.
    """
    if project is None:
        champion = site.registry.champion().version
        return [*_of_model(site, champion), _history(site, None), _audit(site), _software()]
    if project not in {*site.store.projects(), *site.runs.runs.projects()}:
        raise UnknownProject(
            f"nothing is recorded of project {project}; `yolo-mlsam runs list` shows projects"
        )
    return [
        *_of_model(site, site.serving(project)),
        _history(site, project),
        _curve(site.learning_curves.newest(project)),
        _readers(site, project),
        _bias(site, project),
        _audit(site),
        _software(),
    ]


def _of_model(site: Site, version: str) -> list[Part]:
    model = card(site.registry, version)
    dataset = model.manifest.get("dataset_version")
    return [
        _model(describe(site, version), site.weights_of(version)),
        data_sheet(learned_from(dataset, blobs=site.blobs) if isinstance(dataset, str) else None),
        _verdict(verdict_record(site, model)),
    ]


def _model(document: CardDocument, weights: Sequence[str]) -> Part:
    tables, sentences = [], []
    for section in document.sections:
        if section.rows:
            tables.append(Table(caption=section.title, columns=("", ""), rows=section.rows))
        sentences += [f"{section.title}: {each}" for each in section.sentences]
    tables.append(
        Table(
            caption="Weights",
            columns=("network", "SHA-256"),
            rows=tuple(tuple(each.split(" ")) for each in weights),
        )
    )
    return Part(
        file="model-card.json",
        title=f"Model {document.version}",
        content=_json({**document.to_json(), "weights": list(weights)}),
        sentences=tuple(sentences),
        tables=tuple(tables),
    )


def _verdict(record: VerdictRecord | None) -> Part:
    file, title = "verdict.json", "Verdict of the gate"
    if record is None:
        sentence = "No gate has judged this model here, or the record of its verdict was not kept."
        return Part(file=file, title=title, content=b"null\n", sentences=(sentence,))
    facts: dict[str, Any] = {
        "run": record.run,
        "reason": record.reason,
        "promote": record.promote,
        "verdict": record.verdict,
        "champion": record.champion.model_dump(mode="json"),
        "challenger": record.challenger.model_dump(mode="json"),
    }
    rows = tuple((name, *(_figure(each) for each in values)) for name, *values in figure_rows(record.verdict))
    curves = tuple(_curve_table(role, facts[role]) for role in ("champion", "challenger"))
    return Part(
        file=file,
        title=title,
        content=_json(facts),
        sentences=(
            f"{record.reason}.",
            "Both models were run on the same held-out patients, at their own thresholds.",
        ),
        tables=(
            Table(caption="Figures", columns=("figure", "champion", "challenger", "allowed loss"), rows=rows),
            *curves,
        ),
    )


def _curve_table(role: str, model: Mapping[str, Any]) -> Table:
    curve = model["curve"] or {}
    columns = tuple(name for name, values in curve.items() if isinstance(values, list))
    rows = zip(*(curve[name] for name in columns), strict=False) if columns else ()
    return Table(
        caption=f"FROC of the {role}, {model['version']}, with its band",
        columns=tuple(name.replace("_", " ") for name in columns),
        rows=tuple(tuple(_figure(each) for each in row) for row in rows),
    )


def _history(site: Site, project: int | None) -> Part:
    runs = [run for run in site.runs.runs.newest(project=project, limit=MAX_RUNS) if not run.active]
    whose = "Runs" if project is None else "Runs of the project"
    moves = site.registry.history()
    return Part(
        file="gate-history.json",
        title="What the gate has decided until now",
        content=_json(
            {"runs": [run.to_json() for run in runs], "champions": [asdict(each) for each in moves]}
        ),
        tables=(
            Table(
                caption=f"{whose} that have ended, newest first, at most {MAX_RUNS}",
                columns=("created", "run", "state", "recipe", "why"),
                rows=tuple(_run_row(site, run) for run in runs),
            ),
            Table(
                caption="Champions of the installation",
                columns=("since", "version", "move", "who", "why"),
                rows=tuple(
                    (
                        each.at.isoformat(timespec="seconds"),
                        each.version,
                        each.kind,
                        each.actor or "-",
                        each.reason,
                    )
                    for each in moves
                ),
            ),
        ),
    )


def _run_row(site: Site, run: Run) -> Row:
    reason = site.runs.runs.result(run.id, "outcome").get("reason") or run.error or run.reason
    return (run.created_at.isoformat(timespec="seconds"), run.id, run.state, run.recipe, str(reason))


def _curve(curve: Mapping[str, Any] | None) -> Part:
    file, title = "learning-curve.json", "Learning curve"
    if curve is None:
        sentence = "None is recorded; `yolo-mlsam runs curve` makes one."
        return Part(file=file, title=title, content=b"null\n", sentences=(sentence,))
    rows = tuple(
        (str(point["patients"]), *(_figure(point[name]) for name in ("value", "low", "high")))
        for point in curve["points"]
    )
    return Part(
        file=file,
        title=title,
        content=_json(curve),
        sentences=(
            f"{curve['sentence']}.",
            f"Score: {curve['measure']}, on {curve['held_out']} held-out patients; {curve['method']}.",
        ),
        tables=(
            Table(caption="Score by patients", columns=("patients", "score", "80 % from", "to"), rows=rows),
        ),
    )


def _readers(site: Site, project: int) -> Part:
    found = site.readers(project).to_json(since=None, until=None, with_names=False)
    return Part(
        file="readers.json",
        title="Readers",
        content=_json(found),
        sentences=(
            "Readers have pseudonyms. The agreement of pairs, and hits on known cases, are in the file.",
        ),
        tables=(_table("Who read what", found["readers"]), _table("How alike", found["pairs"])),
    )


def _bias(site: Site, project: int) -> Part:
    efforts = site.efforts(project)
    groups = {arm: summary.to_json() for (arm,), summary in grouped(efforts.records, ["arm"]).items()}
    return Part(
        file="automation-bias.json",
        title="Signs of automation bias",
        content=_json({"arms": groups, "unreadable": len(efforts.unreadable)}),
        sentences=(
            "control: images read without a prelabel (YOLO_MLSAM_BLIND_SHARES), compared with the silent one.",
            "If readers leave more findings and add fewer where a prelabel was shown, it may have led them.",
            "hasty: a prelabel with findings that was accepted unchanged in less than 10 s.",
            f"{len(efforts.unreadable)} corrections cannot be read, and are not counted.",
        ),
        tables=(_table("Edit effort by arm", [{"arm": arm, **summary} for arm, summary in groups.items()]),),
    )


def _audit(site: Site) -> Part:
    checked = site.access.trail.verify()
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(FIELDS)
    writer.writerows(csv_row(entry) for entry in site.access.trail.entries())
    whole = "is whole" if checked.problem is None else f"IS BROKEN: {checked.problem}"
    return Part(
        file="audit.csv",
        title="Audit trail of the installation",
        content=text.getvalue().encode(),
        sentences=(
            f"The chain of {checked.num_entries} entries {whole}. Its newest hash is {checked.head}.",
        ),
    )


def _software() -> Part:
    bill = bill_of_materials()
    rows = tuple((each["name"], each["version"]) for each in bill["components"])
    return Part(
        file="software.cdx.json",
        title="Software",
        content=_json(bill),
        sentences=(
            f"yolo-mlsam {bill['metadata']['component']['version']} and what it needs, as installed here (CycloneDX).",
        ),
        tables=(Table(caption=f"{len(rows)} libraries", columns=("name", "version"), rows=rows),),
    )


def _table(caption: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """A table of flat objects; what is nested is in the file only."""
    names = [key for key, value in rows[0].items() if not isinstance(value, dict | list)] if rows else []
    return Table(
        caption=caption,
        columns=tuple(name.replace("_", " ") for name in names),
        rows=tuple(tuple(_figure(row.get(name)) for name in names) for row in rows),
    )


def _figure(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _json(value: object) -> bytes:
    return dumps(value) + b"\n"
