"""RegisteredJob: an RQ job that can start registered functions only.

RQ imports any function that a record in Redis names, calls the callbacks named beside it, and posts to its webhooks.
Whoever can write to Redis, or shares it with another program, could thus run any function as the worker. A
RegisteredJob looks the name up among the functions that its worker was built with. Other names, and records that ask
for more than our queue ever writes, are refused before a process is started for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import redis
from rq.exceptions import DeserializationError, NoSuchJobError
from rq.job import Job

from mammo.errors import InvalidSettings
from mammo.runs.jobs import QUEUES, lists_of

MAX_SHOWN = 100
"""Most characters of a record's content that a refusal quotes."""

Function = Callable[..., Any]


class RegisteredJob(Job):  # type: ignore[misc]
    """One job record in Redis, read by a worker."""

    functions: ClassVar[Mapping[str, Function]] = {}
    """Registered functions by their names in job records."""

    _unreadable: str | None = None

    def restore(self, raw_data: Any) -> None:
        """Read a record. An unreadable one becomes a refused job, because an exception would end the worker."""
        try:
            super().restore(raw_data)
        except NoSuchJobError:
            raise
        except Exception as error:  # RQ parses dates, numbers and lists of any kind here
            self._unreadable = f"its record cannot be read ({type(error).__name__})"
            self.data = b""  # RQ saves the record once more when the job has failed
        if self.refusal is not None:
            # RQ logs the description of every job that it takes.
            self.description: str | None = quoted(self.description)

    def refresh(self) -> None:
        """Read the record; a key of another type is no job's, because an exception would end the worker."""
        try:
            super().refresh()
        except redis.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            raise NoSuchJobError(f"{self.key} is no record of a job") from error

    @property
    def refusal(self) -> str | None:
        """Why this job must not run, as a sentence; None if it may."""
        if self._unreadable:
            return self._unreadable
        try:
            name, instance = self.func_name, self.instance
        except DeserializationError:
            return "its function call is not encoded as JSON"
        if not isinstance(name, str) or name not in self.functions:
            return f"{quoted(name)} is not a registered job; these are: {', '.join(sorted(self.functions))}"
        callbacks = (self._success_callback_name, self._failure_callback_name, self._stopped_callback_name)
        extras = {
            "the method of an object": instance is not None,
            "a callback": any(callbacks),
            "a webhook": self.webhooks,
            "a repetition": self.repeats_left or self.repeat_intervals,
            "a rate limit": self.rate_limit_key,
        }
        if requested := [extra for extra, present in extras.items() if present]:
            return f"it asks for {' and '.join(requested)}, which no registered job does"
        if self.origin not in lists_of(QUEUES):
            return (
                f"it belongs to the unknown queue {quoted(self.origin)}; these are known: {', '.join(QUEUES)}"
            )
        return None

    @property
    def func(self) -> Function:
        """The registered function; raises InvalidSettings if the job is refused."""
        reason = self.refusal
        if reason is not None:
            raise InvalidSettings(f"refused: {reason}")
        return self.functions[str(self.func_name)]

    # RQ reads these before it runs a callback, also when it cleans up abandoned jobs.
    @property
    def success_callback(self) -> None:
        return None

    @property
    def failure_callback(self) -> None:
        return None

    @property
    def stopped_callback(self) -> None:
        return None

    def send_webhooks(self, status: Any, **_: Any) -> None:
        """Send nothing."""


def registered(functions: Mapping[str, Function]) -> type[RegisteredJob]:
    """Return a job class that can start these functions only."""
    return type("RegisteredJob", (RegisteredJob,), {"functions": dict(functions)})


def quoted(text: object) -> str:
    """Return a record's content as one short line of ASCII, fit for a log."""
    return ascii(text if isinstance(text, str) else repr(text))[: MAX_SHOWN + 2]
