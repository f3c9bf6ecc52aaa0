"""Chromium, which annotators look through, turns every picture as we read it."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from playwright.sync_api import Browser

from mammo.dicom import read_mammogram
from tests.mammo.dicom.exif import FILES, seen_as

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SHOWN = """async address => {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const values = context.getImageData(0, 0, canvas.width, canvas.height).data;
    return [canvas.height, canvas.width, Array.from(values).filter((_, index) => index % 4 == 0)];
}"""


@pytest.mark.parametrize("name", FILES)
def test_the_browser_shows_what_the_model_reads(browser: Browser, name: str) -> None:
    kind = "png" if name.startswith("PNG") else "jpeg"
    page = browser.new_page()
    height, width, values = page.evaluate(
        SHOWN, f"data:image/{kind};base64,{base64.b64encode(FILES[name]).decode()}"
    )
    page.close()
    shown = np.array(values).reshape(height, width)
    read = read_mammogram(FILES[name]).pixels * 255
    assert read.shape == shown.shape
    assert seen_as(shown) is not None
    assert seen_as(read) == seen_as(shown)
