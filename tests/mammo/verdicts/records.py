"""Verdict records of a few lesions, written by hand."""

from datetime import UTC, datetime

from mammo.runs import Run
from mammo.verdicts.record import (
    FORMAT,
    Answer,
    Curve,
    Found,
    Image,
    Lesion,
    Model,
    Shape,
    VerdictRecord,
)

SCORE = {
    "primary": 0.5,
    "sensitivity_0.25": 0.5,
    "sensitivity_1": 0.75,
    "dice": None,
    "false_positives": 0.25,
}
VERDICT = {
    "champion": {"version": "old", **SCORE},
    "challenger": {"version": "new", **SCORE, "false_positives": 0.75},
    "difference": 0.1,
    "interval": [-0.1, 0.3],
    "confidence": 0.8,
    "num_patients": 2,
    "num_images": 2,
    "num_truth": 4,
    "rule": {
        "draws": 2000,
        "confidence": 0.95,
        "guard_rate": 1.0,
        "sensitivity_margin": 0.05,
        "dice_margin": 0.03,
        "false_positive_margin": 0.25,
        "newest_margin": 0.1,
    },
    "newest": None,
}


def shape(x, y, side=10):
    corners = (x, y, x + side, y + side)
    return Shape(corners=corners, parts=(((x, y), (x + side, y), (x + side, y + side)),))


def found(x, y, score=0.8, *, lesion=None, dice=None):
    return Found(shape=shape(x, y), score=score, lesion=lesion, dice=dice)


def lesion(x, y, **fields):
    return Lesion(shape=shape(x, y), **({"diameter_mm": 7.0} | fields))


def image(lesions=(), champion=(), challenger=(), *, best=None, **fields):
    best = best or ((None,) * len(lesions), (None,) * len(lesions))
    facts = {
        "sha256": "a" * 64,
        "patient": "p1",
        "task": 7,
        "view": "LCC",
        "size": (400, 500),
        "spacing": (0.1, 0.1),
    }
    return Image(
        **(facts | fields),
        lesions=lesions,
        champion=Answer(found=champion, best=best[0]),
        challenger=Answer(found=challenger, best=best[1]),
    )


CURVE = Curve(
    false_positives=(0.05, 1.0, 4.0), sensitivity=(0.2, 0.5, 1.0), low=(0.1, 0.3, 0.8), high=(0.4, 0.7, 1.0)
)


def record(*images, **fields):
    facts = {
        "format": FORMAT,
        "run": "run-1",
        "project": 3,
        "promote": False,
        "reason": "kept old: new is not reliably better (95% required)",
        "verdict": VERDICT,
        "champion": Model(version="old", threshold=0.3, curve=CURVE),
        "challenger": Model(version="new", threshold=0.4, curve=CURVE),
        "crops": {},
        "left_out": None,
    }
    return VerdictRecord(**(facts | fields), images=images)


def run(**fields):
    facts = dict.fromkeys(Run.__dataclass_fields__)
    at = datetime(2026, 12, 1, 12, tzinfo=UTC)
    known = {
        "id": "run-1",
        "project": 3,
        "recipe": "finetune",
        "state": "kept",
        "created_at": at,
        "ended_at": at,
    }
    return Run(**(facts | known | fields))
