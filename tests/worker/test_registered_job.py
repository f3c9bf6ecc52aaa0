"""Whatever is written into Redis, a worker runs our own functions only, and says what it refused. With a real Redis."""

from __future__ import annotations

import http.server
import logging
import multiprocessing
import pickle
import threading
import zlib
from pathlib import Path

import pytest
from rq import Callback, Queue, Repeat, Retry
from rq.job import Job
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.webhook import Webhook

from mammo.broker import redis_connection
from mammo.errors import InvalidSettings
from mammo.runs.jobs import FORMER_NAMES, QUEUES, JobQueue
from worker.registered_job import registered
from worker.stoppable_worker import make_worker

OURS = "ours.touch"


def touch(path: str) -> str:
    """The one job of these tests; the others are what somebody else would have the worker do."""
    Path(path).touch()
    return "done"


def fail(path: str) -> None:
    Path(path).touch()
    raise ValueError("as it should")


class Exploit:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def touches(*_: object) -> None:
    """A callback that somebody else names: it leaves a mark where `MARK` says."""
    Path(MARK.read_text()).touch()


MARK = Path("/nonexistent")


@pytest.fixture
def connection(redis_url):
    made = redis_connection(redis_url)
    yield made
    made.close()


@pytest.fixture
def queue(connection):
    return Queue("train", connection=connection, serializer=JSONSerializer)


@pytest.fixture
def pwned(tmp_path, monkeypatch):
    """The file that must not be there afterwards."""
    mark = tmp_path / "mark"
    mark.write_text(str(tmp_path / "pwned"))
    monkeypatch.setattr("tests.worker.test_registered_job.MARK", mark)
    return tmp_path / "pwned"


@pytest.fixture
def work_off(redis_url, tmp_path):
    """Runs a worker in a process of its own until the queues are empty; gives what it logged."""

    def run(*, queues=QUEUES) -> str:
        def process() -> None:
            log = logging.FileHandler(tmp_path / "log")
            for name in ("rq.worker", "rq.job", "rq.registry"):
                logging.getLogger(name).addHandler(log)
            jobs = {OURS: touch, "ours.fail": fail}
            worker = make_worker(redis_connection(redis_url), jobs=jobs, queues=queues)
            worker.work(burst=True)

        worker = multiprocessing.get_context("fork").Process(target=process)
        worker.start()
        worker.join(60)
        assert worker.exitcode == 0
        return (tmp_path / "log").read_text()

    return run


def assert_refused(job: Job, log: str, *, because: str, on: str = "train") -> None:
    """It failed, with a sentence for whoever asks, and one line of the log."""
    connection = job.connection
    status = JobQueue(connection).status(job.id)
    assert (status.state, status.error is not None and because in status.error) == ("failed", True), status
    (line,) = [line for line in log.splitlines() if "refused: " in line]
    assert because in line
    assert f"{on}: job {job.id}" in line
    assert job.id in FailedJobRegistry(on, connection=connection, serializer=JSONSerializer).get_job_ids()
    assert not connection.exists(f"rq:queue:{on}:intermediate")


@pytest.mark.parametrize("queues", [QUEUES, ("train",)], ids=["of-several-queues", "of-one-queue"])
@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.exec",
        "subprocess.call",
        "worker.jobs._train",
        "worker.jobs.retrain",
        "",
        "ours",
        "x\ny",
    ],
)
def test_a_function_that_is_no_job_of_ours_is_not_run(queue, work_off, pwned, name, queues):
    job = queue.enqueue_call(name, args=[f"touch {pwned}"], retry=Retry(max=3))
    log = work_off(queues=queues)
    assert not pwned.exists()
    assert_refused(job, log, because="is not a registered job; these are: ours.fail, ours.touch")


@pytest.mark.parametrize("name", sorted({*QUEUES, *FORMER_NAMES.values()}))
def test_it_is_refused_on_every_queue_and_ours_runs_there(connection, work_off, pwned, tmp_path, name):
    queue = Queue(name, connection=connection, serializer=JSONSerializer)
    bad = queue.enqueue_call("os.system", args=[f"touch {pwned}"])
    good = queue.enqueue_call(OURS, args=[str(tmp_path / "good")])
    log = work_off()
    assert not pwned.exists()
    assert_refused(bad, log, because="'os.system'", on=name)
    assert JobQueue(connection).status(good.id).result == "done"


@pytest.mark.parametrize("when", ["on_success", "on_failure", "on_stopped"])
@pytest.mark.parametrize("name", [OURS, "ours.fail"])
def test_a_callback_is_not_called_and_its_job_not_run(queue, work_off, pwned, tmp_path, when, name):
    callback = {when: Callback("tests.worker.test_registered_job.touches")}
    job = queue.enqueue_call(name, args=[str(tmp_path / "ran")], **callback)
    log = work_off()
    assert not pwned.exists()
    assert not (tmp_path / "ran").exists()
    assert_refused(job, log, because="it asks for a callback")


@pytest.mark.parametrize("status", ["finished", "failed"])
def test_nothing_is_sent_to_an_address_that_a_record_names(queue, work_off, tmp_path, status):
    asked = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hook = Webhook(f"http://127.0.0.1:{server.server_port}/", status)
        ours = queue.enqueue_call(OURS, args=[str(tmp_path / "ran")], webhooks=[hook])
        log = work_off()
        server.shutdown()
    assert asked == []
    assert_refused(ours, log, because="it asks for a webhook")


@pytest.mark.parametrize("field", ["data", "meta", "result"])
def test_a_pickle_is_never_read(queue, connection, work_off, pwned, tmp_path, field):
    job = queue.enqueue_call(OURS, args=[str(tmp_path / "ran")])
    content = pickle.dumps(Exploit(pwned))
    connection.hset(job.key, field, zlib.compress(content) if field == "data" else content)
    log = work_off()
    assert not pwned.exists()
    if field == "data":
        assert_refused(job, log, because="not encoded as JSON")


def test_a_job_of_another_programs_rq_is_refused(connection, work_off, pwned):
    job = Queue("train", connection=connection).enqueue(Path.touch, pwned)  # RQ's own default: pickled
    log = work_off()
    assert not pwned.exists()
    assert_refused(job, log, because="not encoded as JSON")


def test_a_method_of_an_object_is_refused(queue, connection, work_off, pwned):
    job = queue.enqueue_call(OURS, args=[str(pwned)])
    connection.hset(job.key, "data", JSONSerializer.dumps([OURS, "text", [], {}]))
    assert_refused(job, work_off(), because="the method of an object")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "sleeping"), ("timeout", "soon"), ("created_at", "yesterday"), ("result_ttl", "x"),
        ("dependency_ids", "["), ("success_callback_timeout", ""), ("origin", b"\xff"), ("data", b""),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_read_ends_no_worker(queue, connection, work_off, tmp_path, field, value):
    job = queue.enqueue_call("os.system", args=["true"])
    connection.hset(job.key, field, value)
    after = queue.enqueue_call(OURS, args=[str(tmp_path / "ran")])
    log = work_off()
    assert "refused: " in log
    assert connection.hget(job.key, "status") == b"failed"
    assert JobQueue(connection).status(after.id).state == "finished"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"repeats_left": "1000", "repeat_intervals": "[1]"}, "a repetition"),
        ({"rate_limit_key": "k", "rate_limit_concurrency": "1"}, "a rate limit"),
    ],
)
def test_what_our_queue_never_asks_of_rq_is_refused(queue, connection, work_off, tmp_path, fields, named):
    job = queue.enqueue_call(OURS, args=[str(tmp_path / "ran")])
    connection.hset(job.key, mapping=fields)
    assert_refused(job, work_off(), because=f"it asks for {named}")
    assert not (tmp_path / "ran").exists()


def test_a_job_of_a_queue_that_is_not_ours_is_refused(queue, connection, work_off, tmp_path):
    job = queue.enqueue_call(OURS, args=[str(tmp_path / "ran")])
    connection.hset(job.key, "origin", "mail")
    assert_refused(job, work_off(), because="unknown queue 'mail'")
    assert not (tmp_path / "ran").exists()


def test_what_waits_for_a_job_of_ours_is_looked_at_as_well(queue, work_off, pwned, tmp_path):
    first = queue.enqueue_call(OURS, args=[str(tmp_path / "ran")])
    second = queue.enqueue_call("os.system", args=[f"touch {pwned}"], depends_on=first)
    log = work_off()
    assert (tmp_path / "ran").exists()
    assert not pwned.exists()
    assert_refused(second, log, because="'os.system'")


@pytest.mark.parametrize(
    "again", [{"retry": Retry(max=5)}, {"repeat": Repeat(times=3)}], ids=["retry", "repeat"]
)
def test_what_is_refused_is_refused_once(queue, work_off, pwned, again):
    job = queue.enqueue_call("os.system", args=[f"touch {pwned}"], **again)
    log = work_off()
    assert not pwned.exists()
    assert_refused(job, log, because="'os.system'")


@pytest.mark.parametrize("retries", [0, 2])
def test_an_abandoned_jobs_callback_is_not_called_by_who_finds_it(
    queue, connection, work_off, pwned, retries
):
    """A dead worker's job is found at the next maintenance, where RQ calls its failure callback."""
    job = queue.enqueue_call(
        "os.system",
        args=[f"touch {pwned}"],
        on_failure=Callback("tests.worker.test_registered_job.touches"),
        **({"retry": Retry(max=retries)} if retries else {}),
    )
    queue.remove(job)
    job.set_status("started")
    started = StartedJobRegistry("train", connection=connection, serializer=JSONSerializer)
    connection.zadd(started.key, {f"{job.id}:lost": 1})
    work_off()
    assert JobQueue(connection).status(job.id).state == "failed"
    assert not pwned.exists()


def test_a_job_in_this_process_is_looked_up_too(connection):
    job_class = registered({OURS: touch})
    job = Queue("train", connection=connection, serializer=JSONSerializer, job_class=job_class).enqueue_call(
        "os.getpid", result_ttl=5
    )
    read = job_class.fetch(job.id, connection=connection, serializer=JSONSerializer)
    with pytest.raises(InvalidSettings, match=r"'os\.getpid' is not a registered job"):
        read.perform()


def test_what_is_quoted_in_the_log_is_short_and_on_one_line(queue, work_off):
    queue.enqueue_call(
        "a\r\nERROR all is lost " + "b" * 10_000, description="x\nERROR all is lost" + "c" * 9000
    )
    log = work_off()
    assert not [line for line in log.splitlines() if line.startswith("ERROR")]
    assert max(len(line) for line in log.splitlines()) < 500
