"""Validation of predictions with the Label Studio SDK. Label Studio stores an invalid prediction and does not show it.

The brush RLE of a noisy mask has several hundred thousand numbers. They are known to be bytes, so the SDK receives
`[0]` instead, and a check takes less than a millisecond.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import structlog

from mammo.errors import InvalidRegion

if TYPE_CHECKING:
    from label_studio_sdk.label_interface import LabelInterface

log = structlog.get_logger()


def require_valid(prediction: Mapping[str, Any], *, config: str) -> None:
    """Refuse a prediction that Label Studio would not show.

    A config that the SDK cannot parse does not invalidate the prediction and is only logged.

    Raises:
        InvalidRegion: the prediction is invalid for the config (code `invalid_prediction`).
    """
    try:
        errors = validation_errors(prediction, config=config)
    except ValueError as error:
        log.warning("the Label Studio SDK cannot parse a labeling config", error=type(error).__name__)
        return
    if errors:
        raise InvalidRegion(
            f"a prediction fails the validation of the Label Studio SDK: {errors[0]}",
            code="invalid_prediction",
        )


def validation_errors(prediction: Mapping[str, Any], *, config: str) -> list[str]:
    """Return the SDK's errors about a prediction for a labeling config; empty when it is valid.

    Raises:
        ValueError: the SDK cannot parse the config.
    """
    without_rle = {**prediction, "result": [_without_rle(region) for region in prediction["result"]]}
    errors: list[str] = _interface(config).validate_prediction(without_rle, return_errors=True)
    return errors


def _without_rle(region: Mapping[str, Any]) -> Mapping[str, Any]:
    value = region.get("value")
    if not isinstance(value, Mapping) or "rle" not in value:
        return region
    return {**region, "value": {**value, "rle": [0]}}


@lru_cache(maxsize=16)
def _interface(config: str) -> LabelInterface:
    # the SDK takes a second to import, which no start of the service has to wait for
    from label_studio_sdk.label_interface import LabelInterface

    return LabelInterface(config)
