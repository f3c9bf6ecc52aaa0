"""RegisteredJob: a job of RQ's that starts our own functions and nothing else.

RQ imports whatever name a record in Redis holds, calls back the names beside it when the job has ended, and posts to
its addresses: whoever can write to Redis, or shares it with another program, could run any function as the worker.
Here a name is looked up among the functions that the worker was made with. What is not there, or asks for more than our
queue ever does, is refused before a process is started for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from rq.exceptions import DeserializationError, NoSuchJobError
from rq.job import Job

from mammo.errors import InvalidSettings
from mammo.runs.jobs import QUEUES, lists_of

MAX_SHOWN = 100
"""Characters of what a record holds that a refusal quotes."""

Function = Callable[..., Any]


class RegisteredJob(Job):  # type: ignore[misc]
    """One record of the queue, read by a worker."""

    functions: ClassVar[Mapping[str, Function]] = {}
    """By the name under which they are asked for."""

    _unreadable: str | None = None

    def restore(self, raw_data: Any) -> None:
        """Take over a record. One that cannot be read becomes a job that is refused: it must not end the worker."""
        try:
            super().restore(raw_data)
        except NoSuchJobError:
            raise
        except Exception as error:  # RQ parses dates, numbers and lists of any kind here
            self._unreadable = f"its record cannot be read ({type(error).__name__})"
        if self.refusal is not None:
            # RQ logs the description of every job that it takes.
            self.description: str | None = quoted(self.description)

    @property
    def refusal(self) -> str | None:
        """Why this job is not done, as a sentence; None when it is one of ours."""
        if self._unreadable:
            return self._unreadable
        try:
            name, instance = self.func_name, self.instance
        except DeserializationError:
            return "what it calls is not written as JSON, as our jobs are"
        if not isinstance(name, str) or name not in self.functions:
            return f"{quoted(name)} is no job of ours; there are {', '.join(sorted(self.functions))}"
        more = {
            "the method of an object": instance is not None,
            "a callback": self._success_callback_name
            or self._failure_callback_name
            or self._stopped_callback_name,
            "a webhook": self.webhooks,
        }
        if asked := [what for what, wanted in more.items() if wanted]:
            return f"it asks for {' and '.join(asked)}, which no job of ours does"
        if self.origin not in lists_of(QUEUES):
            return f"it belongs to the queue {quoted(self.origin)}, which is none of ours"
        return None

    @property
    def func(self) -> Function:
        """Raises InvalidSettings for a job that is to be refused."""
        reason = self.refusal
        if reason is not None:
            raise InvalidSettings(f"refused: {reason}")
        return self.functions[str(self.func_name)]

    # Whoever runs a callback asks here first, the search for abandoned jobs too.
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
        """None is ever sent."""


def registered(functions: Mapping[str, Function]) -> type[RegisteredJob]:
    """Jobs that can start these functions."""
    return type("RegisteredJob", (RegisteredJob,), {"functions": dict(functions)})


def quoted(text: object) -> str:
    """What a record holds, on one line of ASCII and not for ever: it goes into a log."""
    return ascii(text if isinstance(text, str) else repr(text))[: MAX_SHOWN + 2]
