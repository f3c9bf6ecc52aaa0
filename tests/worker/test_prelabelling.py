from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mammo.annotations import AnnotationStore
from mammo.errors import ImageNotFound, ImageUnavailable, LabelStudioError, UnsupportedImage
from mammo.geometry import Size
from mammo.images.task_images import TaskImages
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.settings import Settings
from tests.sites import site_of
from tests.training.detections import square
from worker.prelabelling import prelabel_tasks


class FakeLabelStudio:
    def __init__(self, count):
        self.known = {number: [] for number in range(1, count + 1)}
        self.shown = None
        self.breaks_after = None
        self.annotated = set()
        self.faults = []
        """Raised by the next pushes: (error, whether the prediction was stored all the same)."""

    def project(self, project):
        return {"id": project, "label_config": labeling_config(), "task_number": len(self.known)}

    def tasks(self, project):
        return [
            {
                "id": number,
                "data": {"image": f"{number}.png"},
                "total_annotations": int(number in self.annotated),
            }
            for number in self.known
        ]

    def predictions(self, task):
        return self.known[task]

    def push_prediction(self, task, prediction):
        if self.faults:
            error, stored = self.faults.pop(0)
            if stored:
                self.known[task].append(dict(prediction))
            raise error
        if self.breaks_after is not None and sum(map(len, self.known.values())) >= self.breaks_after:
            raise LabelStudioError("gone", code="label_studio_unreachable")
        self.known[task].append(dict(prediction))
        return 1

    def set_model_version(self, project, version):
        self.shown = version


class FakePrelabeller:
    version = "m0002-aa"

    def prelabel(self, mammogram, *, threshold):
        return [square(5, 5, score=0.75, name="c1")] if (threshold or 0) <= 0.75 else []


@pytest.fixture
def store(engine):
    made = AnnotationStore(engine)
    yield made
    made.close()


def open_image(data):
    return SimpleNamespace(size=Size(64, 48), sha256="a" * 64)


def prelabel(
    server,
    store,
    *,
    open_image=open_image,
    told=None,
    threshold=None,
    model=None,
    brush=False,
    withheld=lambda *_: None,
):
    report = (lambda *each: told.append(each)) if told is not None else (lambda *each: None)
    settings = Settings(
        thresholds={} if threshold is None else {1: threshold}, brush_projects="1" if brush else ""
    )
    images = SimpleNamespace(open=open_image)
    return prelabel_tasks(
        1,
        model or FakePrelabeller(),
        site=site_of(settings, label_studio=server, store=store, images=images),
        report=report,
        withheld=withheld,
        wait=lambda seconds: None,
    )


def test_tasks_that_nobody_has_annotated_come_first_and_each_once(store):
    server, order = FakeLabelStudio(5), []
    server.annotated = {1, 4}

    def open_image_and_annotate(task):
        order.append(int(task["image"].removesuffix(".png")))
        server.annotated.add(2)  # meanwhile, somebody reads one that is predicted already
        return open_image(task)

    assert prelabel(server, store, open_image=open_image_and_annotate)["predicted"] == 5
    assert order == [2, 3, 5, 1, 4]
    assert all(len(made) == 1 for made in server.known.values())


def test_every_task_gets_one_prediction_and_we_keep_our_own_copy(store):
    server, told = FakeLabelStudio(3), []
    result = prelabel(server, store, told=told)
    assert result == {"version": "m0002-aa", "predicted": 3, "already": 0, "withheld": 0, "failed": {}}
    for task, predictions in server.known.items():
        (prediction,) = predictions
        assert (prediction["model_version"], prediction["score"]) == ("m0002-aa", 0.75)
        (finding,) = from_regions(prediction["result"], tags=ControlTags())
        assert finding.box == square(5, 5).box
        kept = store.prelabel(1, task, "m0002-aa")
        assert (kept.regions, kept.score, kept.image_sha256) == (prediction["result"], 0.75, "a" * 64)
    assert server.shown == "m0002-aa"
    assert told[-1] == ("prelabel", 1.0, "3 of 3 tasks")


@pytest.mark.parametrize(("brush", "kind"), [(True, "brushlabels"), (False, "polygonlabels")])
def test_masks_are_outlines_unless_the_project_asks_for_the_brush(store, brush, kind):
    server = FakeLabelStudio(1)
    prelabel(server, store, brush=brush)
    ((prediction,),) = server.known.values()
    assert {r["type"] for r in prediction["result"]} == {kind}


def test_a_second_call_does_only_what_is_missing(store):
    server = FakeLabelStudio(3)
    server.breaks_after = 1
    with pytest.raises(LabelStudioError):
        prelabel(server, store)
    assert server.shown is None
    server.breaks_after = None
    assert prelabel(server, store) == {
        "version": "m0002-aa",
        "predicted": 2,
        "already": 1,
        "withheld": 0,
        "failed": {},
    }
    assert [len(predictions) for predictions in server.known.values()] == [1, 1, 1]


def test_predictions_of_another_version_do_not_count(store):
    server = FakeLabelStudio(1)
    server.known[1].append({"model_version": "m0001-bb"})
    assert prelabel(server, store)["predicted"] == 1
    assert len(server.known[1]) == 2


def test_one_bad_image_costs_one_prediction(store):
    def sometimes(data):
        if data["image"] == "1.png":
            raise ImageNotFound("not there")
        if data["image"] == "2.png":
            raise UnsupportedImage("a CT")
        return open_image(data)

    server = FakeLabelStudio(3)
    result = prelabel(server, store, open_image=sometimes)
    assert result["failed"] == {"image_not_found": 1, "unsupported_image": 1}
    assert result["predicted"] == 1
    assert server.known[1] == []  # an empty prediction would say that nothing was found


def test_tasks_with_malformed_paths_cost_their_own_predictions_only(store, tmp_path):
    (tmp_path / "right.png").write_bytes(
        cv2.imencode(".png", np.eye(48, 64, dtype=np.uint8) * 255)[1].tobytes()
    )
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "folder.png").mkdir()
    paths = ["x" * 300, "loop.png", "folder.png", "right.png/x", "\ud800", "", None, 7, "right.png"]

    class Tasks(FakeLabelStudio):
        def tasks(self, project):
            return [task | {"data": {"mammogram": paths[task["id"] - 1]}} for task in super().tasks(project)]

    server = Tasks(len(paths))
    result = prelabel(server, store, open_image=TaskImages(root=tmp_path, downloads=None).open)
    assert result["predicted"] == 1
    assert sum(result["failed"].values()) == 8
    assert set(result["failed"]) == {"image_not_found", "unreadable_file"}
    assert [number for number, made in server.known.items() if made] == [9]


def test_label_studio_not_handing_over_images_stops_the_job(store):
    def away(data):
        raise LabelStudioError("did not answer", code="label_studio_unreachable")

    with pytest.raises(LabelStudioError):
        prelabel(FakeLabelStudio(2), store, open_image=away)


def test_a_project_without_tasks_shows_no_version(store):
    server = FakeLabelStudio(0)
    assert prelabel(server, store)["predicted"] == 0
    assert server.shown is None


def test_the_projects_threshold_decides_what_annotators_see(store):
    for threshold, regions in ((0.7, True), (0.8, False)):
        server = FakeLabelStudio(1)
        assert prelabel(server, store, threshold=threshold)["predicted"] == 1
        ((pushed,),) = server.known.values()
        assert bool(pushed["result"]) is regions


UNREACHABLE = LabelStudioError("did not answer", code="label_studio_unreachable")
LOCKED = LabelStudioError("database is locked", code="label_studio_500")


@pytest.mark.parametrize(
    "faults", [[(UNREACHABLE, False)], [(LOCKED, False), (UNREACHABLE, False)], [(UNREACHABLE, True)]]
)
def test_a_restart_of_label_studio_costs_no_prediction_and_makes_none_twice(store, faults):
    server = FakeLabelStudio(2)
    server.faults = list(faults)
    assert prelabel(server, store)["predicted"] == 2
    assert [len(predictions) for predictions in server.known.values()] == [1, 1]


def test_label_studio_refusing_a_prediction_is_not_asked_again(store):
    server = FakeLabelStudio(1)
    server.faults = [(LabelStudioError("no", code="label_studio_400"), False)] * 2
    with pytest.raises(LabelStudioError):
        prelabel(server, store)
    assert len(server.faults) == 1


def test_what_was_predicted_before_a_kill_is_pushed_and_not_predicted_again(store):
    """Killed between our copy and the push."""
    asked = []

    class Counting(FakePrelabeller):
        def prelabel(self, mammogram, **options):
            asked.append(mammogram)
            return super().prelabel(mammogram, **options)

    server = FakeLabelStudio(3)
    server.breaks_after = 1
    with pytest.raises(LabelStudioError):
        prelabel(server, store, model=Counting())
    server.breaks_after = None
    assert prelabel(server, store, model=Counting())["predicted"] == 2
    assert len(asked) == 3


def test_an_image_server_that_is_away_for_a_moment_costs_its_images_and_one_that_stays_away_stops_the_job(
    store,
):
    away = {"1.png", "3.png"}

    def sometimes(data):
        if data["image"] in away:
            raise ImageUnavailable("did not come", code="image_timeout")
        return open_image(data)

    server = FakeLabelStudio(9)
    result = prelabel(server, store, open_image=sometimes)
    assert (result["predicted"], result["failed"]) == (7, {"image_timeout": 2})
    other = FakeLabelStudio(9)
    away = {f"{number}.png" for number in range(1, 10)}
    with pytest.raises(ImageUnavailable):
        prelabel(other, store, open_image=sometimes, model=SimpleNamespace(version="m0003-cc"))
    assert not any(other.known.values())


def test_a_withheld_task_is_predicted_silently_once_and_never_pushed(store):
    server, model = FakeLabelStudio(3), FakePrelabeller()
    why = {2: "blind"}
    for threshold in (None, 0.5):
        for _ in range(2):
            result = prelabel(
                server,
                store,
                model=model,
                threshold=threshold,
                withheld=lambda project, task, data: why.get(task),
            )
            assert result["withheld"] == 1
    assert {task: len(predictions) for task, predictions in server.known.items()} == {1: 1, 2: 0, 3: 1}
    silent, shown = store.prelabel(1, 2, "m0002-aa"), store.prelabel(1, 1, "m0002-aa")
    assert silent.regions
    assert silent.shown_at is None
    assert shown.shown_at is not None


def test_what_was_silent_is_pushed_without_predicting_again_when_it_is_withheld_no_more(store):
    server, opened = FakeLabelStudio(1), []

    def counted(data):
        opened.append(data)
        return open_image(data)

    prelabel(server, store, open_image=counted, withheld=lambda *_: "assisted")
    assert server.shown is None
    assert prelabel(server, store, open_image=counted)["predicted"] == 1
    assert len(opened) == 1
    assert store.prelabel(1, 1, "m0002-aa").shown_at is not None
