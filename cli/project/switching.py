"""`yolo-mlsam project convert --descriptors`: a project asks for words of BI-RADS and comments, or no longer does."""

from __future__ import annotations

from rich.console import Console

from cli.project.connecting import require_usable
from mammo.errors import InvalidRegion, LabelStudioError
from mammo.labelstudio import ControlTags, LabelStudioClient
from mammo.labelstudio.config_review import review_config
from mammo.labelstudio.descriptor_switch import descriptor_names, with_descriptors, without_descriptors
from mammo.site import Site


def switch_descriptors(project: int, *, on: bool, apply: bool, site: Site, console: Console) -> None:
    """Print how the labeling config of a project would change and, if `apply` is set, change it. Safe to repeat.

    Raises:
        InvalidRegion: the config has no control for clusters (code `labeling_config`), or annotations use what would
            be taken away (code `descriptors_used`).
        LabelStudioError: Label Studio does not answer or refuses.
    """
    client = site.client
    old = str(client.project(project)["label_config"])
    new = with_descriptors(old) if on else without_descriptors(old)
    before, after = (descriptor_names(ControlTags.read(each)) for each in (old, new))
    require_usable(review_config(new))
    if old == new or (not on and before == after):
        console.print(f"project {project}: nothing to change", highlight=False)
        return
    if gone := before - after:
        double = site.reading_records.find_or_none(project) if site.has_database else None
        for each in (project, *(double.project_ids if double else ())):  # readers have the same config
            _require_unused(client, each, gone)
    for verb, names in (("added", after - before), ("taken away", gone)):
        if names:
            console.print(f"{verb}: {', '.join(sorted(names))}", highlight=False, markup=False)
    if on and not after - before:
        console.print("words and keys become those of this release", highlight=False)
    if not apply:
        console.print("dry run: nothing was changed. --apply changes the project", highlight=False)
        return
    client.update_project(project, label_config=new)
    console.print(
        f"project {project}: changed; its annotations are as they were. Reload pages that are open",
        highlight=False,
    )


def _require_unused(client: LabelStudioClient, project: int, controls: set[str]) -> None:
    """Refuse to take away controls that annotations use: what they say would no longer be read."""
    summary = client.call("GET", f"/api/projects/{project}/summary/")
    created = summary.get("created_annotations") if isinstance(summary, dict) else None
    if not isinstance(created, dict):
        raise LabelStudioError(
            f"Label Studio does not say which controls the annotations of project {project} use, so none is taken away"
        )
    used = {name for key in created if (name := str(key).split("|")[0]) in controls}
    if used:
        raise InvalidRegion(
            f"annotations of project {project} say something with {', '.join(sorted(used))}; without these controls it "
            "would no longer be read. Keep them, or make a new project",
            code="descriptors_used",
        )
