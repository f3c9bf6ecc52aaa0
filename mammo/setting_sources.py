"""Where settings come from: arguments, environment, a folder of files, a settings file; what to say if one is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsError,
)

Sources = tuple[PydanticBaseSettingsSource, ...]


def sources(
    settings: type[BaseSettings],
    *,
    arguments: PydanticBaseSettingsSource,
    environment: PydanticBaseSettingsSource,
    site_file: Mapping[str, str],
) -> Sources:
    """Return the sources of a setting, in the order in which they count.

    Args:
        site_file: values of the settings file by variable. The setting `secrets_dir` names the folder of the files.
    """
    file = EnvSettingsSource(settings)
    file.env_vars = {name.lower(): value for name, value in site_file.items()}
    folder = (file() | environment() | arguments()).get("secrets_dir") or None
    return arguments, environment, SecretsSettingsSource(settings, secrets_dir=folder), file


def validation_problem(error: ValidationError, *, prefix: str) -> str:
    """Name the variables that have an invalid value, never their values."""
    details = "; ".join(
        f"{prefix}{'_'.join(str(part) for part in problem['loc']).upper()}: "
        f"{problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_input=False, include_url=False)
    )
    return f"invalid settings in the environment or the settings file: {details}"


def source_problem(error: SettingsError | UserWarning, *, prefix: str) -> str:
    """Name the variable or file that could not be read."""
    field = re.search(r'(getting|parsing) value for field "(\w+)"', str(error))  # it names the field only
    if field and field[1] == "parsing":
        name = f"{prefix}{field[2].upper()}"
        return f"{name} in the environment or the settings file is no valid JSON; docs/settings.md shows an example"
    file = f", but {field[2]} is not" if field else ""
    return f"{prefix}SECRETS_DIR must name a folder; each file in it must be plain, readable and UTF-8{file}"
