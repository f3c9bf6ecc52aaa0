"""The baseline of the detector: SAHI with our network, weights and input planes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sahi.models.base import DetectionModel  # type: ignore[import-untyped]
from sahi.predict import get_sliced_prediction  # type: ignore[import-untyped]
from sahi.prediction import ObjectPrediction  # type: ignore[import-untyped]

from mammo.detector import find_breast, normalise
from mammo.detector.normalise import Normalisation
from mammo.detector.runtime import Runtime
from mammo.geometry import Box
from mammo.pixels import Pixels


class SahiNetwork(DetectionModel):  # type: ignore[misc]
    """One of our runtimes as a model of SAHI."""

    def set_model(self, model: Runtime, **_: Any) -> None:
        self.model = model
        self.category_mapping = {"0": "Cluster"}

    def perform_inference(self, image: np.ndarray[Any, Any]) -> None:
        tile = np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float32) / 255
        self._original_predictions = self.model.detect(tile, threshold=self.confidence_threshold)

    def _create_object_prediction_list_from_original_predictions(
        self, shift_amount_list: Any = ((0, 0),), full_shape_list: Any = None
    ) -> None:
        shift = shift_amount_list[0] if isinstance(shift_amount_list[0], list) else shift_amount_list
        shape = full_shape_list[0] if isinstance(full_shape_list[0], list) else full_shape_list
        self._object_prediction_list_per_image = [
            [
                ObjectPrediction(
                    bbox=row[:4],
                    score=row[4],
                    category_id=0,
                    category_name="Cluster",
                    shift_amount=list(shift),
                    full_shape=list(shape),
                )
                for row in self._original_predictions.tolist()
            ]
        ]


def detect_with_sahi(
    runtime: Runtime, pixels: Pixels, *, kind: Normalisation, side: int, overlap: int, threshold: float
) -> list[tuple[Box, float]]:
    """Boxes and scores by `get_sliced_prediction`. SAHI takes 8-bit images, so the planes are rounded."""
    planes = normalise(pixels, find_breast(pixels), kind=kind, finer=1.0)
    image = np.rint(planes.transpose(1, 2, 0) * 255).astype(np.uint8)
    with torch.inference_mode():
        result = get_sliced_prediction(
            image,
            SahiNetwork(model=runtime, device="cpu", confidence_threshold=threshold),
            slice_height=side,
            slice_width=side,
            overlap_height_ratio=overlap / side,
            overlap_width_ratio=overlap / side,
            perform_standard_pred=False,
            verbose=0,
        )
    return [(Box.around(*each.bbox.to_xyxy()), each.score.value) for each in result.object_prediction_list]
