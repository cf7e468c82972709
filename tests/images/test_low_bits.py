"""Images of 16 bits whose upper bits are empty: read as ever, and a warning says so."""

import logging
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from scantling.images import read_image
from scantling.images.read import to_rgb_array


def write(path: Path, highest: int, *, channels: int = 1, kind: type = np.uint16) -> np.ndarray:
    values = np.linspace(0, highest, 40 * 30 * channels).reshape(40, 30, channels).astype(kind)
    assert cv2.imwrite(str(path), values)
    return values


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
@pytest.mark.parametrize(
    ("highest", "bits", "factor"),
    [(4095, 12, 16), (1900, 12, 16), (1023, 10, 64), (255, 8, 256), (4096, None, None),
     (65535, None, None), (0, None, None)],
)  # fmt: skip
def test_low_bits_alone_are_warned_of(
    suffix: str, highest: int, bits: int, factor: int, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):  # fmt: skip
    values = write(tmp_path / f"a{suffix}", highest)
    caplog.set_level(logging.WARNING)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}")[..., :1], values >> 8)
    told = f"use the low {bits} bits alone (the highest is {highest:,} of 65,535)"
    assert (told in caplog.text) == (bits is not None)
    assert (f"multiply them by {factor}" in caplog.text) == (bits is not None)
    assert len(caplog.records) == (bits is not None)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm"])
def test_colour_too_and_what_has_eight_bits_may_be_dark(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    write(tmp_path / f"dark{suffix}", 12, channels=3, kind=np.uint8)
    read_image(tmp_path / f"dark{suffix}")
    assert not caplog.records
    write(tmp_path / f"a{suffix}", 4000, channels=3)
    read_image(tmp_path / f"a{suffix}")
    assert "use the low 12 bits alone" in caplog.text


def test_an_image_of_pillow_is_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write(tmp_path / "a.png", 4095)
    with PIL.Image.open(tmp_path / "a.png") as image:
        assert image.mode == "I;16"
        to_rgb_array(image)
    assert "use the low 12 bits alone" in caplog.text
