"""What a promotion's refresh costs: listing a project in a real Label Studio, and predicting its unread tasks.

python -m benchmarks.refresh --tasks 1000 --tasks 25000
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.result import Result
from cli.demo.label_studio_server import wait_for_label_studio
from cli.demo.processes import Processes
from cli.demo.stack import launch_stack
from mammo.exchange.importing import import_mammogram
from mammo.labelstudio.labeling_config import labeling_config
from mammo.phantom import vendor_a
from mammo.site import Site
from training.cases import silent
from training.phantom_cases import write_phantom_patients
from worker.prelabelling import Part, prelabel_tasks

ROOT = Path(__file__).parent.parent
TASKS = (1_000, 5_000, 25_000)
UNREAD = 20
SECRET = "phantoms of the refresh"
"""Of a site that is thrown away."""


def run(sizes: Sequence[int] = TASKS) -> Result:
    """Refresh a project that grows; all its tasks but the last ones are annotated."""
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="yolo-mlsam-refresh-", ignore_cleanup_errors=True) as folder,
        Processes(Path(folder) / "logs") as processes,
        launch_stack(
            processes,
            Path(folder),
            label_studio=ROOT / ".venv-label-studio/bin/label-studio",
            port=0,
            recipe="smoke",
            patient_secret=SECRET,
        ) as stack,
    ):
        assert stack.settings.mammogram_root is not None
        write_phantom_patients(
            stack.settings.mammogram_root,
            seeds=range(UNREAD // 4),
            appearance=vendor_a(),
            patient_secret=SECRET.encode(),
            progress=silent,
        )
        images = [
            import_mammogram(
                file,
                root=stack.settings.mammogram_root,
                files=stack.label_studio.files,
                patient_secret=SECRET.encode(),
            )
            for file in sorted(stack.settings.mammogram_root.rglob("*.dcm"))[:UNREAD]
        ]
        wait_for_label_studio(processes, stack.label_studio)
        site = Site(settings=stack.settings, creates=True)
        _ = site.registry  # registers the starter
        client = site.client
        project = client.create_project("A project that grows", labeling_config())
        prelabeller = site.load_model(site.serving(project))
        annotated = 0
        for size in sizes:
            read = [images[number % UNREAD] for number in range(size - UNREAD - annotated)]
            client.import_tasks(project, read, annotations=[[{"result": []}]] * len(read))
            annotated += len(read)
            unread = client.import_tasks(project, images)
            began = time.perf_counter()
            listed = sum(1 for _ in client.tasks(project))
            listing = time.perf_counter() - began
            began = time.perf_counter()
            summary = prelabel_tasks(
                project,
                prelabeller,
                site=site,
                report=lambda *_: None,
                withheld=lambda *_: None,
                part=Part.of(0, stack.settings),
            )
            refresh = time.perf_counter() - began
            assert (listed, summary["predicted"]) == (size, UNREAD), (listed, summary)
            rows.append(_row(size, listing, refresh))
            print(rows[-1], flush=True)
            for task in unread:
                client.delete_task(task)
    return Result(
        title="A promotion's refresh",
        method=(
            f"A real Label Studio; all tasks are annotated but {UNREAD} phantoms of 2560 x 3328, which nobody has "
            "read. Starter model, float32."
        ),
        columns=("tasks", "listing all of them", "the refresh", "each unread task", "if all were unread"),
        rows=rows,
    )


def _row(size: int, listing: float, refresh: float) -> tuple[str, ...]:
    each = refresh / UNREAD
    return (
        f"{size:,}",
        f"{listing:.1f} s",
        f"{refresh:.1f} s",
        f"{each:.2f} s",
        f"{each * size / 3600:.2f} h",
    )


def main(
    tasks: Annotated[list[int] | None, typer.Option(min=UNREAD, help="Sizes of the project, rising.")] = None,
) -> None:
    """Measure what a refresh costs."""
    typer.echo(run(tasks or TASKS).markdown())


if __name__ == "__main__":
    typer.run(main)
