"""Files placed by threads or processes: the same, in order, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from multiprocessing import active_children
from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.errors import InvalidValue, WorkerLost
from scantling.images import TTA, InferencePlan, read_image
from scantling.images.crops import NetworkInput, PreparedImage, preprocess
from scantling.images.preprocess import (
    FilePreprocessor,
    open_pool,
    plan_batches,
    read_size,
    run_ahead,
)

SHAPE = NetworkInput((96, 96), 32)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Twelve images of several shapes, and one that is none."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    paths = []
    for number in range(12):
        size = [(60, 90), (90, 60), (64, 64)][number % 3]
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), rng.integers(0, 256, (*size, 3), np.uint8))
        paths.append(str(path))
    broken = folder / "broken.png"
    broken.write_bytes(b"no image")
    return [*paths[:5], str(broken), *paths[5:]]


def place_all(files: list[str], plan: InferencePlan, workers: int) -> Iterator[PreparedImage]:
    with open_pool(workers) as pool:
        tasks = [(index, path, None) for index, path in enumerate(files)]
        yield from run_ahead(tasks, FilePreprocessor(plan, SHAPE, 128), pool, ahead=4)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "plan", [InferencePlan(), TTA, InferencePlan(tile=(48, 48)), InferencePlan(tile=(99, 99))]
)
def test_files_come_in_order_and_as_they_would_be_drawn_here(
    files: list[str], plan: InferencePlan, workers: int
):
    placed = list(place_all(files, plan, workers))
    assert [one.frame.index for one in placed] == list(range(13))
    assert [one.frame.name for one in placed] == files
    assert [one.frame.index for one in placed if one.frame.problem is not None] == [5]
    for one in placed[:3]:
        image = read_image(one.frame.name)
        for number, view in enumerate(one.crops):
            slot = np.empty((*view.canvas, 3), np.uint8)
            one.put(number, slot, pad_value=128)
            np.testing.assert_array_equal(slot, preprocess(image, view, pad_value=128))


def pids() -> list[int]:
    return [child.pid for child in active_children() if child.pid is not None]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


def test_leaving_early_leaves_no_process(files: list[str]):
    with closing(place_all(files * 20, InferencePlan(), 2)) as placed:
        next(placed)
        started = pids()
    assert len(started) == 2
    assert pids() == []
    assert not any(map(alive, started))


def test_a_process_that_is_killed_is_an_error_and_no_hang(files: list[str]):
    with closing(place_all(files * 50, InferencePlan(), 2)) as placed:
        next(placed)
        started = pids()
        os.kill(started[0], signal.SIGKILL)
        with pytest.raises(WorkerLost, match="ended from outside"):
            list(placed)
    assert not any(map(alive, started))


def test_a_process_that_is_killed_halfway_through_its_answer_is_an_error_too(files: list[str]):
    shape = NetworkInput((960, 960), 32)  # more than a pipe holds: the answer waits to be taken
    with open_pool(2) as pool:
        started = pids()
        futures = [
            pool.submit(FilePreprocessor(InferencePlan(), shape, 128), (0, files[0], None))
            for _ in range(40)
        ]
        futures[3].result()
        for pid in started:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerLost):
            futures[-1].result(timeout=300)


PROGRAM = """
import sys, os, time
from multiprocessing import active_children
from scantling.images import InferencePlan
from scantling.images.preprocess import FilePreprocessor, open_pool, run_ahead
from scantling.images.crops import NetworkInput

def loaded(name):
    return name in sys.modules

if __name__ == "__main__":
    with open_pool(2) as pool:
        assert not any(run_ahead(["torch"] * 4, loaded, pool, ahead=4))
        work = FilePreprocessor(InferencePlan(), NetworkInput((96, 96)), 128)
        tasks = ((0, sys.argv[1], None) for _ in range(10**9))
        for one in run_ahead(tasks, work, pool, ahead=4):
            if one.frame.problem is not None:
                raise SystemExit(one.frame.problem)
            print(*(child.pid for child in active_children()), flush=True)
            time.sleep(0.05)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_however_a_program_ends_its_processes_do_too(
    files: list[str], tmp_path: Path, how: signal.Signals
):
    (tmp_path / "program.py").write_text(PROGRAM)
    program = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), files[0]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    line = program.stdout.readline() if program.stdout else ""
    workers = [int(pid) for pid in line.split()]
    assert len(workers) == 2, program.communicate(timeout=300)
    if how == signal.SIGINT:
        os.killpg(program.pid, how)  # as a terminal does it: to the workers too
    else:
        program.kill()
    program.communicate(timeout=300)
    assert program.returncode != 0
    deadline = time.monotonic() + 300
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def test_a_negative_number_of_processes_is_refused():
    with pytest.raises(InvalidValue, match="workers"), open_pool(-1):
        pass


def test_batches_of_like_shapes_get_the_smallest_canvas(files: list[str]):
    with open_pool(0) as pool:
        tasks = plan_batches(files, SHAPE, pool, batch_size=4)
    assert sorted(index for index, _, _ in tasks) == list(range(13))
    assert [canvas for _, _, canvas in tasks] == [(64, 96)] * 4 + [(96, 96)] * 4 + [
        (96, 64)
    ] * 4 + [None]


def test_the_size_of_a_turned_photo_is_that_of_the_upright_image(tmp_path: Path):
    photo = tmp_path / "photo.jpg"
    cv2.imwrite(str(photo), np.zeros((40, 60, 3), np.uint8))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = photo.read_bytes()
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "turned.jpg").write_bytes(data[:2] + segment + data[2:])
    assert read_size(str(photo)) == (40, 60)
    assert read_image(tmp_path / "turned.jpg").shape[:2] == (60, 40)
    assert read_size(str(tmp_path / "turned.jpg")) == (60, 40)
    assert read_size(str(tmp_path / "none.jpg")) is None
