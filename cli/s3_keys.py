"""The options for the keys of an S3 bucket. The secret one is read from the environment only."""

from __future__ import annotations

from typing import Annotated

import typer


def _from_environment(context: typer.Context, parameter: typer.CallbackParam, value: str) -> str:
    """Refuse a secret among the arguments, which every user of the machine sees."""
    source = context.get_parameter_source(str(parameter.name))
    if source is not None and source.name == "COMMANDLINE":
        raise typer.BadParameter(
            "every user of this machine sees a command's arguments; set AWS_SECRET_ACCESS_KEY instead"
        )
    return value


S3Key = Annotated[
    str, typer.Option(envvar="AWS_ACCESS_KEY_ID", help="S3 access key, for images in a bucket.")
]
S3Secret = Annotated[
    str,
    typer.Option(
        envvar="AWS_SECRET_ACCESS_KEY",
        help="S3 secret key; refused as an argument, set the environment variable.",
        callback=_from_environment,
    ),
]
