"""`python -m worker`: takes jobs from the queue. Reads the environment once; this process never runs torch."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys

import redis

from mammo.errors import MammoError
from mammo.leash import die_with
from mammo.runs.jobs import QUEUES
from mammo.site import Site
from worker.current_site import install
from worker.jobs import JOBS
from worker.stoppable_worker import make_worker

BROKER_SECONDS = 90
"""How long a worker goes on trying while Redis is away: one that gave up would die, and its job would stand still."""


def _tells_something(line: logging.LogRecord) -> bool:
    """Not that nothing was left behind, which RQ says every half minute of every queue."""
    return line.levelno > logging.INFO or "cleaning" not in str(line.msg)


def main(arguments: list[str] | None = None) -> int:
    """Work until stopped; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--burst", action="store_true", help="work off what is queued, then end")
    parser.add_argument("--queues", default=",".join(QUEUES), help="which queues to take from: %(default)s")
    parser.add_argument("--name", default="worker", help="begins its name in the log: %(default)s")
    parser.add_argument(
        "--with-scheduler",
        action="store_true",
        help="also keep RQ's schedule, while no other worker of any host does",
    )
    parser.add_argument("--parent", type=int, help="process id of the supervisor: stop when it is no more")
    options = parser.parse_args(arguments)
    if options.parent is not None:
        die_with(options.parent, by=signal.SIGTERM)
    # Backend, worker and Label Studio often share a few cores: torch's waiting threads must sleep, not spin.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        settings = Site.load().settings
        logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs whole URLs, presigned ones included
        logging.getLogger("rq.worker").addFilter(_tells_something)
        install(lambda: Site(settings=settings, creates=True, broker_seconds=BROKER_SECONDS))
        try:
            Site(settings=settings).redis.ping()
        except redis.ConnectionError as error:
            found = type(error).__name__
            logging.warning("the broker of YOLO_MLSAM_REDIS_URL does not answer (%s); waiting for it", found)
        patient = Site(settings=settings, broker_seconds=BROKER_SECONDS)
        worker = make_worker(patient.redis, jobs=JOBS, queues=options.queues.split(","), name=options.name)
    except MammoError as error:
        print(f"worker: {error}", file=sys.stderr)  # noqa: T201 - before there is a log
        return 2
    except redis.RedisError as error:
        found = type(error).__name__
        print(f"worker: the broker of YOLO_MLSAM_REDIS_URL does not answer ({found})", file=sys.stderr)  # noqa: T201
        return 1
    worker.work(burst=options.burst, with_scheduler=options.with_scheduler, logging_level=settings.log_level)
    return 0


if __name__ == "__main__":
    sys.exit(main())
