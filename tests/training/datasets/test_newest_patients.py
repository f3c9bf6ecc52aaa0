"""The held-out patients that the gate also judges separately."""

from dataclasses import replace

from tests.training.datasets.test_diff import item, version


def read(patient, day, fold="test"):
    moment = f"2026-11-{day:02d}T00:00:00.000000Z"
    return replace(item(f"{patient}-{day}"), patient=patient, updated_at=moment, fold=fold)


def test_the_newest_patients_are_those_whose_first_correction_came_last():
    items = [read(f"p{day:02d}", day) for day in range(1, 21)]
    items += [read("p01", 25), read("train", 28, fold="train")]  # read again; not held out
    dataset = version(*items)
    assert dataset.newest_patients("test") == {"p16", "p17", "p18", "p19", "p20"}
    assert dataset.newest_patients("test", share=0.1) == {"p17", "p18", "p19", "p20"}
    assert version().newest_patients("test") == set()
