"""A project of one-image tasks becomes one of exams in the real Label Studio, with the same corrections."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.demo.label_studio_server import wait_for_label_studio
from cli.demo.stack import Stack
from cli.project.converting import ConvertOptions, convert_project
from mammo.exam_views import EXAM_VIEWS
from mammo.exchange.importing import import_mammogram
from mammo.findings import Finding
from mammo.images.task_images import of_task
from mammo.labelstudio import ControlTags, LabelStudioClient, from_regions, labeling_config
from mammo.labelstudio.rendering import to_regions, truth_regions
from mammo.phantom import vendor_b
from mammo.settings import Settings
from mammo.site import Site
from tests.e2e.test_double_reading import signed_up
from tests.sites import site_of
from training.cases import Case, silent
from training.phantom_cases import write_phantom_patients

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SECRET = "the conversion of a project"
SEEDS = (9301, 9302, 9303)
TITLE = "one image a task"


@pytest.fixture
def site(stack: Stack, tmp_path: Path) -> Iterator[Site]:
    """An installation of its own, whose mammograms are three phantom patients of four views each."""
    wait_for_label_studio(stack.processes, stack.label_studio)
    settings = Settings(
        data_dir=tmp_path / "data",
        mammogram_root=tmp_path / "mammograms",
        patient_secret=SECRET,
        label_studio_url=stack.label_studio.url,
        label_studio_api_key=stack.settings.label_studio_api_key,
    )
    with site_of(settings, creates=True) as site:
        yield site
    for title in (TITLE, f"{TITLE} (exams)"):
        with suppress(Exception), LabelStudioClient(stack.label_studio.url, token_of(stack)) as client:
            client.call("DELETE", f"/api/projects/{client.find_project(title)}/")


def token_of(stack: Stack) -> str:
    return stack.settings.label_studio_api_key.get_secret_value()


def drawn_project(stack: Stack, site: Site) -> tuple[int, int]:
    """A project whose first patient is read by a reader, the second by two, image by image, and the third by nobody.

    Returns:
        The project, and the id of the reader.
    """
    root = site.require_mammogram_root()
    cases = write_phantom_patients(
        root,
        seeds=SEEDS,
        appearance=replace(vendor_b(), width=640, height=896),
        positive=1.0,
        patient_secret=SECRET.encode(),
        progress=silent,
    )
    truths: dict[str, Case] = {case.image: case for case in cases}
    client, served = site.client, stack.label_studio.files
    project = client.create_project(TITLE, labeling_config(), expert_instruction="Look twice.")
    data = [
        import_mammogram(file, root=root, files=served, patient_secret=SECRET.encode())
        for file in sorted(root.rglob("*.dcm"))
    ]
    client.add_local_storage(project, served.resolve() / "twins")
    tasks = client.import_tasks(project, data)
    with LabelStudioClient(
        stack.label_studio.url, signed_up(stack.label_studio, f"reader-{project}@example.com")
    ) as other:
        reader = other.account()
        for number, (task, image) in enumerate(zip(tasks, data, strict=True)):
            case = truths[image["sha256"]]
            size = case.read().size
            tags = ControlTags()
            predicted = to_regions(case.truth[:1], size=size, tags=tags, model_version="m-old")
            client.push_prediction(task, {"model_version": "m-old", "score": 0.5, "result": predicted})
            if number >= 8:
                continue
            # Outlines of one view, painted masks in boxes of the next: the exam has a control for the first only.
            drawing = tags if number % 2 else replace(tags, polygon=None)
            regions = truth_regions(case.truth, size=size, tags=drawing, source="reader")
            author = other if number < 4 or number == 5 else client
            annotation = author.annotate(task, regions, lead_time=2.0)
            if number < 4:
                client.call("PATCH", f"/api/annotations/{annotation}/", json={"ground_truth": True})
    return project, reader


def convert(site: Site, project: int, *, apply: bool) -> tuple[int, str]:
    """Exit code and output of `project convert`, in a process of its own as far as the client is concerned."""
    output = io.StringIO()
    with site_of(site.settings) as again:
        code = convert_project(
            ConvertOptions(project=project, apply=apply), site=again, console=Console(file=output, width=200)
        )
    return code, output.getvalue()


def corrected(site: Site, project: int) -> dict[str, list[list[Any]]]:
    """The findings of each correction, by the SHA-256 of its image."""
    tags = ControlTags.read(str(site.client.project(project)["label_config"]))
    found: dict[str, list[list[Any]]] = {}
    for correction in site.store.corrections(project):
        for on_image in tags.on(correction.task_data):
            image = of_task(correction.task_id, correction.task_data, tags=on_image)
            findings = from_regions(correction.result, tags=on_image)
            found.setdefault(image["sha256"], []).append([facts(each) for each in findings])
    return found


def facts(finding: Finding) -> Any:
    mask = None if finding.mask is None else finding.mask.tight()
    pixels = None if mask is None else (mask.frame.as_tuple(), mask.bitmap.tobytes())
    return finding.box.as_tuple(), pixels, finding.is_point


def test_corrections_predictions_and_ground_truth_move_to_the_views_of_exams(
    stack: Stack, site: Site
) -> None:
    project, reader = drawn_project(stack, site)
    site.reconcile(project, complete=True)
    before = corrected(site, project)
    assert len(before) == 8
    assert sum(len(findings) for ((findings),) in before.values()) >= 4

    code, output = convert(site, project, apply=False)
    assert code == 0
    assert "3 exams of 3 patients, with 12 images, 2 annotations and 3 predictions" in output
    assert "1 annotations are of several people" in output
    assert site.client.find_project(f"{TITLE} (exams)") is None, "a dry run"

    code, output = convert(site, project, apply=True)
    new = site.client.find_project(f"{TITLE} (exams)")
    assert (code, new is not None) == (0, True), output
    assert new is not None
    assert site.client.project(new)["expert_instruction"] == "Look twice."
    assert corrected(site, new) == before
    assert corrected(site, project) == before, "the old project is as it was"

    tasks = list(site.client.tasks(new, all_fields=True))
    assert len(tasks) == 3
    annotations = [each for task in tasks for each in task["annotations"]]
    mine = site.client.account()
    facts_of = sorted((each["completed_by"], each["ground_truth"], each["lead_time"]) for each in annotations)
    assert facts_of == sorted([(reader, True, 8.0), (mine, False, 8.0)])
    for task in tasks:
        (prediction,) = site.client.predictions(task["id"])
        assert (prediction["model_version"], prediction["score"]) == ("m-old", 0.5)
        assert {each["to_name"] for each in prediction["result"]} <= {view.name for view in EXAM_VIEWS}
        status = site.client.call("GET", f"/api/tasks/{task['id']}/")["data"]
        assert all(status[view.key].startswith("/") for view in EXAM_VIEWS)

    code, output = convert(site, project, apply=True)
    assert "0 exams of 0 patients" in output
    assert "3 exams are converted already" in output
    assert len(list(site.client.tasks(new))) == 3


def test_an_interrupted_conversion_goes_on_where_it_was(
    stack: Stack, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = drawn_project(stack, site)
    site.reconcile(project, complete=True)
    monkeypatch.setattr("mammo.exchange.conversion.moving.BATCH", 1)
    real, calls = LabelStudioClient.import_tasks, []

    def import_tasks(self: LabelStudioClient, *args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *args, **options)

    monkeypatch.setattr(LabelStudioClient, "import_tasks", import_tasks)
    with pytest.raises(KeyboardInterrupt):
        convert(site, project, apply=True)
    new = site.client.find_project(f"{TITLE} (exams)")
    assert new is not None
    assert len(list(site.client.tasks(new))) == 1
    assert convert(site, project, apply=True)[0] == 0
    assert len(list(site.client.tasks(new))) == 3
    assert corrected(site, new) == corrected(site, project)
