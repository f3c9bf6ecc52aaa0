"""Label Studio: labeling configs, conversion between findings and regions, predictions, and the API client.

Percent coordinates and brush RLE exist only in this package.
"""

from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.labelstudio.predictions import prediction
from mammo.labelstudio.rendering import to_regions, truth_regions

__all__ = [
    "ControlTags",
    "LabelStudioClient",
    "from_regions",
    "labeling_config",
    "prediction",
    "to_regions",
    "truth_regions",
]
