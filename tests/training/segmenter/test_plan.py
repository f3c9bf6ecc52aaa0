from collections import Counter
from dataclasses import replace

from tests.training.segmenter_cases import region
from training.segmenter.plan import Plan, generator
from training.segmenter.recipes import segmenter_smoke


def plan(tmp_path, **changes):
    cluster = region(tmp_path)
    plain, bare = replace(cluster, calcifications=None), replace(cluster, mask=None, calcifications=None)
    recipe = replace(segmenter_smoke(), batch=4, steps=50, views=3, **changes)
    return Plan.of([cluster, plain, cluster, plain, bare, bare], recipe)


def seen(plan, steps):
    return [sight for step in range(steps) for sight in plan.step(step)]


def test_an_epoch_shows_every_cluster_once_and_the_share_of_negatives(tmp_path):
    found = plan(tmp_path, negatives=1 / 3)
    assert found.epoch_length == 6
    epoch = [sight.entry for sight in seen(found, 6)[:6]]
    assert sorted(entry for entry in epoch if entry < 4) == [0, 1, 2, 3]
    assert sum(entry in (4, 5) for entry in epoch) == 2


def test_calcifications_are_entries_of_their_own(tmp_path):
    found = plan(tmp_path, negatives=0.0, calcifications=1 / 3)
    assert [found.entries[i] for i in found.calcifications] == [(0, "calcification"), (2, "calcification")]
    counts = Counter(found.entries[sight.entry].level for sight in seen(found, 15)[:60])
    assert counts == {"cluster": 40, "calcification": 20}


def test_without_a_pool_its_share_goes_to_the_clusters(tmp_path):
    recipe = replace(segmenter_smoke(), negatives=0.3)
    found = Plan.of([region(tmp_path)] * 3, recipe)
    assert found.epoch_length == 3


def test_kept_views_take_turns_and_fresh_ones_never_repeat(tmp_path):
    views = {planned.view for planned in seen(plan(tmp_path, policy="decoder", negatives=0.0), 20)}
    fresh = seen(plan(tmp_path, policy="all", negatives=0.0), 20)
    assert views == {0, 1, 2}
    assert len(set(fresh)) == len(fresh)


def test_a_step_is_the_same_whenever_it_is_asked_for(tmp_path):
    first, second = plan(tmp_path, negatives=0.3), plan(tmp_path, negatives=0.3)
    assert second.step(37) == first.step(37)
    assert [first.corrects(i) for i in range(50)] == [second.corrects(i) for i in range(50)]
    assert 10 < sum(first.corrects(i) for i in range(50)) < 40


def test_streams_are_independent():
    drawn = {generator(7, stream, 1, 2).random() for stream in ("order", "view", "prompt", "click")}
    assert len(drawn) == 4
