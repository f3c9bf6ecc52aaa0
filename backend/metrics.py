"""Prometheus metrics of one backend. Labels have few values and never come from a request as they are."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mammo.runs.jobs import QueueCondition

SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Metrics:
    """A registry of its own, so that two backends in one process (tests) do not add up."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        r = self._registry
        self.predictions = Counter(
            "yolo_mlsam_predictions", "Tasks answered by /predict", ["outcome"], registry=r
        )
        """Outcome: `predicted`, `stored`, `suggested`, `withheld`, `unfinished`, `unreadable`, `failed`."""

        self.missing = Counter(
            "yolo_mlsam_predictions_missing", "Tasks and clicks without an answer", ["reason"], registry=r
        )
        """Reason: the code of the error, of which `mammo` has some dozens, `failed` or `out_of_time`."""

        self.predict_seconds = Histogram(
            "yolo_mlsam_predict_seconds", "Time for one task", ["kind"], buckets=SECONDS, registry=r
        )
        """Kind: `prelabel` or `click`."""

        self.shadow = Counter(
            "yolo_mlsam_shadow_predictions", "Tasks that a challenger looked at", ["outcome"], registry=r
        )
        """Outcome: `predicted`, `failed`."""

        self.webhooks = Counter(
            "yolo_mlsam_webhook_events", "Webhook events kept", ["action", "duplicate"], registry=r
        )
        self.trainings = Counter(
            "yolo_mlsam_training_requests", "Retrains asked for", ["outcome"], registry=r
        )
        """Outcome: `queued`, `active`, `refused`."""

        self.reconciliations = Counter(
            "yolo_mlsam_reconciliations", "Projects compared with Label Studio", ["outcome"], registry=r
        )
        """Outcome: `done`, `failed`."""

        self.repaired = Counter(
            "yolo_mlsam_repairs", "Annotations the store had wrong, and webhooks", ["kind"], registry=r
        )
        """Kind: `missing`, `stale`, `deleted`, which is what webhooks lost; `webhook`."""

        self.requests = Counter("yolo_mlsam_http_requests", "HTTP answers", ["route", "status"], registry=r)
        self.broker = Gauge("yolo_mlsam_broker_up", "1 when the job queue's broker answers", registry=r)
        self.jobs = Gauge("yolo_mlsam_queue_jobs", "Jobs in the queues", ["state"], registry=r)
        """State: `waiting`, of these `unserved` by any worker, `failed`."""

        self.workers = Gauge("yolo_mlsam_workers", "Workers heard of in the last minutes", registry=r)
        self.model = Gauge("yolo_mlsam_model_info", "1 for the version that serves", ["version"], registry=r)

    def see(self, condition: QueueCondition | None) -> None:
        """Take over how the queues are; None: the broker does not answer."""
        self.broker.set(condition is not None)
        if condition is None:
            self.jobs.clear()
            return
        self.workers.set(condition.workers)
        for state in ("waiting", "failed"):
            self.jobs.labels(state=state).set(getattr(condition, state))
        self.jobs.labels(state="unserved").set(sum(condition.unserved.values()))

    def text(self, *, serving: str | None) -> bytes:
        """The exposition format, with the version that serves now."""
        self.model.clear()
        if serving is not None:
            self.model.labels(version=serving).set(1)
        return generate_latest(self._registry)
