"""Open the reading room of a running service: with its Label Studio, its store and its settings."""

from __future__ import annotations

from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore, reconcile
from mammo.labelstudio import LabelStudioClient
from mammo.readings.records import ReadingRecords
from mammo.readings.service import ReadingService
from mammo.settings import Settings


def open_readings(
    settings: Settings,
    *,
    client: LabelStudioClient,
    store: AnnotationStore,
    engine: Engine,
    s3_keys: tuple[str, str] = ("", ""),
) -> ReadingService:
    """The room where this service's double readings are run.

    Args:
        s3_keys: access and secret key of the source projects' buckets; empty: Label Studio has its own.
    """
    secret = settings.webhook_secret.get_secret_value()

    def prepare(source: int, project: int) -> None:
        """Images of the source's buckets; and annotations are told of where the source's are."""
        client.copy_s3_storages(source, project, access_key=s3_keys[0], secret_key=s3_keys[1])
        if secret:
            client.copy_webhook(source, project, secret=secret)

    return ReadingService(
        client=client,
        store=store,
        records=ReadingRecords(engine),
        reconcile=lambda project: reconcile(project, client=client, store=store, engine=engine).repaired,
        secret=settings.annotator_secret,
        lock=settings.data_dir / "double-reading.lock",
        prepare=prepare,
    )
