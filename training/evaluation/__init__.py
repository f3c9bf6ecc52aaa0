"""Evaluation of detectors, segmenters and whole model versions on cases with known truth."""
