"""Which workers a machine has."""

import pytest

from mammo.errors import InvalidSettings
from worker.gpus import NO_GPU, VISIBLE, Gpu
from worker.placement import WorkerSpec, place_workers

TWO = [Gpu("gpu0", {VISIBLE: "GPU-a"}), Gpu("gpu1", {VISIBLE: "GPU-b"})]


def test_each_gpu_has_one_trainer_and_predictions_wait_for_no_import():
    assert place_workers(["train", "predict", "light"], TWO) == [
        WorkerSpec("light", ("light",), NO_GPU),
        WorkerSpec("predict", ("predict",), {VISIBLE: "GPU-b"}),
        WorkerSpec("train-gpu0", ("train",), {VISIBLE: "GPU-a"}),
        WorkerSpec("train-gpu1", ("train",), {VISIBLE: "GPU-b"}),
    ]


def test_without_a_gpu_one_worker_trains_on_the_processor():
    assert place_workers(["train"], []) == [WorkerSpec("train-cpu", ("train",), NO_GPU)]
    assert [spec.name for spec in place_workers(["train", "light"], [])] == ["light", "train-cpu"]


def test_gpus_without_the_queue_train_have_no_trainer():
    assert place_workers(["predict"], TWO) == [WorkerSpec("predict", ("predict",), {VISIBLE: "GPU-b"})]


@pytest.mark.parametrize("queues", [[""], ["retrain"], ["train", "heavy"]])
def test_a_queue_that_is_not_ours_is_refused(queues):
    with pytest.raises(InvalidSettings, match="light, predict, train"):
        place_workers(queues, [])
