"""The program that writes to MLflow: JSON on stdin says what should stand there, JSON on stdout what was done.

MLflow is a large library that starts threads, tries again for minutes and reports its use, so it runs here: without
the service's environment, with its own switches, and ended by `mlflow_mirror` when it takes too long. This file
imports nothing of ours, because it is started by its path in Python's isolated mode.

Asked: `uri`, `experiment`, and `versions`: each a `name`, `made_at` (milliseconds since 1970), `params`, `metrics`
and `tags`. Answered: `created`, `changed` and `unchanged` (numbers of versions), or `problem` (a code) and `detail`.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

NAME = "yolo_mlsam.version"
"""The tag by which a run of MLflow is known to be a version's."""

REACH_SECONDS = 3.0
"""How long a server may take to accept a connection; who is away is not asked further."""

TAGS, PARAMS, METRICS = 100, 100, 1000
"""Most of each that MLflow takes in one request."""

TAG_LENGTH, PARAM_LENGTH = 5000, 6000
"""Most characters of a value."""


class Problem(Exception):
    """Why nothing is mirrored; `args` are a code and a detail."""


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # MLflow prints what it likes
    try:
        answer = _mirror(json.load(sys.stdin))
    except Problem as problem:
        answer = dict(zip(("problem", "detail"), problem.args, strict=True))
    answers.write(json.dumps(answer))
    answers.close()


def _mirror(order: Mapping[str, Any]) -> dict[str, Any]:
    if importlib.util.find_spec("mlflow") is None:
        raise Problem("not_installed", "")
    _reach(order["uri"])
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    done = {"created": 0, "changed": 0, "unchanged": 0}
    try:
        client = MlflowClient(tracking_uri=order["uri"])
        experiment = _experiment(client, order["experiment"])
        known = _runs(client, experiment)
        for version in order["versions"]:
            (run, *_) = known.get(version["name"], [None])
            done[_write(client, experiment, version, run)] += 1
        if done["created"]:
            _keep_one_each(client, experiment)
    except MlflowException as error:  # its message may hold the address, and a password in it
        reason = error.__cause__ or error.__context__
        if type(reason).__module__.startswith("requests"):
            raise Problem("away", type(reason).__name__) from error
        raise Problem("refused", error.error_code) from error
    except Exception as error:  # of a database that it opens itself
        raise Problem("refused", type(error).__name__) from error
    return done


def _reach(uri: str) -> None:
    try:
        address = urlsplit(uri)
        port = address.port or (443 if address.scheme == "https" else 80)
    except ValueError as error:
        raise Problem("address", "") from error
    if address.scheme not in ("http", "https"):
        return
    if not address.hostname:
        raise Problem("address", "")
    try:
        socket.create_connection((address.hostname, port), timeout=REACH_SECONDS).close()
    except OSError as error:
        raise Problem("away", type(error).__name__) from error


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name))
    if found.lifecycle_stage != "active":
        raise Problem("deleted", "")
    return str(found.experiment_id)


def _runs(client: Any, experiment: str) -> dict[str, list[Any]]:
    """The runs of every version that is there, by version, the first by id first: that one counts."""
    found: dict[str, list[Any]] = {}
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        for run in page:
            if NAME in run.data.tags:
                found.setdefault(run.data.tags[NAME], []).append(run)
        token = page.token
        if not token:
            return {name: sorted(runs, key=lambda run: str(run.info.run_id)) for name, runs in found.items()}


def _write(client: Any, experiment: str, version: Mapping[str, Any], run: Any) -> str:
    """Make one run say what it should; `created`, `changed` or `unchanged`."""
    created = run is None
    if created:
        own = {NAME: version["name"]}
        run = client.create_run(experiment, version["made_at"], tags=own, run_name=version["name"])
    missing = _missing(version, run)
    for tags, params, metrics in missing:
        client.log_batch(run.info.run_id, metrics=metrics, params=params, tags=tags)
    if run.info.status != "FINISHED":
        client.set_terminated(run.info.run_id, "FINISHED", end_time=version["made_at"])
    elif not missing:
        return "unchanged"
    return "created" if created else "changed"


def _keep_one_each(client: Any, experiment: str) -> None:
    """Where two mirrored at the same moment, the first run by id stays."""
    for runs in _runs(client, experiment).values():
        for run in runs[1:]:
            client.delete_run(run.info.run_id)


def _missing(version: Mapping[str, Any], run: Any) -> list[tuple[list[Any], list[Any], list[Any]]]:
    """What the run lacks, in batches that MLflow takes."""
    from mlflow.entities import Metric, Param, RunTag

    tags = {name: value[:TAG_LENGTH] for name, value in version["tags"].items()}
    params = {name: value[:PARAM_LENGTH] for name, value in version["params"].items()}
    data = run.data
    new_tags = [RunTag(name, value) for name, value in tags.items() if data.tags.get(name) != value]
    new_params = [Param(name, value) for name, value in params.items() if name not in data.params]
    new_metrics = [
        Metric(name, value, version["made_at"], 0)
        for name, value in version["metrics"].items()
        if not math.isclose(data.metrics.get(name, math.nan), value, rel_tol=1e-9)
    ]
    batches = [_chunks(new_tags, TAGS), _chunks(new_params, PARAMS), _chunks(new_metrics, METRICS)]
    longest = max(map(len, batches))
    filled = [[*batch, *([[]] * (longest - len(batch)))] for batch in batches]
    return list(zip(*filled, strict=True))


def _chunks(values: Sequence[Any], size: int) -> list[list[Any]]:
    def parts() -> Iterator[list[Any]]:
        rest = iter(values)
        while part := list(islice(rest, size)):
            yield part

    return list(parts())


if __name__ == "__main__":
    main()
