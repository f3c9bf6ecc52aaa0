"""What `yolo-mlsam evaluate images` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.detector_evaluation import DetectorChoice, chosen_detector
from cli.progress import progress_bar
from mammo.blobs import hash_file
from mammo.errors import InvalidSettings
from mammo.printable import file_stem, printable
from mammo.site import Site

if TYPE_CHECKING:
    from mammo.exchange.export.labelled_image import Refusal
    from training.cases import Progress
    from training.evaluation.detector import Detect
    from training.evaluation.image_cases import EvaluationSet, ImageSource
    from training.evaluation.image_report import MeasuredDetector

REPORT = "images"
"""Name of the files that are written."""

MAX_WARNINGS = 20
"""Maximum number of printed reasons; the report has all."""

LEFT_OUT = 2
"""Exit code if an image was left out."""

DRAWS, SEED = 1000, 0
"""Of the bootstrap."""

READING = 0.1
"""Share of the progress for reading the images the first time."""


@dataclass(frozen=True, kw_only=True)
class ImageEvaluation:
    """Options of the command."""

    normals: Path | None
    positives: Path | None
    spacing: float | None
    """Pixel spacing in mm of images that state none."""

    patients: str
    """`file`, `mias` or a CSV file."""

    label: str | None
    """COCO: the category that means a cluster."""

    models: Sequence[str]
    weights: Sequence[Path]
    baseline: bool
    """Whether to measure the untrained baseline too."""

    out: Path


@dataclass(frozen=True, kw_only=True)
class Written:
    """The files of an evaluation, and what it left out."""

    paths: list[Path]
    left_out: tuple[Refusal, ...]

    def warnings(self) -> list[str]:
        """One line per reason to leave images out, `MAX_WARNINGS` at most."""
        reasons = Counter(each.reason for each in self.left_out)
        first = {each.reason: each.where for each in reversed(self.left_out)}
        lines = [
            f"left out: {first[reason]}{f' and {number - 1} more' if number > 1 else ''}: {reason}"
            for reason, number in reasons.items()
        ]
        if len(lines) <= MAX_WARNINGS:
            return lines
        return [
            *lines[:MAX_WARNINGS],
            f"left out for {len(lines) - MAX_WARNINGS} more reasons: see {REPORT}.md",
        ]


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A detector to measure."""

    name: str
    threshold: float
    weights: Path | None
    """None: the baseline."""

    def load(self, site: Site) -> Detect:
        from training.evaluation.detector import low_threshold_detector
        from training.evaluation.dog_baseline import DogBaseline

        if self.weights is None:
            return DogBaseline()
        return low_threshold_detector(
            self.weights, threads=site.settings.threads, runtime=site.settings.runtime
        )


def evaluate_images(options: ImageEvaluation) -> Written:
    """Measure detectors on images; return what was written.

    Raises:
        InvalidSettings: the options contradict each other, or an image has no pixel spacing.
        InsufficientData: there is nothing to measure on.
        ModelNotFound: there is no such model version.
    """
    from training.cases import portion
    from training.evaluation.image_cases import ImageSource, read_evaluation_set
    from training.evaluation.patient_grouping import PatientGrouping

    with Site.load() as site, progress_bar("evaluate") as progress:
        source = ImageSource(
            normals=options.normals,
            positives=options.positives,
            spacing_mm=options.spacing,
            patients=PatientGrouping.parse(options.patients),
            label=options.label,
        )
        candidates = _candidates(options, site)
        evaluated = read_evaluation_set(source, progress=portion(progress, 0.0, READING))
        measured = []
        share = (1 - READING) / len(candidates)
        for number, candidate in enumerate(candidates):
            begin = READING + number * share
            part = portion(progress, begin, begin + share, prefix=f"{candidate.name}: ")
            measured.append(_measure(candidate, evaluated, site, part))
        return _write(measured, evaluated, source, options.out)


def _candidates(options: ImageEvaluation, site: Site) -> list[_Candidate]:
    from training.evaluation.dog_baseline import NAME, OPERATING_POINT

    models = options.models or ([] if options.weights else ["champion"])
    choices = [DetectorChoice(model=model) for model in models]
    choices += [DetectorChoice(model="", weights=path) for path in options.weights]
    candidates = []
    for choice in choices:
        chosen = chosen_detector(choice, site)
        # Training calls every weight file `detector.safetensors`.
        folder = f"{choice.weights.resolve().parent.name}/" if choice.weights else ""
        name = printable(folder + chosen.name)
        candidates.append(_Candidate(name=name, threshold=chosen.threshold, weights=chosen.weights))
    if options.baseline:
        candidates.append(_Candidate(name=NAME, threshold=OPERATING_POINT, weights=None))
    repeated = [name for name, count in Counter(each.name for each in candidates).items() if count > 1]
    if repeated:
        raise InvalidSettings(f"{repeated[0]} is given twice; name each model and each weight file once")
    return candidates


def _measure(
    candidate: _Candidate, evaluated: EvaluationSet, site: Site, progress: Progress
) -> MeasuredDetector:
    from training.evaluation.detector import score_images
    from training.evaluation.image_figures import measure_images
    from training.evaluation.image_report import MeasuredDetector

    scored = score_images(candidate.load(site), evaluated.cases, progress=progress)
    return MeasuredDetector(
        name=candidate.name,
        sha256=hash_file(candidate.weights) if candidate.weights else "",
        scored=scored,
        figures=measure_images(scored, evaluated, threshold=candidate.threshold, draws=DRAWS, seed=SEED),
    )


def _write(
    measured: Sequence[MeasuredDetector], evaluated: EvaluationSet, source: ImageSource, out: Path
) -> Written:
    from training.evaluation.contact_sheet import examples, write_contact_sheet
    from training.evaluation.image_report import image_report

    out.mkdir(parents=True, exist_ok=True)
    sheets: dict[str, str] = {}
    for each in measured:
        threshold = each.figures.threshold
        title = f"{each.name} at score {threshold:g}"
        sheets[title] = f"{REPORT}.{file_stem(each.name)}.png"
        rows = examples(each.scored, evaluated, threshold=threshold)
        write_contact_sheet(rows, evaluated, out / sheets[title], title=title, threshold=threshold)
    facts: dict[str, Any] = {
        "normals": source.normals.name if source.normals else "none",
        "positives": source.positives.name if source.positives else "none",
        "patient rule": source.patients.sentence,
        "spacing": f"{source.spacing_mm:g} mm where an image states none"
        if source.spacing_mm
        else "of the images",
        "intervals": f"95 %, {DRAWS} draws of patients, seed {SEED}",
    }
    report = image_report(measured, evaluated, facts=facts, pictures=sheets)
    paths = report.write(out, name=REPORT) + [out / name for name in sheets.values()]
    return Written(paths=paths, left_out=evaluated.left_out)
