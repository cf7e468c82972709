"""Every kind of image file, whole and broken, against Pillow."""

import io
import os
import re
import struct
import time
import zlib

import cv2
import numpy as np
import PIL.features
import PIL.Image
import PIL.ImageOps
import pytest

from scantling.errors import InvalidSource
from scantling.images import decode_image, read_image, to_rgb_array

FORMATS = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "BMP": {},
    "PPM": {},
    "GIF": {},
    "AVIF": {"quality": 100},
}


def four_colours() -> PIL.Image.Image:
    """A picture of which no turning equals another."""
    image = np.zeros((24, 32, 3), np.uint8)
    image[:12, :16], image[:12, 16:] = (255, 0, 0), (0, 255, 0)
    image[12:, :16], image[12:, 16:] = (0, 0, 255), (255, 255, 0)
    return PIL.Image.fromarray(image)


def encoded(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    if kind == "AVIF" and not PIL.features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def difference(image: np.ndarray, expected: PIL.Image.Image) -> int:
    wanted = np.asarray(expected.convert("RGB"))
    assert image.shape == wanted.shape
    return int(np.abs(image.astype(int) - wanted).max())


def empty_png(width: int, height: int) -> bytes:
    """A few bytes that claim to hold an image of this size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("kind", FORMATS)
def test_every_kind_of_image_decodes_as_pillow_does(kind):
    data = encoded(four_colours(), kind, **FORMATS[kind])
    image = decode_image(data, "x")
    assert image.dtype == np.uint8
    assert difference(image, PIL.Image.open(io.BytesIO(data))) <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_exif_orientation_is_honoured_in_every_kind_that_has_it(kind, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    data = encoded(four_colours(), kind, exif=exif, **FORMATS[kind])
    upright = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data)))
    assert difference(decode_image(data, "x"), upright) <= 2


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_leaves_the_image_as_it_is(orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    data = encoded(four_colours(), "JPEG", exif=exif, quality=95)
    assert difference(decode_image(data, "x"), PIL.Image.open(io.BytesIO(data))) == 0


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK"])
def test_every_colour_mode_becomes_rgb(mode):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    data = encoded(four_colours().convert(mode), kind)
    image = decode_image(data, "x")
    assert difference(image, PIL.Image.open(io.BytesIO(data))) <= 3


def test_transparency_is_dropped_and_the_colour_beneath_shows():
    picture = four_colours()
    picture.putalpha(0)
    assert difference(decode_image(encoded(picture, "PNG"), "x"), four_colours()) == 0


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_upper_eight(kind):
    values = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 80
    image = decode_image(encoded(PIL.Image.fromarray(values), kind), "x")
    np.testing.assert_array_equal(image, np.repeat((values >> 8)[..., None], 3, axis=2))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    first, *others = [PIL.Image.new("RGB", (32, 24), (v, v, v)) for v in (10, 100, 200)]
    data = encoded(first, kind, save_all=True, append_images=others)
    assert difference(decode_image(data, "x"), first) <= 1


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_was_cut_off_is_refused_never_filled_up(kind, kept, assets):
    picture = PIL.Image.open(assets / "images/darknet/dog.jpg").convert("RGB")
    data = encoded(picture, kind, **FORMATS[kind])
    with pytest.raises(InvalidSource, match=r"^dog: the \w+ data .*(cut off|no size)"):
        decode_image(data[: int(len(data) * kept)], "dog")


def test_a_progressive_jpeg_that_was_cut_off_is_refused(assets):
    picture = PIL.Image.open(assets / "images/darknet/dog.jpg")
    data = encoded(picture, "JPEG", progressive=True)
    assert decode_image(data, "x").shape == (picture.height, picture.width, 3)
    with pytest.raises(InvalidSource, match="no end marker"):
        decode_image(data[: len(data) // 2], "x")


def test_a_jpeg_with_thousands_of_scans_is_refused_before_it_is_decoded():
    data = encoded(four_colours(), "JPEG", progressive=True)
    scan = data.index(b"\xff\xda")
    (length,) = struct.unpack_from(">H", data, scan + 2)
    bomb = data[:-2] + data[scan : scan + 2 + length] * 20_000 + data[-2:]
    with pytest.raises(InvalidSource, match="more than 500 scans"):
        decode_image(bomb, "x")


def test_a_jpeg_of_nothing_but_empty_segments_ends():
    start = time.thread_time()  # of this processor, whatever else it does
    with pytest.raises(InvalidSource):
        decode_image(b"\xff\xd8" + b"\xff\xfe\0\2" * 3_000_000, "x")
    assert time.thread_time() - start < 30


@pytest.mark.parametrize(
    ("width", "height"), [(30_000, 30_000), (2**31 - 1, 2**31 - 1), (2**20, 200)]
)
def test_an_image_with_too_many_pixels_is_refused_before_it_is_decoded(
    width, height, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delattr(cv2, "imdecode")
    with pytest.raises(InvalidSource, match=f"^x: is {width} × {height} pixels, more than"):
        decode_image(empty_png(width, height), "x")


def test_the_limit_on_pixels_is_the_callers():
    data = encoded(four_colours(), "PNG")
    assert decode_image(data, "x", max_pixels=24 * 32).shape == (24, 32, 3)
    with pytest.raises(InvalidSource, match="limit of 767 in all"):
        decode_image(data, "x", max_pixels=24 * 32 - 1)


def test_a_small_tiff_with_huge_tiles_is_refused():
    tags = [(256, 3, 8), (257, 3, 8), (322, 4, 60_000), (323, 4, 60_000)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(100)
    with pytest.raises(InvalidSource, match="60000 × 60000"):
        decode_image(data, "x")


def test_a_png_whose_last_chunk_claims_gigabytes_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delattr(cv2, "imdecode")
    data = encoded(four_colours(), "PNG")
    claim = data[:-12] + struct.pack(">I", 0xEE00_0000) + data[-8:]
    with pytest.raises(InvalidSource, match="is cut off"):
        decode_image(claim, "x")


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_an_image_without_pixels_is_refused(size):
    with pytest.raises(InvalidSource, match="has no pixels"):
        decode_image(empty_png(*size), "x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"hello world, this is text", "not an image; expected one of JPEG, PNG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC; convert it to JPEG"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video; give it a suffix"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>404", "a web page"),
        (b"%PDF-1.7", "a PDF"),
    ],
)
def test_what_is_no_image_is_refused_by_name(data, message):
    with pytest.raises(InvalidSource, match=f"^x: .*{re.escape(message)}"):
        decode_image(data, "x")


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_bytes_never_escape_as_another_error(kind):
    rng = np.random.default_rng(0)
    data = np.frombuffer(encoded(four_colours(), kind, **FORMATS[kind]), np.uint8)
    for _ in range(150):
        broken = data.copy()
        places = rng.integers(0, min(len(data), 400), size=rng.integers(1, 6))
        broken[places] = rng.integers(0, 256, size=len(places))
        try:
            image = decode_image(broken.tobytes(), "x", max_pixels=1_000_000)
        except InvalidSource:
            continue
        assert image.ndim == 3
        assert image.dtype == np.uint8


def test_read_image_equals_opencv_on_a_real_photograph(assets):
    path = assets / "images/darknet/dog.jpg"
    expected = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(read_image(path), expected)


def test_read_image_does_not_mind_the_suffix_or_the_name(tmp_path):
    path = os.fsencode(tmp_path) + b"/a b\n\xff.jpg"
    with open(path, "wb") as file:  # noqa: PTH123 - a name that is no UTF-8
        file.write(encoded(four_colours(), "PNG"))
    assert difference(read_image(os.fsdecode(path)), four_colours()) == 0


def test_read_image_says_what_a_path_is_instead(tmp_path):
    with pytest.raises(InvalidSource, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(InvalidSource, match="no such file"):
        read_image(tmp_path / "missing.jpg")
    with pytest.raises(InvalidSource, match="is no name that a file can have"):
        read_image("a\0b.jpg")
    (tmp_path / "large.jpg").write_bytes(bytes(1001))
    with pytest.raises(InvalidSource, match="1,001 bytes, more than the limit of 1,000"):
        read_image(tmp_path / "large.jpg", max_bytes=1000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
def test_read_image_does_not_wait_on_a_pipe_or_a_device(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(InvalidSource, match="is a pipe"):
        read_image(tmp_path / "pipe.jpg")
    with pytest.raises(InvalidSource, match="is a device"):
        read_image("/dev/zero")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads anything")
def test_read_image_reports_a_file_it_may_not_read(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(encoded(four_colours(), "JPEG"))
    (tmp_path / "secret.jpg").chmod(0)
    with pytest.raises(InvalidSource, match="permission denied"):
        read_image(tmp_path / "secret.jpg")


def test_arrays_of_every_layout_become_contiguous_rgb():
    rgb = np.asarray(four_colours())
    grey = rgb[..., 0]
    np.testing.assert_array_equal(to_rgb_array(rgb), rgb)
    np.testing.assert_array_equal(to_rgb_array(np.dstack([rgb, grey])), rgb)
    for image in (grey, grey[..., None]):
        np.testing.assert_array_equal(to_rgb_array(image), np.dstack([grey] * 3))
    turned = to_rgb_array(rgb[:, ::-1, ::-1])
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned, rgb[:, ::-1, ::-1])


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((24, 32, 3), np.float32, "array of float32 .* uint8 from 0 to 255"),
        ((3, 24, 32), np.uint8, r"transpose\(1, 2, 0\)"),
        ((2, 24, 32, 3), np.uint8, "not a batch"),
        ((24, 32, 2), np.uint8, r"expected \(H, W, 3\)"),
        ((24,), np.uint8, r"expected \(H, W, 3\)"),
        ((0, 32, 3), np.uint8, "no pixels"),
        ((24, 32, 3), np.int64, "uint8"),
    ],
)
def test_an_array_that_is_no_image_is_refused_with_what_to_write(shape, dtype, message):
    with pytest.raises(InvalidSource, match=message):
        to_rgb_array(np.zeros(shape, dtype))


def test_what_is_no_image_at_all_is_refused_by_type():
    with pytest.raises(InvalidSource, match=r"builtins\.dict; expected a path"):
        to_rgb_array({})


def test_a_path_bytes_and_a_pil_image_give_the_same_pixels(assets):
    path = assets / "images/darknet/dog.jpg"
    expected = read_image(path)
    for value in (path, str(path), path.read_bytes()):
        np.testing.assert_array_equal(to_rgb_array(value), expected)
    assert np.abs(to_rgb_array(PIL.Image.open(path)).astype(int) - expected).max() <= 2


def test_a_pil_image_is_turned_upright_and_keeps_sixteen_bits(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    four_colours().save(tmp_path / "turned.png", exif=exif)
    image = to_rgb_array(PIL.Image.open(tmp_path / "turned.png"))
    np.testing.assert_array_equal(image, read_image(tmp_path / "turned.png"))
    deep = PIL.Image.fromarray(np.full((4, 5), 0x8123, np.uint16))
    assert (to_rgb_array(deep) == 0x81).all()


def test_a_pil_image_that_was_cut_off_is_refused_by_its_file(tmp_path):
    data = encoded(four_colours().resize((640, 480)), "JPEG")
    (tmp_path / "half.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(InvalidSource, match=r"half\.jpg: PIL cannot decode it"):
        to_rgb_array(PIL.Image.open(tmp_path / "half.jpg"))
