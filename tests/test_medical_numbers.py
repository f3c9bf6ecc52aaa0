"""A parameter that changes a medical number has no default: who forgets it must hear of it, not get another number."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("mammo", "backend", "worker", "training", "cli")

DECISIVE = {
    # What an annotation means, and of which picture.
    "tags",
    "image",
    "image_tag",
    "label",
    # Lengths and areas.
    "spacing",
    "spacing_mm",
    "mm_per_pixel",
    "pixel",
    "min_diameter_mm",
    "gap_mm",
    "width_mm",
    # What is a finding, and what counts as found.
    "threshold",
    "presence_threshold",
    "prompt_rule",
    "prompt_count",
    "rule",
    "rules",
    "least_iou",
    "centres",
    # What is trained and judged on, and what is evidence.
    "with_automatic",
    "prefer",
    "newest",
    "shown",
    "withheld",
    "model_version",
    "calibrated_for",
}
"""Names of parameters that decide about a medical number."""

ALLOWED = {
    (
        "mammo/dicom/reading.py",
        "read_mammogram",
        "spacing",
    ): "the file's own counts; for files that state none",
    ("mammo/dicom/dataset.py", "open_dataset", "tags"): "elements of a DICOM file",
    ("mammo/images/image_downloads.py", "__init__", "rule"): "of addresses that images may come from",
    (
        "cli/import_mammograms.py",
        "import_command",
        "rules",
    ): "refuse what may name a patient; None refuses most",
    (
        "mammo/exchange/importing.py",
        "import_mammogram",
        "rules",
    ): "refuse what may name a patient; None refuses most",
    ("mammo/phantom/view.py", "phantom_view", "spacing_mm"): "drawn, not measured: the vendor's",
    ("mammo/runs/records.py", "events", "newest"): "the order of a list",
    (
        "mammo/segmenter/segmenter.py",
        "embed_click",
        "prefer",
    ): "the region of the answer that is refined, if there is one",
    (
        "mammo/segmenter/embedded_regions.py",
        "find_reusable",
        "prefer",
    ): "as in `mammo/segmenter/segmenter.py`",
    ("mammo/segmenter/segmenter.py", "embed", "image"): "a SHA-256 under which an embedding is remembered",
    ("mammo/segmenter/segmenter.py", "_embed", "image"): "a SHA-256 under which an embedding is remembered",
    ("mammo/stages/service.py", "set", "threshold"): "the calibrated one; another needs `override` as well",
}
"""File, function, parameter: why it may be left out."""


def defaults(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Function and parameter of every default; what a person types on the command line may be left out."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        given = node.args
        positional = [*given.posonlyargs, *given.args]
        optional = positional[len(positional) - len(given.defaults) :]
        optional += [each for each, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value]
        for each in optional:
            if each.annotation is None or "typer." not in ast.unparse(each.annotation):
                yield getattr(node, "name", "lambda"), each.arg


def found() -> set[tuple[str, str, str]]:
    return {
        (str(path.relative_to(ROOT)), function, parameter)
        for package in OURS
        for path in (ROOT / package).rglob("*.py")
        for function, parameter in defaults(ast.parse(path.read_text()))
        if parameter in DECISIVE
    }


def test_a_parameter_that_changes_a_medical_number_has_no_default() -> None:
    assert sorted(found() - ALLOWED.keys()) == []


def test_what_is_allowed_is_still_there() -> None:
    assert sorted(ALLOWED.keys() - found()) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(a, *, spacing=None): ...", [("f", "spacing")]),
        ("class P:\n    async def g(self, tags=1, /): ...", [("g", "tags")]),
        ("h = lambda x, threshold=0.2: x", [("lambda", "threshold")]),
        ("def f(a, *, spacing): ...", []),
        ("def c(spacing: Annotated[float, typer.Option()] = 0.1): ...", []),
    ],
)
def test_a_default_is_seen_wherever_it_is_written(source: str, expected: list[tuple[str, str]]) -> None:
    assert list(defaults(ast.parse(source))) == expected
