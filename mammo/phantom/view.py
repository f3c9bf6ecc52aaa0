"""Phantom views: anatomy, clusters, distractors, detector and processing, composed, with their ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.masks import Mask
from mammo.phantom.anatomy import Anatomy, View, draw_anatomy
from mammo.phantom.appearance import Appearance, grey_levels, quantum_noise, vendor_a
from mammo.phantom.body import DENSITIES, GLANDULARITY, Body, Density, sample_body
from mammo.phantom.calcifications import (
    DISTRIBUTIONS,
    Cluster,
    Distribution,
    Morphology,
    outline,
    sample_cluster,
)
from mammo.phantom.distractors import distractors
from mammo.phantom.exposure import detector_counts
from mammo.phantom.extras import Extras, biopsy_clip, draw_ligaments, draw_marker
from mammo.phantom.placement import add_cluster, add_specks, distance_to_box, place_cluster
from mammo.phantom.texture import Field

Laterality = Literal["L", "R"]

AIR = 0.12
"""Relative attenuation below which a pixel lies outside the breast."""

MIN_SIDE = 128
"""Smallest side of an image receptor, in pixels."""


@dataclass(frozen=True)
class Descriptor:
    """BI-RADS descriptors of one cluster."""

    morphology: Morphology
    distribution: Distribution


@dataclass(frozen=True, eq=False)
class PhantomView:
    """One synthetic mammogram with its ground truth."""

    stored: npt.NDArray[np.uint16]
    """H x W in [0, 2**bits - 1], dense tissue bright; `appearance.photometric` applies to files only."""

    bits: int
    spacing_mm: float
    laterality: Laterality
    view: View
    truth: tuple[Finding, ...]
    """One finding per cluster: the mask is the convex hull of the calcifications + 1 mm, the box its tight box."""

    calcifications: tuple[Mask, ...]
    """The calcifications of all clusters, cluster by cluster, without distractors."""

    appearance: Appearance
    density: Density
    descriptors: tuple[Descriptor, ...] = ()
    """One per finding of `truth`."""

    clip: Box | None = None
    """Box of the biopsy clip, if there is one."""

    marker: Box | None = None
    """Box of the lead letters beside the breast, if there are any."""

    raw: npt.NDArray[np.uint16] | None = None
    """For Processing: H x W detector counts, 14 bits, linear in exposure, air brightest; None unless requested."""

    @property
    def size(self) -> Size:
        height, width = self.stored.shape
        return Size(width, height)


def phantom_patient(
    seed: int,
    *,
    appearance: Appearance | None = None,
    positive: float = 0.6,
    density: Density | None = None,
    extras: Extras | None = None,
    for_processing: bool = False,
) -> tuple[PhantomView, PhantomView, PhantomView, PhantomView]:
    """Draw LCC, LMLO, RCC and RMLO of one patient; the same seed and arguments give the same pixels.

    Args:
        seed: identifies the patient, 0 or more.
        appearance: the vendor; default `vendor_a()`.
        positive: probability that a breast has one or two clusters, visible in both of its views.
        density: BI-RADS density; drawn when not given.
        extras: optional objects; none by default.
        for_processing: also draw the detector counts, `PhantomView.raw`.
    """
    rng = np.random.default_rng([seed, 999])
    body = sample_body(rng)
    if density is not None:
        body = replace(body, glandularity=list(GLANDULARITY)[DENSITIES.index(density)])
    distribution_rng = np.random.default_rng([seed, 998])
    views = []
    for laterality in ("L", "R"):
        has_clusters = rng.random() < positive
        clusters = []
        for _ in range(int(rng.integers(1, 3)) if has_clusters else 0):
            varied = extras is not None and extras.distributions
            distribution = DISTRIBUTIONS[int(distribution_rng.integers(3))] if varied else "grouped"
            clusters.append(sample_cluster(rng, distribution=distribution))
        views += [
            phantom_view(
                seed,
                laterality=laterality,
                view=view,
                clusters=clusters,
                body=body,
                appearance=appearance,
                extras=extras,
                for_processing=for_processing,
            )
            for view in ("CC", "MLO")
        ]
    return views[0], views[1], views[2], views[3]


def phantom_view(
    seed: int,
    *,
    laterality: Laterality = "L",
    view: View = "CC",
    clusters: Sequence[Cluster] | int = 1,
    body: Body | None = None,
    appearance: Appearance | None = None,
    width: int | None = None,
    height: int | None = None,
    spacing_mm: float | None = None,
    num_distractors: int = 4,
    extras: Extras | None = None,
    for_processing: bool = False,
) -> PhantomView:
    """Draw one view; the same seed and arguments give the same pixels.

    Args:
        seed: identifies the patient, 0 or more.
        clusters: the clusters, or how many to draw; one that does not fit into the breast is left out.
        body: drawn when not given.
        appearance: the vendor; default `vendor_a()`.
        width, height, spacing_mm: override the vendor's image receptor; sides of at least 128 pixels. A small receptor
            holds a small breast.
        extras, for_processing: see `phantom_patient`.

    Raises:
        ValueError: a side is below 128 pixels.
    """
    vendor, extras = appearance or vendor_a(), extras or Extras()
    receptor = _receptor(vendor, width=width, height=height, spacing_mm=spacing_mm)
    key = [seed, laterality == "R", view == "MLO"]
    rng = np.random.default_rng(key)
    drawn_body = sample_body(rng)  # drawn in any case: a given body must not shift the random sequence
    if isinstance(clusters, int):
        clusters = [sample_cluster(rng) for _ in range(clusters)]
    body = body or drawn_body
    anatomy = draw_anatomy(
        rng, body, view, width=receptor.width, height=receptor.height, spacing_mm=receptor.spacing_mm
    )
    attenuation = anatomy.attenuation
    air = attenuation < AIR
    if extras.ligaments:
        attenuation += draw_ligaments(seed, anatomy, strength=extras.ligaments)
    noise = quantum_noise(rng, attenuation, receptor)
    clearance = anatomy.clearance_mm - min(3.0, float(anatomy.clearance_mm.max()) / 4)
    drawn_clusters = _add_clusters(clusters, anatomy, clearance, noise, view, receptor)
    for speck in distractors(rng, anatomy, clearance, number=num_distractors):
        add_specks(attenuation, [speck], receptor)
    clip = biopsy_clip(seed, laterality, view, anatomy, clearance) if extras.clip else None
    if clip:
        add_specks(attenuation, [clip], receptor)
    exposed = np.add(noise, attenuation, out=noise)
    # Before `_stored`, which processes `exposed` in place.
    raw = _raw_counts(key, exposed, anatomy, receptor) if for_processing else None
    drawn = PhantomView(
        stored=_stored(rng, exposed, air, receptor),
        bits=vendor.bits,
        spacing_mm=receptor.spacing_mm,
        laterality="L",
        view=view,
        truth=tuple(cluster.finding for cluster in drawn_clusters),
        calcifications=tuple(mask for cluster in drawn_clusters for mask in cluster.calcifications),
        appearance=vendor,
        density=body.density,
        descriptors=tuple(cluster.descriptor for cluster in drawn_clusters),
        clip=clip.mask.frame if clip else None,
        raw=raw,
    )
    drawn = drawn if laterality == "L" else _mirrored(drawn)
    return _with_marker(drawn) if extras.marker else drawn


@dataclass(frozen=True, eq=False)
class _DrawnCluster:
    """Ground truth of one cluster in a view."""

    finding: Finding
    descriptor: Descriptor
    calcifications: list[Mask]


def _receptor(
    vendor: Appearance, *, width: int | None, height: int | None, spacing_mm: float | None
) -> Appearance:
    """The vendor with another image receptor, where one is given."""
    receptor = replace(
        vendor,
        width=width or vendor.width,
        height=height or vendor.height,
        spacing_mm=spacing_mm or vendor.spacing_mm,
    )
    if min(receptor.width, receptor.height) < MIN_SIDE:
        raise ValueError(
            f"expected sides of at least {MIN_SIDE} pixels, got {receptor.width} x {receptor.height}"
        )
    return receptor


def _add_clusters(
    clusters: Sequence[Cluster],
    anatomy: Anatomy,
    clearance: Field,
    noise: Field,
    view: View,
    receptor: Appearance,
) -> list[_DrawnCluster]:
    """Add the clusters that fit to the attenuation; the clearance shrinks around each of them. Both in place."""
    height, width = anatomy.attenuation.shape
    drawn: list[_DrawnCluster] = []
    for cluster in clusters:
        specks = place_cluster(cluster, anatomy, clearance, view)
        if not specks:
            continue
        masks = [speck.mask for speck in specks]
        extent = outline(masks, spacing_mm=receptor.spacing_mm).within(Box(0, 0, width, height))
        assert extent is not None, "a cluster lies inside the breast"
        add_cluster(anatomy.attenuation, noise, specks, receptor, spacing_mm=receptor.spacing_mm)
        finding = Finding(label=CLUSTER, score=1.0, box=extent.frame, mask=extent)
        drawn.append(_DrawnCluster(finding, Descriptor(cluster.morphology, cluster.distribution), masks))
        distance = distance_to_box(clearance.shape, extent.frame, anatomy.cell_mm)
        np.minimum(clearance, distance, out=clearance)
    return drawn


def _raw_counts(
    key: Sequence[int], exposed: Field, anatomy: Anatomy, receptor: Appearance
) -> npt.NDArray[np.uint16]:
    """H x W detector counts, from a generator of their own."""
    rng = np.random.default_rng([*key, 14])
    return detector_counts(rng, exposed, anatomy, width=receptor.width, height=receptor.height)


def _stored(
    rng: np.random.Generator, exposed: Field, air: npt.NDArray[np.bool_], receptor: Appearance
) -> npt.NDArray[np.uint16]:
    """H x W stored values with hot pixels; `exposed` is changed in place."""
    height, width = exposed.shape
    stored = np.zeros((receptor.height, receptor.width), np.uint16)
    stored[:height, :width] = grey_levels(exposed, air, receptor, spacing_mm=receptor.spacing_mm)
    _add_hot_pixels(rng, stored, receptor)
    return stored


def _add_hot_pixels(rng: np.random.Generator, stored: npt.NDArray[np.uint16], vendor: Appearance) -> None:
    """Saturate single pixels inside the breast in place: they mislead a brightest-pixel prompt rule."""
    rows = rng.integers(0, stored.shape[0], vendor.hot_pixels)
    columns = rng.integers(0, stored.shape[1], vendor.hot_pixels)
    stored[rows, columns] = np.where(stored[rows, columns] > 0, 2**vendor.bits - 1, 0)


def _with_marker(view: PhantomView) -> PhantomView:
    """Draw the laterality marker into the stored values, in place."""
    marker = draw_marker(
        view.stored,
        f"{view.laterality}{view.view}",
        value=2**view.bits - 1,
        spacing_mm=view.spacing_mm,
    )
    return replace(view, marker=marker)


def _mirrored(view: PhantomView) -> PhantomView:
    """Mirror a view of the left breast into one of the right breast."""
    width = view.stored.shape[1]
    truth = []
    for finding in view.truth:
        assert finding.mask is not None, "every phantom finding has a mask"
        mask = _mirrored_mask(finding.mask, width)
        truth.append(replace(finding, mask=mask, box=mask.frame))
    return replace(
        view,
        stored=np.ascontiguousarray(view.stored[:, ::-1]),
        laterality="R",
        truth=tuple(truth),
        calcifications=tuple(_mirrored_mask(mask, width) for mask in view.calcifications),
        clip=_mirrored_box(view.clip, width) if view.clip else None,
        raw=None if view.raw is None else np.ascontiguousarray(view.raw[:, ::-1]),
    )


def _mirrored_mask(mask: Mask, width: int) -> Mask:
    return Mask(np.ascontiguousarray(mask.bitmap[:, ::-1]), width - mask.frame.x1, mask.y0)


def _mirrored_box(box: Box, width: int) -> Box:
    return Box(width - box.x1, box.y0, width - box.x0, box.y1)
