"""`yolo-mlsam work` with real processes and a real Redis: workers start, come again, stop, and leave nothing behind."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from cli.__main__ import main
from mammo.broker import redis_connection
from mammo.runs.jobs import JobQueue
from mammo.runs.payloads import Retrain
from mammo.settings import PREFIX
from tests.waiting import until
from worker import health
from worker.placement import WorkerSpec
from worker.supervisor import SETTLED_SECONDS, WorkerProcess


@dataclass
class Site:
    """A machine that works for the queues of one Redis."""

    folder: Path
    url: str
    label_studio: socket.socket
    """It is asked, and never answers: a training that has begun goes on for as long as a test wants it to."""

    running: list[psutil.Popen] = field(default_factory=list)

    def work(self, *options: str) -> psutil.Popen:
        mine = {k: v for k, v in os.environ.items() if not k.startswith((PREFIX, "CUDA_"))}
        mine |= {f"{PREFIX}REDIS_URL": self.url, f"{PREFIX}DATA_DIR": str(self.folder / "data")}
        address = "http://{}:{}".format(*self.label_studio.getsockname())
        mine |= {f"{PREFIX}LABEL_STUDIO_URL": address, f"{PREFIX}LABEL_STUDIO_API_KEY": "key"}
        with (self.folder / "log").open("ab") as log:
            made = psutil.Popen(
                [sys.executable, "-m", "cli", "work", *options],
                env=mine, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.running.append(made)
        return made

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def queue(self) -> JobQueue:
        return JobQueue(redis_connection(self.url))

    def training(self) -> Job:
        made = self.queue.enqueue_retrain(Retrain(1, "demo", "a test"))
        return Job.fetch(made.job_id, connection=redis_connection(self.url), serializer=JSONSerializer)

    def has_begun(self) -> bool:
        """Whether the training asks Label Studio."""
        return bool(select.select([self.label_studio], [], [], 0)[0])

    def until(self, condition: Callable[[], object], *, seconds: float = 200) -> None:
        until(condition, seconds=seconds, says=lambda: self.log)


@pytest.fixture
def site(redis_url, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as label_studio:
        made = Site(tmp_path, redis_url, label_studio)
        yield made
        for process in made.running:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=90)


def workers(supervisor: psutil.Popen) -> dict[str, psutil.Process]:
    """The supervisor's children by their names."""
    found = {}
    for child in supervisor.children():
        try:
            words = child.cmdline()
        except psutil.NoSuchProcess:  # a zombie, soon to be noticed
            continue
        if "--name" in words:
            found[words[words.index("--name") + 1]] = child
    return found


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_each_gpu_has_a_worker_that_sees_it_alone_and_a_killed_one_comes_again(site, monkeypatch):
    supervisor = site.work("--gpus", "0,1")
    site.until(lambda: site.queue.condition().workers == 4)
    staff = workers(supervisor)
    seen = {name: child.environ()["CUDA_VISIBLE_DEVICES"] for name, child in staff.items()}
    assert seen == {"train-gpu0": "0", "train-gpu1": "1", "light": "", "predict": "1"}
    assert not any("torch" in mapped.path for mapped in supervisor.memory_maps())
    monkeypatch.setenv(f"{PREFIX}REDIS_URL", site.url)
    assert health.main() == 0

    killed = staff["train-gpu1"]
    killed.kill()
    site.until(lambda: workers(supervisor).get("train-gpu1", killed) != killed)
    assert f"worker train-gpu1 (pid {killed.pid}) was killed by SIGKILL" in site.log
    assert "it restarts in 1 s" in site.log
    assert workers(supervisor)["train-gpu1"].environ()["CUDA_VISIBLE_DEVICES"] == "1"
    assert workers(supervisor)["train-gpu0"] == staff["train-gpu0"]


@pytest.mark.slow
def test_on_sigterm_the_running_job_goes_back_into_its_queue_and_nothing_is_left(site):
    supervisor = site.work("--queues", "train", "--gpus", "none")
    job = site.training()
    site.until(site.has_begun)
    family = supervisor.children(recursive=True)
    assert len(family) == 2, "the worker, the job"
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(timeout=90) == 0
    assert job.get_status() == "queued"
    assert job.id in Queue("train", connection=job.connection, serializer=JSONSerializer).job_ids
    assert all(gone(process) for process in family)
    assert site.queue.condition().workers == 0
    assert "all workers have stopped" in site.log


def test_a_killed_supervisor_leaves_no_process_and_its_job_goes_back(site):
    supervisor = site.work("--queues", "train", "--gpus", "none")
    job = site.training()
    site.until(site.has_begun)
    family = supervisor.children(recursive=True)
    supervisor.kill()
    supervisor.wait(timeout=90)
    site.until(lambda: all(gone(process) for process in family))
    assert job.get_status() == "queued"


def test_a_second_signal_ends_at_once(site):
    supervisor = site.work("--queues", "train", "--gpus", "none")
    site.until(lambda: site.queue.condition().workers == 1)
    (worker,) = workers(supervisor).values()
    worker.suspend()  # it cannot stop by itself
    supervisor.send_signal(signal.SIGINT)
    site.until(lambda: "SIGINT: stopping 1 worker(s)" in site.log)
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(timeout=90) == 1
    assert gone(worker)
    assert "second signal: killed train-cpu" in site.log


def test_a_worker_that_never_comes_up_is_tried_for_ever_at_longer_pauses(monkeypatch, caplog):
    monkeypatch.setattr(WorkerProcess, "command", [sys.executable, "-I", "-S", "-c", "raise SystemExit(3)"])
    worker = WorkerProcess(WorkerSpec("train-cpu", ("train",), {}), os.environ)

    def die(*, lived: float = 0.0) -> int:
        """Seconds of pause that the log tells."""
        worker.start()
        worker.process.wait(timeout=90)
        worker.started_at = time.monotonic() - lived
        worker.poll()
        (told,) = [each for each in caplog.messages if "ended with exit code 3" in each]
        caplog.clear()
        return int(re.search(r"restarts in (\d+) s", told)[1])

    assert [die() for _ in range(4)] == [1, 2, 4, 8]
    worker.start()
    worker.process.wait(timeout=90)
    worker.poll()
    assert "train-cpu does not stay up" in caplog.messages[-1]
    caplog.clear()
    assert [die() for _ in range(4)] == [32, 60, 60, 60]
    assert die(lived=SETTLED_SECONDS + 1) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--queues", "retrain"), "queues must be one or more of light, predict, train"),
        (("--gpus", "zero"), "--gpus is 'zero'"),
    ],
)
def test_options_that_mean_nothing_are_refused_in_one_line(options, says, capsys):
    with pytest.raises(SystemExit) as end:
        main(["work", *options])
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
