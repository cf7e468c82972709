"""Images kept for training: the same pixels, seen anew when the file changes, safe among many."""

import multiprocessing
import os
import resource
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.datasets.store import ImageStore
from scantling.images import read_image


def paint(folder: Path, count: int = 4, *, seed: int = 0) -> list[Path]:
    rng = np.random.default_rng(seed)
    paths = []
    for index in range(count):
        noise = rng.integers(0, 255, (60 + 20 * index, 80, 3), np.uint8)
        paths.append(folder / f"{index}.png")
        cv2.imwrite(str(paths[-1]), noise)
    return paths


def make(paths: list[Path], folder: Path | None, *, budget: int = 10**6) -> ImageStore:
    sizes = [read_image(path).shape[:2] for path in paths]
    return ImageStore(paths, sizes, long_side=80, folder=folder, budget=budget)


def test_an_image_is_the_same_decoded_and_from_the_store(tmp_path: Path):
    paths = paint(tmp_path)
    plain, stored = make(paths, None), make(paths, tmp_path / "store")
    for _ in range(2):
        for index in range(4):
            assert np.array_equal(plain.read(index), stored.read(index))
    assert np.array_equal(plain.read(0), read_image(paths[0]))  # small ones stay
    assert max(plain.read(3).shape) == 80


def test_the_second_read_decodes_nothing(tmp_path: Path):
    store = make(paint(tmp_path), tmp_path / "store")
    store.read(0)
    (pixels,) = (tmp_path / "store").glob("*.pixels")
    with pixels.open("r+b") as file:
        file.write(bytes(60 * 80 * 3))  # where the first image lies
    assert not store.read(0).any()
    assert store.read(1).any()


def test_a_changed_image_is_seen_even_with_its_old_size_and_time(tmp_path: Path):
    paths = paint(tmp_path)
    store = make(paths, tmp_path / "store")
    before, stat = store.read(0), paths[0].stat()
    changed = 255 - before
    cv2.imwrite(str(paths[0]), changed[..., ::-1])
    os.utime(paths[0], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert np.array_equal(store.read(0), changed)
    assert np.array_equal(store.read(0), changed)


def test_the_budget_is_kept_and_the_rest_is_decoded(tmp_path: Path):
    store = make(paint(tmp_path), tmp_path / "store", budget=60 * 80 * 3 + 80 * 80 * 3)
    assert store.stored == 2
    for index in range(4):
        store.read(index)
    (pixels,) = (tmp_path / "store").glob("*.pixels")
    assert pixels.stat().st_size == store.bytes_on_disk == 60 * 80 * 3 + 80 * 80 * 3


def read_all(store: ImageStore, rounds: int) -> None:
    for _ in range(rounds):
        for index in range(len(store)):
            store.read(index)


def test_many_processes_fill_one_store_and_one_is_killed(tmp_path: Path):
    paths = paint(tmp_path, 12)
    context = multiprocessing.get_context("spawn")
    store = make(paths, tmp_path / "store", budget=10**8)
    workers = [context.Process(target=read_all, args=(store, 3)) for _ in range(3)]
    for worker in workers:
        worker.start()
    workers[0].kill()
    for worker in workers:
        worker.join(600)
    assert [worker.exitcode for worker in workers[1:]] == [0, 0]
    plain = make(paths, None)
    assert all(np.array_equal(plain.read(i), store.read(i)) for i in range(12))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits a process of its own")
@pytest.mark.parametrize("size", ["short", "with holes"])
def test_a_disk_that_is_full_in_the_midst_ends_the_store_and_not_the_process(
    size: str, tmp_path: Path
):
    """As when another process took the room, or one was killed before it had reserved it."""
    paths = paint(tmp_path)
    expected = [make(paths, None).read(index) for index in range(4)]
    store = make(paths, tmp_path / "store")
    (pixels,) = (tmp_path / "store").glob("*.pixels")
    os.truncate(pixels, 0)
    if size == "with holes":
        os.truncate(pixels, store.bytes_on_disk)
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        same = [np.array_equal(store.read(index), expected[index]) for index in (0, 1, 2, 3, 0)]
        os._exit(0 if all(same) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
