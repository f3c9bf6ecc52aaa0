"""Phantom views: anatomy, clusters, distractors, detector and processing composed, with their truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.masks import Mask
from mammo.phantom.anatomy import View, grow
from mammo.phantom.appearance import Appearance, grey_levels, quantum_noise, vendor_a
from mammo.phantom.body import DENSITIES, GLANDULARITY, Body, Density, sample_body
from mammo.phantom.calcifications import DISTRIBUTIONS, Cluster, Distribution, Kind, outline, sample_cluster
from mammo.phantom.distractors import distractors
from mammo.phantom.exposure import detector_counts
from mammo.phantom.extras import Extras, biopsy_clip, write_marker
from mammo.phantom.placement import clearance, expose, expose_cluster, place

Laterality = Literal["L", "R"]

AIR = 0.12
"""Relative attenuation below which a pixel lies outside the breast."""


@dataclass(frozen=True)
class Descriptor:
    """BI-RADS words for one cluster."""

    morphology: Kind
    distribution: Distribution


@dataclass(frozen=True, eq=False)
class PhantomView:
    """One synthetic mammogram with everything that is in it."""

    stored: npt.NDArray[np.uint16]
    """H x W in [0, 2**bits - 1], dense tissue bright whatever `appearance.photometric` says of files."""

    bits: int
    spacing_mm: float
    laterality: Laterality
    view: View
    truth: tuple[Finding, ...]
    """One finding per cluster: mask = convex hull of the calcifications + 1 mm, box = tight box of the mask."""

    calcifications: tuple[Mask, ...]
    """Every calcification of every cluster, cluster by cluster; distractors are not among them."""

    appearance: Appearance
    density: Density
    descriptors: tuple[Descriptor, ...] = ()
    """One per finding of `truth`."""

    clip: Box | None = None
    """The biopsy clip, where there is one."""

    marker: Box | None = None
    """The lead letters beside the breast, where there are any."""

    raw: npt.NDArray[np.uint16] | None = None
    """For Processing: H x W detector counts of 14 bits, linear, air brightest; only when asked for."""

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
    """Draw LCC, LMLO, RCC and RMLO of one woman; the same seed gives the same pixels.

    Args:
        seed: names the woman, 0 or more.
        appearance: the vendor; default `vendor_a()`.
        positive: probability that a breast has clusters; then it has one or two, in both of its views.
        density: BI-RADS density; drawn when missing.
        extras: see `Extras`; none by default.
        for_processing: also the detector's counts, in `PhantomView.raw`.
    """
    rng = np.random.default_rng([seed, 999])
    body = sample_body(rng)
    if density is not None:
        body = replace(body, glandularity=list(GLANDULARITY)[DENSITIES.index(density)])
    other = np.random.default_rng([seed, 998])
    views = []
    for laterality in ("L", "R"):
        has_clusters = rng.random() < positive
        clusters = []
        for _ in range(int(rng.integers(1, 3)) if has_clusters else 0):
            varied = extras is not None and extras.distributions
            distribution = DISTRIBUTIONS[int(other.integers(3))] if varied else "grouped"
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
    """Draw one view.

    Args:
        clusters: the clusters, or how many to draw.
        body: the woman; drawn when missing.
        width, height: in pixels, at least 128; default: the vendor's. A small field holds a small breast.
        spacing_mm: default: the vendor's.
        extras, for_processing: as for `phantom_patient`.

    Raises:
        ValueError: a side below 128 pixels.
    """
    vendor, extras = appearance or vendor_a(), extras or Extras()
    width, height = width or vendor.width, height or vendor.height
    spacing_mm = spacing_mm or vendor.spacing_mm
    if min(width, height) < 128:
        raise ValueError(f"expected sides of at least 128 pixels, got {width} x {height}")
    rng = np.random.default_rng([seed, laterality == "R", view == "MLO"])
    drawn_body = sample_body(rng)
    if isinstance(clusters, int):
        clusters = [sample_cluster(rng) for _ in range(clusters)]
    body = body or drawn_body
    anatomy = grow(rng, body, view, width=width, height=height, spacing_mm=spacing_mm)
    attenuation = anatomy.attenuation
    air = attenuation < AIR
    noise = quantum_noise(rng, attenuation, vendor)
    truth: list[Finding] = []
    descriptors: list[Descriptor] = []
    calcifications: list[Mask] = []
    frame = Box(0, 0, attenuation.shape[1], attenuation.shape[0])
    free = anatomy.room - min(3.0, float(anatomy.room.max()) / 4)
    for cluster in clusters:
        specks = place(cluster, anatomy, free, view)
        if not specks:
            continue
        masks = [speck.mask for speck in specks]
        extent = outline(masks, spacing_mm=spacing_mm).within(frame)
        assert extent is not None, "a cluster lies inside the breast"
        expose_cluster(attenuation, noise, specks, vendor, spacing_mm=spacing_mm)
        calcifications += masks
        truth.append(Finding(label=CLUSTER, score=1.0, box=extent.frame, mask=extent))
        descriptors.append(Descriptor(cluster.kind, cluster.distribution))
        np.minimum(free, clearance(free, extent.frame, anatomy.cell_mm), out=free)
    for speck in distractors(rng, anatomy, free, number=num_distractors):
        expose(attenuation, [speck], vendor)
    clip = biopsy_clip(seed, laterality, view, anatomy, free) if extras.clip else None
    if clip:
        expose(attenuation, [clip], vendor)
    noise += attenuation
    raw = None
    if for_processing:
        own = np.random.default_rng([seed, laterality == "R", view == "MLO", 14])
        raw = detector_counts(own, noise, anatomy, width=width, height=height)
    stored = np.zeros((height, width), np.uint16)
    stored[: frame.y1, : frame.x1] = grey_levels(noise, air, vendor, spacing_mm=spacing_mm)
    _hot_pixels(rng, stored, vendor)
    made = PhantomView(
        stored,
        vendor.bits,
        spacing_mm,
        "L",
        view,
        tuple(truth),
        tuple(calcifications),
        vendor,
        body.density,
        descriptors=tuple(descriptors),
        clip=clip.mask.frame if clip else None,
        raw=raw,
    )
    made = made if laterality == "L" else _mirrored(made)
    if not extras.marker:
        return made
    text = f"{laterality}{view}"
    return replace(
        made, marker=write_marker(made.stored, text, value=2**vendor.bits - 1, spacing_mm=spacing_mm)
    )


def _hot_pixels(rng: np.random.Generator, stored: npt.NDArray[np.uint16], vendor: Appearance) -> None:
    """Single saturated pixels inside the breast: the classic trap for a brightest-pixel prompt."""
    rows = rng.integers(0, stored.shape[0], vendor.hot_pixels)
    columns = rng.integers(0, stored.shape[1], vendor.hot_pixels)
    stored[rows, columns] = np.where(stored[rows, columns] > 0, 2**vendor.bits - 1, 0)


def _mirrored(view: PhantomView) -> PhantomView:
    """The same view of the other breast."""
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
