"""The cache keeps to a budget, loses what was used longest ago, and nothing that is not its own."""

import errno
import os
from pathlib import Path

import pytest

from scantling import cache
from scantling.cache import can_keep, find_budget, free_bytes, list_entries, make_room, remove
from scantling.datasets.store import ImageStore
from scantling.engines.contract import EngineSettings
from scantling.engines.converted import convert
from scantling.engines.formats import FORMATS
from scantling.errors import InvalidValue
from scantling.io import default_cache

MEGABYTE = 10**6
HASHES = ("0" * 31 + "a", "0" * 31 + "b", "0" * 31 + "c")
FOREIGN = ("photo.jpg", "images/dog.jpg", "images/notes.pixels", "engines/mine.xml", "my.weights")


def put(folder: Path, name: str, *, age: float = 0, size: int = 1000) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    then = 1_700_000_000 - age
    os.utime(path, (then, then))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three converted models, two compiled ones, an image store, a download, and the user's own."""
    for age, name in enumerate(HASHES):
        for end in ("xml", "bin", "xml.sha256"):
            put(tmp_path, f"engines/{name}.{end}", age=age)
    put(tmp_path, "openvino/12345.blob", age=10)
    put(tmp_path, "openvino/67890.blob", age=0.5)
    put(tmp_path, f"images/{'0' * 24}.pixels", age=20)
    put(tmp_path, f"images/{'0' * 24}.signatures", age=20)
    put(tmp_path, "yolov4-tiny.weights", age=99)
    put(tmp_path, "precision.json")
    for name in FOREIGN:
        put(tmp_path, name, age=50)
    return tmp_path


def kinds(folder: Path) -> list[str]:
    return [entry.kind for entry in list_entries(folder, ["yolov4-tiny.weights"])]


def test_files_that_belong_together_are_one_entry_and_the_oldest_is_first(folder: Path):
    order = [kind for kind in kinds(folder) if kind != "notes"]
    assert order == [
        *("downloads", "images", "compiled"),
        *("converted", "converted", "compiled", "converted"),
    ]
    sizes = [entry.size for entry in list_entries(folder) if entry.kind == "converted"]
    assert len(sizes) == 3
    assert list_entries(folder / "nowhere") == []


@pytest.mark.parametrize(
    ("budget", "left"),
    [("1GB", ["images", "compiled", "converted", "converted", "compiled", "converted"]), ("0", [])],
)
def test_what_was_used_longest_ago_goes_first(
    budget: str, left: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(cache.VARIABLE, budget)
    make_room(folder)
    found = [kind for kind in kinds(folder) if kind not in ("downloads", "notes")]
    assert found == left
    assert {"downloads", "notes"} <= set(kinds(folder))
    assert all((folder / name).exists() for name in FOREIGN)


def test_it_stops_where_the_budget_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch):
    whole = sum(entry.size for entry in list_entries(folder))
    oldest = list_entries(folder)[0]
    monkeypatch.setenv(cache.VARIABLE, f"{whole - 1}B")
    make_room(folder)
    assert oldest.kind == "images"
    assert kinds(folder).count("images") == 0
    assert kinds(folder).count("converted") == 3
    # what is about to be written counts too, and what was just made stays
    monkeypatch.setenv(cache.VARIABLE, f"{whole}B")
    keep = folder / "engines" / f"{HASHES[2]}.xml"
    make_room(folder, whole, keep=[keep])
    assert kinds(folder).count("converted") == 1
    assert keep.exists()


@pytest.mark.parametrize("budget", ["lots", "-1", "5 TB", "1e99"])
def test_a_budget_that_is_no_size_is_refused(
    budget: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(cache.VARIABLE, budget)
    with pytest.raises(InvalidValue, match="500MB"):
        find_budget(tmp_path)


def test_on_a_small_disk_the_budget_is_a_share_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    monkeypatch.setattr(cache, "free_bytes", lambda _: 4 * 10**9)
    assert find_budget(tmp_path) == 10**9
    monkeypatch.setattr(cache, "free_bytes", lambda _: 10**12)
    assert find_budget(tmp_path) == cache.BUDGET
    monkeypatch.setattr(cache, "free_bytes", lambda _: None)
    assert find_budget(tmp_path) == cache.BUDGET


def test_room_is_asked_of_the_disk(tmp_path: Path):
    assert can_keep(tmp_path / "new" / "folder", 1000)
    assert not can_keep(tmp_path, 10**18)
    (tmp_path / "file").touch()
    assert not can_keep(tmp_path / "file" / "folder")
    assert free_bytes(tmp_path / "not" / "there") is not None


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SCANTLING_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.setenv("SCANTLING_CACHE", "")
    assert default_cache().name in ("scantling", "Cache")


def test_what_is_removed_is_counted(folder: Path):
    entries = [entry for entry in list_entries(folder) if entry.kind == "compiled"]
    assert remove(entries) == sum(entry.size for entry in entries)
    assert kinds(folder).count("compiled") == 0
    assert remove(entries) >= 0  # gone already


@pytest.mark.parametrize("failure", ["full", "folder"])
def test_images_are_decoded_every_time_where_they_cannot_be_kept(
    failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[str]
):
    from labelled import write_picture

    write_picture(tmp_path / "a.png", (20, 30))
    home = tmp_path / "cache" / "images"
    if failure == "full":

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    else:
        (tmp_path / "cache").touch()
    store = ImageStore([tmp_path / "a.png"], [(20, 30)], long_side=16, folder=home, budget=MEGABYTE)
    assert store.read(0).shape == (11, 16, 3)
    assert store.stored == 0
    assert "decoded every time" in logged[0]
    assert not home.is_dir() or not any(home.iterdir())


def test_an_image_store_takes_its_place_on_the_disk_at_once_and_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from labelled import write_picture

    old = put(tmp_path, "images/" + "1" * 24 + ".pixels", size=5000)
    monkeypatch.setenv(cache.VARIABLE, "3kB")
    write_picture(tmp_path / "a.png", (20, 30))
    store = ImageStore(
        [tmp_path / "a.png"], [(20, 30)], long_side=30, folder=tmp_path / "images", budget=2000
    )
    assert store.read(0).shape == (20, 30, 3)
    assert not old.exists()
    (pixels,) = (tmp_path / "images").glob("*.pixels")
    assert pixels.stat().st_size == 1800


def test_a_model_is_converted_beside_a_cache_that_cannot_keep_it(tmp_path: Path, logged: list[str]):
    pytest.importorskip("openvino")
    from scantling.checkpoints import load_model
    from small_models import write_model

    model = load_model(write_model(tmp_path / "small.safetensors"))
    (tmp_path / "cache").touch()  # a file where a folder should be
    path, _ = convert(model, FORMATS["openvino"], EngineSettings(cache=tmp_path / "cache"))
    assert path.is_file()
    assert "cannot keep it" in logged[0]
