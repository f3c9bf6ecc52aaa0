"""What annotators see of a project of exams besides the config: its first tab, and its instructions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mammo.exam_views import EXAM_TITLE, EXAM_VIEWS, FINDINGS_COLUMN, NOTE_COLUMN, PRIOR, PSEUDONYM
from mammo.identifiers import pseudonym
from mammo.labelstudio.project_tabs import SELDOM_READ
from mammo.labelstudio.shown_version import VERSION_CONTROL

TAB_TITLE = "Exams"

NOT_ABOUT_IMAGES = (*SELDOM_READ, "tasks:annotators", "tasks:reviewers", "tasks:comment_count")
"""Columns of Label Studio that say nothing about an exam or an image."""

_HIDDEN_FACTS = ("mammogram", "sha256", "spacing_mm", "view", "laterality", "converted", "title")
"""Facts about each view that are for the service."""

_HIDDEN_KEYS = ("patient", "exam", "exam_title", "prior")
"""Keys of the exam that are for the service, or are said in other columns."""

INSTRUCTIONS = """<h3>Four views, one outline per finding</h3>
<p>Outlines of the model are a proposal, and often wrong. What you submit is the truth that it learns from.</p>
<ul>
<li><b>Right, and nothing missing:</b> submit, <b>Ctrl + Enter</b>.</li>
<li><b>Not a finding:</b> click its outline, press <b>Backspace</b>. Ctrl + Z brings it back.</li>
<li><b>Outline wrong:</b> click it and drag its corners.</li>
<li><b>Missed:</b> switch on Auto-Annotation and Auto-Accept Suggestions, take the pink point tool of the view, press
<b>1</b> and click a bright point of the cluster.</li>
<li><b>Look closer:</b> <b>6</b> both CC, <b>7</b> both MLO, <b>8</b> right, <b>9</b> left, <b>5</b> all four;
<b>I</b> inverts, <b>U</b> raises the contrast,
<b>0</b> shows the earlier exam; Ctrl + wheel zooms.</li>
<li><b>Words:</b> click an outline, then press the key that stands beside a word below the images; the last line is
about the exam. All are optional. Write no names into a comment.</li>
<li><b>Nothing there:</b> delete what is drawn and submit. An empty exam counts as much as a full one.</li>
</ul>"""
"""HTML of the page behind the button Instructions."""


def exam_tab() -> dict[str, Any]:
    """Return the tab of the data manager: pseudonym, pictures and names of the views, findings, note, score, version.

    Exams are in the order of their patients, because Label Studio orders a tab by one column only.
    """
    facts = [view.fact_key(fact) for view in EXAM_VIEWS for fact in _HIDDEN_FACTS]
    data = [f"tasks:data.{key}" for key in [*facts, *_HIDDEN_KEYS]]
    others = [f"tasks:data.{view.key}" for view in EXAM_VIEWS[1:]]
    hidden = [*NOT_ABOUT_IMAGES, *data]
    return {
        "title": TAB_TITLE,
        "type": "list",
        "target": "tasks",
        "hiddenColumns": {"explore": hidden, "labeling": [*hidden, *others]},
        "ordering": ["tasks:data.patient"],
    }


def exam_columns(result: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the list of tasks says about the prediction of an exam: number of findings, and the model's notes.

    Args:
        result: of the prediction.
    """
    results = [each for each in result if each.get("from_name") != VERSION_CONTROL]
    found = {each.get("id") for each in results if "original_width" in each}
    written = [each["value"] for each in results if each.get("type") == "textarea" and "value" in each]
    notes = [line for value in written for line in value.get("text", ())]
    return {FINDINGS_COLUMN: len(found), NOTE_COLUMN: " ".join(dict.fromkeys(notes))}


def named_patient(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the data of an exam's task say of its patient to people, with the pseudonym in place of the key.

    Tasks of earlier releases lack the pseudonym, and have the key in their header and above the earlier exam.

    Args:
        data: of the task.
    """
    key = str(data.get("patient") or "")
    shown = {name: data[name] for name in (EXAM_TITLE, PRIOR) if isinstance(data.get(name), str)}
    if not key:
        return shown
    changed = {
        name: text.replace(f"Patient {key}", f"Patient {pseudonym(key)}") for name, text in shown.items()
    }
    return {PSEUDONYM: pseudonym(key), **changed}
