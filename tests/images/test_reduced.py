"""Large JPEG files as reduced copies: how large, and that nothing else about them changes."""

import io
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from scantling.errors import InvalidSource
from scantling.images import TTA, InferencePlan, decode_image, read_sources
from scantling.images.crops import NetworkInput, min_size
from scantling.images.read import decode_reduced


def photograph(assets: Path, size: tuple[int, int]) -> np.ndarray:
    image = cv2.imread(str(assets / "images" / "darknet" / "dog.jpg"))
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC)


def as_file(image: np.ndarray, kind: str = ".jpg") -> bytes:
    return cv2.imencode(kind, image)[1].tobytes()


@pytest.mark.parametrize(
    ("needed", "share"),
    [((801, 600), 1), ((400, 300), 2), ((401, 300), 1), ((400, 301), 1), ((200, 150), 4),
     ((100, 75), 8), ((1, 1), 8)],
)  # fmt: skip
def test_a_jpeg_is_reduced_as_far_as_twice_what_is_needed_is_left(assets, needed, share):
    data = as_file(photograph(assets, (1600, 1200)))
    image, whole = decode_reduced(data, "x", lambda _: needed)
    assert whole == (1600, 1200)
    assert image.shape == (1600 // share, 1200 // share, 3)
    expected = cv2.resize(decode_image(data, "x"), image.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(image.astype(int) - expected).mean() < 1.5


@pytest.mark.parametrize("kind", [".png", ".bmp", ".webp"])
def test_other_kinds_are_decoded_whole(assets, kind):
    data = as_file(photograph(assets, (600, 800)), kind)
    image, whole = decode_reduced(data, "x", lambda _: (1, 1))
    assert whole == (600, 800)
    np.testing.assert_array_equal(image, decode_image(data, "x"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_copy_is_upright_and_knows_the_size_of_the_upright_image(assets, orientation):
    exif, file = PIL.Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    PIL.Image.fromarray(photograph(assets, (600, 800))).save(file, "JPEG", exif=exif)
    asked = []
    image, size = decode_reduced(file.getvalue(), "x", lambda whole: asked.append(whole) or (1, 1))
    whole = decode_image(file.getvalue(), "x")
    assert asked == [whole.shape[:2]]
    assert size == whole.shape[:2]
    small = cv2.resize(whole, image.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert max(image.shape) == 100
    assert np.abs(image.astype(int) - small).mean() < 3


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_a_file_that_was_cut_off_is_refused_when_reduced_too(assets, kept):
    data = as_file(photograph(assets, (600, 800)))
    with pytest.raises(InvalidSource, match="cut off"):
        decode_reduced(data[: int(kept * len(data))], "x", lambda _: (1, 1))


def test_the_limit_on_pixels_is_of_the_whole_image(assets):
    data = as_file(photograph(assets, (600, 800)))
    with pytest.raises(InvalidSource, match="more than the limit"):
        decode_reduced(data, "x", lambda _: (1, 1), max_pixels=600 * 800 - 1)


@pytest.mark.parametrize(
    ("plan", "shape", "expected"),
    [
        (InferencePlan(), NetworkInput((416, 416)), (234, 416)),
        (InferencePlan(), NetworkInput((416, 416), resize_mode="stretch"), (416, 416)),
        (TTA, NetworkInput((416, 416), 32), (234, 416)),
        (InferencePlan(tile=(400, 400)), NetworkInput((416, 416)), (1080, 1920)),
        (InferencePlan(), NetworkInput((416, 416), whole_images=True), (1080, 1920)),
    ],
)
def test_an_image_must_be_as_large_as_its_largest_view(plan, shape, expected):
    assert min_size((1080, 1920), plan, shape) == expected


def test_a_frame_tells_the_size_of_the_original(assets, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(as_file(photograph(assets, (1200, 1600))))
    (frame,) = read_sources(tmp_path, min_size=lambda _: (100, 100))
    assert frame.size == frame.original == (1200, 1600)
    assert frame.image.shape == (300, 400, 3)
    (frame,) = read_sources(tmp_path)
    assert frame.original is None
    assert frame.size == frame.image.shape[:2] == (1200, 1600)
