"""`/api/v1/models`: model versions, their cards and bundles, how they compare, and the moves of the champion."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from backend.answers import Json
from backend.api.schemas import Number, Reason, Version
from backend.callers import Caller
from backend.card_document import CardDocument
from backend.dependencies import ServicesDep
from backend.model_cards import all_cards, card
from backend.model_evidence import descent, describe, figures_of
from backend.model_moves import promote as promote_version
from backend.model_moves import roll_back as roll_back_champion
from backend.refreshed import Refreshed
from backend.roles import AdministratorDep, ViewerDep, sees_names
from backend.services import Services
from mammo.errors import InvalidBundle, ModelNotFound
from mammo.models.bundles import export_bundle
from mammo.settings import PREFIX

router = APIRouter(prefix="/api/v1", tags=["models"])

CHUNK_BYTES = 2**18


@router.get("/models")
async def versions(services: ServicesDep, _: ViewerDep) -> Json:
    """List all model versions, newest first."""
    cards = await anyio.to_thread.run_sync(all_cards, services.site.registry)
    return Json({"models": [each.to_json() for each in cards]})


@router.get("/models/{version}")
async def show(version: Version, services: ServicesDep, _: ViewerDep) -> Json:
    """Show a model version: its manifest, notes, moves, and line of descent. 404: there is none of this name."""
    registry = services.site.registry

    def read() -> dict[str, object]:
        found = card(registry, version)
        return found.to_json() | {"descent": descent(registry, found.version)}

    return Json(await anyio.to_thread.run_sync(read))


@router.get("/models/{version}/card")
async def show_card(request: Request, version: Version, services: ServicesDep, caller: ViewerDep) -> Json:
    """Return the model card: data, recipe, figures with their intervals, licence, limits, what was never tested.

    Readers have names for administrators, pseudonyms for others.
    """

    def read() -> CardDocument:
        return with_reader_names(describe(services.site, version), request.app.state.reader_names, caller)

    return Json((await anyio.to_thread.run_sync(read)).to_json())


@router.get("/models/{version}/bundle", response_class=StreamingResponse)
async def bundle(version: Version, services: ServicesDep, _: AdministratorDep) -> Response:
    """Return the signed bundle of a version. 409: no key is set, or the weights must not leave the site."""
    return await bundle_file(services, version)


@router.get("/projects/{project}/versions")
async def compare(project: Number, services: ServicesDep, _: ViewerDep) -> Json:
    """Compare the versions that were judged in a project, on the held-out images that all of them have seen.

    `common` is null if there is no such image.
    """
    figures = await anyio.to_thread.run_sync(figures_of, services.site, project)
    return Json({"project": project, "common": figures.to_json() if figures else None})


@router.post("/models/{version}/promote")
async def promote(version: Version, why: Reason, services: ServicesDep, caller: AdministratorDep) -> Json:
    """Make a version the champion. 409: somebody else moved the champion meanwhile."""
    request = partial(promote_version, services.site, version, reason=why.reason, actor=caller.name)
    champion = await anyio.to_thread.run_sync(request)
    return Json({"champion": champion.version, "epoch": champion.epoch})


@router.post("/rollback")
async def roll_back(why: Reason, services: ServicesDep, caller: AdministratorDep) -> Json:
    """Make the previous champion the champion again. 404: there is none."""
    request = partial(roll_back_champion, services.site, reason=why.reason, actor=caller.name)
    champion = await anyio.to_thread.run_sync(request)
    return Json({"champion": champion.version, "epoch": champion.epoch})


def with_reader_names(
    document: CardDocument, names: Refreshed[None, Mapping[str, str]], caller: Caller
) -> CardDocument:
    """Return a card with the names of its readers, if the caller may see them and Label Studio says them."""
    if not (document.readers and sees_names(caller)):
        return document
    return document.with_names(names.get(None).value or {})


async def card_file(services: Services, name: str) -> Response:
    """Return a model card as a Markdown file, with pseudonyms, because it is passed on.

    Raises:
        ModelNotFound: there is no such version.
    """
    document = await anyio.to_thread.run_sync(describe, services.site, name)
    headers = {"Content-Disposition": f'attachment; filename="{document.version}-card.md"'}
    return Response(document.to_markdown(), media_type="text/markdown", headers=headers)


async def bundle_file(services: Services, name: str) -> Response:
    """Return the bundle of a version.

    Raises:
        InvalidBundle: no key is set, it cannot be read, or the weights must not leave the site.
        ModelNotFound: there is no such version.
        InvalidWeights: its files are missing or damaged.
        StorageUnavailable: there is no room for it.
    """
    key = services.settings.bundle_key
    if key is None:
        raise InvalidBundle(
            f"set {PREFIX}BUNDLE_KEY to the file of a private key, which `yolo-mlsam models keygen` makes; or export "
            "on the server with `yolo-mlsam models export`"
        )
    version, file = await anyio.to_thread.run_sync(_write_bundle, services, name, key)
    headers = {
        "Content-Disposition": f'attachment; filename="{version}.mlsam"',
        "Content-Length": str(os.fstat(file.fileno()).st_size),
    }
    return StreamingResponse(_chunks(file), media_type="application/octet-stream", headers=headers)


def _write_bundle(services: Services, name: str, key: Path) -> tuple[str, BinaryIO]:
    """Write the bundle to a file that has no name any more, so that nothing of it stays, whatever happens."""
    registry = services.site.registry
    version = registry.find(name)
    if version is None:
        raise ModelNotFound(f"the registry has no model version {name!r}")
    with tempfile.TemporaryDirectory(dir=services.site.data_dir, prefix=".bundle-") as folder:
        path = Path(folder) / "bundle"
        export_bundle(registry, version, key=key, to=path)
        return version, path.open("rb")


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
