"""The sets of images of the evidence, from a folder that the caller fills (docs/evidence.md says with what).

    film_normals/mdb*.png    film scans of mini-MIAS without calcifications
    monai/sample_*.jpg       the files of `yolo-mlsam backgrounds add monai`
    nyu/BCC_*.png            sample images of breast_cancer_classifier

Sensitivity is measured on inserted clusters, and false positives on the untouched images beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammo.backgrounds import PUBLIC_SETS, Background
from mammo.blobs import hash_file
from mammo.errors import InsufficientData
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Spacing
from mammo.phantom import vendor_a
from training.cases import Case, Progress
from training.evaluation.image_cases import EvaluationImage, EvaluationSet, breast_area
from training.evaluation.patient_grouping import MIAS, PatientGrouping
from training.insertion.material import MaterialPlan, write_material
from training.phantom_cases import PHANTOM_SECRET, POSITIVE, write_phantom_patients
from training.starter.material import HELD_OUT

FILM_SPACING = Spacing(0.2, 0.2, "given")
FFDM_SPACING = Spacing(0.07, 0.07, "given")

FILM_SEED, INSERTED_SEED, NORMAL_SEED = 140_000, 150_000, 160_000
"""Of no training, validation or test material."""

INSERTED_COPIES, NORMAL_COPIES = 12, 4
"""Images of each held-out background, with inserted clusters and without."""

PHANTOM_SEEDS = range(7000, 7010)
"""Ten of the test patients of the starter's recipe; the weights record its figures on all forty."""

GROUPS: dict[str, dict[str, Box]] = {
    "BCC_1_L_CC.png": {},
    "BCC_1_R_CC.png": {"tight, 4 mm": Box(2328, 1348, 2383, 1409)},
    "BCC_2_L_CC.png": {
        "few specks and a rod": Box(540, 1995, 595, 2130),
        "scattered, 20 mm": Box(390, 1357, 677, 1641),
    },
    "BCC_2_R_CC.png": {},
}
"""Groups of calcifications in the images of breast_cancer_classifier, seen by eye; no radiologist has looked."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """One set of the evidence."""

    title: str
    about: str
    """What the images are, and what their figures do not show."""

    evaluated: EvaluationSet
    files: Mapping[str, str]
    """SHA-256 of each file of the source, by name; empty for phantoms."""

    few: bool = False
    """Whether the lesions are so few that the score of each says more than a rate."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the images are, and how many are used."""

    real: Path
    work: Path
    """Receives what is drawn; a repeated call uses it."""

    limit: int
    """Maximum number of films, of copies of a background, and of phantom patients."""

    progress: Progress

    def film(self) -> Images:
        """Film scans: untouched, and with inserted clusters.

        Raises:
            InsufficientData: there is no film.
        """
        folder = self.real / "film_normals"
        pairs = PatientGrouping(rule=MIAS)
        films = [
            Background(
                path=path,
                spacing=FILM_SPACING,
                patient=f"mias-{pairs.of(path.name, stated='', path=path)}",
                sha256=hash_file(path),
            )
            for path in sorted([*folder.glob("mdb*.png"), *folder.glob("mdb*.pgm")])
        ][: self.limit]
        if not films:
            raise InsufficientData(f"expected mdb*.png or mdb*.pgm in {folder.name} of the folder, got none")
        inserted = self._draw("film", _plan(own_copies=1, seed=FILM_SEED), films)
        return Images(
            title="Film: mini-MIAS, research only",
            about=f"{len(films)} film scans of women without calcifications (0.2 mm, 8 bit; Suckling et al. 1994), "
            "untouched, and one copy of each with inserted clusters. The scans went into no weights; some served to "
            "choose the network's input planes, and 16 to choose the constants of the baseline.",
            evaluated=_evaluated([_untouched(film) for film in films], inserted),
            files=_hashes(films),
        )

    def full_field(self) -> Images:
        """Looks of the held-out women of `monai`: untouched, and with inserted clusters.

        Raises:
            InvalidBackgrounds: a file is missing or another one.
        """
        (public,) = (each for each in PUBLIC_SETS if each.name == "monai")
        women = [each for each in public.within(self.real / "monai").backgrounds if each.patient in HELD_OUT]
        normal = _plan(own_copies=min(NORMAL_COPIES, self.limit), seed=NORMAL_SEED, lesions=False)
        plan = _plan(own_copies=min(INSERTED_COPIES, self.limit), seed=INSERTED_SEED)
        untouched = [_untouched(each) for each in women] + self._draw("full-field-normal", normal, women)
        return Images(
            title="Full-field and synthetic 2-D: MONAI Model Zoo, Apache-2.0",
            about=f"{len(women)} women that no weights have seen ({', '.join(sorted(HELD_OUT))}; Project-MONAI/"
            "model-zoo, breast_density_classification): their images, further looks of them, and looks with inserted "
            "clusters. Three women are few, so the intervals are too narrow; and the starter's operating point was set "
            "on other looks of these women, so its false positives are too few here.",
            evaluated=_evaluated(untouched, self._draw("full-field", plan, women)),
            files=_hashes(women),
        )

    def seen_by_eye(self) -> Images:
        """The sample images of breast_cancer_classifier.

        Raises:
            InsufficientData: a file is missing.
        """
        cases = []
        for name, groups in GROUPS.items():
            path = self.real / "nyu" / name
            if not path.is_file():
                raise InsufficientData(f"expected {name} in nyu of the folder")
            truth = [Finding(label=CLUSTER, score=1.0, box=box, id=group) for group, box in groups.items()]
            image = Background(path=path, spacing=FFDM_SPACING, patient=name[:5], sha256=hash_file(path))
            cases.append(_untouched(image, truth=tuple(truth)))
        return Images(
            title="Full-field: breast_cancer_classifier, AGPL-3.0, measured on only",
            about="Four images of two women (nyukat/breast_cancer_classifier; 0.07 mm, 12 bit) with three groups of "
            "calcifications that were seen by eye, not by a radiologist. They helped to choose the operating point of "
            "starter-1e896848. Of each group: the score of the best box whose centre lies in it.",
            evaluated=_evaluated(cases, [], on_normals=False),
            files={name: case.image for name, case in zip(GROUPS, cases, strict=True)},
            few=True,
        )

    def phantoms(self) -> Images:
        """Phantom patients of `vendor_a`."""
        seeds = PHANTOM_SEEDS[: self.limit]
        cases = write_phantom_patients(
            self.work / "phantoms",
            seeds=seeds,
            appearance=vendor_a(),
            positive=POSITIVE,
            patient_secret=PHANTOM_SECRET,
            progress=self.progress,
        )
        return Images(
            title="Phantoms",
            about=f"Phantoms of `vendor_a`, seeds {seeds.start} to {seeds.stop - 1}, four views each. The generator "
            "that draws them drew the starter's training material too: an easy task, which says nothing of patients. "
            "False positives count on every image.",
            evaluated=_evaluated(cases, [], on_normals=False),
            files={},
        )

    def _draw(self, name: str, plan: MaterialPlan, backgrounds: Sequence[Background]) -> list[Case]:
        """Draw looks of backgrounds; of a plan with lesions, those in which a cluster found a place."""
        cases = write_material(self.work / name, plan, backgrounds, processes=1, progress=self.progress)
        return [case for case in cases if case.truth or not plan.lesions]


def _plan(*, own_copies: int, seed: int, lesions: bool = True) -> MaterialPlan:
    return MaterialPlan(
        phantoms=0,
        film_phantoms=0,
        digital_copies=0,
        film_copies=0,
        own_copies=own_copies,
        seed=seed,
        lesions=lesions,
    )


def _hashes(backgrounds: Sequence[Background]) -> dict[str, str]:
    return {each.path.name: each.sha256 for each in backgrounds}


def _untouched(background: Background, truth: tuple[Finding, ...] = ()) -> Case:
    return Case(
        image=background.sha256,
        patient=background.patient,
        read=background.read,
        truth=truth,
        uncertain=background.avoid,
    )


def _evaluated(
    untouched: Sequence[Case], inserted: Sequence[Case], *, on_normals: bool = True
) -> EvaluationSet:
    """Cases with what figures in mm need: false positives count on the untouched images without a lesion."""
    images = []
    for case in (*untouched, *inserted):
        mammogram = case.read()
        assert mammogram.spacing, "every source states its spacing"
        images.append(
            EvaluationImage(
                name=case.image[:12], case=case, spacing=mammogram.spacing, breast_cm2=breast_area(mammogram)
            )
        )
    return EvaluationSet(images=tuple(images), left_out=(), on_normals=on_normals)
