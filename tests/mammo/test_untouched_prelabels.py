"""Whatever the model proposes comes back as exactly that when nobody has touched it, in both forms.

Phantom views of three looks, two hundred of them in the slow test, through the starter's networks. Some masks get a
crumb beside them: crumbs made findings out of nothing before, and today's starter hardly draws any.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mammo.dicom import Mammogram, read_mammogram, write_mammogram
from mammo.efforts.edit_effort import edit_effort
from mammo.findings import Finding
from mammo.labelstudio import ControlTags, to_regions
from mammo.labelstudio.interpretation import interpret
from mammo.masks import Mask, union
from mammo.models.starter_files import starter_files
from mammo.phantom import phantom_view, vendor_a, vendor_b, vendor_c
from mammo.pipeline import Prelabeller

LOOKS = (vendor_a, vendor_b, vendor_c)
Prelabelled = tuple[Mammogram, tuple[Finding, ...]]
FORMS = {"outlines": ControlTags().outlined(), "brush": ControlTags().painted()}


def view(seed: int, folder: Path) -> Mammogram:
    """A small view, so that two hundred take a minute: part of a breast, one to three clusters."""
    drawn = phantom_view(
        seed, clusters=1 + seed % 3, appearance=LOOKS[seed % 3](), width=448, height=576, num_distractors=6
    )
    file = folder / "view.dcm"
    write_mammogram(
        file,
        drawn.stored,
        laterality="L",
        view="CC",
        spacing_mm=drawn.spacing_mm,
        bits=drawn.bits,
        patient_id="PHANTOM-UNTOUCHED",
        entropy=f"untouched {seed}",
    )
    return read_mammogram(file, spacing=None)


@pytest.fixture(scope="module")
def first_prelabels(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], list[Prelabelled]]:
    """Returns the first so many views and their findings; each is drawn and predicted once."""
    folder = tmp_path_factory.mktemp("untouched")
    prelabeller = Prelabeller.load(starter_files(), runtime="torch", threads=1)
    prelabelled: list[Prelabelled] = []

    def first(number: int) -> list[Prelabelled]:
        for seed in range(len(prelabelled), number):
            mammogram = view(seed, folder)
            findings = prelabeller.prelabel(mammogram, threshold=None).findings
            prelabelled.append(
                (mammogram, tuple(with_crumb(each) for each in findings) if seed % 3 == 0 else findings)
            )
        return prelabelled[:number]

    return first


@pytest.fixture(scope="module", params=[20, pytest.param(200, marks=pytest.mark.slow)])
def prelabels(
    first_prelabels: Callable[[int], list[Prelabelled]], request: pytest.FixtureRequest
) -> list[Prelabelled]:
    return first_prelabels(request.param)


def with_crumb(finding: Finding) -> Finding:
    """The finding with a second part of nine pixels in its mask, beside the first one."""
    if finding.mask is None:
        return finding
    frame = finding.mask.frame
    crumb = Mask(np.ones((3, 3), np.bool_), max(0, frame.x0 - 5), frame.y0)
    return replace(finding, mask=union([finding.mask, crumb]))


def handed_back(regions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As Label Studio sends back what nobody has touched: through JSON, and marked as the prediction's."""
    back: list[dict[str, Any]] = json.loads(json.dumps(regions))
    return [region | {"origin": "prediction"} for region in back]


@pytest.mark.parametrize("form", FORMS)
def test_an_untouched_prelabel_is_exactly_the_findings_that_were_sent(
    prelabels: list[Prelabelled], form: str
) -> None:
    tags = FORMS[form]
    num_findings = num_parts = 0
    for mammogram, findings in prelabels:
        regions = to_regions(findings, size=mammogram.size, tags=tags, model_version="m1")
        read = interpret(handed_back(regions), tags=tags)
        assert (len(regions), read.drawn) == (len(findings), len(findings))
        sent = to_regions(findings, size=mammogram.size, tags=tags, model_version="m1")
        assert [each.id for each in read.findings] == [region["id"] for region in sent]
        assert [(each.box, each.score, each.prompts) for each in read.findings] == [
            (each.box, each.score, each.prompts) for each in findings
        ]
        for before, after in zip(findings, read.findings, strict=True):
            assert (before.mask is None) == (after.mask is None)
            if before.mask is not None and after.mask is not None:
                num_parts += len(before.mask.components())
                overlap = before.mask.dice(after.mask)
                assert overlap == 1.0 if form == "brush" else overlap > 0.97
        assert (read.deleted, read.crumbs) == ((), 0)
        effort = edit_effort(interpret(regions, tags=tags).findings, read.findings)
        assert (effort.accepted, effort.untouched) == (len(findings), True)
        num_findings += len(findings)
    assert num_findings > len(prelabels) / 2, "the starter finds something to test with"
    assert num_parts > num_findings, "some masks have several parts"
