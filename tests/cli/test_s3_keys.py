"""The secret key of a bucket is taken from the environment, and refused where every user of the machine sees it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cli.__main__ import app


@pytest.mark.parametrize(
    "command",
    [
        ["project", "create", "--title", "t", "--url", "http://b"],
        ["reading", "create", "--project", "3"],
    ],
)
def test_a_secret_among_the_arguments_is_refused(command: list[str]) -> None:
    refused = CliRunner().invoke(app, [*command, "--s3-secret", "word"])
    assert refused.exit_code == 2
    assert "AWS_SECRET_ACCESS_KEY" in refused.output
    assert "word" not in refused.output


def test_a_secret_of_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "word")
    monkeypatch.delenv("YOLO_MLSAM_LABEL_STUDIO_URL", raising=False)
    taken = CliRunner().invoke(app, ["reading", "create", "--project", "3", "--reader-1", "a@b"])
    assert "AWS_SECRET_ACCESS_KEY" not in taken.output
    assert "YOLO_MLSAM_LABEL_STUDIO_URL" in str(taken.exception), "it is asked for next"
