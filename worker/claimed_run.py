"""The steps of a run that this process has claimed: with a heartbeat, and a failure recorded in plain words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mammo.errors import Cancelled
from mammo.runs import RunLedger, classify
from worker.heartbeat import heartbeat

if TYPE_CHECKING:
    from training.retrain.step_progress import ReportStep


def run_steps(
    ledger: RunLedger,
    steps: Callable[[ReportStep], dict[str, Any]],
    *,
    progress: ReportStep,
    fail: Callable[[str], None],
) -> dict[str, Any]:
    """Run the steps and return their summary.

    Args:
        ledger: of the claimed run.
        steps: gets the callback for its progress.
        progress: shown where the run was started; may raise Cancelled.
        fail: receives the reason of a failure, as a sentence for people.
    """

    def report(stage: str, fraction: float, message: str) -> None:
        progress(stage, fraction, message)
        ledger.beat(stage, fraction, message)

    with heartbeat(ledger):
        try:
            return steps(report)
        except Cancelled:
            raise
        # Whatever it is: it is recorded for the person who reads the run, and raised again for the queue.
        except Exception as error:
            failure = classify(error)
            fail(failure.sentence)
            ledger.fail(failure)
            raise
