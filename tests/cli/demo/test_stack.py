"""The settings of a demo are a settings file, with which every command reaches it."""

from __future__ import annotations

from cli.demo.stack import environment_of, launch_stack
from mammo.settings import Settings


class Launched:
    """Processes that are not started."""

    def start(self, *_: object, **__: object) -> None: ...

    launch = start


def test_the_file_of_a_demo_has_its_settings_and_reads_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "yolo-mlsam.env").write_text("YOLO_MLSAM_THREADS=7\nYOLO_MLSAM_SHADOW=challenger\n")
    (tmp_path / "yolo-mlsam.env").chmod(0o600)
    monkeypatch.setenv("YOLO_MLSAM_THRESHOLDS", '{"3": 0.5}')
    program = tmp_path / "label-studio"
    program.touch()
    folder = tmp_path / "demo"
    folder.mkdir()
    with launch_stack(
        Launched(), folder, label_studio=program, port=1, recipe="demo", patient_secret="phantoms' \\ ${HOME}"
    ) as stack:
        assert stack.settings.shadow == ""
        file = folder / "yolo-mlsam.env"
        assert file.stat().st_mode & 0o777 == 0o600
        monkeypatch.delenv("YOLO_MLSAM_THRESHOLDS")
        assert environment_of(Settings.load(site=file)) == environment_of(stack.settings)
