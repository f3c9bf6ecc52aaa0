"""README.md of a standalone bundle: the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mammo.printable import printable

FACTS = (
    "parent",
    "recipe",
    "licence",
    "trained_on",
    "operating_point",
    "presence_point",
    "evaluation",
)
"""Keys of a manifest that are published: not the run, its reason or the names of a site's dataset versions."""

MAX_FACT = 4000
"""Longest fact, in characters of JSON."""

PARITY = """\
* `self_test.png` is a synthetic mammogram; `expected.json` has the product's findings in it, recorded when the version
  was registered, and the largest differences that pass: 0.03 in the score, 0.85 in the IoU of the box, 15 % of the
  area. `python inference.py --self-test` compares.
* This program takes the breast in one pass, as the product does on a GPU. On 12 phantom mammograms of two vendors every
  finding of the product in one pass, 20 in all, was found again with a score within 0.001, a box of IoU 0.99 and a mask
  of Dice 0.99 or more, and none besides; a test of the product repeats it on two.
* On a CPU the product takes large breasts in tiles. Against that, scores of the same images differed by up to 0.06, so
  that 2 of 21 findings near the operating point were missing here and 1 was new. The others had a box of IoU 0.89 and a
  mask of Dice 0.96 or more. The product itself differs as much between a GPU and a CPU.
* Left out: For Processing images, signed or rescaled pixels, stated orientations, the limits and checks of hostile
  files, clicks, single calcifications, links between views, stages and everything of Label Studio. Such files are
  refused, or, where a file states a flipped orientation, read as they are stored."""


def card(manifest: Mapping[str, Any], *, model: Mapping[str, Any]) -> str:
    """Return the model card as Markdown.

    Args:
        manifest: of the version.
        model: what the bundle's program knows of it; see `mammo.standalone.writing`.
    """
    facts = "\n".join(
        f"* {name.replace('_', ' ')}: {_fact(manifest[name])}" for name in FACTS if manifest.get(name)
    )
    weights = "\n".join(
        f"* {part}: SHA-256 {manifest[part]['sha256']}"
        for part in ("detector", "segmenter")
        if part in manifest
    )
    return f"""# {printable(model["version"])}

Finds clusters of microcalcifications in mammograms and outlines them. Exported from Yolo-MLSAM.

**Research use only. No medical device: no finding and no absence of one may guide a diagnosis.**

## Run it

    pip install numpy opencv-python-headless "openvino>={model["openvino"]}" pydicom
    python inference.py --self-test
    python inference.py IMAGE.dcm --mask MASK.png

`inference.py` prints each finding with score, box (x0, y0, x1, y1 in pixels, half open), area in pixels and outlines.
`sha256sum -c SHA256SUMS` checks the files. `planes.py` computes what the networks see.

## What it is

* detector at {model["spacing_mm"]} mm per pixel; findings from a score of {model["threshold"]}, at most \
{model["max_findings"]} of an image
* segmenter with an input of {model["input_size"]} pixels, prompted by the box and {model["prompt_count"]} points
{weights}
{facts}

## How close it is to the product

{PARITY}

## What it was not tested on

Other vendors and populations than those above; implants, magnification views, tomosynthesis, breasts after surgery. It
finds calcifications only: no masses, distortions or asymmetries.
"""


def _fact(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return printable(text, length=MAX_FACT)
