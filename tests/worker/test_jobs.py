import multiprocessing
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from mammo.broker import redis_connection
from mammo.database import open_database
from mammo.errors import InsufficientData
from mammo.runs import RunLedger, Runs, RunService, claim, this_process
from mammo.runs.jobs import ADAPT, PRELABEL, RETRAIN, JobQueue
from mammo.runs.payloads import Adapt, PrelabelProject, Retrain
from mammo.settings import Settings
from tests.sites import site_of
from worker import jobs
from worker.current_site import install
from worker.stoppable_worker import make_worker

OTHER_CONFIG = """<View><Image name="i" value="$image"/>
<BrushLabels name="b" toName="i"><Label value="MC"/></BrushLabels>
<KeyPointLabels name="ask" toName="i" smart="true" smartOnly="true"><Label value="MC"/></KeyPointLabels></View>"""


def fake_site(url, database):
    """What the jobs ask for; `training.retrain.retrain` is replaced where a test says what it shall do."""
    return site_of(
        Settings(label_studio_url="http://label-studio", redis_url=url, thresholds={1: 0.35}),
        queue=JobQueue(redis_connection(url)),
        registry=SimpleNamespace(champion=lambda: SimpleNamespace(version="m1")),
        label_studio=SimpleNamespace(
            project=lambda project: {"label_config": OTHER_CONFIG}, close=lambda: None
        ),
        engine=open_database(database),
        reconcile=lambda project, *, complete: None,
        load_model=lambda version: SimpleNamespace(version=version),
    )


@pytest.fixture(autouse=True)
def nothing_is_automatic(monkeypatch):
    monkeypatch.setattr(jobs, "accept_predictions", lambda project, **_: {"accepted": 0})


@pytest.fixture
def queue(redis_url):
    return JobQueue(redis_connection(redis_url))


@pytest.fixture
def work_off(tmp_path):
    """Runs a worker in a process of its own until the queues are empty."""
    return lambda url, setup: _work_off(url, setup, database_of(tmp_path))


def database_of(tmp_path):
    return f"sqlite:///{tmp_path / 'jobs.db'}"


def _work_off(url, setup, database):

    def process():
        install(lambda: fake_site(url, database))
        setup()
        make_worker(redis_connection(url), jobs=jobs.JOBS).work(burst=True)

    worker = multiprocessing.get_context("fork").Process(target=process)
    worker.start()
    worker.join(120)
    assert worker.exitcode == 0


def fake_retrain(monkeypatch, behave):
    recipe = SimpleNamespace(with_gate=lambda **_: "the demo recipe")
    recipes = SimpleNamespace(RECIPES={"demo": recipe})
    monkeypatch.setitem(sys.modules, "training.retrain.recipes", recipes)  # the real ones bring torch
    import training
    import training.retrain.retrain

    monkeypatch.setattr(jobs, "retrain_context", lambda site: "context")
    monkeypatch.setattr(
        jobs, "record_learning_curve", lambda *_: None
    )  # it reads the gate of the real recipes
    monkeypatch.setattr(training, "recipes", recipes, raising=False)
    monkeypatch.setattr(training.retrain.retrain, "retrain", behave)


def test_a_promotion_asks_for_new_prelabels_and_the_result_can_be_read(
    queue, redis_url, work_off, monkeypatch
):
    def behave(order, *, run, recipe, context, report, tags, ledger):
        report("detector", 0.3, "epoch 1")
        assert tags.prompts == {"ask"}, "the dataset is read with the project's own controls"
        assert (recipe, context) == ("the demo recipe", "context")
        return {"promoted": True, "challenger": "m2", "run": run, "project": order.project}

    seen = []
    monkeypatch.setattr(
        jobs,
        "prelabel_tasks",
        lambda project, prelabeller, **_: {"project": project, "version": prelabeller.version},
    )
    made = queue.enqueue_retrain(Retrain(4, "demo", "START_TRAINING"))
    work_off(redis_url, lambda: fake_retrain(monkeypatch, behave))
    status = queue.status(made.job_id)
    assert (status.state, status.progress, status.stage) == ("finished", 1.0, "detector")
    assert status.result == {"promoted": True, "challenger": "m2", "run": made.job_id, "project": 4}
    assert queue.active(4) is None
    for key in queue._connection.scan_iter("yolo-mlsam:prelabel:4:m2:after-0"):
        seen.append(queue.status(queue._connection.get(key).decode()))
    # The champion of this fake site stays m1, so that the refresh has nothing to do.
    assert [each.result for each in seen] == [{"version": "m2", "superseded": True}]


def test_a_failure_is_not_tried_again_and_says_why(queue, redis_url, work_off, monkeypatch, tmp_path):
    def behave(order, **_):
        with (tmp_path / "runs").open("a") as file:
            file.write("x")
        raise InsufficientData("only 1 patient is annotated")

    made = queue.enqueue_retrain(Retrain(1, "demo", "a"))
    work_off(redis_url, lambda: fake_retrain(monkeypatch, behave))
    status = queue.status(made.job_id)
    assert (status.state, status.error) == ("failed", "only 1 patient is annotated")
    assert (tmp_path / "runs").read_text() == "x"
    (run,) = Runs(open_database(database_of(tmp_path))).newest()
    assert (run.state, run.failure, run.error) == ("failed", "bad_data", "only 1 patient is annotated")
    assert queue.enqueue_retrain(Retrain(1, "demo", "b")).created


def test_an_unforeseen_failure_is_said_to_be_ours(queue, redis_url, work_off, monkeypatch):
    def behave(order, **_):
        raise ZeroDivisionError("by zero")

    made = queue.enqueue_retrain(Retrain(1, "demo", "a"))
    work_off(redis_url, lambda: fake_retrain(monkeypatch, behave))
    error = queue.status(made.job_id).error
    assert error.startswith("ZeroDivisionError: this is a bug in yolo-mlsam")


def test_an_unknown_recipe_is_refused_by_name(queue, redis_url, work_off, monkeypatch):
    made = queue.enqueue_retrain(Retrain(1, "best", "a"))
    work_off(redis_url, lambda: fake_retrain(monkeypatch, None))
    assert "recipe 'best' is not one of demo" in queue.status(made.job_id).error


def test_a_job_that_is_killed_is_started_again(queue, redis_url, work_off, monkeypatch, tmp_path):
    def behave(order, **_):
        if not (tmp_path / "killed").exists():
            (tmp_path / "killed").write_text("")
            os.kill(os.getpid(), 9)
        return {"promoted": False, "challenger": "m2"}

    made = queue.enqueue_retrain(Retrain(1, "demo", "a"))
    work_off(redis_url, lambda: fake_retrain(monkeypatch, behave))
    assert (tmp_path / "killed").exists()
    assert queue.status(made.job_id).state == "finished"
    (run,) = Runs(open_database(database_of(tmp_path))).newest()
    assert (run.id, run.attempt) == (made.job_id, 2)


def test_a_run_that_nobody_finished_is_gone_on_with_by_the_next_one_that_is_asked_for(
    queue, redis_url, work_off, monkeypatch, tmp_path
):
    runs = Runs(open_database(database_of(tmp_path)))
    left = runs.request(1, recipe="demo", reason="lost with the queue", trigger="button").run
    assert claim(runs, left, owner=f"{socket.gethostname()}/999999999/1") is not None

    def behave(order, *, run, **_):
        return {"promoted": False, "challenger": "m2", "run": run, "reason": order.reason}

    made = queue.enqueue_retrain(Retrain(1, "demo", "asked again"))
    work_off(redis_url, lambda: fake_retrain(monkeypatch, behave))
    result = queue.status(made.job_id).result
    assert (result["run"], result["reason"]) == (left, "lost with the queue")
    assert [each["run"] for each in runs.triggers(1)] == [left, left]


def test_a_job_waits_as_long_as_another_process_works_on_its_run_and_then_goes_on_with_it(
    queue, redis_url, work_off, monkeypatch, tmp_path
):
    runs = Runs(open_database(database_of(tmp_path)))
    run = runs.request(1, recipe="demo", reason="a", trigger="button").run
    taken = claim(runs, run, owner=this_process())
    assert taken is not None

    def let_go_late():
        while queue.status(run).state != "started":
            time.sleep(0.05)
        time.sleep(4)  # far longer than the job's patience
        RunLedger(runs.engine, taken).release("the test")

    def setup():
        monkeypatch.setattr(jobs, "CLAIM_SECONDS", 0.5)
        fake_retrain(
            monkeypatch, lambda order, *, run, **_: {"promoted": False, "challenger": "m2", "run": run}
        )

    queue.enqueue_retrain(Retrain(1, "demo", "the queue lost sight of it"), run=run)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(let_go_late)
        work_off(redis_url, setup)
        other.result()
    status = queue.status(run)
    assert status.state == "finished", status
    assert runs.get(run).attempt == 2


def test_a_cancelled_run_stops_at_its_next_report(queue, redis_url, work_off, monkeypatch, tmp_path):
    database = database_of(tmp_path)

    def behave(order, *, run, report, **_):
        report("detector", 0.1, "")
        Runs(open_database(database)).cancel(run, reason="by hand")
        report("detector", 0.2, "")
        raise AssertionError("it was not stopped")

    made = queue.enqueue_retrain(Retrain(1, "demo", "a"))
    work_off(redis_url, lambda: fake_retrain(monkeypatch, behave))
    assert "is cancelled" in queue.status(made.job_id).error
    (run,) = Runs(open_database(database)).newest()
    assert (run.state, run.active) == ("cancelled", False)


def test_an_adaptation_is_a_job_whose_promotion_asks_for_prelabels_of_its_project(
    queue, redis_url, work_off, monkeypatch, tmp_path
):
    def behave(run, ledger, site, report):
        report("detector", 0.3, "epoch 1")
        return {"promoted": True, "challenger": "m2", "run": run.id}

    service = RunService(Runs(open_database(database_of(tmp_path))), queue)
    order = Adapt(4, "adapt", "a new scanner", ("ours",))
    run = service.start_adaptation(order, enqueue=True).run
    monkeypatch.setattr(
        jobs, "prelabel_tasks", lambda project, prelabeller, **_: {"version": prelabeller.version}
    )
    work_off(redis_url, lambda: monkeypatch.setattr(jobs, "adapt_on_site", behave))
    status = queue.status(run)
    assert (status.state, status.stage) == ("finished", "detector")
    assert status.result == {"promoted": True, "challenger": "m2", "run": run}
    (key,) = queue._connection.scan_iter("yolo-mlsam:prelabel:4:m2:after-0")
    assert queue.status(queue._connection.get(key).decode()).result["version"] == "m2"


def test_an_adaptation_without_its_backgrounds_on_this_host_fails_with_a_remedy(
    queue, redis_url, work_off, tmp_path, monkeypatch
):
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    service = RunService(Runs(open_database(database_of(tmp_path))), queue)
    run = service.start_adaptation(Adapt(0, "smoke", "a test", ("ours",)), enqueue=True).run
    work_off(redis_url, lambda: None)
    assert "there is no background set ours" in queue.status(run).error
    assert service.runs.get(run).state == "failed"


def test_prelabels_without_a_version_are_the_champions(queue, redis_url, work_off, monkeypatch):
    monkeypatch.setattr(
        jobs, "prelabel_tasks", lambda project, prelabeller, **_: {"version": prelabeller.version}
    )
    made = queue.enqueue_prelabel(PrelabelProject(1))
    work_off(redis_url, lambda: None)
    assert queue.status(made.job_id).result == {"version": "m1", "automatic": {"accepted": 0}}


def test_a_refresh_enqueues_its_next_part_behind_the_jobs_that_wait(
    queue, redis_url, work_off, monkeypatch, tmp_path
):
    order = tmp_path / "order"  # the jobs run in a process of their own

    def prelabel(project, prelabeller, *, part, **_):
        with order.open("a") as file:
            file.write(f"{project} {part and part.after}\n")
        return {"version": "m1", **({"after": 7} if part and not part.after else {})}

    monkeypatch.setattr(jobs, "prelabel_tasks", prelabel)
    queue.enqueue_prelabel(PrelabelProject(1, "m1", refresh=True))
    queue.enqueue_prelabel(PrelabelProject(2))
    work_off(redis_url, lambda: None)
    assert order.read_text().splitlines() == ["1 0", "2 None", "1 7"]


def test_a_refresh_ends_when_another_version_serves(queue, redis_url, work_off, monkeypatch):
    monkeypatch.setattr(jobs, "prelabel_tasks", lambda *_, **__: pytest.fail("nobody would see it"))
    made = queue.enqueue_prelabel(PrelabelProject(1, "m0", refresh=True, after=3))
    work_off(redis_url, lambda: None)
    assert queue.status(made.job_id).result == {"version": "m0", "superseded": True}


def test_a_project_is_prelabelled_at_its_own_threshold(queue, redis_url, work_off, monkeypatch):
    monkeypatch.setattr(
        jobs, "prelabel_tasks", lambda project, *_, site, **__: {"at": site.settings.thresholds.get(project)}
    )
    made = [queue.enqueue_prelabel(PrelabelProject(project)) for project in (1, 2)]
    work_off(redis_url, lambda: None)
    assert [queue.status(each.job_id).result["at"] for each in made] == [0.35, None]


def environment(tmp_path, url):
    own = {"YOLO_MLSAM_REDIS_URL": url, "YOLO_MLSAM_DATA_DIR": str(tmp_path / "data")}
    return {key: value for key, value in os.environ.items() if not key.startswith("YOLO_MLSAM_")} | own


def test_the_worker_command_works_off_the_queue_and_never_brings_torch_in(redis_url, tmp_path):
    program = (
        "import sys; from worker.__main__ import main; code = main(['--burst']); "
        "sys.exit(code or (3 if 'torch' in sys.modules else 0))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(tmp_path, redis_url), timeout=120)
    assert done.returncode == 0
    assert not (tmp_path / "data").exists()  # connections are made by jobs, not by the worker


def test_the_worker_command_says_which_setting_is_wrong(redis_url, tmp_path):
    wrong = environment(tmp_path, redis_url) | {"YOLO_MLSAM_THREADS": "many"}
    done = subprocess.run(
        [sys.executable, "-m", "worker"], env=wrong, timeout=120, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "YOLO_MLSAM_THREADS" in done.stderr


@pytest.mark.parametrize("name", [RETRAIN, ADAPT, PRELABEL])
def test_a_job_with_another_payload_than_ours_fails_with_a_sentence_and_does_nothing(
    queue, redis_url, work_off, name
):
    connection = redis_connection(redis_url)
    foreign = Queue("train", connection=connection, serializer=JSONSerializer)
    job = foreign.enqueue_call(name, kwargs={"payload": {"project": "1/../../users"}})
    work_off(redis_url, lambda: None)
    status = queue.status(job.id)
    assert (status.state, "not what this release queues" in str(status.error)) == ("failed", True)
