"""A version serves only on machines where it finds in the bundled phantom what its manifest records."""

import dataclasses
import json
from functools import partial

import numpy as np
import pytest

from mammo.errors import InvalidWeights
from mammo.findings import Finding, ImageFindings
from mammo.geometry import Box
from mammo.masks import Mask
from mammo.models import STARTER
from mammo.models.self_test import MIN_SCORE, check, record, self_test_phantom
from mammo.models.starter_files import starter_files
from mammo.phantom import phantom_view
from mammo.site import Site


def finding(score, x0, side=100):
    box = Box(x0, 200, x0 + side, 200 + side)
    return Finding(
        label="cluster",
        score=score,
        box=box,
        prompts=(),
        mask=Mask(np.ones((side, side), bool), box.x0, box.y0),
    )


def finder(*findings):
    return lambda _: ImageFindings(findings=findings, num_cut=0)


EXPECTED = record(finder(finding(0.8, 100), finding(0.4, 400)))


def test_the_phantom_is_the_one_its_module_describes():
    drawn = phantom_view(90210, clusters=2, width=768, height=1024, num_distractors=2)
    pixels = self_test_phantom().pixels
    assert pixels.shape == (1024, 768)
    assert np.abs(pixels - drawn.stored / np.float32(4095)).max() < 0.01


def test_the_starter_finds_both_clusters_and_passes_its_own_record():
    starter = Site.load().load_files(starter_files())

    def find(mammogram):
        return starter.prelabel(mammogram, threshold=MIN_SCORE)

    recorded = record(find)
    assert len(recorded["findings"]) >= 2
    assert all(row["area"] > 1000 for row in recorded["findings"][:2])
    check(find, recorded, version="starter")


def test_the_starter_finds_here_what_its_manifest_records():
    starter = Site.load().load_files(starter_files())
    expected = json.loads((STARTER / "manifest.json").read_text())["self_test"]
    check(partial(starter.prelabel, threshold=MIN_SCORE), expected, version=starter.version)


@pytest.mark.parametrize(
    "seen",
    [
        (finding(0.8, 100), finding(0.4, 400)),
        (finding(0.4, 400), finding(0.8, 100)),
        (finding(0.79, 103), finding(0.41, 398)),
        (finding(0.8, 100), finding(0.4, 400), finding(0.06, 600)),  # just over the least score
    ],
)
def test_what_another_machine_may_compute_a_little_differently_passes(seen):
    check(finder(*seen), EXPECTED, version="m1")


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ((), "does not"),
        ((finding(0.8, 100),), "does not"),
        ((finding(0.8, 100), finding(0.3, 400)), "does not"),
        ((finding(0.8, 100), finding(0.4, 430)), "does not"),
        ((finding(0.8, 100), dataclasses.replace(finding(0.4, 400), mask=None)), "does not"),
        ((finding(0.8, 100), finding(0.4, 400), finding(0.5, 600)), "additionally finds"),
    ],
    ids=["nothing", "one less", "another score", "another place", "no mask", "one more"],
)
def test_a_model_that_sees_something_else_is_refused(seen, why):
    with pytest.raises(InvalidWeights, match=why) as caught:
        check(finder(*seen), EXPECTED, version="m1")
    assert caught.value.code == "self_test_failed"


def test_a_record_made_on_another_phantom_is_no_failure_of_the_model():
    with pytest.raises(InvalidWeights) as caught:
        check(finder(), {**EXPECTED, "image": "0" * 64}, version="m1")
    assert caught.value.code == "self_test_unknown"
