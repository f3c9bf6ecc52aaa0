"""`python -m worker`: runs jobs from the queue. Reads the environment once; this process never imports torch."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys

import redis

from mammo.broker import explain, is_away
from mammo.errors import MammoError
from mammo.leash import die_with
from mammo.runs.jobs import QUEUES
from mammo.settings import Settings
from mammo.site import Site
from worker.current_site import install
from worker.jobs import JOBS
from worker.stoppable_worker import StoppableWorker, make_worker

BROKER_SECONDS = 90
"""Seconds to retry while Redis is away: a worker that gave up would die, and its job would wait for the next one."""


def main(arguments: list[str] | None = None) -> int:
    """Work until stopped; return the exit status."""
    options = _parse(arguments)
    if options.parent is not None:
        die_with(options.parent, by=signal.SIGTERM)
    # Backend, worker and Label Studio often share a few cores: torch's waiting threads must sleep, not spin.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.umask(0o077)  # whatever this process writes is its user's only
    try:
        site = Site.load()
        settings = site.settings
        _ = site.data_dir  # refused now, not in the first job, if others may access it
        _configure_logs(settings)
        worker = _build(settings, queues=options.queues.split(","), name=options.name)
    except MammoError as error:
        print(f"worker: {error}", file=sys.stderr)  # noqa: T201 - before there is a log
        return 2
    except redis.RedisError as error:
        return _broker_failed(error)
    try:
        worker.work(burst=options.burst, logging_level=settings.log_level)
    except redis.RedisError as error:
        return _broker_failed(error)
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--burst", action="store_true", help="stop when the queues are empty")
    parser.add_argument(
        "--queues", default=",".join(QUEUES), help="queues to take jobs from, comma separated: %(default)s"
    )
    parser.add_argument("--name", default="worker", help="prefix of its name in the log: %(default)s")
    parser.add_argument("--parent", type=int, help="process id of the supervisor; stop when it dies")
    return parser.parse_args(arguments)


def _configure_logs(settings: Settings) -> None:
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs whole URLs, presigned ones included
    logging.getLogger("rq.worker").addFilter(_is_relevant)


def _is_relevant(record: logging.LogRecord) -> bool:
    """Drop the line that RQ logs for every queue each half minute when there was nothing to clean up."""
    return record.levelno > logging.INFO or "cleaning" not in str(record.msg)


def _build(settings: Settings, *, queues: list[str], name: str) -> StoppableWorker:
    """Connect to Redis, waiting for it if need be, and build the worker; each job opens its own site.

    Raises:
        redis.RedisError: waiting does not help, because Redis refuses the password, or what the worker asks.
    """
    install(lambda: Site(settings=settings, creates=True, broker_seconds=BROKER_SECONDS))
    try:
        Site(settings=settings).redis.ping()
    except redis.RedisError as error:
        if not is_away(error):
            raise
        logging.warning("%s; waiting for it", explain(error))
    site = Site(settings=settings, broker_seconds=BROKER_SECONDS)
    return make_worker(site.redis, jobs=JOBS, queues=queues, name=name)


def _broker_failed(error: redis.RedisError) -> int:
    print(f"worker: {explain(error)}", file=sys.stderr)  # noqa: T201 - the log may not be set up
    return 1


if __name__ == "__main__":
    sys.exit(main())
