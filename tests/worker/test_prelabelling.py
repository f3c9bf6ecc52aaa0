import time
from types import SimpleNamespace

import cv2
import httpx
import numpy as np
import pytest

from mammo.errors import ImageNotFound, ImageUnavailable, LabelStudioError, UnsupportedImage
from mammo.findings import ImageFindings
from mammo.geometry import Size
from mammo.images.task_images import TaskImages
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.settings import Settings
from tests.fakes.label_studio import FakeLabelStudio
from tests.sites import site_of
from tests.training.detections import square
from worker.prelabelling import Part, prelabel_tasks


def label_studio(count):
    """With one project of so many tasks."""
    server = FakeLabelStudio()
    server.add_project(1)
    server.add_tasks(1, *({"image": f"{number}.png"} for number in range(1, count + 1)))
    return server


def pushed(server):
    """The predictions of each task."""
    return {
        task["id"]: [each for each in server.predictions if each["task"] == task["id"]]
        for task in server.tasks
    }


def shown(server):
    """The version whose predictions annotators see."""
    return server.projects[1].get("model_version")


def goes_away(server, *, after):
    """No prediction more than these is taken."""

    def refuse(request):
        if is_push(request) and len(server.predictions) >= after:
            raise httpx.ConnectError("gone")

    server.before = refuse


def read(server, task):
    """Somebody annotates a task."""
    server.tasks[task - 1]["annotations"] = [{"id": 1000 + task, "was_cancelled": False}]


def is_push(request):
    return (request.method, request.url.path) == ("POST", "/api/predictions/")


class FakePrelabeller:
    version = "m0002-aa"

    def __init__(self, *, num_cut=0):
        self.num_cut = num_cut

    def prelabel(self, mammogram, *, threshold):
        found = (square(5, 5, score=0.75, name="c1"),) if (threshold or 0) <= 0.75 else ()
        return ImageFindings(findings=found, num_cut=self.num_cut)


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
    part=None,
):
    report = (lambda *each: told.append(each)) if told is not None else (lambda *each: None)
    settings = Settings(
        thresholds={} if threshold is None else {1: threshold}, brush_projects="1" if brush else ""
    )
    images = SimpleNamespace(open=open_image)
    return prelabel_tasks(
        1,
        model or FakePrelabeller(),
        site=site_of(settings, label_studio=server.client(), store=store, images=images),
        report=report,
        withheld=withheld,
        part=part,
        wait=lambda seconds: None,
    )


def test_tasks_that_nobody_has_annotated_come_first_and_each_once(store):
    server, order = label_studio(5), []
    for task in (1, 4):
        read(server, task)

    def open_image_and_annotate(task):
        order.append(int(task["image"].removesuffix(".png")))
        read(server, 2)  # meanwhile, somebody reads one that is predicted already
        return open_image(task)

    assert prelabel(server, store, open_image=open_image_and_annotate)["predicted"] == 5
    assert order == [2, 3, 5, 1, 4]
    assert all(len(made) == 1 for made in pushed(server).values())


def test_every_task_gets_one_prediction_and_we_keep_our_own_copy(store):
    server, told = label_studio(3), []
    result = prelabel(server, store, told=told)
    assert result == {
        "version": "m0002-aa",
        "predicted": 3,
        "already": 0,
        "withheld": 0,
        "failed": {},
        "cut": {"tasks": 0, "findings": 0},
    }
    for task, predictions in pushed(server).items():
        (prediction,) = predictions
        assert (prediction["model_version"], prediction["score"]) == ("m0002-aa", 0.75)
        (finding,) = from_regions(prediction["result"], tags=ControlTags())
        assert finding.box == square(5, 5).box
        kept = store.prelabel(1, task, "m0002-aa")
        assert (kept.regions, kept.score, kept.image_sha256) == (prediction["result"], 0.75, "a" * 64)
    assert shown(server) == "m0002-aa"
    assert told[-1] == ("prelabel", 1.0, "3 of 3 tasks")


@pytest.mark.parametrize(("brush", "kind"), [(True, "brushlabels"), (False, "polygonlabels")])
def test_masks_are_outlines_unless_the_project_asks_for_the_brush(store, brush, kind):
    server = label_studio(1)
    prelabel(server, store, brush=brush)
    ((prediction,),) = pushed(server).values()
    assert {r["type"] for r in prediction["result"]} == {kind}


def test_a_second_call_does_only_what_is_missing(store):
    server = label_studio(3)
    goes_away(server, after=1)
    with pytest.raises(LabelStudioError):
        prelabel(server, store)
    assert shown(server) is None
    server.before = lambda request: None
    assert prelabel(server, store) == {
        "version": "m0002-aa",
        "predicted": 2,
        "already": 1,
        "withheld": 0,
        "failed": {},
        "cut": {"tasks": 0, "findings": 0},
    }
    assert [len(predictions) for predictions in pushed(server).values()] == [1, 1, 1]


def test_predictions_of_another_version_do_not_count(store):
    server = label_studio(1)
    server.predictions.append({"id": 1, "task": 1, "model_version": "m0001-bb"})
    assert prelabel(server, store)["predicted"] == 1
    assert len(pushed(server)[1]) == 2


def test_one_bad_image_costs_one_prediction(store):
    def sometimes(data):
        if data["image"] == "1.png":
            raise ImageNotFound("not there")
        if data["image"] == "2.png":
            raise UnsupportedImage("a CT")
        return open_image(data)

    server = label_studio(3)
    result = prelabel(server, store, open_image=sometimes)
    assert result["failed"] == {"image_not_found": 1, "unsupported_image": 1}
    assert result["predicted"] == 1
    assert pushed(server)[1] == []  # an empty prediction would say that nothing was found


def test_tasks_with_malformed_paths_cost_their_own_predictions_only(store, tmp_path):
    (tmp_path / "right.png").write_bytes(
        cv2.imencode(".png", np.eye(48, 64, dtype=np.uint8) * 255)[1].tobytes()
    )
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "folder.png").mkdir()
    paths = ["x" * 300, "loop.png", "folder.png", "right.png/x", "\ud800", "", None, 7, "right.png"]

    server = label_studio(0)
    server.add_tasks(1, *({"mammogram": path} for path in paths))
    result = prelabel(server, store, open_image=TaskImages(root=tmp_path, downloads=None).open)
    assert result["predicted"] == 1
    assert sum(result["failed"].values()) == 8
    assert set(result["failed"]) == {"image_not_found", "unreadable_file"}
    assert [number for number, made in pushed(server).items() if made] == [9]


def test_label_studio_not_handing_over_images_stops_the_job(store):
    def away(data):
        raise LabelStudioError("did not answer", code="label_studio_unreachable")

    with pytest.raises(LabelStudioError):
        prelabel(label_studio(2), store, open_image=away)


def test_a_project_without_tasks_shows_no_version(store):
    server = label_studio(0)
    assert prelabel(server, store)["predicted"] == 0
    assert shown(server) is None


def test_the_projects_threshold_decides_what_annotators_see(store):
    for threshold, regions in ((0.7, True), (0.8, False)):
        server = label_studio(1)
        assert prelabel(server, store, threshold=threshold)["predicted"] == 1
        ((prediction,),) = pushed(server).values()
        assert bool(prediction["result"]) is regions


def fails(server, *faults):
    """The next pushes fail, each in its own way: unreachable, locked, or stored and then unreachable."""
    left = list(faults)

    def before(request):
        if is_push(request) and left and left[0] != "stored":
            fault = left.pop(0)
            if fault == "unreachable":
                raise httpx.ConnectError("did not answer")
            return httpx.Response({"locked": 500, "refused": 400}[fault])
        return None

    def after(request):
        if is_push(request) and left and left[0] == "stored":
            left.pop(0)
            raise httpx.ReadTimeout("did not answer")

    server.before, server.after = before, after
    return left


@pytest.mark.parametrize("faults", [["unreachable"], ["locked", "unreachable"], ["stored"]])
def test_a_restart_of_label_studio_costs_no_prediction_and_makes_none_twice(store, faults):
    server = label_studio(2)
    left = fails(server, *faults)
    assert prelabel(server, store)["predicted"] == 2
    assert left == []
    assert [len(predictions) for predictions in pushed(server).values()] == [1, 1]


def test_label_studio_refusing_a_prediction_is_not_asked_again(store):
    server = label_studio(1)
    left = fails(server, "refused", "refused")
    with pytest.raises(LabelStudioError):
        prelabel(server, store)
    assert len(left) == 1


def test_what_was_predicted_before_a_kill_is_pushed_and_not_predicted_again(store):
    """Killed between our copy and the push."""
    asked = []

    class Counting(FakePrelabeller):
        def prelabel(self, mammogram, **options):
            asked.append(mammogram)
            return super().prelabel(mammogram, **options)

    server = label_studio(3)
    goes_away(server, after=1)
    with pytest.raises(LabelStudioError):
        prelabel(server, store, model=Counting())
    server.before = lambda request: None
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

    server = label_studio(9)
    result = prelabel(server, store, open_image=sometimes)
    assert (result["predicted"], result["failed"]) == (7, {"image_timeout": 2})
    other = label_studio(9)
    away = {f"{number}.png" for number in range(1, 10)}
    with pytest.raises(ImageUnavailable):
        prelabel(other, store, open_image=sometimes, model=SimpleNamespace(version="m0003-cc"))
    assert not any(pushed(other).values())


def test_a_withheld_task_is_predicted_silently_once_and_never_pushed(store):
    server, model = label_studio(3), FakePrelabeller()
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
    assert {task: len(predictions) for task, predictions in pushed(server).items()} == {1: 1, 2: 0, 3: 1}
    silent, shown = store.prelabel(1, 2, "m0002-aa"), store.prelabel(1, 1, "m0002-aa")
    assert silent.regions
    assert silent.shown_at is None
    assert shown.shown_at is not None


def test_what_was_silent_is_pushed_without_predicting_again_when_it_is_withheld_no_more(store):
    server, opened = label_studio(1), []

    def counted(data):
        opened.append(data)
        return open_image(data)

    prelabel(server, store, open_image=counted, withheld=lambda *_: "assisted")
    assert shown(server) is None
    assert prelabel(server, store, open_image=counted)["predicted"] == 1
    assert len(opened) == 1
    assert store.prelabel(1, 1, "m0002-aa").shown_at is not None


def test_findings_that_predictions_do_not_show_are_counted_noted_and_told(store):
    server, told = label_studio(3), []
    result = prelabel(server, store, model=FakePrelabeller(num_cut=4), told=told)
    assert result["cut"] == {"tasks": 3, "findings": 12}
    assert told[0][2].endswith(" tasks, 4 findings of 1 tasks not shown")
    assert told[-1] == ("prelabel", 1.0, "3 of 3 tasks, 12 findings of 3 tasks not shown")
    for task, (prediction,) in pushed(server).items():
        assert prediction["result"][-1]["meta"]["num_cut"] == 4
        assert store.prelabel(1, task, "m0002-aa").num_cut == 4


def test_a_stored_prediction_that_is_pushed_later_counts_as_well(store):
    prelabel(label_studio(2), store, model=FakePrelabeller(num_cut=4), withheld=lambda *_: "assisted")
    server = label_studio(2)
    result = prelabel(server, store, model=SimpleNamespace(version="m0002-aa"))
    assert result["cut"] == {"tasks": 2, "findings": 8}
    assert all(prediction["result"][-1]["type"] == "textarea" for (prediction,) in pushed(server).values())


def refreshed(server, store, after=0, *, seconds=0.0):
    """One part of a refresh; with no seconds it predicts one task."""
    part = Part(after, time.monotonic() + seconds)
    return prelabel(server, store, part=part)


def test_a_refresh_leaves_out_what_was_annotated_and_goes_on_where_the_part_before_ended(store):
    server = label_studio(4)
    read(server, 2)
    afters, after = [], 0
    while (after := refreshed(server, store, after).get("after")) is not None:
        afters.append(after)
    assert afters == [1, 3]
    assert [len(made) for made in pushed(server).values()] == [1, 0, 1, 1]


def test_people_see_the_predictions_of_before_until_the_last_part_is_done(store):
    server = label_studio(2)
    assert refreshed(server, store)["after"] == 1
    assert shown(server) is None
    assert "after" not in refreshed(server, store, 1)
    assert shown(server) == "m0002-aa"


def test_a_refresh_with_time_enough_needs_one_part(store):
    server = label_studio(3)
    read(server, 1)
    summary = refreshed(server, store, seconds=600)
    assert (summary["predicted"], summary.get("after")) == (2, None)
    assert shown(server) == "m0002-aa"
