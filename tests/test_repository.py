"""Claims about the repository itself."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("mammo", "backend", "worker", "training", "cli")
SOURCES = sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))
TRACKED = subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()


def test_there_is_something_to_check():
    assert len(SOURCES) > 40
    assert "README.md" in TRACKED


def test_no_python_file_is_longer_than_one_sitting():
    lengths = {name: len((ROOT / name).read_text().splitlines()) for name in TRACKED if name.endswith(".py")}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


@pytest.mark.parametrize("package", OURS)
def test_no_other_distribution_owns_our_package_names(package):
    assert packages_distributions().get(package, ["yolo-mlsam"]) == ["yolo-mlsam"]


DOCUMENTS = [
    name
    for name in TRACKED
    # Entries of a log name what was there on their day.
    if name.endswith(".md") and name not in ("CHANGELOG.md", "docs/experiments.md")
]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_named_in_a_document_exist(document):
    text = (ROOT / document).read_text()
    folders = (*OURS, "tests", "docs", "benchmarks", "deploy", "constraints")
    named = re.findall(rf"`((?:{'|'.join(folders)})/[\w./-]*)`", text)
    assert [name for name in sorted(set(named)) if not (ROOT / name).exists()] == []


def test_every_module_of_the_walk_has_the_test_that_its_name_says():
    walk = ARCHITECTURE.partition("## The walk of the data")[2].partition("Each of these")[0]
    modules = [Path(name) for name in re.findall(r"`([\w/]+\.py)`", walk)]
    assert len(modules) > 13
    tests = [Path("tests") / module.parent / f"test_{module.name}" for module in modules]
    assert [str(test) for test in tests if not (ROOT / test).exists()] == []


@pytest.mark.parametrize("package", ["mammo", "training"])
def test_the_drawing_of_the_layers_is_what_import_linter_holds(package):
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each.get("containers") == [package])
    drawn = re.search(rf"── {package}\b.*\n((?:      │? {{5,}}.*\n)+)", ARCHITECTURE)
    rows = [re.split(r"  +", line.strip("│ "))[0] for line in drawn[1].splitlines()]
    assert rows == layers


def test_mammo_does_not_read_the_environment():
    # hardening sets ultralytics' own switches before its import; settings is the one reader.
    allowed = {ROOT / "mammo/settings.py", ROOT / "mammo/detector/hardening.py"}
    readers = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.is_relative_to(ROOT / "mammo") and path not in allowed
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert readers == []


PERCENT_ALLOWED = {
    "mammo/dicom/dataset.py": "a compression ratio",
    "mammo/dicom/reports/mammography_cad.py": "the certainty of a finding",
    "mammo/dicom/reports/reading.py": "the certainty of a finding",
    "mammo/dicom/voi.py": "percentiles of pixel values",
    "mammo/phantom/anatomy.py": "a length in millimetres, relative to 100 mm",
    "mammo/runs/claims.py": "times in hundredths of a second",
    "mammo/stages/calibration.py": "thresholds in steps of 0.01",
    "training/metrics/bootstrap.py": "percentiles of a confidence level",
}
"""Modules other than regions.py that multiply or divide by 100, and what they compute."""


def percent_lines(source):
    """Lines that multiply or divide by 100 or 0.01, also under a name or as an operand of a numpy function."""
    tree = ast.parse(source)

    def is_hundred(node):
        return (
            isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value in (100, 0.01)
        )

    names = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and is_hundred(node.value)
        if node.value.value != 0.01  # A named 0.01 is a tolerance.
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        operands = []
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.FloorDiv):
            operands = [node.left, node.right]
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Mult | ast.Div | ast.FloorDiv):
            operands = [node.value]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in (
            "multiply",
            "divide",
            "true_divide",
        ):
            operands = node.args
        inside = [each for operand in operands for each in ast.walk(operand)]
        if any(is_hundred(each) or (isinstance(each, ast.Name) and each.id in names) for each in inside):
            yield node.lineno


def test_percent_coordinates_exist_only_in_regions():
    computing = {str(path.relative_to(ROOT)) for path in SOURCES if set(percent_lines(path.read_text()))}
    assert "mammo/labelstudio/regions.py" in computing
    assert sorted(computing - {"mammo/labelstudio/regions.py"}) == sorted(PERCENT_ALLOWED)


@pytest.mark.parametrize(
    "source",
    [
        "x = 100 * box.x0 / size.width",
        "x = box.x0 / size.width * 100.0",
        "x = value['x'] / 100 * size.width",
        "x = value['x'] * 0.01 * size.width",
        "x = value['x'] * 1e-2",
        "x = points * np.array([100, 100]) / (width, height)",
        "x = np.divide(points, 100)",
        "x /= 100",
        "PERCENT = 100\nx = PERCENT * box.x0",
        "PERCENT: float = 1e2\nx = box.x0 * (PERCENT / width)",
    ],
)
def test_every_spelling_of_a_percentage_is_seen(source):
    assert list(percent_lines(source))


def test_a_limit_of_100_is_no_percentage():
    assert not list(percent_lines("BATCH = 100\nrows = rows[:100]\nnum_bytes = 2 * 1000"))


def test_serving_never_unpickles():
    pattern = re.compile(r"torch\.load|pickle\.load|weights_only\s*=\s*False|joblib")
    serving = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in ("mammo", "backend")]
    serving = [path for path in serving if path.name != "public.py"]  # see the next test
    assert [str(path) for path in serving if pattern.search(path.read_text())] == []


def test_public_checkpoints_are_opened_by_the_import_command_alone_and_as_weights_only():
    converters = [path for path in SOURCES if path.name == "public.py"]
    assert ROOT / "mammo/detector/public.py" in converters
    for path in converters:
        text = path.read_text()
        assert (
            text.count("torch.load(") == len(re.findall(r"torch\.load\([^()]*weights_only=True\)", text)) > 0
        )
        assert not re.search(r"pickle\.loads?\(|Unpickler\(", text)
    importers = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if re.search(r"^\s*(from|import) mammo.*\bpublic\b|import_module\(.*public", path.read_text(), re.M)
    ]
    assert importers == ["cli/weights.py"]


def test_locks_hold_hashes_and_no_registry_host():
    for lock in (ROOT / "constraints/app.txt", ROOT / "constraints/label-studio.txt"):
        text = lock.read_text()
        assert "://" not in text
        pins = re.findall(r"^[\w.\[\]-]+==", text, re.M)
        assert len(pins) > 50
        assert text.count("--hash=sha256:") >= len(pins)


def test_help_is_quick_because_networks_are_imported_late():
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, cli.__main__; print('torch' in sys.modules, 'cv2' in sys.modules)",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.split() == ["False", "False"]
