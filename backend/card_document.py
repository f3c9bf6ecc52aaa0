"""The model card as a document: data, recipe, figures with their intervals, licence, limits, what was never tested.

It is generated from what is recorded, so that nothing in it has to be kept true by hand. Console, API and command line
show the same sections.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from backend.model_cards import ModelCard
from mammo.models import STAYS_AT_SITE
from mammo.models.learned_from import LearnedFrom
from mammo.verdicts.figure_names import figure_name
from mammo.verdicts.record import VerdictRecord
from mammo.verdicts.strata import SIZES_MM
from mammo.verdicts.versions import Estimate, on_common_images

USE = (
    "It proposes outlines of microcalcification clusters on two-dimensional mammograms, for people who look at every "
    "image and correct every outline.",
    "It is no medical device and gives no diagnosis. Nobody may be told anything on its word alone.",
)

LIMITS = (
    "It knows one kind of finding. It says nothing about masses, asymmetries, distortions or single calcifications.",
    "It reads one image at a time, and compares neither both sides nor an earlier exam.",
    "Its scores order findings. They are no probabilities of cancer.",
    "It learned what its readers drew: what they miss together, it learns to miss.",
)

NEVER_ANYWHERE = (
    "tomosynthesis, synthetic two-dimensional images, contrast-enhanced mammograms and ultrasound",
    "breasts with implants, after surgery or irradiation, and men's, apart from other images",
    "outcomes: no figure here is about biopsies or follow-up",
)


CORRECTED_BY = "corrected by"
"""Row of the readers."""


@dataclass(frozen=True)
class Section:
    """A part of a card: rows, or sentences."""

    title: str
    rows: tuple[tuple[str, str], ...] = ()
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class CardDocument:
    """A model card."""

    version: str
    sections: tuple[Section, ...]
    readers: tuple[tuple[str, int], ...] = ()
    """Pseudonyms of those whose corrections taught it, and their images."""

    def with_names(self, names: Mapping[str, str]) -> CardDocument:
        """Return the card with the names of readers, for who may see them.

        Args:
            names: by pseudonym; a reader without one keeps the pseudonym.
        """
        row = CORRECTED_BY, _corrected_by((names.get(each) or each, images) for each, images in self.readers)
        sections = (
            replace(
                each, rows=tuple(row if name == CORRECTED_BY else (name, value) for name, value in each.rows)
            )
            for each in self.sections
        )
        return replace(self, sections=tuple(sections))

    def to_json(self) -> dict[str, Any]:
        """Return the card as a JSON object."""
        return asdict(self)

    def to_markdown(self) -> str:
        """Return the card as Markdown."""
        parts = [f"# Model {self.version}"]
        for section in self.sections:
            parts.append(f"## {section.title}")
            if section.rows:
                rows = "\n".join(f"| {_cell(name)} | {_cell(value)} |" for name, value in section.rows)
                parts.append(f"| | |\n|---|---|\n{rows}")
            if section.sentences:
                parts.append("\n".join(f"* {_cell(each)}" for each in section.sentences))
        return "\n\n".join(parts) + "\n"


def card_document(
    card: ModelCard,
    *,
    root: ModelCard,
    learned: LearnedFrom | None,
    record: VerdictRecord | None,
) -> CardDocument:
    """Write the card of a version.

    Args:
        root: the oldest version of its descent, from whose weights it began.
        learned: its dataset version; None if it has none, or it cannot be read.
        record: of its verdict; None if none was kept.
    """
    return CardDocument(
        card.version,
        (
            Section("What it is for", sentences=USE),
            _data(card, root, learned),
            _recipe(card),
            _figures(card, record),
            _licence(card, root),
            Section("Limits", sentences=LIMITS),
            Section("Never tested on", sentences=tuple(never_tested(learned, record))),
        ),
        readers=learned.readers if learned is not None else (),
    )


def never_tested(learned: LearnedFrom | None, record: VerdictRecord | None) -> list[str]:
    """Return what no figure of a version covers, as far as its held-out images show that."""
    if record is None:
        return ["patients of this site: no verdict with its images is kept", *NEVER_ANYWHERE]
    lesions = [lesion for image in record.images for lesion in image.lesions]
    untested = ["images of other sites than the one whose corrections it was judged on"]
    sizes = [each.diameter_mm for each in lesions if each.diameter_mm is not None]
    if not any(size < SIZES_MM[0] for size in sizes):
        untested.append(f"clusters below {SIZES_MM[0]:g} mm: the held-out images have none")
    if not any(size >= SIZES_MM[-1] for size in sizes):
        untested.append(f"clusters from {SIZES_MM[-1]:g} mm: the held-out images have none")
    if all(image.lesions for image in record.images):
        untested.append("images without a cluster: every held-out image has one")
    seen = {image.view for image in record.images}
    if learned is not None:
        missing = [view for view, _ in learned.views if view != "unknown" and view not in seen]
        untested += [f"the view {view}, which it learned from" for view in missing]
    return [*untested, *NEVER_ANYWHERE]


def _data(card: ModelCard, root: ModelCard, learned: LearnedFrom | None) -> Section:
    rows: list[tuple[str, str]] = []
    if learned is not None:
        rows.append(("dataset version", f"{learned.dataset_version[:12]} of project {learned.project}"))
        for name, fold in (("taught by", "train"), ("tuned on", "validation"), ("judged on", "test")):
            count = learned.fold(fold)
            rows.append(
                (name, f"{count.patients} patients, {count.images} images, {count.findings} clusters")
            )
        rows.append((CORRECTED_BY, _corrected_by(learned.readers)))
        rows.append(("left out", f"{learned.excluded} corrections"))
    elif dataset := card.manifest.get("dataset_version"):
        rows.append(("dataset version", f"{str(dataset)[:12]}, whose manifest cannot be read now"))
    taught = root.manifest.get("trained_on")
    if isinstance(taught, Mapping):
        prefix = "" if root.version == card.version else f"{root.version}, "
        rows += [(f"{prefix}{part}", str(data)) for part, data in sorted(taught.items())]
    return Section("Data", rows=tuple(rows) or (("data", "nothing is recorded"),))


def _corrected_by(readers: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} ({images} images)" for name, images in readers) or "nobody"


def _recipe(card: ModelCard) -> Section:
    manifest = card.manifest
    names = {
        "recipe": "recipe",
        "parent": "began with the weights of",
        "run": "run",
        "reason": "asked for because",
    }
    rows = [(words, str(manifest[key])) for key, words in names.items() if manifest.get(key)]
    threshold = manifest.get("threshold")
    if isinstance(threshold, int | float):
        rows.append(("operating point", f"detector score from {threshold:.3f}"))
    rows.append(
        (
            "prompts",
            f"{manifest.get('prompt_count', '?')} points by the rule {manifest.get('prompt_rule', '?')}",
        )
    )
    rows.append(("number format here", card.precision or "float32: bfloat16 was not checked here"))
    if manifest.get("code_version"):
        rows.append(("made by release", str(manifest["code_version"])))
    return Section("Recipe", rows=tuple(rows))


def _figures(card: ModelCard, record: VerdictRecord | None) -> Section:
    verdict = card.verdict.get("verdict") or {}
    own = verdict.get("challenger") or {}
    if not own:
        return _stated_figures(card)
    counts = [f"{verdict[f'num_{key}']} {name}" for key, name in COUNTED if f"num_{key}" in verdict]
    rows = [("held-out patients", ", ".join(counts))]
    common = on_common_images([record]) if record is not None else None
    if common is not None:
        mine = common.versions[-1]
        rows += [
            ("found at its operating point", estimate(mine.sensitivity)),
            ("false alarms per image", estimate(mine.false_positives)),
            ("Dice over all clusters", estimate(mine.dice)),
        ]
    rows += [
        (f"gate: {figure_name(key)}", f"{value:.3f}")
        for key, value in own.items()
        if key != "version" and isinstance(value, int | float)
    ]
    difference, interval = verdict.get("difference"), verdict.get("interval")
    if isinstance(difference, int | float) and isinstance(interval, Sequence) and None not in interval:
        against = card.verdict.get("champion", "the champion")
        rows.append(
            (
                f"gate: score against {against}",
                f"{difference:+.3f} ({interval[0]:+.3f} to {interval[1]:+.3f})",
            )
        )
    return Section("Figures", rows=tuple(rows), sentences=(INTERVALS,))


COUNTED = (("patients", "patients"), ("images", "images"), ("truth", "clusters"))
INTERVALS = "In brackets: the 5th and 95th percentile over draws of patients."


def _stated_figures(card: ModelCard) -> Section:
    """The figures that a manifest brings with it, such as that of the starter."""
    stated = card.manifest.get("evaluation")
    if not isinstance(stated, Mapping):
        return Section("Figures", sentences=("No gate has judged it, and it states no figures.",))
    rows = [("measured on", str(stated.get("data", "not stated")))]
    for rate, value in (stated.get("sensitivity") or {}).items():
        rows.append((figure_name(f"sensitivity_{rate}"), f"{value:.3f}"))
    for key, name in (
        ("dice_all_clusters", "Dice over all clusters"),
        ("dice_matched_clusters", "Dice, found ones"),
    ):
        if isinstance(each := stated.get(key), Mapping):
            rows.append((name, f"{each['value']:.3f} ({each['low']:.3f} to {each['high']:.3f})"))
    return Section("Figures", rows=tuple(rows))


def _licence(card: ModelCard, root: ModelCard) -> Section:
    rows = [("this version", str(card.manifest.get("licence") or "not stated"))]
    if root.version != card.version:
        rows.append((f"base weights, {root.version}", str(root.manifest.get("licence") or "not stated")))
    if stays := card.manifest.get(STAYS_AT_SITE):
        rows.append(("must not leave this site", f"it learned from {', '.join(map(str, stays))}"))
    return Section("Licence", rows=tuple(rows))


def estimate(each: Estimate | None) -> str:
    """Return a figure with its interval; a dash for None."""
    return "-" if each is None else f"{each.value:.3f} ({each.low:.3f} to {each.high:.3f})"


def _cell(text: str) -> str:
    """Return text for Markdown, in which it is no markup and no cell ends early."""
    escaped = "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in text)
    return " ".join(escaped.split())
