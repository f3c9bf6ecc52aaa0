"""Read a data set: every image with its findings, and what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from mammo.dicom import Intake, take_in
from mammo.dicom.limits import MAX_BYTES, read_bytes
from mammo.errors import LabelStudioError, MammoError, UnreadableImage
from mammo.exchange.datasets.cbis_ddsm import read_cbis_ddsm
from mammo.exchange.datasets.coco import read_coco
from mammo.exchange.datasets.contents import DatasetImage, DatasetOptions
from mammo.exchange.datasets.folder import read_folder
from mammo.exchange.datasets.inbreast import read_inbreast
from mammo.exchange.datasets.mias import read_mias
from mammo.exchange.datasets.patients import PatientRule, settled
from mammo.exchange.datasets.round_trip import rehearsed
from mammo.exchange.datasets.tasks import TaskWriter
from mammo.exchange.datasets.vindr import read_vindr
from mammo.exchange.datasets.yolo import read_yolo
from mammo.exchange.export.labelled_image import Refusal
from mammo.geometry import Size
from mammo.labelstudio import ControlTags
from mammo.stated_facts import stated_spacing

READERS: dict[str, Callable[[DatasetOptions], Iterator[DatasetImage | Refusal]]] = {
    "cbis-ddsm": read_cbis_ddsm,
    "inbreast": read_inbreast,
    "vindr": read_vindr,
    "mias": read_mias,
    "coco": read_coco,
    "folder": read_folder,
    "yolo": read_yolo,
}


@dataclass
class Summary:
    """What came in, or would."""

    images: int = 0
    clusters: int = 0
    """As they are read back from what was written, or would be."""

    masks: int = 0
    without: int = 0
    """Images without any cluster."""

    already: int = 0
    boxes_of_masks: int = 0
    """Masks of which only the box was taken, because that was asked for."""

    small_parts: list[int] = field(default_factory=list)
    """Pixels of the parts of masks that were too small to be a cluster."""

    patients: set[str] = field(default_factory=set)
    classes: Counter[str] = field(default_factory=Counter)
    refusals: list[Refusal] = field(default_factory=list)

    def lines(self, *, dry_run: bool) -> Iterator[str]:
        """The report; every refusal with its reason."""
        for refusal in self.refusals:
            yield f"refused: {refusal}"
        verb = "would come in" if dry_run else f"are in ({self.already} of them were before)"
        yield f"{self.images} images of {len(self.patients)} patients {verb}; {len(self.refusals)} refused"
        yield f"  {self.clusters} clusters ({self.masks} with a mask), {self.without} images without any"
        if self.boxes_of_masks:
            yield f"  of {self.boxes_of_masks} masks only the box was taken (--boxes-only)"
        if self.small_parts:
            yield f"  {len(self.small_parts)} parts of masks, of {max(self.small_parts)} pixels at most, were left out"
        yield from (f"  class {name}: {count}" for name, count in self.classes.most_common(50))


def read_dataset(
    options: DatasetOptions,
    writer: TaskWriter | None,
    *,
    tags: ControlTags | None = None,
    progress: Callable[[list[DatasetImage | Refusal]], Iterable[DatasetImage | Refusal]] = iter,
) -> Summary:
    """Read every image with its findings, as an import does; write it where there is a writer.

    Args:
        tags: of the project of a dry run; None takes those of our own labeling config. A writer knows its own.
        progress: wraps the images, to show how many are read.
    """
    summary = Summary()
    seen: dict[str, str] = {}
    tags = writer.tags if writer else tags or ControlTags()
    rule = PatientRule.of_options(options)
    items, question = settled(list(READERS[options.kind](options)), rule)
    nameless = False
    for number, item in enumerate(progress(items), start=1):
        if isinstance(item, Refusal):
            summary.refusals.append(item)
            continue
        try:
            _read(item, options, writer, tags, summary, seen)
        except LabelStudioError:
            raise  # no row's fault: it would meet all the others too
        except (MammoError, ValueError) as error:
            nameless = nameless or isinstance(error, _Nameless)
            named = getattr(error, "code", "") in ("identified", "named_path")
            where = f"image {number} of the data set" if named else item.where  # a path may name a person
            summary.refusals.append(Refusal(where, str(error)))
        except OSError as error:
            reason = f"cannot be opened: {error.strerror or 'unknown reason'}"
            summary.refusals.append(Refusal(item.where, reason))
    if nameless and question is not None:
        summary.refusals.append(Refusal("patients", question))
    return summary


class _Nameless(ValueError):
    """Nobody says whose image it is."""


def _read(
    item: DatasetImage,
    options: DatasetOptions,
    writer: TaskWriter | None,
    tags: ControlTags,
    summary: Summary,
    seen: dict[str, str],
) -> None:
    """Read one image and its findings, and count them; raises what refuses it."""
    relative = item.file.relative_to(options.folder).as_posix()
    secret = writer.patient_secret if writer else b"of a dry run"
    found = take_in(read_bytes(item.file, max_bytes=MAX_BYTES), path=relative, patient_secret=secret)
    if found.turned:
        raise ValueError(
            "it says that it is to be turned, and nobody says which way up its findings were drawn"
        )
    if item.trusts_file and not options.allow_identified:
        _refuse_identified(found)
    patient = (found.patient if item.trusts_file else None) or item.patient
    if not patient:
        raise _Nameless("neither the file nor its path names a patient; see --patient-pattern")
    height, width = found.twin.shape
    size = Size(width, height)
    given = item.findings(size)
    findings = [replace(finding, mask=None) for finding in given] if options.boxes_only else given
    regions = rehearsed(findings, size=size, tags=tags, kind=options.kind)
    first = seen.setdefault(found.sha256, item.where)
    if first != item.where:
        raise ValueError(f"the same image as {first}")
    spacing = found.spacing or stated_spacing(item.spacing_mm) or stated_spacing(options.spacing_mm)
    if writer and not writer.write(item, found, regions, spacing=spacing):
        summary.already += 1
    summary.images += 1
    summary.patients.add(patient)
    summary.classes.update(item.classes)
    summary.clusters += len(findings)
    summary.masks += sum(finding.mask is not None for finding in findings)
    summary.boxes_of_masks += sum(
        before.mask is not None and after.mask is None for before, after in zip(given, findings, strict=True)
    )
    summary.small_parts += item.small_parts
    summary.without += not findings


def _refuse_identified(found: Intake) -> None:
    """As `yolo-mlsam import` does.

    Raises:
        UnreadableImage: `named_path` or `identified`.
    """
    if found.named_in_path:
        raise UnreadableImage(
            "its path contains the patient's name, ID or birth date, and becomes part of the task; rename it",
            code="named_path",
        )
    if found.identifying:
        raise UnreadableImage(
            f"it names a person in {', '.join(found.identifying)}; run `yolo-mlsam deidentify`, "
            "or give --allow-identified if this is wanted",
            code="identified",
        )
