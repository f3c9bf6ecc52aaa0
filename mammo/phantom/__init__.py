"""Synthetic mammograms with known truth: for the demo, the tests and the training of the starter weights.

A procedural full-field digital mammography phantom whose texture, calcification sizes and cluster extents follow
statistics of real mammograms. It is no patient: a figure measured on it is a phantom figure, never a clinical one.

    body.py            the woman: breast size, glandularity
    anatomy.py         one view of a breast, from skin line to fine texture, as relative attenuation
    calcifications.py  clusters sampled once in 3-D, seen in CC and MLO
    distractors.py     what looks like a cluster and is none
    placement.py       where they go, and how dense they must be to be seen
    appearance.py      what the vendor makes of it: noise, sharpness, grey scale, pixel size
    exposure.py        For Processing: what the detector counted before that
    extras.py          on request: laterality markers, biopsy clips, linear and segmental clusters
    view.py            the stages composed, with their truth
"""

from __future__ import annotations

from mammo.phantom.appearance import Appearance, vendor_a, vendor_b, vendor_c
from mammo.phantom.body import DENSITIES, Body, Density, sample_body
from mammo.phantom.calcifications import DISTRIBUTIONS, Cluster, sample_cluster
from mammo.phantom.extras import Extras
from mammo.phantom.view import Descriptor, PhantomView, phantom_patient, phantom_view

__all__ = [
    "DENSITIES",
    "DISTRIBUTIONS",
    "Appearance",
    "Body",
    "Cluster",
    "Density",
    "Descriptor",
    "Extras",
    "PhantomView",
    "phantom_patient",
    "phantom_view",
    "sample_body",
    "sample_cluster",
    "vendor_a",
    "vendor_b",
    "vendor_c",
]
