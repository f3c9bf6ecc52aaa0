"""Each claim in a fresh interpreter: what an import does can be seen only once per process."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_segmenter_is_imported_without_torchvision() -> None:
    run("import sys, mammo.segmenter; assert 'torchvision' not in sys.modules")


def test_segment_anything_that_is_imported_later_is_whole_and_has_the_same_classes() -> None:
    run(
        "import mammo.segmenter, segment_anything as sam, mammo.segmenter.encoder as ours\n"
        "from segment_anything.modeling import ImageEncoderViT\n"
        "from segment_anything.build_sam import ImageEncoderViT as built\n"
        "assert callable(sam.SamPredictor) and set(sam.sam_model_registry) >= {'vit_b', 'vit_l', 'vit_h'}\n"
        "assert ours.ImageEncoderViT is ImageEncoderViT is built"
    )


def test_segment_anything_that_was_imported_before_is_used() -> None:
    run(
        "import segment_anything as sam, sys, mammo.segmenter.encoder as ours\n"
        "assert sys.modules['segment_anything'] is sam and ours.ImageEncoderViT is sam.modeling.ImageEncoderViT"
    )


def test_a_missing_package_is_named() -> None:
    run(
        "import sys\n"
        "sys.path_importer_cache.clear()\n"
        "import importlib.util as util\n"
        "util.find_spec = lambda name: None\n"
        "try:\n    import mammo.segmenter\n"
        "except ModuleNotFoundError as error:\n    assert error.name == 'segment_anything'\n"
        "else:\n    sys.exit('imported')"
    )
