"""HEIC by a plug-in of Pillow: a made-up one, whose files are PNG behind HEIC's first box."""

import io
import logging
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest

from scantling.cli import main
from scantling.datasets.image_info import inspect_image, read_image_info
from scantling.datasets.readers import read_dataset
from scantling.errors import InvalidSource
from scantling.images import read_image
from scantling.images.heic import reads_heic
from scantling.images.preprocess import read_size
from scantling.images.read import decode_image
from scantling.images.sources import count_images, read_sources

BOX = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
WHEN_ABSENT = "pip install pillow-heif"
no_plugin = pytest.mark.skipif(reads_heic(), reason="a plug-in for HEIC is installed here")


class MadeUp(PIL.ImageFile.ImageFile):
    """Of a file the first box, its size, and a PNG."""

    format = "MADEUP"

    def _open(self) -> None:
        data = self.fp.read()
        if len(data) < len(BOX) + 8:
            raise SyntaxError("no more than a beginning")
        self._size = struct.unpack_from(">II", data, len(BOX))
        self._mode = "RGB"
        self._png = data[len(BOX) + 8 :]

    def load(self) -> object:
        if self.im_missing:
            with PIL.Image.open(io.BytesIO(self._png)) as inner:
                whole = inner.convert("RGB")
                whole.load()
            self.im, self._size = whole.im, whole.size
        return PIL.Image.Image.load(self)

    @property
    def im_missing(self) -> bool:
        return getattr(self, "_im", None) is None


@pytest.fixture
def plugin() -> Iterator[None]:
    PIL.Image.register_open("MADEUP", MadeUp, lambda prefix: prefix[4:12] == b"ftypheic")
    yield
    PIL.Image.OPEN.pop("MADEUP")
    PIL.Image.ID.remove("MADEUP")


def heic(image: np.ndarray, size: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    PIL.Image.fromarray(image).save(stream, "PNG")
    return BOX + struct.pack(">II", *(size or image.shape[1::-1])) + stream.getvalue()


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (21, 34, 3), dtype=np.uint8)


@pytest.mark.usefixtures("plugin")
def test_a_plugin_reads_heic_wherever_images_are_read(photo: np.ndarray, tmp_path: Path):
    for name in ("IMG_1.HEIC", "b.heif", "c.jpg"):  # the content decides, not the suffix
        (tmp_path / name).write_bytes(heic(photo))
        np.testing.assert_array_equal(read_image(tmp_path / name), photo)
    frames = list(read_sources(str(tmp_path)))
    assert [Path(frame.name).name for frame in frames] == ["IMG_1.HEIC", "b.heif", "c.jpg"]
    assert count_images(str(tmp_path)) == 3
    assert read_size(str(tmp_path / "b.heif")) == (21, 34)
    found = inspect_image(tmp_path / "b.heif")
    assert (found.problem, found.kind, found.size) == ("", "HEIC", (21, 34))


@pytest.mark.usefixtures("plugin")
def test_a_data_set_may_hold_heic(photo: np.ndarray, tmp_path: Path):
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    (tmp_path / "images" / "a.heic").write_bytes(heic(photo))
    (tmp_path / "labels" / "a.txt").write_text("0 .5 .5 .2 .2\n")
    (tmp_path / "data.yaml").write_text("val: images\nnames: [dog]\n")
    dataset = read_dataset(tmp_path / "data.yaml")
    assert (len(dataset), len(dataset.objects)) == (1, 1)
    assert dataset.images[0].size in (None, (21, 34))
    assert main(["data", "check", str(tmp_path / "data.yaml")]) == 0


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("size", "problem"),
    [
        ((60_000, 60_000), "exceeds limit of"),  # by Pillow, whose limit is ours
        ((34, 20), "the HEIC data is damaged"),  # its header says less than it holds
        ((0, 5), "the HEIC data cannot be read"),
    ],
)
def test_the_size_of_heic_is_bounded_as_of_any_image(
    size: tuple[int, int], problem: str, photo: np.ndarray, tmp_path: Path
):
    with pytest.raises(InvalidSource, match=problem):
        decode_image(heic(photo, size), "it")
    with pytest.raises(InvalidSource, match="more than the limit of 700 in all"):
        decode_image(heic(photo), "it", max_pixels=700)
    with pytest.raises(InvalidSource, match="the HEIC data cannot be"):
        decode_image(heic(photo)[:-40], "it")
    with pytest.raises(InvalidSource, match="the HEIC data cannot be"):
        decode_image(BOX, "it")
    (tmp_path / "a.heic").write_bytes(BOX)
    assert inspect_image(tmp_path / "a.heic").code == "E304"


@pytest.mark.usefixtures("plugin")
def test_pillows_own_readers_see_none_of_it(photo: np.ndarray):
    """PostScript would be handed to another program: `%!PS` where a box has its length."""
    seen = []
    PIL.Image.preinit()
    PIL.Image.init()
    assert {"EPS", "MADEUP"} <= PIL.Image.OPEN.keys()
    data = b"%!PS" + heic(photo)[4:]
    own = PIL.Image.OPEN["EPS"]
    PIL.Image.OPEN["EPS"] = (own[0], lambda prefix: bool(seen.append(prefix)))
    try:
        np.testing.assert_array_equal(decode_image(data, "it"), photo)
    finally:
        PIL.Image.OPEN["EPS"] = own
    assert not seen


@no_plugin
def test_without_a_plugin_the_message_names_one(
    photo: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "a.heic").write_bytes(heic(photo))
    with pytest.raises(InvalidSource, match=f"it is HEIC; convert it .*{WHEN_ABSENT}"):
        read_image(tmp_path / "a.heic")
    PIL.Image.fromarray(photo).save(tmp_path / "b.png")
    caplog.set_level(logging.WARNING)
    assert len(list(read_sources(str(tmp_path)))) == 1
    told = "1 file was left out: 1 HEIC; convert them to JPEG or PNG (HEIC is read after: pip"
    assert told in caplog.text


@no_plugin
def test_what_was_remembered_without_a_plugin_does_not_hold_with_one(
    photo: np.ndarray, tmp_path: Path, request: pytest.FixtureRequest
):
    path, cache = tmp_path / "a.heic", tmp_path / "cache"
    path.write_bytes(heic(photo))
    (before,) = read_image_info([path], cache=cache, settle_seconds=0).values()
    assert WHEN_ABSENT in before.problem
    request.getfixturevalue("plugin")
    (after,) = read_image_info([path], cache=cache, settle_seconds=0).values()
    assert not after.problem
