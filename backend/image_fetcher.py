"""ImageFetcher: brings the images of a request to this machine, before a place of the networks is taken for it.

A slow server thus occupies a thread that only waits, and no place that others need. Tasks and clicks have fetchers of
their own, so that neither can use up the threads of the other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Self

import anyio.to_thread
from anyio import CapacityLimiter

from backend.metrics import Metrics
from backend.services import Images
from mammo.dicom import Mammogram
from mammo.errors import ImageUnavailable
from mammo.images.downloads.hosts import Purpose
from mammo.images.task_images import LocalImage

MAX_DOWNLOADS = 100
"""Downloads at the same time, of tasks and of clicks each; a single host has fewer places."""


class LocalImages:
    """The images of one task, on this machine. A context manager, which deletes what was downloaded."""

    def __init__(self) -> None:
        self._images: list[tuple[Mapping[str, Any], LocalImage]] = []

    def add(self, data: Mapping[str, Any], image: LocalImage) -> None:
        """Add an image under its data, as `of_task` returns it."""
        self._images.append((data, image))

    def open(self, data: Mapping[str, Any], /) -> Mammogram:
        """Decode an image that was added; raises the errors of `TaskImages.open`."""
        return next(image for known, image in self._images if known == data).open()

    def close(self) -> None:
        for _, image in self._images:
            image.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ImageFetcher:
    """Fetches images for one purpose, in threads of its own."""

    def __init__(self, images: Images, *, purpose: Purpose, metrics: Metrics) -> None:
        self._images = images
        self._purpose = purpose
        self._metrics = metrics
        self._limiter = CapacityLimiter(MAX_DOWNLOADS)

    async def fetch(self, described: Sequence[Mapping[str, Any]], *, deadline: float) -> LocalImages:
        """Fetch the images of one task.

        Args:
            described: data of each image, as `of_task` returns it.
            deadline: on the clock of `time.monotonic`.

        Raises:
            ImageNotFound, ImageUnavailable, LabelStudioError: an image cannot be downloaded in time.
        """
        images = LocalImages()
        try:
            for data in described:
                images.add(data, self._images.local(data) or await self._download(data, deadline))
        except BaseException:
            images.close()
            raise
        return images

    async def _download(self, data: Mapping[str, Any], deadline: float) -> LocalImage:
        fetch = partial(self._images.fetch, data, deadline=deadline, purpose=self._purpose)
        # Ends the wait for a thread; a download that has begun ends by its own deadline.
        with (
            self._metrics.download_seconds.labels(kind=self._purpose).time(),
            anyio.move_on_after(deadline - time.monotonic()),
        ):
            return await anyio.to_thread.run_sync(fetch, limiter=self._limiter)
        raise ImageUnavailable(
            f"{MAX_DOWNLOADS} images are being downloaded, and none was finished in time; try again",
            code="busy_downloads",
        )
