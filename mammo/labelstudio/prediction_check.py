"""The SDK's own validator on our predictions: Label Studio stores whatever comes, and shows nothing of what is wrong.

A prediction of a noisy mask has some hundred thousand numbers; the validator would look at each. They are known to be
bytes, so it sees an empty stream in their place, and a check costs some tenths of a millisecond.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import structlog
from label_studio_sdk.label_interface import LabelInterface

from mammo.errors import InvalidRegion

log = structlog.get_logger()


def require_valid(prediction: Mapping[str, Any], *, config: str) -> None:
    """Let no prediction leave that Label Studio would store and not show.

    A config that the SDK does not understand says nothing about our prediction: that is only logged.

    Raises:
        InvalidRegion: it does not pass (`code="invalid_prediction"`).
    """
    try:
        found = problems(prediction, config=config)
    except ValueError as error:
        log.warning("the SDK cannot read a labeling config", error=type(error).__name__)
        return
    if found:
        raise InvalidRegion(
            f"our prediction does not pass the SDK's validator: {found[0]}", code="invalid_prediction"
        )


def problems(prediction: Mapping[str, Any], *, config: str) -> list[str]:
    """What the SDK finds wrong with a prediction for a labeling config; empty when all is well.

    Raises:
        ValueError: the SDK cannot read the config.
    """
    light = {**prediction, "result": [_without_stream(region) for region in prediction["result"]]}
    found: list[str] = _interface(config).validate_prediction(light, return_errors=True)
    return found


def _without_stream(region: Mapping[str, Any]) -> Mapping[str, Any]:
    value = region.get("value")
    if not isinstance(value, Mapping) or "rle" not in value:
        return region
    return {**region, "value": {**value, "rle": [0]}}


@lru_cache(maxsize=16)
def _interface(config: str) -> LabelInterface:
    return LabelInterface(config)
