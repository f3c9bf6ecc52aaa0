"""The list of tasks of a project of single images says what a reader chooses by, and no digest."""

from __future__ import annotations

from pathlib import Path

from mammo.exchange.importing import import_mammogram
from mammo.labelstudio.image_page import image_tab
from tests.mammo.exchange.import_files import SECRET, dicom


def test_the_tab_shows_picture_pseudonym_view_score_and_version_and_no_digest(tmp_path: Path) -> None:
    file = dicom(tmp_path / "a.dcm")
    data = import_mammogram(file, root=tmp_path, files=tmp_path / "served", patient_secret=SECRET)
    hidden = set(image_tab()["hiddenColumns"]["explore"])
    shown = {key for key in data if f"tasks:data.{key}" not in hidden}
    assert shown == {"image", "pseudonym", "laterality", "view"}
    assert {"tasks:predictions_score", "tasks:predictions_model_versions"}.isdisjoint(hidden)
