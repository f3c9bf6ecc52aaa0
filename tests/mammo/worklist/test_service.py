import pytest

from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.worklist.order import strategies
from mammo.worklist.service import FIELD, WorklistService
from tests.mammo.corrected import correct, regions
from tests.mammo.labelstudio.bombs import painted


class Tasks:
    """A project's tasks, as Label Studio lists them."""

    def __init__(self, count):
        self.rows = {n: {"image": f"/data/{n}.png"} for n in range(1, count + 1)}
        self.read = set()
        self.writes = 0
        self.tabs = []

    def tasks(self, project):
        return [
            {"id": task, "data": dict(data), "total_annotations": int(task in self.read)}
            for task, data in self.rows.items()
        ]

    def set_task_data(self, task, data):
        self.writes += 1
        self.rows[task] = dict(data)

    def show_tab(self, project, *, title, field):
        self.tabs.append((title, field))
        return 1

    def displayed(self):
        """Unread tasks in the order of the tab."""
        unread = [task for task in self.rows if task not in self.read]
        return sorted(
            (task for task in unread if FIELD in self.rows[task]), key=lambda t: self.rows[t][FIELD]
        )


@pytest.fixture
def tasks(store):
    """Twelve tasks; the model finds something in the first four, nothing in the next six, and saw no more."""
    finding = Finding(label=CLUSTER, score=0.6, box=Box(10, 10, 30, 30))
    for task in range(1, 11):
        store.record_prelabel(
            project=1,
            task=task,
            model_version="m1",
            regions=regions(finding) if task <= 4 else [],
            score=task / 20,
            images={"": "ab" * 32},
            num_cut=0,
            shown=task % 2 == 0,
        )
    return Tasks(12)


@pytest.fixture
def service(tasks, store, engine):
    return WorklistService(client=tasks, store=store, engine=engine, served_version=lambda project: "m1")


def plan(service, strategy="random", *, share=0.5, limit=100):
    return service.plan(1, strategy, positive_share=share, limit=limit)


def test_annotators_see_the_tasks_in_the_planned_order_and_the_plan_is_recorded(service, tasks, engine):
    planned = plan(service)
    assert tasks.displayed() == [place.task for place in planned.places]
    assert [place.stratum for place in planned.places[:8:2]] == ["positive"] * 4
    assert "positive" not in {place.stratum for place in planned.places[1::2]}
    assert strategies(engine, 1) == dict.fromkeys(range(1, 13), "random")
    assert tasks.tabs == [("Reading order", FIELD)]


def test_what_the_model_said_silently_counts_and_nothing_of_it_is_shown(service, tasks):
    strata = {place.task: place.stratum for place in plan(service).places}
    assert {strata[task] for task in (1, 2, 3, 4)} == {"positive"}
    assert {strata[task] for task in range(5, 11)} == {"negative"}
    assert {strata[11], strata[12]} == {"unknown"}
    assert all(set(data) == {"image", FIELD} for data in tasks.rows.values())
    assert all(data[FIELD].isdigit() for data in tasks.rows.values())


def test_planning_again_writes_nothing_and_another_strategy_moves_the_tasks(service, tasks, engine):
    plan(service)
    tasks.writes = 0
    assert plan(service).changed == 0
    assert tasks.writes == 0
    plan(service, "score", limit=3)
    assert set(tasks.displayed()[:2]) == {11, 12}, "what was never looked at"
    assert tasks.displayed()[2:] == [1], "then the least certain; the others have lost their place"
    assert sorted(strategies(engine, 1).values()).count("score") == 3


def test_a_read_task_keeps_its_place_in_the_record_and_is_placed_no_more(service, tasks, store):
    first = plan(service).places[0].task
    correct(store, task=first, annotation=first)
    tasks.read.add(first)
    assert first not in [place.task for place in plan(service, "score").places]
    (random, score) = service.progress(1)
    assert (random.strategy, random.placed, random.read) == ("random", 1, 1)
    assert (score.strategy, score.placed, score.read) == ("score", 11, 0)
    assert [place.task for place in service.following(1, 3)] == tasks.displayed()[:3]


def test_a_task_whose_annotation_cannot_be_read_does_not_count_as_read_and_says_why(service, store):
    task = plan(service).places[0].task
    correct(store, task=task, annotation=task, result=[painted(Size(11584, 11584))])
    (progress,) = service.progress(1)
    assert (progress.read, progress.unreadable) == (0, 1)
    assert service.unreadable(1) == {task: "too_large"}
    assert task not in [place.task for place in service.following(1, 12)], "it was annotated"
    correct(store, task=task, annotation=task, minutes=1)
    assert service.progress(1)[0].read == 1
    assert service.unreadable(1) == {}
