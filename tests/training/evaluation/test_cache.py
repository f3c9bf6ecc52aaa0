from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mammo.detector import Detection
from mammo.dicom import Mammogram
from mammo.findings import CLUSTER, Finding, ImageFindings
from mammo.geometry import Box, Point, Spacing
from mammo.masks import Mask
from mammo.pipeline import Prelabeller
from training.cases import Case, silent
from training.evaluation import cache as module
from training.evaluation.cache import EvaluationCache, key_of
from training.evaluation.image_result import ImageResult
from training.evaluation.model_version import LOW_THRESHOLD, evaluate
from training.evaluation.seen_images import SeenImages

IDENTITY = {
    "detector": "d" * 64,
    "segmenter": "e" * 64,
    "threshold": 0.5,
    "prompt_rule": "brightest",
    "prompt_count": 5,
    "presence_threshold": 0.1,
    "runtimes": ["openvino", "torch 2.15 float32 cpu"],
    "threads": 1,
}


class CountingModel:
    """Finds the same on every image, and counts how often it is asked."""

    version = "m0001-fake"
    threshold = 0.5

    def __init__(self, identity: dict[str, Any] | None = IDENTITY) -> None:
        self.identity = identity
        self.calls = 0

    def detect(self, mammogram: Mammogram, *, threshold: float) -> list[Detection]:
        self.calls += 1
        return [Detection(Box(10, 20, 30, 50), 1 / 3 + 0.5), Detection(Box(1, 2, 3, 4), 0.1)]

    def prelabel(self, mammogram: Mammogram, **_: Any) -> ImageFindings:
        return ImageFindings(findings=(FINDING,), num_cut=0)


def model(identity: dict[str, Any] | None = IDENTITY) -> Any:
    return cast(Prelabeller, CountingModel(identity))


BITMAP = np.random.default_rng(0).random((30, 20)) > 0.5
FINDING = Finding(
    label=CLUSTER,
    score=1 / 3 + 0.5,
    box=Box(10, 20, 30, 50),
    prompts=(Point(12, 22), Point(13, 40)),
    mask=Mask(BITMAP, 10, 20),
    presence=0.7,
    pixels_per_logit=1.5,
    text=("likely (0.83)",),
    id="c1",
)
PICTURE = Mammogram(
    pixels=np.zeros((60, 40), np.float32),
    spacing=Spacing(0.07, 0.08, "imager"),
    laterality="L",
    view="CC",
    patient="p1",
    sha256="a" * 64,
    depth=12,
)


def case(**changes: Any) -> Case:
    truth = (Finding(label=CLUSTER, score=1.0, box=Box(10, 20, 30, 50), mask=Mask(BITMAP, 10, 20)),)
    whole: dict[str, Any] = {"image": "a" * 64, "patient": "p1", "truth": truth, "reading": "spacing 0.07"}
    return Case(read=lambda: PICTURE, **(whole | changes))


def unreadable() -> Mammogram:
    raise AssertionError("the image is read again")


@pytest.fixture
def cache(tmp_path):
    return EvaluationCache(tmp_path / "evaluations", max_bytes=10**6)


def test_a_second_evaluation_reads_no_image_runs_no_network_and_has_the_same_figures(cache):
    first, again = model(), model()
    seen, seen_again = SeenImages(), SeenImages()
    before = evaluate(first, [case()], progress=silent, observe=seen, cache=cache)
    known = replace(case(), read=unreadable)
    after = evaluate(again, [known], progress=silent, observe=seen_again, cache=cache)
    assert (first.calls, again.calls) == (1, 0)
    assert json.dumps(after.to_json()) == json.dumps(before.to_json())
    assert seen_again.to_bytes() == seen.to_bytes()
    assert before.images[0].dice == (1.0,)


def test_a_corrected_truth_is_compared_with_what_was_found_before(cache):
    evaluate(model(), [case()], progress=silent, cache=cache)
    again = model()
    after = evaluate(again, [case(truth=())], progress=silent, cache=cache)
    assert again.calls == 0
    assert (after.num_lesions, after.false_positives) == (0, 1.0)


@pytest.mark.parametrize("unknown", ["model", "image"])
def test_what_cannot_say_on_what_it_depends_is_not_cached(cache, unknown):
    prelabeller = model(None if unknown == "model" else IDENTITY)
    image = case(reading=None if unknown == "image" else "spacing 0.07")
    for _ in range(2):
        evaluate(prelabeller, [image], progress=silent, cache=cache)
    assert prelabeller.calls == 2


NAMES = st.sampled_from(["a" * 64, "b" * 64])
IDENTITIES = st.fixed_dictionaries(
    {
        "detector": NAMES,
        "segmenter": NAMES,
        "threshold": st.sampled_from([0.2, 0.5]),
        "prompt_rule": st.sampled_from(["brightest", "spread"]),
        "prompt_count": st.sampled_from([1, 5]),
        "presence_threshold": st.sampled_from([0.0, 0.1]),
        "runtimes": st.sampled_from([["openvino", "torch"], ["openvino-bf16", "torch"]]),
        "threads": st.sampled_from([1, 2]),
    }
)
ASKED = st.tuples(IDENTITIES, NAMES, st.sampled_from(["spacing 0.07", "spacing 0.1"]), st.floats(0.001, 0.5))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(stored=ASKED, asked=ASKED)
def test_a_result_is_a_hit_only_where_everything_is_equal(tmp_path_factory, stored, asked):
    cache = EvaluationCache(tmp_path_factory.mktemp("evaluations"), max_bytes=10**6)
    identity, image, reading, threshold = stored
    result = ImageResult(facts=PICTURE, detections=(), findings=(FINDING,), seconds=1.0)
    cache.put(model(identity), case(image=image, reading=reading), result, threshold=threshold)
    identity, image, reading, threshold = asked
    found = cache.get(model(identity), case(image=image, reading=reading), threshold=threshold)
    assert (found is not None) == (stored == asked)


@pytest.mark.parametrize("what", ["code_digest", "instruction_sets", "FORMAT"])
def test_another_release_library_or_processor_is_a_miss(cache, monkeypatch, what):
    evaluate(model(), [case()], progress=silent, cache=cache)
    other = 2 if what == "FORMAT" else (lambda: ("another",))
    monkeypatch.setattr(module, what, other)
    again = model()
    evaluate(again, [case()], progress=silent, cache=cache)
    assert again.calls == 1


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_file_that_was_cut_or_changed_is_a_miss_and_is_made_again(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("evaluations")
    cache = EvaluationCache(folder, max_bytes=10**6)
    result = ImageResult(facts=PICTURE, detections=(), findings=(FINDING,), seconds=1.0)
    cache.put(model(), case(), result, threshold=LOW_THRESHOLD)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    changed = (
        content[:place] + bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
    )
    path.write_bytes(data.draw(st.sampled_from([content[:place], changed, content + b"\0"])))
    again = model()
    for _ in range(2):
        evaluate(again, [case()], progress=silent, cache=cache)
    assert again.calls == 1


def test_the_file_of_one_key_under_the_name_of_another_is_a_miss(cache, tmp_path):
    evaluate(model(), [case()], progress=silent, cache=cache)
    (path,) = (tmp_path / "evaluations").iterdir()
    other = case(image="b" * 64)
    key = key_of(model(), other, threshold=LOW_THRESHOLD)
    assert key is not None
    path.rename(path.with_name(f"{module._name(key)}.json"))
    assert cache.get(model(), other, threshold=LOW_THRESHOLD) is None


def test_the_folder_keeps_within_its_size(tmp_path):
    cache = EvaluationCache(tmp_path, max_bytes=4000)
    for number in range(40):
        evaluate(model(), [case(image=f"{number:064x}")], progress=silent, cache=cache)
    assert 0 < sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4000
