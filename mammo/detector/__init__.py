"""CBAM-YOLOv8: detects microcalcification clusters in a mammogram (step 2 of the walk).

`hardening` is imported first, because this package is the only way in which the system imports ultralytics.
"""

from mammo.detector import hardening

# isort: split

from mammo.detector.detector import Detector
from mammo.detector.network import DetectorNetwork
from mammo.detector.normalise import Breast, Planes, find_breast, normalise
from mammo.detector.resample import Scale, resample, scale_to
from mammo.detector.runtime import RuntimeName
from mammo.detector.spec import DetectorSpec
from mammo.detector.tiling import Detection, cut_tile
from mammo.detector.weights import add_facts, load_network, save_detector, set_speck_weight

__all__ = [
    "Breast",
    "Detection",
    "Detector",
    "DetectorNetwork",
    "DetectorSpec",
    "Planes",
    "RuntimeName",
    "Scale",
    "add_facts",
    "cut_tile",
    "find_breast",
    "hardening",
    "load_network",
    "normalise",
    "resample",
    "save_detector",
    "scale_to",
    "set_speck_weight",
]
