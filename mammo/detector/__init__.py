"""CBAM-YOLOv8: a mammogram becomes detections (step 2 of the walk).

`hardening` runs first: importing this package is how this system comes to import ultralytics.
"""

from mammo.detector import hardening

# isort: split

from mammo.detector.detector import Detector
from mammo.detector.network import DetectorNetwork
from mammo.detector.spec import DetectorSpec
from mammo.detector.tiling import Detection
from mammo.detector.weights import add_facts, load_network, save_detector

__all__ = [
    "Detection",
    "Detector",
    "DetectorNetwork",
    "DetectorSpec",
    "add_facts",
    "hardening",
    "load_network",
    "save_detector",
]
