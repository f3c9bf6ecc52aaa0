import numpy as np
import pytest

from mammo.detector import Detection
from mammo.dicom import Mammogram
from mammo.errors import InvalidPrompt
from mammo.findings import MAX_FINDINGS
from mammo.geometry import Box, Point, Spacing
from mammo.pipeline import Prelabeller
from mammo.segmenter import EmbeddingCache, Segmenter
from tests.fakes.segmenter_runtime import CountingRuntime

BOX = Box(180, 180, 210, 205)
IN_AIR = Box(20, 300, 60, 340)


class Boxes:
    """A detector that always says the same."""

    def __init__(self, *boxes: Box) -> None:
        self._boxes = boxes

    def detect(self, pixels: np.ndarray, *, threshold: float, spacing: Spacing | None) -> list[Detection]:
        self.spacing = spacing
        return [Detection(box, 0.9) for box in self._boxes]


def mammogram() -> Mammogram:
    pixels = np.random.default_rng(0).uniform(0.2, 0.4, (400, 400)).astype(np.float32)
    pixels[:, :130] = 0
    return Mammogram(
        pixels=pixels,
        spacing=Spacing(0.1, 0.1, "imager"),
        laterality=None,
        view=None,
        patient=None,
        sha256="1" * 64,
        depth=12,
    )


def prelabeller(runtime: CountingRuntime, *boxes: Box, presence_threshold: float = 0.0) -> Prelabeller:
    segmenter = Segmenter(runtime, weights="w", cache=EmbeddingCache(memory_bytes=2**20))
    return Prelabeller(
        Boxes(*boxes),
        segmenter,
        version="m1",
        presence_threshold=presence_threshold,
        threshold=0.2,
        prompt_rule="robust",
        prompt_count=3,
    )


def test_a_finding_says_how_fine_its_mask_is_and_whether_there_is_a_lesion():
    (finding,) = prelabeller(CountingRuntime(), BOX).prelabel(mammogram(), threshold=None).findings
    assert finding.mask is not None
    assert finding.pixels_per_logit == 4
    assert finding.presence == 0.25


def test_a_detection_without_presence_stays_a_box():
    model = prelabeller(CountingRuntime(), BOX, presence_threshold=0.3)
    (finding,) = model.prelabel(mammogram(), threshold=None).findings
    assert (finding.mask, finding.presence, finding.box) == (None, 0.25, BOX)


def test_a_threshold_given_for_one_call_takes_the_place_of_the_operating_point():
    model = prelabeller(CountingRuntime(), BOX)  # scored 0.9
    assert model.threshold == 0.2
    assert len(model.prelabel(mammogram(), threshold=0.85).findings) == 1
    assert model.prelabel(mammogram(), threshold=0.95).findings == ()
    assert model.prelabel(mammogram(), detections=[Detection(BOX, 0.1)], threshold=0.05).findings != ()


@pytest.mark.parametrize(("count", "num_cut"), [(MAX_FINDINGS, 0), (MAX_FINDINGS + 5, 5)])
def test_the_best_findings_are_shown_and_the_others_above_the_threshold_are_counted(count, num_cut):
    model = prelabeller(CountingRuntime())
    above = [Detection(BOX, 0.3 + each / 100) for each in range(count)]
    found = model.prelabel(mammogram(), threshold=None, detections=[*above, Detection(BOX, 0.1)])
    scores = [finding.score for finding in found.findings]
    assert scores == sorted((each.score for each in above), reverse=True)[:MAX_FINDINGS]
    assert found.num_cut == num_cut


def test_the_detector_is_told_how_far_apart_the_pixels_are():
    boxes = Boxes(BOX)
    Prelabeller(
        boxes,
        Segmenter(CountingRuntime(), weights="w"),
        version="m1",
        threshold=0.2,
        prompt_rule="robust",
        prompt_count=3,
        presence_threshold=0.0,
    ).detect(mammogram(), threshold=None)
    assert boxes.spacing == Spacing(0.1, 0.1, "imager")


def test_presence_never_suppresses_what_a_person_asked_for():
    model = prelabeller(CountingRuntime(), presence_threshold=0.9)
    answer = model.answer(mammogram(), None, [Point(190, 190)], [])
    assert answer.mask is not None
    assert answer.presence == 0.25


def test_a_click_on_a_prelabel_does_not_encode_and_starts_from_the_answer_before():
    runtime = CountingRuntime()
    model = prelabeller(runtime, BOX)
    image = mammogram()
    model.prelabel(image, threshold=None)
    first = model.answer(image, None, [Point(190, 190)], [])
    second = model.answer(image, None, [Point(190, 190)], [Point(200, 185)], previous=first)
    assert runtime.num_encoded == 1
    assert runtime.previous[:2] == [None, None]
    assert runtime.previous[2] is first.logits
    assert second.points == (Point(190, 190),)


def test_an_experts_click_holds_and_a_point_of_the_prompt_rule_does_not():
    image, wrong, runtime = mammogram(), Point(195, 192), CountingRuntime()  # paints all of the box
    model = prelabeller(runtime, BOX)
    shown = model.answer(image, BOX, [], [])
    corrected = model.answer(image, BOX, [], [wrong], previous=shown)
    assert shown.mask is not None
    assert corrected.mask is not None
    assert shown.mask.full(image.size)[wrong.y, wrong.x]
    assert not corrected.mask.full(image.size)[wrong.y, wrong.x]

    blind = prelabeller(CountingRuntime(logit=-1.0), BOX)
    assert blind.answer(image, BOX, [], []).mask is None
    clicked = blind.answer(image, None, [wrong], []).mask
    assert clicked is not None
    assert clicked.full(image.size)[wrong.y, wrong.x]


def test_a_box_on_air_costs_its_own_mask_only():
    found = prelabeller(CountingRuntime(), IN_AIR, BOX).prelabel(mammogram(), threshold=None)
    in_air, in_breast = found.findings
    assert in_air.mask is None
    assert in_breast.mask is not None


@pytest.mark.parametrize(
    ("box", "positive", "negative"),
    [
        (None, [], []),
        (None, [], [Point(190, 190)]),
        (None, [Point(400, 10)], []),
        (BOX, [], [Point(-1, 10)]),
        (Box(500, 500, 600, 600), [], []),
        (IN_AIR, [], []),
    ],
    ids=["nothing", "negative", "positive outside", "negative outside", "box outside", "air"],
)
def test_a_prompt_that_cannot_be_answered_is_refused(box, positive, negative):
    with pytest.raises(InvalidPrompt):
        prelabeller(CountingRuntime()).answer(mammogram(), box, positive, negative)
