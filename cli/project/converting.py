"""`yolo-mlsam project convert`: a project of one-image tasks becomes a new project of exams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from cli.project.connecting import INSTRUCTED, read_config, require_usable
from mammo.errors import InvalidSettings
from mammo.exchange.conversion.moving import converted_exams, copy_local_storages, headers_in, move_tasks
from mammo.exchange.conversion.plan import ConversionPlan, plan_conversion
from mammo.exchange.conversion.translation import Translation
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.config_review import review_config
from mammo.labelstudio.exam_config import exam_config
from mammo.labelstudio.exam_page import exam_tab
from mammo.site import Site

PROJECT_FIELDS = ("description", "expert_instruction", "show_instruction", "maximum_annotations")
"""Settings of Label Studio that the new project takes over."""

INCOMPLETE = 2
"""Exit code if something stays behind."""


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Options of `project convert`."""

    project: int
    """The project of one-image tasks, which is not changed."""

    title: str | None = None
    """Of the new project; None: that of the old one, and `(exams)`."""

    config: Path | None = None
    """File of the new labeling config; None: the built-in one."""

    leave_out: Sequence[str] = ()
    """Controls whose results are not moved."""

    descriptors: bool = True
    """Whether the built-in labeling config asks for words of BI-RADS and comments."""

    one_exam_per_patient: bool = False
    show_year: bool = False
    apply: bool = False
    """Make the new project; otherwise only print what would be made."""


def convert_project(options: ConvertOptions, *, site: Site, console: Console) -> int:
    """Print the plan of a conversion and, if `apply` is set, carry it out. Safe to repeat: it continues.

    Returns:
        0, or `INCOMPLETE`.

    Raises:
        InvalidRegion: one of the labeling configs is unsuitable (code `labeling_config`).
        InvalidSettings: a setting is missing, or the title is that of the old project.
        LabelStudioError: Label Studio does not answer or refuses.
    """
    client, secret = site.client, site.require_patient_secret()
    old = client.project(options.project)
    title = options.title or f"{old['title']} (exams)"
    new = client.find_project(title)
    if new == options.project:
        raise InvalidSettings("expected the title of a new project, got that of the old one; see --title")
    config = _config(client, new, options.config, descriptors=options.descriptors)
    if options.apply:
        site.reconcile(options.project, complete=True)  # so that every automatic annotation is known
    plan = plan_conversion(
        _without_automatic(client, options.project, site=site, console=console),
        translation=Translation(str(old["label_config"]), config, leave_out=options.leave_out),
        header_of=headers_in(site.images, patient_secret=secret),
        converted=converted_exams(client.tasks(new)) if new is not None else {},
        patient_secret=secret,
        one_exam_per_patient=options.one_exam_per_patient,
        show_year=options.show_year,
    )
    for line in described(plan):
        console.print(line, highlight=False, markup=False)
    if not options.apply:
        console.print(f"dry run: nothing was changed. --apply makes the project {title!r}", markup=False)
    else:
        _apply(plan, new, title, config, old, site=site, console=console)
    return INCOMPLETE if plan.not_moved else 0


def described(plan: ConversionPlan) -> Iterator[str]:
    """Yield the lines of the report."""
    yield from (f"not moved: {line}" for line in plan.not_moved)
    num_images = sum(len(task.tasks) for task in plan.new)
    patients = {task.data["patient"] for task in plan.new}
    annotations = sum(len(task.annotations) for task in plan.new)
    predictions = sum(len(task.predictions) for task in plan.new)
    already = f"; {plan.num_converted} exams are converted already" if plan.num_converted else ""
    yield (
        f"{len(plan.new)} exams of {len(patients)} patients, with {num_images} images, {annotations} annotations "
        f"and {predictions} predictions{already}"
    )
    if plan.num_several_authors:
        yield (
            f"{plan.num_several_authors} annotations are of several people, image by image; Label Studio will name "
            "the owner of the token as their author"
        )
    if plan.num_predictions_left:
        yield f"{plan.num_predictions_left} predictions of images stay behind; the model predicts the exams anew"
    if plan.num_drafts_left:
        yield f"{plan.num_drafts_left} drafts stay behind; submit them first if they are needed"
    if plan.lost_keys:
        yield f"keys of the task data that stay behind: {', '.join(sorted(plan.lost_keys))}"


def _config(client: LabelStudioClient, new: int | None, file: Path | None, *, descriptors: bool) -> str:
    """Return the labeling config of the new project: its own if it exists, else a file's or the built-in one."""
    if new is not None:
        if file is not None:
            raise InvalidSettings(
                f"project {new} has the title of the new project and a labeling config already; leave out --config, "
                "or give another --title"
            )
        return str(client.project(new)["label_config"])
    config = exam_config(descriptors=descriptors) if file is None else read_config(file)
    require_usable(review_config(config))
    return config


def _without_automatic(
    client: LabelStudioClient, project: int, *, site: Site, console: Console
) -> Iterator[Mapping[str, Any]]:
    """Yield the tasks without annotations that no person has looked at: moved, they would look like a person's."""
    automatic = {each.annotation_id for each in site.store.corrections(project) if each.automatic}
    for task in client.tasks(project, all_fields=True):
        kept = [each for each in task.get("annotations") or () if each["id"] not in automatic]
        yield {**task, "annotations": kept}
    if automatic:
        console.print(f"{len(automatic)} annotations of the automatic stage stay behind", highlight=False)


def _apply(
    plan: ConversionPlan,
    new: int | None,
    title: str,
    config: str,
    old: Mapping[str, Any],
    *,
    site: Site,
    console: Console,
) -> None:
    client = site.client
    if new is None:
        fields = {name: old[name] for name in PROJECT_FIELDS if old.get(name)}
        new = client.create_project(title, config, **{**INSTRUCTED, **fields})
        client.show_first_tab(new, exam_tab())
        console.print(f"project {new}: created", highlight=False)
    copy_local_storages(client, source=int(old["id"]), project=new)
    number = move_tasks(
        plan.new,
        client=client,
        project=new,
        done=lambda done: console.print(f"  {done} of {len(plan.new)} exams", highlight=False),
    )
    site.reconcile(new, complete=True)  # Label Studio sends no webhook for imported annotations
    console.print(
        f"project {new}: {number} exams are new. Connect it: yolo-mlsam project connect --project {new} --url URL",
        highlight=False,
        soft_wrap=True,
    )
