"""Prometheus metrics of one backend. Labels have few values, and none is copied from a request."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mammo.runs.jobs import QueueCondition

SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Metrics:
    """Metrics in their own registry, so that two backends in one process (tests) do not share counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        r = self._registry
        self.predictions = Counter(
            "yolo_mlsam_predictions", "Tasks answered by /predict", ["outcome"], registry=r
        )
        """Outcome: `predicted`, `stored`, `suggested`, `withheld`, `unfinished`, `unreadable`, `failed`."""

        self.missing = Counter(
            "yolo_mlsam_predictions_missing", "Tasks and clicks without a prediction", ["reason"], registry=r
        )
        """Reason: the code of a MammoError (some dozens), `failed` or `out_of_time`."""

        self.cut = Counter(
            "yolo_mlsam_findings_cut", "Findings that predictions do not show, beyond the best", registry=r
        )

        self.predict_seconds = Histogram(
            "yolo_mlsam_predict_seconds", "Time for one task", ["kind"], buckets=SECONDS, registry=r
        )
        """Kind: `prelabel` or `click`."""

        self.download_seconds = Histogram(
            "yolo_mlsam_download_seconds", "Time for one image", ["kind"], buckets=SECONDS, registry=r
        )
        """Kind: `task` or `click`."""

        self.shadow = Counter(
            "yolo_mlsam_shadow_predictions", "Tasks predicted by the shadow model", ["outcome"], registry=r
        )
        """Outcome: `predicted`, `failed`."""

        self.webhooks = Counter(
            "yolo_mlsam_webhook_events", "Webhook events stored", ["action", "duplicate"], registry=r
        )
        self.unreadable = Counter(
            "yolo_mlsam_unreadable_annotations",
            "Annotations stored that cannot be read",
            ["code"],
            registry=r,
        )
        """Code: see `mammo.annotations.stated_sizes`."""

        self.trainings = Counter(
            "yolo_mlsam_training_requests", "Retrains requested", ["outcome"], registry=r
        )
        """Outcome: `queued`, `active`, `refused`."""

        self.reconciliations = Counter(
            "yolo_mlsam_reconciliations", "Projects reconciled with Label Studio", ["outcome"], registry=r
        )
        """Outcome: `done`, `failed`."""

        self.repaired = Counter(
            "yolo_mlsam_repairs", "Annotations and webhooks repaired by reconciliation", ["kind"], registry=r
        )
        """Kind: `missing`, `stale` or `deleted` annotations, whose webhooks were lost; `webhook`."""

        self.requests = Counter("yolo_mlsam_http_requests", "HTTP responses", ["route", "status"], registry=r)
        self.connections = Gauge("yolo_mlsam_connections", "Open connections", registry=r)
        self.closed_connections = Counter(
            "yolo_mlsam_connections_closed", "Connections that the backend closed", ["reason"], registry=r
        )
        """Reason: `idle`, `head`, `body`, `response` were too slow; `invalid` was not HTTP; `displaced` made room;
        `linger` had been refused."""

        self.broker = Gauge(
            "yolo_mlsam_broker_up", "1 if Redis, the broker of the job queue, answers", registry=r
        )
        self.jobs = Gauge("yolo_mlsam_queue_jobs", "Jobs in the queues", ["state"], registry=r)
        """State: `waiting`, `unserved` (those waiting that no worker takes), `failed`."""

        self.workers = Gauge("yolo_mlsam_workers", "Workers with a recent heartbeat", registry=r)
        self.model = Gauge(
            "yolo_mlsam_model_info", "1 for the serving model version", ["version"], registry=r
        )

    def record_queue(self, condition: QueueCondition | None) -> None:
        """Set the gauges of the queue; None: Redis does not answer."""
        self.broker.set(condition is not None)
        if condition is None:
            self.jobs.clear()
            return
        self.workers.set(condition.workers)
        for state in ("waiting", "failed"):
            self.jobs.labels(state=state).set(getattr(condition, state))
        self.jobs.labels(state="unserved").set(sum(condition.unserved.values()))

    def text(self, *, serving: str | None) -> bytes:
        """Return the metrics in Prometheus' text format."""
        self.model.clear()
        if serving is not None:
            self.model.labels(version=serving).set(1)
        return generate_latest(self._registry)
