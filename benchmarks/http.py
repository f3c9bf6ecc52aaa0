"""The backend over loopback HTTP: clicks, cached predictions, health checks under load, twenty annotators at once."""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import structlog
import torch
import uvicorn

from backend.answers import Json
from backend.app import create_app
from backend.metrics import Metrics
from backend.model_host import ModelHost
from backend.retrain_triggers import RetrainTriggers
from backend.services import Services
from benchmarks.reencoding import Reencoding
from benchmarks.result import Result, interleaved, milliseconds
from mammo.annotations import AnnotationStore
from mammo.database import open_database
from mammo.detector import Detector
from mammo.dicom import Mammogram, encode_png, read_mammogram
from mammo.images.task_images import LocalImage
from mammo.labelstudio import labeling_config
from mammo.models import Alias
from mammo.models.starter_files import starter_files
from mammo.phantom import vendor_a
from mammo.pipeline import Prelabeller
from mammo.runs.jobs import Enqueued, QueueCondition
from mammo.runs.payloads import Retrain
from mammo.segmenter import EmbeddingCache, Segmenter
from mammo.segmenter.config import mlsam
from mammo.segmenter.network import Mlsam
from mammo.segmenter.weights import load_segmenter
from mammo.settings import Settings
from mammo.site import Site
from training.cases import silent
from training.phantom_cases import write_phantom_patients

AUTH = ("label-studio", "benchmark")
CLICKS = 20
ANNOTATORS = 20
CLICKS_EACH = 5


class OneImage:
    """Shows the same phantom in every task."""

    def __init__(self, mammogram: Mammogram) -> None:
        self._mammogram = mammogram

    def open(self, data: Mapping[str, Any], /) -> Mammogram:
        return self._mammogram

    def local(self, data: Mapping[str, Any], /) -> LocalImage:
        return LocalImage(lambda: self._mammogram)

    def fetch(self, data: Mapping[str, Any], /, **_: Any) -> LocalImage:
        return self.local(data)


class NoQueue:
    def enqueue_retrain(self, payload: Retrain, *, run: str | None = None) -> Enqueued:
        raise NotImplementedError

    def drop(self, job_id: str) -> bool:
        raise NotImplementedError

    def condition(self) -> QueueCondition:
        raise NotImplementedError


class OneModel:
    def champion(self) -> Alias:
        return Alias("benchmark", 1)


def run() -> Result:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))  # print tables only
    rows = [_serialising()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mammogram = _phantom(folder)
        png = folder / "twin.png"
        png.write_bytes(encode_png(np.rint(mammogram.pixels * 255).astype(np.uint8)))
        starter, _ = load_segmenter(starter_files().segmenter)
        torch.manual_seed(0)
        vit_b = Mlsam(mlsam("vit_b", input_size=512))
        for label, network in (("starter", starter), ("ViT-B/512, random weights", vit_b)):
            place = folder / label.replace("/", "-")
            with (
                _serving(mammogram, network, place / "cached", keep=True) as ours,
                _serving(mammogram, network, place / "each", keep=False) as each,
                _listening(Reencoding(Segmenter(network), png)) as example,
            ):
                rows += _clicks(label, ours, each, example, mammogram)
                if network is starter:
                    rows += _predictions(ours)
                    rows += asyncio.run(_annotators(ours, mammogram))
    return Result(
        title="Backend over loopback HTTP, one 2560 x 3328 phantom",
        method=(
            f"Client and servers in one process, torch, {torch.get_num_threads()} threads. Clicks: {CLICKS} "
            "interleaved rounds, each click at a new place in one region, the same network on all three sides. "
            "The baseline does what the SAM2 example of Label Studio does at every click: it reads the PNG, encodes "
            "the whole image, decodes, brings the mask to full size and writes it with the SDK."
        ),
        columns=("what", "p50", "p95", "p99", "against the baseline"),
        rows=rows,
    )


def _serialising() -> tuple[str, ...]:
    stream = np.random.default_rng(0).integers(0, 256, 275_371).astype(np.uint8)
    numbers = {"results": [{"result": [{"value": {"rle": stream.tolist()}}]}]}
    packed = {"results": [{"result": [{"value": {"rle": stream}}]}]}
    seconds = interleaved(
        {"json": partial(json.dumps, numbers), "ours": partial(Json(None).render, packed)}, rounds=15
    )
    ratio = seconds["json"] / seconds["ours"]
    return (
        "answer with 275,371 RLE numbers, serialised",
        milliseconds(seconds["ours"]),
        "",
        "",
        f"{ratio:.0f} x json.dumps",
    )


def _clicks(
    name: str, ours: httpx.Client, each: httpx.Client, example: httpx.Client, mammogram: Mammogram
) -> list[tuple[str, ...]]:
    bodies = [click(mammogram, number) for number in range(CLICKS + 1)]
    sides = {"baseline": example, "each": each, "ours": ours}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for body in bodies:
        for side, client in sides.items():
            seconds[side].append(_timed(client, "/predict", body))
    first, warm = seconds["ours"][0], {side: taken[1:] for side, taken in seconds.items()}
    ratio = {side: statistics.median(warm["baseline"]) / statistics.median(warm[side]) for side in sides}
    return [
        (
            f"{name}: click, image read and encoded each time (baseline)",
            *_percentiles(warm["baseline"]),
            "1 x",
        ),
        (
            f"{name}: click, ours without a memory: region encoded each time",
            *_percentiles(warm["each"]),
            f"{ratio['each']:.1f} x",
        ),
        (f"{name}: first click in a new place", milliseconds(first), "", "", ""),
        (f"{name}: click in a warm region", *_percentiles(warm["ours"]), f"{ratio['ours']:.0f} x"),
    ]


def _predictions(client: httpx.Client) -> list[tuple[str, ...]]:
    body = {"tasks": [{"id": 1, "data": {}}], "project": "1.1", "label_config": labeling_config()}
    _timed(client, "/predict", body)
    cached = [_timed(client, "/predict", body) for _ in range(CLICKS)]
    fresh = [{**body, "tasks": [{"id": n, "data": {}} for n in range(10, 13)]}]
    work = threading.Thread(target=_timed, args=(client, "/predict", fresh[0]))
    work.start()
    meanwhile: dict[str, list[float]] = {"/health": [], "/setup": []}
    while work.is_alive():
        for path, seconds in meanwhile.items():
            seconds.append(_timed(client, path, None if path == "/health" else {"project": "1.1"}))
        time.sleep(0.02)
    return [
        ("prediction that is cached", *_percentiles(cached), ""),
        *((f"{path} while three tasks are predicted", *_percentiles(s), "") for path, s in meanwhile.items()),
    ]


async def _annotators(client: httpx.Client, mammogram: Mammogram) -> list[tuple[str, ...]]:
    seconds: list[float] = []

    async def annotate(number: int) -> None:
        async with httpx.AsyncClient(
            base_url=client.base_url, auth=AUTH, timeout=120, trust_env=False
        ) as session:
            for each in range(CLICKS_EACH):
                began = time.perf_counter()
                answer = await session.post("/predict", json=click(mammogram, 100 + 10 * number + each))
                answer.raise_for_status()
                assert answer.json()["results"][0]["result"], answer.text
                seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(annotate(number) for number in range(ANNOTATORS)))
    rate = len(seconds) / (time.perf_counter() - began)
    return [
        (
            f"starter: {ANNOTATORS} annotators clicking without a pause, {rate:.0f} answers a second, no error",
            *_percentiles(seconds),
            "",
        )
    ]


def click(mammogram: Mammogram, number: int, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A click near the middle of the breast; every number gives another pixel.

    Args:
        data: of the task.
    """
    height, width = mammogram.pixels.shape
    y, x = height // 2 + number // 15 * 3, _middle(mammogram) + number % 15 * 3
    region = {
        "id": f"k{number}", "type": "keypointlabels", "from_name": "prompt-point", "to_name": "image",
        "original_width": width, "original_height": height, "image_rotation": 0, "is_positive": True,
        "origin": "manual",
        "value": {
            "x": 100 * (x + 0.5) / width, "y": 100 * (y + 0.5) / height, "width": 0.3, "keypointlabels": ["Cluster"]
        },
    }  # fmt: skip
    return {
        "tasks": [{"id": 1, "data": data or {}}], "project": "1.1", "label_config": labeling_config(),
        "params": {"context": {"result": [region]}},
    }  # fmt: skip


def _middle(mammogram: Mammogram) -> int:
    tissue = np.flatnonzero(mammogram.pixels[mammogram.pixels.shape[0] // 2] > 0)
    return int(tissue[tissue.size // 2])


def _timed(client: httpx.Client, path: str, body: Any) -> float:
    began = time.perf_counter()
    answer = client.get(path) if body is None else client.post(path, json=body)
    answer.raise_for_status()
    return time.perf_counter() - began


def _percentiles(seconds: list[float]) -> tuple[str, str, str]:
    p50, p95, p99 = np.percentile(seconds, (50, 95, 99))
    return milliseconds(p50), milliseconds(p95), milliseconds(p99)


def _phantom(folder: Path) -> Mammogram:
    write_phantom_patients(
        folder, seeds=[77], appearance=vendor_a(), positive=1.0, patient_secret=b"k", progress=silent
    )
    return read_mammogram(sorted(folder.glob("*.dcm"))[0])


@contextmanager
def _serving(mammogram: Mammogram, network: Mlsam, data: Path, *, keep: bool) -> Iterator[httpx.Client]:
    """Start a backend and return a client for it.

    Args:
        keep: whether embeddings are cached; otherwise every click encodes its region.
    """
    data.mkdir(parents=True)
    cache = EmbeddingCache(memory_bytes=2**28) if keep else None
    segmenter = Segmenter(network, weights="0" * 64, cache=cache)
    model = Prelabeller(
        Detector.load(starter_files().detector),
        segmenter,
        version="benchmark",
        threshold=0.2,
        prompt_rule="robust",
        prompt_count=3,
        presence_threshold=0.0,
    )
    host = ModelHost(OneModel(), load=lambda _: model, every=60)
    host.look()
    settings = Settings(auth_password=AUTH[1], webhook_secret="s", data_dir=data, prefetch_tasks=0)
    engine, queue = open_database(f"sqlite:///{data}/b.db"), NoQueue()
    store = AnnotationStore(engine)
    site = Site(settings=settings)
    site.__dict__.update(engine=engine, store=store, queue=queue)
    services = Services(
        site=site,
        triggers=RetrainTriggers.of(settings, site.runs, store, metrics=Metrics()),
        host=host,
        images=OneImage(mammogram),
    )
    with _listening(create_app(services)) as client:
        yield client


@contextmanager
def _listening(app: Any) -> Iterator[httpx.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=port, log_config=None, lifespan="off" if isinstance(app, Reencoding) else "auto"
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=AUTH, timeout=300, trust_env=False) as client:
        _wait(partial(client.get, "/health"))
        yield client
    server.should_exit = True
    thread.join(10)


def _wait(call: Callable[[], object]) -> None:
    for _ in range(200):
        try:
            call()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the backend does not respond")
