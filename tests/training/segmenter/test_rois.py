from dataclasses import replace

import numpy as np
import pytest

from mammo.errors import InvalidTrainingData
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from mammo.masks import Mask
from tests.training.segmenter_cases import CENTRE, case, disc, mammogram
from training.segmenter.recipes import segmenter_smoke
from training.segmenter.rois import cut_rois, is_tiny, num_at_uncertain_places, num_without_mask

CONFIG = segmenter_smoke().config


def cluster(box, mask):
    return Finding(label=CLUSTER, score=1.0, box=box, mask=mask)


def test_a_region_holds_the_pixels_and_the_mask_of_its_cluster(tmp_path):
    (roi,) = cut_rois([case(1)], tmp_path, config=CONFIG)
    whole = mammogram(1).pixels
    (truth,) = case(1).truth
    assert truth.mask is not None
    dx, dy = truth.mask.x0 - roi.mask.x0, truth.mask.y0 - roi.mask.y0
    height, width = roi.pixels().shape
    assert np.array_equal(roi.pixels(), whole[dy : dy + height, dx : dx + width])
    assert roi.mask.box == roi.box
    assert width > 2 * roi.box.width
    assert roi.specks
    assert all(roi.mask.full(mammogram(1).size)[point.y, point.x] for point in roi.specks)


def test_only_findings_with_a_mask_become_regions_and_the_others_are_counted(tmp_path):
    empty = replace(case(4), truth=(cluster(Box(1, 1, 9, 9), Mask(np.zeros((8, 8), bool), 1, 1)),))
    cases = [case(1, masked=False), case(2, positive=False), case(3), empty]
    assert [roi.image for roi in cut_rois(cases, tmp_path, config=CONFIG)] == [cases[2].image]
    assert num_without_mask(cases) == 2


def test_a_mask_that_does_not_lie_in_its_image_is_refused(tmp_path):
    mask = Mask(np.ones((20, 20), bool), 290, 100)
    outside = replace(case(1), truth=(cluster(Box(280, 100, 300, 120), mask),))
    with pytest.raises(InvalidTrainingData, match="300 x 260 pixels"):
        cut_rois([outside], tmp_path, config=CONFIG)


def test_a_cut_is_read_again_and_made_anew_when_the_truth_changes(tmp_path):
    def counting(seed):
        def read():
            reads.append(seed)
            return mammogram(seed)

        return replace(case(seed), read=read)

    reads = []
    first = cut_rois([counting(1), counting(2)], tmp_path, config=CONFIG, backgrounds=1)
    again = cut_rois([counting(1), counting(2)], tmp_path, config=CONFIG, backgrounds=1)
    assert reads == [1, 2]
    for a, b in zip(first, again, strict=True):
        assert (a.file, a.patient, a.kind, a.box, a.specks) == (b.file, b.patient, b.kind, b.box, b.specks)
        assert (a.mask is None) == (b.mask is None)
        assert a.mask is None or (a.mask.dice(b.mask) == 1 and a.mask.frame == b.mask.frame)
    moved = replace(
        counting(1), truth=(cluster(Box(90, 90, 111, 111), disc(100, 100, 10, mammogram(1).size)),)
    )
    cut_rois([moved, counting(2)], tmp_path, config=CONFIG, backgrounds=1)
    assert reads == [1, 2, 1, 2]


def test_a_background_lies_in_the_breast_and_off_every_cluster(tmp_path):
    cases = [case(seed) for seed in range(5)]
    regions = cut_rois(cases, tmp_path, config=CONFIG, backgrounds=3)
    backgrounds = [roi for roi in regions if roi.kind == "background"]
    assert len(backgrounds) > 5
    for roi in backgrounds:
        assert roi.mask is None
        assert (roi.pixels()[roi.box.slices] > 0).mean() > 0.9
        whole = mammogram(int(roi.image, 16)).pixels
        corner = roi.pixels()[:5, :5]
        places = np.argwhere(whole == corner[0, 0])
        assert any(np.array_equal(whole[y : y + 5, x : x + 5], corner) for y, x in places)


def test_what_a_detector_finds_beside_the_clusters_teaches_too(tmp_path):
    boxes = [Box(10, 10, 40, 40), Box(CENTRE.x - 5, CENTRE.y - 5, CENTRE.x + 5, CENTRE.y + 5)]
    regions = cut_rois([case(1)], tmp_path, config=CONFIG, detect=lambda mammogram: boxes)
    assert sorted(roi.kind for roi in regions) == ["cluster", "false positive"]


def test_calcifications_go_with_their_cluster(tmp_path):
    near, far = Mask(np.ones((3, 3), bool), CENTRE.x, CENTRE.y), Mask(np.ones((3, 3), bool), 5, 5)
    (roi,) = cut_rois([replace(case(1), calcifications=(near, far))], tmp_path, config=CONFIG)
    assert roi.calcifications is not None
    assert roi.calcifications.area == 9
    assert roi.calcifications.intersection_area(roi.mask) == 9


def test_a_cluster_narrower_than_two_logits_is_kept_and_counted(tmp_path):
    size = mammogram(1).size
    small = replace(case(1), truth=(cluster(Box(60, 60, 65, 65), disc(62, 62, 2, size)),))
    tiny, large = cut_rois([small, case(2)], tmp_path, config=CONFIG)
    assert is_tiny(tiny, config=CONFIG)
    assert not is_tiny(large, config=CONFIG)


MARK = 0.9375


def marked(seed, *places, positive=True):
    """The case with uncertain places, whose pixels have a unique value."""

    def read():
        plain = mammogram(seed)
        pixels = plain.pixels.copy()
        for place in places:
            pixels[place.slices] = MARK
        return replace(plain, pixels=pixels)

    return replace(case(seed, positive=positive), read=read, uncertain=places)


def test_no_region_without_a_lesion_reaches_a_place_that_only_a_point_marks(tmp_path):
    place = Box(10, 10, 60, 60)
    false_alarms = [Box(20, 20, 40, 40), Box(58, 30, 90, 62), Box(61, 30, 93, 62), Box(200, 200, 230, 230)]
    regions = cut_rois(
        [marked(seed, place, positive=False) for seed in range(1, 6)],
        tmp_path,
        config=CONFIG,
        backgrounds=4,
        detect=lambda mammogram: false_alarms,
    )
    kinds = [roi.kind for roi in regions]
    assert kinds.count("false positive") == 5, "inside, over its edge, and so near that a view reaches it"
    assert kinds.count("background") > 5
    for roi in regions:
        height, width = roi.pixels().shape
        prompted = roi.box.dilated(round(0.1 * max(roi.box.width, roi.box.height))).intersection(
            Box(0, 0, width, height)
        )
        assert prompted is not None
        assert not (roi.pixels()[prompted.slices] == MARK).any()


def test_a_cluster_whose_outline_reaches_a_marked_place_is_left_out_and_counted(tmp_path):
    touching = Box(CENTRE.x + 16, CENTRE.y - 5, CENTRE.x + 60, CENTRE.y + 5)
    at_a_corner_of_its_box = Box(CENTRE.x + 15, CENTRE.y + 15, CENTRE.x + 60, CENTRE.y + 60)
    cases = [marked(1, touching), marked(2, at_a_corner_of_its_box), case(3)]
    regions = cut_rois(cases, tmp_path, config=CONFIG)
    assert [roi.image for roi in regions] == [cases[1].image, cases[2].image]
    assert num_at_uncertain_places(cases) == 1


def test_a_cut_is_made_anew_when_a_place_is_marked(tmp_path):
    assert len(cut_rois([case(1)], tmp_path, config=CONFIG)) == 1
    touching = Box(CENTRE.x, CENTRE.y, CENTRE.x + 20, CENTRE.y + 20)
    assert cut_rois([replace(case(1), uncertain=(touching,))], tmp_path, config=CONFIG) == []
