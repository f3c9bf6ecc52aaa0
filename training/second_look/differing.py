"""Labels of which two readers' readings of the same image differ."""

from __future__ import annotations

from collections.abc import Iterable

from mammo.readers import Overlap
from mammo.second_looks import LabelDoubt
from training.second_look.doubts import DIFFER_SCORE


def differing(overlaps: Iterable[Overlap]) -> list[LabelDoubt]:
    """Return a doubt about each of two readings that do not agree, at most one per reading and image.

    Its score is `DIFFER_SCORE` times 1 - Dice of their worst lesion; a lesion that one of them lacks counts 0.
    """
    worst: dict[tuple[int, str], LabelDoubt] = {}
    for overlap in overlaps:
        if overlap.agreement.agreed:
            continue
        score = round(DIFFER_SCORE * (1.0 - overlap.agreement.worst_dice), 4)
        for header in (overlap.first, overlap.second):
            key = header.annotation_id, overlap.image
            if key not in worst or worst[key].score < score:
                worst[key] = LabelDoubt(
                    task=header.task_id,
                    annotation=header.annotation_id,
                    image=overlap.image,
                    revision=header.revision,
                    cause="readers-differ",
                    score=score,
                )
    return list(worst.values())
