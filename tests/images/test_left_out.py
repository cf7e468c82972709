"""Nothing is left out in silence: files of a folder, and JPEG files without their last bytes."""

import io
import logging
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest

from scantling.datasets.image_info import inspect_image
from scantling.errors import InvalidSource
from scantling.images import read_image
from scantling.images.read import decode_image
from scantling.images.sources import count_images, read_sources


@pytest.fixture
def photo() -> PIL.Image.Image:
    rng = np.random.default_rng(5)
    small = PIL.Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    return small.resize((203, 149), PIL.Image.Resampling.BICUBIC)


def encoded(picture: PIL.Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", **options)
    return stream.getvalue()


def by_pillow(data: bytes, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.setattr(PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    return np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"quality": 30, "optimize": True},
                                     {"restart_marker_rows": 1}])  # fmt: skip
def test_a_jpeg_without_its_end_marker_is_read_with_a_warning(
    photo: PIL.Image.Image,
    missing: int,
    options: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
):
    whole = encoded(photo, **options)
    data = whole[:-missing]
    found = decode_image(data, "it")
    np.testing.assert_array_equal(found, decode_image(whole, "it"))
    assert np.abs(found - by_pillow(data, monkeypatch)).max() <= 12  # another upsampling
    assert "it: the JPEG has no end marker; all its rows are there" in caplog.text
    (tmp_path / "a.jpg").write_bytes(data)
    info = inspect_image(tmp_path / "a.jpg")
    assert (info.problem, info.size) == ("", (149, 203))


@pytest.mark.parametrize("missing", [4, 5, 11, 60, 400, 2000])
def test_one_that_lacks_rows_is_refused(photo: PIL.Image.Image, missing: int, tmp_path: Path):
    data = encoded(photo, quality=95)[:-missing]
    with pytest.raises(InvalidSource, match="the JPEG data is cut off: it has no end marker"):
        decode_image(data, "it")
    (tmp_path / "a.jpg").write_bytes(data)
    assert inspect_image(tmp_path / "a.jpg").code == "E304"


def test_files_of_a_folder_that_are_left_out_are_counted_by_kind(
    photo: PIL.Image.Image, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    photo.save(tmp_path / "a.jpg")
    for name in ("b.mpo", "B2.MPO"):
        photo.save(tmp_path / name, format="MPO", save_all=True, append_images=[photo.copy()])
    for name in ("IMG_1.HEIC", "c.jp2", "d.NEF", "notes.txt", ".hidden.heic"):
        (tmp_path / name).write_bytes(b"\0" * 40)
    caplog.set_level(logging.WARNING)
    assert count_images(str(tmp_path)) == 3
    assert not caplog.records
    frames = list(read_sources(str(tmp_path)))
    assert [Path(frame.name).name for frame in frames] == ["B2.MPO", "a.jpg", "b.mpo"]
    assert all(frame.problem is None for frame in frames)
    np.testing.assert_array_equal(frames[0].image, frames[2].image)
    (record,) = caplog.records
    told = "3 files were left out: 1 HEIC, 1 JP2, 1 raw (NEF); convert them to JPEG or PNG"
    told += " (HEIC is read after: pip install pillow-heif)"
    assert record.getMessage() == f"{tmp_path}: {told}"
    caplog.clear()
    list(read_sources(f"{tmp_path}/*"))
    assert told in caplog.text


def test_a_folder_of_nothing_else_says_so(tmp_path: Path):
    (tmp_path / "a.heic").write_bytes(b"\0" * 40)
    (frame,) = read_sources(str(tmp_path))
    assert "none of its 1 files is an image or a video (1 file was left out: 1 HEIC" in (
        frame.problem or ""
    )


def test_a_folder_or_file_named_by_digits_is_no_camera(
    photo: PIL.Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "2024").mkdir()
    photo.save(tmp_path / "2024" / "a.jpg")
    photo.save(tmp_path / "7", format="PNG")
    assert [frame.name for frame in read_sources(["2024", "7"])] == ["2024/a.jpg", "7"]
    assert count_images("2024") == 1
    np.testing.assert_array_equal(read_image("7"), np.asarray(photo))
    assert count_images("31999") is None  # a camera
