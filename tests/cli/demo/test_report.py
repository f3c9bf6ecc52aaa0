"""The demo's report says what the verdict rests on, also where the challenger lost."""

import io

import numpy as np
import pytest
from rich.console import Console

from cli.demo.report import Comparison, Round, summary_table, write_report
from cli.demo.walk import Reading
from mammo.dicom import Mammogram
from mammo.efforts.edit_effort import edit_effort
from mammo.geometry import Spacing
from tests.training.detections import square
from training.cases import Case

SCORE = {"sensitivity_0.5": 1.0, "sensitivity_1": 1.0, "dice": 0.7}


def verdict(*, promote):
    return {
        "promote": promote,
        "reason": "kept starter-1: m0002-x is not reliably better",
        "champion": SCORE,
        "challenger": SCORE,
        "difference": 0.021,
        "interval": [-0.01, 0.05],
        "confidence": 0.727,
        "num_patients": 12,
        "num_images": 24,
        "num_truth": 31,
        "rule": {"draws": 2000, "confidence": 0.9},
    }


def ended(**facts):
    effort = edit_effort([square(20, 20)], [square(20, 20), square(90, 20)])
    return Round("retrain-1-0", verdict(**facts), effort, 44)


def reading(*prelabel):
    truth = (square(20, 20),)
    return Reading(1, prelabel, truth, edit_effort(prelabel, truth))


def test_the_ground_of_a_verdict_names_patients_interval_and_draws():
    ground = ended(promote=False).ground
    assert "12 held-out patients (24 images, 31 clusters)" in ground
    assert "+0.021, 90 % interval -0.010 to +0.050" in ground
    assert "better in 72.7% of 2000 draws of patients, of which 90% are required" in ground


@pytest.mark.parametrize("promote", [True, False])
def test_the_report_has_effort_by_round_and_is_written_whatever_the_verdict(promote, tmp_path):
    pixels = np.zeros((300, 300), np.float32)
    image = Mammogram(
        pixels=pixels,
        spacing=Spacing(0.1, 0.1, "given"),
        laterality="L",
        view="CC",
        patient="p",
        sha256="ab" * 32,
        depth=8,
    )
    case = Case(image=image.sha256, patient="p", read=lambda: image, truth=(square(20, 20),))
    comparison = Comparison("starter-1", "m0002-x", [reading()], [reading(square(20, 20))])
    rounds = [ended(promote=promote)]
    write_report(tmp_path / "report.png", comparison, rounds, {1: case})
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
    file = io.StringIO()
    Console(file=file, width=140).print(summary_table(rounds, comparison))
    assert "round 1: regions 1 accepted, 0 edited, 1 added, 0 deleted" in file.getvalue()
    assert ("promoted" in file.getvalue()) is promote
