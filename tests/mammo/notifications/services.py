"""A notification service on a database of the tests, with a clock that they set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mammo.disk_reserve import ROOMY_AGAIN
from mammo.models import ModelRegistry
from mammo.notifications import NewChannel, NotificationService
from mammo.runs import RunLedger, Runs, claim, classify
from mammo.settings import Settings
from tests.mammo.models.versions import register

SETTINGS = {
    "notification_secret": "a secret of the tests",
    "private_networks": "127.0.0.0/8",
    "smtp_url": "smtp://127.0.0.1:9",
    "smtp_sender": "yolo-mlsam@hospital.example",
}
OWNER = "another-host/17/1"


class Clock:
    """Real time, plus what a test lets pass."""

    def __init__(self) -> None:
        self.passed = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.passed

    def advance(self, **time: float) -> None:
        self.passed += timedelta(**time)


def service(engine, *, client=None, free=2 * ROOMY_AGAIN, **settings) -> NotificationService:
    made = NotificationService.of(Settings(**{**SETTINGS, **settings}), engine=engine, client=client)
    made.clock = Clock()
    made.host = "reading-room"
    made.free_bytes = lambda _folder: free
    return made


def channel(service, target, *, kind="webhook", project=None, topics=(), quiet_days=7):
    new = NewChannel(kind=kind, target=target, project=project, topics=tuple(topics), quiet_days=quiet_days)
    return service.add(new, actor="me@here")


def run(engine, project=3, *, state="kept", error=None, reason="a reason"):
    """A run that ends in a state; its id."""
    runs = Runs(engine)
    name = runs.request(project, recipe="demo", reason=reason, trigger="button").run
    ledger = RunLedger(engine, claim(runs, name, owner=OWNER))
    if error is not None:
        ledger.fail(classify(error))
        return name
    for each in ("building", "detector", "segmenter", "evaluating", "judged"):
        ledger.enter(each)
    ledger.end(state, {}, reason=reason)
    return name


def versions(engine, tmp_path, *, why="a reason"):
    """A registry whose champion was promoted and rolled back again; the two versions."""
    registry = ModelRegistry(engine, tmp_path / "blobs")
    first, second = (register(registry, tmp_path, name, dataset=name) for name in ("one", "two"))
    registry.promote(first, expected_epoch=0, reason=why, actor="gate")
    registry.promote(second, expected_epoch=1, reason=why, actor="gate")
    registry.roll_back(reason=why, actor="me@here")
    return first, second
