"""No process of a running stack has a secret among its arguments, which every user of the machine sees."""

from __future__ import annotations

import contextlib

import psutil
import pytest

from cli.demo.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


def test_no_process_of_the_stack_has_a_secret_among_its_arguments(running_stack: Stack) -> None:
    settings, server = running_stack.settings, running_stack.label_studio
    secrets = {
        *(getattr(settings, name).get_secret_value() for name in ("auth_password", "webhook_secret")),
        settings.patient_secret.get_secret_value(),
        server.password,
        server.api_key,
    } - {""}
    assert len(secrets) == 5
    commands = []
    for process in psutil.Process().children(recursive=True):
        # it ended meanwhile, or is a zombie, which has no arguments
        with contextlib.suppress(psutil.NoSuchProcess):
            commands.append(" ".join(process.cmdline()))
    assert any("label" in command for command in commands)
    assert [command for command in commands if any(secret in command for secret in secrets)] == []
