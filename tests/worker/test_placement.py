"""Which workers a machine has."""

import pytest

from mammo.errors import InvalidSettings
from worker.gpus import NOTHING_VISIBLE, VISIBLE, Gpu
from worker.placement import Post, posts

TWO = [Gpu("gpu0", {VISIBLE: "GPU-a"}), Gpu("gpu1", {VISIBLE: "GPU-b"})]


def test_each_gpu_has_one_trainer_and_the_rest_is_one_workers():
    assert posts(["train", "predict", "light"], TWO) == [
        Post("light-predict", ("light", "predict"), {VISIBLE: "GPU-b"}),
        Post("train-gpu0", ("train",), {VISIBLE: "GPU-a"}),
        Post("train-gpu1", ("train",), {VISIBLE: "GPU-b"}),
    ]


def test_without_a_gpu_one_worker_trains_on_the_processor():
    assert posts(["train"], []) == [Post("train-cpu", ("train",), NOTHING_VISIBLE)]
    assert [post.name for post in posts(["train", "light"], [])] == ["light", "train-cpu"]


def test_gpus_without_the_queue_train_have_no_trainer():
    assert posts(["predict"], TWO) == [Post("predict", ("predict",), {VISIBLE: "GPU-b"})]


@pytest.mark.parametrize("queues", [[""], ["retrain"], ["train", "heavy"]])
def test_a_queue_that_is_not_ours_is_refused(queues):
    with pytest.raises(InvalidSettings, match="light, predict, train"):
        posts(queues, [])
