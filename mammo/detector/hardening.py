"""Process settings that must be in place before `ultralytics` is imported.

By default `import ultralytics` probes the network, may install packages, reports usage, enables experiment trackers and
writes into the home folder. After an import of this module it is offline and writes only below `YOLO_CONFIG_DIR`: the
folder named by that environment variable if it is writable, else a private temporary folder that is removed at exit.
This module reads no setting of the product.
"""

from __future__ import annotations

import atexit
import importlib.util
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

if "ultralytics" in sys.modules:
    raise RuntimeError(
        "ultralytics was imported before mammo.detector, without its restrictions; import mammo.detector first"
    )


def _config_folder() -> Path:
    """The folder for ultralytics' files: `YOLO_CONFIG_DIR` if it is writable, else a temporary one of this process."""
    chosen = os.environ.get("YOLO_CONFIG_DIR")
    if chosen:
        try:
            Path(chosen).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=chosen):
                return Path(chosen)
        except OSError:
            pass  # not writable: use a temporary folder
    folder = Path(tempfile.mkdtemp(prefix="yolo-mlsam-"))
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked child must not remove the folder of its parent
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _place_font(folder: Path) -> None:
    """Provide the font file that ultralytics would otherwise download, even in offline mode."""
    target = folder / "Ultralytics" / "Arial.ttf"
    matplotlib = importlib.util.find_spec("matplotlib")
    if target.exists() or matplotlib is None or matplotlib.origin is None:
        return
    font = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    target.parent.mkdir(parents=True, exist_ok=True)
    if font.exists():
        shutil.copyfile(font, target)


CONFIG_FOLDER = _config_folder()
"""Folder of ultralytics' settings, caches and fonts in this process."""

os.environ["YOLO_CONFIG_DIR"] = str(CONFIG_FOLDER)
os.environ["YOLO_OFFLINE"] = "1"  # no name lookup, no version check, no telemetry
os.environ["YOLO_AUTOINSTALL"] = "0"  # a checkpoint must never name a package to install
os.environ.setdefault("YOLO_VERBOSE", "False")
os.environ.setdefault("MPLCONFIGDIR", str(CONFIG_FOLDER / "matplotlib"))
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
_place_font(CONFIG_FOLDER)
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # `import openvino` reports usage without asking

# ultralytics sets OMP_NUM_THREADS=1 for its data loaders. torch is imported first, so that it still uses every core,
# and the variable is restored for child processes.
import torch  # noqa: E402

_threads, _omp = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")

import ultralytics  # noqa: E402

if _omp is None:
    os.environ.pop("OMP_NUM_THREADS", None)
else:
    os.environ["OMP_NUM_THREADS"] = _omp
torch.set_num_threads(_threads)

_SETTINGS = {
    "sync": False,
    "api_key": "",
    "clearml": False,
    "comet": False,
    "dvc": False,
    "mlflow": False,
    "raytune": False,
    "tensorboard": False,
    "wandb": False,
    "vscode_msg": False,
    "openvino_msg": False,
    "runs_dir": str(CONFIG_FOLDER / "runs"),
    "weights_dir": str(CONFIG_FOLDER / "weights"),
    "datasets_dir": str(CONFIG_FOLDER / "datasets"),
}
if any(ultralytics.settings.get(key) != value for key, value in _SETTINGS.items()):
    ultralytics.settings.update(_SETTINGS)

logging.getLogger("ultralytics").setLevel(logging.WARNING)
