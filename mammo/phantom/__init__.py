"""Synthetic mammograms with ground truth, for the demo, the tests and the training of the starter weights.

A procedural phantom of full-field digital mammography. Its texture, calcification sizes and cluster extents follow
statistics of real mammograms. Figures measured on phantoms are phantom figures, never clinical ones.

    body.py            patient: breast size and glandularity
    texture.py         random fields that resemble tissue
    anatomy.py         one view of a breast as relative attenuation, from skin line to fine texture
    calcifications.py  clusters, sampled once in 3-D and projected into CC and MLO
    distractors.py     benign structures that resemble clusters
    placement.py       positions of clusters, and their contrast
    appearance.py      vendor: noise, sharpness, grey scale, pixel spacing
    exposure.py        raw detector counts (For Processing)
    extras.py          optional: laterality markers, biopsy clips, ligaments, linear and segmental clusters
    view.py            all stages composed into a view with its ground truth
    randomised.py      a view with an appearance, a texture and clusters of its own for every seed
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
