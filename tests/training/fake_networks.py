"""FakeNetworks: stand for the trainers and the loader of a run."""

from dataclasses import replace
from types import SimpleNamespace

from mammo.findings import ImageFindings
from tests.training.detections import Found, square


class FakeNetworks:
    """Training writes the place of the clusters into the detector file; a model finds squares at that place."""

    def __init__(self, learns):
        self.learns = learns
        self.calls = []
        self.between = lambda: None

    def finetune_detector(self, train, validation, *, start, recipe, folder, progress, measure):
        self.calls.append(("detector", [case.patient for case in train], start.read_text(), recipe))
        progress(0.5, "half")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "detector.safetensors").write_text(self.learns)
        return folder / "detector.safetensors"

    def finetune_segmenter(self, train, validation, *, start, recipe, folder, detector, progress, measure):
        self.calls.append(("segmenter", [case.patient for case in train], start.read_text(), recipe))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "segmenter.safetensors").write_text("segmenter")
        self.between()
        return folder / "segmenter.safetensors"

    def load(self, files):
        x = int(files.detector.read_text())
        finding = replace(square(x, 5), presence=0.9)
        detection = Found(finding.box, 0.8)
        return SimpleNamespace(
            version=files.version,
            threshold=files.threshold,
            detect=lambda mammogram, *, threshold: [detection],
            prelabel=lambda mammogram, *, threshold, detections=None: ImageFindings(
                findings=(finding,) if threshold is None else (), num_cut=0
            ),
            runtimes={"detector": "fake runtime"},
        )

    def check_precision(self, files, cases, **_):
        return None

    def libraries(self):
        return {"torch": "2.0"}
