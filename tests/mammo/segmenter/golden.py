"""Facts of the public segmenters; tests/golden/segmenter/README.md says where they come from."""

import json
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "golden" / "segmenter"


def golden_shapes(name: str) -> dict[str, tuple[int, ...]]:
    lines = (FOLDER / f"{name}.txt").read_text().splitlines()
    pairs = (line.split(" ") for line in lines)
    return {key: () if shape == "-" else tuple(map(int, shape.split("x"))) for key, shape in pairs}


def golden_outputs(name: str) -> dict[str, list[float]]:
    outputs: dict[str, list[float]] = json.loads((FOLDER / "outputs.json").read_text())[name]
    return outputs
