"""Small model versions: files of a few bytes under true names."""

import json

POINT = {"threshold": 0.2, "prompt_rule": "robust", "prompt_count": 3}


def register(registry, tmp_path, name, **manifest):
    for part in ("detector", "segmenter"):
        (tmp_path / f"{name}-{part}").write_bytes(f"{part} {name}".encode())
    return registry.register(
        detector=tmp_path / f"{name}-detector",
        segmenter=tmp_path / f"{name}-segmenter",
        manifest={**POINT, **manifest},
    )


def starter(folder, version="starter-1", content=b"weights"):
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"version": version, "licence": "x", **POINT}))
    (folder / "detector.safetensors").write_bytes(content)
    (folder / "segmenter.safetensors").write_bytes(b"segmenter " + content)
    return folder
