"""What is known of image files, remembered between runs only while they stay the same."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.datasets.image_info import ImageInfo, inspect_image, pack, read_image_info, unpack
from scantling.datasets.image_info_cache import NAME, ImageInfoCache, sign


def texture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def write(path: Path, seed: int, **size: int) -> Path:
    cv2.imwrite(str(path), texture(seed, **size))
    return path


def remembering(paths, folder, **more) -> dict[Path, ImageInfo]:
    return read_image_info(paths, cache=folder, settle_seconds=0, workers=2, **more)


def was_remembered(path: Path, folder: Path) -> bool:
    """Whether the info comes from the cache: a planted row is given back as it stands."""
    with sqlite3.connect(folder / NAME) as database:
        database.execute("UPDATE facts SET value = replace(value, '\"PNG\"', '\"planted\"')")
    return remembering([path], folder)[path].kind == "planted"


def test_the_facts_of_a_plain_image(tmp_path):
    path = write(tmp_path / "a.png", 1)
    info = inspect_image(path)
    assert (info.problem, info.code, info.kind) == ("", "", "PNG")
    assert (info.size, info.upright, info.channels, info.bits) == ((48, 64), (48, 64), 3, 8)
    assert not info.one_colour
    assert info.perceptual_hash is not None
    assert unpack(pack(info)) == info


@pytest.mark.parametrize(
    ("array", "channels", "bits"),
    [
        (texture(1)[..., 0], 1, 8),
        (cv2.cvtColor(texture(1), cv2.COLOR_BGR2BGRA), 4, 8),
        (texture(1).astype(np.uint16) * 257, 3, 16),
    ],
    ids=["grey", "transparent", "deep"],
)
def test_channels_and_bits_are_those_stored(tmp_path, array, channels, bits):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), array)
    info = inspect_image(path)
    assert (info.channels, info.bits) == (channels, bits)


def test_a_grey_jpeg_has_one_channel(tmp_path):
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), texture(1)[..., 0])
    assert inspect_image(path).channels == 1


def test_an_image_of_floats_is_looked_at_too(tmp_path):
    path = tmp_path / "a.tiff"
    cv2.imwrite(str(path), texture(1).astype(np.float32) / 255)
    info = inspect_image(path)
    assert (info.bits, info.channels, info.code) == (32, 3, "")


def test_damage_has_a_code_of_its_own(tmp_path):
    whole = write(tmp_path / "a.png", 1).read_bytes()
    for name, data, code in (
        ("empty.png", b"", "E302"),
        ("text.png", b"hello there", "E303"),
        ("cut.png", whole[: len(whole) // 2], "E304"),
        ("holed.png", whole[:60] + bytes(200) + whole[260:], "E304"),
    ):
        (tmp_path / name).write_bytes(data)
        info = inspect_image(tmp_path / name)
        assert info.code == code, name
        assert info.problem
    assert inspect_image(tmp_path / "absent.png").code == "E301"
    assert inspect_image(tmp_path).code == "E303"


def test_a_picture_that_claims_to_be_enormous_is_not_decoded(tmp_path):
    data = bytearray(write(tmp_path / "a.png", 1).read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    (tmp_path / "b.png").write_bytes(data)
    assert inspect_image(tmp_path / "b.png").code == "E305"


def test_equal_content_has_an_equal_digest_whatever_the_name(tmp_path):
    first, second = write(tmp_path / "a.png", 1), write(tmp_path / "b.png", 1)
    third = write(tmp_path / "c.png", 2)
    digests = [inspect_image(path).digest for path in (first, second, third)]
    assert digests[0] == digests[1] != digests[2]


def test_an_unchanged_image_is_remembered(tmp_path):
    path = write(tmp_path / "a.png", 1)
    seen = []
    first = remembering([path, path], tmp_path / "c", progress=lambda *done: seen.append(done))
    assert seen == [(0, 1), (1, 1)]
    assert remembering([path], tmp_path / "c") == first
    assert was_remembered(path, tmp_path / "c")


def test_a_changed_image_is_seen_though_size_and_time_stay_the_same(tmp_path):
    path = tmp_path / "a.bmp"
    cv2.imwrite(str(path), texture(1))
    before = path.stat()
    old = remembering([path], tmp_path / "c")[path]
    cv2.imwrite(str(path), texture(2))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    new = remembering([path], tmp_path / "c")[path]
    assert new.digest != old.digest
    assert new.perceptual_hash != old.perceptual_hash


def test_an_image_put_in_place_of_another_is_seen(tmp_path):
    path, other = tmp_path / "a.bmp", tmp_path / "b.bmp"
    cv2.imwrite(str(path), texture(1))
    cv2.imwrite(str(other), texture(2))
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    old = remembering([path], tmp_path / "c")[path]
    other.replace(path)
    assert remembering([path], tmp_path / "c")[path].digest != old.digest


def test_a_touched_image_is_read_again(tmp_path):
    path = write(tmp_path / "a.png", 1)
    remembering([path], tmp_path / "c")
    os.utime(path, ns=(1, 1))
    assert not was_remembered(path, tmp_path / "c")


def test_an_image_that_was_only_just_written_is_not_remembered(tmp_path):
    path = write(tmp_path / "a.png", 1)
    read_image_info([path], cache=tmp_path / "c", settle_seconds=3600)
    with sqlite3.connect(tmp_path / "c" / NAME) as database:
        assert database.execute("SELECT count(*) FROM facts").fetchone() == (0,)


def test_an_image_that_changes_while_it_is_read_is_not_remembered(tmp_path):
    path = write(tmp_path / "a.png", 1)
    with ImageInfoCache(tmp_path / "c", settle_seconds=0) as cache:
        signature = sign(path)
        write(path, 2)
        cache.add(path, signature, ["old"])
    with ImageInfoCache(tmp_path / "c") as cache:
        assert cache.find({path: sign(path)}) == {}
        assert cache.find({path: signature}) == {}


def test_what_another_decoder_found_out_is_not_remembered(tmp_path):
    path = write(tmp_path / "a.png", 1)
    signature = sign(path)
    with ImageInfoCache(tmp_path / "c", tag="4.12", settle_seconds=0) as cache:
        cache.add(path, signature, ["old"])
    with ImageInfoCache(tmp_path / "c", tag="4.13") as cache:
        assert cache.find({path: signature}) == {}
    with ImageInfoCache(tmp_path / "c", tag="4.12") as cache:
        assert cache.find({path: signature}) == {path: ["old"]}


@pytest.mark.parametrize(
    "damage", [b"this is no database" * 100, b"SQLite format 3\0" + bytes(4000)]
)
def test_a_damaged_cache_is_passed_over_with_a_note(tmp_path, damage, logged: list[str]):
    path = write(tmp_path / "a.png", 1)
    (tmp_path / NAME).write_bytes(damage)
    infos = remembering([path], tmp_path)
    assert infos[path] == inspect_image(path)
    assert len(logged) == 1
    assert str(tmp_path / NAME) in logged[0]


def test_a_database_of_something_else_is_passed_over_with_a_note(tmp_path, logged: list[str]):
    path = write(tmp_path / "a.png", 1)
    with sqlite3.connect(tmp_path / NAME) as database:
        database.execute("CREATE TABLE facts (something TEXT)")
    assert remembering([path], tmp_path)[path].kind == "PNG"
    assert len(logged) == 1


def test_a_cache_that_cannot_be_made_is_passed_over_with_a_note(tmp_path, logged: list[str]):
    path = write(tmp_path / "a.png", 1)
    (tmp_path / "file").write_text("in the way")
    assert remembering([path], tmp_path / "file")[path].kind == "PNG"
    assert len(logged) == 1


@pytest.mark.parametrize("value", ["nonsense", "[]", "[1,2,3,4,5,6,7,8,9,10]", "{}", "[" * 99_999])
def test_a_row_that_is_not_ours_is_read_as_missing(tmp_path, value):
    path = write(tmp_path / "a.png", 1)
    remembering([path], tmp_path / "c")
    with sqlite3.connect(tmp_path / "c" / NAME) as database:
        database.execute("UPDATE facts SET value = ?", (value,))
    assert remembering([path], tmp_path / "c")[path] == inspect_image(path)


FILL = """
import sys
from pathlib import Path
from scantling.datasets.image_info import read_image_info
folder = Path(sys.argv[1])
print("begun", flush=True)
for _ in range(int(sys.argv[2])):
    infos = read_image_info(sorted(folder.glob("*.png")), cache=folder / "cache", settle_seconds=0)
print(len(infos), sum(one.code == "" for one in infos.values()), flush=True)
"""


def test_several_runs_may_fill_one_cache_while_one_is_killed(tmp_path, logged: list[str]):
    for seed in range(120):
        write(tmp_path / f"{seed:03}.png", seed)
    start = [sys.executable, "-c", FILL, str(tmp_path)]
    doomed = subprocess.Popen([*start, "100000"], stdout=subprocess.PIPE, text=True)
    runs = [subprocess.Popen([*start, "3"], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert doomed.stdout.readline() == "begun\n"
    deadline = time.monotonic() + 300  # killed once the cache is there, so in the midst of its use
    while not (tmp_path / "cache" / NAME).exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    doomed.send_signal(signal.SIGKILL)
    assert doomed.wait() == -signal.SIGKILL
    assert [run.communicate(timeout=300)[0] for run in runs] == ["begun\n120 120\n"] * 3
    paths = sorted(tmp_path.glob("*.png"))
    infos = remembering(paths, tmp_path / "cache")
    assert logged == []
    assert infos == {path: inspect_image(path) for path in paths}
    with sqlite3.connect(tmp_path / "cache" / NAME) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM facts").fetchone() == (120,)
