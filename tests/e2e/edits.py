"""What an annotator does to an annotation that is there already, over Label Studio's API."""

from collections.abc import Mapping, Sequence
from typing import Any

from mammo.labelstudio import LabelStudioClient


def update_annotation(
    client: LabelStudioClient, annotation: int, result: Sequence[Mapping[str, Any]]
) -> None:
    client.call("PATCH", f"/api/annotations/{annotation}/", json={"result": list(result)})


def delete_annotation(client: LabelStudioClient, annotation: int) -> None:
    client.call("DELETE", f"/api/annotations/{annotation}/")
